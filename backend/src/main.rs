//! Stand-in until the agent is there.
#![allow(dead_code, reason = "the agent's loop that uses this stage is not there yet")]

mod serve;

fn main() {}
