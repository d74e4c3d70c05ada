//! Runs the cases on one lab, prints each, and takes the lab down.

use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use glasshull_e2e::lab::{Lab, Options, Scene, fresh_dir};

use crate::agent::Agent;

/// Name and body of a case.
pub(crate) type Case = (&'static str, fn(&mut Context) -> Result<()>);

/// What a case works with.
pub(crate) struct Context {
    /// The scene, of real containers.
    pub(crate) lab: Lab,
    /// The program under test.
    pub(crate) agent: Agent,
}

impl Context {
    /// Endpoint of the lab's engine.
    pub(crate) fn endpoint(&self) -> String {
        self.lab.state().endpoint.clone()
    }
}

/// Tries until one reading is undisturbed, for what comes and goes between ours and the one it is compared with; else why the last
/// one was wrong.
pub(crate) fn attempts(times: usize, mut once: impl FnMut() -> Result<()>) -> Result<()> {
    let mut last = Ok(());
    for _ in 0..times {
        last = once();
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Runs the cases that the command line selects.
pub(crate) fn run(cases: &[Case]) -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f));
    let cases: Vec<&Case> = cases.iter().filter(|(name, _)| chosen(name)).collect();
    if std::env::args().any(|a| a == "--list") {
        cases.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    let missing = Lab::obstacles();
    if cases.is_empty() || !missing.is_empty() {
        missing.iter().for_each(|m| say(&format!("truth tests not run: {m}")));
        say(&format!("0 passed, 0 failed, {} not run", cases.len()));
        return ExitCode::SUCCESS;
    }
    let mut context = match prepare() {
        Ok(context) => context,
        Err(e) => {
            say(&format!("truth tests could not begin: {e:#}\n0 passed, {} failed", cases.len()));
            return ExitCode::FAILURE;
        }
    };
    let failed = cases.iter().filter(|case| !run_one(case, &mut context)).count();
    let down = context.lab.down();
    if let Err(e) = &down {
        say(&format!("the lab could not be taken down: {e:#}"));
    }
    say(&format!("{} passed, {failed} failed", cases.len() - failed));
    if failed == 0 && down.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare() -> Result<Context> {
    let agent = Agent::find()?;
    let lab = Lab::up(&Options { dir: fresh_dir()?, scene: Scene::Small, live_restore: true })?;
    let guard = Path::new(env!("CARGO_BIN_EXE_glasshull-lab"));
    match lab.guard(guard, std::process::id()) {
        Ok(()) => Ok(Context { lab, agent }),
        Err(e) => {
            lab.down().context("after the guard failed")?;
            Err(e)
        }
    }
}

fn run_one((name, body): &Case, context: &mut Context) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(context))).unwrap_or_else(|p| Err(panic_text(&*p)));
    match outcome {
        Ok(()) => say(&format!("test {name} ... ok")),
        Err(ref e) => say(&format!("test {name} ... FAILED\n    {e:#}")),
    }
    outcome.is_ok()
}

/// A line for the reader; that nobody reads is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn panic_text(payload: &(dyn Any + Send)) -> anyhow::Error {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    anyhow!("panicked: {}", text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?"))
}
