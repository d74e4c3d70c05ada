//! What a process holds besides the namespaces it is in: threads of it that are elsewhere, descriptors of `nsfs`, and sockets
//! that were made in another network namespace.

use std::collections::{HashMap, HashSet};

use glasshull_shared::domain::namespace::{Holder, HolderKind, NamespaceKey, NamespaceKind};
use glasshull_shared::domain::process::ProcessKey;
use rustix::fs::{Mode, OFlags, open, readlinkat};
use rustix::io::Errno;

use super::link::{self, Links};
use crate::sys::nsfs;
use crate::sys::procfile::list_numbers;
use crate::sys::root::Root;

/// Descriptors read of one process.
const DESCRIPTORS_AT_MOST: usize = 16_384;
/// Threads read of one process.
const THREADS_AT_MOST: usize = 512;
/// Namespaces remembered that one process holds.
const HELD_AT_MOST: usize = 1024;
/// Sockets asked at one reading.
const SOCKETS_AT_ONCE: usize = 4096;
/// The kinds that a thread can change for itself alone.
const OF_THREADS: [NamespaceKind; 5] =
    [NamespaceKind::Mnt, NamespaceKind::Uts, NamespaceKind::Ipc, NamespaceKind::Net, NamespaceKind::Cgroup];

/// What one process holds.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) namespaces: Vec<(NamespaceKey, Holder)>,
    /// Inode and descriptor.
    pub(super) sockets: Vec<(u64, u32)>,
    /// Its descriptors are hidden.
    pub(super) closed: bool,
}

/// Reads what a process holds; `links` is where its first thread is.
pub(super) fn read(root: &Root, pid: u32, links: &Links) -> Holds {
    let mut holds = Holds::default();
    read_threads(root, pid, links, &mut holds);
    read_descriptors(root, pid, &mut holds);
    holds
}

fn read_threads(root: &Root, pid: u32, links: &Links, holds: &mut Holds) {
    // Two for the folder itself, one for each thread: spares the listing for most processes.
    let folder = root.proc_path(format!("{pid}/task"));
    if !rustix::fs::stat(&folder).is_ok_and(|stat| stat.st_nlink > 3) {
        return;
    }
    let threads = list_numbers(&folder).unwrap_or_default();
    for thread in threads.into_iter().filter(|thread| *thread != pid).take(THREADS_AT_MOST) {
        let own = link::of_folder(&folder.join(format!("{thread}/ns")), &OF_THREADS);
        for kind in OF_THREADS {
            let Some(inode) = own[kind.index()].filter(|_| own[kind.index()] != links[kind.index()]) else {
                continue;
            };
            holds.add(NamespaceKey { kind, inode }, HolderKind::Thread, pid, thread.to_string());
        }
    }
}

fn read_descriptors(root: &Root, pid: u32, holds: &mut Holds) {
    let path = root.proc_path(format!("{pid}/fd"));
    let fds = match list_numbers(&path) {
        Ok(fds) => fds,
        Err(error) => {
            holds.closed = matches!(error, Errno::ACCESS | Errno::PERM);
            return;
        }
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = open(&path, flags, Mode::empty()) else { return };
    let mut buffer = Vec::new();
    for fd in fds.into_iter().take(DESCRIPTORS_AT_MOST) {
        let Ok(text) = readlinkat(&folder, fd.to_string(), buffer) else {
            buffer = Vec::new();
            continue;
        };
        if let Ok(text) = text.to_str() {
            let socket = text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = socket.and_then(|inode| inode.parse().ok()) {
                holds.sockets.push((inode, fd));
            } else if let Some(key) = link::parse(text) {
                holds.add(key, HolderKind::Descriptor, pid, format!("fd {fd}"));
            }
        }
        buffer = text.into_bytes();
    }
}

impl Holds {
    fn add(&mut self, key: NamespaceKey, by: HolderKind, pid: u32, detail: String) {
        if self.namespaces.len() < HELD_AT_MOST {
            self.namespaces.push((key, Holder { by, pid: Some(pid), detail }));
        }
    }
}

/// In which network namespace each socket was made: asked once, since that never changes.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// By the socket's inode; `None` when it may not be asked.
    netns: HashMap<u64, Option<u64>>,
    waiting: usize,
}

impl Sockets {
    /// Asks those that are new, a bounded number of them.
    pub(super) fn ask(&mut self, holds: &HashMap<ProcessKey, Holds>) {
        let held: HashSet<u64> =
            holds.values().flat_map(|holds| holds.sockets.iter().map(|(inode, _)| *inode)).collect();
        self.netns.retain(|inode, _| held.contains(inode));
        self.waiting = held.len().saturating_sub(self.netns.len());
        if self.waiting == 0 {
            return;
        }
        let mut room = SOCKETS_AT_ONCE;
        for (process, holds) in holds {
            let new = holds.sockets.iter().filter(|(inode, _)| !self.netns.contains_key(inode)).take(room);
            let (inodes, fds): (Vec<u64>, Vec<u32>) = new.copied().unzip();
            room -= fds.len();
            if fds.is_empty() {
                continue;
            }
            let found = nsfs::netns_of_sockets(process.pid, &fds).unwrap_or_else(|_| vec![None; fds.len()]);
            self.netns.extend(inodes.into_iter().zip(found));
        }
        self.waiting = held.len().saturating_sub(self.netns.len());
    }

    /// Where a socket was made, when that is known.
    pub(super) fn netns(&self, inode: u64) -> Option<u64> {
        self.netns.get(&inode).copied().flatten()
    }

    /// Not asked yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// May not be asked.
    pub(super) fn mute(&self) -> usize {
        self.netns.values().filter(|netns| netns.is_none()).count()
    }
}
