//! Rules about what runs in a container: zombies, too many tasks, kills for memory, one that is started again and again, a quota
//! that runs out, a process that waits and cannot be ended, a binary that is gone.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::{ProcessRef, wait_until};
use glasshull_shared::domain::cgroup::OomSource;
use glasshull_shared::domain::finding::{Rule, Severity};
use rustix::process::Signal;

use super::judged::{Judged, Own, of_container};
use crate::cgroup::victims;
use crate::runner::Context;

/// Six children at a time, and it waits for them.
const FORKS: &str = "while :; do for i in 1 2 3 4 5 6; do sleep 2 & done; wait; done";
const CHILDREN: usize = 6;

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_zombie(pid: &u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// A parent that stands still lets its children lie until it goes on; a single one counts when it lies for long.
pub(crate) fn zombies(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let own = Own::run(context, "forker", &["--network", "none"], &["sh", "-c", FORKS])?;
    let by = of_container(&own.id);
    judged.quiet(Rule::Zombies, &by)?;
    let parent = ProcessRef::of(own.init()?).context("the parent has ended")?;
    let full = wait_until(Duration::from_secs(10), || children(parent.pid).len() == CHILDREN);
    ensure!(full, "it has no {CHILDREN} children");
    parent.signal(Signal::STOP)?;
    let lie = || children(parent.pid).iter().filter(|pid| is_zombie(pid)).count();
    ensure!(wait_until(Duration::from_secs(10), || lie() == CHILDREN), "{} zombies", lie());
    let told =
        judged.raised(Rule::Zombies, &|key, row| by(key, row) && row.severity == Severity::Attention)?;
    judged.wait("all of them", |tables| {
        tables.finding.get(&told.key).is_some_and(|row| row.evidence[0].value == CHILDREN.to_string())
    })?;
    ensure!(told.row.name.contains("in forker"), "it is called {}", told.row.name);
    parent.signal(Signal::CONT)?;
    judged.cleared(&told)?;
    // The lab has a parent with one child that it never waits for.
    let scene = of_container(&context.lab.container("zombie")?.id);
    let told = judged.raised(Rule::Zombies, &scene)?.is(Severity::Info)?;
    ensure!(told.value("zombies")? == "1", "{:?}", told.row.evidence);
    judged.quiet(Rule::Zombies, &by)
}

/// As many tasks as it may have; then it may have more.
pub(crate) fn pids(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let options = ["--network", "none", "--pids-limit", "20"];
    let own = Own::run(context, "crowded", &options, &["sleep", "600"])?;
    let by = of_container(&own.id);
    judged.quiet(Rule::PidsNearLimit, &by)?;
    let fill = "for i in $(seq 17); do sleep 600 & done; wait";
    context.lab.docker(&["exec", "--detach", own.name, "sh", "-c", fill])?;
    let told = judged.raised(Rule::PidsNearLimit, &by)?;
    judged.wait("the last of them", |tables| {
        tables.finding.get(&told.key).is_some_and(|row| row.evidence[0].value == "19 of 20")
    })?;
    context.lab.docker(&["update", "--pids-limit", "40", own.name])?;
    judged.cleared(&told)
}

/// Its command fails at once, and its policy starts it again; then the policy is taken away.
pub(crate) fn restart_loop(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let options = ["--network", "none", "--restart", "on-failure"];
    let settled = Own::run(context, "settled", &options, &["sleep", "600"])?;
    let own = Own::run(context, "restless", &options, &["sh", "-c", "exit 7"])?;
    let told = judged.raised(Rule::RestartLoop, &of_container(&own.id))?.is(Severity::Trouble)?;
    let restarts = context.lab.inspect(own.name)?["RestartCount"].as_u64().context("RestartCount")?;
    let counted: u64 = told.value("restarts")?.parse()?;
    ensure!((3..=restarts).contains(&counted), "{counted} restarts, docker says {restarts}");
    judged.quiet(Rule::RestartLoop, &of_container(&settled.id))?;
    context.lab.docker(&["update", "--restart", "no", own.name])?;
    judged.cleared(&told)
}

/// Two children are killed at once, and their container ends later than a kill is taken for the same: two kills, whoever tells
/// of them, until it is removed.
pub(crate) fn oom_kills(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let options = ["--network", "none", "--memory", "16m", "--memory-swap", "16m"];
    let own = Own::run(context, "hungry", &options, &["sh", "-c", "eater 64; eater 64; sleep 18; exit 1"])?;
    let told = judged.raised(Rule::OomKill, &of_container(&own.id))?.is(Severity::Trouble)?;
    let mut sources = Vec::new();
    judged.wait("its end", |tables| {
        let rows = tables.oom_kill.values().filter(|row| row.container.as_ref() == Some(&own.id));
        sources = rows.map(|row| row.sources.clone()).collect();
        sources.iter().flatten().any(|source| *source == OomSource::OomKilled)
    })?;
    let truth = victims(&own.id)?;
    ensure!(truth.len() == 2 && sources.len() == 2, "dmesg says {truth:?}, told are {sources:?}");
    let mut evidence = Vec::new();
    judged.quiet(Rule::OomKill, &|_, row| row.container.is_none())?;
    judged.wait("both as evidence", |tables| {
        let row = tables.finding.get(&told.key);
        evidence = row.map(|row| row.evidence.clone()).unwrap_or_default();
        true
    })?;
    ensure!(evidence.len() == 2, "{evidence:?}");
    for pid in truth {
        ensure!(evidence.iter().any(|one| one.value.contains(&format!("({pid})"))), "{pid}: {evidence:?}");
    }
    drop(own);
    judged.cleared(&told)
}

/// Never idle: it takes the core it gets.
const SPIN: &str = "while :; do :; done";

/// A fifth of a core for who takes a whole one; then all there are. The last minute is what counts, in which it ran out.
pub(crate) fn throttled(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let own = Own::run(context, "squeezed", &["--network", "none", "--cpus", "0.2"], &["sleep", "600"])?;
    let by = of_container(&own.id);
    judged.quiet(Rule::Throttled, &by)?;
    context.lab.docker(&["exec", "--detach", own.name, "sh", "-c", SPIN])?;
    let told = judged.raised(Rule::Throttled, &by)?.is(Severity::Attention)?;
    ensure!(told.value("throttled")?.starts_with("about "), "{:?}", told.row.evidence);
    ensure!(told.value("quota")? == "0.20 cores", "{:?}", told.row.evidence);
    let cores = std::thread::available_parallelism()?;
    context.lab.docker(&["update", "--cpus", &cores.to_string(), own.name])?;
    judged.cleared_after_its_minute(&told)
}

/// Who made a child by `vfork` waits in D until that ends or runs another program.
pub(crate) fn stuck_in_d(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let own = Own::run(context, "stuck", &["--network", "none"], &["dstate"])?;
    let by = of_container(&own.id);
    let told = judged.raised(Rule::StuckInD, &by)?.is(Severity::Attention)?;
    let [parent] = children(own.init()?)[..] else { bail!("its init has not one child") };
    ensure!(told.row.name == format!("vfork-parent ({parent}) in stuck"), "it is called {}", told.row.name);
    ensure!(told.value("state")?.starts_with("D at every look"), "{:?}", told.row.evidence);
    let [child] = children(parent)[..] else { bail!("who waits has not one child") };
    ProcessRef::of(child).context("the child has ended")?.signal(Signal::KILL)?;
    judged.cleared(&told)?;
    judged.quiet(Rule::StuckInD, &by)
}

/// A program that is updated under who runs it, until that is started again.
pub(crate) fn deleted_binary(context: &mut Context) -> Result<()> {
    const START: &str = "cp /bin/busybox /srv/sleep; while :; do /srv/sleep 600; sleep 1; done";
    let judged = Judged::start(context, &[])?;
    let own = Own::run(context, "updated", &["--network", "none"], &["sh", "-c", START])?;
    let by = of_container(&own.id);
    judged.quiet(Rule::DeletedBinary, &by)?;
    let runs = || {
        let program =
            |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("srv/sleep"));
        own.init().ok().and_then(|init| children(init).into_iter().find(program))
    };
    ensure!(wait_until(Duration::from_secs(10), || runs().is_some()), "it does not run");
    let old = ProcessRef::of(runs().context("it runs no more")?).context("it has ended")?;
    let update = "cp /bin/busybox /srv/new; mv /srv/new /srv/sleep";
    context.lab.docker(&["exec", own.name, "sh", "-c", update])?;
    // What binaries are gone is looked at each minute, and soon after a container came.
    let newcomer = Own::run(context, "newcomer", &["--network", "none"], &["sleep", "600"])?;
    let told = judged.raised(Rule::DeletedBinary, &by)?.is(Severity::Attention)?;
    ensure!(told.value("binary")? == "/srv/sleep (deleted)", "{:?}", told.row.evidence);
    ensure!(told.row.name == format!("sleep ({}) in updated", old.pid), "it is called {}", told.row.name);
    old.signal(Signal::KILL)?;
    judged.cleared(&told)?;
    ensure!(wait_until(Duration::from_secs(10), || runs().is_some()), "it was not started again");
    drop(newcomer);
    judged.quiet(Rule::DeletedBinary, &by)
}
