//! Rows of the process table against `ps`, `/proc` and `docker top`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::agent::{brief, fraction, number, same};
use crate::host::{Stat, child_named, children, docker_top, keyed, only_child, pid_inside, ps};
use crate::runner::{Context, attempts};

/// Containers whose processes stay the same while they are left alone; but that of pod-a forks for an instant at each request.
const STEADY: [&str; 11] = [
    "db", "worker", "zombie", "stopped", "dstate", "paused", "limited", "hostnet", "hostile", "deleted",
    "pod-a",
];

/// Readings that such a fork may disturb.
const ATTEMPTS: usize = 6;

/// Kernel counters of the resident set lag by some pages per CPU, and a process may grow between two looks.
fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= (a.max(b) / 5).max(2 << 20)
}

/// Every process that `ps` sees before and after is there, and what did not change in between is the same. Something may
/// change and change back between the two looks (a compiler's threads): only what differs in each of several rounds
/// is wrong.
pub(crate) fn listed_as_ps(context: &mut Context) -> Result<()> {
    let mut wrong = differences_to_ps(context)?;
    for _ in 0..3 {
        if wrong.is_empty() {
            return Ok(());
        }
        let again = differences_to_ps(context)?;
        wrong.retain(|which, _| again.contains_key(which));
    }
    let texts: Vec<&str> = wrong.values().map(String::as_str).collect();
    ensure!(texts.is_empty(), "{}", texts.join("\n    "));
    Ok(())
}

/// What differs between the agent's rows and `ps` before and after: by pid and field.
fn differences_to_ps(context: &Context) -> Result<BTreeMap<(u32, &'static str), String>> {
    let before = ps()?;
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let after = ps()?;
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for (pid, was) in &before {
        let Some(is) = after.get(pid).filter(|is| is.start_time == was.start_time) else { continue };
        let row = snapshot.process(*pid)?;
        same(row, "start_time", &json!(was.start_time))?;
        let mut demand = |field, outcome: Result<()>| {
            if let Err(e) = outcome {
                wrong.insert((*pid, field), format!("{e:#}"));
            }
        };
        for (field, then, now) in
            [("ppid", was.ppid, is.ppid), ("threads", was.threads, is.threads), ("uid", was.uid, is.uid)]
        {
            if then == now {
                demand(field, same(row, field, &json!(now)));
            }
        }
        if was.state == is.state && "TZ".contains(is.state) {
            demand("state", same(row, "state", &json!(is.state.to_string())));
        }
        let (rss, rss_then, rss_now) = (number(row, "rss_bytes")?, was.rss_kb << 10, is.rss_kb << 10);
        if close(rss_then, rss_now) && !close(rss, rss_now) {
            demand("rss_bytes", Err(anyhow!("rss_bytes {rss}, ps says {rss_now}: {}", brief(row))));
        }
        // comm may change (exec, prctl) and is not escaped alike: compared where it is plain.
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let comm = comm.trim_ascii_end();
        if comm.iter().all(u8::is_ascii_alphanumeric) && !comm.is_empty() {
            demand("comm", same(row, "comm", &json!(String::from_utf8_lossy(comm))));
        }
        compared += 1;
    }
    ensure!(compared > 30, "only {compared} processes to compare");
    for row in snapshot.rows("process")?.iter().filter(|r| r["kernel_thread"] == true) {
        ensure!(
            row["cmdline"].as_str().is_none_or(str::is_empty),
            "a kernel thread with arguments: {}",
            brief(row)
        );
    }
    Ok(wrong)
}

/// `pid_in_ns` of everything in the lab, and of this very process, is the last of `NSpid`.
pub(crate) fn pids_inside(context: &mut Context) -> Result<()> {
    attempts(ATTEMPTS, || compare_pids_inside(context))
}

fn compare_pids_inside(context: &Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let mut inits = 0;
    for name in STEADY {
        let container = context.lab.container(name)?;
        for pid in docker_top(&context.lab, name)? {
            let inside = pid_inside(pid)?;
            same(snapshot.process(pid)?, "pid_in_ns", &json!(inside))?;
            if Some(pid) == container.init_pid {
                ensure!(inside == 1, "init of {name} is not pid 1 inside");
                inits += 1;
            }
        }
    }
    ensure!(inits == STEADY.len(), "only {inits} containers had an init");
    let own = std::process::id();
    same(snapshot.process(own)?, "pid_in_ns", &json!(pid_inside(own)?))
}

/// The pids of a container are those of `docker top`; the engine's own processes belong to no container of the lab.
pub(crate) fn container_as_docker_top(context: &mut Context) -> Result<()> {
    attempts(ATTEMPTS, || compare_with_docker_top(context))
}

fn compare_with_docker_top(context: &Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let state = context.lab.state();
    for name in STEADY {
        let id = &context.lab.container(name)?.id;
        let truth = docker_top(&context.lab, name)?;
        let mut told = snapshot.pids_of(id)?;
        if name == "zombie" {
            let zombie = only_child(context.lab.container(name)?.init_pid.context("no init")?)?;
            ensure!(told.contains(&zombie), "the zombie {zombie} is not in its container: {told:?}");
            told.retain(|pid| *pid != zombie);
        }
        ensure!(truth == told, "{name}: docker top says {truth:?}, the agent {told:?}");
    }
    // These start a process each second: their init at least is certain.
    for name in ["web", "client-1", "client-2", "pod-b"] {
        let container = context.lab.container(name)?;
        let init = container.init_pid.context("no init")?;
        same(snapshot.process(init)?, "container", &json!(container.id))?;
    }
    // Whatever holds this test (nothing, or a container around the whole machine) holds the engine too.
    let own = snapshot.process(std::process::id())?["container"].clone();
    for pid in [state.dockerd_pid, state.containerd_pid].into_iter().flatten() {
        same(snapshot.process(pid)?, "container", &own)?;
    }
    let shim = Stat::read(context.lab.container("db")?.init_pid.context("no init")?)?.ppid;
    same(snapshot.process(shim)?, "container", &own)
}

/// Letters of the special states, the parent of the zombie, the wait channel of the D-state process.
pub(crate) fn states(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let child_of = |name: &str| only_child(context.lab.container(name)?.init_pid.context("no init")?);

    let zombie = snapshot.process(child_of("zombie")?)?;
    same(zombie, "state", &json!("Z"))?;
    same(zombie, "comm", &json!("never-reaped"))?;
    same(zombie, "ppid", &json!(context.lab.container("zombie")?.init_pid))?;
    same(zombie, "rss_bytes", &json!(0))?;

    same(snapshot.process(child_of("stopped")?)?, "state", &json!("T"))?;

    let waiting = child_of("dstate")?;
    let row = snapshot.process(waiting)?;
    same(row, "state", &json!("D"))?;
    same(row, "wait_channel", &json!(fs::read_to_string(format!("/proc/{waiting}/wchan"))?))?;
    let vforked = only_child(waiting)?;
    same(snapshot.process(vforked)?, "state", &json!("S"))?;
    same(snapshot.process(vforked)?, "wait_channel", &Value::Null)?;

    let frozen = context.lab.container("paused")?.init_pid.context("no init")?;
    same(snapshot.process(frozen)?, "state", &json!(Stat::read(frozen)?.state.to_string()))
}

/// Threads by `/proc/PID/task`; the user's name comes from the container's own passwd.
pub(crate) fn threads_and_users(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &["--tables", "process,thread"])?;
    let worker = context.lab.container("worker")?.init_pid.context("no init")?;
    ensure!(children(worker)?.len() == 6, "the worker has not six children");

    let threaded = child_named(worker, "threads")?;
    same(snapshot.process(threaded)?, "threads", &json!(4))?;
    let entries = fs::read_dir(format!("/proc/{threaded}/task"))?.flatten();
    let mut truth: Vec<u64> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let rows = snapshot.rows("thread")?.iter().filter(|r| r["pid"] == threaded);
    let mut told = rows.map(|r| number(r, "tid")).collect::<Result<Vec<_>>>()?;
    truth.sort_unstable();
    told.sort_unstable();
    ensure!(truth == told, "threads of {threaded}: the kernel says {truth:?}, the agent {told:?}");

    let apps: Vec<&Value> =
        snapshot.rows("process")?.iter().filter(|r| r["ppid"] == worker && r["uid"] == 1000).collect();
    let [app] = apps[..] else { anyhow::bail!("{} children of the worker with uid 1000", apps.len()) };
    same(app, "user", &json!("app"))?;
    same(app, "cmdline", &json!("idle as-app"))?;
    same(snapshot.process(worker)?, "user", &json!("root"))
}

/// Counters that only grow lie between a reading before and one after; rates come out of the interval.
pub(crate) fn counters(context: &mut Context) -> Result<()> {
    let writer = context.lab.container("db")?.init_pid.context("no init")?;
    let spinner = context.lab.container("limited")?.init_pid.context("no init")?;
    let written = || -> Result<u64> { Ok(keyed(&format!("/proc/{writer}/io"), "write_bytes")?.parse()?) };
    let ticks = || -> Result<u64> { Ok(Stat::read(spinner)?.cpu_ticks) };
    let (written_before, ticks_before) = (written()?, ticks()?);
    // Three seconds: the writer writes about once a second.
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &["--interval", "3s"])?;
    let (written_after, ticks_after) = (written()?, ticks()?);

    let row = snapshot.process(writer)?;
    let told = number(row, "write_bytes")?;
    ensure!((written_before..=written_after).contains(&told), "{written_before} ≤ {told} ≤ {written_after}");
    ensure!(fraction(row, "write_bytes_per_sec")? > 0.0, "the writer does not write: {}", brief(row));
    same(row, "read_bytes_per_sec", &json!(0.0))?;

    let row = snapshot.process(spinner)?;
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    let told = number(row, "cpu_nanos")?;
    ensure!(
        (ticks_before * tick..=ticks_after * tick).contains(&told),
        "{ticks_before} ≤ {told} ns ≤ {ticks_after}"
    );
    let ratio = fraction(row, "cpu_ratio")?;
    // The quota is 0.05; one more period may fall into the interval at either end, and ticks are coarse.
    ensure!(ratio > 0.0 && ratio < 0.15, "cpu_ratio of the limited spinner is {ratio}");
    let idle = context.lab.container("hostnet")?.init_pid.context("no init")?;
    same(snapshot.process(idle)?, "cpu_ratio", &json!(0.0))
}

/// Arguments with invalid UTF-8, line ends, escapes and markup arrive whole, as text without control characters.
pub(crate) fn hostile_arguments(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let init = context.lab.container("hostile")?.init_pid.context("no init")?;
    let rows: Vec<&Value> = snapshot.rows("process")?.iter().filter(|r| r["ppid"] == init).collect();
    ensure!(rows.len() == 2, "{} children of the hostile container instead of two", rows.len());
    let line = rows
        .iter()
        .find_map(|r| r["cmdline"].as_str().filter(|c| c.starts_with("idle ")))
        .context("no idle")?;
    for part in ["bad-utf8:", "two", "lines", "<img src=x onerror=alert(1)>", "gnp.exe"] {
        ensure!(line.contains(part), "{part:?} is missing in {line:?}");
    }
    ensure!(!line.contains(|c: char| c.is_control()), "control characters in {line:?}");
    let comm = rows.iter().find_map(|r| r["comm"].as_str().filter(|c| c.starts_with("x) R 1 (<b>")));
    comm.context("the name with brackets and blanks was cut or mangled").map(|_| ())
}

/// 50 processes a second that each live some milliseconds: all ends between the two samples are told, each with its
/// container, and counted there.
pub(crate) fn short_lived(context: &mut Context) -> Result<()> {
    context.lab.spawn(30)?;
    let inspected = context.lab.inspect("spawner")?;
    let id = inspected["Id"].as_str().context("no id")?.to_owned();
    let more = ["--tables", "container,exited_process,source", "--interval", "4s"];
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &more)?;
    let counted = number(snapshot.container(&id)?, "short_lived")?;
    let ended = snapshot.rows("exited_process")?.iter().filter(|r| r["container"] == id.as_str()).count();
    context.lab.despawn()?;
    // 200 in four seconds; the first look at the container may come a moment after the first end, and a busy machine forks fewer.
    ensure!(counted >= 120, "{counted} short-lived processes are counted of 200");
    ensure!(ended >= 120, "{ended} ends have a row of 200");
    Ok(())
}
