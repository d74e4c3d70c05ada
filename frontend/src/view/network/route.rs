//! Routes: where each namespace sends its packets.

use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::network::{link, netns_name};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "routes",
    title: "Routes",
    noun: "routes",
    placeholder: "in:web to:default via:172.18.0.1 kind:blackhole",
    empty: "No namespace has a route.",
    topics: &[Topic::Route, Topic::Netns, Topic::Link, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("in", false),
    parent: None,
    keys: |s| s.route.keys().map(|key| LineKey::Route(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 9] = [
    Column::text("in", "In", 150, "whose table").narrow(90).grow(),
    Column::text("to", "To", 210, "destination with prefix length").kind(Kind::Code).narrow(130),
    Column::text("via", "Via", 150, "gateway; none when the destination is on the link")
        .kind(Kind::Code)
        .narrow(110),
    Column::text("link", "By", 110, "link it leaves by").kind(Kind::Code),
    Column::text("source", "From", 140, "address packets are sent from").kind(Kind::Code),
    Column::text("kind", "Kind", 96, "unicast, blackhole, unreachable, prohibit…"),
    Column::text("made_by", "Made by", 90, "kernel, boot, static, dhcp…"),
    Column::number("metric", "Metric", 70, "smaller wins").ascending(),
    Column::number("table", "Table", 64, "254 is main").ascending().extra(),
];

const FIELDS: [Field; 9] = [
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "to", kind: Is::Text, help: "destination; default" },
    Field { name: "via", kind: Is::Text, help: "gateway; * for any" },
    Field { name: "link", kind: Is::Text, help: "link it leaves by" },
    Field { name: "source", kind: Is::Text, help: "address packets are sent from" },
    Field { name: "kind", kind: Is::Word, help: "unicast blackhole unreachable prohibit" },
    Field { name: "made_by", kind: Is::Word, help: "kernel boot static dhcp" },
    Field { name: "metric", kind: Is::Number, help: "smaller wins" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Route(key) = key else { return Datum::default() };
    let Some(row) = s.route.get(key) else { return Datum::default() };
    match column {
        "netns" => Datum::name(key.netns),
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "to" => Datum::text(&key.destination),
        "via" => Datum::maybe(key.gateway.as_ref()),
        "link" => {
            let by = link(s, LinkKey { netns: key.netns, ifindex: key.ifindex });
            Datum::maybe(by.map(|l| l.name.as_str()))
        }
        "source" => Datum::maybe(row.source.as_ref()),
        "kind" => Datum::text(&row.kind).tone(if row.kind == "unicast" { "" } else { "attention" }),
        "made_by" => Datum::text(&row.protocol),
        "metric" => Datum::count(key.metric.into()),
        "table" => Datum::count(key.table.into()),
        _ => Datum::default(),
    }
}
