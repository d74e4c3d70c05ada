//! TCP connections that ended, however short they were.

use glasshull_shared::domain::network::{address_of, port_of};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::network::netns_name;
use crate::store::socket::process_text;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "closed",
    title: "Closed connections",
    noun: "TCP connections that ended lately",
    placeholder: "in:web port:80 process:wget sent>1M rtt>5 resent>0",
    empty: "No TCP connection has ended since somebody looks here.",
    topics: &[Topic::ClosedSocket, Topic::Socket, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("ended", true),
    parent: None,
    keys: |s| s.closed_socket.keys().rev().map(|key| LineKey::Closed(*key)).collect(),
    datum,
};

static COLUMNS: [Column; 11] = [
    Column::text("ended", "Ended", 84, "when the kernel told").kind(Kind::Code).narrow(84),
    Column::text("in", "In", 124, "namespace: a container, the host, or a name of ip netns")
        .narrow(90)
        .grow(),
    Column::text("local", "This end", 186, "address and port").kind(Kind::Code).narrow(130).grow(),
    Column::text("remote", "Other end", 186, "address and port").kind(Kind::Code).grow(),
    Column::text(
        "process",
        "Process",
        140,
        "that had it; of connections too short to be looked at: that listens at this end",
    ),
    Column::text("container", "Container", 110, "whose process it was").spare(1),
    Column::number("received", "Received", 86, "bytes of the stream"),
    Column::number("sent", "Sent", 86, "bytes of the stream"),
    Column::number("rtt", "RTT", 70, "to the other end and back, smoothed: tcpi_rtt"),
    Column::number("resent", "Resent", 70, "segments sent again: tcpi_total_retrans"),
    Column::number("netns", "Netns", 104, "inode of the namespace").kind(Kind::Code).extra(),
];

const FIELDS: [Field; 13] = [
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "port", kind: Is::Number, help: "of either end" },
    Field { name: "address", kind: Is::Text, help: "of either end" },
    Field { name: "local", kind: Is::Text, help: "this end" },
    Field { name: "remote", kind: Is::Text, help: "other end" },
    Field { name: "process", kind: Is::Text, help: "name and pid; * for any" },
    Field { name: "pid", kind: Is::Number, help: "of the process" },
    Field { name: "container", kind: Is::Text, help: "whose process it was; * for any" },
    Field { name: "received", kind: Is::Bytes, help: "bytes of the stream" },
    Field { name: "sent", kind: Is::Bytes, help: "bytes of the stream" },
    Field { name: "rtt", kind: Is::Number, help: "milliseconds" },
    Field { name: "resent", kind: Is::Number, help: "segments sent again" },
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Closed(key) = key else { return Datum::default() };
    let Some(row) = s.closed_socket.get(key) else { return Datum::default() };
    let ends = [row.local.as_str(), row.remote.as_str()];
    match column {
        // In the order in which they were told, which is not that of a clock that may be set.
        "ended" => Datum::text(unit::time_of_day(row.closed_at.saturating_add_signed(zone_offset_nanos())))
            .ranked(key.sequence as f64),
        "in" => Datum::text(netns_name(s, row.netns)).tone("strong"),
        "local" => Datum::text(&row.local),
        "remote" => Datum::text(&row.remote),
        "port" => Datum::any_of(ends.into_iter().filter_map(port_of)),
        "address" => Datum::text(ends.into_iter().filter_map(address_of).collect::<Vec<_>>().join(" ")),
        "process" => match process_text(row.comm.as_deref(), row.pid) {
            Some(text) => Datum::text(text),
            None => Datum::unknown("it was too short to be looked at, and nobody listens at this end"),
        },
        "pid" => Datum::having(row.pid.map(u64::from), Datum::name),
        "container" => Datum::maybe(row.container.as_ref().map(|id| container_name(s, id))),
        "received" => Datum::having(row.received_bytes, Datum::bytes),
        "sent" => Datum::having(row.sent_bytes, Datum::bytes),
        "rtt" => Datum::latency(row.rtt_nanos),
        "resent" => {
            let datum = Datum::having(row.retransmits.map(u64::from), Datum::count);
            if row.retransmits.is_some_and(|n| n > 0) { datum.tone("attention") } else { datum }
        }
        "netns" => Datum::name(row.netns),
        _ => Datum::default(),
    }
}
