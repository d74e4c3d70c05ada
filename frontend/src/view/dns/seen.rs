//! On the wire: names as they are asked for in captured packets, what went wrong first. Packets are captured while this is shown.

use glasshull_shared::domain::dns::{DnsCounts, DnsSeen, DnsSeenKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::dns::{asker, wrong};
use crate::store::filter::{Field, Kind as Is};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "seen",
    title: "On the wire",
    noun: "names",
    placeholder: "example.org  asker:api  nxdomain>0  latency>10  server:127.0.0.11",
    empty: EMPTY,
    topics: &[Topic::DnsSeen, Topic::Netns, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("wrong", true),
    parent: None,
    keys: |s| s.dns_seen.keys().cloned().map(LineKey::Seen).collect(),
    datum,
};

/// Why nothing may be there.
pub(super) const EMPTY: &str = "Nobody has asked for a name since we look. Packets are captured while this is shown, and with them \
     questions and answers on port 53; what goes over TLS or HTTPS is not seen.";

static COLUMNS: [Column; 13] = [
    Column::text("name", "Name", 200, "what is asked for").narrow(120).grow(),
    Column::text("record", "Record", 66, "A, AAAA, PTR and others"),
    Column::text("asker", "Asked by", 130, "container, host, or a namespace of its own").narrow(90),
    Column::text(
        "wrong",
        "Went wrong",
        150,
        "answers that are none: failures of servers and time-outs first, then NXDOMAIN",
    )
    .narrow(110)
    .grow(),
    Column::number("queries", "Asked", 70, "questions since we look; one that is sent again counts once"),
    Column::number("rate", "Now", 76, "questions per second"),
    Column::number("latency", "Latency", 80, "from the last question to its answer"),
    Column::number("mean", "Mean", 80, "latency of all answers").spare(3),
    Column::number("longest", "Longest", 80, "the longest latency").spare(2),
    Column::text("answer", "Answer", 180, "addresses of the last answer").grow(),
    Column::number("ttl", "TTL", 66, "how long that answer may be kept").spare(4),
    Column::text("server", "Server", 120, "who is asked; 127.0.0.11 is the engine's own resolver").spare(1),
    Column::text("asked", "Asked at", 80, "time of day of the last question").spare(5),
];

const FIELDS: [Field; 13] = [
    Field { name: "name", kind: Is::Text, help: "what is asked for" },
    Field { name: "record", kind: Is::Word, help: "A AAAA PTR HTTPS" },
    Field { name: "asker", kind: Is::Text, help: "who asks" },
    Field { name: "server", kind: Is::Text, help: "who is asked" },
    Field { name: "answer", kind: Is::Text, help: "address" },
    Field { name: "queries", kind: Is::Number, help: "questions since we look" },
    Field { name: "rate", kind: Is::Number, help: "questions per second" },
    Field { name: "nxdomain", kind: Is::Number, help: "answers that there is no such name" },
    Field { name: "failures", kind: Is::Number, help: "failed, refused and not answered" },
    Field { name: "timeouts", kind: Is::Number, help: "not answered within 5 s" },
    Field { name: "latency", kind: Is::Number, help: "milliseconds" },
    Field { name: "ttl", kind: Is::Seconds, help: "how long it may be kept" },
    Field { name: "forwarded", kind: Is::Word, help: "yes: the engine passes it on for its container" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Seen(key) = key else { return Datum::default() };
    let Some(row) = s.dns_seen.get(key) else { return Datum::default() };
    match column {
        "name" => Datum::text(unit::printable(&key.name)).tone("strong"),
        "record" => Datum::text(unit::printable(&key.record)),
        "asker" => who(s, key.netns, row.container.as_deref(), row.forwarded),
        "answer" => answer(key, row),
        "ttl" => {
            row.ttl_secs.map_or_else(Datum::default, |ttl| Datum::measure(ttl.into(), format!("{ttl} s")))
        }
        "server" => Datum::text(unit::printable(&key.server)),
        "asked" => Datum::text(unit::time_of_day(row.asked_at.saturating_add_signed(zone_offset_nanos()))),
        "forwarded" => Datum::text(if row.forwarded { "yes" } else { "no" }),
        "rate" => Datum::rate(row.queries_per_sec, unit::per_sec),
        "latency" => latency(row.latency_secs),
        "mean" => latency(row.latency_mean_secs),
        "longest" => latency(row.latency_max_secs),
        other => counted(&row.counts, other),
    }
}

/// Who asks; what an engine passes on is marked.
pub(super) fn who(s: &Snapshot, netns: Option<u64>, container: Option<&str>, forwarded: bool) -> Datum {
    let name = unit::printable(&asker(s, netns, container));
    if forwarded {
        let why = "the engine asks this on behalf of the container, which asked 127.0.0.11";
        return Datum::text(format!("engine for {name}")).tone("quiet").title(why);
    }
    Datum::text(name)
}

/// Columns and fields that are counts.
pub(super) fn counted(counts: &DnsCounts, column: &str) -> Datum {
    match column {
        "wrong" => {
            let said = wrong(counts);
            let tone = if counts.failures() > 0 { "trouble" } else { "attention" };
            Datum::measure(said.weight, said.text.clone()).sought(said.text).tone(tone)
        }
        "queries" => {
            let repeats = counts.repeats;
            let more = (repeats > 0).then(|| format!("and {} sent again", unit::count(repeats)));
            let datum = Datum::count(counts.queries);
            more.map_or(datum.clone(), |more| datum.title(more))
        }
        "nxdomain" => Datum::count(counts.nxdomain),
        "failures" => Datum::count(counts.failures()),
        "timeouts" => Datum::count(counts.timeouts),
        _ => Datum::default(),
    }
}

/// The filter counts in milliseconds.
pub(super) fn latency(secs: Option<f32>) -> Datum {
    secs.map_or_else(Datum::default, |secs| Datum::measure(f64::from(secs) * 1e3, unit::latency_secs(secs)))
}

fn answer(key: &DnsSeenKey, row: &DnsSeen) -> Datum {
    if !row.addresses.is_empty() {
        return Datum::text(row.addresses.join(" "));
    }
    match &row.counts {
        counts if counts.answers > 0 => Datum::text("no address").tone("quiet"),
        counts if counts.nodata > 0 => {
            Datum::text(format!("no {}", unit::printable(&key.record))).tone("quiet")
        }
        _ => Datum::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::filter::Query;
    use std::sync::Arc;

    fn scene() -> Snapshot {
        let mut s = Snapshot::default();
        let counts = |answers, nxdomain, timeouts| DnsCounts {
            queries: answers + nxdomain + timeouts,
            answers,
            nxdomain,
            timeouts,
            ..DnsCounts::default()
        };
        for (name, counts, latency_secs) in [
            ("fine.example", counts(900, 0, 0), Some(0.002)),
            ("gone.example", counts(0, 50, 0), Some(0.02)),
            ("slow.example", counts(3, 0, 1), Some(2.0)),
        ] {
            let server = "127.0.0.11".to_owned();
            let key = DnsSeenKey { netns: Some(2), server, name: name.into(), record: "A".into() };
            let container = Some("c0ffee".into());
            s.dns_seen
                .insert(key, Arc::new(DnsSeen { container, counts, latency_secs, ..DnsSeen::default() }));
        }
        s
    }

    fn names(filter: &str) -> Vec<String> {
        let s = scene();
        let (query, problems) = Query::parse(filter, &FIELDS);
        assert_eq!(problems, [], "{filter}");
        let arranged = SHEET.arrange(&s, Some(&query), SHEET.order, &HashSet::new());
        let name =
            |key: &LineKey| if let LineKey::Seen(key) = key { key.name.clone() } else { String::new() };
        arranged.lines.iter().map(|line| name(&line.key)).collect()
    }

    #[test]
    fn what_nobody_answers_stands_above_what_does_not_exist_and_that_above_the_rest() {
        assert_eq!(names(""), ["slow.example", "gone.example", "fine.example"]);
        assert_eq!(names("nxdomain>0"), ["gone.example"]);
        assert_eq!(names("latency>1000"), ["slow.example"]);
        assert_eq!(names("timeouts>0 wrong"), Vec::<String>::new());
        assert_eq!(names("gone asker:c0ffee"), ["gone.example"]);
    }
}
