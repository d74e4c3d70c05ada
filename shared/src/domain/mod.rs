//! The facts by domain. A stem here (`process`, `container`, …) is the same in collect, view, style and e2e.

pub mod agent;
pub mod cgroup;
pub mod confinement;
pub mod container;
pub mod device;
pub mod dns;
pub mod engine;
pub mod event;
pub mod file;
pub mod finding;
pub mod host;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod process;
pub mod source;
pub mod wire;
