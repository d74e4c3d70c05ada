//! Limits, control groups and OOM kills against the kernel's files and `dmesg`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, fraction, number, same};
use crate::host::{cgroup, keyed, number_in};
use crate::runner::Context;

const TABLES: [&str; 4] = ["--tables", "cgroup,limit,oom_kill,container", "--interval", "1s"];
/// The v1 files with their name on v2.
const MEMORY: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
/// From here on v1 means "none".
const NONE: u64 = 1 << 62;

fn row<'a>(snapshot: &'a Snapshot, table: &str, field: &str, value: &str) -> Result<&'a Value> {
    let mut rows = snapshot.rows(table)?.iter();
    rows.find(|row| row[field] == value).with_context(|| format!("no {field} {value} in {table}"))
}

/// The lowest number of a file on the way up from a group to the top of its hierarchy; `None` without limit.
fn lowest(dir: &Path, names: [&str; 2]) -> Option<u64> {
    let read = |dir: &Path| {
        let text = names.iter().find_map(|name| fs::read_to_string(dir.join(name)).ok())?;
        text.trim().parse::<u64>().ok().filter(|n| *n < NONE)
    };
    let levels = dir.ancestors().take_while(|dir| dir.join("cgroup.procs").exists());
    levels.filter_map(read).min()
}

/// What every running container may use is what the files say on the way up.
pub(crate) fn limits(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let running: Vec<(String, String, u32)> = context
        .lab
        .state()
        .containers
        .iter()
        .filter_map(|(name, row)| Some((name.clone(), row.id.clone(), row.init_pid?)))
        .collect();
    ensure!(running.len() > 10, "only {} containers run", running.len());
    for (name, id, init) in running {
        let told = row(&snapshot, "limit", "id", &id).with_context(|| name.clone())?;
        let (memory, _) = cgroup(init, "memory")?;
        let (pids, _) = cgroup(init, "pids")?;
        for (field, truth) in [
            ("memory_max_bytes", lowest(&memory, MEMORY)),
            ("pids_max", lowest(&pids, ["pids.max", "pids.max"])),
        ] {
            let told = &told[field];
            match truth {
                Some(n) => ensure!(told["set"]["value"] == n, "{name} {field}: {told}, the files say {n}"),
                None => ensure!(told == "unlimited", "{name} {field}: {told}, the files say no limit"),
            }
        }
    }
    let limited = context.lab.container("limited")?.clone();
    let told = row(&snapshot, "limit", "id", &limited.id)?;
    let cores = told["cpu_cores"]["set"]["value"].as_f64().context("no quota")?;
    ensure!((cores - 0.05).abs() < 1e-6, "cpu_cores is {cores}");
    ensure!(told["cpu_cores"]["set"]["from"] == told["cgroup"], "it is its own: {}", brief(told));
    let (cpuset, v2) = cgroup(limited.init_pid.context("no init")?, "cpuset")?;
    let file = cpuset.join(if v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" });
    same(told, "cpuset_cpus", &json!(fs::read_to_string(file)?.trim()))?;
    same(told, "oom_kill_disable", &if v2 { Value::Null } else { json!(false) })
}

/// The parts of memory lie between two readings of the kernel's file.
pub(crate) fn breakdown(context: &mut Context) -> Result<()> {
    let limited = context.lab.container("limited")?.clone();
    let (memory, v2) = cgroup(limited.init_pid.context("no init")?, "memory")?;
    let stat = memory.join("memory.stat").to_string_lossy().into_owned();
    let anon = || -> Result<u64> { Ok(keyed(&stat, if v2 { "anon" } else { "total_rss" })?.parse()?) };
    let before = anon()?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let after = anon()?;
    let told = row(&snapshot, "limit", "id", &limited.id)?;
    // It holds what it holds; the kernel folds its counters now and then.
    let (low, high) = (before.min(after).saturating_sub(1 << 20), before.max(after) + (1 << 20));
    let got = number(told, "anon_bytes")?;
    ensure!((low..=high).contains(&got) && got >= 16 << 20, "anon_bytes: {low} ≤ {got} ≤ {high}");
    let peak = memory.join(if v2 { "memory.peak" } else { "memory.max_usage_in_bytes" });
    if peak.exists() {
        ensure!(number(told, "memory_peak_bytes")? <= number_in(&peak)?, "peaks only grow: {}", brief(told));
    }
    Ok(())
}

/// A paused container's group is frozen, a running one's is not; both are the container's.
pub(crate) fn frozen(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    for (name, state) in [("paused", "frozen"), ("worker", "thawed")] {
        let id = context.lab.container(name)?.id.clone();
        let path = row(&snapshot, "limit", "id", &id)?["cgroup"].as_str().context("no path")?.to_owned();
        let group = row(&snapshot, "cgroup", "path", &path)?;
        same(group, "freezer", &json!(state))?;
        same(group, "self_frozen", &json!(state == "frozen"))?;
        same(group, "container", &json!(id))?;
        ensure!(number(group, "processes")? >= 1, "{}", brief(group));
    }
    Ok(())
}

/// A group made for this test, removed with it in every hierarchy.
struct Parent(Vec<PathBuf>);

impl Drop for Parent {
    fn drop(&mut self) {
        for dir in &self.0 {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// A limit of the group above holds, and is named.
pub(crate) fn inherited(context: &mut Context) -> Result<()> {
    let name = format!("glasshull-tight-{}", std::process::id());
    let init = context.lab.container("worker")?.init_pid.context("no init")?;
    let mut dirs = Vec::new();
    for controller in ["memory", "pids", "cpu", "cpuacct", "cpuset", "blkio", "devices", "freezer"] {
        let (dir, _) = cgroup(init, controller)?;
        let top = dir.ancestors().filter(|dir| dir.join("cgroup.procs").exists()).last();
        dirs.push(top.context("no hierarchy")?.join(&name));
    }
    let systemd = Path::new("/sys/fs/cgroup/systemd").join(&name);
    dirs.extend([systemd, Path::new("/sys/fs/cgroup/unified").join(&name)]);
    let parent = Parent(dirs);
    let parent_option = format!("/{name}");
    let run = ["run", "--detach", "--network", "none", "--memory", "64m", "--cgroup-parent", &parent_option];
    let id = context.lab.docker(&[&run[..], &[IMAGE, "idle"]].concat())?.trim().to_owned();
    let told = inherited_as_told(context, &id, &parent);
    context.lab.docker(&["rm", "--force", &id])?;
    told
}

fn inherited_as_told(context: &Context, id: &str, parent: &Parent) -> Result<()> {
    let dir = parent.0.first().context("no group")?;
    let file = MEMORY.map(|name| dir.join(name)).into_iter().find(|file| file.exists());
    fs::write(file.context("no memory controller")?, (32_u64 << 20).to_string())?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let told = row(&snapshot, "limit", "id", id)?;
    let truth = json!({"set": {"value": 32_u64 << 20, "from": format!("/{}", dir.file_name().context("no name")?.to_string_lossy())}});
    same(told, "memory_max_bytes", &truth)?;
    let container = row(&snapshot, "container", "id", id)?;
    same(container, "memory_limit_bytes", &json!(32_u64 << 20))
}

/// Host pids of the victims in the container in the order in which `dmesg` names them. The lab may have had to start it
/// again until the engine noticed, so there can be several.
pub(crate) fn victims(id: &str) -> Result<Vec<u64>> {
    let output = Command::new("dmesg").output().context("run dmesg")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| line.contains("oom-kill:") && line.contains(id));
    let pid = |line: &str| line.rsplit_once(",pid=")?.1.split(',').next()?.parse().ok();
    let pids = lines.map(|line| pid(line).with_context(|| line.to_owned())).collect::<Result<Vec<_>>>()?;
    ensure!(!pids.is_empty(), "dmesg names no victim in {id}");
    Ok(pids)
}

/// Each kill is one row with the victim that dmesg names; the last is told by the engine's `OOMKilled` too.
pub(crate) fn oom_kill(context: &mut Context) -> Result<()> {
    let id = context.lab.container("oomed")?.id.clone();
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let rows = snapshot.rows("oom_kill")?.iter().filter(|row| row["container"] == id.as_str());
    let rows: Vec<&Value> = rows.collect();
    let told = rows.iter().map(|row| number(row, "pid")).collect::<Result<Vec<_>>>()?;
    let truth = victims(&id)?;
    ensure!(told == truth, "victims: dmesg says {truth:?}, the agent {told:?}");
    for row in &rows {
        same(row, "comm", &json!("eater"))?;
        same(row, "count", &json!(1))?;
        same(row, "global", &json!(false))?;
        ensure!(row["limit_cgroup"].as_str().is_some_and(|path| path.contains(&id)), "{}", brief(row));
        let sources = row["sources"].as_array().context("no sources")?;
        ensure!(sources.contains(&json!("kernel_log")), "the log did not tell: {}", brief(row));
    }
    let last = rows.last().and_then(|row| row["sources"].as_array()).context("no row")?;
    ensure!(last.contains(&json!("oom_killed")), "the engine did not tell: {last:?}");
    Ok(())
}

/// Without CAP_SYSLOG, where the kernel asks for it, kills stay known from the engine, and the source says what is missing.
pub(crate) fn without_log(context: &mut Context) -> Result<()> {
    if fs::read_to_string("/proc/sys/kernel/dmesg_restrict")?.trim() != "1" {
        return Ok(()); // everybody may read the log here
    }
    let id = context.lab.container("oomed")?.id.clone();
    let endpoint = context.endpoint();
    let mut args = vec!["snapshot", "--json", "--engine", &endpoint];
    args.extend(["--tables", "oom_kill,source", "--interval", "1s"]);
    let drop = ["setpriv", "--bounding-set", "-syslog", "--inh-caps", "-all"];
    let answer = context.agent.call_by(&drop, &args)?;
    ensure!(answer.success, "{}", answer.err);
    let snapshot = Snapshot::parse(&answer.out)?;
    let told = row(&snapshot, "oom_kill", "container", &id)?;
    same(told, "pid", &Value::Null)?;
    let source = row(&snapshot, "source", "name", "kernel_log")?;
    same(source, "state", &json!("limited"))?;
    same(source, "capability", &json!("CAP_SYSLOG"))
}

/// `limits` prints the same for people and for scripts.
pub(crate) fn command(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let id = context.lab.container("limited")?.id.clone();
    let told = context.agent.json(&["limits", "limited", "--json", "--engine", &endpoint])?;
    let row = &told["limits"][0];
    same(row, "id", &json!(id))?;
    let rooms = row["rooms"].as_array().context("no rooms")?;
    for resource in ["cpu", "memory", "pids"] {
        ensure!(rooms.iter().any(|room| room["resource"] == resource), "no {resource} in {rooms:?}");
    }
    for room in rooms {
        let (used, limit) = (fraction(room, "used")?, fraction(room, "limit")?);
        ensure!((fraction(room, "fill_ratio")? - used / limit).abs() < 1e-6, "{}", brief(room));
    }
    let human = context.agent.call(&["limits", "limited", "--engine", &endpoint])?;
    for part in ["limit 64.0 MiB, its own", "limit 32, its own", "of its periods now"] {
        ensure!(human.out.contains(part), "{part:?} is missing in:\n{}", human.out);
    }
    let all = context.agent.call(&["limits", "--engine", &endpoint])?;
    ensure!(all.out.contains("FULLEST") && all.out.contains("eater ("), "{}", all.out);
    let nobody = context.agent.call(&["limits", "no-such-container", "--engine", &endpoint])?;
    ensure!(!nobody.success && nobody.err.contains("no-such-container"), "{}", nobody.err);
    Ok(())
}
