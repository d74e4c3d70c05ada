//! What containers use, from their control groups: v1, hybrid or v2, chosen per controller as the host mounts them.
//!
//! Per container the paths are taken once from `/proc/PID/cgroup` of a member; its files stay open and are read with
//! one `pread` each. Counters go out raw: rates are made in the model. Limits change rarely: every ten seconds.
//! Can miss: what a container did before we first looked after its cgroup was re-created, and mounts of another
//! cgroup namespace that do not lead to the container.

mod device;
mod kernel_log;
mod limit;
mod mount;
mod parse;
mod path;
mod setting;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::cgroup::LimitStat;
use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::domain::host::CgroupMode;
use glasshull_shared::unit::short_id;

pub(crate) use self::kernel_log::KernelLog;
use self::limit::Limits;
use self::mount::{Dir, Mounts};
use self::parse::What;
pub(crate) use self::tree::TreeReading;
use crate::sys::root::Root;

/// How long limits and places stay as they are known.
const SLOW: Duration = Duration::from_secs(10);
/// Larger than any file we read; a longer one is cut, its last line may be lost.
const BUFFER: usize = 32 * 1024;
/// Most notices of one reading.
const NOTICES: usize = 20;

/// One reading of all containers' control groups.
#[derive(Debug, Default)]
pub(crate) struct CgroupReading {
    /// Raw counters and limits; rates are `None`.
    pub(crate) stats: Table<ContainerKey, ContainerStat>,
    /// What belongs to limits; empty unless asked for.
    pub(crate) more: Table<ContainerKey, LimitStat>,
    /// Containers whose freezer is on: paused, also when no engine says so.
    pub(crate) frozen: BTreeSet<ContainerKey>,
    /// What could not be read, for people.
    pub(crate) notices: Vec<String>,
}

/// Reads control groups; keeps files open between readings.
#[derive(Debug)]
pub(crate) struct CgroupReader {
    root: Root,
    mounts: Mounts,
    mounts_at: Instant,
    entries: BTreeMap<ContainerKey, Entry>,
    buffer: Vec<u8>,
    /// Why the mounts are not known; `None` when they are.
    mount_fault: Option<String>,
}

/// What is kept of one container.
#[derive(Debug)]
struct Entry {
    pid: u32,
    dirs: Vec<(What, PathBuf)>,
    files: Vec<(What, File)>,
    limits: Limits,
    /// Its own group by controller, below the mounted hierarchies.
    groups: Vec<(&'static str, String)>,
    /// Files of [`LimitStat`] are open too.
    more: bool,
    looked_at: Instant,
    /// What could not be read of it.
    notices: Vec<String>,
}

impl CgroupReader {
    /// Looks at the mounts below `root`.
    pub(crate) fn new(root: Root) -> Self {
        let now = Instant::now();
        let mut reader = Self {
            root,
            mounts: Mounts::default(),
            mounts_at: now,
            entries: BTreeMap::new(),
            buffer: vec![0; BUFFER],
            mount_fault: None,
        };
        reader.read_mounts(now);
        reader
    }

    /// How the host mounts its control groups.
    pub(crate) fn mode(&self) -> CgroupMode {
        self.mounts.mode()
    }

    /// Makes the next reading take limits anew, after an engine said that they changed.
    pub(crate) fn forget_limits(&mut self) {
        let past = Instant::now().checked_sub(SLOW);
        for entry in self.entries.values_mut() {
            entry.looked_at = past.unwrap_or(entry.looked_at);
        }
    }

    /// Reads every container in `members`, each given by a pid in it (mostly its init). Others are forgotten. `more`: also
    /// what belongs to limits.
    pub(crate) fn read(&mut self, members: &BTreeMap<ContainerKey, u32>, more: bool) -> CgroupReading {
        self.entries.retain(|key, _| members.contains_key(key));
        let now = Instant::now();
        let mut reading = CgroupReading::default();
        let mut notices: BTreeSet<String> = self.mount_fault.iter().cloned().collect();
        for (key, pid) in members {
            let Some(entry) = self.entry(key, (*pid, more), now) else { continue };
            notices.extend(entry.notices.iter().cloned());
            let mut raw = parse::Raw::default();
            if entry.files.iter().all(|(what, file)| read_file(*what, file, &mut self.buffer, &mut raw)) {
                let (mut stat, limit_stat, frozen) = raw.finish();
                entry.limits.put(&mut stat);
                reading.stats.insert(key.clone(), Arc::new(stat));
                if more {
                    reading.more.insert(key.clone(), Arc::new(limit_stat));
                }
                if frozen {
                    reading.frozen.insert(key.clone());
                }
                self.entries.insert(key.clone(), entry);
            }
            // Else the cgroup was removed under us: the next reading looks for it anew.
        }
        reading.notices = notices.into_iter().take(NOTICES).collect();
        reading
    }

    /// The group of each container last read, by controller: paths below the mounted hierarchies.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&ContainerKey, &[(&'static str, String)])> {
        self.entries.iter().map(|(key, entry)| (key, entry.groups.as_slice()))
    }

    /// Every group with its own settings.
    pub(crate) fn tree(&self) -> TreeReading {
        tree::read(&self.mounts.hierarchies())
    }

    /// The entry as it was, or looked up anew when the pid changed or some time has passed. `None` when the process
    /// is gone.
    fn entry(&mut self, key: &ContainerKey, (pid, more): (u32, bool), now: Instant) -> Option<Entry> {
        let known = self.entries.remove(key);
        if let Some(entry) = known.as_ref()
            && entry.pid == pid
            && entry.more == more
            && now.duration_since(entry.looked_at) < SLOW
        {
            return known;
        }
        let mut notices = Vec::new();
        let text = match fs::read(self.root.proc_path(format!("{pid}/cgroup"))) {
            Ok(text) => text,
            Err(error) if has_ended(&error) => return None,
            Err(error) => {
                // Out of descriptors, say: what was known of it still holds.
                notices.push(format!("{}: {error}", short_id(&key.id)));
                return known.filter(|entry| entry.pid == pid).map(|entry| Entry { notices, ..entry });
            }
        };
        let dirs = self.dirs(key, &String::from_utf8_lossy(&text), now, &mut notices);
        let limits = Limits::read(&dirs).unwrap_or_else(|error| {
            notices.push(format!("limits of {}: {error}", short_id(&key.id)));
            known
                .as_ref()
                .filter(|entry| entry.pid == pid)
                .map(|entry| entry.limits.clone())
                .unwrap_or_default()
        });
        let wanted: Vec<(What, PathBuf)> = dirs.iter().flat_map(|dir| files_of(dir, more)).collect();
        let groups = dirs.iter().filter_map(|dir| Some((dir.controller.name(), dir.group()?))).collect();
        // The same path under another pid is another cgroup: the one that was open has been removed.
        let mut files = match known {
            Some(entry) if entry.pid == pid && entry.dirs == wanted => entry.files,
            Some(_) | None => Vec::new(),
        };
        open(&wanted, &mut files, &mut notices);
        Some(Entry { pid, dirs: wanted, files, limits, groups, more, looked_at: now, notices })
    }

    /// The container's own directory per controller.
    fn dirs(&mut self, key: &ContainerKey, text: &str, now: Instant, notices: &mut Vec<String>) -> Vec<Dir> {
        let paths = path::own_paths(text, key);
        let mut dirs = self.mounts.dirs(&paths);
        if dirs.is_empty() && now.duration_since(self.mounts_at) >= SLOW {
            self.read_mounts(now);
            dirs = self.mounts.dirs(&paths);
        }
        if dirs.is_empty() {
            let id = short_id(&key.id);
            notices.push(if paths.is_empty() {
                format!("{id}: has no control group of its own: what it uses cannot be told")
            } else {
                format!(
                    "{id}: its control group is not below any hierarchy mounted here; \
                     in a container, run the agent with --cgroupns host and /sys/fs/cgroup mounted"
                )
            });
        }
        dirs
    }

    fn read_mounts(&mut self, now: Instant) {
        self.mounts_at = now;
        match Mounts::read(&self.root) {
            Ok(mounts) => {
                self.mounts = mounts;
                self.mount_fault = None;
            }
            Err(error) => {
                let path = self.root.proc_path("self/mountinfo");
                self.mount_fault = Some(format!("{}: {error}", path.display()));
            }
        }
    }
}

/// Opens what is not open yet: a controller may have been switched on since.
fn open(wanted: &[(What, PathBuf)], files: &mut Vec<(What, File)>, notices: &mut Vec<String>) {
    for (what, path) in wanted {
        if files.iter().any(|(open, _)| open == what) {
            continue; // a second name for older kernels
        }
        match File::open(path) {
            Ok(file) => files.push((*what, file)),
            // Missing is normal: the kernel or the controller does not have it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => notices.push(format!("{}: {error}", path.display())),
        }
    }
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn files_of(dir: &Dir, more: bool) -> impl Iterator<Item = (What, PathBuf)> + '_ {
    let more = if more { parse::more_files(dir.controller, dir.v2) } else { &[] };
    let files = parse::files(dir.controller, dir.v2).iter().chain(more);
    files.map(|(what, name)| (*what, dir.path.join(name)))
}

/// Reads one file into `raw`; false when the cgroup is gone. A pressure file of a kernel that has PSI switched off
/// fails with EOPNOTSUPP: that is unknown, not gone.
fn read_file(what: What, file: &File, buffer: &mut [u8], raw: &mut parse::Raw) -> bool {
    match file.read_at(buffer, 0) {
        Ok(length) => {
            raw.take(what, &String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()));
            true
        }
        Err(error) => error.raw_os_error() != Some(libc::ENODEV),
    }
}

#[cfg(test)]
mod tests;
