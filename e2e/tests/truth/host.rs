//! The other witnesses: the kernel's files, `ps` and `docker top`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::Lab;

/// One line of `ps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PsRow {
    /// Parent.
    pub(crate) ppid: u32,
    /// Threads.
    pub(crate) threads: u32,
    /// Real uid.
    pub(crate) uid: u32,
    /// First letter of its state.
    pub(crate) state: char,
    /// Resident set, kB.
    pub(crate) rss_kb: u64,
    /// Ticks after boot at which it started, from `/proc/PID/stat`: `ps` itself gives only seconds.
    pub(crate) start_time: u64,
}

/// `ps -e`, by pid; without processes that ended meanwhile.
pub(crate) fn ps() -> Result<BTreeMap<u32, PsRow>> {
    let output = Command::new("ps")
        .args(["-e", "-o", "pid=,ppid=,nlwp=,ruid=,rss=,stat="])
        .output()
        .context("run ps")?;
    ensure!(output.status.success(), "ps failed");
    let mut rows = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [pid, ppid, threads, uid, rss_kb, stat] = fields[..] else { bail!("ps printed {line:?}") };
        let pid = pid.parse()?;
        let Ok(stat_file) = Stat::read(pid) else { continue };
        rows.insert(
            pid,
            PsRow {
                ppid: ppid.parse()?,
                threads: threads.parse()?,
                uid: uid.parse()?,
                state: stat.chars().next().context("empty state")?,
                rss_kb: rss_kb.parse()?,
                start_time: stat_file.start_time,
            },
        );
    }
    Ok(rows)
}

/// What the tests need of `/proc/PID/stat`.
pub(crate) struct Stat {
    /// State letter.
    pub(crate) state: char,
    /// Parent.
    pub(crate) ppid: u32,
    /// User and system time, clock ticks.
    pub(crate) cpu_ticks: u64,
    /// Ticks after boot.
    pub(crate) start_time: u64,
}

impl Stat {
    /// Reads it.
    pub(crate) fn read(pid: u32) -> Result<Self> {
        let raw = fs::read(format!("/proc/{pid}/stat"))?;
        let text = String::from_utf8_lossy(&raw);
        let (_, rest) = text.rsplit_once(')').context("stat without a name")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).copied().context("short stat");
        Ok(Self {
            state: field(3)?.chars().next().context("empty state")?,
            ppid: field(4)?.parse()?,
            cpu_ticks: field(14)?.parse::<u64>()? + field(15)?.parse::<u64>()?,
            start_time: field(22)?.parse()?,
        })
    }
}

/// A line of a file made of `NAME: value` or `NAME value` lines.
pub(crate) fn keyed(file: &str, key: &str) -> Result<String> {
    let raw = fs::read(file).with_context(|| format!("read {file}"))?;
    let text = String::from_utf8_lossy(&raw); // `Name` in status is whatever the process chose
    let found = text.lines().find_map(|l| {
        let (name, value) = l.split_once([':', ' '])?;
        (name == key).then(|| value.trim().to_owned())
    });
    found.with_context(|| format!("no {key} in {file}"))
}

/// Pid in the innermost namespace, as the kernel tells.
pub(crate) fn pid_inside(pid: u32) -> Result<u32> {
    let line = keyed(&format!("/proc/{pid}/status"), "NSpid")?;
    Ok(line.split_ascii_whitespace().last().context("empty NSpid")?.parse()?)
}

/// Host pids of a container by `docker top`, ascending. Zombies are not among them: the kernel leaves them out of
/// `cgroup.procs`, where the engine looks.
pub(crate) fn docker_top(lab: &Lab, name: &str) -> Result<Vec<u32>> {
    let text = lab.docker(&["top", name, "-eo", "pid"])?;
    let mut pids = text.lines().skip(1).map(|l| l.trim().parse()).collect::<Result<Vec<u32>, _>>()?;
    pids.sort_unstable();
    Ok(pids)
}

/// Children of a process, ascending.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    Ok(ps()?.into_iter().filter(|(_, row)| row.ppid == pid).map(|(child, _)| child).collect())
}

/// The only child of a process.
pub(crate) fn only_child(pid: u32) -> Result<u32> {
    match children(pid)?[..] {
        [child] => Ok(child),
        ref all => bail!("pid {pid} has {} children instead of one", all.len()),
    }
}

/// The child with this command name.
pub(crate) fn child_named(pid: u32, comm: &str) -> Result<u32> {
    let named = |p: &u32| fs::read_to_string(format!("/proc/{p}/comm")).is_ok_and(|c| c.trim_end() == comm);
    children(pid)?.into_iter().find(named).with_context(|| format!("pid {pid} has no child {comm}"))
}

/// Directory of a process's cgroup in the hierarchy of a v1 controller, or in that of v2; and whether it is v2.
pub(crate) fn cgroup(pid: u32, controller: &str) -> Result<(PathBuf, bool)> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounted = |kind: &str, option: Option<&str>| {
        let fits = |l: &&str| {
            let fields: Vec<&str> = l.split(' ').collect();
            fields[2] == kind && option.is_none_or(|o| fields[3].split(',').any(|f| f == o))
        };
        mounts.lines().find(fits).and_then(|l| l.split(' ').nth(1)).map(PathBuf::from)
    };
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
        if names.split(',').any(|n| n == controller) {
            let mount = mounted("cgroup", Some(controller)).context("controller not mounted")?;
            return Ok((mount.join(path.trim_start_matches('/')), false));
        }
    }
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).context("no cgroup")?;
    let mount = mounted("cgroup2", None).context("cgroup2 not mounted")?;
    Ok((mount.join(path.trim_start_matches('/')), true))
}

/// A number alone in a file.
pub(crate) fn number_in(file: &std::path::Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    text.trim().parse().with_context(|| format!("number in {}", file.display()))
}
