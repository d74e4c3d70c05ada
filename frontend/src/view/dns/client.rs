//! Who asks on the wire: each container with each server it asks, what went wrong first.

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use super::seen::{EMPTY, counted, latency, who};
use crate::store::filter::{Field, Kind as Is};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "askers",
    title: "Askers",
    noun: "askers",
    placeholder: "api  server:127.0.0.11  failures>0  rate>10",
    empty: EMPTY,
    topics: &[Topic::DnsClient, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("wrong", true),
    parent: None,
    keys: |s| s.dns_client.keys().cloned().map(LineKey::Client).collect(),
    datum,
};

static COLUMNS: [Column; 12] = [
    Column::text("asker", "Asked by", 150, "container, host, or a namespace of its own").narrow(110).grow(),
    Column::text("server", "Server", 170, "who is asked; 127.0.0.11 is the engine's own resolver")
        .narrow(110)
        .grow(),
    Column::text(
        "wrong",
        "Went wrong",
        170,
        "answers that are none: failures of servers and time-outs first, then NXDOMAIN",
    )
    .narrow(110)
    .grow(),
    Column::number("queries", "Asked", 76, "questions since we look; one that is sent again counts once"),
    Column::number("rate", "Now", 80, "questions per second"),
    Column::number("lost", "Failed", 70, "share of finished questions that nobody could answer"),
    Column::number("latency", "Latency", 80, "from the last question to its answer"),
    Column::number("mean", "Mean", 80, "latency of all answers"),
    Column::number("longest", "Longest", 80, "the longest latency").spare(2),
    Column::number("waiting", "Waiting", 76, "questions without an answer yet").spare(3),
    Column::number("names", "Names", 70, "different names, by kind of record").spare(4),
    Column::number("beyond", "Not listed", 84, "questions for names that were forgotten for others").spare(5),
];

const FIELDS: [Field; 10] = [
    Field { name: "asker", kind: Is::Text, help: "who asks" },
    Field { name: "server", kind: Is::Text, help: "who is asked" },
    Field { name: "queries", kind: Is::Number, help: "questions since we look" },
    Field { name: "rate", kind: Is::Number, help: "questions per second" },
    Field { name: "nxdomain", kind: Is::Number, help: "answers that there is no such name" },
    Field { name: "failures", kind: Is::Number, help: "failed, refused and not answered" },
    Field { name: "timeouts", kind: Is::Number, help: "not answered within 5 s" },
    Field { name: "latency", kind: Is::Number, help: "milliseconds" },
    Field { name: "mean", kind: Is::Number, help: "milliseconds" },
    Field { name: "names", kind: Is::Number, help: "different names" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Client(key) = key else { return Datum::default() };
    let Some(row) = s.dns_client.get(key) else { return Datum::default() };
    match column {
        "asker" => who(s, key.netns, row.container.as_deref(), row.forwarded).tone("strong"),
        "server" => {
            let address = unit::printable(&key.server);
            let name = row.server_name.as_deref().map(unit::printable);
            Datum::text(name.map_or(address.clone(), |name| format!("{address} {name}")))
        }
        "lost" => row.failure_ratio.map_or_else(Datum::default, |share| {
            Datum::measure(share.into(), unit::percent(share.into())).tone(if share > 0.0 {
                "trouble"
            } else {
                "quiet"
            })
        }),
        "waiting" => Datum::count(row.outstanding.into()),
        "names" => Datum::count(row.names.into()),
        "beyond" => Datum::count(row.queries_left_out),
        "rate" => Datum::rate(row.queries_per_sec, unit::per_sec),
        "latency" => latency(row.latency_secs),
        "mean" => latency(row.latency_mean_secs),
        "longest" => latency(row.latency_max_secs),
        other => counted(&row.counts, other),
    }
}
