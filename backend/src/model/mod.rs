//! RELATE: pure functions on what was read; no clock, no input or output.

pub(crate) mod join;
