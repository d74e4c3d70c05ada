//! What it costs to find all namespaces, beside `lsns` in the same run: the first time, and at a tick where nothing changed.
//!
//! A client that watches processes stays connected, so that only what namespaces add is counted.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::child::Agent;
use super::crowd::{Crowd, Screen};
use super::meter::Reading;
use crate::lab::process::wait_until;

/// Runs of `lsns`; the mean counts.
const RUNS: u32 = 5;
/// Time within which the first scan has ended.
const FIRST: Duration = Duration::from_secs(4);

/// What was counted, milliseconds of CPU.
#[derive(Debug, Clone, Serialize)]
pub struct NamespaceCost {
    /// One run of `lsns`.
    pub lsns_millis: f64,
    /// The first scan.
    pub first_millis: f64,
    /// Each tick after it.
    pub tick_millis: f64,
    /// Namespaces told.
    pub namespaces: usize,
}

/// Measures; `settle` is how long a change is left to calm down, `phase` how long a steady state is watched.
pub(super) async fn measure(agent: &Agent, settle: Duration, phase: Duration) -> Result<NamespaceCost> {
    let pid = agent.running.pid();
    let read = || Reading::take(pid).context("the agent ended");
    let _ground = Crowd::watch(agent.address, 1, Screen::Processes).await?;
    tokio::time::sleep(settle).await;
    let before = read()?;
    tokio::time::sleep(phase).await;
    let ground = read()?.since(&before).cpu_ratio;
    let before = read()?;
    let crowd = Crowd::watch(agent.address, 1, Screen::Namespaces).await?;
    tokio::time::sleep(FIRST).await;
    let first = read()?.since(&before);
    tokio::time::sleep(settle).await;
    let (before, mark) = (read()?, crowd.mark()?);
    tokio::time::sleep(phase).await;
    let steady = read()?.since(&before);
    let ticks = crowd.since(&mark)?.ticks.max(1) as f64;
    let added = |cost: &super::Cost, steady: f64| {
        (cost.cpu_nanos as f64 / 1e6 - steady * cost.seconds * 1e3).max(0.0)
    };
    let lsns = tokio::task::spawn_blocking(lsns).await??;
    Ok(NamespaceCost {
        lsns_millis: lsns,
        // What its own ticks after the first cost is in the steady state.
        first_millis: added(&first, steady.cpu_ratio),
        tick_millis: added(&steady, ground) / ticks,
        namespaces: crowd.rows(glasshull_shared::snapshot::Topic::Namespace),
    })
}

/// CPU of one run, milliseconds: read of the ended child before it is waited for.
fn lsns() -> Result<f64> {
    let mut nanos = 0;
    for _ in 0..RUNS {
        let mut child = Command::new("lsns").stdout(Stdio::null()).spawn().context("run lsns")?;
        let pid = child.id();
        let began = Instant::now();
        let ended = wait_until(Duration::from_secs(60), || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"))
        });
        let spent = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        let status = child.wait()?;
        ensure!(ended && status.success(), "lsns after {:?}: {status}", began.elapsed());
        nanos +=
            spent.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).context("no schedstat")?;
    }
    Ok(nanos as f64 / 1e6 / f64::from(RUNS))
}
