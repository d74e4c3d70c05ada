//! Mounts of every mount namespace that a process is in, from `/proc/PID/mountinfo`: one process of each is asked, and asked
//! again only when the kernel says that something changed there (see [`watch`]), when that process went, or at its turn.
//!
//! Where a process is, its link `/proc/PID/ns/mnt` tells, which needs CAP_SYS_PTRACE; mountinfo itself needs nothing. So what
//! is hidden is only which processes share a namespace: containers are then read through their init alone. Ids of mounts are
//! unique on the host, by which a namespace read twice is recognised.

mod apart;
mod crew;
mod look;
mod place;
mod row;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::domain::process::{Process, ProcessKey};

pub(crate) use self::apart::{APART, answer as answer_apart};
pub(crate) use self::crew::{Crew, News, Told};
pub(crate) use self::look::{FaultKind, Figures, Job, Passage};
use self::place::{Place, Way};
use self::watch::Watch;
use crate::sys::root::Root;

/// Mounts shown of one namespace.
const MOUNTS_AT_MOST: usize = 4_000;
/// Mounts shown of all namespaces.
const ALL_AT_MOST: usize = 40_000;
/// Namespaces read.
const PLACES_AT_MOST: usize = 2_000;
/// Readings after which a process is asked again where it is (`setns` and `unshare` raise no event), and a namespace read
/// again that is watched: a change of propagation alone raises none either.
const RECHECK: u64 = 60;
/// The same for a namespace that cannot be watched, and for where the watched process is.
const RECHECK_SOON: u64 = 10;

/// What a reading found; the mounts themselves are asked for when they are needed.
#[derive(Debug, Default)]
pub(crate) struct MountReading {
    /// Something differs from the reading before.
    pub changed: bool,
    /// Processes whose namespace is hidden.
    pub hidden: usize,
    /// Mounts that are not shown.
    pub left_out: usize,
    /// Namespaces whose changes are not told by the kernel.
    pub unwatched: usize,
    /// Why the kernel tells of no changes at all; `None` when it does.
    pub deaf: Option<String>,
}

/// Reads mounts and remembers what it read.
pub(crate) struct MountReader {
    root: Root,
    reading: u64,
    /// Inode of each process's namespace; `None` when it is hidden.
    of: HashMap<ProcessKey, Option<u64>>,
    places: BTreeMap<Way, Place>,
    watch: Result<Watch, String>,
    buffer: Vec<u8>,
}

impl MountReader {
    /// A reader that has read nothing yet; its thread begins to wait.
    pub(crate) fn new(root: Root) -> Self {
        let watch = Watch::start(root.clone()).map_err(|error| error.to_string());
        Self { root, reading: 0, of: HashMap::new(), places: BTreeMap::new(), watch, buffer: Vec::new() }
    }

    /// Reads what changed. Of each namespace a process of `preferred` is asked if one is there, and one is asked even when
    /// it is hidden where it is.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        preferred: &BTreeSet<ProcessKey>,
    ) -> MountReading {
        self.reading += 1;
        let told = self.watch.as_ref().map(Watch::take).unwrap_or_default();
        if let Some(why) = told.failed {
            self.watch = Err(why);
        }
        let (ways, hidden) = self.ways(processes, preferred);
        let mut changed = false;
        self.places.retain(|way, _| {
            let stays = ways.contains_key(way);
            changed |= !stays;
            stays
        });
        for (way, process) in &ways {
            let place = self.places.entry(*way).or_default();
            let turn = if told.watched.contains(way) { RECHECK } else { RECHECK_SOON };
            let due = (self.reading + u64::from(process.pid)).is_multiple_of(turn);
            if place.process != Some(*process) || told.changed.contains(way) || due {
                changed |= place.read(&self.root, *way, *process, &mut self.buffer);
            }
        }
        self.find_host();
        for place in self.places.values_mut() {
            changed |= place.mark_host();
        }
        if let Ok(watch) = &self.watch {
            watch.want(&ways);
        }
        let shown: usize = self.shown().map(|place| place.mounts.len()).sum();
        MountReading {
            changed,
            hidden,
            left_out: self.shown().map(|place| place.left_out).sum::<usize>()
                + shown.saturating_sub(ALL_AT_MOST),
            unwatched: ways.keys().filter(|way| !told.watched.contains(way)).count(),
            deaf: self.watch.as_ref().err().cloned(),
        }
    }

    /// All mounts as of the last reading; those of a namespace that could not be read then are as before.
    pub(crate) fn mounts(&self) -> Table<MountKey, Mount> {
        self.shown().flat_map(|place| place.mounts.iter().cloned()).take(ALL_AT_MOST).collect()
    }

    /// The mountpoint of a mount as the kernel has it.
    pub(crate) fn path<'a>(&'a self, key: &MountKey, row: &'a Mount) -> &'a [u8] {
        let way = key.mntns.map_or(Way::Process(row.pid), Way::Namespace);
        let odd = self.places.get(&way).and_then(|place| place.odd_paths.get(&key.mount));
        odd.map_or(row.mountpoint.as_bytes(), Vec::as_slice)
    }

    /// Each namespace once.
    fn shown(&self) -> impl Iterator<Item = &Place> {
        self.places.values().filter(|place| !place.twin)
    }

    /// The namespaces there are, with the process to ask in each; and how many processes hide theirs.
    fn ways(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        preferred: &BTreeSet<ProcessKey>,
    ) -> (BTreeMap<Way, ProcessKey>, usize) {
        self.of.retain(|key, _| processes.contains_key(key));
        let mut ways: BTreeMap<Way, (bool, ProcessKey)> = BTreeMap::new();
        let mut hidden = 0;
        let asked: BTreeSet<ProcessKey> = self.places.values().filter_map(|place| place.process).collect();
        for (key, _) in processes.iter().filter(|(_, row)| !row.kernel_thread) {
            let soon = if asked.contains(key) { RECHECK_SOON } else { RECHECK };
            let turn = (self.reading + u64::from(key.pid)).is_multiple_of(soon);
            let inode = match self.of.get(key) {
                Some(inode) if !turn => *inode,
                Some(_) | None => *self.of.entry(*key).insert_entry(inode_of(&self.root, key.pid)).get(),
            };
            let wanted = preferred.contains(key);
            let way = match inode {
                Some(inode) => Way::Namespace(inode),
                None => {
                    hidden += 1;
                    if !wanted && key.pid != 1 {
                        continue;
                    }
                    Way::Process(key.pid)
                }
            };
            // The oldest is the least likely to end before we are there; pid 1 is not chrooted.
            let better = (!wanted && key.pid != 1, key.start_time, key.pid);
            let held = ways.get(&way).map(|(other, held)| (*other, held.start_time, held.pid));
            if held.is_none_or(|held| better < held) && (ways.len() < PLACES_AT_MOST || held.is_some()) {
                ways.insert(way, (better.0, *key));
            }
        }
        (ways.into_iter().map(|(way, (_, key))| (way, key)).collect(), hidden)
    }

    /// The host's namespace is the one that pid 1 is in. Where that is hidden, its mounts are those read through it; a
    /// namespace that shows the same mounts is the same one, and is told once.
    fn find_host(&mut self) {
        let first = self.of.iter().find(|(key, _)| key.pid == 1).map(|(_, inode)| *inode);
        let host = match first {
            Some(Some(inode)) => Some(Way::Namespace(inode)),
            Some(None) => {
                let id = self.places.get(&Way::Process(1)).and_then(Place::first);
                let same = self.places.iter().find(|(way, place)| {
                    matches!(way, Way::Namespace(_)) && id.is_some() && place.first() == id
                });
                Some(same.map_or(Way::Process(1), |(way, _)| *way))
            }
            None => None,
        };
        let known: BTreeSet<u32> = self
            .places
            .iter()
            .filter(|(way, _)| matches!(way, Way::Namespace(_)))
            .filter_map(|(_, place)| place.first())
            .collect();
        for (way, place) in &mut self.places {
            place.host = Some(*way) == host;
            place.twin =
                matches!(way, Way::Process(_)) && place.first().is_some_and(|id| known.contains(&id));
        }
    }
}

/// Inode of a process's mount namespace, from its link: `mnt:[4026531841]`.
fn inode_of(root: &Root, pid: u32) -> Option<u64> {
    let text = fs::read_link(root.proc_path(format!("{pid}/ns/mnt"))).ok()?;
    text.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests;
