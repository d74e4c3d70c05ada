//! placeholder
#![allow(dead_code, reason = "wip")]
mod collect;
mod model;
mod sys;
fn main() {}
