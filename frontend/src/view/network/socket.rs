//! Sockets: what `ss -tuxanp` shows, of every namespace at once.

use glasshull_shared::domain::network::{LinkKey, Socket, SocketKey, SocketState, address_of, port_of};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::network::{link, netns_name};
use crate::store::socket::{in_order, process_text, rank, tone};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "sockets",
    title: "Sockets",
    noun: "sockets",
    placeholder: "in:web port:5432 state:LISTEN -protocol:unix process:httpd rtt>5",
    empty: "No socket is known yet.",
    topics: &[Topic::Socket, Topic::SocketStat, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("state", false),
    parent: None,
    keys: |s| in_order(s).into_iter().map(LineKey::Socket).collect(),
    datum,
};

static COLUMNS: [Column; 24] = [
    Column::text("in", "In", 110, "namespace: a container, the host, or a name of ip netns")
        .narrow(84)
        .grow(),
    Column::text("protocol", "Protocol", 70, "tcp, udp, raw, unix or packet"),
    Column::text("state", "State", 96, "as ss prints it; first who listens").kind(Kind::Code).narrow(90),
    Column::text("local", "This end", 176, "address and port; the path of a unix socket")
        .kind(Kind::Code)
        .narrow(130)
        .grow(),
    Column::text("remote", "Other end", 176, "address and port").kind(Kind::Code).grow(),
    Column::text("process", "Process", 156, "the oldest that has it open, and how many more"),
    Column::text("container", "Container", 96, "whose process it is: not always one of the namespace")
        .spare(1),
    Column::number(
        "recv",
        "Recv-Q",
        66,
        "bytes the program has not read; of listeners: who waits, of how many",
    ),
    Column::number("send", "Send-Q", 66, "bytes the other end has not confirmed"),
    Column::number("rtt", "RTT", 66, "to the other end and back, smoothed: tcpi_rtt"),
    Column::number("resent", "Resent", 66, "segments sent again: tcpi_total_retrans").spare(2),
    Column::number("rx", "Received/s", 92, "bytes of the stream per second"),
    Column::number("tx", "Sent/s", 82, "bytes of the stream per second"),
    Column::number("received", "Received", 84, "bytes of the stream since the beginning").extra(),
    Column::number("sent", "Sent", 84, "bytes of the stream since the beginning").extra(),
    Column::number("cwnd", "Cwnd", 60, "congestion window, segments").extra(),
    Column::number("mss", "MSS", 64, "largest segment, bytes").extra(),
    Column::number("lost", "Lost", 56, "segments held for lost now").extra(),
    Column::number("delivery", "Delivery", 84, "how fast the other end confirmed: tcpi_delivery_rate")
        .extra(),
    Column::number("dropped", "Dropped", 76, "thrown away because its queue was full").extra(),
    Column::text("bound", "Bound to", 90, "link: SO_BINDTODEVICE").kind(Kind::Code).extra(),
    Column::number("uid", "UID", 60, "user that made it, on the host").ascending().extra(),
    Column::number("inode", "Inode", 84, "in sockfs, as in /proc/PID/fd").ascending().extra(),
    Column::number("netns", "Netns", 104, "inode of the namespace").kind(Kind::Code).extra(),
];

const FIELDS: [Field; 20] = [
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "protocol", kind: Is::Word, help: "tcp udp raw unix packet" },
    Field { name: "state", kind: Is::Word, help: "LISTEN ESTAB TIME-WAIT UNCONN CLOSE-WAIT…" },
    Field { name: "port", kind: Is::Number, help: "of either end" },
    Field { name: "address", kind: Is::Text, help: "of either end" },
    Field { name: "local", kind: Is::Text, help: "this end, or the path" },
    Field { name: "remote", kind: Is::Text, help: "other end; * for any" },
    Field { name: "process", kind: Is::Text, help: "name and pid; * for any" },
    Field { name: "pid", kind: Is::Number, help: "of the process" },
    Field { name: "container", kind: Is::Text, help: "whose process it is; * for any" },
    Field { name: "recv", kind: Is::Bytes, help: "not read yet" },
    Field { name: "send", kind: Is::Bytes, help: "not confirmed yet" },
    Field { name: "rtt", kind: Is::Number, help: "milliseconds" },
    Field { name: "resent", kind: Is::Number, help: "segments sent again" },
    Field { name: "rx", kind: Is::Rate, help: "received per second" },
    Field { name: "tx", kind: Is::Rate, help: "sent per second" },
    Field { name: "dropped", kind: Is::Number, help: "thrown away, queue full" },
    Field { name: "bound", kind: Is::Text, help: "link it is bound to" },
    Field { name: "uid", kind: Is::Number, help: "user on the host" },
    Field { name: "netns", kind: Is::Number, help: "inode of the namespace" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Socket(key) = key else { return Datum::default() };
    let Some(row) = s.socket.get(key) else { return Datum::default() };
    match column {
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "protocol" => Datum::text(row.protocol.name()),
        "state" => Datum::text(row.state.name()).tone(tone(row.state)).ranked(rank(row)),
        "local" => Datum::text(&row.local),
        "remote" => Datum::maybe(row.remote.as_ref()),
        "port" => Datum::any_of(ends(row).filter_map(port_of)),
        "address" => Datum::text(ends(row).filter_map(address_of).collect::<Vec<_>>().join(" ")),
        "process" => process(row),
        "pid" => Datum::having(row.pid.map(u64::from), Datum::name),
        "container" => Datum::maybe(row.container.as_ref().map(|id| container_name(s, id))),
        "bound" => {
            let on = row.ifindex.map(|ifindex| LinkKey { netns: key.netns, ifindex });
            let name = |on| link(s, on).map_or_else(|| format!("#{}", on.ifindex), |link| link.name.clone());
            Datum::maybe(on.map(name))
        }
        "uid" => Datum::having(row.uid.map(u64::from), Datum::name),
        "inode" => Datum::having(row.inode, Datum::name),
        "netns" => Datum::name(key.netns),
        _ => fares(s, *key, row, column),
    }
}

fn ends(row: &Socket) -> impl Iterator<Item = &str> {
    [Some(row.local.as_str()), row.remote.as_deref()].into_iter().flatten()
}

fn process(row: &Socket) -> Datum {
    let Some(text) = process_text(row.comm.as_deref(), row.pid) else {
        // What is over belongs to no process.
        let over = row.state == SocketState::TimeWait;
        return if over {
            Datum::default()
        } else {
            Datum::unknown("no process has it, it is hidden, or not found yet")
        };
    };
    match row.more_holders {
        0 => Datum::text(text),
        more => Datum::text(format!("{text} +{more}")).title(format!("{text} and {more} more have it open")),
    }
}

fn fares(s: &Snapshot, key: SocketKey, row: &Socket, column: &str) -> Datum {
    let Some(stat) = s.socket_stat.get(&key) else { return Datum::default() };
    let rate = |bytes: Option<u64>, rate| {
        if bytes.is_some() { Datum::rate(rate, unit::bytes_per_sec) } else { Datum::default() }
    };
    match column {
        "recv" if row.state == SocketState::Listen => backlog(stat.backlog, stat.backlog_limit),
        "recv" => Datum::having(stat.receive_queue_bytes, Datum::bytes),
        "send" => Datum::having(stat.send_queue_bytes, Datum::bytes),
        "rtt" => {
            let var = stat.rtt_var_nanos.map(unit::latency).unwrap_or_default();
            Datum::latency(stat.rtt_nanos).title(format!("± {var}"))
        }
        "resent" => {
            let datum = Datum::having(stat.retransmits.map(u64::from), Datum::count);
            if stat.retransmits.is_some_and(|n| n > 0) { datum.tone("attention") } else { datum }
        }
        "rx" => rate(stat.received_bytes, stat.received_bytes_per_sec),
        "tx" => rate(stat.sent_bytes, stat.sent_bytes_per_sec),
        "received" => Datum::having(stat.received_bytes, Datum::bytes),
        "sent" => Datum::having(stat.sent_bytes, Datum::bytes),
        "cwnd" => Datum::having(stat.cwnd.map(u64::from), Datum::count),
        "mss" => Datum::having(stat.mss_bytes.map(u64::from), Datum::count),
        "lost" => Datum::having(stat.lost.map(u64::from), Datum::count),
        "delivery" => {
            Datum::having(stat.delivery_bytes_per_sec, |n| Datum::rate(Some(n as f32), unit::bytes_per_sec))
        }
        "dropped" => Datum::having(stat.dropped.map(u64::from), Datum::count),
        _ => Datum::default(),
    }
}

/// Who waits to be accepted; a full house is trouble.
fn backlog(waiting: Option<u32>, most: Option<u32>) -> Datum {
    let Some(waiting) = waiting else { return Datum::default() };
    let datum = Datum::count(waiting.into());
    let Some(most) = most else { return datum.title("connections that wait to be accepted") };
    let full = waiting > 0 && waiting >= most;
    let datum = datum.title(format!("{waiting} of {most} connections wait to be accepted"));
    if full { datum.tone("trouble") } else { datum }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::filter::Query;
    use std::sync::Arc;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        for (cookie, local, remote) in [
            (1, "10.0.0.2:5432", Some("10.0.0.3:40404")),
            (2, "10.0.0.3:40404", Some("10.0.0.2:5432")),
            (3, "0.0.0.0:54321", None),
        ] {
            let row = Socket { local: local.into(), remote: remote.map(str::to_owned), ..Socket::default() };
            s.socket.insert(SocketKey { netns: 1, cookie }, Arc::new(row));
        }
        s
    }

    fn found(filter: &str) -> Vec<u64> {
        let (query, problems) = Query::parse(filter, &FIELDS);
        assert_eq!(problems, []);
        let s = snapshot();
        let arranged = SHEET.arrange(&s, Some(&query), ("local", false), &HashSet::new());
        assert_eq!(arranged.all, 3);
        let cookie = |key: &LineKey| if let LineKey::Socket(key) = key { key.cookie } else { 0 };
        let mut found: Vec<u64> = arranged.lines.iter().map(|line| cookie(&line.key)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_port_or_an_address_is_that_of_either_end() {
        assert_eq!(found("port:5432"), [1, 2]);
        assert_eq!(found("port:54321"), [3]);
        assert_eq!(found("-port:5432"), [3]);
        assert_eq!(found("address:10.0.0.3"), [1, 2]);
        assert_eq!(found("local:10.0.0.3"), [2]);
        assert_eq!(found("port:5000..6000"), [1, 2]);
    }
}
