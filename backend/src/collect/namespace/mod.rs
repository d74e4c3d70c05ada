//! Namespaces of all kinds, by every way that leads to one: [`WAYS`] is the list. Fills rows without what is joined
//! (`model::namespace`).
//!
//! Where processes are, and what they hold, is read when they appear and then in turns, some at each reading: `setns`,
//! `unshare` and `open` raise no event. What a namespace is nested in and owned by never changes; it is asked once. Nothing is
//! kept open, since an open descriptor would keep the namespace itself alive.

mod hold;
mod link;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::namespace::{Holder, HolderKind, Namespace, NamespaceKey, NamespaceKind};
use glasshull_shared::domain::process::{Process, ProcessKey};

use self::hold::{Holds, Sockets};
use self::row::{Fact, Members};
use crate::sys::nsfs::{self, Related};
use crate::sys::root::Root;

pub(crate) use self::link::Links;

/// Readings after which a process is asked again where it is.
const RECHECK: u64 = 60;
/// Readings after which a process is asked again what it holds.
const RECHECK_HOLDS: u64 = 30;
/// Readings after which what could not be asked of a namespace is tried again, and its host name read anew.
const RECHECK_FACTS: u64 = 30;
/// Namespaces shown.
const NAMESPACES_AT_MOST: usize = 50_000;

/// What leads to namespaces, in words for people; the order is that of reading.
pub(crate) const WAYS: [(&str, &str); 6] = [
    ("processes", "/proc/PID/ns"),
    ("threads", "/proc/PID/task/TID/ns"),
    ("open descriptors", "/proc/PID/fd"),
    ("sockets", "SIOCGSKNS on /proc/PID/fd"),
    ("bind mounts", "nsfs in /proc/PID/mountinfo"),
    ("parents and owners", "NS_GET_PARENT, NS_GET_USERNS"),
];

/// A namespace that is mounted on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Which one.
    pub key: NamespaceKey,
    /// A process that sees the mount.
    pub pid: u32,
    /// Where it sees it.
    pub path: String,
}

/// What a reading could not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Missed {
    /// Processes whose namespaces are hidden.
    pub hidden: usize,
    /// Processes whose descriptors are hidden.
    pub closed: usize,
    /// Sockets that were not asked yet.
    pub waiting: usize,
    /// Sockets that may not be asked.
    pub mute: usize,
}

/// Finds namespaces and remembers what was read.
pub(crate) struct NamespaceReader {
    root: Root,
    reading: u64,
    /// Where processes are.
    links: HashMap<ProcessKey, Option<Links>>,
    holds: HashMap<ProcessKey, Holds>,
    sockets: Sockets,
    related: BTreeMap<NamespaceKey, Related>,
    /// Could not be asked, with the reading at which that was tried.
    mute: BTreeMap<NamespaceKey, u64>,
    facts: BTreeMap<NamespaceKey, Fact>,
}

impl NamespaceReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            reading: 0,
            links: HashMap::new(),
            holds: HashMap::new(),
            sockets: Sockets::default(),
            related: BTreeMap::new(),
            mute: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Where processes are; those whose links are hidden are left out.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&ProcessKey, &Links)> {
        self.links.iter().filter_map(|(key, links)| Some((key, links.as_ref()?)))
    }

    /// Reads what is new or due.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        mounted: &[Mounted],
    ) -> (Table<NamespaceKey, Namespace>, Missed) {
        self.reading += 1;
        self.links.retain(|key, _| processes.contains_key(key));
        self.holds.retain(|key, _| processes.contains_key(key));
        for (key, row) in processes {
            if self.due(self.links.contains_key(key), key, RECHECK) {
                self.links.insert(*key, link::read(&self.root, key.pid));
            }
            if !row.kernel_thread && self.due(self.holds.contains_key(key), key, RECHECK_HOLDS) {
                let links = self.links.get(key).copied().flatten().unwrap_or_default();
                self.holds.insert(*key, hold::read(&self.root, key.pid, &links));
            }
        }
        self.sockets.ask(&self.holds);
        let members = self.members();
        let mut held = self.held(mounted);
        let known: BTreeSet<NamespaceKey> = members.keys().chain(held.keys()).copied().collect();
        self.relate(&known, &members, &held, mounted);
        self.add_relatives(&known, &mut held);
        self.read_facts(&members);
        let rows = members.keys().chain(held.keys()).copied().collect::<BTreeSet<_>>();
        let rows = rows.into_iter().take(NAMESPACES_AT_MOST).map(|key| {
            let members = members.get(&key);
            let held = held.get(&key).map(Vec::as_slice).unwrap_or_default();
            (key, row::namespace(members, held, self.related.get(&key), self.facts.get(&key)).into())
        });
        let missed = Missed {
            hidden: self.links.values().filter(|links| links.is_none()).count(),
            closed: self.holds.values().filter(|holds| holds.closed).count(),
            waiting: self.sockets.waiting(),
            mute: self.sockets.mute(),
        };
        (rows.collect(), missed)
    }

    fn due(&self, known: bool, key: &ProcessKey, turn: u64) -> bool {
        !known || (self.reading + u64::from(key.pid)).is_multiple_of(turn)
    }

    fn members(&self) -> BTreeMap<NamespaceKey, Members> {
        let mut members: HashMap<NamespaceKey, Members> = HashMap::new();
        for (process, links) in self.links() {
            for kind in NamespaceKind::ALL {
                if let Some(inode) = links[kind.index()] {
                    members.entry(NamespaceKey { kind, inode }).or_default().add(*process);
                }
            }
        }
        members.into_iter().collect()
    }

    /// What holds each namespace besides its processes.
    fn held(&self, mounted: &[Mounted]) -> BTreeMap<NamespaceKey, Vec<Holder>> {
        let mut held: BTreeMap<NamespaceKey, Vec<Holder>> = BTreeMap::new();
        let mut pids: Vec<&ProcessKey> = self.holds.keys().collect();
        pids.sort_unstable_by_key(|key| (key.start_time, key.pid));
        for process in pids {
            let Some(holds) = self.holds.get(process) else { continue };
            for (key, holder) in &holds.namespaces {
                held.entry(*key).or_default().push(holder.clone());
            }
            for (inode, fd) in &holds.sockets {
                if let Some(netns) = self.sockets.netns(*inode) {
                    let key = NamespaceKey { kind: NamespaceKind::Net, inode: netns };
                    held.entry(key).or_default().push(Holder {
                        by: HolderKind::Socket,
                        pid: Some(process.pid),
                        detail: format!("fd {fd}"),
                    });
                }
            }
        }
        for one in mounted {
            held.entry(one.key).or_default().push(Holder {
                by: HolderKind::BindMount,
                pid: Some(one.pid),
                detail: one.path.clone(),
            });
        }
        held
    }

    /// Asks namespaces that are new what they are nested in and owned by.
    fn relate(
        &mut self,
        known: &BTreeSet<NamespaceKey>,
        members: &BTreeMap<NamespaceKey, Members>,
        held: &BTreeMap<NamespaceKey, Vec<Holder>>,
        mounted: &[Mounted],
    ) {
        self.mute.retain(|key, reading| known.contains(key) && *reading + RECHECK_FACTS > self.reading);
        let new = known.iter().filter(|key| !self.related.contains_key(key) && !self.mute.contains_key(key));
        for key in new.copied().collect::<Vec<_>>() {
            let holders = held.get(&key).map(Vec::as_slice).unwrap_or_default();
            let ways = self.ways(key, members.get(&key), holders, mounted);
            match ways.iter().find_map(|way| nsfs::relate(way, key).ok()) {
                Some(found) => self.related.extend(found.into_iter().map(|one| (one.key, one))),
                None => {
                    self.mute.insert(key, self.reading);
                }
            }
        }
    }

    /// Paths that lead to a namespace.
    fn ways(
        &self,
        key: NamespaceKey,
        members: Option<&Members>,
        holders: &[Holder],
        mounted: &[Mounted],
    ) -> Vec<PathBuf> {
        let kind = key.kind.name();
        let processes = members.map(|found| found.oldest.as_slice()).unwrap_or_default();
        let processes = processes.iter().map(|process| format!("{}/ns/{kind}", process.pid));
        let holders = holders.iter().filter_map(|holder| {
            let pid = holder.pid?;
            match holder.by {
                HolderKind::Thread => Some(format!("{pid}/task/{}/ns/{kind}", holder.detail)),
                HolderKind::Descriptor => Some(format!("{pid}/fd/{}", holder.detail.strip_prefix("fd ")?)),
                HolderKind::Process | HolderKind::BindMount | HolderKind::Socket | HolderKind::Namespace => {
                    None
                }
            }
        });
        let mounts = mounted.iter().filter(|one| one.key == key);
        let mounts = mounts.map(|one| format!("{}/root{}", one.pid, one.path));
        processes.chain(holders).chain(mounts).take(16).map(|way| self.root.proc_path(way)).collect()
    }

    /// Those that are known only because others are nested in them or owned by them.
    fn add_relatives(
        &mut self,
        known: &BTreeSet<NamespaceKey>,
        held: &mut BTreeMap<NamespaceKey, Vec<Holder>>,
    ) {
        let mut reached = known.clone();
        let mut next: Vec<NamespaceKey> = known.iter().copied().collect();
        while let Some(key) = next.pop() {
            let Some(related) = self.related.get(&key) else { continue };
            let parent = related.parent.map(|inode| NamespaceKey { kind: key.kind, inode });
            let owner = related.owner.map(|inode| NamespaceKey { kind: NamespaceKind::User, inode });
            for above in parent.into_iter().chain(owner) {
                if reached.insert(above) {
                    next.push(above);
                    held.entry(above).or_default();
                }
                if !known.contains(&above) {
                    let detail = format!("{}:[{}]", key.kind.name(), key.inode);
                    let holder = Holder { by: HolderKind::Namespace, pid: None, detail };
                    let holders = held.entry(above).or_default();
                    if !holders.contains(&holder) {
                        holders.push(holder);
                    }
                }
            }
        }
        self.related.retain(|key, _| reached.contains(key));
    }

    fn read_facts(&mut self, members: &BTreeMap<NamespaceKey, Members>) {
        self.facts.retain(|key, _| members.contains_key(key));
        let mut due = Vec::new();
        for (key, found) in members {
            let turn = (self.reading + key.inode).is_multiple_of(RECHECK_FACTS);
            if Fact::is_of(key.kind) && (turn || !self.facts.contains_key(key)) {
                due.push((*key, found.oldest.as_slice()));
            }
        }
        self.facts.extend(row::facts(&self.root, &due));
    }
}

#[cfg(test)]
mod tests;
