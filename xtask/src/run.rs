//! `cargo xtask run`: needs → app → agent → become the agent.

use std::process::Command;

use anyhow::Result;

use crate::exec::{become_program, cargo, run as run_command};
use crate::place::Place;
use crate::{app, need, say};

/// Builds everything and replaces this process by the agent; returns only on failure.
pub(crate) fn run(place: &Place, dev: bool, args: &[String]) -> Result<()> {
    need::ensure(need::Purpose::Build)?;
    app::build(place, dev)?;
    let profile = if dev { "debug" } else { "release" };
    build_agent(place, dev)?;
    become_program(Command::new(place.agent(profile)).args(args))
}

/// Builds the agent with whatever app is in `frontend/dist`.
pub(crate) fn build_agent(place: &Place, dev: bool) -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--package", "glasshull"]).current_dir(&place.root);
    if !dev {
        build.arg("--release");
    }
    say::timed("building the agent", || run_command(&mut build))
}
