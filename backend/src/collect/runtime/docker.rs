//! Docker's own notes: `<data root>/containers/ID/config.v2.json`, readable also when no daemon answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, Runtime};
use glasshull_shared::domain::process::{Process, ProcessKey};
use serde_json::Value;

use super::json::text;
use crate::sys::clock::parse_rfc3339;
use crate::sys::root::Root;
use crate::sys::text::cut;

/// Most labels of one container.
const MOST_LABELS: usize = 500;

/// The container's directory, from the bind mounts Docker gives every container (`…/containers/ID/hosts`).
pub(super) fn directory(bundle_config: &Value, id: &str) -> Option<PathBuf> {
    let mounts = bundle_config.get("mounts")?.as_array()?;
    mounts.iter().find_map(|mount| {
        let directory = Path::new(text(mount, &["source"])?).parent()?;
        (directory.file_name()? == id && directory.parent()?.file_name()? == "containers")
            .then(|| directory.to_owned())
    })
}

/// Data roots of running daemons (`--data-root`, or the old `--graph`), and the default one.
pub(super) fn data_roots(root: &Root, processes: &Table<ProcessKey, Process>) -> Vec<PathBuf> {
    let mut roots = BTreeSet::from([PathBuf::from("/var/lib/docker")]);
    for (key, _) in processes.iter().filter(|(_, process)| process.comm == "dockerd") {
        let cmdline = fs::read(root.proc_path(format!("{}/cmdline", key.pid))).unwrap_or_default();
        let arguments: Vec<_> = cmdline.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        for (i, argument) in arguments.iter().enumerate() {
            let value = match argument.as_ref() {
                "--data-root" | "--graph" | "-g" => arguments.get(i + 1).map(AsRef::as_ref),
                other => other.strip_prefix("--data-root=").or_else(|| other.strip_prefix("--graph=")),
            };
            roots.extend(value.filter(|path| path.starts_with('/')).map(PathBuf::from));
        }
    }
    roots.into_iter().collect()
}

/// Takes over what Docker knows; `Config.Env` is not looked at.
pub(super) fn fill(row: &mut Container, config: &Value) {
    row.runtime = Runtime::Docker;
    if let Some(name) = text(config, &["Name"]) {
        row.name = cut(name.trim_start_matches('/').to_owned());
    }
    row.image = text(config, &["Config", "Image"]).map(|image| cut(image.to_owned()));
    let arguments =
        config.get("Args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let command: Vec<&str> = text(config, &["Path"]).into_iter().chain(arguments).collect();
    if !command.is_empty() {
        row.command = Some(cut(command.join(" ")));
    }
    row.created_at = text(config, &["Created"]).and_then(parse_rfc3339);
    row.restart_count =
        config.get("RestartCount").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let labels = config.pointer("/Config/Labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten().take(MOST_LABELS) {
        row.labels.insert(cut(key.clone()), cut(value.as_str().unwrap_or_default().to_owned()));
    }
    row.compose_project = row.labels.get("com.docker.compose.project").cloned();
    row.compose_service = row.labels.get("com.docker.compose.service").cloned();
    let state = config.get("State");
    if state.and_then(|s| s.get("Running")).and_then(Value::as_bool) == Some(false) {
        row.oom_killed = state.and_then(|s| s.get("OOMKilled")).and_then(Value::as_bool);
        row.exit_code =
            state.and_then(|s| s.get("ExitCode")).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        row.finished_at = state.and_then(|s| text(s, &["FinishedAt"])).and_then(parse_rfc3339);
    }
}
