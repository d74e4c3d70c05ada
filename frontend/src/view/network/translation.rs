//! Connections that are translated: as they were sent, and where they truly go.

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::network::netns_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "translations",
    title: "Translations",
    noun: "translated connections",
    placeholder: "in:host container:web source:10.0.0.1 state:ESTABLISHED",
    empty: "No connection is translated now.",
    topics: &[Topic::Translation, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("source", false),
    parent: None,
    keys: |s| s.translation.keys().map(|key| LineKey::Translation(key.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 10] = [
    Column::text("in", "In", 110, "namespace that translates").narrow(70),
    Column::text("protocol", "Proto", 60, "transport protocol"),
    Column::text("source", "From", 160, "who began it").kind(Kind::Code).narrow(110).grow(),
    Column::text("destination", "Sent to", 160, "whom it was sent to").kind(Kind::Code).grow(),
    Column::text("true_destination", "Truly goes to", 160, "who answers").kind(Kind::Code).narrow(110).grow(),
    Column::text("seen_as", "Seen there as", 160, "source as the destination sees it")
        .kind(Kind::Code)
        .grow(),
    Column::text("container", "Container", 110, "at the true end"),
    Column::text("state", "State", 110, "of the connection, where the protocol has one"),
    Column::number("timeout", "Forgotten in", 96, "when nothing passes"),
    Column::number("bytes", "Bytes", 80, "both ways; needs net.netfilter.nf_conntrack_acct=1"),
];

const FIELDS: [Field; 8] = [
    Field { name: "in", kind: Is::Text, help: "container, host or ip netns name" },
    Field { name: "protocol", kind: Is::Word, help: "tcp udp icmp" },
    Field { name: "source", kind: Is::Text, help: "who began it" },
    Field { name: "destination", kind: Is::Text, help: "whom it was sent to" },
    Field { name: "true_destination", kind: Is::Text, help: "who answers" },
    Field { name: "seen_as", kind: Is::Text, help: "source as the destination sees it" },
    Field { name: "container", kind: Is::Text, help: "at the true end; * for any" },
    Field { name: "state", kind: Is::Word, help: "ESTABLISHED TIME_WAIT" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Translation(key) = key else { return Datum::default() };
    let Some(row) = s.translation.get(key) else { return Datum::default() };
    match column {
        "in" => Datum::text(netns_name(s, key.netns)).tone("strong"),
        "protocol" => Datum::text(&key.protocol),
        "source" => Datum::text(&key.source),
        "destination" => Datum::text(&key.destination),
        "true_destination" => Datum::text(&row.reply_source),
        "seen_as" => Datum::text(&row.reply_destination),
        "container" => Datum::maybe(row.container.as_ref().map(|id| container_name(s, id))),
        "state" => Datum::maybe(row.state.as_ref()),
        "timeout" => row.timeout_secs.map_or_else(
            || Datum::unknown("the kernel does not tell"),
            |secs| Datum::count(secs.into()).written(unit::duration(u64::from(secs) * 1_000_000_000)),
        ),
        "bytes" => row.bytes.map_or_else(
            || Datum::unknown("not counted: net.netfilter.nf_conntrack_acct is 0"),
            Datum::bytes,
        ),
        _ => Datum::default(),
    }
}
