//! `backend/src/collect`, as far as it is needed.

pub(crate) mod dns;
pub(crate) mod network;
pub(crate) mod wire;
