//! Below all: where the host's files are and what time it is.

pub(crate) mod clock;
pub(crate) mod root;
pub(crate) mod text;
