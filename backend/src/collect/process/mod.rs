//! Processes, from `/proc/PID`. Fills `process` and `process_stat`.
//!
//! Every tick: the CPU time of each control group, and where it moved, `schedstat` of each single-threaded process
//! through a kept descriptor, the cheapest file that tells whether it ran at all; `stat` and `io` of those that did, and of
//! all with several threads. All rarer facts when a process appears, executes another program, or its turn for a
//! re-check comes.

pub(crate) mod account;
mod birth;
pub(crate) mod delay;
pub(crate) mod detail;
mod fact;
pub(crate) mod file_holder;
mod identity;
mod io;
pub(crate) mod map;
mod map_line;
pub(crate) mod open_file;
mod quiet;
mod sleeper;
mod stat;
pub(crate) mod thread;
mod user;
pub(crate) mod waiter;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use birth::{Births, Born};
use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat, ProcessState};
use hashbrown::{HashMap, HashSet};
use rustix::io::Errno;
use sleeper::Sleeper;

use crate::sys::procfile;
use crate::sys::root::Root;
use stat::Stat;

/// Ticks after which a process's rarer facts are read again though nothing hinted at a change.
const RECHECK_TICKS: u64 = 60;
/// Nanoseconds between two lists of `/proc` while it is known who began.
const LIST_NANOS: u64 = 4_500_000_000;
/// Ticks after which a process is looked at itself though its control group used no CPU time: it may have been moved.
const STRAY_TICKS: u64 = 10;
/// Ticks a process counts as active after it used CPU or did I/O; active ones have `io` read each tick.
const ACTIVE_TICKS: u64 = 8;
/// No `/proc/PID/stat` is longer.
const STAT_BYTES: usize = 4096;

/// Constants of the host that turn the kernel's numbers into base units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Boot, nanoseconds since the epoch.
    pub boot_at: u64,
    /// Clock ticks per second.
    pub ticks_per_sec: u64,
    /// Bytes per page.
    pub page_bytes: u64,
}

impl Scale {
    /// Nanoseconds of so many clock ticks.
    pub(crate) fn nanos(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1_000_000_000 / self.ticks_per_sec.max(1))
    }
}

/// By pid, how those stood who ran; `None` of one that could not be read.
pub(crate) type Awake = HashMap<u32, Option<Stood>>;

/// What a reading found of a process for who reads more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stood {
    /// As in its key.
    start_time: u64,
    /// Clock ticks it waited for block devices.
    wait_ticks: Option<u64>,
}

/// One reading of all processes; rates are still `None`.
#[derive(Debug, Default)]
pub(crate) struct ProcessReading {
    /// Identities.
    pub process: Table<ProcessKey, Process>,
    /// Counters and states.
    pub stat: Table<ProcessKey, ProcessStat>,
    /// Processes whose `io` was not read at the tick before: nanoseconds since it was.
    pub io_gap: HashMap<ProcessKey, u64>,
    /// Processes whose `io` we may not read.
    pub hidden_io: usize,
    /// Processes that are there but could not be read (out of descriptors or memory): their rows are old.
    pub failed: usize,
    /// Those that ran since the last reading, may have, or are new.
    pub ran: Awake,
    /// Whether any process came, went, or changed its identity since the last reading.
    pub changed: bool,
}

struct Tracked {
    key: ProcessKey,
    stat_fd: Option<OwnedFd>,
    sleeper: Sleeper,
    io_fd: Option<OwnedFd>,
    comm: Box<[u8]>,
    ppid: u32,
    cpu_ticks: u64,
    active_until: u64,
    /// Tick and instant of the last `io` reading.
    io_tick: u64,
    io_at: u64,
    io_hidden: bool,
    /// Ran since its last re-check: only then can its own doing have changed anything.
    ran: bool,
    /// The control group its CPU time is charged to.
    group: Option<Arc<quiet::Group>>,
    /// Ran though that group used nothing: it is in another one now.
    stray: bool,
    seen: u64,
    row: Arc<ProcessStat>,
}

/// Reads all processes again and again.
pub(crate) struct ProcessReader {
    root: Root,
    scale: Scale,
    identity: identity::IdentityReader,
    tracked: HashMap<u32, Tracked>,
    groups: quiet::Groups,
    births: Births,
    /// When `/proc` was listed last, monotonic; `None` when somebody may be missing since.
    listed_at: Option<u64>,
    /// Whether the kernel counts what processes ran.
    counts: bool,
    executed: Vec<u32>,
    tick: u64,
    /// Descriptors of processes; those of groups come on top.
    kept: usize,
    keep_at_most: usize,
    buffer: Vec<u8>,
    /// For the short files: `schedstat`, `io`.
    small: Vec<u8>,
    process: Table<ProcessKey, Process>,
    stat: Table<ProcessKey, ProcessStat>,
}

impl ProcessReader {
    /// A reader that keeps at most `keep_at_most` descriptors.
    pub(crate) fn new(root: Root, scale: Scale, mask_args: bool, keep_at_most: usize) -> Self {
        Self {
            identity: identity::IdentityReader::new(root.clone(), scale, mask_args),
            groups: quiet::Groups::new(&root),
            births: Births::new(root.clone()),
            listed_at: None,
            counts: sleeper::counts(&root),
            root,
            scale,
            tracked: HashMap::new(),
            executed: Vec::new(),
            tick: 0,
            kept: 0,
            keep_at_most,
            buffer: Vec::with_capacity(STAT_BYTES),
            small: Vec::with_capacity(1024),
            process: Table::new(),
            stat: Table::new(),
        }
    }

    /// Names processes that executed another program since the last reading: their identity is read again.
    pub(crate) fn note_executed(&mut self, pids: impl IntoIterator<Item = u32>) {
        self.executed.extend(pids);
    }

    /// Has the next reading look at every identity again.
    pub(crate) fn recheck_all(&mut self) {
        self.executed.extend(self.tracked.keys());
    }

    /// Reads all processes; `now` is a monotonic instant in nanoseconds.
    ///
    /// # Errors
    /// When `/proc` itself cannot be listed. A process that vanishes meanwhile is no error.
    pub(crate) fn read(&mut self, now: u64) -> Result<ProcessReading, Errno> {
        self.tick += 1;
        let mut reading = ProcessReading::default();
        let pids = self.pids(now)?;
        let executed: HashSet<u32> = std::mem::take(&mut self.executed).into_iter().collect();
        // Before all else: a run after this look is seen at the next one.
        self.groups.look(self.keep_at_most.saturating_sub(self.kept), None);
        for pid in pids {
            let executed = executed.contains(&pid);
            if executed || !self.slept(pid, &mut reading) {
                reading.ran.insert(pid, None);
                self.read_one(pid, now, executed, &mut reading);
            }
        }
        self.forget_gone(&mut reading);
        if reading.failed > 0 {
            // Who began and could not be read is not known of yet.
            self.listed_at = None;
        }
        reading.process = self.process.clone();
        reading.stat = self.stat.clone();
        Ok(reading)
    }

    /// Everybody who may be there: who was and who began since, or all that `/proc` lists.
    fn pids(&mut self, now: u64) -> Result<Vec<u32>, Errno> {
        // Taken before anything fails: without a list the next reading lists.
        let listed_at = self.listed_at.take();
        let born = match self.births.since() {
            Born::These(pids) => Some(pids),
            Born::Unknown => None,
        };
        let is_fresh = listed_at.is_some_and(|at| now.saturating_sub(at) < LIST_NANOS);
        if let Some(born) = born.as_ref().filter(|_| is_fresh) {
            let mut pids: Vec<u32> = self.tracked.keys().copied().collect();
            for pid in born {
                // One that is known by this pid may be another now.
                if self.tracked.contains_key(pid) { self.executed.push(*pid) } else { pids.push(*pid) }
            }
            self.listed_at = listed_at;
            return Ok(pids);
        }
        let pids = procfile::list_numbers(&self.root.host_path("/proc"))?;
        self.listed_at = Some(now);
        // After a failure, as at first, nothing can be held against who tells.
        if let Some(born) = born.filter(|_| listed_at.is_some()) {
            let told = |pid: &u32| self.tracked.contains_key(pid) || born.contains(pid);
            pids.iter().filter(|pid| !told(pid)).for_each(|pid| self.births.overlooked(*pid));
        }
        Ok(pids)
    }

    /// Whether a process has not run since the last tick, so that its row stands as it is.
    fn slept(&mut self, pid: u32, reading: &mut ProcessReading) -> bool {
        let turn = self.turn(pid);
        let stray_turn = (self.tick + u64::from(pid)).is_multiple_of(STRAY_TICKS);
        let Some(tracked) = self.tracked.get_mut(&pid) else { return false };
        let quiet = matches!(
            tracked.row.state,
            ProcessState::S | ProcessState::I | ProcessState::T | ProcessState::Traced | ProcessState::Z
        );
        let group_slept =
            tracked.row.threads == 1 && tracked.group.as_ref().is_some_and(|group| group.slept());
        // Who has ended goes without running.
        let goes = tracked.row.state == ProcessState::Z;
        if group_slept && quiet && !goes && !turn && !stray_turn && !tracked.sleeper.is_new() {
            tracked.seen = self.tick;
            reading.hidden_io += usize::from(tracked.io_hidden);
            return true;
        }
        // The order matters: a run after this look is seen at the next one, whatever `stat` says in between.
        if tracked.row.threads == 1 && tracked.sleeper.is_new() && self.kept < self.keep_at_most {
            let path = self.root.proc_path(format!("{pid}/schedstat"));
            self.kept += usize::from(tracked.sleeper.watch(&path, self.counts, &mut self.small));
            return false;
        }
        if tracked.row.threads != 1 || !tracked.sleeper.slept(&mut self.small) {
            tracked.ran = true;
            tracked.stray = group_slept && tracked.sleeper.is_watching();
            return false;
        }
        if !quiet || turn {
            return false;
        }
        tracked.seen = self.tick;
        reading.hidden_io += usize::from(tracked.io_hidden);
        true
    }

    /// Whether it is a process's turn for a re-check.
    fn turn(&self, pid: u32) -> bool {
        (self.tick + u64::from(pid)).is_multiple_of(RECHECK_TICKS)
    }

    fn read_one(&mut self, pid: u32, now: u64, executed: bool, reading: &mut ProcessReading) {
        let mut tracked = self.tracked.remove(&pid);
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.read_stat(pid, &mut tracked, &mut buffer);
        match (read, stat::parse(&buffer)) {
            (Ok(()), Some(stat)) => {
                let tracked = self.update(pid, tracked, &stat, executed, now, reading);
                self.tracked.insert(pid, tracked);
            }
            (Err(error), _) if !is_gone(error) => {
                // Out of descriptors or memory: the process is there, its row is that of the last good reading.
                reading.failed += 1;
                if let Some(mut tracked) = tracked {
                    tracked.seen = self.tick;
                    self.tracked.insert(pid, tracked);
                }
            }
            (Ok(()) | Err(_), _) => {
                if let Some(tracked) = tracked {
                    self.drop_tracked(tracked, reading);
                }
            }
        }
        self.buffer = buffer;
    }

    /// Fills the buffer with the process's `stat`.
    fn read_stat(
        &mut self,
        pid: u32,
        tracked: &mut Option<Tracked>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        if let Some(fd) = tracked.as_ref().and_then(|t| t.stat_fd.as_ref())
            && procfile::reread(fd, buffer, STAT_BYTES).is_ok()
        {
            return Ok(());
        }
        // The process is gone, but its pid may be in use again: look afresh.
        let path = self.root.proc_path(format!("{pid}/stat"));
        let fd = procfile::open_kept(&path)?;
        procfile::reread(&fd, buffer, STAT_BYTES)?;
        if let Some(tracked) = tracked
            && tracked.stat_fd.is_some()
        {
            tracked.stat_fd = Some(fd);
        }
        Ok(())
    }

    fn update(
        &mut self,
        pid: u32,
        tracked: Option<Tracked>,
        stat: &Stat<'_>,
        executed: bool,
        now: u64,
        reading: &mut ProcessReading,
    ) -> Tracked {
        let key = ProcessKey { pid, start_time: stat.start_time };
        let mut tracked = match tracked {
            Some(same) if same.key == key => same,
            Some(reused) => {
                self.drop_tracked(reused, reading);
                self.begin(key, now)
            }
            None => self.begin(key, now),
        };
        let new = tracked.seen == 0;
        let turn = self.turn(pid) && std::mem::take(&mut tracked.ran);
        let stray = std::mem::take(&mut tracked.stray);
        if new || executed || tracked.ppid != stat.ppid || *tracked.comm != *stat.comm || turn || stray {
            let before = self.process.get(&key);
            let partial = !new && !executed && *tracked.comm == *stat.comm;
            let row = self.identity.read(key, stat, before.map(Arc::as_ref).filter(|_| partial));
            if let Some(text) = self.identity.cgroups() {
                self.groups.put(&mut tracked.group, self.groups.path(text));
            }
            if before.is_none_or(|b| **b != row) {
                self.process.insert(key, Arc::new(row));
                reading.changed = true;
            }
            tracked.comm = stat.comm.into();
            tracked.ppid = stat.ppid;
        }
        tracked.seen = self.tick;
        let stood = Stood { start_time: stat.start_time, wait_ticks: stat.wait_ticks };
        reading.ran.insert(pid, Some(stood));
        self.update_stat(&mut tracked, stat, new, now, reading);
        tracked
    }

    fn update_stat(
        &mut self,
        tracked: &mut Tracked,
        stat: &Stat<'_>,
        new: bool,
        now: u64,
        reading: &mut ProcessReading,
    ) {
        let ticks = stat.utime + stat.stime;
        if !new && ticks != tracked.cpu_ticks {
            tracked.active_until = self.tick + ACTIVE_TICKS;
        }
        tracked.cpu_ticks = ticks;
        let mut row = ProcessStat {
            state: stat.state,
            cpu_nanos: self.scale.nanos(ticks),
            cpu_ratio: None,
            rss_bytes: stat.rss_pages * self.scale.page_bytes,
            virtual_bytes: stat.virtual_bytes,
            threads: stat.threads,
            priority: stat.priority,
            nice: stat.nice,
            read_bytes: tracked.row.read_bytes,
            write_bytes: tracked.row.write_bytes,
            read_bytes_per_sec: None,
            write_bytes_per_sec: None,
            wait_channel: None,
        };
        self.read_io(tracked, &mut row, new, now, reading);
        if row.state == ProcessState::D {
            row.wait_channel = self.identity.wait_channel(tracked.key.pid);
        }
        if new || *tracked.row != row {
            tracked.row = Arc::new(row);
            self.stat.insert(tracked.key, Arc::clone(&tracked.row));
        }
    }

    /// A new process: keeps a descriptor on its `stat` while there is room.
    fn begin(&mut self, key: ProcessKey, now: u64) -> Tracked {
        let room = self.kept < self.keep_at_most;
        let path = self.root.proc_path(format!("{}/stat", key.pid));
        let stat_fd = room.then(|| procfile::open_kept(&path).ok()).flatten();
        self.kept += usize::from(stat_fd.is_some());
        Tracked {
            key,
            stat_fd,
            sleeper: Sleeper::New,
            io_fd: None,
            comm: Box::default(),
            ppid: 0,
            cpu_ticks: 0,
            active_until: 0,
            io_tick: 0,
            io_at: now,
            io_hidden: false,
            ran: true,
            group: None,
            stray: false,
            seen: 0,
            row: Arc::default(),
        }
    }

    fn drop_tracked(&mut self, tracked: Tracked, reading: &mut ProcessReading) {
        let kept = [tracked.stat_fd.is_some(), tracked.io_fd.is_some(), tracked.sleeper.is_watching()];
        self.kept -= kept.into_iter().filter(|k| *k).count();
        self.process.remove(&tracked.key);
        self.stat.remove(&tracked.key);
        reading.changed = true;
    }

    fn forget_gone(&mut self, reading: &mut ProcessReading) {
        let tick = self.tick;
        let gone: Vec<u32> = self.tracked.iter().filter(|(_, t)| t.seen != tick).map(|(p, _)| *p).collect();
        for pid in gone {
            if let Some(tracked) = self.tracked.remove(&pid) {
                self.drop_tracked(tracked, reading);
            }
        }
    }
}

/// Whether a process is there, and the one that was seen: its pid may be in use again.
pub(crate) fn is_still(root: &Root, key: ProcessKey) -> bool {
    whose(root, key.pid).is_some_and(|(now, _)| now == key)
}

/// Who has this pid now.
///
/// # Errors
/// A sentence for people when nobody has, as far as we may see.
pub(crate) fn holder(root: &Root, pid: u32) -> Result<ProcessKey, String> {
    whose(root, pid).map(|(key, _)| key).ok_or_else(|| nobody(pid))
}

/// Who has this pid now, and its state.
fn whose(root: &Root, pid: u32) -> Option<(ProcessKey, ProcessState)> {
    let mut buffer = Vec::new();
    procfile::read_once(&root.proc_path(format!("{pid}/stat")), &mut buffer, STAT_BYTES).ok()?;
    let stat = stat::parse(&buffer)?;
    Some((ProcessKey { pid, start_time: stat.start_time }, stat.state))
}

/// That there is no such process, for people.
pub(crate) fn nobody(pid: u32) -> String {
    format!("no process {pid} on this host (or it is hidden: see hidepid in proc(5))")
}

fn ended(pid: u32) -> String {
    format!("process {pid} has ended")
}

fn reused(pid: u32) -> String {
    format!("process {pid} has ended; its pid belongs to another process now")
}

/// Whether an error means that a process ended or is hidden, and not that we failed.
fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)
}

#[cfg(test)]
mod tests;
