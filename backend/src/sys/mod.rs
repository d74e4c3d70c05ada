//! Below all stages: the host's file trees, kept descriptors, netlink. The only place that may hold `unsafe`.

pub mod clock;
pub mod limits;
pub mod proc_connector;
pub mod procfile;
pub mod root;
