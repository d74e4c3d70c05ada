//! Containers without an engine: what plain `runc` made, against `runc list`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::same;
use crate::runner::Context;

/// Containers that are removed with the value.
struct Made(Vec<String>);

impl Drop for Made {
    fn drop(&mut self) {
        for id in &self.0 {
            let _ = Command::new("runc").args(["resume", id]).output();
            let _ = Command::new("runc").args(["delete", "--force", id]).output();
        }
    }
}

fn runc(args: &[&str]) -> Result<String> {
    // Descriptors of its children must not keep ours open: into a file.
    let out = tempfile::NamedTempFile::new()?;
    let status = Command::new("runc")
        .args(args)
        .stdin(std::process::Stdio::null())
        .stdout(out.reopen()?)
        .stderr(out.reopen()?)
        .status()
        .context("run runc")?;
    let text = fs::read_to_string(out.path())?;
    ensure!(status.success(), "runc {}: {text}", args.join(" "));
    Ok(text)
}

/// A bundle whose container runs `command` of busybox.
fn bundle(directory: &Path, command: &[&str]) -> Result<()> {
    let bin = directory.join("rootfs/bin");
    fs::create_dir_all(&bin)?;
    fs::copy("/bin/busybox", bin.join("busybox"))?;
    let place = directory.to_str().context("path")?;
    runc(&["spec", "--bundle", place])?;
    let file = directory.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!([&["/bin/busybox"], command].concat());
    // What a machine without all rights cannot raise is not needed here.
    config["process"]["rlimits"] = json!([]);
    fs::write(&file, config.to_string())?;
    Ok(())
}

/// One of each state, as `runc list` tells them.
pub(crate) fn runc_list(context: &mut Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = |state: &str| format!("glasshull-truth-{state}-{}", std::process::id());
    let states = ["created", "running", "paused", "stopped"];
    let made = Made(states.map(name).to_vec());
    for (state, id) in states.iter().zip(&made.0) {
        let directory = folder.path().join(state);
        bundle(&directory, if *state == "stopped" { &["true"] } else { &["sleep", "600"] })?;
        let place = directory.to_str().context("path")?;
        if *state == "created" {
            runc(&["create", "--bundle", place, id])?;
        } else {
            runc(&["run", "--detach", "--bundle", place, id])?;
        }
        if *state == "paused" {
            runc(&["pause", id])?;
        }
    }
    // Its program may not have ended yet, or not even begun.
    let ended = || {
        let told = made.0.last().context("none was made").and_then(|id| runc(&["state", id]));
        told.is_ok_and(|text| {
            serde_json::from_str::<Value>(&text).is_ok_and(|state| state["status"] == "stopped")
        })
    };
    ensure!(wait_until(Duration::from_secs(20), ended), "true does not end");
    let truth: Value = serde_json::from_str(&runc(&["list", "--format", "json"])?)?;
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    for id in &made.0 {
        let truth = truth.as_array().and_then(|all| all.iter().find(|row| row["id"] == id.as_str()));
        let truth = truth.with_context(|| format!("runc list has no {id}"))?;
        let row = snapshot.container(id)?;
        // Engines call it exited.
        let state = if truth["status"] == "stopped" { json!("exited") } else { truth["status"].clone() };
        same(row, "state", &state)?;
        same(row, "runtime", &json!("oci"))?;
        let pid = truth["pid"].as_u64().filter(|pid| *pid != 0);
        same(row, "init_pid", &json!(pid))?;
    }
    Ok(())
}
