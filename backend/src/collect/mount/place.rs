//! A mount namespace as it was last read, and the way to it.

use std::collections::HashMap;
use std::sync::Arc;

use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::domain::process::ProcessKey;

use super::{MOUNTS_AT_MOST, inode_of, row};
use crate::sys::mountinfo;
use crate::sys::procfile::read_whole;
use crate::sys::root::Root;

/// Largest file read: some thousand mounts of overlays with many layers.
const FILE_BYTES: usize = 8 << 20;

/// How a namespace is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// By its inode.
    Namespace(u64),
    /// By a process in it, whose link is hidden.
    Process(u32),
}

impl Way {
    fn inode(self) -> Option<u64> {
        match self {
            Self::Namespace(inode) => Some(inode),
            Self::Process(_) => None,
        }
    }
}

/// What was read of a namespace.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Who was asked; `None` when that failed.
    pub(super) process: Option<ProcessKey>,
    /// In the kernel's order.
    pub(super) mounts: Vec<(MountKey, Arc<Mount>)>,
    pub(super) left_out: usize,
    /// Mountpoints as the kernel has them, of mounts whose row shows them otherwise: made safe, or cut.
    pub(super) odd_paths: HashMap<u32, Vec<u8>>,
    /// It is the host's.
    pub(super) host: bool,
    /// Another place is the same namespace.
    pub(super) twin: bool,
}

impl Place {
    /// Id of its first mount: its root.
    pub(super) fn first(&self) -> Option<u32> {
        self.mounts.first().map(|(key, _)| key.mount)
    }

    /// Reads it through a process; says whether anything differs. A process that vanishes or goes elsewhere meanwhile
    /// leaves all as it was: the next reading asks another.
    pub(super) fn read(&mut self, root: &Root, way: Way, process: ProcessKey, buffer: &mut Vec<u8>) -> bool {
        self.process = None;
        if read_whole(&root.proc_path(format!("{}/mountinfo", process.pid)), buffer, FILE_BYTES).is_err() {
            return false;
        }
        if let Some(inode) = way.inode()
            && inode_of(root, process.pid) != Some(inode)
        {
            return false;
        }
        // Of a process that is ending the file is empty, of a namespace never.
        let mut lines = mountinfo::lines(buffer).peekable();
        if lines.peek().is_none() {
            return false;
        }
        self.process = Some(process);
        let mut odd_paths = HashMap::new();
        let mounts: Vec<_> = lines
            .by_ref()
            .take(MOUNTS_AT_MOST)
            .map(|line| {
                let key = MountKey { mntns: way.inode(), mount: line.id };
                let row = row::mount(&line, process.pid, self.host);
                let path = mountinfo::unescape(line.mountpoint);
                if path != row.mountpoint.as_bytes() {
                    odd_paths.insert(line.id, path);
                }
                (key, Arc::new(row))
            })
            .collect();
        self.odd_paths = odd_paths;
        self.left_out = lines.count();
        let changed = mounts != self.mounts;
        if changed {
            self.mounts = mounts;
        }
        changed
    }

    /// Says in its rows whether it is the host's, when that is news.
    pub(super) fn mark_host(&mut self) -> bool {
        let mut changed = false;
        for (_, row) in self.mounts.iter_mut().filter(|(_, row)| row.host != self.host) {
            Arc::make_mut(row).host = self.host;
            changed = true;
        }
        changed
    }
}
