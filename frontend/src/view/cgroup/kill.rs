//! OOM kills: when, whom, where and who told.

use glasshull_shared::domain::cgroup::OomKill;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "kills",
    title: "OOM kills",
    noun: "kills known since the host started",
    placeholder: "container:web victim:java told:log",
    empty: "Nobody was killed for memory, as far as the kernel's log reaches back.",
    topics: &[Topic::OomKill, Topic::Container, Topic::ContainerStat],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("at", true),
    parent: None,
    keys: |s| s.oom_kill.keys().map(|key| LineKey::Kill(*key)).collect(),
    datum,
};

const NO_LOG: &str = "the kernel's log does not tell: CAP_SYSLOG is missing, or it has gone from the log";

static COLUMNS: [Column; 8] = [
    Column::text("at", "When", 172, "of the kernel's log line, else when it was noticed").narrow(150),
    Column::text("container", "Container", 130, "whose process it was").narrow(90).grow(),
    Column::text("victim", "Victim", 130, "name of the process").narrow(80),
    Column::number("pid", "Pid", 80, "pid on the host"),
    Column::number("anon", "Its memory", 100, "anon-rss: memory of its own"),
    Column::text("why", "Limit of", 200, "control group that was full, or the host").kind(Kind::Code).grow(),
    Column::number("count", "Kills", 60, "kills this row stands for"),
    Column::text("told", "Told by", 220, "kernel log, counter of the control group, engine").spare(1),
];

const FIELDS: [Field; 8] = [
    Field { name: "container", kind: Is::Text, help: "whose it was; * for any" },
    Field { name: "victim", kind: Is::Text, help: "name" },
    Field { name: "pid", kind: Is::Number, help: "on the host" },
    Field { name: "uid", kind: Is::Number, help: "its user" },
    Field { name: "anon", kind: Is::Bytes, help: "memory of its own" },
    Field { name: "why", kind: Is::Text, help: "group that was full, or host" },
    Field { name: "count", kind: Is::Number, help: "kills of the row" },
    Field { name: "told", kind: Is::Text, help: "log counter engine OOMKilled" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Kill(key) = key else { return Datum::default() };
    let Some(row) = s.oom_kill.get(key) else { return Datum::default() };
    match column {
        "at" => {
            let local = row.at.saturating_add_signed(zone_offset_nanos());
            Datum::measure(row.at as f64, unit::date_time(local))
        }
        "container" => match (&row.container, &row.cgroup) {
            (Some(id), _) => Datum::text(unit::printable(&container_name(s, id))).tone("strong"),
            (None, Some(cgroup)) => Datum::text(format!("host: {cgroup}")),
            (None, None) => Datum::text("host"),
        },
        "victim" => row.comm.as_ref().map_or_else(|| Datum::unknown(NO_LOG), Datum::text),
        "pid" => row.pid.map_or_else(|| Datum::unknown(NO_LOG), Datum::pid),
        "uid" => Datum::having(row.uid.map(u64::from), Datum::name),
        "anon" => Datum::known(row.anon_bytes, Datum::bytes, NO_LOG),
        "why" => why(row),
        "count" => Datum::count(row.count.into()),
        "told" => Datum::text(row.sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ")),
        _ => Datum::default(),
    }
}

fn why(row: &OomKill) -> Datum {
    match (&row.limit_cgroup, row.global) {
        (_, Some(true)) => Datum::text("host").tone("trouble").title("the host itself had no memory left"),
        (Some(limit), _) if row.cgroup.as_ref() == Some(limit) => {
            Datum::text("its own").tone("quiet").title(limit)
        }
        (Some(limit), _) => Datum::text(limit).tone("attention"),
        (None, _) => Datum::unknown(NO_LOG),
    }
}
