//! Namespaces against `lsns` and the links of processes; and those that lsns does not see, each made here and kept alive in
//! one way alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::network::run;
use crate::runner::{Context, attempts};

const TABLES: [&str; 4] = ["--tables", "namespace,isolation,container,source", "--interval", "200ms"];
const KINDS: [&str; 8] = ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"];

fn snapshot(context: &Context) -> Result<Snapshot> {
    context.agent.snapshot_with(&context.endpoint(), &TABLES)
}

fn row<'a>(snapshot: &'a Snapshot, kind: &str, inode: u64) -> Result<&'a Value> {
    let mut rows = snapshot.rows("namespace")?.iter();
    rows.find(|row| row["kind"] == kind && row["inode"] == inode)
        .with_context(|| format!("{kind} {inode} is not told"))
}

fn inode(path: &str) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| path.to_owned())?.ino())
}

/// What `lsns` lists: number of processes by kind and inode.
fn lsns() -> Result<BTreeMap<(String, u64), u64>> {
    let told: Value = serde_json::from_str(&run(&["lsns", "-J", "-o", "NS,TYPE,NPROCS"])?)?;
    let number = |value: &Value| {
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).with_context(|| format!("no number: {value}"))
    };
    let rows = told["namespaces"].as_array().context("no namespaces")?.iter();
    rows.map(|row| {
        let kind = row["type"].as_str().context("no type")?.to_owned();
        Ok(((kind, number(&row["ns"])?), number(&row["nprocs"])?))
    })
    .collect()
}

/// Readings that may be disturbed: processes come and go between ours and those of lsns.
const ATTEMPTS: usize = 6;

/// Every namespace that lsns lists before and after us; of those whose processes stay, their number.
pub(crate) fn as_lsns(context: &mut Context) -> Result<()> {
    attempts(ATTEMPTS, || compare_with_lsns(context))
}

fn compare_with_lsns(context: &Context) -> Result<()> {
    let before = lsns()?;
    let snapshot = snapshot(context)?;
    let after = lsns()?;
    let mut compared = 0;
    for (key, count) in before.iter().filter(|(key, _)| after.contains_key(key)) {
        let row = row(&snapshot, &key.0, key.1)?;
        if after[key] == *count && row["host"] == json!(false) {
            same(row, "pids", &json!(count)).with_context(|| format!("{key:?}"))?;
            compared += 1;
        }
    }
    ensure!(compared > 50, "{compared} of {} compared", before.len());
    let listed = |row: &&Value| row["pids"].as_u64().is_some_and(|pids| pids > 0);
    for row in snapshot.rows("namespace")?.iter().filter(listed) {
        let key = (row["kind"].as_str().unwrap_or_default().to_owned(), row["inode"].as_u64().unwrap_or(0));
        let pid = row["pid"].as_u64().context("no pid")?;
        let lives = fs::exists(format!("/proc/{pid}"))?;
        ensure!(
            before.contains_key(&key) || after.contains_key(&key) || !lives,
            "lsns lists no {}",
            brief(row)
        );
    }
    Ok(())
}

/// The eight cells of each running container, by the links of its init; who shares and who is like the host.
pub(crate) fn matrix(context: &mut Context) -> Result<()> {
    let snapshot = snapshot(context)?;
    let cells = snapshot.rows("isolation")?;
    let of = |id: &str, kind: &str| {
        cells.iter().find(|cell| cell["container"] == id && cell["kind"] == kind).context("no cell")
    };
    let mut compared = 0;
    for row in snapshot.rows("container")? {
        let (Some(id), Some(pid)) = (row["id"].as_str(), row["init_pid"].as_u64()) else { continue };
        for kind in KINDS {
            let cell = of(id, kind).with_context(|| format!("{} {kind}", row["name"]))?;
            same(cell, "inode", &json!(inode(&format!("/proc/{pid}/ns/{kind}"))?))?;
            let host = inode(&format!("/proc/self/ns/{kind}"))?;
            ensure!(
                (cell["relation"] == "host") == (cell["inode"] == host),
                "{}: {}",
                row["name"],
                brief(cell)
            );
            compared += 1;
        }
    }
    ensure!(compared >= 8 * 10, "{compared} cells");
    let id = |name: &str| Ok::<_, anyhow::Error>(context.lab.container(name)?.id.clone());
    let like = of(&id("hostlike")?, "net")?;
    ensure!(like["relation"] == "host", "{}", brief(like));
    let pair = of(&id("pod-a")?, "net")?;
    same(pair, "relation", &json!("shared"))?;
    same(pair, "with", &json!([id("pod-b")?]))?;
    same(of(&id("web")?, "net")?, "relation", &json!("own"))?;
    let shared: Vec<&Value> =
        cells.iter().filter(|cell| cell["kind"] == "net" && cell["relation"] == "shared").collect();
    for cell in &shared {
        let with = cell["with"].as_array().context("no list")?;
        let mates = shared.iter().filter(|other| other["inode"] == cell["inode"]).count();
        ensure!(mates == with.len() + 1, "{}", brief(cell));
    }
    Ok(())
}

/// A process that the case started, ended with it.
struct Started(Child);

impl Started {
    fn new(words: &[&str]) -> Result<Self> {
        let (program, args) = words.split_first().context("no program")?;
        let child = Command::new(program).args(args).stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| words.join(" "))?))
    }

    /// The innermost of its descendants once it runs `comm`, each the only child of the one before.
    fn innermost(&self, comm: &str) -> Result<u32> {
        let mut pid = self.0.id();
        let found = wait_until(Duration::from_secs(10), || {
            pid = self.0.id();
            while let Some(child) = child_of(pid) {
                pid = child;
            }
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|text| text.trim() == comm)
        });
        ensure!(found, "{comm} did not start below {}", self.0.id());
        Ok(pid)
    }
}

fn child_of(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

impl Drop for Started {
    fn drop(&mut self) {
        // The innermost first: a process that waits for its child ends with it.
        let mut line = vec![self.0.id()];
        while let Some(child) = line.last().copied().and_then(child_of) {
            line.push(child);
        }
        for pid in line.into_iter().rev() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.0.wait();
    }
}

/// Three pid namespaces inside one another, a user namespace whose root is somebody, a host name, and a clock of its own.
pub(crate) fn inside_and_outside(context: &mut Context) -> Result<()> {
    let deep = Started::new(&["unshare", "-fp", "unshare", "-fp", "unshare", "-fp", "sleep", "300"])?;
    let user = Started::new(&[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "unshare",
        "-Ur",
        "sleep",
        "300",
    ])?;
    let named = Started::new(&["unshare", "-u", "sh", "-c", "hostname innermost; exec sleep 300"])?;
    let clock = Started::new(&["unshare", "-fT", "--boottime", "86400", "sleep", "300"])?;
    let pids = [
        deep.innermost("sleep")?,
        user.innermost("sleep")?,
        named.innermost("sleep")?,
        clock.innermost("sleep")?,
    ];
    let snapshot = snapshot(context)?;
    let of = |pid: u32, kind: &str| row(&snapshot, kind, inode(&format!("/proc/{pid}/ns/{kind}"))?);
    let mut at = of(pids[0], "pid")?;
    let mut above = Vec::new();
    while let Some(parent) = at["parent"].as_u64() {
        above.push(parent);
        at = row(&snapshot, "pid", parent)?;
    }
    ensure!(above.len() == 3 && above.last() == Some(&inode("/proc/self/ns/pid")?), "above: {above:?}");
    let row = of(pids[1], "user")?;
    same(row, "uid_map", &json!([{"inside": 0, "outside": 65_534, "count": 1}]))?;
    same(row, "creator_uid", &json!(65_534))?;
    same(row, "parent", &json!(inode("/proc/self/ns/user")?))?;
    same(of(pids[2], "uts")?, "hostname", &json!("innermost"))?;
    same(of(pids[3], "time")?, "boottime_offset_nanos", &json!(86_400_000_000_000_u64))?;
    let text = context.agent.call(&["ns", "--kind", "pid"])?;
    ensure!(
        text.out.contains(&format!("    └ {}", inode(&format!("/proc/{}/ns/pid", pids[0]))?)),
        "{}",
        text.out
    );
    Ok(())
}

/// A named network namespace, unnamed at the end.
struct Named(String);

impl Named {
    fn new(name: &str) -> Result<Self> {
        let name = format!("gh-{}-{name}", std::process::id());
        run(&["ip", "netns", "add", &name])?;
        Ok(Self(name))
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }

    fn inode(&self) -> Result<u64> {
        inode(&self.path())
    }

    /// Does something in it on a thread that ends afterwards.
    fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<std::thread::JoinHandle<Result<T>>> {
        let namespace = File::open(self.path())?;
        Ok(std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            drop(namespace);
            work()
        }))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).stderr(Stdio::null()).status();
    }
}

/// What keeps each of four namespaces that lsns cannot list: a bind mount, a descriptor, a socket, a thread.
pub(crate) fn without_process(context: &mut Context) -> Result<()> {
    let (bound, open, socket, thread) =
        (Named::new("bound")?, Named::new("open")?, Named::new("socket")?, Named::new("thread")?);
    let inodes = [bound.inode()?, open.inode()?, socket.inode()?, thread.inode()?];
    let name = bound.0.clone();
    let held = File::open(open.path())?;
    let made = socket.inside(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    let made = made.join().map_err(|_| anyhow::anyhow!("the thread failed"))??;
    let (stay, stays) = channel::<()>();
    let (ready, is_ready) = channel::<()>();
    let inside = thread.inside(move || {
        ready.send(())?;
        let _ = stays.recv();
        Ok(())
    })?;
    is_ready.recv().context("the thread did not start")?;
    drop((open, socket, thread));
    let listed: BTreeSet<u64> = lsns()?.into_keys().map(|(_, inode)| inode).collect();
    let snapshot = snapshot(context)?;
    drop((held, made, stay));
    inside.join().map_err(|_| anyhow::anyhow!("the thread failed"))??;
    for (inode, by) in inodes.into_iter().zip(["bind_mount", "descriptor", "socket", "thread"]) {
        ensure!(!listed.contains(&inode), "lsns lists {inode}: it proves nothing");
        let row = row(&snapshot, "net", inode).with_context(|| by.to_owned())?;
        same(row, "pids", &json!(0))?;
        same(row, "pid", &Value::Null)?;
        let holders = row["held_by"].as_array().context("no holders")?;
        ensure!(
            !holders.is_empty() && holders.iter().all(|holder| holder["by"] == by),
            "{by}: {}",
            brief(row)
        );
        if by != "bind_mount" {
            ensure!(holders.iter().any(|holder| holder["pid"] == std::process::id()), "{}", brief(row));
        }
    }
    same(row(&snapshot, "net", inodes[0])?, "name", &json!(name))?;
    // Nothing of ours keeps them: what was let go is gone.
    let after = self::snapshot(context)?;
    for inode in &inodes[1..] {
        ensure!(row(&after, "net", *inode).is_err(), "{inode} is still there");
    }
    let told = context.agent.call(&["ns", &inodes[0].to_string()])?;
    ensure!(told.out.contains(&name) && told.out.contains("bind mount"), "{}", told.out);
    Ok(())
}

/// An ordinary user sees its own and says what is missing.
pub(crate) fn without_rights(context: &mut Context) -> Result<()> {
    let prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let answer = context
        .agent
        .call_by(&prefix, &["snapshot", "--json", "--tables", "namespace,source", "--interval", "100ms"])?;
    let told: Value = serde_json::from_str(&answer.out).with_context(|| answer.err.clone())?;
    let rows = told["tables"]["namespace"].as_array().context("no table")?;
    ensure!(!rows.is_empty(), "not even its own");
    let sources = told["tables"]["source"].as_array().context("no sources")?;
    let source = sources.iter().find(|row| row["name"] == "namespace").context("no source")?;
    same(source, "state", &json!("limited"))?;
    same(source, "capability", &json!("CAP_SYS_PTRACE"))
}
