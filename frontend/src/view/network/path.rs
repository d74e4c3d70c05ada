//! Paths: one row per link of each namespace but the host's, with everything on its way to the host: the map as a table.

use glasshull_shared::domain::finding::Subject;
use glasshull_shared::domain::network::{Link, LinkKey, NetnsKey};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use super::link;
use crate::store::filter::{Field, Kind as Is};
use crate::store::mark::mark_of;
use crate::store::network::{link as row_of, netns_name, other_end};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "paths",
    title: "Paths",
    noun: "paths",
    placeholder: "in:web veth:veth12ab bridge:docker0 network:front address:172.18 mac:02:42",
    empty: "No namespace but the host's has a link that leads out.",
    topics: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::Finding],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("in", false),
    parent: None,
    keys,
    datum,
};

static COLUMNS: [Column; 14] = [
    Column::text("in", "In", 124, "who is in the namespace: a container, or a name of ip netns")
        .narrow(110)
        .grow(),
    Column::text("link", "Link", 96, "name and number (ifindex) inside").kind(Kind::Code).narrow(84),
    Column::text("kind", "Kind", 72, "IFLA_INFO_KIND").extra(),
    Column::text("state", "State", 92, "whether packets can pass, seen from inside").narrow(84),
    Column::text("address", "Address", 136, "first address with prefix length; all on hover")
        .kind(Kind::Code),
    Column::text("mac", "MAC", 134, "hardware address inside").kind(Kind::Code).spare(3),
    Column::text("veth", "Host's end", 150, "⇄ the veth on the host with its number; ↧ the link it rides on")
        .kind(Kind::Code)
        .grow(),
    Column::text("bridge", "Bridge", 110, "bridge that the host's end is a port of")
        .kind(Kind::Code)
        .spare(2),
    Column::text("network", "Network", 96, "network of the engine").spare(1),
    Column::number("rx", "Received/s", 96, "bytes received per second, seen from inside"),
    Column::number("tx", "Sent/s", 86, "bytes sent per second, seen from inside"),
    Column::number("lost", "Lost", 56, "packets dropped or broken, both ways, since the link was made"),
    Column::number("findings", "Findings", 78, "what somebody should look at: ▲ trouble, ● attention")
        .spare(1),
    Column::number("netns", "Netns", 104, "inode of the namespace").kind(Kind::Code).spare(4),
];

const FIELDS: [Field; 13] = [
    Field { name: "in", kind: Is::Text, help: "container or ip netns name" },
    Field { name: "link", kind: Is::Text, help: "name of the link inside" },
    Field { name: "kind", kind: Is::Word, help: "veth macvlan ipvlan…" },
    Field { name: "state", kind: Is::Word, help: "up down unknown lowerlayerdown" },
    Field { name: "address", kind: Is::Text, help: "IPv4 or IPv6 address" },
    Field { name: "mac", kind: Is::Text, help: "hardware address" },
    Field { name: "veth", kind: Is::Text, help: "name of the host's end" },
    Field { name: "bridge", kind: Is::Text, help: "its bridge" },
    Field { name: "network", kind: Is::Text, help: "network of the engine" },
    Field { name: "rx", kind: Is::Rate, help: "received per second" },
    Field { name: "tx", kind: Is::Rate, help: "sent per second" },
    Field { name: "lost", kind: Is::Number, help: "packets dropped or broken" },
    Field { name: "findings", kind: Is::Text, help: "what was found; * for anything" },
];

fn keys(s: &Snapshot) -> Vec<LineKey> {
    let host = |netns| s.netns.get(&NetnsKey { netns }).is_some_and(|row| row.host);
    let inside = |(key, row): (&LinkKey, &std::sync::Arc<Link>)| {
        (row.kind != "loopback" && !host(key.netns)).then_some(LineKey::Link(*key))
    };
    s.link.iter().filter_map(inside).collect()
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Link(inside) = key else { return Datum::default() };
    let Some(row) = row_of(s, *inside) else { return Datum::default() };
    let far = other_end(row).and_then(|key| Some((key, row_of(s, key)?)));
    match (column, far) {
        ("veth", Some((key, end))) => {
            let sign = if row.peer_netns.is_some() { "⇄" } else { "↧" };
            let whose = netns_name(s, key.netns);
            Datum::text(format!("{sign} {} #{}", end.name, key.ifindex)).title(format!("in {whose}"))
        }
        ("veth", None) => Datum::unknown("its other end is in a namespace we cannot see, or it has none"),
        ("bridge", Some((key, end))) => {
            // A macvlan rides on the bridge itself.
            let bridge = end.master.and_then(|ifindex| row_of(s, LinkKey { ifindex, ..key }));
            let bridge = bridge.or(Some(end)).filter(|b| b.kind == "bridge");
            Datum::maybe(bridge.map(|b| b.name.as_str()))
        }
        ("bridge", None) => Datum::default(),
        ("findings", far) => {
            let ends = [Some(*inside), far.map(|(key, _)| key)];
            let is_it =
                |subject: &Subject| matches!(subject, Subject::Link(key) if ends.contains(&Some(*key)));
            Datum::mark(mark_of(s, |found| is_it(&found.subject)))
        }
        // The rest is said of the link inside as in the table of links.
        (column, _) => (link::SHEET.datum)(s, key, column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity};
    use glasshull_shared::domain::network::Netns;
    use std::sync::Arc;

    #[test]
    fn what_is_found_at_either_end_stands_in_the_row() {
        let mut s = Snapshot::default();
        let key = |netns, ifindex| LinkKey { netns, ifindex };
        let pair = Link { peer_netns: Some(1), peer_ifindex: Some(8), ..Link::default() };
        s.link.insert(key(2, 2), Arc::new(pair));
        s.link.insert(key(1, 8), Arc::new(Link::default()));
        let text = |s: &Snapshot| datum(s, &LineKey::Link(key(2, 2)), "findings").text;
        assert_eq!(text(&s), "");
        for (at, severity) in
            [(key(1, 8), Severity::Attention), (key(2, 2), Severity::Trouble), (key(2, 3), Severity::Trouble)]
        {
            let found = FindingKey { rule: Rule::LinkLoses, subject: Subject::Link(at) };
            s.finding.insert(found, Arc::new(Finding { severity, ..Finding::default() }));
        }
        assert_eq!(text(&s), "▲ 2");
    }

    #[test]
    fn a_row_goes_from_the_link_inside_to_the_bridge() {
        let mut s = Snapshot::default();
        let key = |netns, ifindex| LinkKey { netns, ifindex };
        s.netns.insert(NetnsKey { netns: 1 }, Arc::new(Netns { host: true, ..Netns::default() }));
        s.netns.insert(NetnsKey { netns: 2 }, Arc::new(Netns::default()));
        for (key, row) in [
            (key(1, 5), Link { name: "br0".into(), kind: "bridge".into(), ..Link::default() }),
            (
                key(1, 8),
                Link { name: "veth8".into(), kind: "veth".into(), master: Some(5), ..Link::default() },
            ),
            (key(2, 1), Link { name: "lo".into(), kind: "loopback".into(), ..Link::default() }),
            (
                key(2, 2),
                Link {
                    name: "eth0".into(),
                    kind: "veth".into(),
                    peer_netns: Some(1),
                    peer_ifindex: Some(8),
                    ..Link::default()
                },
            ),
        ] {
            s.link.insert(key, Arc::new(row));
        }
        let rows = keys(&s);
        assert_eq!(rows, [LineKey::Link(key(2, 2))]);
        let text = |column| datum(&s, &rows[0], column).text;
        assert_eq!(["link", "veth", "bridge"].map(text), ["eth0 #2", "⇄ veth8 #8", "br0"]);
    }
}
