//! READ: one module per domain; each reads its own source and knows nothing of the others.

pub(crate) mod cgroup;
pub(crate) mod container;
pub(crate) mod runtime;
