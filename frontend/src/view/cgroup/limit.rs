//! Limits of containers with what is used and left, the one with least room first.

use glasshull_shared::domain::cgroup::{Bound, Limit, LimitStat, Resource, rooms};
use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::limit::{io_text, source_of};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::meter::tone_of_fill;
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "",
    title: "Limits",
    noun: "containers that are up",
    placeholder: "fill>80 throttled>25 memory>100M limit:unlimited from:/docker",
    empty: "No container runs.",
    topics: &[Topic::Limit, Topic::LimitStat, Topic::Container, Topic::ContainerStat],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("fill", true),
    parent: None,
    keys,
    datum,
};

const NO_FILE: &str = "its control group does not tell: the controller is not mounted or not delegated";
const FIRST: &str = "first sample: a rate needs two";

static COLUMNS: [Column; 17] = [
    Column::text("name", "Name", 130, "container's name").narrow(76).grow(),
    Column::number("fill", "Least room", 120, "what runs out first, and how full it is")
        .kind(Kind::Meter)
        .narrow(96),
    Column::number("cpu", "CPU %", 96, "share of one core / its quota").kind(Kind::Meter).narrow(62),
    Column::number(
        "throttled",
        "Throttled %",
        100,
        "share of periods in which its quota ran out: cpu.stat nr_throttled",
    ),
    Column::number("memory", "Memory", 130, "usage without inactive page cache / limit")
        .kind(Kind::Meter)
        .narrow(112),
    Column::number("anon", "Programs", 80, "anonymous memory: heap, stacks. memory.stat anon, total_rss")
        .spare(1),
    Column::number("cache", "Cache", 80, "page cache, shared memory with it. memory.stat file, total_cache")
        .spare(1),
    Column::number(
        "kernel",
        "Kernel",
        80,
        "the kernel's own for it. memory.kmem.usage_in_bytes, memory.stat kernel",
    )
    .spare(2),
    Column::number("swap", "Swap", 76, "swapped out").spare(2),
    Column::number("pids", "Tasks", 96, "tasks (threads count) / pids.max").kind(Kind::Meter),
    Column::number("kills", "OOM kills", 88, "processes the OOM killer ended in it since it was started"),
    Column::number(
        "hits",
        "At limit",
        72,
        "how often it ran into its memory limit: memory.failcnt, memory.events max",
    )
    .spare(1),
    Column::text("from", "Limited by", 150, "control group that sets the fullest limit")
        .kind(Kind::Code)
        .spare(2)
        .grow(),
    Column::text("io", "Disk limits", 160, "per device, as blkio.throttle and io.max set them").spare(3),
    Column::text("cpuset", "Cores", 70, "cores it may run on: cpuset.effective_cpus").extra(),
    Column::number(
        "weight",
        "CPU weight",
        80,
        "its share when cores are scarce: cpu.shares (v1), cpu.weight (v2)",
    )
    .extra(),
    Column::text("oom", "OOM", 100, "what happens without memory").extra(),
];

const FIELDS: [Field; 17] = [
    Field { name: "name", kind: Is::Text, help: "container's name" },
    Field { name: "fill", kind: Is::Number, help: "per cent of the fullest limit" },
    Field { name: "room", kind: Is::Word, help: "what runs out first: cpu memory swap pids none" },
    Field { name: "limit", kind: Is::Word, help: "memory limit: set unlimited unknown" },
    Field { name: "cpu", kind: Is::Number, help: "per cent of one core" },
    Field { name: "throttled", kind: Is::Number, help: "per cent of its periods" },
    Field { name: "memory", kind: Is::Bytes, help: "without inactive page cache" },
    Field { name: "anon", kind: Is::Bytes, help: "memory of programs" },
    Field { name: "cache", kind: Is::Bytes, help: "page cache" },
    Field { name: "kernel", kind: Is::Bytes, help: "the kernel's own" },
    Field { name: "swap", kind: Is::Bytes, help: "swapped out" },
    Field { name: "pids", kind: Is::Number, help: "tasks" },
    Field { name: "kills", kind: Is::Number, help: "OOM kills" },
    Field { name: "hits", kind: Is::Number, help: "times at the memory limit" },
    Field { name: "from", kind: Is::Text, help: "group that limits it" },
    Field { name: "io", kind: Is::Text, help: "disk limits" },
    Field { name: "oom", kind: Is::Text, help: "disabled standing together" },
];

/// By name: so stand those that are equal otherwise.
fn keys(s: &Snapshot) -> Vec<LineKey> {
    let mut named: Vec<_> = s.limit.keys().map(|key| (container_name(s, &key.id), key.id.clone())).collect();
    named.sort();
    named.into_iter().map(|(_, id)| LineKey::Container(id)).collect()
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Container(id) = key else { return Datum::default() };
    let key = ContainerKey { id: id.clone() };
    let Some(limit) = s.limit.get(&key) else { return Datum::default() };
    let stat = s.container_stat.get(&key).map(|row| &**row);
    let more = s.limit_stat.get(&key).map(|row| &**row);
    match column {
        "name" => Datum::text(unit::printable(&container_name(s, id))).tone("strong"),
        "fill" | "room" | "from" => fullest(limit, stat, more, column),
        "limit" => Datum::text(match limit.memory_max_bytes {
            Bound::Unknown => "unknown",
            Bound::Unlimited => "unlimited",
            Bound::Set { .. } => "set",
        }),
        "io" => Datum::text(limit.io.iter().flatten().map(io_text).collect::<Vec<_>>().join("; ")),
        "cpuset" => Datum::maybe(limit.cpuset_cpus.clone()),
        "weight" => Datum::known(limit.cpu_weight.or(limit.cpu_shares), Datum::count, NO_FILE),
        "oom" => oom(limit, more),
        "anon" | "cache" | "kernel" | "swap" | "hits" => {
            more.map_or_else(Datum::default, |more| part(more, column))
        }
        _ => stat.map_or_else(Datum::default, |stat| used(limit, stat, column)),
    }
}

fn fullest(limit: &Limit, stat: Option<&ContainerStat>, more: Option<&LimitStat>, column: &str) -> Datum {
    let Some(stat) = stat else { return Datum::unknown(NO_FILE) };
    let rooms = rooms(limit, stat, more);
    let Some(room) = rooms.first() else {
        return match column {
            "fill" => Datum::text("no limit").tone("quiet"),
            "room" => Datum::text("none"),
            _ => Datum::default(),
        };
    };
    match column {
        "fill" => {
            let lines =
                rooms.iter().map(|room| format!("{} {}", room.resource.name(), unit::percent(room.fill())));
            let text = format!("{} {}", room.resource.name(), unit::percent(room.fill()));
            // A quota that is used up is what it is for; what it costs stands under "throttled".
            let tone = if room.resource == Resource::Cpu { "" } else { tone_of_fill(room.fill() as f32) };
            Datum::measure(room.fill() * 100.0, text)
                .tone(tone)
                .title(lines.collect::<Vec<_>>().join(", "))
                .limit_bar(room.fill() as f32)
        }
        "room" => Datum::text(room.resource.name()),
        _ => source_of(limit, room.resource).map_or_else(Datum::default, |from| {
            if from == limit.cgroup {
                Datum::text("its own").tone("quiet").title(from)
            } else {
                Datum::text(from).tone("attention").title(format!("inherited from {from}"))
            }
        }),
    }
}

fn part(more: &LimitStat, column: &str) -> Datum {
    match column {
        "anon" => Datum::known(more.anon_bytes, Datum::bytes, NO_FILE),
        "cache" => Datum::known(more.file_bytes, Datum::bytes, NO_FILE),
        "kernel" => Datum::known(more.kernel_bytes, Datum::bytes, NO_FILE),
        "swap" => Datum::known(more.swap_bytes, Datum::bytes, "swap is not accounted here"),
        _ => Datum::known(more.memory_limit_hits, Datum::count, NO_FILE),
    }
}

fn used(limit: &Limit, stat: &ContainerStat, column: &str) -> Datum {
    match column {
        "cpu" => {
            let Some(ratio) = stat.cpu_ratio.map(f64::from) else { return Datum::unknown(FIRST) };
            let text = unit::percent_figure(ratio);
            match limit.cpu_cores.value().map(f64::from) {
                Some(cores) => {
                    let allowed = unit::percent_figure(cores);
                    let text = format!("{text} / {}", allowed.trim_end_matches(".0"));
                    Datum::measure(ratio * 100.0, text).limit_bar((ratio / cores.max(1e-9)) as f32)
                }
                None => Datum::measure(ratio * 100.0, text).title("no quota"),
            }
        }
        "throttled" => match (stat.cpu_throttled_ratio.map(f64::from), limit.cpu_cores.value()) {
            (_, None) => Datum::default().title("no quota"),
            (None, Some(_)) => Datum::unknown(FIRST),
            (Some(ratio), Some(_)) => {
                let held = stat.cpu_throttled_nanos.map(unit::duration).unwrap_or_default();
                let tone = if ratio > 0.25 {
                    "trouble"
                } else if ratio > 0.0 {
                    "attention"
                } else {
                    "quiet"
                };
                Datum::measure(ratio * 100.0, unit::percent_figure(ratio))
                    .tone(tone)
                    .title(format!("held back {held} since it was started"))
            }
        },
        "memory" => {
            let Some(used) = stat.memory_bytes else { return Datum::unknown(NO_FILE) };
            match limit.memory_max_bytes.value() {
                Some(max) => {
                    let fill = if max == 0 { 1.0 } else { used as f32 / max as f32 };
                    Datum::measure(used as f64, unit::bytes_of(used, max))
                        .tone(tone_of_fill(fill))
                        .limit_bar(fill)
                }
                None => Datum::bytes(used).title("no limit"),
            }
        }
        "pids" => {
            let Some(pids) = stat.pids else { return Datum::unknown(NO_FILE) };
            match limit.pids_max.value() {
                Some(max) => {
                    let fill = if max == 0 { 1.0 } else { pids as f32 / max as f32 };
                    Datum::measure(pids.into(), format!("{pids} / {}", unit::count(max.into())))
                        .tone(tone_of_fill(fill))
                        .limit_bar(fill)
                }
                None => Datum::count(pids.into()).title("no limit"),
            }
        }
        "kills" => {
            let tone = if stat.oom_kills.is_some_and(|n| n > 0) { "trouble" } else { "quiet" };
            Datum::known(stat.oom_kills, Datum::count, NO_FILE).tone(tone)
        }
        _ => Datum::default(),
    }
}

fn oom(limit: &Limit, more: Option<&LimitStat>) -> Datum {
    if more.is_some_and(|more| more.under_oom == Some(true)) {
        return Datum::text("standing").tone("trouble").title("its tasks wait for memory: under_oom");
    }
    if limit.oom_kill_disable == Some(true) {
        return Datum::text("disabled")
            .tone("attention")
            .title("nobody is killed: tasks over the limit wait");
    }
    if limit.oom_group == Some(true) {
        return Datum::text("together").title("all its tasks are killed at once: memory.oom.group");
    }
    Datum::default()
}
