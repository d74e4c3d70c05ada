//! Memory maps of stopped processes, of the host and of a container of our own, against `pmap -X`, the kernel's `maps` and its sum.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::wire::{Answer, ClientMessage, Question};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::host::{Stat, children};
use crate::network::control::ask;
use crate::network::run;
use crate::runner::Context;

/// Name of the container.
const NAME: &str = "memory-maps";
/// Runs a program of the image, one in a volume, and one that is deleted meanwhile.
const RUN: &str = "cp /bin/busybox /data/busybox; mkdir /gone; cp /bin/busybox /gone/busybox; \
    /data/busybox sleep 600 & /gone/busybox sleep 600 & sleep 1; rm /gone/busybox; sleep 600";

/// Stopped processes; gone when dropped.
struct Scene<'a> {
    context: &'a Context,
    /// Of the host's, with libraries.
    host: Ended,
}

impl<'a> Scene<'a> {
    fn up(context: &'a Context) -> Result<Self> {
        let host = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()?;
        let scene = Self { context, host: Ended(host) };
        let start = ["run", "--detach", "--name", NAME, "--network", "none", "--stop-timeout", "0"];
        let more = ["--volume", "memory-maps:/data", IMAGE, "sh", "-c", RUN];
        context.lab.docker(&[&start[..], &more].concat())?;
        Ok(scene)
    }

    fn on_host(&self) -> Result<u32> {
        stopped(self.host.0.id())
    }

    /// The process in the container that runs this file, when that is deleted if it will be.
    fn runs(&self, file: &str) -> Result<u32> {
        let init = self.context.lab.inspect(NAME)?["State"]["Pid"].as_u64().context("no pid")?;
        let init = u32::try_from(init)?;
        let exe = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let mut found = None;
        wait_until(Duration::from_secs(20), || {
            // For its last command the shell forks no other.
            let all = [init].into_iter().chain(children(init).unwrap_or_default());
            found = all.filter(|pid| sleeps(*pid)).find(|pid| exe(*pid).as_os_str() == file);
            found.is_some()
        });
        stopped(found.with_context(|| format!("nobody runs {file}"))?)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let _ = self.context.lab.docker(&["rm", "--force", "--volumes", NAME]);
        let _ = self.context.lab.docker(&["volume", "rm", NAME]);
    }
}

/// Whether it has become what it will be.
fn sleeps(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"sleep\x00600\x00"))
}

/// The same pid, when it stands still.
fn stopped(pid: u32) -> Result<u32> {
    ensure!(wait_until(Duration::from_secs(20), || sleeps(pid)), "{pid} does not sleep");
    let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
    rustix::process::kill_process(target, rustix::process::Signal::STOP)?;
    let stands = || Stat::read(pid).is_ok_and(|stat| stat.state == 'T');
    ensure!(wait_until(Duration::from_secs(20), stands), "{pid} does not stop");
    Ok(pid)
}

fn told(context: &Context, pid: u32) -> Result<Snapshot> {
    let pid = pid.to_string();
    let args = ["--tables", "memory_map", "--maps", &pid, "--interval", "100ms"];
    context.agent.snapshot_with(&context.endpoint(), &args)
}

/// Lines of `pmap -X -p`: columns by name, and the mapping.
fn pmap(pid: u32) -> Result<Vec<(BTreeMap<String, String>, String)>> {
    let text = run(&["pmap", "-X", "-p", &pid.to_string()])?;
    let mut lines = text.lines().skip(1);
    let heading: Vec<&str> = lines.next().context("no heading")?.split_whitespace().collect();
    let (last, columns) = heading.split_last().context("an empty heading")?;
    ensure!(*last == "Mapping", "{heading:?}");
    let line = |line: &str| {
        let mut rest = line;
        let cells = columns.iter().map(|name| {
            rest = rest.trim_start();
            let (cell, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after;
            ((*name).to_owned(), cell.to_owned())
        });
        let cells: BTreeMap<_, _> = cells.collect();
        (cells, rest.trim().to_owned())
    };
    Ok(lines.take_while(|line| !line.trim_start().starts_with('=')).map(line).collect())
}

/// Each region as `pmap -X` and the kernel's `maps` have it; the sums as the kernel has them.
pub(crate) fn as_pmap(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    for pid in [scene.on_host()?, scene.runs("/bin/busybox")?, scene.runs("/data/busybox")?] {
        // The share of a page changes as others map it too.
        let (shares, share) = (pmap(pid)?, rollup(pid, "Pss")?);
        let snapshot = told(context, pid)?;
        let rows = snapshot.rows("memory_map")?;
        let (maps, pmap) = (fs::read_to_string(format!("/proc/{pid}/maps"))?, pmap(pid)?);
        ensure!(
            rows.len() == maps.lines().count() && rows.len() == pmap.len() && rows.len() > 5,
            "{}",
            rows.len()
        );
        for (((row, line), (cells, mapping)), (before, _)) in
            rows.iter().zip(maps.lines()).zip(&pmap).zip(&shares)
        {
            let mut told = compare(row, line, cells, mapping);
            // Whole before and after: nobody else maps it, and nobody did in between.
            if before.get("Pss") == cells.get("Pss") && cells.get("Pss") == cells.get("Rss") {
                told = told.and_then(|()| kilobytes(row, "pss_bytes", cells, "Pss"));
            }
            told.with_context(|| format!("{line}: told {}", brief(row)))?;
        }
        let kernels = |name: &str| rollup(pid, name);
        let (all, own) = (&snapshot.document()["maps"]["all"], &snapshot.document()["maps"]["rollup"]);
        for (field, name) in [
            ("rss_bytes", "Rss"),
            ("private_dirty_bytes", "Private_Dirty"),
            ("swap_bytes", "Swap"),
            ("anonymous_bytes", "Anonymous"),
            ("locked_bytes", "Locked"),
        ] {
            same(all, field, &json!(kernels(name)?))?;
            same(own, field, &json!(kernels(name)?))?;
        }
        let (sum, pss) = (number(all, "pss_bytes")?, kernels("Pss")?);
        // Others may have come and gone in between; each region's is cut to kilobytes.
        let (least, most) = (pss.min(share) / 2, pss.max(share) * 2);
        for told in [sum, number(own, "pss_bytes")?] {
            ensure!((least..=most).contains(&told), "{told} of {pss}");
        }
        same(all, "regions", &json!(rows.len()))?;
        same(&snapshot.document()["maps"]["rest"], "regions", &Value::Null)?;
    }
    Ok(())
}

/// A figure of the kernel's own sum, bytes.
fn rollup(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("no {name}"))? * 1024)
}

fn kilobytes(row: &Value, field: &str, cells: &BTreeMap<String, String>, name: &str) -> Result<()> {
    let cell = cells.get(name).with_context(|| format!("pmap has no {name}"))?;
    same(row, field, &json!(cell.parse::<u64>()? * 1024))
}

fn compare(row: &Value, line: &str, cells: &BTreeMap<String, String>, mapping: &str) -> Result<()> {
    let mut fields = line.splitn(6, ' ');
    let mut word = || fields.next().context("a short line");
    let (range, permissions, offset) = (word()?, word()?, word()?);
    let (_device, inode, name) = (word()?, word()?.parse::<u64>()?, word()?.trim());
    let (start, end) = range.split_once('-').context("no range")?;
    let hex = |text: &str| u64::from_str_radix(text, 16);
    same(row, "start", &json!(hex(start)?))?;
    same(row, "end", &json!(hex(end)?))?;
    same(row, "permissions", &json!(permissions))?;
    same(row, "offset_bytes", &json!(hex(offset)?))?;
    same(row, "inode", &if inode == 0 { Value::Null } else { json!(inode) })?;
    same(row, "path", &json!(name))?;
    let cell = |name: &str| cells.get(name).with_context(|| format!("pmap has no {name}"));
    ensure!(mapping == name || mapping.is_empty(), "pmap calls it {mapping}");
    ensure!(hex(cell("Address")?)? == hex(start)?, "pmap is elsewhere: {cells:?}");
    for (field, name) in [
        ("size_bytes", "Size"),
        ("rss_bytes", "Rss"),
        ("swap_bytes", "Swap"),
        ("anonymous_bytes", "Anonymous"),
        ("locked_bytes", "Locked"),
    ] {
        kilobytes(row, field, cells, name)?;
    }
    let kind = match name {
        "" => "anonymous",
        "[heap]" => "heap",
        "[stack]" => "stack",
        _ if name.starts_with('/') => "file",
        _ => "vdso",
    };
    same(row, "kind", &json!(kind))
}

/// The host path of what is mapped leads to the very inode; a deleted file is said, with the path it had.
pub(crate) fn files(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    for file in ["/bin/busybox", "/data/busybox"] {
        let snapshot = told(context, scene.runs(file)?)?;
        let is = |row: &&Value| row["path"] == file;
        let mut some = 0;
        for row in snapshot.rows("memory_map")?.iter().filter(is) {
            let host = row["host_path"].as_str().with_context(|| brief(row))?;
            ensure!(!host.starts_with("/proc"), "{host} is no path of the host");
            let found = fs::metadata(host).with_context(|| host.to_owned())?;
            ensure!(Some(found.ino()) == row["inode"].as_u64(), "{host} is another file than {}", brief(row));
            let device = format!("{}:{}", rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
            same(row, "device", &json!(device))?;
            same(row, "deleted", &json!(false))?;
            some += 1;
        }
        ensure!(some >= 2, "{file} is mapped {some} times");
    }
    let snapshot = told(context, scene.runs("/gone/busybox (deleted)")?)?;
    let gone: Vec<_> =
        snapshot.rows("memory_map")?.iter().filter(|row| row["path"] == "/gone/busybox").collect();
    ensure!(gone.len() >= 2, "{} regions of the deleted file", gone.len());
    gone.iter().try_for_each(|row| same(row, "deleted", &json!(true)))
}

/// A client of the dashboard is told the same, and that a pid has gone to another process; who may not see is told so in a line.
pub(crate) fn asked(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.runs("/data/busybox")?;
    let served = context.agent.serve(&context.endpoint())?;
    let ask = |start_time| {
        let question = Question::Maps(ProcessKey { pid, start_time });
        ask(served.address, ClientMessage::Ask { id: 7, question })
    };
    let start_time = Stat::read(pid)?.start_time;
    let Answer::Maps(maps) = ask(start_time)? else { bail!("no answer about maps") };
    let maps = maps.open()?;
    let snapshot = told(context, pid)?;
    let rows = snapshot.rows("memory_map")?;
    ensure!(maps.rows.len() == rows.len() && maps.missing.is_empty(), "{:?}", maps.missing);
    for (row, truth) in maps.rows.iter().zip(rows) {
        let Value::Object(row) = serde_json::to_value(row)? else { bail!("no object") };
        row.iter().try_for_each(|(field, value)| same(truth, field, value))?;
    }
    let Answer::Failed(why) = ask(start_time + 1)? else { bail!("told of another process") };
    ensure!(why.contains("another process"), "{why}");

    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let target = pid.to_string();
    let answer = context
        .agent
        .call_by(&nobody, &["snapshot", "--json", "--tables", "memory_map", "--maps", &target])?;
    ensure!(!answer.success && answer.out.is_empty(), "told of {pid}: {}", answer.out);
    ensure!(answer.err.contains("CAP_SYS_PTRACE") && answer.err.lines().count() == 1, "{}", answer.err);
    let answer = context.agent.call(&["snapshot", "--json", "--tables", "memory_map"])?;
    ensure!(!answer.success && answer.err.contains("--maps PID"), "{}", answer.err);
    // A thread of the kernel's has none.
    let kernel = fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd");
    if kernel {
        let answer = context.agent.call(&["snapshot", "--json", "--tables", "memory_map", "--maps", "2"])?;
        ensure!(answer.success && answer.err.contains("no memory of its own"), "{}", answer.err);
    }
    Ok(())
}
