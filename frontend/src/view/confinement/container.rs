//! Containers and what confines each: a row per container, a column per fact.

use glasshull_shared::domain::confinement::{CapSet, Declared, DeviceControl, Effective, Seccomp};
use glasshull_shared::domain::container::ContainerState;
use glasshull_shared::domain::mount::{FromHost, MountOrigin};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::confinement::confinement;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::{container, container_name};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "",
    title: "Confinement",
    noun: "containers",
    placeholder: "caps:SYS_ADMIN seccomp:disabled root:writable differs>0",
    empty: "No container is known.",
    topics: &[Topic::Confinement, Topic::Mount, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("container", false),
    parent: None,
    keys: |s| s.confinement.keys().map(|key| LineKey::Container(key.id.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 13] = [
    Column::text("container", "Container", 140, "its name").narrow(120).grow(),
    Column::number("differs", "Differs", 76, "facts that are not as the engine was told").narrow(70),
    Column::text(
        "caps",
        "Beyond default",
        220,
        "capabilities that engines do not give by default; ! leads to the whole host",
    )
    .kind(Kind::Code)
    .narrow(150)
    .grow(),
    Column::number("held", "Capabilities", 104, "in its bounding set: engines give 14 by default").spare(2),
    Column::text("seccomp", "Seccomp", 92, "system call filter"),
    Column::text("nnp", "No new privs", 106, "on: set-uid programs give it nothing more").spare(3),
    Column::text("lsm", "LSM label", 120, "AppArmor profile or SELinux context").kind(Kind::Code).spare(4),
    Column::text("root", "Root", 92, "whether / is read-only in it"),
    Column::text("user", "Runs as", 116, "effective uid on the host; in brackets as it is seen inside"),
    Column::number(
        "writable",
        "Host paths",
        96,
        "paths of the host that it can write to, and how many more it can read",
    ),
    Column::text("shares", "Of the host", 128, "namespaces of the host that it was to share").spare(1),
    Column::text("devices", "Devices", 92, "which devices it may open").spare(1),
    Column::number("oom", "OOM score", 92, "oom_score_adj: −1000 is never killed, 1000 first").spare(5),
];

const FIELDS: [Field; 15] = [
    Field { name: "container", kind: Is::Text, help: "name" },
    Field { name: "id", kind: Is::Text, help: "its id" },
    Field { name: "differs", kind: Is::Number, help: "facts that are not as declared" },
    Field { name: "caps", kind: Is::Text, help: "any capability it may have: SYS_ADMIN" },
    Field { name: "held", kind: Is::Number, help: "capabilities in its bounding set" },
    Field { name: "seccomp", kind: Is::Word, help: "filter disabled strict" },
    Field { name: "nnp", kind: Is::Word, help: "on off" },
    Field { name: "lsm", kind: Is::Text, help: "label of the security module" },
    Field { name: "root", kind: Is::Word, help: "read-only writable" },
    Field { name: "user", kind: Is::Text, help: "uid it runs as" },
    Field { name: "writable", kind: Is::Number, help: "paths of the host it can write to" },
    Field { name: "shares", kind: Is::Text, help: "net pid ipc uts: of the host" },
    Field { name: "devices", kind: Is::Text, help: "all, some, bpf" },
    Field { name: "oom", kind: Is::Number, help: "oom_score_adj" },
    Field { name: "privileged", kind: Is::Word, help: "yes no: as the engine was told" },
];

const IDLE: &str = "it does not run";
const HIDDEN: &str = "the kernel does not tell";

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Container(id) = key else { return Datum::default() };
    let Some(row) = confinement(s, id) else { return Datum::default() };
    let told = row.declared.as_ref();
    match column {
        "container" => {
            let runs = row.effective.is_some();
            return Datum::text(container_name(s, id)).tone(if runs { "strong" } else { "quiet" });
        }
        "id" => return Datum::text(id),
        "privileged" => {
            return Datum::maybe(told.and_then(|t| t.privileged).map(|p| if p { "yes" } else { "no" }));
        }
        "shares" => {
            return told.map_or_else(|| Datum::unknown("no engine told what was declared"), shares);
        }
        "differs" if told.is_none() => return Datum::unknown("no engine told what was declared"),
        _ => {}
    }
    let Some(held) = &row.effective else {
        let stopped = container(s, id).is_some_and(|c| c.state != ContainerState::Running);
        return Datum::unknown(if stopped { IDLE } else { HIDDEN });
    };
    match column {
        "differs" => {
            let looser = row.differences.iter().any(|one| one.looser);
            let names = row.differences.iter().map(|one| format!("{} {}", one.aspect.name(), one.name));
            let tone = match row.differences.len() {
                0 => "quiet",
                _ if looser => "trouble",
                _ => "attention",
            };
            Datum::count(row.differences.len() as u64).tone(tone).title(names.collect::<Vec<_>>().join(", "))
        }
        "writable" => host_paths(s, id),
        "oom" => held.oom_score_adj.map_or_else(|| Datum::unknown(HIDDEN), Datum::number),
        _ => of_kernel(held, column),
    }
}

fn of_kernel(held: &Effective, column: &str) -> Datum {
    let word = |text: Option<&str>| text.map_or_else(|| Datum::unknown(HIDDEN), Datum::text);
    match column {
        "caps" => capabilities(held),
        "held" => held.capabilities.map_or_else(
            || Datum::unknown(HIDDEN),
            |caps| Datum::count(caps.bounding.len().into()).title(caps.bounding.names().join(" ")),
        ),
        "seccomp" => {
            let free = held.seccomp == Some(Seccomp::Disabled);
            word(held.seccomp.map(Seccomp::name)).tone(if free { "attention" } else { "" })
        }
        "nnp" => word(held.no_new_privs.map(|on| if on { "on" } else { "off" })),
        "lsm" => match &held.lsm_label {
            Some(label) => Datum::text(label),
            None => Datum::text("none").tone("quiet").title("no security module labels processes"),
        },
        "root" => word(held.read_only_root.map(|closed| if closed { "read-only" } else { "writable" })),
        "user" => user(held),
        "devices" => match held.device_control {
            DeviceControl::CgroupV1 if held.devices.iter().any(|rule| rule.starts_with("a ")) => {
                Datum::text("all").tone("trouble")
            }
            DeviceControl::CgroupV1 => Datum::text("some").title(held.devices.join(", ")),
            DeviceControl::Bpf => Datum::text("bpf")
                .tone("quiet")
                .title("cgroup v2: programs decide, which cannot be read back"),
            DeviceControl::Unknown => Datum::unknown(HIDDEN),
        },
        _ => Datum::default(),
    }
}

/// What is not in the default set, dangerous ones first; the filter finds all of the bounding set.
fn capabilities(held: &Effective) -> Datum {
    let Some(caps) = held.capabilities else { return Datum::unknown(HIDDEN) };
    let more = caps.bounding.without(CapSet::ENGINE_DEFAULT);
    let counts = held.host_users != Some(false);
    let dangerous = if counts { more.and(CapSet::DANGEROUS) } else { CapSet::default() };
    let names = |mark: &str, set: CapSet| -> Vec<String> {
        set.names()
            .iter()
            .map(|name| format!("{mark}{}", name.strip_prefix("CAP_").unwrap_or(name)))
            .collect()
    };
    let mut text = names("!", dangerous);
    text.extend(names("", more.without(dangerous)));
    let tone = if dangerous.is_empty() { "" } else { "trouble" };
    Datum::text(text.join(" ")).tone(tone).title(text.join(" ")).sought(caps.bounding.names().join(" "))
}

fn user(held: &Effective) -> Datum {
    let Some(uid) = held.euid else { return Datum::unknown(HIDDEN) };
    match held.euid_inside.filter(|inside| *inside != uid) {
        Some(inside) => Datum::text(format!("{uid} ({inside})")),
        None if uid == 0 => {
            Datum::text("0 root").title("the host's root: it has no user namespace of its own")
        }
        None => Datum::text(uid.to_string()),
    }
}

/// Paths of the host it can write to, and how many more it can read; volumes are the engine's and not counted.
fn host_paths(s: &Snapshot, id: &str) -> Datum {
    let own = s.mount.values().filter(|row| row.container.as_deref() == Some(id));
    let paths = own
        .filter(|row| row.origin == MountOrigin::HostPath && !row.overmounted)
        .filter_map(|row| row.from_host.as_ref());
    let (writable, read_only): (Vec<&FromHost>, Vec<&FromHost>) = paths.partition(|from| from.writable);
    let tone = if writable.is_empty() { "quiet" } else { "attention" };
    let count = Datum::count(writable.len() as u64).tone(tone);
    let names =
        |list: &[&FromHost]| list.iter().map(|from| from.path.as_str()).collect::<Vec<_>>().join(", ");
    match read_only.len() {
        0 => count.title(names(&writable)),
        more => count.written(format!("{} +{more} ro", writable.len())).tone("attention").title(format!(
            "writable: {}; read-only: {}",
            names(&writable),
            names(&read_only)
        )),
    }
}

/// Namespaces of the host's that it was to share; the cgroup namespace, which cgroup v1 shares by default, hides names alone.
fn shares(told: &Declared) -> Datum {
    let modes = [
        ("net", &told.network_mode),
        ("pid", &told.pid_mode),
        ("ipc", &told.ipc_mode),
        ("uts", &told.uts_mode),
        ("user", &told.userns_mode),
    ];
    let host = modes.into_iter().filter(|(_, mode)| mode.as_deref() == Some("host")).map(|(name, _)| name);
    Datum::text(host.collect::<Vec<_>>().join(" ")).title("as its engine was told")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::filter::Query;
    use glasshull_shared::domain::confinement::{Capabilities, Confinement};
    use glasshull_shared::domain::container::ContainerKey;
    use std::sync::Arc;

    #[test]
    fn what_is_hardly_confined_is_found() {
        let mut s = Snapshot::default();
        for (id, extra, seccomp) in
            [("aa", CapSet::default(), Seccomp::Filter), ("bb", CapSet(1 << 21), Seccomp::Disabled)]
        {
            let bounding = CapSet::ENGINE_DEFAULT.or(extra);
            let held = Effective {
                capabilities: Some(Capabilities { bounding, ..Capabilities::default() }),
                seccomp: Some(seccomp),
                host_users: Some(true),
                ..Effective::default()
            };
            let row = Confinement { effective: Some(held), ..Confinement::default() };
            s.confinement.insert(ContainerKey { id: id.into() }, Arc::new(row));
        }
        s.confinement.insert(ContainerKey { id: "cc".into() }, Arc::default());
        let found = |text: &str| {
            let (query, problems) = Query::parse(text, &FIELDS);
            assert!(problems.is_empty(), "{text}");
            let arranged = SHEET.arrange(&s, Some(&query), ("container", false), &HashSet::new());
            assert_eq!(arranged.all, 3);
            let keys = arranged.lines.iter().map(|line| line.key.clone());
            keys.map(|key| if let LineKey::Container(id) = key { id } else { String::new() })
                .collect::<Vec<_>>()
        };
        assert_eq!(found("caps:SYS_ADMIN"), ["bb"]);
        assert_eq!(found("caps:CHOWN"), ["aa", "bb"]);
        assert_eq!(found("seccomp:disabled"), ["bb"]);
        assert_eq!(found("held>14"), ["bb"]);
        assert_eq!(found("writable:0"), ["aa", "bb"], "what does not run is unknown, not 0");
    }
}
