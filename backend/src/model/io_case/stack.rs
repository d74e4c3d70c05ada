//! What lies on what: from a block device up to the file systems on it, through partitions, device-mapper and files that serve as
//! disks.

use std::collections::HashMap;

use glasshull_shared::domain::device::{Device, DeviceKey, DeviceKind, DeviceStat};
use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::snapshot::Snapshot;

/// Layers at most; loops in what is told end there.
const DEEPEST: usize = 16;
/// Less at work than this, no device makes anybody wait.
const AT_WORK: f32 = 0.05;
/// Devices nearly as busy as the busiest: among them, the longest queue tells.
const NEARLY: f32 = 0.7;
/// By how much the one of the last judgement goes before others.
const KEPT: f32 = 1.5;

/// A mount by its key.
pub(super) type Place<'a> = (&'a MountKey, &'a Mount);

/// Devices and mounts, ready to be asked.
pub(super) struct Stack<'a> {
    snapshot: &'a Snapshot,
    /// By the kernel's name and by device-mapper's.
    names: HashMap<&'a str, &'a DeviceKey>,
    /// Those of the host that are reached, the longest path first.
    host: Vec<Place<'a>>,
}

impl<'a> Stack<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut names = HashMap::new();
        for (key, row) in &snapshot.device {
            names.insert(row.name.as_str(), key);
            if let Some(name) = &row.dm_name {
                names.insert(name.as_str(), key);
            }
        }
        let host = snapshot.mount.iter().filter(|(_, row)| row.host && !row.overmounted);
        let mut host: Vec<Place<'a>> = host.map(|(key, row)| (key, &**row)).collect();
        host.sort_by_key(|(key, row)| (std::cmp::Reverse(row.mountpoint.len()), **key));
        Self { snapshot, names, host }
    }

    pub(super) fn device(&self, key: &DeviceKey) -> Option<(&'a Device, &'a DeviceStat)> {
        Some((self.snapshot.device.get(key)?, self.snapshot.device_stat.get(key)?))
    }

    pub(super) fn busy(&self, key: &DeviceKey) -> f32 {
        self.snapshot.device_stat.get(key).and_then(|row| row.utilization_ratio).unwrap_or_default()
    }

    /// The device at the bottom of a stack at which most requests queue; the one of the last judgement unless another is
    /// clearly ahead.
    pub(super) fn busiest(&self, before: Option<&DeviceKey>) -> Option<&'a DeviceKey> {
        let bottoms = self.snapshot.device.iter().filter(|(_, row)| row.parents.is_empty());
        let bottoms: Vec<_> =
            bottoms.map(|(key, _)| (key, self.busy(key))).filter(|(_, busy)| *busy >= AT_WORK).collect();
        let most = bottoms.iter().map(|(_, busy)| *busy).fold(0.0, f32::max);
        let queue = |key: &DeviceKey| {
            let mean = self.snapshot.device_stat.get(key).and_then(|row| row.queue_length);
            mean.unwrap_or_default() * if before == Some(key) { KEPT } else { 1.0 }
        };
        let nearly = bottoms.into_iter().filter(|(_, busy)| *busy >= most * NEARLY);
        nearly.max_by(|a, b| queue(a.0).total_cmp(&queue(b.0))).map(|(key, _)| key)
    }

    /// What a device lies on.
    fn below(&self, key: &DeviceKey) -> Vec<&'a DeviceKey> {
        let Some(row) = self.snapshot.device.get(key) else { return Vec::new() };
        let parents = row.parents.iter().filter_map(|name| self.names.get(name.as_str()).copied());
        let file = row.backing_file.as_deref().filter(|_| row.kind == DeviceKind::Loop);
        parents.chain(file.and_then(|file| self.of_mount(self.place(file)?.1))).collect()
    }

    /// From the bottom to the top, both included; `None` when the one does not lie on the other. Without a bottom the top is its
    /// own: at which layer below requests queue is not known then.
    pub(super) fn way(&self, top: &'a DeviceKey, bottom: Option<&DeviceKey>) -> Option<Vec<&'a DeviceKey>> {
        bottom.map_or_else(|| Some(vec![top]), |bottom| self.descend(top, bottom, 0))
    }

    fn descend(&self, top: &'a DeviceKey, bottom: &DeviceKey, depth: usize) -> Option<Vec<&'a DeviceKey>> {
        if top == bottom {
            return Some(vec![top]);
        }
        if depth >= DEEPEST {
            return None;
        }
        let mut below = self.below(top);
        below.sort_by(|a, b| self.busy(b).total_cmp(&self.busy(a)));
        let mut way = below.into_iter().find_map(|key| self.descend(key, bottom, depth + 1))?;
        way.push(top);
        Some(way)
    }

    /// The host's mount that a path of the host leads through.
    pub(super) fn place(&self, path: &str) -> Option<Place<'a>> {
        self.host.iter().copied().find(|(_, row)| is_in(path, &row.mountpoint))
    }

    /// The device of a mount's file system; of an overlay the one that holds its writable layer. By number, and where that is of
    /// no device (btrfs) by the name it was mounted by.
    pub(super) fn of_mount(&self, row: &'a Mount) -> Option<&'a DeviceKey> {
        if let Some(upper) = row.overlay.as_ref().and_then(|overlay| overlay.upper.as_deref()) {
            let (_, holder) = self.place(upper)?;
            // An overlay on an overlay, of an engine in a container: its place is not followed further.
            return holder.overlay.is_none().then(|| self.of_mount(holder)).flatten();
        }
        self.numbered(&row.device).or_else(|| {
            let name = row.source.strip_prefix("/dev/")?;
            self.names.get(name.strip_prefix("mapper/").unwrap_or(name)).copied()
        })
    }

    /// The device of that number.
    pub(super) fn numbered(&self, major_minor: &str) -> Option<&'a DeviceKey> {
        let key = DeviceKey { major_minor: major_minor.to_owned() };
        self.snapshot.device.get_key_value(&key).map(|(key, _)| key)
    }

    /// The host's file system on that device that is most at work, with the way up to it.
    pub(super) fn busiest_mount(&self, bottom: &DeviceKey) -> Option<(Place<'a>, Vec<&'a DeviceKey>)> {
        let ways = self.host.iter().filter_map(|place| {
            let top = self.of_mount(place.1).filter(|_| place.1.overlay.is_none())?;
            Some((self.busy(top), *place, self.way(top, Some(bottom))?))
        });
        // Of equals the shortest path: the others are binds of it.
        let rank = |busy: f32, place: Place<'a>| (busy, std::cmp::Reverse(place.1.mountpoint.len()));
        let best = ways.max_by(|a, b| {
            let (a, b) = (rank(a.0, a.1), rank(b.0, b.1));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        });
        best.map(|(_, place, way)| (place, way))
    }

    /// A mount by its id, which is unique on a host.
    pub(super) fn mount(&self, id: u64) -> Option<Place<'a>> {
        let same = |key: &MountKey| u64::from(key.mount) == id;
        self.snapshot.mount.iter().find(|(key, _)| same(key)).map(|(key, row)| (key, &**row))
    }
}

/// Whether a path lies in that folder.
fn is_in(path: &str, folder: &str) -> bool {
    match path.strip_prefix(folder.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
