//! All namespaces, with whose they are and what keeps them alive; pid and user namespaces below the one they are nested in.

use glasshull_shared::domain::finding::Subject;
use glasshull_shared::domain::namespace::{Namespace, NamespaceKey};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::mark::mark_of;
use crate::store::namespace::{held, holder_line, tree, whose};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "all",
    title: "All namespaces",
    noun: "namespaces",
    placeholder: "net  kind:net  pids:0  held:descriptor  4026532201",
    empty: "No namespace can be read.",
    topics: &[Topic::Namespace, Topic::Container, Topic::Process, Topic::Finding],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("kind", false),
    parent: None,
    keys: |s| tree(s, |_| true).into_iter().map(|(key, _)| LineKey::Namespace(key)).collect(),
    datum,
};

static COLUMNS: [Column; 11] = [
    Column::text("kind", "Kind", 70, "what it isolates"),
    Column::text(
        "inode",
        "Inode",
        130,
        "as lsns and /proc/PID/ns print it; indented below the one it is nested in",
    )
    .kind(Kind::Code)
    .grow(),
    Column::text("whose", "Whose", 130, "host, containers, name of ip netns, or the oldest program in it")
        .grow(),
    Column::number("pids", "Processes", 84, "how many are in it"),
    Column::number("pid", "Oldest", 76, "pid of the oldest").spare(1),
    Column::text("held", "Held by", 190, "what keeps it alive besides its processes").grow(),
    Column::text("inside", "Inside", 150, "host name, users, clocks: what is another inside").spare(2).grow(),
    Column::text("owner", "Owner", 104, "user namespace whose capabilities count in it")
        .kind(Kind::Code)
        .spare(3),
    Column::text("parent", "Nested in", 104, "of pid and user namespaces").kind(Kind::Code).spare(4),
    Column::number("findings", "Findings", 78, "what somebody should look at: ▲ trouble, ● attention")
        .spare(5),
    Column::text("creator", "Made by", 76, "uid on the host; of user namespaces").spare(5),
];

const FIELDS: [Field; 10] = [
    Field { name: "kind", kind: Is::Word, help: "mnt uts ipc pid net user cgroup time" },
    Field { name: "inode", kind: Is::Text, help: "4026532201" },
    Field { name: "whose", kind: Is::Text, help: "container, host, name" },
    Field { name: "pids", kind: Is::Number, help: "0: no process is in it" },
    Field { name: "pid", kind: Is::Number, help: "the oldest in it" },
    Field { name: "held", kind: Is::Text, help: "descriptor socket mount, and by whom" },
    Field { name: "inside", kind: Is::Text, help: "host name, users" },
    Field { name: "findings", kind: Is::Text, help: "what was found; * for anything" },
    Field { name: "owner", kind: Is::Text, help: "user namespace" },
    Field { name: "parent", kind: Is::Text, help: "nested in" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Namespace(key) = key else { return Datum::default() };
    let Some(row) = s.namespace.get(key) else { return Datum::default() };
    match column {
        "kind" => Datum::text(key.kind.name()),
        "inode" => {
            let depth = std::iter::successors(row.parent, |inode| {
                s.namespace.get(&NamespaceKey { inode: *inode, ..*key })?.parent
            });
            let depth = depth.take(33).count();
            let nested = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
            Datum::text(format!("{nested}{}", key.inode)).sought(key.inode.to_string())
        }
        "whose" => {
            let whose = whose(s, row);
            let names = row.containers.join(" ");
            Datum::text(&whose).sought(format!("{whose} {names}")).tone("strong")
        }
        "pids" => {
            let orphan = row.pids == 0;
            let datum = Datum::count(row.pids.into());
            if orphan {
                datum.tone("attention").title("no process is in it: see what holds it")
            } else {
                datum
            }
        }
        "pid" => row.pid.map_or_else(Datum::default, Datum::pid),
        "held" => {
            let lines: Vec<String> = row.held_by.iter().map(|one| holder_line(s, one)).collect();
            let text = held(row);
            Datum::text(&text).sought(format!("{text} {}", lines.join(" "))).title(lines.join("\n"))
        }
        "inside" => inside(row),
        "findings" => Datum::mark(mark_of(s, |found| is_of(&found.subject, *key))),
        "owner" => Datum::maybe(row.owner.map(|inode| inode.to_string())),
        "parent" => Datum::maybe(row.parent.map(|inode| inode.to_string())),
        "creator" => Datum::maybe(row.creator_uid.map(|uid| format!("uid {uid}"))),
        _ => Datum::default(),
    }
}

fn is_of(subject: &Subject, key: NamespaceKey) -> bool {
    matches!(subject, Subject::Namespace { kind, inode } if kind == key.kind.name() && *inode == key.inode)
}

fn inside(row: &Namespace) -> Datum {
    if let Some(name) = &row.hostname {
        return Datum::text(name);
    }
    if let Some(uid) = row.root_uid() {
        return Datum::text(if uid == 0 { "root is root".into() } else { format!("root is uid {uid}") });
    }
    match (row.boottime_offset_nanos, row.monotonic_offset_nanos, &row.cgroup_root) {
        (Some(nanos), _, _) | (None, Some(nanos), _) if nanos != 0 => {
            Datum::text(format!("{:+.0} s", nanos as f64 / 1e9))
        }
        (_, _, Some(root)) => Datum::text(root).title(root),
        (Some(_) | None, Some(_) | None, None) => Datum::default(),
    }
}
