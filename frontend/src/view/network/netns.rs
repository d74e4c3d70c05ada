//! Network namespaces: who is in each, and whether it forwards.

use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::mark::{is_of_netns, mark_of};
use crate::store::network::netns_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "namespaces",
    title: "Namespaces",
    noun: "network namespaces",
    placeholder: "name:web containers:* processes>1 forwards:no",
    empty: "No network namespace is known yet.",
    topics: &[Topic::Netns, Topic::Link, Topic::Container, Topic::Finding],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("name", false),
    parent: None,
    keys: |s| s.netns.keys().map(|key| LineKey::Netns(*key)).collect(),
    datum,
};

static COLUMNS: [Column; 9] = [
    Column::text("name", "Namespace", 170, "its container, the host, or its name of ip netns")
        .narrow(140)
        .grow(),
    Column::number("netns", "Inode", 110, "inode in nsfs, as lsns prints it")
        .kind(Kind::Code)
        .ascending()
        .narrow(110),
    Column::text("containers", "Containers", 220, "who shares it, its owner first").grow(),
    Column::number("processes", "Processes", 84, "processes in it, as far as they may be seen"),
    Column::number("pid", "PID", 76, "a process in it: nsenter -t PID -n").ascending(),
    Column::number("links", "Links", 60, "network interfaces in it"),
    Column::text("forwards", "Forwards", 84, "net.ipv4.ip_forward in it"),
    Column::number("findings", "Findings", 78, "what somebody should look at: ▲ trouble, ● attention"),
    Column::text("hidden", "Hidden", 260, "why its links cannot be read"),
];

const FIELDS: [Field; 8] = [
    Field { name: "name", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "netns", kind: Is::Number, help: "inode" },
    Field { name: "containers", kind: Is::Text, help: "who shares it; * for any" },
    Field { name: "processes", kind: Is::Number, help: "processes in it" },
    Field { name: "pid", kind: Is::Number, help: "a process in it" },
    Field { name: "links", kind: Is::Number, help: "interfaces in it" },
    Field { name: "findings", kind: Is::Text, help: "what was found; * for anything" },
    Field { name: "forwards", kind: Is::Word, help: "yes no" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Netns(key) = key else { return Datum::default() };
    let Some(row) = s.netns.get(key) else { return Datum::default() };
    match column {
        "name" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        // Grouped by thousands it would not be what lsns prints.
        "netns" => Datum::name(key.netns),
        "containers" => {
            Datum::text(row.containers.iter().map(|id| container_name(s, id)).collect::<Vec<_>>().join(", "))
        }
        "processes" => Datum::count(row.processes.into()),
        "pid" => row.pid.map_or_else(
            || Datum::unknown("no process is in it: a bind mount keeps it alive"),
            |pid| Datum::name(pid.into()),
        ),
        "links" => {
            let links = s.link.keys().filter(|link| link.netns == key.netns).count();
            if row.hidden.is_some() { Datum::unknown("hidden") } else { Datum::count(links as u64) }
        }
        "findings" => Datum::mark(mark_of(s, |found| is_of_netns(found, key.netns))),
        "forwards" => match row.ip_forward {
            Some(true) => Datum::text("yes"),
            Some(false) => Datum::text("no").tone("quiet"),
            None => Datum::unknown("net.ipv4.ip_forward cannot be read there"),
        },
        "hidden" => Datum::maybe(row.hidden.as_ref()).tone("attention"),
        _ => Datum::default(),
    }
}
