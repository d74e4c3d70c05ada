//! The isolation matrix: a row per container or group of the host's processes, a column per kind of namespace.

use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::namespace::{cell, subject_name, subject_pid, subjects};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "",
    title: "Isolation matrix",
    noun: "containers and groups",
    placeholder: "web  net:host  pid:own  ipc:shared",
    empty: "No container runs, and no process of the host has left its namespaces.",
    topics: &[Topic::Isolation, Topic::Namespace, Topic::Container, Topic::Process],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("host", true),
    parent: None,
    keys,
    datum,
};

static COLUMNS: [Column; 12] = [
    Column::text(
        "who",
        "Container",
        150,
        "container, or a group of the host's processes that left some of its namespaces",
    )
    .narrow(96)
    .grow(),
    Column::text("mnt", "mnt", 98, "file systems: always its own in containers"),
    Column::text("pid", "pid", 98, "processes: --pid host shows it all of the host's").narrow(82),
    Column::text("net", "net", 98, "links, addresses, ports: --network host gives it the host's").narrow(82),
    Column::text("ipc", "ipc", 98, "shared memory: --ipc host lets it read the host's").narrow(82).spare(2),
    Column::text("uts", "uts", 98, "host name: --uts host lets it rename the host").spare(3),
    Column::text("user", "user", 98, "users: in the host's, root inside is root outside").spare(1),
    Column::text("cgroup", "cgroup", 98, "control groups: in the host's it reads others' paths").spare(4),
    Column::text("time", "time", 98, "clocks: engines leave them the host's").spare(6),
    Column::text("root", "Root is", 96, "which user of the host root inside is").spare(5),
    Column::number("host", "Host's", 78, "how many of the eight are the host's"),
    Column::number("init", "Init", 70, "pid of its init on the host, of a group of its oldest process")
        .spare(7),
];

const FIELDS: [Field; 12] = [
    Field { name: "who", kind: Is::Text, help: "container or group" },
    Field { name: "mnt", kind: Is::Text, help: "own host shared" },
    Field { name: "pid", kind: Is::Text, help: "own host shared" },
    Field { name: "net", kind: Is::Text, help: "own host shared" },
    Field { name: "ipc", kind: Is::Text, help: "own host shared" },
    Field { name: "uts", kind: Is::Text, help: "own host shared" },
    Field { name: "user", kind: Is::Text, help: "own host shared" },
    Field { name: "cgroup", kind: Is::Text, help: "own host shared" },
    Field { name: "time", kind: Is::Text, help: "own host shared" },
    Field { name: "root", kind: Is::Text, help: "user on the host" },
    Field { name: "host", kind: Is::Number, help: "how many are the host's" },
    Field { name: "init", kind: Is::Number, help: "pid" },
];

/// By name: the order within equal ones.
fn keys(s: &Snapshot) -> Vec<LineKey> {
    let mut named: Vec<_> = subjects(s).into_iter().map(|one| (subject_name(s, &one), one)).collect();
    named.sort();
    named.into_iter().map(|(_, one)| LineKey::Subject(one)).collect()
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Subject(subject) = key else { return Datum::default() };
    if let Some(kind) = NamespaceKind::from_name(column) {
        return match cell(s, subject, kind) {
            Some(word) => Datum::text(word.text).tone(word.tone).title(word.title),
            None => Datum::unknown("where it is, or which is the host's, cannot be told"),
        };
    }
    match column {
        "who" => Datum::text(subject_name(s, subject)).tone("strong"),
        "init" => subject_pid(s, subject).map_or_else(Datum::default, Datum::pid),
        "host" => {
            let cells = NamespaceKind::ALL.into_iter().filter_map(|kind| cell(s, subject, kind));
            Datum::count(cells.filter(|word| word.text.ends_with("host")).count() as u64)
        }
        "root" => {
            let user = cell(s, subject, NamespaceKind::User).map(|word| word.key.inode);
            let row =
                user.and_then(|inode| s.namespace.get(&NamespaceKey { kind: NamespaceKind::User, inode }));
            match row.and_then(|row| row.root_uid()) {
                Some(0) => Datum::text("root").title("root inside is root on the host"),
                Some(uid) => Datum::text(format!("uid {uid}")).title("what root inside is on the host"),
                None => Datum::unknown("root is not mapped, or the map cannot be read"),
            }
        }
        _ => Datum::default(),
    }
}
