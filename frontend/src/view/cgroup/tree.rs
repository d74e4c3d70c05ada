//! The tree of control groups: whose each is, whether it is frozen, how many processes are in it and what its own files allow.

use glasshull_shared::domain::cgroup::{Cap, Cgroup, CgroupKey, Freezer};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "tree",
    title: "Control groups",
    noun: "control groups",
    placeholder: "container:web freezer:frozen processes>0 controllers:memory",
    empty: "No control group can be read.",
    topics: &[Topic::Cgroup, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("name", false),
    parent: Some(parent),
    keys: |s| s.cgroup.keys().map(|key| LineKey::Group(key.path.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 9] = [
    Column::text("name", "Group", 200, "last part of its path; the whole on hover")
        .kind(Kind::Code)
        .narrow(120)
        .grow(),
    Column::text("container", "Container", 120, "container whose it is, or in whose it lies").narrow(90),
    Column::text("freezer", "Freezer", 110, "freezer.state, cgroup.events frozen").narrow(80),
    Column::number("processes", "Processes", 92, "in the group itself: cgroup.procs"),
    Column::number("cpu", "CPU quota", 96, "cores its own file allows: cpu.cfs_quota_us, cpu.max"),
    Column::number("memory", "Memory max", 108, "its own file: memory.limit_in_bytes, memory.max"),
    Column::number("pids", "Tasks max", 92, "its own file: pids.max"),
    Column::text("controllers", "Controllers", 210, "that act on it").spare(1),
    Column::number("descendants", "Below", 64, "groups below it, at all depths").spare(1),
];

const FIELDS: [Field; 9] = [
    Field { name: "path", kind: Is::Text, help: "whole path" },
    Field { name: "container", kind: Is::Text, help: "whose it is; * for any" },
    Field { name: "freezer", kind: Is::Text, help: "thawed freezing frozen" },
    Field { name: "processes", kind: Is::Number, help: "in itself" },
    Field { name: "cpu", kind: Is::Number, help: "cores allowed by itself" },
    Field { name: "memory", kind: Is::Bytes, help: "allowed by itself" },
    Field { name: "pids", kind: Is::Number, help: "allowed by itself" },
    Field { name: "controllers", kind: Is::Text, help: "that act on it" },
    Field { name: "descendants", kind: Is::Number, help: "groups below" },
];

fn parent(s: &Snapshot, key: &LineKey) -> Option<LineKey> {
    let LineKey::Group(path) = key else { return None };
    s.cgroup.get(&CgroupKey { path: path.clone() })?.parent.clone().map(LineKey::Group)
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Group(path) = key else { return Datum::default() };
    let Some(row) = s.cgroup.get(&CgroupKey { path: path.clone() }) else { return Datum::default() };
    match column {
        "name" => {
            let last = path.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or("/");
            Datum::text(unit::short_id(last)).title(path)
        }
        "path" => Datum::text(path),
        "container" => Datum::maybe(row.container.as_ref().map(|id| unit::printable(&container_name(s, id))))
            .tone("strong"),
        "freezer" => freezer(row),
        "controllers" => Datum::text(row.controllers.join(" ")),
        "processes" => {
            Datum::known(row.processes.map(u64::from), Datum::count, "not permitted, or only threads")
        }
        "descendants" => Datum::count(row.descendants.into()),
        "cpu" => cores(row),
        "memory" => cap(row.own.memory_max_bytes, unit::bytes),
        "pids" => cap(
            match row.own.pids_max {
                Cap::Set(n) => Cap::Set(u64::from(n)),
                Cap::Unlimited => Cap::Unlimited,
                Cap::Unknown => Cap::Unknown,
            },
            unit::count,
        ),
        _ => Datum::default(),
    }
}

fn freezer(row: &Cgroup) -> Datum {
    match (row.freezer, row.self_frozen) {
        (None, _) => Datum::default().title("no freezer acts on it"),
        (Some(Freezer::Thawed), _) => Datum::text(Freezer::Thawed.name()).tone("quiet"),
        (Some(state), Some(false)) => {
            Datum::text(format!("‖ {}", state.name())).tone("attention").title("by a group above it")
        }
        (Some(state), Some(true) | None) => {
            Datum::text(format!("‖ {}", state.name())).tone("attention").title("by itself")
        }
    }
}

fn cores(row: &Cgroup) -> Datum {
    match (row.own.cpu_quota_nanos, row.own.cpu_period_nanos) {
        (Cap::Set(quota), Some(period)) if period > 0 => {
            let cores = quota as f64 / period as f64;
            let (quota, period) = (unit::latency(quota), unit::latency(period));
            Datum::measure(cores, format!("{cores:.2}")).title(format!("{quota} of each {period}"))
        }
        (Cap::Unlimited, _) => Datum::text("no limit").tone("quiet"),
        (Cap::Set(_) | Cap::Unknown, _) => Datum::default(),
    }
}

fn cap(cap: Cap<u64>, write: fn(u64) -> String) -> Datum {
    match cap {
        Cap::Set(n) => Datum::measure(n as f64, write(n)),
        Cap::Unlimited => Datum::text("no limit").tone("quiet"),
        Cap::Unknown => Datum::default(),
    }
}
