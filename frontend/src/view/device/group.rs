//! Containers by I/O: their processes' added up, and what their control groups count of block devices.

use glasshull_shared::domain::container::{ContainerIo, ContainerKey, ContainerStat};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use super::block::measure;
use crate::store::device::{UseOf, devices_of, used};
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "containers",
    title: "Containers by I/O",
    noun: "containers that run",
    placeholder: "db  written>1M  waiting>0  device:sda",
    empty: "No container runs.",
    topics: &[Topic::ContainerIo, Topic::ContainerStat, Topic::Container, Topic::ContainerDeviceIo],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("storage", true),
    parent: None,
    keys: |s| s.container_io.keys().map(|key| LineKey::Container(key.id.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 14] = [
    Column::text("name", "Name", 160, "the engine's name").narrow(120).grow(),
    Column::text("project", "Project", 110, "compose project").spare(3),
    Column::number("storage", "Disk", 96, "its processes, from and to storage together").narrow(82),
    Column::number("read", "Read", 96, "its processes, from storage: /proc/PID/io read_bytes").narrow(82),
    Column::number("written", "Written", 96, "its processes, to storage: write_bytes").narrow(82),
    Column::number("rchar", "read()", 96, "through system calls, from caches and pipes too").spare(4),
    Column::number("wchar", "write()", 96, "through system calls").spare(5),
    Column::number("waiting", "In D", 60, "processes that wait uninterruptibly now"),
    Column::number("waits", "Waits %", 80, "share of time for block devices, added up: delay accounting"),
    Column::number(
        "pressure",
        "Pressure %",
        92,
        "share of the last 10 s some task of it waited for I/O: io.pressure",
    )
    .spare(2),
    Column::text(
        "device",
        "By device",
        170,
        "now, by its control group: blkio.throttle, io.stat; the busiest first",
    )
    .narrow(110)
    .spare(1),
    Column::number(
        "read_total",
        "Read, group",
        104,
        "counted by its control group since it was made: blkio.throttle, io.stat",
    )
    .spare(6),
    Column::number("written_total", "Written, group", 114, "as above").spare(7),
    Column::number("processes", "Processes", 84, "that were added up").spare(8),
];

const FIELDS: [Field; 8] = [
    Field { name: "name", kind: Is::Text, help: "the engine's name" },
    Field { name: "project", kind: Is::Text, help: "compose project" },
    Field { name: "storage", kind: Is::Rate, help: "read and written together" },
    Field { name: "read", kind: Is::Rate, help: "from storage" },
    Field { name: "written", kind: Is::Rate, help: "to storage" },
    Field { name: "device", kind: Is::Text, help: "at which its control group counts" },
    Field { name: "waiting", kind: Is::Number, help: "processes in D" },
    Field { name: "waits", kind: Is::Percent, help: "share of time" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Container(id) = key else { return Datum::default() };
    let key = ContainerKey { id: id.clone() };
    let row = s.container.get(&key);
    match column {
        "name" => Datum::text(unit::printable(&container_name(s, id))).tone("strong").title(id),
        "project" => Datum::maybe(row.and_then(|row| row.compose_project.as_deref()).map(unit::printable)),
        "device" => by_device(s, id),
        "pressure" | "read_total" | "written_total" => {
            s.container_stat.get(&key).map_or_else(Datum::default, |stat| counted(stat, column))
        }
        _ => s.container_io.get(&key).map_or_else(Datum::default, |io| summed(io, column)),
    }
}

/// Of its processes.
fn summed(io: &ContainerIo, column: &str) -> Datum {
    let bytes = |rate: Option<f32>| measure(rate, unit::bytes_per_sec);
    match column {
        "storage" => {
            bytes(io.read_bytes_per_sec.zip(io.write_bytes_per_sec).map(|(read, written)| read + written))
        }
        "read" => bytes(io.read_bytes_per_sec),
        "written" => bytes(io.write_bytes_per_sec),
        "rchar" => bytes(io.rchar_bytes_per_sec),
        "wchar" => bytes(io.wchar_bytes_per_sec),
        "waiting" => {
            let datum = Datum::count(io.waiting.into());
            if io.waiting > 0 { datum.tone("attention") } else { datum }
        }
        "waits" => measure(io.block_wait_ratio, unit::percent_figure),
        "processes" => Datum::count(io.processes.into()),
        _ => Datum::default(),
    }
}

const UNCOUNTED: &str = "its control group counts nothing: v1 does so, since Linux 6.10, only at devices on which some control \
                         group has or had a limit";

/// What passes which device, or passed any.
fn by_device(s: &Snapshot, id: &str) -> Datum {
    let uses = devices_of(s, id);
    let stat = s.container_stat.get(&ContainerKey { id: id.to_owned() });
    if uses.is_empty() {
        return match stat.and_then(|stat| stat.read_bytes) {
            Some(_) => Datum::text("none").tone("quiet").title("nothing has passed a block device for it"),
            None => Datum::unknown(UNCOUNTED),
        };
    }
    let now = |of: &UseOf| of.row.bytes_per_sec().map_or(0.0, f64::from);
    let sum: f64 = uses.iter().map(now).sum();
    let name = |of: &UseOf| match now(of) {
        rate if rate > 0.0 => format!("{} {}", of.name, unit::bytes_per_sec(rate)),
        _ => of.name.clone(),
    };
    let text: Vec<String> = uses.iter().map(name).collect();
    let title: Vec<String> = uses.iter().map(|of| format!("{}: {}", of.name, used(&of.row))).collect();
    let names: Vec<&str> = uses.iter().map(|of| of.name.as_str()).collect();
    Datum::measure(sum, text.join(", "))
        .sought(names.join(" "))
        .tone(if sum > 0.0 { "" } else { "quiet" })
        .title(title.join("\n"))
}

/// By its control group.
fn counted(stat: &ContainerStat, column: &str) -> Datum {
    let total = |n: Option<u64>| Datum::known(n, Datum::bytes, UNCOUNTED);
    match column {
        "pressure" => {
            let some = stat.psi_io.map(|psi| psi.some.avg10_ratio);
            some.map_or_else(
                || Datum::unknown("no io.pressure for its control group"),
                |share| measure(Some(share), unit::percent_figure),
            )
        }
        "read_total" => total(stat.read_bytes),
        "written_total" => total(stat.write_bytes),
        _ => Datum::default(),
    }
}
