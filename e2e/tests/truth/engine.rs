//! Engines that answer, are wrong, die and come back; containers that come and go.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::host::docker_top;
use crate::runner::Context;

/// Containers that run all the time.
const RUNNING: [&str; 6] = ["web", "db", "worker", "limited", "hostnet", "paused"];

/// The engine given is connected, with its version.
pub(crate) fn connected(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let snapshot = context.agent.snapshot(&endpoint)?;
    let version = context.lab.docker(&["version", "--format", "{{.Server.Version}}"])?;
    let row = engine_row(&snapshot, &endpoint)?;
    same(row, "state", &json!("connected"))?;
    same(row, "product", &json!("docker"))?;
    same(row, "version", &json!(version.trim()))?;
    same(row, "reason", &Value::Null)?;
    same(row, "containers", &json!(context.lab.state().containers.len()))
}

fn engine_row<'a>(snapshot: &'a Snapshot, endpoint: &str) -> Result<&'a Value> {
    let mut rows = snapshot.rows("engine")?.iter();
    rows.find(|r| r["endpoint"] == endpoint).with_context(|| format!("no row for engine {endpoint}"))
}

/// All running containers, known by the kernel's word alone.
fn known_without_engine(context: &Context, snapshot: &Snapshot) -> Result<()> {
    for name in RUNNING {
        let container = context.lab.container(name)?;
        let row = snapshot.container(&container.id)?;
        same(row, "init_pid", &json!(container.init_pid))?;
        let state = if name == "paused" { "paused" } else { "running" };
        same(row, "state", &json!(state))?;
        ensure!(!snapshot.pids_of(&container.id)?.is_empty(), "no process in {name}");
    }
    Ok(())
}

/// An engine that does not exist is told as failed, with a reason, and hides nothing.
pub(crate) fn wrong(context: &mut Context) -> Result<()> {
    let nowhere = "unix:///nonexistent/docker.sock";
    let snapshot = context.agent.snapshot(nowhere)?;
    let row = engine_row(&snapshot, nowhere)?;
    same(row, "state", &json!("failed"))?;
    ensure!(row["reason"].as_str().is_some_and(|r| !r.is_empty()), "no reason: {}", brief(row));
    known_without_engine(context, &snapshot)
}

/// With dockerd killed its containers go on, and are shown from cgroups; when it is back it is connected again.
pub(crate) fn dead(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    context.lab.engine_stop(false)?;
    let seen = context.agent.snapshot(&endpoint).and_then(|snapshot| {
        same(engine_row(&snapshot, &endpoint)?, "state", &json!("failed"))?;
        let row = snapshot.container(&context.lab.container("worker")?.id)?;
        let from = row["known_from"].as_array().context("no known_from")?;
        ensure!(!from.contains(&json!("engine")), "known from a dead engine: {}", brief(row));
        known_without_engine(context, &snapshot)
    });
    context.lab.engine_start(true)?; // also after a failure: the next cases need it
    seen?;
    connected(context)
}

/// A container killed, then started again.
pub(crate) fn kill_and_start(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let before = context.lab.container("hostnet")?.clone();
    context.lab.docker(&["kill", "hostnet"])?;
    context.lab.docker(&["wait", "hostnet"])?;
    let snapshot = context.agent.snapshot(&endpoint)?;
    let row = snapshot.container(&before.id)?;
    same(row, "state", &json!("exited"))?;
    same(row, "exit_code", &json!(137))?;
    same(row, "init_pid", &Value::Null)?;
    ensure!(snapshot.pids_of(&before.id)?.is_empty(), "processes in a container that ended");

    context.lab.docker(&["start", "hostnet"])?;
    context.lab.refresh()?;
    let after = context.lab.container("hostnet")?.clone();
    ensure!(after.init_pid.is_some() && after.init_pid != before.init_pid, "the scene did not restart");
    let snapshot = context.agent.snapshot(&endpoint)?;
    let row = snapshot.container(&after.id)?;
    same(row, "state", &json!("running"))?;
    same(row, "exit_code", &Value::Null)?;
    same(row, "init_pid", &json!(after.init_pid))?;
    let truth = docker_top(&context.lab, "hostnet")?;
    ensure!(snapshot.pids_of(&after.id)? == truth, "{truth:?} in docker top");
    Ok(())
}
