//! File systems where they are mounted, on the host and in containers, and how full they are.

use glasshull_shared::domain::mount::{Mount, MountKey, MountUse};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use super::block::measure;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "mounts",
    title: "File systems",
    noun: "mounts that hold something",
    placeholder: "/var  container:db  used>80  fstype:xfs  inodes>90",
    empty: "No file system with a size is mounted.",
    topics: &[Topic::MountUse, Topic::Mount, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("used", true),
    parent: None,
    keys,
    datum,
};

/// From here on it asks for attention, and for more.
const FILLED: (f32, f32) = (0.8, 0.95);

static COLUMNS: [Column; 14] = [
    Column::text("at", "Mounted on", 190, "path as its namespace sees it").narrow(120).grow(),
    Column::text("container", "In", 120, "container, or the host").narrow(86),
    Column::text("source", "Source", 150, "as the one who mounted it said").spare(3).grow(),
    Column::text("fstype", "Type", 76, "type of file system").spare(6),
    Column::number("size", "Size", 88, "as df has it: statfs f_blocks").spare(5),
    Column::number("used_bytes", "Used", 88, "f_blocks − f_bfree"),
    Column::number("used", "Used %", 84, "of what others than root may use, as df has it")
        .kind(Kind::Meter)
        .narrow(70),
    Column::number("available", "Available", 90, "what others than root may still write"),
    Column::number("inodes", "Inodes %", 84, "inodes in use; btrfs has no fixed number")
        .kind(Kind::Meter)
        .spare(4),
    Column::number("growth", "Grows", 96, "per minute, over the last minute"),
    Column::number("full_in", "Full in", 86, "at this pace"),
    Column::text("device", "Device", 76, "major:minor of the file system").spare(8),
    Column::text("origin", "Is", 90, "what it is to the container").spare(7),
    Column::text("state", "Answer", 130, "whether its file system answers").spare(2).grow(),
];

const FIELDS: [Field; 10] = [
    Field { name: "at", kind: Is::Text, help: "path" },
    Field { name: "container", kind: Is::Text, help: "whose; host" },
    Field { name: "source", kind: Is::Text, help: "device, overlay, tmpfs" },
    Field { name: "fstype", kind: Is::Word, help: "ext4 xfs overlay tmpfs nfs4" },
    Field { name: "used", kind: Is::Percent, help: "how full" },
    Field { name: "inodes", kind: Is::Percent, help: "inodes in use" },
    Field { name: "available", kind: Is::Bytes, help: "left" },
    Field { name: "device", kind: Is::Text, help: "254:0" },
    Field { name: "origin", kind: Is::Text, help: "root volume host own" },
    Field { name: "state", kind: Is::Text, help: "hangs; * for any trouble" },
];

/// Those with a size, and those that do not answer: proc, sysfs and their like hold nothing. What lies under others and the files
/// that a runtime mounts one by one are left out.
fn keys(s: &Snapshot) -> Vec<LineKey> {
    let holds =
        |row: &MountUse| row.size_bytes.is_some_and(|size| size > 0) || row.hung || row.failure.is_some();
    let shown = |key: &MountKey| s.mount.get(key).is_some_and(|row| !row.overmounted && row.root == "/");
    let some = s.mount_use.iter().filter(|(key, row)| holds(row) && shown(key));
    some.map(|(key, _)| LineKey::Mount(*key)).collect()
}

/// As `df` rounds nothing: used of used and available.
fn filled(of: &MountUse) -> Option<f32> {
    let (used, available) = (of.used_bytes?, of.available_bytes?);
    let all = used.saturating_add(available);
    (all > 0).then(|| (used as f64 / all as f64) as f32)
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Mount(key) = key else { return Datum::default() };
    let (Some(row), Some(fill)) = (s.mount.get(key), s.mount_use.get(key)) else { return Datum::default() };
    match column {
        "at" => Datum::text(unit::printable(&row.mountpoint)).tone("strong").title(&row.options),
        "container" => whose(s, row),
        "source" => Datum::text(unit::printable(&row.source)),
        "fstype" => Datum::text(unit::printable(&row.fstype)),
        "device" => Datum::text(&row.device),
        "origin" => Datum::text(row.origin.name()),
        _ => figure(fill, column),
    }
}

fn whose(s: &Snapshot, row: &Mount) -> Datum {
    match &row.container {
        Some(id) => Datum::text(unit::printable(&container_name(s, id))),
        None if row.host => Datum::text("host").tone("quiet"),
        None => {
            Datum::text("(a namespace)").tone("quiet").title("in a mount namespace that is no container's")
        }
    }
}

fn figure(fill: &MountUse, column: &str) -> Datum {
    let bytes = |n: Option<u64>| Datum::known(n, Datum::bytes, "not told yet");
    let share = |ratio: Option<f32>, why: &str| {
        let Some(ratio) = ratio else { return Datum::unknown(why) };
        let tone = match ratio {
            r if r >= FILLED.1 => "trouble",
            r if r >= FILLED.0 => "attention",
            _ => "",
        };
        measure(Some(ratio), unit::percent_figure).tone(tone).bar(ratio)
    };
    match column {
        "size" => bytes(fill.size_bytes),
        "used_bytes" => bytes(fill.used_bytes),
        "available" => bytes(fill.available_bytes),
        "used" => share(filled(fill), "not told yet"),
        "inodes" => {
            let ratio = fill.inodes.filter(|n| *n > 0).zip(fill.inodes_used);
            share(ratio.map(|(all, used)| (used as f64 / all as f64) as f32), "their number is not fixed")
        }
        "growth" => measure(fill.growth_bytes_per_sec, |per_sec| {
            let a_minute = per_sec * 60.0;
            let sign = if a_minute < 0.0 { "−" } else { "" };
            format!("{sign}{}/min", unit::bytes(a_minute.abs() as u64))
        }),
        "full_in" => fill.full_in_secs.map_or_else(Datum::default, |secs| {
            let tone = if secs < 3600.0 { "trouble" } else { "" };
            Datum::measure(f64::from(secs), unit::duration((f64::from(secs) * 1e9) as u64)).tone(tone)
        }),
        "state" if fill.hung => Datum::text("hangs: a look at it does not come back").tone("trouble"),
        "state" => Datum::maybe(fill.failure.as_deref().map(unit::printable)).tone("attention"),
        _ => Datum::default(),
    }
}
