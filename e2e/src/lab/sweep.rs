//! Removes everything a lab made, whether its engine still answers, was killed, or never came up: containers and
//! their processes, shims, mounts, network devices, cgroups, and what the engine left outside its directory.
//! Each step stands alone and may find nothing to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use super::engine::docker_within;
use super::network;
use super::process::{ProcessRef, argv, pids, wait_until};
use super::state::{Layout, State};

/// What an engine may leave outside its directories, deepest first; only what was not there before is removed.
const OUTSIDE: [&str; 10] = [
    "/etc/docker/key.json",
    "/etc/docker",
    "/run/docker/plugins",
    "/run/docker",
    "/run/containerd/s",
    "/run/containerd",
    "/opt/containerd/bin",
    "/opt/containerd/lib",
    "/opt/containerd",
    "/run/netns",
];

/// Which of the files and directories an engine may make outside are not there yet, deepest first.
pub(super) fn not_there_yet() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = OUTSIDE.iter().map(PathBuf::from).collect();
    paths.extend(hierarchies().into_iter().map(|h| h.join("docker")));
    paths.retain(|p| !p.exists());
    paths
}

/// Takes a lab down and removes its directory. `state` is `None` when `lab.json` cannot be read.
///
/// # Errors
/// When something could not be removed; what could be is gone then.
pub(super) fn sweep(layout: &Layout, state: Option<&State>) -> Result<()> {
    let daemons = daemons(layout);
    for daemon in &daemons {
        daemon.signal(Signal::CONT)?; // a test may have stopped it
    }
    if daemons.iter().any(|d| is_program(d.pid, "dockerd")) {
        remove_politely(layout);
    }
    let ids = container_ids(layout);
    let sockets = shim_sockets(layout);
    for program in ["dockerd", "containerd"] {
        for daemon in daemons.iter().filter(|d| is_program(d.pid, program)) {
            daemon.terminate(Duration::from_secs(10))?;
        }
    }
    thaw(&ids);
    kill_rest(layout, &ids)?;
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    unmount_below(&layout.dir)?;
    network::remove(layout);
    remove_cgroups(&ids);
    for path in state.map(|s| s.made.as_slice()).unwrap_or_default() {
        // What somebody else uses by now is not empty, or busy, and stays. `ip netns` mounts its directory on itself.
        let _ = rustix::mount::unmount(path.as_path(), UnmountFlags::empty());
        let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    }
    fs::remove_dir_all(&layout.dir).with_context(|| format!("remove {}", layout.dir.display()))
}

/// Through the engine, while it answers; what it refuses is done by force later.
fn remove_politely(layout: &Layout) {
    let limit = Duration::from_secs(60);
    let Ok(list) = docker_within(layout, Duration::from_secs(10), &["ps", "--all", "--quiet"]) else {
        return;
    };
    let mut args = vec!["rm", "--force", "--volumes"];
    args.extend(list.split_ascii_whitespace());
    if args.len() > 3 {
        let _ = docker_within(layout, limit, &args);
    }
    let _ = docker_within(layout, limit, &["network", "prune", "--force"]);
}

/// Running programs of the engine that work on this lab's directory.
fn daemons(layout: &Layout) -> Vec<ProcessRef> {
    let below = layout.text("");
    let ours = |pid: &u32| {
        let args = argv(*pid);
        // Not every process that merely names the directory (`down --dir …` does): only the engine's programs.
        ["dockerd", "containerd", "containerd-shim", "docker-proxy"].iter().any(|p| is_program(*pid, p))
            && args.iter().any(|a| a.contains(&below))
    };
    pids().into_iter().filter(ours).filter_map(ProcessRef::of).collect()
}

/// Whether a process runs a program with this name (`containerd-shim` also means its versions).
fn is_program(pid: u32, name: &str) -> bool {
    let args = argv(pid);
    let Some(program) = args.first().and_then(|a| Path::new(a).file_name()?.to_str()) else { return false };
    program == name || (name == "containerd-shim" && program.starts_with(name))
}

/// Ids of all containers that the engine's directories know.
fn container_ids(layout: &Layout) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for dir in ["data/containers", "containerd-state/io.containerd.runtime.v2.task/moby"] {
        let Ok(entries) = fs::read_dir(layout.join(dir)) else { continue };
        ids.extend(
            entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.len() == 64),
        );
    }
    ids
}

/// Sockets of shims; they lie in `/run/containerd/s` whatever the engine's directories are.
fn shim_sockets(layout: &Layout) -> Vec<PathBuf> {
    let Ok(bundles) = fs::read_dir(layout.join("containerd-state/io.containerd.runtime.v2.task/moby")) else {
        return Vec::new();
    };
    let address = |bundle: fs::DirEntry| fs::read_to_string(bundle.path().join("address")).ok();
    bundles
        .flatten()
        .filter_map(address)
        .filter_map(|a| a.trim().strip_prefix("unix://").map(PathBuf::from))
        .collect()
}

/// Mount points of all cgroup hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut all = vec![root.clone()];
    if !root.join("cgroup.controllers").exists() {
        all.extend(
            fs::read_dir(&root).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()),
        );
    }
    all
}

/// Cgroup directories of containers, in every hierarchy and under both drivers.
fn cgroups(ids: &BTreeSet<String>) -> Vec<PathBuf> {
    let of = |h: &PathBuf, id: &String| {
        [h.join("docker").join(id), h.join("system.slice").join(format!("docker-{id}.scope"))]
    };
    let all = hierarchies();
    all.iter().flat_map(|h| ids.iter().flat_map(move |id| of(h, id))).filter(|p| p.is_dir()).collect()
}

/// Frozen processes do not even die of SIGKILL on cgroup v1.
fn thaw(ids: &BTreeSet<String>) {
    for dir in cgroups(ids) {
        for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let file = dir.join(file);
            if file.exists() {
                let _ = fs::write(file, value);
            }
        }
    }
}

/// Kills shims and every process in a container of the lab, until none is left.
fn kill_rest(layout: &Layout, ids: &BTreeSet<String>) -> Result<()> {
    let in_lab = |pid: &u32| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.split(['/', '\n']).any(|part| {
            let part = part.strip_prefix("docker-").unwrap_or(part);
            ids.contains(part.strip_suffix(".scope").unwrap_or(part))
        })
    };
    let mut left = Vec::new();
    let gone = wait_until(Duration::from_secs(15), || {
        left = daemons(layout);
        left.extend(pids().into_iter().filter(in_lab).filter_map(ProcessRef::of));
        left.retain(ProcessRef::is_alive);
        for process in &left {
            let _ = process.signal(Signal::KILL);
        }
        left.is_empty()
    });
    if !gone {
        let pids: Vec<String> = left.iter().map(|p| p.pid.to_string()).collect();
        bail!("these processes of the lab do not end: {}", pids.join(" "));
    }
    Ok(())
}

/// Unmounts everything below a directory, latest first.
fn unmount_below(dir: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    // Field 5, with blanks written as \040; the lab's own directory has none (checked), what lies in it neither.
    let points: Vec<&str> = table.lines().filter_map(|l| l.split(' ').nth(4)).collect();
    for point in points.iter().rev().filter(|p| Path::new(p).starts_with(dir)) {
        rustix::mount::unmount(*point, UnmountFlags::DETACH).with_context(|| format!("unmount {point}"))?;
    }
    Ok(())
}

fn remove_cgroups(ids: &BTreeSet<String>) {
    for dir in cgroups(ids) {
        let children = fs::read_dir(&dir).into_iter().flatten().flatten();
        for child in children.map(|e| e.path()).filter(|p| p.is_dir()) {
            let _ = fs::remove_dir(child);
        }
        let _ = fs::remove_dir(dir);
    }
}
