//! Neighbours: who answers for which address, in each namespace.

use glasshull_shared::domain::network::{LinkKey, NeighbourState};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::network::{link, netns_name};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "neighbours",
    title: "Neighbours",
    noun: "neighbours",
    placeholder: "in:host state:FAILED address:172.18 mac:02:42 mark:*",
    empty: "No namespace has a neighbour: nobody has talked to anybody of late.",
    topics: &[Topic::Neighbour, Topic::Netns, Topic::Link, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("in", false),
    parent: None,
    keys: |s| s.neighbour.keys().map(|key| LineKey::Neighbour(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 7] = [
    Column::text("in", "In", 150, "whose table").narrow(90).grow(),
    Column::text("address", "Address", 210, "whom it asked for").kind(Kind::Code).narrow(140),
    Column::text("mac", "MAC", 146, "who answered").kind(Kind::Code),
    Column::text("is", "Is", 130, "container whose link has this hardware address"),
    Column::text("state", "State", 110, "how sure the kernel is, as ip neigh prints it")
        .kind(Kind::Code)
        .narrow(96),
    Column::text("link", "On", 110, "link there").kind(Kind::Code),
    Column::text(
        "mark",
        "Noticed",
        260,
        "a changed hardware address; one that answers for several; a router",
    ),
];

const FIELDS: [Field; 8] = [
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "address", kind: Is::Text, help: "IPv4 or IPv6 address" },
    Field { name: "mac", kind: Is::Text, help: "hardware address" },
    Field { name: "is", kind: Is::Text, help: "container that has it" },
    Field { name: "state", kind: Is::Word, help: "REACHABLE STALE DELAY PROBE FAILED PERMANENT" },
    Field { name: "link", kind: Is::Text, help: "link" },
    Field { name: "mark", kind: Is::Text, help: "changed, several; * for any" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Neighbour(key) = key else { return Datum::default() };
    let Some(row) = s.neighbour.get(key) else { return Datum::default() };
    match column {
        "netns" => Datum::name(key.netns),
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "address" => Datum::text(&key.address),
        "mac" => match &row.mac {
            Some(mac) => Datum::text(mac),
            None => Datum::unknown("nobody has answered"),
        },
        "is" => Datum::maybe(row.container.as_ref().map(|id| container_name(s, id))),
        "state" => Datum::text(row.state.name()).tone(tone(row.state)),
        "link" => {
            let on = link(s, LinkKey { netns: key.netns, ifindex: key.ifindex });
            Datum::text(on.map_or_else(|| format!("#{}", key.ifindex), |l| l.name.clone()))
        }
        "mark" => {
            let mut marks = Vec::new();
            if let Some(before) = &row.mac_before {
                marks.push(format!("changed, was {before}"));
            }
            if row.addresses_of_mac > 1 {
                marks.push(format!("answers for {} addresses", row.addresses_of_mac));
            }
            let tone = if row.mac_before.is_some() { "attention" } else { "" };
            if row.router {
                marks.push("router".to_owned());
            }
            Datum::text(marks.join(" · ")).tone(tone)
        }
        _ => Datum::default(),
    }
}

fn tone(state: NeighbourState) -> &'static str {
    match state {
        NeighbourState::Reachable | NeighbourState::Permanent => "fine",
        NeighbourState::Delay | NeighbourState::Probe | NeighbourState::Incomplete => "attention",
        NeighbourState::Failed => "trouble",
        NeighbourState::Stale | NeighbourState::Noarp | NeighbourState::None => "quiet",
    }
}
