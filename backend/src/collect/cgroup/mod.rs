//! What containers use, from their control groups: v1, hybrid or v2, chosen per controller as the host mounts them.
//!
//! Per container the paths are taken once from `/proc/PID/cgroup` of a member; its files stay open and are read with
//! one `pread` each. Counters go out raw: rates are made in the model. Limits change rarely: every ten seconds. Of who used no
//! CPU time for some readings, CPU time and freezer alone are read, the rest now and then.
//! Can miss: what a container did before we first looked after its cgroup was re-created, and mounts of another
//! cgroup namespace that do not lead to the container.

mod block;
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
use glasshull_shared::domain::container::{
    ContainerDeviceIo, ContainerDeviceKey, ContainerKey, ContainerStat,
};
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
/// Readings without CPU time used or block I/O counted after which a container counts as quiet.
const ACTIVE_READINGS: u64 = 3;
/// Of quiet containers all is read every so many readings: others may take memory from them, and write their pages.
const QUIET_READINGS: u64 = 5;
/// Larger than any file we read; a longer one is cut, its last line may be lost.
const BUFFER: usize = 32 * 1024;
/// Most notices of one reading.
const NOTICES: usize = 20;

/// What is read beyond what containers use in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extra {
    /// What belongs to limits.
    pub(crate) limits: bool,
    /// Block I/O by device.
    pub(crate) devices: bool,
}

/// One reading of all containers' control groups.
#[derive(Debug, Default)]
pub(crate) struct CgroupReading {
    /// Raw counters and limits; rates are `None`.
    pub(crate) stats: Table<ContainerKey, ContainerStat>,
    /// What belongs to limits; empty unless asked for.
    pub(crate) more: Table<ContainerKey, LimitStat>,
    /// Block I/O by device, raw and without names; empty unless asked for.
    pub(crate) devices: Table<ContainerDeviceKey, ContainerDeviceIo>,
    /// Containers whose freezer is on: paused, also when no engine says so.
    pub(crate) frozen: BTreeSet<ContainerKey>,
    /// Nanoseconds over which the counters of who was quiet grew to what they are, where that is longer than since the last
    /// reading. CPU time is not among them.
    pub(crate) gaps: BTreeMap<ContainerKey, u64>,
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
    readings: u64,
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
    /// Which files are open beside the usual ones.
    extra: Extra,
    looked_at: Instant,
    /// What could not be read of it.
    notices: Vec<String>,
    /// What was read of it last; `None` before.
    last: Option<Last>,
    /// Up to which reading all is read each time.
    active_until: u64,
}

/// All of a container's files as they were read.
#[derive(Debug)]
struct Last {
    stat: Arc<ContainerStat>,
    /// False when other limits, or other files, make another row.
    holds: bool,
    reading: u64,
    at: Instant,
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
            readings: 0,
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

    /// Whether v1 counts block I/O here.
    pub(crate) fn counts_by_v1(&self) -> bool {
        self.mounts.has_v1("blkio")
    }

    /// Reads every container in `members`, each given by a pid in it (mostly its init). Others are forgotten.
    pub(crate) fn read(&mut self, members: &BTreeMap<ContainerKey, u32>, extra: Extra) -> CgroupReading {
        self.entries.retain(|key, _| members.contains_key(key));
        let now = Instant::now();
        self.readings += 1;
        let mut reading = CgroupReading::default();
        let mut notices: BTreeSet<String> = self.mount_fault.iter().cloned().collect();
        for (key, pid) in members {
            let Some(mut entry) = self.entry(key, (*pid, extra), now) else { continue };
            notices.extend(entry.notices.iter().cloned());
            if let Some((stat, frozen)) = entry.quiet((self.readings, now), extra, &mut self.buffer) {
                reading.stats.insert(key.clone(), stat);
                if frozen {
                    reading.frozen.insert(key.clone());
                }
                self.entries.insert(key.clone(), entry);
                continue;
            }
            let mut raw = parse::Raw::new(extra);
            if entry.files.iter().all(|(what, file)| read_file(*what, file, &mut self.buffer, &mut raw)) {
                let mut told = raw.finish();
                entry.limits.put(&mut told.stat);
                let stat = Arc::new(told.stat);
                if let Some(gap) = entry.keep(self.readings, &stat) {
                    reading.gaps.insert(key.clone(), gap);
                }
                reading.stats.insert(key.clone(), stat);
                if extra.limits {
                    reading.more.insert(key.clone(), Arc::new(told.more));
                }
                let of = |major_minor| ContainerDeviceKey { container: key.id.clone(), major_minor };
                reading.devices.extend(told.devices.into_iter().map(|(at, row)| (of(at), Arc::new(row))));
                if told.frozen {
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
    fn entry(&mut self, key: &ContainerKey, (pid, extra): (u32, Extra), now: Instant) -> Option<Entry> {
        let known = self.entries.remove(key);
        if let Some(entry) = known.as_ref()
            && entry.pid == pid
            && entry.extra == extra
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
        let wanted: Vec<(What, PathBuf)> = dirs.iter().flat_map(|dir| files_of(dir, extra)).collect();
        let groups: Vec<_> =
            dirs.iter().filter_map(|dir| Some((dir.controller.name(), dir.group()?))).collect();
        // The same path under another pid is another cgroup: the one that was open has been removed.
        let (mut files, last, active_until) = match known {
            Some(entry) if entry.pid == pid && entry.groups == groups => {
                let same = entry.dirs == wanted;
                let holds = |last: Last| Last { holds: last.holds && same && entry.limits == limits, ..last };
                let files = if same { entry.files } else { Vec::new() };
                (files, entry.last.map(holds), entry.active_until)
            }
            Some(_) | None => (Vec::new(), None, 0),
        };
        open(&wanted, &mut files, &mut notices);
        let looked_at = now;
        Some(Entry {
            pid,
            dirs: wanted,
            files,
            limits,
            groups,
            extra,
            looked_at,
            notices,
            last,
            active_until,
        })
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

impl Entry {
    /// What it uses and whether it is frozen, as at the last reading, where a look at its CPU time shows that nothing ran since.
    /// `None`: all is to be read.
    fn quiet(
        &self,
        (reading, now): (u64, Instant),
        asked: Extra,
        buffer: &mut [u8],
    ) -> Option<(Arc<ContainerStat>, bool)> {
        let last = self.last.as_ref().filter(|last| last.holds && asked == Extra::default())?;
        let turn = (reading + u64::from(self.pid)).is_multiple_of(QUIET_READINGS);
        // Readings may be far apart, while others look at other things.
        if turn || reading <= self.active_until || now.duration_since(last.at) >= SLOW {
            return None;
        }
        let mut raw = parse::Raw::new(self.extra);
        for (what, file) in self.files.iter().filter(|(what, _)| what.tells_quiet()) {
            if !read_file(*what, file, buffer, &mut raw) {
                return None;
            }
        }
        let told = raw.finish();
        let slept = told.stat.cpu_nanos.is_some() && told.stat.cpu_nanos == last.stat.cpu_nanos;
        slept.then(|| (Arc::clone(&last.stat), told.frozen))
    }

    /// Keeps what was read of all its files. The time since they were read before, nanoseconds, where quiet readings lie between.
    fn keep(&mut self, reading: u64, stat: &Arc<ContainerStat>) -> Option<u64> {
        let moved = |stat: &ContainerStat| (stat.cpu_nanos, stat.read_bytes, stat.write_bytes);
        if self.last.as_ref().is_none_or(|last| moved(&last.stat) != moved(stat)) {
            self.active_until = reading + ACTIVE_READINGS;
        }
        let at = Instant::now();
        let last = self.last.replace(Last { stat: Arc::clone(stat), holds: true, reading, at })?;
        let gap = at.duration_since(last.at).as_nanos();
        (last.reading + 1 < reading).then(|| u64::try_from(gap).unwrap_or(u64::MAX))
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

fn files_of(dir: &Dir, extra: Extra) -> impl Iterator<Item = (What, PathBuf)> + '_ {
    let more = if extra.limits { parse::more_files(dir.controller, dir.v2) } else { &[] };
    let devices = if extra.devices { parse::device_files(dir.controller, dir.v2) } else { &[] };
    let files = parse::files(dir.controller, dir.v2).iter().chain(more).chain(devices);
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
