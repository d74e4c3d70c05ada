//! Published ports: one row per port, with the way of a packet through it and why it is dead when it is.

use glasshull_shared::domain::network::HopKind;
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::nat::way;
use crate::store::network::netns_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "ports",
    title: "Published ports",
    noun: "published ports",
    placeholder: "container:web port:8080 state:dead way:docker-proxy",
    empty: "No port is published.",
    topics: &[Topic::PublishedPort, Topic::NatRule, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("container", false),
    parent: None,
    keys: |s| s.published_port.keys().map(|key| LineKey::Port(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 7] = [
    Column::text("container", "Container", 130, "who is reached; – for a rule without container").narrow(90),
    Column::text("state", "State", 76, "dead when a packet ends before a listener").narrow(64),
    Column::text("way", "Way of a packet", 520, "hop by hop; ✕ where it ends")
        .kind(Kind::Code)
        .grow()
        .narrow(150),
    Column::text("dead", "Why dead", 240, "reason of the first dead hop, and what mends it").spare(1),
    Column::number("packets", "Packets", 76, "counter of its rule: first packets of connections"),
    Column::number("port", "Port", 70, "port it is published on").kind(Kind::Code).ascending().extra(),
    Column::text("in", "In", 110, "namespace it is published in").extra(),
];

const FIELDS: [Field; 7] = [
    Field { name: "container", kind: Is::Text, help: "who is reached; * for any" },
    Field { name: "state", kind: Is::Word, help: "alive dead" },
    Field { name: "way", kind: Is::Text, help: "a hop: bridge, veth, rule, process" },
    Field { name: "dead", kind: Is::Text, help: "reason; * for any" },
    Field { name: "packets", kind: Is::Number, help: "counter of its rule" },
    Field { name: "port", kind: Is::Number, help: "port it is published on" },
    Field { name: "in", kind: Is::Text, help: "namespace" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Port(key) = key else { return Datum::default() };
    let Some(row) = s.published_port.get(key) else { return Datum::default() };
    let tone = if row.dead.is_some() { "trouble" } else { "" };
    match column {
        "container" => match &key.container {
            Some(id) => Datum::text(container_name(s, id)).tone("strong"),
            None => Datum::unknown("no container has the address this rule leads to"),
        },
        "state" if row.dead.is_some() => Datum::text("✕ dead").tone(tone).sought("dead"),
        "state" => Datum::text("● alive").tone("fine").sought("alive"),
        "way" => Datum::text(way(row)).tone(tone),
        "dead" => {
            let remedy = row.hops.iter().find(|hop| hop.dead.is_some()).and_then(|hop| hop.remedy.as_deref());
            let why = Datum::maybe(row.dead.as_deref()).tone(tone);
            match (&row.dead, remedy) {
                (Some(said), Some(r)) => why.title(format!("{said}\nmends it: {r}")).also_sought(r),
                _ => why,
            }
        }
        "packets" => {
            let rule = row.hops.iter().find(|hop| hop.kind == HopKind::Rule).and_then(|hop| hop.packets);
            rule.map_or_else(|| Datum::unknown("no rule with a counter"), Datum::count)
        }
        "port" => Datum::name(key.host_port.into()),
        "in" => Datum::text(netns_name(s, key.netns)),
        _ => Datum::default(),
    }
}
