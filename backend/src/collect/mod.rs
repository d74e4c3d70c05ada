//! 1 READ: one file or folder per domain. Each reads its own; nothing here relates one fact to another.

pub mod file;
pub mod host;
pub mod own_cost;
pub mod process;
pub mod process_events;
