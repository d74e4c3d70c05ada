//! Block devices: what passes them, as `iostat -x` tells it, with what they lie on.

use glasshull_shared::domain::device::{Device, DeviceKey, DeviceStat};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::device;
use crate::store::filter::{Field, Kind as Is};
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "devices",
    title: "Block devices",
    noun: "block devices",
    placeholder: "sda  busy>50  kind:dm  on:sda  ext4",
    empty: "No block device: nothing here is stored on a disk of this host. Loop devices without a file are left out.",
    topics: &[Topic::Device, Topic::DeviceStat],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("busy", true),
    parent: None,
    keys: |s| s.device.keys().cloned().map(LineKey::Device).collect(),
    datum,
};

static COLUMNS: [Column; 17] = [
    Column::text("name", "Device", 110, "the kernel's name, or that of its volume: /proc/diskstats, dm/name")
        .narrow(88),
    Column::text("kind", "Kind", 76, "disk, partition, dm (LVM, crypt, multipath), md (RAID), loop, zram")
        .spare(4),
    Column::text("on", "Lies on", 92, "its disk, or what it is made of: slaves in /sys").spare(3).grow(),
    Column::number(
        "busy",
        "Busy %",
        78,
        "%util: how long at least one request was on its way. What serves many at once may do more at 100",
    )
    .kind(Kind::Meter)
    .narrow(70),
    Column::number("queue", "Queue", 64, "aqu-sz: requests on their way on average"),
    Column::number("reads", "Reads", 76, "r/s: reads that finished"),
    Column::number("read_bytes", "Read", 86, "rkB/s: bytes read per second").narrow(82),
    Column::number("read_await", "R wait", 76, "r_await: how long a read took on average, waiting included"),
    Column::number("writes", "Writes", 76, "w/s: writes that finished"),
    Column::number("write_bytes", "Written", 86, "wkB/s: bytes written per second").narrow(82),
    Column::number(
        "write_await",
        "W wait",
        76,
        "w_await: how long a write took on average, waiting included",
    ),
    Column::number("request", "W size", 80, "wareq-sz: bytes of a write on average").spare(6),
    Column::number("flushes", "Flushes", 76, "f/s: orders to make written data safe").spare(7),
    Column::number("flush_await", "F wait", 76, "f_await: how long such an order took on average").spare(8),
    Column::number("size", "Size", 86, "its size").spare(1),
    Column::text("holds", "Holds", 150, "file system and label by udev, file of a loop device, model")
        .spare(2)
        .grow(),
    Column::text("scheduler", "Scheduler", 100, "in use: queue/scheduler").spare(5),
];

const FIELDS: [Field; 9] = [
    Field { name: "name", kind: Is::Text, help: "sda, dm-0, vg-root" },
    Field { name: "kind", kind: Is::Word, help: "disk partition dm md loop zram" },
    Field { name: "on", kind: Is::Text, help: "what it lies on" },
    Field { name: "busy", kind: Is::Percent, help: "share of the time: busy>50" },
    Field { name: "queue", kind: Is::Number, help: "requests on their way" },
    Field { name: "reads", kind: Is::Number, help: "per second" },
    Field { name: "writes", kind: Is::Number, help: "per second" },
    Field { name: "holds", kind: Is::Text, help: "ext4, a label, a file, a model" },
    Field { name: "scheduler", kind: Is::Word, help: "none, mq-deadline" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Device(key) = key else { return Datum::default() };
    let Some(row) = s.device.get(key) else { return Datum::default() };
    match column {
        "name" => name(row, key),
        "kind" => Datum::text(row.kind.name()),
        "on" => Datum::text(row.parents.join(" ")),
        "size" => Datum::having(row.size_bytes, Datum::bytes),
        "holds" => holds(row),
        "scheduler" => Datum::maybe(row.scheduler.clone()),
        _ => s.device_stat.get(key).map_or_else(Datum::default, |stat| figure(stat, column)),
    }
}

fn name(row: &Device, key: &DeviceKey) -> Datum {
    let shown = device::title(row);
    let title = format!("/dev/{}, {}", row.name, key.major_minor);
    Datum::text(shown).sought(format!("{shown} {}", row.name)).tone("strong").title(title)
}

fn holds(row: &Device) -> Datum {
    let told = device::holds(row);
    let uuid = row.uuid.as_ref().map(|uuid| format!("UUID {uuid}"));
    let title: Vec<_> = [Some(told.clone()), uuid, row.dm_uuid.clone()].into_iter().flatten().collect();
    Datum::text(told).title(title.join("\n"))
}

/// Of the last interval; without one there is nothing to tell yet.
fn figure(stat: &DeviceStat, column: &str) -> Datum {
    let per_sec = |rate: Option<f32>| measure(rate, unit::per_sec);
    let bytes = |rate: Option<f32>| measure(rate, unit::bytes_per_sec);
    let wait = |secs: Option<f32>, of: Option<f32>| match (secs, of) {
        (None, Some(_)) => Datum::text("").title("none finished in the last interval"),
        _ => measure(secs, unit::latency_secs),
    };
    match column {
        "busy" => {
            let share = stat.utilization_ratio;
            let tone = if share.is_some_and(|share| share > 0.9) { "attention" } else { "" };
            let datum = measure(share, unit::percent_figure);
            share.map_or_else(Datum::default, |share| datum.tone(tone).bar(share))
        }
        "queue" => measure(stat.queue_length, |mean| format!("{mean:.1}")),
        "reads" => per_sec(stat.reads_per_sec),
        "writes" => per_sec(stat.writes_per_sec),
        "flushes" => per_sec(stat.flushes_per_sec),
        "read_bytes" => bytes(stat.read_bytes_per_sec),
        "write_bytes" => bytes(stat.write_bytes_per_sec),
        "read_await" => wait(stat.read_await_secs, stat.reads_per_sec),
        "write_await" => wait(stat.write_await_secs, stat.writes_per_sec),
        "flush_await" => wait(stat.flush_await_secs, stat.flushes_per_sec),
        "request" => measure(stat.write_request_bytes, |size| unit::bytes(size as u64)),
        _ => Datum::default(),
    }
}

/// A figure that is quiet at zero, and unknown before there are two looks.
pub(super) fn measure(value: Option<f32>, write: impl Fn(f64) -> String) -> Datum {
    let Some(value) = value.map(f64::from) else { return Datum::unknown("not known, or the first look") };
    Datum::measure(value, write(value))
}
