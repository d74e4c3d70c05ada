//! The OCI bundle: `config.json` (annotations, command) and containerd's `init.pid`. `process.env` is not looked at.

use std::path::Path;

use glasshull_shared::domain::container::{Container, Runtime};
use serde_json::Value;

use super::json::{pid_file, text};
use crate::sys::root::Root;
use crate::sys::text::cut;

/// containerd's CRI and CRI-O say the same under different keys.
const POD_NAME: [&str; 2] = ["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"];
const POD_NAMESPACE: [&str; 2] = ["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"];
const POD_UID: [&str; 2] = ["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"];
const CONTAINER_NAME: [&str; 2] = ["io.kubernetes.cri.container-name", "io.kubernetes.container.name"];
const IMAGE: [&str; 3] =
    ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.podman.annotations.image"];

/// Fills what the row does not say yet.
pub(super) fn fill(row: &mut Container, config: &Value) {
    let note =
        |keys: &[&str]| keys.iter().find_map(|key| text(config, &["annotations", key])).map(str::to_owned);
    if row.command.is_none()
        && let Some(arguments) = config.pointer("/process/args").and_then(Value::as_array)
    {
        let words: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
        row.command = Some(cut(words.join(" "))).filter(|command| !command.is_empty());
    }
    row.image = row.image.take().or_else(|| note(&IMAGE).map(cut));
    row.pod = row.pod.take().or_else(|| note(&POD_UID).map(cut));
    if let Some(pod) = note(&POD_NAME) {
        let container = note(&CONTAINER_NAME);
        name_in_pod(row, &pod, note(&POD_NAMESPACE).as_deref(), container.as_deref());
    } else if let Some(name) = note(&["nerdctl/name"]).filter(|_| row.name.is_empty()) {
        row.name = cut(name);
        row.runtime = Runtime::Containerd;
    }
}

/// Names a container as `pod/container` and keeps the parts as the labels kubelet gives them; the sandbox that holds
/// a pod's namespaces is `pod/POD`.
pub(super) fn name_in_pod(row: &mut Container, pod: &str, namespace: Option<&str>, container: Option<&str>) {
    let container = container.unwrap_or("POD");
    row.name = cut(format!("{pod}/{container}"));
    let parts = [
        ("io.kubernetes.pod.name", Some(pod)),
        ("io.kubernetes.pod.namespace", namespace),
        ("io.kubernetes.container.name", Some(container)),
    ];
    for (key, value) in parts {
        if let Some(value) = value {
            row.labels.entry(key.to_owned()).or_insert_with(|| cut(value.to_owned()));
        }
    }
}

/// containerd's shim writes the init pid beside the config.
pub(super) fn init_pid(root: &Root, bundle: &Path) -> Option<u32> {
    pid_file(&root.host_path(bundle.join("init.pid")))
}
