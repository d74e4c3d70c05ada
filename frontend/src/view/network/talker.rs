//! Talkers: flows, each as one link sees it, the fastest first.

use glasshull_shared::domain::network::{Flow, FlowKey, FlowStat, FlowState, LinkKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::flow::{between, elsewhere, party, ports, split_end};
use crate::store::network::{end_name, link, netns_name};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "talkers",
    title: "Talkers",
    noun: "flows",
    placeholder: "container:web port:5432 protocol:tcp rate>1M state:open",
    empty: "No packet has passed since we look.",
    topics: &[Topic::Flow, Topic::FlowStat, Topic::Netns, Topic::Link, Topic::Container, Topic::Socket],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("rate", true),
    parent: None,
    keys: |s| s.flow.keys().map(|key| LineKey::Flow(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 17] = [
    Column::text("from", "From", 140, "who opened it: container and network, or the host").narrow(90).grow(),
    Column::text("source", "Source", 172, "address and port of who opened it").kind(Kind::Code).spare(1),
    Column::text("to", "To", 140, "the other end").narrow(90).grow(),
    Column::text("destination", "Destination", 172, "address and port of the other end").kind(Kind::Code),
    Column::text("protocol", "Protocol", 76, "what is inside the packets").kind(Kind::Code).spare(3),
    Column::number("rate", "Now", 92, "bytes per second, both ways"),
    Column::number("sent", "Sent/s", 86, "bytes per second from the source"),
    Column::number("received", "Received/s", 96, "bytes per second to the source"),
    Column::number("bytes", "Bytes", 86, "both ways, since it was first seen"),
    Column::number("packets", "Packets", 78, "both ways, since it was first seen").spare(4),
    Column::text("state", "State", 82, "how far a TCP connection is").spare(5),
    Column::text("link", "On", 160, "the link that sees it; each link has a row of its own")
        .kind(Kind::Code)
        .spare(2),
    Column::text("flags", "Flags", 120, "TCP flags seen in either direction").kind(Kind::Code).extra(),
    Column::text("opening", "Opening", 90, "whether it was seen to be opened").extra(),
    Column::number("first", "First seen", 90, "its first packet since we look").kind(Kind::Code).extra(),
    Column::number("last", "Last seen", 90, "its last packet").kind(Kind::Code).extra(),
    Column::number("pids", "Pids", 90, "processes at both ends, on the host").kind(Kind::Code).extra(),
];

const FIELDS: [Field; 17] = [
    Field { name: "container", kind: Is::Text, help: "container at either end" },
    Field { name: "from", kind: Is::Text, help: "who opened it" },
    Field { name: "to", kind: Is::Text, help: "the other end" },
    Field { name: "between", kind: Is::Text, help: "both ends, as a cell of the matrix" },
    Field { name: "address", kind: Is::Text, help: "address of either end" },
    Field { name: "elsewhere", kind: Is::Text, help: "an end that is neither a container nor the host" },
    Field { name: "source", kind: Is::Text, help: "address and port of who opened it" },
    Field { name: "destination", kind: Is::Text, help: "address and port of the other end" },
    Field { name: "port", kind: Is::Number, help: "port of either end" },
    Field { name: "protocol", kind: Is::Word, help: "tcp udp icmp icmpv6 arp, or a number" },
    Field { name: "link", kind: Is::Text, help: "link that sees it" },
    Field { name: "in", kind: Is::Text, help: "namespace of that link" },
    Field { name: "netns", kind: Is::Number, help: "inode of that namespace" },
    Field { name: "state", kind: Is::Word, help: "opening open closing closed reset" },
    Field { name: "rate", kind: Is::Rate, help: "bytes per second, both ways" },
    Field { name: "bytes", kind: Is::Bytes, help: "both ways" },
    Field { name: "packets", kind: Is::Number, help: "both ways" },
];

/// A name that a DNS answer told is not a name of anything here.
fn called(name: Option<&String>) -> Datum {
    match name {
        Some(name) if name.ends_with('.') => {
            Datum::text(name).title(format!("{name} (that name was answered with this address)"))
        }
        name => Datum::maybe(name).tone("strong"),
    }
}

/// An end that stands for another beyond an address translation says for which.
fn beyond(datum: Datum, end: Option<&String>) -> Datum {
    match end {
        Some(end) => datum.title(format!("translated: truly {end}")).also_sought(end),
        None => datum,
    }
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Flow(key) = key else { return Datum::default() };
    let Some(row) = s.flow.get(key) else { return Datum::default() };
    let source_party = || party(s, row.source_container.as_ref(), row.source_name.as_ref());
    let destination_party = || party(s, row.destination_container.as_ref(), row.destination_name.as_ref());
    match column {
        "from" => called(row.source_name.as_ref()),
        "to" => called(row.destination_name.as_ref()),
        "source" => beyond(Datum::text(&key.source), row.true_source.as_ref()),
        "destination" => {
            let end = Datum::maybe(Some(&key.destination).filter(|end| !end.is_empty()));
            beyond(end, row.true_destination.as_ref())
        }
        "between" => Datum::text(between(&source_party(), &destination_party())),
        "container" => {
            let ends =
                [(&row.source_container, source_party()), (&row.destination_container, destination_party())];
            let names: Vec<String> =
                ends.into_iter().filter(|(id, _)| id.is_some()).map(|(_, name)| name).collect();
            Datum::text(names.join("\n"))
        }
        "address" => Datum::text(format!("{}\n{}", split_end(&key.source).0, split_end(&key.destination).0)),
        "elsewhere" => Datum::text(elsewhere(key, row).into_iter().flatten().collect::<Vec<_>>().join("\n")),
        "port" => Datum::any_of(ports(key)),
        "protocol" => Datum::text(key.protocol.to_string()),
        "link" => {
            let on = LinkKey { netns: key.netns, ifindex: key.link_ifindex };
            let name = link(s, on).map_or_else(|| format!("#{}", on.ifindex), |l| l.name.clone());
            let whole = end_name(s, on);
            let host = netns_name(s, key.netns) == "host";
            Datum::text(if host { name } else { whole.clone() }).title(whole.clone()).sought(whole)
        }
        "in" => Datum::text(netns_name(s, key.netns)),
        "netns" => Datum::name(key.netns),
        "pids" => pids(row),
        "opening" => Datum::text(if row.opening_seen { "seen" } else { "before" }),
        "first" => time(row.first_seen_at),
        _ => counted(s, key, column),
    }
}

fn counted(s: &Snapshot, key: &FlowKey, column: &str) -> Datum {
    let Some(stat) = s.flow_stat.get(key) else { return Datum::unknown("not counted yet") };
    match column {
        "rate" => Datum::rate(stat.bytes_per_sec(), unit::bytes_per_sec),
        "sent" => Datum::rate(stat.sent_bytes_per_sec, unit::bytes_per_sec),
        "received" => Datum::rate(stat.received_bytes_per_sec, unit::bytes_per_sec),
        "bytes" => Datum::bytes(stat.bytes()).title(format!(
            "{} sent, {} received",
            unit::bytes(stat.sent_bytes),
            unit::bytes(stat.received_bytes)
        )),
        "packets" => Datum::count(stat.packets()),
        "state" => state(stat),
        "flags" => Datum::text(stat.flag_names()),
        "last" => time(stat.last_seen_at),
        _ => Datum::default(),
    }
}

fn state(stat: &FlowStat) -> Datum {
    let Some(state) = stat.state else { return Datum::default() };
    let tone = match state {
        FlowState::Open => "fine",
        FlowState::Opening | FlowState::Closing => "",
        FlowState::Closed => "quiet",
        FlowState::Reset => "attention",
    };
    Datum::text(state.name()).tone(tone)
}

fn pids(row: &Flow) -> Datum {
    let pids: Vec<String> =
        [row.source_pid, row.destination_pid].into_iter().flatten().map(|pid| pid.to_string()).collect();
    Datum::text(pids.join(" "))
}

fn time(at: u64) -> Datum {
    Datum::text(unit::time_of_day(at.saturating_add_signed(zone_offset_nanos())))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::filter::Query;
    use glasshull_shared::domain::network::Protocol;
    use std::sync::Arc;

    fn scene() -> Snapshot {
        let mut s = Snapshot::default();
        for (source, destination, from, bytes) in [
            ("10.0.0.2:41000", "10.0.0.3:5432", "web.front", 100.0),
            ("10.0.0.3:41001", "9.9.9.9:54321", "db.front", 900.0),
        ] {
            let key = FlowKey {
                netns: 1,
                link_ifindex: 7,
                protocol: Protocol::Tcp,
                source: source.into(),
                destination: destination.into(),
            };
            let flow = Flow { source_name: Some(from.into()), ..Flow::default() };
            let (one, other) = (Some(bytes), Some(0.0));
            let stat =
                FlowStat { sent_bytes_per_sec: one, received_bytes_per_sec: other, ..FlowStat::default() };
            s.flow.insert(key.clone(), Arc::new(flow));
            s.flow_stat.insert(key, Arc::new(stat));
        }
        s
    }

    fn sources(filter: &str) -> Vec<String> {
        let s = scene();
        let (query, problems) = Query::parse(filter, &FIELDS);
        assert_eq!(problems, [], "{filter}");
        let arranged = SHEET.arrange(&s, Some(&query), SHEET.order, &HashSet::new());
        let source =
            |key: &LineKey| if let LineKey::Flow(key) = key { key.source.clone() } else { String::new() };
        arranged.lines.iter().map(|line| source(&line.key)).collect()
    }

    #[test]
    fn the_fastest_come_first_and_a_port_is_meant_at_either_end() {
        assert_eq!(sources(""), ["10.0.0.3:41001", "10.0.0.2:41000"]);
        assert_eq!(sources("port:5432"), ["10.0.0.2:41000"]);
        assert_eq!(sources("port:41001"), ["10.0.0.3:41001"]);
        assert_eq!(sources("-port:5432"), ["10.0.0.3:41001"]);
        assert_eq!(sources("address:10.0.0.3"), ["10.0.0.3:41001", "10.0.0.2:41000"]);
        assert_eq!(sources("between=\"elsewhere ⇄ web.front\""), ["10.0.0.2:41000"]);
        assert_eq!(sources("from:web rate<1k protocol:tcp"), ["10.0.0.2:41000"]);
    }
}
