//! `glasshull who` against `/proc`, `docker top` and the files of the host.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::agent::{brief, same};
use crate::host::{Stat, child_named, children, docker_top, keyed, pid_inside};
use crate::runner::Context;

/// Pid → container, pid inside, parents, cgroup.
pub(crate) fn pid(context: &mut Context) -> Result<()> {
    let worker = context.lab.container("worker")?.clone();
    let init = worker.init_pid.context("no init")?;
    let child = child_named(init, "threads")?;
    let endpoint = context.endpoint();
    let told = context.agent.who(&endpoint, &child.to_string())?;

    let process = &told["process"];
    same(process, "pid", &json!(child))?;
    same(process, "start_time", &json!(Stat::read(child)?.start_time))?;
    same(process, "pid_in_ns", &json!(pid_inside(child)?))?;
    same(process, "container", &json!(worker.id))?;
    same(&told["container"], "id", &json!(worker.id))?;
    same(&told["container"], "name", &json!("worker"))?;

    let parents = told["detail"]["parents"].as_array().context("no parents")?;
    let told_pids: Vec<Option<u64>> = parents.iter().map(|p| p[0].as_u64()).collect();
    let mut truth = Vec::new();
    let mut at = child;
    while let Ok(parent) = Stat::read(at).map(|s| s.ppid) {
        if parent == 0 {
            break;
        }
        truth.push(Some(u64::from(parent)));
        at = parent;
    }
    ensure!(truth == told_pids, "parents: the kernel says {truth:?}, the agent {told_pids:?}");

    let lines = fs::read_to_string(format!("/proc/{child}/cgroup"))?;
    same(&told["detail"], "cgroups", &json!(lines.lines().collect::<Vec<_>>()))?;

    let human = context.agent.call(&["who", &child.to_string(), "--engine", &endpoint])?;
    ensure!(human.success, "who without --json failed: {}", human.err);
    for part in ["worker", &worker.id[..12], &child.to_string(), "/bin/actor"] {
        ensure!(human.out.contains(part), "{part:?} is missing in:\n{}", human.out);
    }
    Ok(())
}

/// Name, full id and id prefix → the same host pids, those of `docker top`.
pub(crate) fn container(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let worker = context.lab.container("worker")?.clone();
    let truth = docker_top(&context.lab, "worker")?;
    for subject in ["worker", &worker.id, &worker.id[..12]] {
        let told = context.agent.who(&endpoint, subject)?;
        same(&told["container"], "id", &json!(worker.id))?;
        let rows =
            told["processes"].as_array().with_context(|| format!("no processes in {}", brief(&told)))?;
        let mut pids: Vec<u64> = rows.iter().filter_map(|r| r["pid"].as_u64()).collect();
        pids.sort_unstable();
        ensure!(
            pids == truth.iter().map(|p| u64::from(*p)).collect::<Vec<_>>(),
            "{subject}: {truth:?} ≠ {pids:?}"
        );
    }
    let human = context.agent.call(&["who", "worker", "--engine", &endpoint])?;
    for pid in &truth {
        ensure!(human.out.contains(&pid.to_string()), "pid {pid} is missing in:\n{}", human.out);
    }
    Ok(())
}

/// What does not exist ends with an error and a word about it.
pub(crate) fn nobody(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    for subject in ["4194304", "no-such-container"] {
        let answer = context.agent.call(&["who", subject, "--json", "--engine", &endpoint])?;
        ensure!(!answer.success, "who {subject} succeeds: {}", answer.out);
        ensure!(answer.err.contains(subject), "who {subject} says only {:?}", answer.err);
    }
    Ok(())
}

fn exe(context: &Context, pid: u32) -> Result<Value> {
    let told = context.agent.who(&context.endpoint(), &pid.to_string())?;
    ensure!(told["detail"]["exe"].is_object(), "no detail.exe in {}", brief(&told));
    Ok(told["detail"]["exe"].clone())
}

/// The path named is readable on the host and leads to the inode the process runs; so does the layer's own path.
pub(crate) fn host_path(context: &mut Context) -> Result<()> {
    let mut layers = Vec::new();
    for (name, path) in [("worker", "/bin/actor"), ("web", "/bin/busybox")] {
        let pid = context.lab.container(name)?.init_pid.context("no init")?;
        let told = exe(context, pid)?;
        same(&told, "path", &json!(path))?;
        same(&told, "fate", &json!("present"))?;
        let run = fs::metadata(format!("/proc/{pid}/exe"))?;
        same(&told, "inode", &json!(run.ino()))?;
        let host = told["host_path"].as_str().context("no host_path")?;
        ensure!(
            host.starts_with(&*context.lab.state().dir.to_string_lossy()),
            "{host} is not in the lab's directory"
        );
        let found = fs::metadata(host).with_context(|| host.to_owned())?;
        ensure!(
            (found.dev(), found.ino()) == (run.dev(), run.ino()),
            "{host} is another file than {pid} runs"
        );

        let layer = told["layer_path"].as_str().context("no layer_path")?;
        ensure!(fs::read(layer)? == fs::read(format!("/proc/{pid}/exe"))?, "{layer} is another program");
        let dirs = context.lab.inspect(name)?["GraphDriver"]["Data"]["LowerDir"].clone();
        let number = told["layer"]["lower"].as_u64().context("not a lower layer")?;
        let truth = dirs.as_str().and_then(|d| d.split(':').nth(number as usize)).context("no such layer")?;
        let (layer, truth) = (fs::canonicalize(layer)?, fs::canonicalize(truth)?);
        ensure!(layer.starts_with(&truth), "{} is not in lower layer {number}", layer.display());
        layers.push(number);
    }
    ensure!(layers[0] < layers[1], "actor lies above busybox, the agent says {layers:?}");
    Ok(())
}

/// Binaries in the writable layer that were deleted, or replaced by another file, while running.
pub(crate) fn deleted(context: &mut Context) -> Result<()> {
    let init = context.lab.container("deleted")?.init_pid.context("no init")?;
    let keeper = child_named(init, "keeper")?;
    for (path, fate) in [("/srv/gone", "deleted"), ("/srv/swapped", "replaced")] {
        let runs = |p: &u32| {
            fs::read_link(format!("/proc/{p}/exe")).is_ok_and(|e| e.starts_with(format!("{path} (deleted)")))
        };
        let pid = children(keeper)?.into_iter().find(runs).with_context(|| format!("nobody runs {path}"))?;
        let told = exe(context, pid)?;
        same(&told, "path", &json!(path))?;
        same(&told, "fate", &json!(fate))?;
        same(&told, "inode", &json!(fs::metadata(format!("/proc/{pid}/exe"))?.ino()))?;
        keyed(&format!("/proc/{pid}/status"), "Pid")?; // still there: the answer was about this process
    }
    Ok(())
}
