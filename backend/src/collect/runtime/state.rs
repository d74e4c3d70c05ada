//! State directories of plain runtimes: `/run/runc/ID/state.json`, `/run/crun/ID/status`, `/run/youki/ID/state.json`,
//! and the same below `/run/user/UID` when they run rootless.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::container::{Container, ContainerState, Runtime};
use serde_json::Value;

use super::json::{self, pid, text};
use crate::sys::clock::parse_rfc3339;
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// What a runtime wrote down about a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plain {
    pub(super) runtime: Runtime,
    pub(super) init_pid: Option<u32>,
    /// Start of init in clock ticks after boot; tells a reused pid.
    pub(super) init_start: Option<u64>,
    pub(super) created_at: Option<u64>,
    pub(super) bundle: Option<PathBuf>,
    /// Created, waiting for its start.
    pub(super) created_only: bool,
    /// Of its end; means nothing while it runs.
    pub(super) exit_code: Option<i32>,
}

impl Plain {
    /// Fills what the row does not say yet.
    pub(super) fn fill(&self, row: &mut Container) {
        if row.runtime == Runtime::Unknown {
            row.runtime = self.runtime;
        }
        row.init_pid = row.init_pid.or(self.init_pid);
        row.created_at = row.created_at.or(self.created_at);
        row.exit_code = row.exit_code.or(self.exit_code);
        if self.created_only {
            row.state = ContainerState::Created;
        }
    }
}

/// Lists all state directories. A container that was known, with the same init, is not read again.
pub(super) fn read(root: &Root, mut known: BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut all = BTreeMap::new();
    for directory in directories(root) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            let waiting = path.join("exec.fifo").exists();
            let kept =
                known.remove(&id).filter(|plain| plain.created_only == waiting && is_alive(root, plain));
            if let Some(mut plain) = kept.or_else(|| parse(&path)) {
                plain.created_only = waiting;
                all.insert(id, plain);
            }
        }
    }
    all
}

fn is_alive(root: &Root, plain: &Plain) -> bool {
    plain.init_pid.is_some_and(|pid| root.proc_path(pid.to_string()).exists())
}

/// Whether a process is a zombie or dead: `runc list` calls its container stopped. Source: `/proc/PID/stat` field 3.
pub(super) fn has_ended(root: &Root, pid: u32) -> bool {
    let mut stat = Vec::new();
    if read_once(&root.proc_path(format!("{pid}/stat")), &mut stat, 4096).is_err() {
        return false; // the list of processes tells whether it is there
    }
    let after_name = stat.rsplit(|byte| *byte == b')').next().unwrap_or_default();
    matches!(after_name.trim_ascii_start().first(), Some(b'Z' | b'X' | b'x'))
}

fn directories(root: &Root) -> Vec<PathBuf> {
    let mut bases = vec![root.host_path("/run")];
    let users = fs::read_dir(root.host_path("/run/user")).into_iter().flatten().flatten();
    bases.extend(users.map(|user| user.path()));
    let names = ["runc", "crun", "youki"];
    bases.iter().flat_map(|base| names.map(|name| base.join(name))).filter(|dir| dir.is_dir()).collect()
}

pub(super) fn parse(directory: &Path) -> Option<Plain> {
    json::read(&directory.join("state.json"))
        .or_else(|| json::read(&directory.join("status")))
        .map(|s| of(&s))
}

/// runc: `init_process_pid`, `init_process_start`; crun: `pid`, `process-start-time`; youki: `pid`.
fn of(state: &Value) -> Plain {
    let labels = state.pointer("/config/labels").and_then(Value::as_array);
    let of_label =
        labels.into_iter().flatten().filter_map(Value::as_str).find_map(|l| l.strip_prefix("bundle="));
    let start = ["init_process_start", "process-start-time"].iter().find_map(|key| state.get(key)?.as_u64());
    Plain {
        runtime: Runtime::Oci,
        init_pid: pid(state, "init_process_pid").or_else(|| pid(state, "pid")),
        init_start: start.filter(|start| *start > 0),
        created_at: text(state, &["created"]).and_then(parse_rfc3339),
        bundle: text(state, &["bundle"]).or(of_label).filter(|path| path.starts_with('/')).map(PathBuf::from),
        created_only: false,
        exit_code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_nobody_has_waited_for_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert!(!has_ended(&root, 7));
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        for (stat, ended) in
            [("7 (a) Z 1", true), ("7 (b) R) Z 1 2", true), ("7 (Z) S 1", false), ("", false)]
        {
            fs::write(dir.path().join("proc/7/stat"), stat).unwrap();
            assert_eq!(has_ended(&root, 7), ended, "{stat}");
        }
    }

    #[test]
    fn states_of_three_runtimes() {
        let runc = of(&serde_json::json!({
            "id": "web", "init_process_pid": 7, "init_process_start": 99, "created": "2024-02-29T12:34:56Z",
            "config": {"labels": ["x", "bundle=/b"]}
        }));
        assert_eq!((runc.init_pid, runc.init_start, runc.bundle), (Some(7), Some(99), Some("/b".into())));
        let crun = of(&serde_json::json!({"pid": 8, "process-start-time": 5, "bundle": "/c"}));
        assert_eq!((crun.init_pid, crun.init_start, crun.bundle), (Some(8), Some(5), Some("/c".into())));
        let youki = of(&serde_json::json!({"id": "y", "status": "running", "pid": 9}));
        assert_eq!((youki.init_pid, youki.init_start), (Some(9), None));
        let garbage =
            of(&serde_json::json!({"pid": -1, "init_process_pid": 1e40, "created": 7, "bundle": "../.."}));
        assert_eq!((garbage.init_pid, garbage.bundle), (None, None));
    }
}
