//! What mounts mean: whose they are, what lies beneath others, what of the host is mounted into a container and whether it
//! may write there. Pure; rows come from `collect::mount`, what was declared from engines.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::{Declared, DeclaredMount};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::mount::{FromHost, Mount, MountKey, MountOrigin};
use glasshull_shared::domain::process::{Process, ProcessKey};

/// File systems of the kernel's own, which hold no files of the host's.
const KERNEL: [&str; 18] = [
    "autofs",
    "bpf",
    "binfmt_misc",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "sysfs",
    "tracefs",
];
/// What every runtime makes for each container.
const RUNTIME_MADE: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/dev/shm",
    "/dev/termination-log",
    "/run/.containerenv",
];

/// Fills in what is derived. `processes` must have their containers joined already.
pub(crate) fn join_mounts(
    mounts: &mut Table<MountKey, Mount>,
    processes: &Table<ProcessKey, Process>,
    declared: &Table<ContainerKey, Declared>,
) {
    let hidden = overmounted(mounts);
    let host = HostPaths::new(mounts, &hidden);
    let mut containers: HashMap<u32, Option<String>> = HashMap::new();
    let derived: Vec<_> = mounts
        .iter()
        .zip(&hidden)
        .map(|((_, row), overmounted)| {
            let container = match row.host {
                true => None,
                false => {
                    containers.entry(row.pid).or_insert_with(|| container_of(row.pid, processes)).clone()
                }
            };
            let from_host = container
                .as_ref()
                .and_then(|_| host.path(row))
                .map(|path| FromHost { path, writable: !row.read_only });
            let told = container.as_ref().and_then(|id| declared.get(&ContainerKey { id: id.clone() }));
            let origin =
                origin(row, container.as_deref(), from_host.as_ref(), told.map(|told| &told.mounts[..]));
            (container, *overmounted, origin, from_host)
        })
        .collect();
    for (row, (container, overmounted, origin, from_host)) in mounts.values_mut().zip(derived) {
        let same = row.overmounted == overmounted && row.origin == origin;
        if same && row.container == container && row.from_host == from_host {
            continue;
        }
        let row = Arc::make_mut(row);
        (row.container, row.overmounted, row.origin, row.from_host) =
            (container, overmounted, origin, from_host);
    }
}

fn container_of(pid: u32, processes: &Table<ProcessKey, Process>) -> Option<String> {
    let range = ProcessKey { pid, start_time: 0 }..=ProcessKey { pid, start_time: u64::MAX };
    processes.range(range).next().and_then(|(_, row)| row.container.clone())
}

/// For each mount, in the table's order, whether nobody in its namespace can reach it.
///
/// A mount is reached through the one it is on, at its mountpoint. That fails when the latter is not reached itself, or when
/// another mount on it lies at a folder above. What lies at its very root hides the mount itself.
fn overmounted(mounts: &Table<MountKey, Mount>) -> Vec<bool> {
    // What is mounted on each mount: mountpoints, and which mount is there.
    let mut on: HashMap<(Option<u64>, u32), HashMap<&str, u32>> = HashMap::new();
    for (key, row) in mounts.iter().filter(|(key, row)| row.parent != key.mount) {
        // Of two at the same place the one mounted later counts; ids mostly grow.
        on.entry((key.mntns, row.parent)).or_default().insert(&row.mountpoint, key.mount);
    }
    let mut reached: HashMap<MountKey, bool> = HashMap::new();
    let covered = |parent: u32, key: &MountKey, row: &Mount, floor: &str| {
        let Some(others) = on.get(&(key.mntns, parent)) else { return false };
        above(&row.mountpoint)
            .take_while(|path| path.len() >= floor.len())
            .any(|path| others.get(path).is_some_and(|other| *other != key.mount))
    };
    for key in mounts.keys() {
        // From the mount up to one that is known; a loop, which the kernel never tells, ends at a mount seen twice.
        let (mut chain, mut at) = (Vec::new(), *key);
        while !reached.contains_key(&at) && !chain.contains(&at) {
            let Some(row) = mounts.get(&at) else { break };
            chain.push(at);
            at = MountKey { mntns: at.mntns, mount: row.parent };
        }
        for at in chain.into_iter().rev() {
            let Some(row) = mounts.get(&at) else { continue };
            let parent = MountKey { mntns: at.mntns, mount: row.parent };
            let on_reached = reached.get(&parent).copied().unwrap_or(true);
            let floor = mounts.get(&parent).filter(|_| parent != at).map(|row| row.mountpoint.as_str());
            let lies_open = floor.is_none_or(|floor| !covered(row.parent, &at, row, floor));
            reached.insert(at, on_reached && lies_open);
        }
    }
    mounts
        .iter()
        .map(|(key, row)| {
            let topped = on.get(&(key.mntns, key.mount)).is_some_and(|on| on.contains_key(&*row.mountpoint));
            topped || reached.get(key) == Some(&false)
        })
        .collect()
}

/// A path and all folders above it, from the longest on: `/a/b`, `/a`, `/`.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        Some(0) if path.len() > 1 => Some("/"),
        Some(at) if at > 0 => path.get(..at),
        Some(_) | None => None,
    })
}

/// Where the host has which file systems.
struct HostPaths<'a> {
    /// By device: root and mountpoint of each mount, those that can be reached first.
    by_device: BTreeMap<&'a str, Vec<(&'a str, &'a str)>>,
}

impl<'a> HostPaths<'a> {
    fn new(mounts: &'a Table<MountKey, Mount>, hidden: &[bool]) -> Self {
        let mut by_device: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for wanted in [false, true] {
            let hosts = mounts.values().zip(hidden).filter(|(row, hidden)| row.host && **hidden == wanted);
            for (row, _) in hosts {
                by_device.entry(&row.device).or_default().push((&row.root, &row.mountpoint));
            }
        }
        Self { by_device }
    }

    /// The host's path of what a mount shows; `None` when the host has not mounted that part.
    fn path(&self, row: &Mount) -> Option<String> {
        let mounts = self.by_device.get(row.device.as_str())?;
        let below =
            mounts.iter().filter_map(|(root, point)| Some((root.len(), point, below(root, &row.root)?)));
        // Of equals the first: `max_by_key` would take the last.
        let best = below.rev().max_by_key(|(deep, ..)| *deep)?;
        let (_, point, rest) = best;
        let joined = format!("{}/{rest}", point.trim_end_matches('/'));
        Some(if joined.len() > 1 { joined.trim_end_matches('/').to_owned() } else { joined })
    }
}

/// The rest of a path below a folder.
fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// What a mount is to its container.
fn origin(
    row: &Mount,
    container: Option<&str>,
    from_host: Option<&FromHost>,
    declared: Option<&[DeclaredMount]>,
) -> MountOrigin {
    let Some(container) = container else { return MountOrigin::Host };
    if row.mountpoint == "/" {
        return MountOrigin::Root;
    }
    let path = from_host.map_or("", |from| from.path.as_str());
    // The engine's path may lead over links (`/var/run`): a mount is recognised by either end.
    let asked = |one: &&DeclaredMount| {
        below(&one.destination, &row.mountpoint).is_some() || (!one.source.is_empty() && one.source == path)
    };
    match declared.unwrap_or_default().iter().filter(asked).max_by_key(|one| one.destination.len()) {
        Some(one) if one.kind == "tmpfs" || from_host.is_none() => return MountOrigin::Own,
        Some(one) if one.kind == "volume" => return MountOrigin::Volume,
        Some(_) => return MountOrigin::HostPath,
        None => {}
    }
    if KERNEL.contains(&row.fstype.as_str()) || from_host.is_none() {
        MountOrigin::Own
    } else if row.mountpoint == "/dev/shm" && path == "/dev/shm" {
        MountOrigin::HostPath // `--ipc host`: the host's own shared memory
    } else if RUNTIME_MADE.contains(&row.mountpoint.as_str()) || path.contains(container) {
        MountOrigin::Runtime
    } else if path.contains("/volumes/") && path.ends_with("/_data") {
        MountOrigin::Volume
    } else {
        MountOrigin::HostPath
    }
}

#[cfg(test)]
mod tests;
