//! 2 RELATE: pure functions on snapshots. Time is an argument; nothing here reads a clock or a file.

pub(crate) mod cgroup;
pub(crate) mod confinement;
pub(crate) mod device;
pub(crate) mod dns;
pub(crate) mod exit;
pub(crate) mod finding;
pub(crate) mod flow;
pub(crate) mod io;
pub(crate) mod io_case;
pub(crate) mod join;
pub(crate) mod mount;
pub(crate) mod mount_use;
pub(crate) mod names;
pub(crate) mod namespace;
pub(crate) mod nat;
pub(crate) mod network;
pub(crate) mod oom;
pub(crate) mod rate;
pub(crate) mod seen;
pub(crate) mod socket;
pub(crate) mod waiter;
pub(crate) mod wire;
