//! `cargo xtask test`: everything that must hold, from the cheapest check to the browser.
//! Each step runs even when an earlier one failed, unless it needs what that one makes.

mod browser;
mod degraded;
mod suite;

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::exec::{cargo, is_root, run as run_command, watch};
use crate::place::Place;
use crate::wasm::Toolchain;
use crate::{app, dist, need, say, size, tidy};
use suite::Suite;

/// Runs all steps, or those without app, lab and browser when `fast`; `filter` narrows tests and specs.
pub(crate) fn run(place: &Place, fast: bool, filter: Option<&str>) -> Result<ExitCode> {
    need::ensure(if fast { need::Purpose::Build } else { need::Purpose::Test })?;
    // The agent's build script wants the folder, whatever is in it.
    std::fs::create_dir_all(place.app_dist())?;
    let mut suite = Suite::default();
    suite.step("format", |_| run_command(here(place).args(["fmt", "--all", "--check"])));
    suite.step("tidy", |_| tidy::run(place));
    // Before clippy and tests: a change of the app would rebuild the agent that embeds it.
    let app = !fast && suite.step("app", |_| app::build(place, false));
    if app {
        suite.step("size", |_| size::measure(place));
    }
    suite.step("clippy", |_| {
        run_command(&mut clippy(here(place).args(["clippy", "--workspace", "--all-targets"])))
    });
    if !fast {
        suite.step("clippy for wasm", |_| clippy_for_wasm(place));
    }
    // The lab runs the shipped binary as a container.
    let shipped = app && suite.step("dist", |_| dist::run(place));
    let agent = suite.step("agent", |_| build_programs(place, fast));
    if agent {
        let who = if is_root() { "tests as root" } else { "tests as this user" };
        suite.step(who, |seen| {
            let mut tests = tests(place, fast, filter);
            if shipped {
                tests.env("GLASSHULL_DIST", dist::shipped(place));
            }
            watch(&mut tests, seen)
        });
        run_degraded(&mut suite, place, fast, filter);
    } else {
        suite.skip("tests", "the programs do not build");
    }
    if !fast {
        if app && agent {
            suite.step("browser", |seen| browser::run(place, filter, seen));
        } else {
            suite.skip("browser", "it needs the app and the agent");
        }
    }
    Ok(suite.finish()?)
}

fn run_degraded(suite: &mut Suite, place: &Place, fast: bool, filter: Option<&str>) {
    const NAME: &str = "tests as an ordinary user";
    if is_root() {
        suite.step(NAME, |seen| degraded::run(place, tests(place, fast, None), filter, seen));
    } else {
        say::note("not root: the tests that need root have said so instead of running");
        suite.skip(NAME, "that is how they just ran");
    }
}

/// A cargo command in the checkout.
fn here(place: &Place) -> Command {
    let mut command = cargo();
    command.current_dir(&place.root);
    command
}

/// Denies warnings; appended last because `--` ends cargo's own arguments.
fn clippy(command: &mut Command) -> Command {
    command.args(["--", "-D", "warnings"]);
    std::mem::replace(command, Command::new("true"))
}

fn clippy_for_wasm(place: &Place) -> Result<()> {
    let toolchain = Toolchain::ready(place)?;
    toolchain.ensure_clippy()?;
    let mut command = toolchain.cargo(place, "clippy");
    run_command(&mut clippy(command.args(["--package", "glasshull-app", "--package", "glasshull-shared"])))
}

/// The selection of packages that all builds of a run share: another one would give dependencies other
/// features and compile them again.
fn workspace(place: &Place, verb: &str, fast: bool) -> Command {
    let mut command = here(place);
    command.args([verb, "--workspace"]);
    if fast {
        command.args(["--exclude", "glasshull-e2e"]);
    }
    command
}

/// The agent and the lab as programs, with the dev profile.
fn build_programs(place: &Place, fast: bool) -> Result<()> {
    let mut build = workspace(place, "build", fast);
    build.args(["--bin", "glasshull"]);
    if !fast {
        build.args(["--bin", "glasshull-lab"]);
    }
    run_command(&mut build)
}

/// All tests of the workspace; those of the lab find the agent in the environment.
fn tests(place: &Place, fast: bool, filter: Option<&str>) -> Command {
    let mut command = workspace(place, "test", fast);
    command.arg("--no-fail-fast").args(filter).env("GLASSHULL_BIN", place.agent("debug"));
    command
}
