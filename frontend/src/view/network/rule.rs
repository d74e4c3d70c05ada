//! Rules of address translation, as `iptables -S` writes them, with their counters.

use glasshull_shared::domain::network::NatRule;
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::network::netns_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "nat",
    title: "NAT rules",
    noun: "rules",
    placeholder: "in:host kind:masquerade to:172.18 packets>0 dead:*",
    empty: "No rule translates addresses.",
    topics: &[Topic::NatRule, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("place", false),
    parent: None,
    keys: |s| s.nat_rule.keys().map(|key| LineKey::Rule(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 9] = [
    Column::text("in", "In", 110, "namespace it works in").narrow(70),
    Column::text("place", "Chain", 180, "family, table, chain and number").kind(Kind::Code).narrow(110),
    Column::text("kind", "Kind", 96, "dnat, snat, masquerade, redirect, netmap"),
    Column::text("rule", "Rule", 420, "in the manner of iptables -S").kind(Kind::Code).grow().narrow(150),
    Column::number("packets", "Packets", 76, "first packets of connections that matched"),
    Column::number("bytes", "Bytes", 80, "bytes of these"),
    Column::text("container", "Leads to", 110, "container that has its target address"),
    Column::text("dead", "Why dead", 200, "why it leads nowhere").spare(1),
    Column::text("origin", "From", 80, "nftables (also iptables-nft) or legacy iptables").extra(),
];

const FIELDS: [Field; 11] = [
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
    Field { name: "place", kind: Is::Text, help: "family, table or chain" },
    Field { name: "kind", kind: Is::Word, help: "dnat snat masquerade redirect netmap" },
    Field { name: "rule", kind: Is::Text, help: "text of the rule" },
    Field { name: "to", kind: Is::Text, help: "what it translates to" },
    Field { name: "packets", kind: Is::Number, help: "that matched" },
    Field { name: "bytes", kind: Is::Bytes, help: "that matched" },
    Field { name: "container", kind: Is::Text, help: "whom it leads to; * for any" },
    Field { name: "dead", kind: Is::Text, help: "why it leads nowhere; * for any" },
    Field { name: "origin", kind: Is::Word, help: "nftables legacy" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Rule(key) = key else { return Datum::default() };
    let Some(row) = s.nat_rule.get(key) else { return Datum::default() };
    match column {
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "netns" => Datum::name(key.netns),
        "place" => Datum::text(format!("{} {} {} #{}", key.family, key.table, key.chain, key.position)),
        "origin" => Datum::text(key.origin.name()),
        _ => of_row(s, row, column),
    }
}

fn of_row(s: &Snapshot, row: &NatRule, column: &str) -> Datum {
    let counter = |n: Option<u64>, write: fn(u64) -> Datum| {
        n.map_or_else(|| Datum::unknown("the rule has no counter"), write)
    };
    match column {
        "kind" => Datum::text(row.kind.name()),
        "rule" => Datum::text(&row.text).tone(if row.dead.is_some() { "trouble" } else { "" }),
        "to" => Datum::maybe(row.to.as_ref()),
        "packets" => counter(row.packets, Datum::count),
        "bytes" => counter(row.bytes, Datum::bytes),
        "container" => Datum::maybe(row.container.as_ref().map(|id| container_name(s, id))),
        "dead" => Datum::maybe(row.dead.as_ref()).tone("trouble"),
        _ => Datum::default(),
    }
}
