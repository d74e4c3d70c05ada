//! What is known: the facts Glasshull collects, their keys, how they change and how they travel.
//!
//! Pure: compiles for the host and for wasm32, has no clock, does no I/O and knows no async. The agent fills these
//! types from the kernel and the engines, the app draws them, a recording keeps them.
//!
//! - [`cgroup_path`]: what a cgroup path says about the container.
//! - [`domain`]: one file per kind of fact; each field says its meaning, unit, source and what `None` means.
//! - [`snapshot`]: the registry, one line per table; everything that must visit all tables is made from it.
//! - [`delta`]: what changed between two states of a table, and putting it back.
//! - [`wire`]: frames between agent and app, and of a recording.
//! - [`dns_export`]: names with their addresses in the forms that programs understand.
//! - [`archive`]: files of containers and images, as an engine's archive tells of them.
//! - [`shell`]: words of a shell.
//! - [`unit`]: the one place that turns numbers into text.

pub mod archive;
pub mod cgroup_path;
pub mod delta;
pub mod dns_export;
pub mod domain;
pub mod shell;
pub mod snapshot;
pub mod subject;
pub mod unit;
pub mod wire;
