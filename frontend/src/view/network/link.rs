//! Links: one row per network interface, a veth pair seen from each end.

use glasshull_shared::domain::finding::Subject;
use glasshull_shared::domain::network::{Link, LinkKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::mark::mark_of;
use crate::store::network::{end_name, link, netns_name, other_end};
use crate::store::word;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "",
    title: "Links",
    noun: "links",
    placeholder: "in:web kind:veth network:front rx>1M address:172.18",
    empty: "No link is known yet.",
    topics: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::Finding],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("in", false),
    parent: None,
    keys: |s| s.link.keys().map(|key| LineKey::Link(*key)).collect(),
    datum,
};

static COLUMNS: [Column; 21] = [
    Column::text("in", "In", 124, "namespace: a container, the host, or a name of ip netns")
        .narrow(110)
        .grow(),
    Column::text("link", "Link", 148, "name and number (ifindex) there").kind(Kind::Code).narrow(110),
    Column::text("kind", "Kind", 72, "IFLA_INFO_KIND; physical and loopback have none"),
    Column::text("state", "State", 74, "whether packets can pass: IFLA_OPERSTATE").narrow(84),
    Column::text("address", "Address", 136, "first address with prefix length; all on hover")
        .kind(Kind::Code),
    Column::text("mac", "MAC", 134, "hardware address").kind(Kind::Code).spare(3),
    Column::text("peer", "Other end", 180, "⇄ other end of a veth pair; ↧ the link it rides on")
        .kind(Kind::Code)
        .grow(),
    Column::text("port_of", "Port of", 100, "bridge, bond or VRF it is a port of").kind(Kind::Code).spare(2),
    Column::text("network", "Network", 84, "network of the engine").spare(1),
    Column::number("rx", "Received/s", 96, "bytes received per second, seen from this end"),
    Column::number("tx", "Sent/s", 86, "bytes sent per second, seen from this end"),
    Column::number("lost", "Lost", 56, "packets dropped or broken, both ways, since the link was made"),
    Column::number("findings", "Findings", 78, "what somebody should look at: ▲ trouble, ● attention")
        .spare(1),
    Column::number("rx_packets", "Rx pkt/s", 74, "packets received per second").extra(),
    Column::number("tx_packets", "Tx pkt/s", 74, "packets sent per second").extra(),
    Column::number("rx_total", "Received", 86, "bytes received since the link was made").extra(),
    Column::number("tx_total", "Sent", 86, "bytes sent since the link was made").extra(),
    Column::number("mtu", "MTU", 60, "largest packet, bytes").extra(),
    Column::text("driver", "Driver", 96, "of physical links").extra(),
    Column::number("netns", "Netns", 104, "inode of the namespace").kind(Kind::Code).extra(),
    Column::text("alias", "Alias", 110, "ip link … alias").extra(),
];

const FIELDS: [Field; 15] = [
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "link", kind: Is::Text, help: "name of the link" },
    Field { name: "kind", kind: Is::Word, help: "veth bridge macvlan vxlan tun physical…" },
    Field { name: "state", kind: Is::Word, help: "up down unknown lowerlayerdown" },
    Field { name: "address", kind: Is::Text, help: "IPv4 or IPv6 address" },
    Field { name: "mac", kind: Is::Text, help: "hardware address" },
    Field { name: "peer", kind: Is::Text, help: "other end; * for any" },
    Field { name: "port_of", kind: Is::Text, help: "its bridge" },
    Field { name: "network", kind: Is::Text, help: "network of the engine" },
    Field { name: "rx", kind: Is::Rate, help: "received per second" },
    Field { name: "tx", kind: Is::Rate, help: "sent per second" },
    Field { name: "lost", kind: Is::Number, help: "packets dropped or broken" },
    Field { name: "findings", kind: Is::Text, help: "what was found; * for anything" },
    Field { name: "mtu", kind: Is::Number, help: "bytes" },
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Link(key) = key else { return Datum::default() };
    let Some(row) = link(s, *key) else { return Datum::default() };
    match column {
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "link" => Datum::text(format!("{} #{}", row.name, key.ifindex)),
        "kind" => Datum::text(&row.kind),
        "state" => {
            let word = word::link_state(row);
            Datum::text(word.line()).tone(word.tone).title(row.state.name()).sought(row.state.name())
        }
        "address" => Datum::maybe(row.addresses.first())
            .title(row.addresses.join("\n"))
            .sought(row.addresses.join("\n")),
        "mac" => Datum::maybe(row.mac.as_ref()),
        "peer" => peer(s, row),
        "port_of" => {
            let master = row.master.and_then(|ifindex| link(s, LinkKey { ifindex, ..*key }));
            Datum::maybe(master.map(|m| m.name.as_str()))
        }
        "network" => Datum::maybe(row.network.as_ref()),
        "findings" => Datum::mark(mark_of(s, |found| found.subject == Subject::Link(*key))),
        "mtu" => Datum::count(row.mtu.into()),
        "driver" => Datum::maybe(row.driver.as_ref()),
        "netns" => Datum::name(key.netns),
        "alias" => Datum::maybe(row.alias.as_ref()),
        _ => count(s, *key, column),
    }
}

fn count(s: &Snapshot, key: LinkKey, column: &str) -> Datum {
    let Some(stat) = s.link_stat.get(&key) else { return Datum::unknown("not counted yet") };
    match column {
        "rx" => Datum::rate(stat.rx_bytes_per_sec, unit::bytes_per_sec),
        "tx" => Datum::rate(stat.tx_bytes_per_sec, unit::bytes_per_sec),
        "rx_packets" => Datum::rate(stat.rx_packets_per_sec, unit::per_sec),
        "tx_packets" => Datum::rate(stat.tx_packets_per_sec, unit::per_sec),
        "rx_total" => Datum::bytes(stat.rx_bytes),
        "tx_total" => Datum::bytes(stat.tx_bytes),
        "lost" => {
            let (dropped, errors) = (stat.rx_dropped + stat.tx_dropped, stat.rx_errors + stat.tx_errors);
            let datum = Datum::count(dropped + errors).title(format!(
                "received: {} dropped, {} broken; sent: {} dropped, {} failed",
                stat.rx_dropped, stat.rx_errors, stat.tx_dropped, stat.tx_errors
            ));
            if errors > 0 {
                datum.tone("trouble")
            } else if dropped > 0 {
                datum.tone("attention")
            } else {
                datum
            }
        }
        _ => Datum::default(),
    }
}

fn peer(s: &Snapshot, row: &Link) -> Datum {
    let pair = row.kind == "veth";
    match other_end(row) {
        Some(end) if pair => Datum::text(format!("⇄ {}", end_name(s, end))),
        Some(end) => Datum::text(format!("↧ {}", end_name(s, end))),
        None if pair => Datum::unknown("its other end is in a namespace we cannot see"),
        None => Datum::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use glasshull_shared::domain::network::{Netns, NetnsKey};

    use super::*;
    use crate::store::filter::Query;

    fn found(filter: &str) -> Vec<u32> {
        let mut s = Snapshot::default();
        let host = Netns { host: true, ..Netns::default() };
        s.netns.insert(NetnsKey { netns: 4_026_531_840 }, Arc::new(host));
        for (ifindex, addresses) in [(1, vec!["127.0.0.1/8", "::1/128"]), (2, vec![])] {
            let addresses = addresses.into_iter().map(str::to_owned).collect();
            let row = Link { name: format!("if{ifindex}"), addresses, ..Link::default() };
            s.link.insert(LinkKey { netns: 4_026_531_840, ifindex }, Arc::new(row));
        }
        let (query, problems) = Query::parse(filter, &FIELDS);
        assert_eq!(problems, [], "{filter}");
        let arranged = SHEET.arrange(&s, Some(&query), SHEET.order, &HashSet::new());
        let ifindex = |key: &LineKey| if let LineKey::Link(key) = key { key.ifindex } else { 0 };
        arranged.lines.iter().map(|line| ifindex(&line.key)).collect()
    }

    #[test]
    fn a_link_is_found_by_each_of_its_addresses_and_without_any_by_that() {
        assert_eq!((found("address:*"), found("-address:*")), (vec![1], vec![2]));
        assert_eq!(found("address:::1"), [1]);
    }

    #[test]
    fn words_are_not_looked_for_in_inodes() {
        assert_eq!((found("402"), found("netns:4026531840")), (vec![], vec![1, 2]));
    }
}
