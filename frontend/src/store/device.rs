//! Block devices as the stack they are: what lies on what, what is mounted of them, and what a shell would ask. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::domain::container::{ContainerDeviceIo, ContainerDeviceKey};
use glasshull_shared::domain::device::{Device, DeviceKey};
use glasshull_shared::domain::mount::Mount;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::Selection;
use super::lookup::container_name;
use super::shell::{Command, command, quote};

/// A device at its place in the stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StackLine {
    /// Which.
    pub key: DeviceKey,
    /// What it hangs on, drawn: `├ `, `│ └ `; empty at the bottom.
    pub branch: String,
}

/// Devices, each under the first of those it lies on, siblings by name.
pub fn stack(snapshot: &Snapshot) -> Vec<StackLine> {
    let by_name = |keys: &mut Vec<(&DeviceKey, &Device)>| {
        keys.sort_by(|(_, a), (_, b)| natural(&a.name).cmp(&natural(&b.name)));
    };
    let all = || snapshot.device.iter().map(|(key, row)| (key, &**row));
    let known: BTreeSet<&str> = all().map(|(_, row)| row.name.as_str()).collect();
    let mut roots = Vec::new();
    let mut upon: BTreeMap<&str, Vec<(&DeviceKey, &Device)>> = BTreeMap::new();
    for (key, row) in all() {
        match row.parents.iter().find(|name| known.contains(name.as_str())) {
            Some(parent) => upon.entry(parent).or_default().push((key, row)),
            None => roots.push((key, row)),
        }
    }
    by_name(&mut roots);
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    let mut todo: Vec<(&DeviceKey, &Device, String, String)> =
        roots.into_iter().rev().map(|(key, row)| (key, row, String::new(), String::new())).collect();
    while let Some((key, row, branch, under)) = todo.pop() {
        // Devices that name each other, as hostile or torn data may, end.
        if !seen.insert(key) {
            continue;
        }
        lines.push(StackLine { key: key.clone(), branch });
        let mut children = upon.remove(row.name.as_str()).unwrap_or_default();
        by_name(&mut children);
        for (at, (key, child)) in children.into_iter().rev().enumerate() {
            // The last of them comes first here: the list is taken from its end.
            let (turn, on) = if at == 0 { ("└ ", "  ") } else { ("├ ", "│ ") };
            todo.push((key, child, format!("{under}{turn}"), format!("{under}{on}")));
        }
    }
    lines
}

/// `sda10` after `sda9`.
fn natural(name: &str) -> (&str, u64) {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let stem = name.strip_suffix(digits).unwrap_or(name);
    (stem, digits.parse().unwrap_or_default())
}

/// What people call it: the name of a volume, else the kernel's.
pub fn title(row: &Device) -> &str {
    row.dm_name.as_deref().unwrap_or(&row.name)
}

/// What is on it in a few words: file system and label, the file of a loop device, the model of a disk.
pub fn holds(row: &Device) -> String {
    let label = row.label.as_ref().map(|label| format!("“{label}”"));
    let told = [row.content.clone(), label, row.backing_file.clone(), row.model.clone()];
    told.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Names of devices that lie on it.
pub fn upon(snapshot: &Snapshot, name: &str) -> Vec<(DeviceKey, String)> {
    let on = snapshot.device.iter().filter(|(_, row)| row.parents.iter().any(|parent| parent == name));
    on.map(|(key, row)| (key.clone(), title(row).to_owned())).collect()
}

/// The device with this name.
pub fn of_name(snapshot: &Snapshot, name: &str) -> Option<DeviceKey> {
    snapshot.device.iter().find(|(_, row)| row.name == name).map(|(key, _)| key.clone())
}

/// Where it is mounted, each place once, the host's first.
pub fn mounts_on<'a>(snapshot: &'a Snapshot, key: &DeviceKey) -> Vec<&'a Mount> {
    let of_device = |row: &&Mount| row.device == key.major_minor;
    let mut found: Vec<&Mount> = snapshot.mount.values().map(|row| &**row).filter(of_device).collect();
    let order = |row: &Mount| (!row.host, row.container.clone(), row.mountpoint.clone());
    found.sort_by_key(|row| order(row));
    found.dedup_by_key(|row| order(row));
    found
}

/// A container at a device, seen from one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct UseOf {
    /// The other one's name.
    pub name: String,
    /// The other one; `None` for a device that is gone.
    pub to: Option<Selection>,
    /// What its control group counts.
    pub row: Arc<ContainerDeviceIo>,
}

/// Rows of a container, by number.
pub fn at_devices<'a>(
    snapshot: &'a Snapshot,
    container: &'a str,
) -> impl Iterator<Item = (&'a ContainerDeviceKey, &'a Arc<ContainerDeviceIo>)> {
    let first = ContainerDeviceKey { container: container.to_owned(), major_minor: String::new() };
    snapshot.container_device_io.range(first..).take_while(move |(key, _)| key.container == container)
}

/// What people call the device of a row: its number when no device has it now.
pub fn device_of(key: &ContainerDeviceKey, row: &ContainerDeviceIo) -> String {
    row.device.clone().unwrap_or_else(|| key.major_minor.clone())
}

/// Devices at which a container's control group counts, the busiest first.
pub fn devices_of(snapshot: &Snapshot, container: &str) -> Vec<UseOf> {
    let uses = at_devices(snapshot, container).map(|(key, row)| {
        let device = DeviceKey { major_minor: key.major_minor.clone() };
        let to = row.device.is_some().then_some(Selection::Device(device));
        UseOf { name: device_of(key, row), to, row: Arc::clone(row) }
    });
    busiest_first(uses.collect())
}

/// Containers whose control groups count at a device, the busiest first.
pub fn users_of(snapshot: &Snapshot, device: &DeviceKey) -> Vec<UseOf> {
    let at = snapshot.container_device_io.iter().filter(|(key, _)| key.major_minor == device.major_minor);
    let uses = at.map(|(key, row)| UseOf {
        name: container_name(snapshot, &key.container),
        to: Some(Selection::Container(key.container.clone())),
        row: Arc::clone(row),
    });
    busiest_first(uses.collect())
}

fn busiest_first(mut uses: Vec<UseOf>) -> Vec<UseOf> {
    let total =
        |row: &ContainerDeviceIo| row.read_bytes.unwrap_or(0).saturating_add(row.write_bytes.unwrap_or(0));
    uses.sort_by(|a, b| {
        let now = |of: &UseOf| of.row.bytes_per_sec().unwrap_or(0.0);
        let then = |of: &UseOf| (Reverse(total(&of.row)), of.name.clone());
        now(b).total_cmp(&now(a)).then_with(|| then(a).cmp(&then(b)))
    });
    uses
}

/// What passed since the control group was made, in words.
pub fn used(row: &ContainerDeviceIo) -> String {
    let part = |bytes: Option<u64>, times: Option<u64>, what: &str| {
        let times = times.map(|n| format!(" in {}", unit::count(n))).unwrap_or_default();
        bytes.map(|n| format!("{} {what}{times}", unit::bytes(n)))
    };
    let told = [
        part(row.read_bytes, row.reads, "read"),
        part(row.write_bytes, row.writes, "written"),
        part(row.discard_bytes.filter(|n| *n > 0), row.discards, "discarded"),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    format!("{} since its control group was made", told.join(", "))
}

/// The commands about a device.
pub fn shell_lines(key: &DeviceKey, row: &Device) -> Vec<Command> {
    let node = quote(&format!("/dev/{}", row.name));
    let sys = format!("/sys/dev/block/{}", key.major_minor);
    let mut lines = vec![
        command("what it lies on", format!("lsblk --inverse {node}"), format!("{sys}/slaves · {sys}/..")),
        command(
            "what is on it",
            format!("lsblk --output NAME,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINT {node}"),
            format!("{sys}/holders · /run/udev/data/b{}", key.major_minor),
        ),
        command(
            "its counters since it appeared",
            format!("grep -w {} /proc/diskstats", quote(&row.name)),
            "/proc/diskstats",
        ),
        command(
            "who has files on it",
            format!("fuser -vm {node}"),
            "/proc/*/fd · /proc/*/fdinfo · /proc/*/maps",
        ),
        command("load, waits and queue of two seconds", format!("iostat -dx {node} 2 2"), "/proc/diskstats"),
    ];
    if row.scheduler.is_some() && row.parents.is_empty() {
        lines.push(command("its scheduler", format!("cat {sys}/queue/scheduler"), "the same file"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(rows: &[(&str, &str, &[&str])]) -> Snapshot {
        let row = |name: &str, parents: &[&str]| {
            let parents = parents.iter().map(|&name| name.to_owned()).collect();
            Arc::new(Device { name: name.to_owned(), parents, ..Device::default() })
        };
        let key = |number: &str| DeviceKey { major_minor: number.to_owned() };
        let rows = rows.iter().map(|(number, name, parents)| (key(number), row(name, parents)));
        Snapshot { device: rows.collect(), ..Snapshot::default() }
    }

    fn drawn(s: &Snapshot) -> Vec<String> {
        let name = |key: &DeviceKey| s.device.get(key).map(|row| row.name.clone()).unwrap_or_default();
        stack(s).iter().map(|line| format!("{}{}", line.branch, name(&line.key))).collect()
    }

    #[test]
    fn devices_stand_on_what_they_lie_on() {
        let s = snapshot(&[
            ("8:0", "sda", &[]),
            ("8:1", "sda1", &["sda"]),
            ("8:10", "sda10", &["sda"]),
            ("8:2", "sda2", &["sda"]),
            ("8:16", "sdb", &[]),
            ("9:0", "md0", &["sda2", "sdb"]),
            ("253:0", "dm-0", &["md0"]),
            ("7:0", "loop0", &["gone"]),
        ]);
        let whole = ["loop0", "sda", "├ sda1", "├ sda2", "│ └ md0", "│   └ dm-0", "└ sda10", "sdb"];
        assert_eq!(drawn(&s), whole);
        assert_eq!(upon(&s, "sdb").first().map(|(_, name)| name.as_str()), Some("md0"));
    }

    #[test]
    fn devices_that_name_each_other_do_not_hang_it() {
        let s = snapshot(&[("1:0", "a", &["b"]), ("1:1", "b", &["a"]), ("1:2", "c", &["c"])]);
        assert!(drawn(&s).is_empty());
    }

    #[test]
    fn who_does_most_now_stands_first_and_a_device_that_is_gone_leads_nowhere() {
        let key = |container: &str, number: &str| ContainerDeviceKey {
            container: container.into(),
            major_minor: number.into(),
        };
        let row = |device: Option<&str>, rate: f32, written| {
            Arc::new(ContainerDeviceIo {
                device: device.map(str::to_owned),
                read_bytes: Some(0),
                write_bytes: Some(written),
                writes: Some(3),
                read_bytes_per_sec: Some(0.0),
                write_bytes_per_sec: Some(rate),
                ..ContainerDeviceIo::default()
            })
        };
        let mut s = Snapshot::default();
        s.container_device_io.insert(key("a", "254:0"), row(Some("vda"), 0.0, 4096));
        s.container_device_io.insert(key("a", "7:0"), row(None, 0.0, 9000));
        s.container_device_io.insert(key("a", "8:0"), row(Some("sda"), 5.0, 1));
        s.container_device_io.insert(key("ab", "254:0"), row(Some("vda"), 1.0, 1));
        let names = |uses: &[UseOf]| uses.iter().map(|of| of.name.clone()).collect::<Vec<_>>();
        let devices = devices_of(&s, "a");
        assert_eq!(names(&devices), ["sda", "7:0", "vda"]);
        assert_eq!(devices.iter().map(|of| of.to.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(names(&users_of(&s, &DeviceKey { major_minor: "254:0".into() })), ["ab", "a"]);
        assert!(devices_of(&s, "gone").is_empty());
        let said = devices.last().map(|of| used(&of.row)).unwrap_or_default();
        assert_eq!(said, "0 B read, 4.0 KiB written in 3 since its control group was made");
    }

    #[test]
    fn a_hostile_name_stays_one_word() {
        let key = DeviceKey { major_minor: "7:0".into() };
        let row = Device { name: "a;reboot".into(), ..Device::default() };
        assert_eq!(
            shell_lines(&key, &row).first().map(|c| c.command.clone()).unwrap_or_default(),
            "lsblk --inverse '/dev/a;reboot'"
        );
    }
}
