//! Which network namespaces there are: the agent's own, those of processes (`/proc/PID/ns/net`), and those that a bind mount
//! gives a name (`/run/netns`, as `ip netns` makes them; `/run/docker/netns`, as engines do).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::unit::printable_bytes as printable;

use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Folders of named namespaces; only the first gives names that a person chose.
const NAMED: [&str; 2] = ["/run/netns", "/run/docker/netns"];
/// Processes of a namespace through which it is tried to be entered.
const WAYS_AT_MOST: usize = 8;
/// Readings after which a process is asked again where it is: `setns` and `unshare` raise no event.
const RECHECK: u64 = 60;

/// Finds network namespaces and remembers where each process is.
pub(super) struct Namespaces {
    root: Root,
    own: u64,
    reading: u64,
    /// Inode, or `None` when it is hidden.
    of: HashMap<ProcessKey, Option<u64>>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How to get into each, the agent's own first.
    pub(super) targets: Vec<Target>,
    /// Its processes, oldest first.
    pub(super) members: BTreeMap<u64, Vec<ProcessKey>>,
    /// Names below `/run/netns`.
    pub(super) names: BTreeMap<u64, String>,
    /// All that have a name, with the paths that give them one.
    pub(super) named: BTreeMap<u64, Vec<PathBuf>>,
    /// Processes whose namespace is hidden.
    pub(super) hidden: Vec<ProcessKey>,
}

impl Namespaces {
    pub(super) fn new(root: Root) -> Self {
        Self { root, own: 0, reading: 0, of: HashMap::new() }
    }

    /// Inode of the agent's own namespace.
    pub(super) fn own(&self) -> u64 {
        self.own
    }

    pub(super) fn read(&mut self, processes: &Table<ProcessKey, Process>) -> io::Result<Found> {
        self.reading += 1;
        let own_path = self.root.proc_path("self/ns/net");
        self.own = fs::metadata(&own_path)?.ino();
        let mut found = Found::default();
        let mut paths = BTreeMap::from([(self.own, vec![own_path])]);
        self.of.retain(|key, _| processes.contains_key(key));
        for (key, _) in processes.iter().filter(|(_, row)| !row.kernel_thread) {
            let turn = (self.reading + u64::from(key.pid)).is_multiple_of(RECHECK);
            let inode = match self.of.get(key) {
                Some(inode) if !turn => *inode,
                Some(_) | None => *self.of.entry(*key).insert_entry(inode_of(&way(&self.root, key))).get(),
            };
            let Some(inode) = inode else {
                found.hidden.push(*key);
                continue;
            };
            found.members.entry(inode).or_default().push(*key);
        }
        self.read_named(&mut paths, &mut found);
        for (inode, members) in &mut found.members {
            // The oldest is the least likely to end before we are there.
            members.sort_unstable_by_key(|key| (key.start_time, key.pid));
            let ways = members.iter().take(WAYS_AT_MOST).map(|key| way(&self.root, key));
            paths.entry(*inode).or_default().extend(ways);
        }
        let own = paths.remove_entry(&self.own);
        found.targets = own.into_iter().chain(paths).map(|(inode, paths)| Target { inode, paths }).collect();
        Ok(found)
    }

    fn read_named(&self, paths: &mut BTreeMap<u64, Vec<PathBuf>>, found: &mut Found) {
        // A bind mount is on another device than the folder it is in; a file left behind by a dead one is not.
        for (i, folder) in NAMED.iter().enumerate() {
            let folder = self.root.host_path(folder);
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let device = device_of(&folder);
            for entry in entries.flatten() {
                let Ok(meta) = fs::metadata(entry.path()) else { continue };
                if Some(meta.dev()) == device {
                    continue;
                }
                paths.entry(meta.ino()).or_default().push(entry.path());
                found.named.entry(meta.ino()).or_default().push(entry.path());
                if i == 0 {
                    // Of two names for one namespace the first counts.
                    let name = || printable(entry.file_name().as_encoded_bytes());
                    found.names.entry(meta.ino()).or_insert_with(name);
                }
            }
        }
    }
}

/// The way in through a process.
fn way(root: &Root, key: &ProcessKey) -> PathBuf {
    root.proc_path(format!("{}/ns/net", key.pid))
}

/// Inode of the namespace a `/proc/PID/ns` link names, from its text: `net:[4026531840]`.
fn inode_of(path: &Path) -> Option<u64> {
    let text = fs::read_link(path).ok()?;
    text.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn device_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.dev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_process_is_found_where_it_is_and_forgotten_when_it_ends() {
        let mut namespaces = Namespaces::new(Root::host());
        let key = ProcessKey { pid: std::process::id(), start_time: 1 };
        let table = Table::from([(key, Arc::new(Process::default()))]);
        let found = namespaces.read(&table).unwrap();
        assert_eq!(found.targets[0].inode, namespaces.own());
        assert_eq!(found.members[&namespaces.own()], [key]);
        let found = namespaces.read(&Table::new()).unwrap();
        assert!(found.members.is_empty() && namespaces.of.is_empty());
    }

    #[test]
    fn a_link_of_another_kind_is_no_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("net");
        for (text, inode) in [("net:[12]", Some(12)), ("mnt:[12]", None), ("net:[x]", None), ("", None)] {
            let _ = fs::remove_file(&link);
            if !text.is_empty() {
                std::os::unix::fs::symlink(text, &link).unwrap();
            }
            assert_eq!(inode_of(&link), inode, "{text}");
        }
    }
}
