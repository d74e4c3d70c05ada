//! All answers: a line per container, name and record.

use glasshull_shared::domain::dns::{DnsName, DnsNameKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::dns::{gravity, said};
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "answers",
    title: "All answers",
    noun: "answers",
    placeholder: "db  container:api  mark:*  status:nxdomain  ttl<60",
    empty: EMPTY,
    topics: &[Topic::DnsName, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("mark", true),
    parent: None,
    keys: |s| s.dns_name.keys().cloned().map(LineKey::Name).collect(),
    datum,
};

/// Why there may be no names.
pub(super) const EMPTY: &str = "No names: no container is on a network whose engine answers for names. On Docker's default bridge \
     there are none; `docker network create` makes a network that has.";

static COLUMNS: [Column; 11] = [
    Column::text("name", "Name", 170, "what is asked for; of PTR the address").narrow(110).grow(),
    Column::text("container", "Asked in", 130, "container whose resolver is asked, inside its network namespace")
        .narrow(100),
    Column::text("record", "Record", 70, "A, AAAA, CNAME, PTR"),
    Column::text("answer", "Answer", 190, "addresses or names, or the kind of failure").narrow(130).grow(),
    Column::text("mark", "Odd", 150, "conflict: another container gets another answer; stale: the engine says another; shadowed: the hosts file goes first; ambiguous: several containers have that name")
        .grow(),
    Column::number("ttl", "TTL", 66, "seconds the answer may be kept"),
    Column::number("latency", "Latency", 80, "from question to answer"),
    Column::text("source", "Source", 66, "dns, or its hosts file").spare(4),
    Column::text("server", "Server", 110, "who answered, or was asked last").spare(3),
    Column::text("expected", "Engine says", 130, "addresses the engine has for that name on its networks").spare(2),
    Column::text("age", "Asked at", 80, "time of day").spare(1),
];

const FIELDS: [Field; 9] = [
    Field { name: "name", kind: Is::Text, help: "name or address" },
    Field { name: "container", kind: Is::Text, help: "where it is asked" },
    Field { name: "record", kind: Is::Word, help: "A AAAA CNAME PTR" },
    Field { name: "answer", kind: Is::Text, help: "address, name" },
    Field { name: "mark", kind: Is::Text, help: "conflict stale shadowed ambiguous; * for any" },
    Field { name: "status", kind: Is::Word, help: "noerror nodata nxdomain timeout servfail refused" },
    Field { name: "source", kind: Is::Word, help: "dns hosts" },
    Field { name: "server", kind: Is::Text, help: "who answered" },
    Field { name: "ttl", kind: Is::Seconds, help: "how long it may be kept" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Name(key) = key else { return Datum::default() };
    let Some(row) = s.dns_name.get(key) else { return Datum::default() };
    match column {
        "name" => Datum::text(unit::printable(&key.name)).tone("strong"),
        "container" => Datum::text(unit::printable(&container_name(s, &key.container))),
        "record" => Datum::text(key.record.name()),
        "answer" => answer(key, row),
        "mark" => mark(row),
        "status" => Datum::text(row.status.name()),
        "ttl" => {
            row.ttl_secs.map_or_else(Datum::default, |ttl| Datum::measure(ttl.into(), format!("{ttl} s")))
        }
        "latency" => row
            .latency_secs
            .map_or_else(Datum::default, |secs| Datum::measure(secs.into(), unit::latency_secs(secs))),
        "source" => Datum::text(row.source.name()),
        "server" => Datum::maybe(row.server.as_deref().map(unit::printable)),
        "expected" => Datum::text(row.expected.join(" ")),
        "age" => Datum::maybe(
            row.asked_at.map(|at| unit::time_of_day(at.saturating_add_signed(zone_offset_nanos()))),
        ),
        _ => Datum::default(),
    }
}

fn answer(key: &DnsNameKey, row: &DnsName) -> Datum {
    let said = said(key, row);
    Datum::text(unit::printable(&said.text)).tone(said.tone).title(unit::printable(&said.title))
}

/// Ordered by how grave it is.
fn mark(row: &DnsName) -> Datum {
    let named: Vec<&str> = row.marks.iter().map(|mark| mark.oddity.name()).collect();
    let why: Vec<String> = row.marks.iter().map(|mark| unit::printable(&mark.evidence)).collect();
    let tone = if gravity(row) > 3 { "trouble" } else { "attention" };
    let text =
        if named.is_empty() { String::new() } else { format!("{}: {}", named.join(", "), why.join("; ")) };
    let datum = Datum::measure(f64::from(gravity(row)), text.clone()).sought(text).tone(tone);
    datum.title(why.join("\n"))
}
