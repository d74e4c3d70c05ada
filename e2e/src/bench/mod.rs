//! The benchmark: what the agent costs in the bench lab with nobody, one and a hundred watching, beside `top` and
//! `docker stats` in the same seconds. [`run`] goes through the phases and makes a [`Report`].
//!
//! Shares between programs measured in the same seconds are what counts: absolute figures depend on the machine and
//! on what else runs there, which each phase shows.

mod app;
mod child;
mod crowd;
mod disk;
pub mod frames;
pub mod host;
mod meter;
mod namespaces;
mod packets;
mod report;
mod target;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use glasshull_shared::snapshot::Topic;
use serde::Serialize;

pub use app::{Bundle, Paint};
pub use child::Calls;
pub use crowd::{Screen, Traffic};
pub use disk::disk;
pub use meter::{Cost, Memory};
pub use namespaces::NamespaceCost;
pub use packets::packets;
pub use report::{Measured, Report};
pub use target::Target;

use crate::lab::{IMAGE, Lab};
use child::{Agent, Running};
use crowd::Crowd;

/// Time between a change (clients come, load begins) and the measurement. The first readings cost more than the rule;
/// what they take is shown apart, as the time to the first rows.
const SETTLE: Duration = Duration::from_secs(10);
/// How long system calls are counted by strace.
const TRACE: Duration = Duration::from_secs(6);
/// Processes of the busy lab that wake up 20 times a second.
const WAKERS: u32 = 100;
/// Processes of the busy lab that use 1 % of a core each, per core of the machine.
const BURNERS_PER_CORE: u32 = 30;

/// What to measure with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's program.
    pub agent: PathBuf,
    /// Time each phase is measured for.
    pub phase: Duration,
    /// The app's built files (`frontend/dist`).
    pub app: PathBuf,
    /// Folder of the browser specs, where Playwright is.
    pub spec: PathBuf,
}

/// What happens in a phase.
#[derive(Debug, Clone, Copy)]
struct Plan {
    name: &'static str,
    clients: usize,
    screen: Option<Screen>,
    busy: bool,
    docker_stats: bool,
}

const fn plan(name: &'static str, clients: usize, screen: Option<Screen>) -> Plan {
    Plan { name, clients, screen, busy: false, docker_stats: false }
}

/// Name of the first phase, the ground others are compared with.
const NOBODY: &str = "nobody";
/// Name of the phase the targets speak of.
const ONE: &str = "1 × processes";
/// Name of the phase with many clients.
const HUNDRED: &str = "100 × processes";
/// Name of the phase after all have left.
const NOBODY_AGAIN: &str = "nobody again";
/// Name of the phase `docker stats` runs in.
const DOCKER_STATS: &str = "nobody, docker stats";
/// Name of the phase that compares with it.
const CONTAINERS: &str = "1 × containers";

/// Name of the phase with the map open.
const MAP: &str = "1 × map";

const IDLE: [Plan; 7] = [
    plan(NOBODY, 0, None),
    plan(ONE, 1, Some(Screen::Processes)),
    plan(CONTAINERS, 1, Some(Screen::Containers)),
    plan(MAP, 1, Some(Screen::Map)),
    plan(HUNDRED, 100, Some(Screen::Processes)),
    plan(NOBODY_AGAIN, 0, None),
    Plan { docker_stats: true, ..plan(DOCKER_STATS, 0, None) },
];

const BUSY: [Plan; 3] = [
    Plan { busy: true, ..plan(ONE, 1, Some(Screen::Processes)) },
    Plan { busy: true, ..plan(CONTAINERS, 1, Some(Screen::Containers)) },
    Plan { busy: true, ..plan(HUNDRED, 100, Some(Screen::Processes)) },
];

/// What a phase cost.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// What happened.
    pub name: &'static str,
    /// Whether the lab's busy processes ran.
    pub busy: bool,
    /// The agent.
    pub agent: Cost,
    /// The agent's memory at the end, and its peak within the phase.
    pub memory: Memory,
    /// `top -b -d 1` in the same seconds.
    pub top: Measured<Cost>,
    /// The client of `docker stats`, where it ran.
    pub docker_stats: Option<Measured<Cost>>,
    /// dockerd, containerd and shims together.
    pub engine: Option<Cost>,
    /// What the clients received; `None` when there were none.
    pub traffic: Option<Traffic>,
    /// From connecting to the first rows, seconds; `None` without clients.
    pub first_rows_secs: Option<f64>,
    /// Processes the first client saw; `None` when it did not watch them.
    pub processes: Option<usize>,
    /// Cores the whole host kept busy, everything included.
    pub host_busy_cores: f64,
}

/// Goes through all phases in a lab of [`Scene::Bench`]. Everything it starts outside the lab ends with the future,
/// also when that is dropped half-way.
///
/// # Errors
/// When the agent does not start or ends, or a client loses it. That `top` or `docker` is missing is only noted.
///
/// [`Scene::Bench`]: crate::lab::Scene::Bench
pub async fn run(options: &Options, lab: &Lab, tell: impl Fn(&str)) -> Result<Report> {
    let agent = child::agent(&options.agent, lab).context("start the agent")?;
    let top = child::top();
    tell(&format!("agent pid {} on http://{}/", agent.running.pid(), agent.address));
    let mut report = Report::begin(options, lab, agent.running.pid());
    let bench = Bench { options, lab, agent: &agent, top: &top, tell: &tell };
    for plan in IDLE {
        report.phases.push(bench.phase(plan).await.with_context(|| format!("phase {:?}", plan.name))?);
    }
    tell("namespaces, beside lsns");
    report.namespaces = Measured::of(namespaces::measure(&agent, SETTLE, options.phase).await);
    tell("system calls by name (strace)");
    report.calls = Measured::of(bench.calls().await);
    tell("first paint");
    report.paint = Measured::of(app::paint(options, agent.address, "bench-").await);
    let load = make_busy(lab).context("make the lab busy")?;
    tell(&format!("busy lab: {load}"));
    report.load = load;
    for plan in BUSY {
        report.phases.push(bench.phase(plan).await.with_context(|| format!("busy phase {:?}", plan.name))?);
    }
    report.bundle = Measured::of(app::bundle(&options.app));
    report.judge();
    Ok(report)
}

struct Bench<'a, F> {
    options: &'a Options,
    lab: &'a Lab,
    agent: &'a Agent,
    top: &'a Result<Running>,
    tell: &'a F,
}

impl<F: Fn(&str)> Bench<'_, F> {
    async fn phase(&self, plan: Plan) -> Result<Phase> {
        let lab = if plan.busy { "busy" } else { "idle" };
        (self.tell)(&format!("{lab} lab, {}: {} s", plan.name, self.options.phase.as_secs()));
        let crowd = match plan.screen {
            Some(screen) => Some(Crowd::watch(self.agent.address, plan.clients, screen).await?),
            None => None,
        };
        let stats = plan.docker_stats.then(|| child::docker_stats(self.lab.state()));
        tokio::time::sleep(SETTLE).await;
        let pid = self.agent.running.pid();
        meter::forget_peak(pid)?;
        let engine = child::engine_pids(self.lab.state());
        let engine_before = child::readings(&engine);
        let watched =
            [Some(self.top), stats.as_ref()].map(|r| r.and_then(|r| r.as_ref().ok()).map(Running::pid));
        let others_before = child::readings(&watched.into_iter().flatten().collect::<Vec<_>>());
        let mark = crowd.as_ref().map(Crowd::mark).transpose()?;
        let (began, busy_before) = (Instant::now(), meter::host_busy_ticks());
        let before = meter::Reading::take(pid).context("the agent ended")?;
        tokio::time::sleep(self.options.phase).await;
        let agent = meter::Reading::take(pid).context("the agent ended")?.since(&before);
        let busy = meter::host_busy_ticks().saturating_sub(busy_before) as f64;
        let traffic = match (&crowd, &mark) {
            (Some(crowd), Some(mark)) => Some(crowd.since(mark)?),
            (_, _) => None,
        };
        let used = |readings: &[(u32, meter::Reading)], pid: Option<u32>| {
            let (pid, before) = readings.iter().find(|(p, _)| Some(*p) == pid)?;
            Some(meter::Reading::take(*pid).ok()?.since(before))
        };
        let beside = |running: &Result<Running>, pid| match running {
            Ok(_) => {
                used(&others_before, pid).map_or_else(|| Measured::Not("it ended".into()), Measured::Got)
            }
            Err(error) => Measured::Not(format!("{error:#}")),
        };
        let [top_pid, stats_pid] = watched;
        let processes = crowd.as_ref().map(|c| c.rows(Topic::ProcessStat)).filter(|n| *n > 0);
        Ok(Phase {
            name: plan.name,
            busy: plan.busy,
            agent,
            memory: meter::memory(pid)?,
            top: beside(self.top, top_pid),
            docker_stats: stats.as_ref().map(|s| beside(s, stats_pid)),
            engine: meter::sum(engine_before.iter().filter_map(|(pid, _)| used(&engine_before, Some(*pid)))),
            traffic,
            first_rows_secs: crowd.as_ref().map(|c| c.first_rows_secs),
            processes,
            host_busy_cores: busy
                / rustix::param::clock_ticks_per_second() as f64
                / began.elapsed().as_secs_f64(),
        })
    }

    /// System calls while one client watches all processes: counted with strace, so nothing else is measured here.
    async fn calls(&self) -> Result<TracedCalls> {
        let crowd = Crowd::watch(self.agent.address, 1, Screen::Processes).await?;
        tokio::time::sleep(SETTLE).await;
        let mark = crowd.mark()?;
        let pid = self.agent.running.pid();
        let calls = tokio::task::spawn_blocking(move || child::count_calls(pid, TRACE)).await??;
        Ok(TracedCalls { ticks: crowd.since(&mark)?.ticks, processes: crowd.rows(Topic::ProcessStat), calls })
    }
}

/// System calls while one client watched all processes.
#[derive(Debug, Clone, Serialize)]
pub struct TracedCalls {
    /// As strace counted them.
    pub calls: Calls,
    /// Ticks meanwhile.
    pub ticks: u64,
    /// Processes there were.
    pub processes: usize,
}

/// Starts two containers that keep part of the machine busy, and says what they do.
fn make_busy(lab: &Lab) -> Result<String> {
    let cores = u32::try_from(std::thread::available_parallelism()?.get()).unwrap_or(1);
    let burners = BURNERS_PER_CORE * cores;
    let run = |name: &str, command: &[&str]| {
        let mut args = vec!["run", "--detach", "--name", name, "--network", "none", IMAGE];
        args.extend(command);
        lab.docker(&args).map(drop)
    };
    run("busy-burn", &["crowd", &burners.to_string(), &burners.to_string()])?;
    // The shell's own `read` waits for a pipe nobody writes to: no process is started for a wake-up.
    let script = format!(
        "mkfifo /pipe; i=0; while [ $i -lt {WAKERS} ]; do \
         (exec 0<>/pipe; while :; do read -t 0.05 never; done) & i=$((i+1)); done; wait"
    );
    run("busy-wake", &["timeout", "7200", "sh", "-c", &script])?;
    Ok(format!("{burners} processes use 1 % of a core each, {WAKERS} wake up 20 times a second"))
}
