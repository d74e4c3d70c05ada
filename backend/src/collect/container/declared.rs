//! What an engine was told about how to confine a container, out of its `inspect` answer: `HostConfig`, `Config.User` and
//! `Mounts`. Environment and labels are read past; a seccomp profile given as a text is named, not taken over.

use bollard::models::{ContainerInspectResponse, HostConfig, MountPoint, ResourcesUlimits};
use glasshull_shared::domain::confinement::{Declared, DeclaredMount, Rlimit};
use glasshull_shared::unit::printable;

use crate::sys::text::cut;

/// Entries of one list taken over.
const ENTRIES_AT_MOST: usize = 200;

/// What the answer declares.
pub(super) fn of(answer: &ContainerInspectResponse) -> Declared {
    let config = answer.config.as_ref();
    let declared = answer.host_config.as_ref().map(of_host_config).unwrap_or_default();
    let mounts = answer.mounts.iter().flatten().take(ENTRIES_AT_MOST).map(mount);
    Declared {
        user: text(config.and_then(|config| config.user.as_deref())),
        apparmor_profile: text(answer.app_armor_profile.as_deref()),
        mounts: mounts.collect(),
        ..declared
    }
}

fn of_host_config(host: &HostConfig) -> Declared {
    let device = |device: &bollard::models::DeviceMapping| {
        let outside = device.path_on_host.as_deref().unwrap_or_default();
        let inside = device.path_in_container.as_deref().unwrap_or(outside);
        shown(&format!("{outside}:{inside}:{}", device.cgroup_permissions.as_deref().unwrap_or("rwm")))
    };
    Declared {
        privileged: host.privileged,
        cap_add: list(host.cap_add.as_deref()),
        cap_drop: list(host.cap_drop.as_deref()),
        security_opt: host.security_opt.iter().flatten().take(ENTRIES_AT_MOST).map(|o| security(o)).collect(),
        read_only_root: host.readonly_rootfs,
        group_add: list(host.group_add.as_deref()),
        pid_mode: text(host.pid_mode.as_deref()),
        network_mode: text(host.network_mode.as_deref()),
        ipc_mode: text(host.ipc_mode.as_deref()),
        uts_mode: text(host.uts_mode.as_deref()),
        userns_mode: text(host.userns_mode.as_deref()),
        cgroupns_mode: text(host.cgroupns_mode.map(|mode| mode.to_string()).as_deref()),
        devices: host.devices.iter().flatten().take(ENTRIES_AT_MOST).map(device).collect(),
        device_rules: list(host.device_cgroup_rules.as_deref()),
        ulimits: host.ulimits.iter().flatten().take(ENTRIES_AT_MOST).filter_map(ulimit).collect(),
        oom_score_adj: host.oom_score_adj.and_then(|adjustment| i32::try_from(adjustment).ok()),
        masked_paths: host.masked_paths.as_deref().map(|paths| list(Some(paths))),
        readonly_paths: host.readonly_paths.as_deref().map(|paths| list(Some(paths))),
        ..Declared::default()
    }
}

/// `seccomp={…}` holds the whole profile.
fn security(option: &str) -> String {
    let name = option.split(['=', ':']).next().unwrap_or_default();
    let value = option.get(name.len() + 1..).unwrap_or_default();
    if name == "seccomp" && value.trim_start().starts_with('{') {
        "seccomp=profile".to_owned()
    } else {
        shown(option)
    }
}

/// −1 is unlimited.
fn ulimit(limit: &ResourcesUlimits) -> Option<Rlimit> {
    let name = shown(limit.name.as_deref()?).to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name).to_owned(); // Podman's way
    let value = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Some(Rlimit { name, soft: value(limit.soft), hard: value(limit.hard) })
}

fn mount(point: &MountPoint) -> DeclaredMount {
    let word = |text: Option<&String>| text.map(|text| shown(text)).unwrap_or_default();
    DeclaredMount {
        kind: word(point.typ.as_ref()),
        source: word(point.source.as_ref()),
        destination: word(point.destination.as_ref()),
        volume: text(point.name.as_deref()),
        writable: point.rw.unwrap_or(false),
        propagation: word(point.propagation.as_ref()),
    }
}

fn list(all: Option<&[String]>) -> Vec<String> {
    all.unwrap_or_default().iter().take(ENTRIES_AT_MOST).map(|entry| shown(entry)).collect()
}

/// The text unless it is empty, which means not told.
fn text(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(shown)
}

fn shown(text: &str) -> String {
    cut(printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(json: serde_json::Value) -> Declared {
        of(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn what_was_asked_for_is_taken_over_and_secrets_are_not() {
        let declared = declared(serde_json::json!({
            "AppArmorProfile": "docker-default",
            "Config": {"User": "1000:50", "Env": ["PASSWORD=secret"], "Labels": {"token": "secret"}},
            "HostConfig": {
                "Privileged": false, "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "ReadonlyRootfs": true,
                "SecurityOpt": ["no-new-privileges", "seccomp={\"secret\": 1}", "label:disable"],
                "PidMode": "", "IpcMode": "private", "CgroupnsMode": "host", "UsernsMode": "",
                "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "rw"}],
                "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": -1}, {"Name": "RLIMIT_CORE", "Soft": 0, "Hard": 0}],
                "OomScoreAdj": -500, "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": null
            },
            "Mounts": [{"Type": "volume", "Name": "data", "Source": "/v/data", "Destination": "/data", "RW": true,
                        "Propagation": ""}]
        }));
        assert_eq!((declared.user.as_deref(), declared.privileged), (Some("1000:50"), Some(false)));
        assert_eq!((declared.pid_mode, declared.ipc_mode.as_deref()), (None, Some("private")));
        assert_eq!(declared.cgroupns_mode.as_deref(), Some("host"));
        assert_eq!(declared.security_opt, ["no-new-privileges", "seccomp=profile", "label:disable"]);
        assert_eq!(declared.devices, ["/dev/fuse:/dev/f:rw"]);
        let limits: Vec<_> = declared.ulimits.iter().map(|l| (l.name.as_str(), l.soft, l.hard)).collect();
        assert_eq!(limits, [("nofile", Some(1024), None), ("core", Some(0), Some(0))]);
        assert_eq!(declared.masked_paths.as_deref(), Some(&["/proc/kcore".to_owned()][..]));
        assert_eq!((declared.readonly_paths, declared.oom_score_adj), (None, Some(-500)));
        assert_eq!((declared.mounts[0].volume.as_deref(), declared.mounts[0].writable), (Some("data"), true));
    }

    #[test]
    fn nothing_told_is_nothing_known_and_everything_is_bounded() {
        assert_eq!(declared(serde_json::json!({})), Declared::default());
        let many = vec!["x".repeat(9000); 1000];
        let declared = declared(
            serde_json::json!({"HostConfig": {"CapAdd": many, "SecurityOpt": ["", "=", "a\u{1b}b"]}}),
        );
        assert_eq!((declared.cap_add.len(), declared.cap_add[0].len()), (ENTRIES_AT_MOST, 4096));
        assert_eq!(declared.security_opt, ["", "=", "a\\u{1b}b"]);
        assert!(!serde_json::to_string(&declared).unwrap().contains("secret"));
    }
}
