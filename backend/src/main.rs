//! Placeholder of the program: the modules under construction, so that they build and are tested.
#![allow(dead_code, reason = "the agent that uses these modules is made elsewhere")]

mod collect;
mod model;
#[cfg(test)]
mod scenario;
mod sys;

fn main() {}
