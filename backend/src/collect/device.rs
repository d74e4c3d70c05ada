//! Block devices: `/proc/diskstats`, `/sys/dev/block`, udev's database below `/run/udev/data`. Fills `device` and `device_stat`.
//! Opens no device.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::device::{Device, DeviceKey, DeviceKind, DeviceStat};
use glasshull_shared::unit::printable;

use crate::sys::root::Root;

/// Of a sector as `/proc/diskstats` and `size` count it, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;
/// Readings after which what a device is, is looked at again: schedulers and labels change without an event of ours.
const AGAIN: u32 = 30;
/// Devices taken over at most.
const AT_MOST: usize = 4096;

/// One reading; rates are still `None`.
#[derive(Debug, Default)]
pub(crate) struct DeviceReading {
    /// What they are.
    pub device: Table<DeviceKey, Device>,
    /// What passed them.
    pub stat: Table<DeviceKey, DeviceStat>,
}

/// Reads block devices; keeps what they are.
pub(crate) struct DeviceReader {
    root: Root,
    /// With the reading that looked at it.
    known: BTreeMap<DeviceKey, (u32, Arc<Device>)>,
    readings: u32,
}

impl DeviceReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { root, known: BTreeMap::new(), readings: 0 }
    }

    /// Reads all devices through which anything may pass: loop devices without a file are left out.
    ///
    /// # Errors
    /// When `/proc/diskstats` cannot be read.
    pub(crate) fn read(&mut self) -> std::io::Result<DeviceReading> {
        let text = fs::read(self.root.proc_path("diskstats"))?;
        let text = String::from_utf8_lossy(&text);
        self.readings = self.readings.wrapping_add(1);
        let mut reading = DeviceReading::default();
        let mut known = BTreeMap::new();
        for (key, name, stat) in text.lines().filter_map(parse).take(AT_MOST) {
            let before = self.known.remove(&key).filter(|(_, row)| row.name == name);
            // A loop device gets another file, or none, at any time.
            let changes = name.starts_with("loop") || name.starts_with("zram");
            let fresh = before.filter(|(at, _)| !changes && self.readings.wrapping_sub(*at) < AGAIN);
            if fresh.is_none() && is_empty(&self.root, &key, name) {
                continue;
            }
            let (at, row) =
                fresh.unwrap_or_else(|| (self.readings, Arc::new(identify(&self.root, &key, name))));
            reading.device.insert(key.clone(), Arc::clone(&row));
            reading.stat.insert(key.clone(), Arc::new(stat));
            known.insert(key, (at, row));
        }
        self.known = known;
        Ok(reading)
    }
}

/// A line of `/proc/diskstats` (Documentation/admin-guide/iostats.rst): number, name, 11 fields, 15 since 4.18, 17 since 5.5.
fn parse(line: &str) -> Option<(DeviceKey, &str, DeviceStat)> {
    let mut words = line.split_ascii_whitespace();
    let (major, minor) = (words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?);
    let name = words.next()?;
    let fields: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let field = |at: usize| fields.get(at).copied();
    let nanos = |at: usize| field(at).map(|millis| millis.saturating_mul(1_000_000));
    let bytes = |at: usize| field(at).map(|sectors| sectors.saturating_mul(SECTOR_BYTES));
    let stat = DeviceStat {
        reads: field(0)?,
        read_merges: field(1)?,
        read_bytes: bytes(2)?,
        read_nanos: nanos(3)?,
        writes: field(4)?,
        write_merges: field(5)?,
        write_bytes: bytes(6)?,
        write_nanos: nanos(7)?,
        in_flight: field(8)?,
        busy_nanos: nanos(9)?,
        queue_nanos: nanos(10)?,
        discards: field(11),
        discard_bytes: bytes(13),
        discard_nanos: nanos(14),
        flushes: field(15),
        flush_nanos: nanos(16),
        ..DeviceStat::default()
    };
    Some((DeviceKey { major_minor: format!("{major}:{minor}") }, name, stat))
}

/// A loop device without a file, or a zram that was never set up.
fn is_empty(root: &Root, key: &DeviceKey, name: &str) -> bool {
    matches!(kind(name), DeviceKind::Loop | DeviceKind::Zram) && size(&folder_of(root, key)) == Some(0)
}

fn folder_of(root: &Root, key: &DeviceKey) -> PathBuf {
    root.host_path(format!("/sys/dev/block/{}", key.major_minor))
}

fn size(folder: &Path) -> Option<u64> {
    let sectors: u64 = text(&folder.join("size"))?.parse().ok()?;
    Some(sectors.saturating_mul(SECTOR_BYTES))
}

fn identify(root: &Root, key: &DeviceKey, name: &str) -> Device {
    let dir = folder_of(root, key);
    let partition = dir.join("partition").exists();
    // The link in /sys/dev/block leads to the true folder; the one above a partition's is its disk's.
    let own = fs::canonicalize(&dir).unwrap_or(dir);
    let disk = own.parent().filter(|_| partition).unwrap_or(&own);
    let parents = if partition {
        disk.file_name().map(|name| vec![printable(&name.to_string_lossy())]).unwrap_or_default()
    } else {
        names_in(&own.join("slaves"))
    };
    let yes = |path: &Path| text(path).map(|word| word == "1");
    let scheduler = text(&disk.join("queue/scheduler"));
    let udev = udev(&text_of(&root.host_path(format!("/run/udev/data/b{}", key.major_minor)), 64 << 10));
    let tell = |name: &str| udev.get(name).cloned();
    Device {
        name: printable(name),
        kind: if partition { DeviceKind::Partition } else { kind(name) },
        parents,
        size_bytes: size(&own),
        model: text(&disk.join("device/model")).or_else(|| tell("ID_MODEL")),
        scheduler: scheduler.map(|line| in_use(&line).to_owned()),
        rotational: yes(&disk.join("queue/rotational")),
        read_only: yes(&own.join("ro")),
        dm_name: text(&own.join("dm/name")),
        dm_uuid: text(&own.join("dm/uuid")),
        backing_file: text(&own.join("loop/backing_file")),
        content: tell("ID_FS_TYPE"),
        label: tell("ID_FS_LABEL"),
        uuid: tell("ID_FS_UUID"),
    }
}

/// By the kernel's name: a word and a number.
fn kind(name: &str) -> DeviceKind {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "dm-" => DeviceKind::Dm,
        "md" => DeviceKind::Md,
        "loop" => DeviceKind::Loop,
        "zram" => DeviceKind::Zram,
        _ => DeviceKind::Disk,
    }
}

/// Of `none [mq-deadline] kyber` the one in brackets; a file with one word has no brackets.
fn in_use(line: &str) -> &str {
    let inner = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or(line, |(word, _)| word)
}

/// `E:KEY=VALUE` lines of udev's database.
fn udev(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), printable(value))).collect()
}

/// Names in a folder, in order; of one that is not there none.
fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| printable(&entry.file_name().to_string_lossy())).collect();
    names.sort();
    names
}

/// A file of one line, made safe to print; `None` when it is not there or empty.
fn text(path: &Path) -> Option<String> {
    let text = printable(text_of(path, 4096).trim());
    (!text.is_empty()).then_some(text)
}

fn text_of(path: &Path, at_most: usize) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is as if it were not there.
    let _ = fs::File::open(path).and_then(|file| file.take(at_most as u64).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// LVM on a RAID of two partitions, one encrypted below: what this kernel need not have.
    fn stack() -> (tempfile::TempDir, DeviceReader) {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let put = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        };
        let numbers = "9 0 72 5 4 1 512 7 0 12 13 1 0 2048 3 4 5";
        let lines = [
            format!("   8       0 sda {numbers}"),
            format!("   8       1 sda1 {numbers}"),
            format!("   9       0 md0 {numbers}"),
            format!(" 253       0 dm-0 {numbers}"),
            format!(" 253       1 dm-1 {numbers}"),
            format!("   7       0 loop0 {numbers}"),
            format!("   7       1 loop1 {numbers}"),
            "   8      16 sdb 9 0 72 5 4 1 512 7 0 12 13".to_owned(),
            "   8      17".to_owned(),
            "not a line".to_owned(),
        ];
        put("proc/diskstats", &lines.join("\n"));
        fs::create_dir_all(at("sys/dev/block")).unwrap();
        let real = "sys/devices/pci/block/sda";
        put(&format!("{real}/size"), "2048\n");
        put(&format!("{real}/ro"), "0\n");
        put(&format!("{real}/device/model"), "WDC \u{1b}[31m\n");
        put(&format!("{real}/queue/scheduler"), "none [mq-deadline] kyber\n");
        put(&format!("{real}/queue/rotational"), "1\n");
        put(&format!("{real}/sda1/partition"), "1\n");
        put(&format!("{real}/sda1/size"), "1024\n");
        for (number, below) in [("9:0", "sda1"), ("253:0", "md0"), ("253:1", "dm-0")] {
            fs::create_dir_all(at(&format!("sys/dev/block/{number}/slaves/{below}"))).unwrap();
        }
        put("sys/dev/block/253:0/dm/name", "luks-1\n");
        put("sys/dev/block/253:0/dm/uuid", "CRYPT-LUKS2-1\n");
        put("sys/dev/block/253:1/dm/name", "vg-lv\n");
        put("sys/dev/block/7:0/loop/backing_file", "/srv/disk.img\n");
        put("sys/dev/block/7:0/size", "8\n");
        put("sys/dev/block/7:1/size", "0\n");
        put(
            "run/udev/data/b253:1",
            "S:mapper/vg-lv\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL=data\nE:ID_FS_UUID=12-34\n",
        );
        for (number, path) in [("8:0", "sda"), ("8:1", "sda/sda1")] {
            symlink(format!("../../devices/pci/block/{path}"), at(&format!("sys/dev/block/{number}")))
                .unwrap();
        }
        let reader = DeviceReader::new(Root::at(dir.path()));
        (dir, reader)
    }

    fn key(number: &str) -> DeviceKey {
        DeviceKey { major_minor: number.into() }
    }

    #[test]
    fn each_says_what_it_lies_on_and_is_made_of() {
        let (_dir, mut reader) = stack();
        let reading = reader.read().unwrap();
        let row = |number: &str| Device::clone(&reading.device[&key(number)]);
        assert_eq!((row("8:0").kind, row("8:0").parents), (DeviceKind::Disk, vec![]));
        assert_eq!((row("8:1").kind, row("8:1").parents), (DeviceKind::Partition, vec!["sda".into()]));
        assert_eq!((row("9:0").kind, row("9:0").parents), (DeviceKind::Md, vec!["sda1".into()]));
        assert_eq!((row("253:0").parents, row("253:0").dm_name), (vec!["md0".into()], Some("luks-1".into())));
        let top = row("253:1");
        assert_eq!((top.kind, top.parents), (DeviceKind::Dm, vec!["dm-0".into()]));
        assert_eq!(
            (top.content, top.label, top.uuid),
            (Some("ext4".into()), Some("data".into()), Some("12-34".into()))
        );
        let disk = row("8:0");
        assert_eq!(
            (disk.size_bytes, disk.rotational, disk.read_only),
            (Some(1 << 20), Some(true), Some(false))
        );
        assert_eq!(
            (row("8:1").size_bytes, row("8:1").scheduler),
            (Some(512 << 10), Some("mq-deadline".into()))
        );
        assert!(disk.model.is_some_and(|model| model.starts_with("WDC") && !model.contains('\u{1b}')));
    }

    #[test]
    fn loops_without_a_file_are_left_out_and_broken_lines_harm_no_other() {
        let (_dir, mut reader) = stack();
        let reading = reader.read().unwrap();
        assert_eq!(reading.device[&key("7:0")].backing_file.as_deref(), Some("/srv/disk.img"));
        assert!(!reading.device.contains_key(&key("7:1")) && !reading.device.contains_key(&key("8:17")));
        assert_eq!(reading.device.len(), 7);
    }

    #[test]
    fn counters_are_in_bytes_and_nanoseconds_and_old_kernels_have_fewer() {
        let (_dir, mut reader) = stack();
        let reading = reader.read().unwrap();
        let new = *reading.stat[&key("8:0")];
        assert_eq!((new.reads, new.read_bytes, new.read_nanos), (9, 72 * 512, 5_000_000));
        assert_eq!(
            (new.writes, new.write_merges, new.write_bytes, new.write_nanos),
            (4, 1, 512 * 512, 7_000_000)
        );
        assert_eq!((new.in_flight, new.busy_nanos, new.queue_nanos), (0, 12_000_000, 13_000_000));
        assert_eq!(
            (new.discards, new.discard_bytes, new.discard_nanos),
            (Some(1), Some(2048 * 512), Some(3_000_000))
        );
        assert_eq!((new.flushes, new.flush_nanos), (Some(4), Some(5_000_000)));
        let old = *reading.stat[&key("8:16")];
        assert_eq!((old.reads, old.discards, old.flushes), (9, None, None));
        assert!(new.reads_per_sec.is_none(), "what was since boot is not now");
    }

    #[test]
    fn without_the_file_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DeviceReader::new(Root::at(dir.path())).read().is_err());
    }
}
