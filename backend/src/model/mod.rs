//! 2 RELATE: pure functions on snapshots. Time is an argument; nothing here reads a clock or a file.

pub mod exit;
pub mod join;
pub mod rate;
