//! The programs of `e2e`: the lab of real containers, and the bench that measures the agent in it.

use anyhow::Result;

use crate::exec::{become_program, cargo};
use crate::place::Place;
use crate::{app, need, run};

/// Becomes `glasshull-lab` with `args`.
pub(crate) fn lab(place: &Place, args: &[String]) -> Result<()> {
    need::ensure(need::Purpose::Test)?;
    let mut lab = cargo();
    lab.args(["run", "--quiet", "--package", "glasshull-e2e", "--bin", "glasshull-lab", "--"]);
    become_program(lab.args(args).current_dir(&place.root))
}

/// Builds the agent as shipped and becomes `glasshull-bench` with `args`.
pub(crate) fn bench(place: &Place, args: &[String]) -> Result<()> {
    need::ensure(need::Purpose::Test)?;
    app::build(place, false)?;
    run::build_agent(place, false)?;
    let mut bench = cargo();
    bench.args(["run", "--release", "--package", "glasshull-e2e", "--bin", "glasshull-bench", "--"]);
    bench.args(args).env("GLASSHULL_BIN", place.agent("release"));
    become_program(bench.current_dir(&place.root))
}
