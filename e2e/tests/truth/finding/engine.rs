//! Engines that take connections and do not answer.

use std::os::unix::net::UnixListener;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::ProcessRef;
use glasshull_shared::domain::finding::{Rule, Severity, Subject};
use rustix::process::Signal;

use super::judged::{Judged, of};
use crate::runner::Context;

/// A process that stands still; goes on when dropped.
struct Stopped(ProcessRef);

impl Stopped {
    fn stop(process: ProcessRef) -> Result<Self> {
        process.signal(Signal::STOP)?;
        Ok(Self(process))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::CONT);
    }
}

/// A socket where nobody ever answers, until it is gone; and the lab's engine, while it stands still.
pub(crate) fn silent(context: &mut Context) -> Result<()> {
    let path = context.lab.state().dir.join("mute.sock");
    let listener = UnixListener::bind(&path)?;
    // Who connects is kept, and gets no word.
    let held = std::thread::spawn(move || listener.incoming().take(1000).collect::<Vec<_>>());
    let endpoint = format!("unix://{}", path.display());
    let judged = Judged::start(context, &["--engine", &endpoint])?;
    let told = judged.raised(Rule::EngineSilent, &of(Subject::Engine { endpoint }))?.is(Severity::Trouble)?;
    ensure!(told.value("state")?.contains("does not answer"), "{:?}", told.row.evidence);
    ensure!(told.value("last answer").is_err(), "it never answered: {:?}", told.row.evidence);
    let lab = of(Subject::Engine { endpoint: context.endpoint() });
    judged.quiet(Rule::EngineSilent, &lab)?;
    std::fs::remove_file(&path)?;
    ensure!(!held.is_finished(), "it was asked a thousand times");
    judged.cleared(&told)?;

    let state = context.lab.state();
    let dockerd = state.engine_process(state.dockerd_pid).context("the engine is not running")?;
    let stopped = Stopped::stop(dockerd)?;
    let told = judged.raised(Rule::EngineSilent, &lab)?;
    ensure!(told.value("state")?.contains("does not answer"), "{:?}", told.row.evidence);
    told.value("last answer")?;
    drop(stopped);
    judged.cleared(&told)
}
