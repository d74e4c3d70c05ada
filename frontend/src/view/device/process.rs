//! Processes by what they ask of files and disks, as `iotop` tells it.

use glasshull_shared::domain::process::{IoPriority, ProcessDelay, ProcessIo, ProcessKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use super::block::measure;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "",
    title: "Processes by I/O",
    noun: "processes",
    placeholder: "postgres  container:db  written>1M  state:D",
    empty: "No process can be read.",
    topics: &[Topic::ProcessIo, Topic::ProcessDelay, Topic::Process, Topic::ProcessStat, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("storage", true),
    parent: None,
    keys,
    datum,
};

static COLUMNS: [Column; 18] = [
    Column::text("comm", "Name", 150, "command name").narrow(90),
    Column::number("pid", "PID", 76, "process id on the host").ascending(),
    Column::text("container", "Container", 130, "whose it is").narrow(90).grow(),
    Column::text("state", "S", 34, "D waits uninterruptibly, mostly for a disk"),
    Column::number("storage", "Disk", 92, "bytes per second from and to storage together").narrow(82),
    Column::number("read", "Read", 88, "fetched from storage: /proc/PID/io read_bytes"),
    Column::number("written", "Written", 88, "sent towards storage when a page got dirty: write_bytes"),
    Column::number("rchar", "read()", 88, "through system calls, also from pipes and the page cache: rchar")
        .spare(2),
    Column::number("wchar", "write()", 88, "through system calls: wchar").spare(3),
    Column::number("waits", "Waits %", 76, "share of the time it waited for block devices: delay accounting"),
    Column::number(
        "swap_in",
        "Swap-in %",
        100,
        "share of the time its threads waited for pages to come back from swap",
    )
    .spare(4),
    Column::number(
        "cancelled",
        "Cancelled",
        92,
        "bytes it made dirty and threw away before they were written: cancelled_write_bytes, since start",
    )
    .spare(5),
    Column::number("total", "Disk, total", 96, "bytes from and to storage since it was started").spare(1),
    Column::text("priority", "Priority", 76, "class and level of I/O priority, as ionice tells").spare(4),
    Column::number(
        "reclaim",
        "Reclaim %",
        100,
        "share of the time its threads freed memory themselves, there being none",
    )
    .extra(),
    Column::number(
        "thrashing",
        "Thrashing %",
        112,
        "share of the time its threads waited for pages of files that had just been thrown out",
    )
    .extra(),
    Column::number("cpu_wait", "CPU wait %", 108, "share of the time its threads could run and had no CPU")
        .extra(),
    Column::text("waits_in", "Waits in", 120, "kernel function a D process waits in").spare(1).grow(),
];

const FIELDS: [Field; 13] = [
    Field { name: "comm", kind: Is::Text, help: "name" },
    Field { name: "pid", kind: Is::Number, help: "on the host" },
    Field { name: "container", kind: Is::Text, help: "name" },
    Field { name: "state", kind: Is::Word, help: "D waits, R runs, S sleeps" },
    Field { name: "storage", kind: Is::Rate, help: "both together: storage>1M" },
    Field { name: "read", kind: Is::Rate, help: "from storage" },
    Field { name: "written", kind: Is::Rate, help: "to storage" },
    Field { name: "waits", kind: Is::Percent, help: "share of the time" },
    Field { name: "swap_in", kind: Is::Percent, help: "share of the time" },
    Field { name: "reclaim", kind: Is::Percent, help: "share of the time" },
    Field { name: "thrashing", kind: Is::Percent, help: "share of the time" },
    Field { name: "cpu_wait", kind: Is::Percent, help: "share of the time" },
    Field { name: "priority", kind: Is::Text, help: "rt be idle none" },
];

/// All but kernel threads that never did any: there are hundreds.
fn keys(s: &Snapshot) -> Vec<LineKey> {
    let quiet = |key: &ProcessKey, io: &ProcessIo| {
        let never = |bytes: Option<u64>| bytes == Some(0);
        s.process.get(key).is_some_and(|row| row.kernel_thread)
            && never(io.read_bytes)
            && never(io.write_bytes)
    };
    let some = s.process_io.iter().filter(|(key, io)| !quiet(key, io));
    let mut keys: Vec<_> = some.map(|(key, io)| (std::cmp::Reverse(total(io)), *key)).collect();
    // Within equal rates, most of them 0, the busiest since its start first.
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| LineKey::Process(key)).collect()
}

/// From and to storage since start.
fn total(io: &ProcessIo) -> Option<u64> {
    io.read_bytes.zip(io.write_bytes).map(|(read, written)| read.saturating_add(written))
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Process(key) = key else { return Datum::default() };
    let (Some(io), Some(row)) = (s.process_io.get(key), s.process.get(key)) else { return Datum::default() };
    let stat = s.process_stat.get(key);
    let delay = |of: fn(&ProcessDelay) -> Option<f32>| {
        measure(s.process_delay.get(key).and_then(|row| of(row)), unit::percent_figure)
    };
    let bytes = |rate: Option<f32>| measure(rate, unit::bytes_per_sec);
    match column {
        "comm" => Datum::text(unit::printable(&row.comm)).tone("strong"),
        "pid" => Datum::pid(key.pid),
        "container" => {
            let named = row.container.as_ref().map(|id| unit::printable(&container_name(s, id)));
            named.map_or_else(|| Datum::text("host").tone("quiet"), Datum::text)
        }
        "state" => Datum::maybe(stat.map(|stat| stat.state.letter().to_string())),
        "storage" => {
            let both =
                io.read_bytes_per_sec.zip(io.write_bytes_per_sec).map(|(read, written)| read + written);
            bytes(both)
        }
        "read" => bytes(io.read_bytes_per_sec),
        "written" => bytes(io.write_bytes_per_sec),
        "rchar" => bytes(io.rchar_bytes_per_sec),
        "wchar" => bytes(io.wchar_bytes_per_sec),
        "waits" => measure(io.block_wait_ratio, unit::percent_figure),
        "swap_in" => delay(|row| row.swap_wait_ratio),
        "reclaim" => delay(|row| row.reclaim_wait_ratio),
        "thrashing" => delay(|row| row.thrashing_wait_ratio),
        "cpu_wait" => delay(|row| row.cpu_wait_ratio),
        "cancelled" => Datum::known(io.cancelled_write_bytes, Datum::bytes, "not permitted"),
        "total" => Datum::known(total(io), Datum::bytes, "not permitted"),
        "priority" => Datum::maybe(io.priority.map(IoPriority::text)),
        "waits_in" => Datum::maybe(stat.and_then(|stat| stat.wait_channel.as_deref()).map(unit::printable)),
        _ => Datum::default(),
    }
}
