//! Containers an engine has on disk though no process of theirs may run: containerd's tasks
//! (`/run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID`) and the bundles of CRI-O and Podman
//! (`/run/containers/storage/overlay-containers/ID/userdata`), with exit codes from conmon.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::container::Runtime;

use super::json::{bytes, pid_file};
use super::state::{self, Plain};
use crate::sys::root::Root;

const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";
const BUNDLES: &str = "/run/containers/storage/overlay-containers";
/// dockerd's own: it tells of them itself, and they go with their shims.
const OF_DOCKER: &str = "moby";
/// Where conmon leaves exit codes, and for whom it does so there.
const EXITS: [(&str, Runtime); 3] = [
    ("/run/crio/exits", Runtime::Crio),
    ("/run/libpod/exits", Runtime::Podman),
    ("/run/containers/storage/libpod/exits", Runtime::Podman),
];
/// Containers listed, at most.
const MOST: usize = 4096;

/// Lists both. What was known, with the same init, is not read again.
pub(super) fn read(root: &Root, known: &BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut all = BTreeMap::new();
    for (namespace, directory) in below(&root.host_path(TASKS)) {
        if namespace == OF_DOCKER {
            continue;
        }
        for (id, bundle) in below(&directory) {
            let told = root.host_path(Path::new("/run/containerd/runc").join(&namespace).join(&id));
            let waits = told.join("exec.fifo").exists();
            let kept = kept(known, &id, &bundle.join("init.pid")).filter(|kept| kept.created_only == waits);
            let place = Path::new(TASKS).join(&namespace).join(&id);
            let task = kept.unwrap_or_else(|| task(&bundle, &told, place));
            all.insert(id, Plain { created_only: waits, ..task });
        }
    }
    for (id, directory) in below(&root.host_path(BUNDLES)) {
        let bundle = directory.join("userdata");
        if bundle.join("config.json").exists() {
            let place = Path::new(BUNDLES).join(&id).join("userdata");
            let ended = |kept: &Plain| {
                kept.exit_code.is_some() || root.proc_path(kept.init_pid.unwrap_or(0).to_string()).exists()
            };
            let kept = kept(known, &id, &bundle.join("pidfile")).filter(ended);
            let row = kept.unwrap_or_else(|| of_conmon(root, &id, &bundle, place));
            all.insert(id, row);
        }
    }
    all
}

fn kept(known: &BTreeMap<String, Plain>, id: &str, file: &Path) -> Option<Plain> {
    known.get(id).filter(|kept| kept.init_pid.is_some() && kept.init_pid == pid_file(file)).cloned()
}

fn below(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).take(MOST)
}

/// A task; runc's state beside it tells whether it waits for its start.
fn task(bundle: &Path, told: &Path, place: PathBuf) -> Plain {
    let told_by_runc = state::parse(told);
    Plain {
        runtime: Runtime::Containerd,
        init_pid: pid_file(&bundle.join("init.pid")).or(told_by_runc.as_ref().and_then(|p| p.init_pid)),
        init_start: told_by_runc.as_ref().and_then(|p| p.init_start),
        created_at: told_by_runc.and_then(|p| p.created_at),
        bundle: Some(place),
        created_only: false,
        exit_code: None,
    }
}

fn of_conmon(root: &Root, id: &str, bundle: &Path, place: PathBuf) -> Plain {
    let exit = EXITS.iter().find_map(|(directory, runtime)| {
        let text = String::from_utf8(bytes(&root.host_path(Path::new(directory).join(id)))?).ok()?;
        Some((text.trim().parse().ok()?, *runtime))
    });
    let told_by_runtime = ["/run/runc", "/run/crun"]
        .iter()
        .find_map(|directory| state::parse(&root.host_path(Path::new(directory).join(id))));
    Plain {
        runtime: exit.map_or(Runtime::Unknown, |(_, runtime)| runtime),
        init_pid: pid_file(&bundle.join("pidfile")),
        init_start: told_by_runtime.as_ref().and_then(|p| p.init_start),
        created_at: told_by_runtime.and_then(|p| p.created_at),
        bundle: Some(place),
        created_only: false,
        exit_code: exit.map(|(code, _)| code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn tasks_and_bundles_are_found_without_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = "run/containerd/io.containerd.runtime.v2.task";
        write(dir.path(), &format!("{tasks}/k8s.io/a/init.pid"), "7");
        write(dir.path(), &format!("{tasks}/k8s.io/b/init.pid"), "x");
        write(dir.path(), &format!("{tasks}/moby/c/init.pid"), "9");
        write(
            dir.path(),
            "run/containerd/runc/k8s.io/b/state.json",
            r#"{"init_process_pid": 8, "init_process_start": 5}"#,
        );
        write(dir.path(), "run/containerd/runc/k8s.io/b/exec.fifo", "");
        let bundles = "run/containers/storage/overlay-containers";
        write(dir.path(), &format!("{bundles}/d/userdata/config.json"), "{}");
        write(dir.path(), &format!("{bundles}/d/userdata/pidfile"), "11");
        write(dir.path(), "run/crio/exits/d", "3");
        write(dir.path(), &format!("{bundles}/e/userdata/other"), "");
        let all = read(&Root::at(dir.path()), &BTreeMap::new());
        assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert_eq!(
            (all["a"].init_pid, all["a"].created_only, all["a"].runtime),
            (Some(7), false, Runtime::Containerd)
        );
        assert_eq!((all["b"].init_pid, all["b"].init_start, all["b"].created_only), (Some(8), Some(5), true));
        assert_eq!(
            (all["d"].exit_code, all["d"].runtime, all["d"].init_pid),
            (Some(3), Runtime::Crio, Some(11))
        );
    }
}
