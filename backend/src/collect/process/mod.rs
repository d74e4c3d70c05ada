//! Processes, from `/proc/PID`. Fills `process` and `process_stat`.
//!
//! Every tick: `schedstat` of each single-threaded process through a kept descriptor, the cheapest file that tells
//! whether it ran at all; `stat` and `io` of those that did, and of all with several threads. All rarer facts when a
//! process appears, executes another program, or its turn for a re-check comes.

pub(crate) mod account;
pub(crate) mod detail;
mod identity;
mod io;
pub(crate) mod open_file;
mod sleeper;
mod stat;
pub(crate) mod thread;
mod user;
pub(crate) mod waiter;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat, ProcessState};
use rustix::io::Errno;
use sleeper::Sleeper;

use crate::sys::procfile;
use crate::sys::root::Root;
use stat::Stat;

/// Ticks after which a process's rarer facts are read again though nothing hinted at a change.
const RECHECK_TICKS: u64 = 60;
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
    seen: u64,
    row: Arc<ProcessStat>,
}

/// Reads all processes again and again.
pub(crate) struct ProcessReader {
    root: Root,
    scale: Scale,
    identity: identity::IdentityReader,
    tracked: HashMap<u32, Tracked>,
    executed: Vec<u32>,
    tick: u64,
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
        let executed: HashSet<u32> = std::mem::take(&mut self.executed).into_iter().collect();
        for pid in procfile::list_numbers(&self.root.host_path("/proc"))? {
            let executed = executed.contains(&pid);
            if executed || !self.slept(pid, &mut reading) {
                self.read_one(pid, now, executed, &mut reading);
            }
        }
        self.forget_gone(&mut reading);
        reading.process = self.process.clone();
        reading.stat = self.stat.clone();
        Ok(reading)
    }

    /// Whether a process has not run since the last tick, so that its row stands as it is.
    fn slept(&mut self, pid: u32, reading: &mut ProcessReading) -> bool {
        let turn = self.turn(pid);
        let Some(tracked) = self.tracked.get_mut(&pid) else { return false };
        let quiet = matches!(
            tracked.row.state,
            ProcessState::S | ProcessState::I | ProcessState::T | ProcessState::Traced | ProcessState::Z
        );
        // The order matters: a run after this look is seen at the next one, whatever `stat` says in between.
        if tracked.row.threads == 1 && tracked.sleeper.is_new() && self.kept < self.keep_at_most {
            let path = self.root.proc_path(format!("{pid}/schedstat"));
            self.kept += usize::from(tracked.sleeper.watch(&path, &mut self.small));
            return false;
        }
        if tracked.row.threads != 1 || !tracked.sleeper.slept(&mut self.small) {
            tracked.ran = true;
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
        if new || executed || tracked.ppid != stat.ppid || *tracked.comm != *stat.comm || turn {
            let before = self.process.get(&key);
            let partial = !new && !executed && *tracked.comm == *stat.comm;
            let row = self.identity.read(key, stat, before.map(Arc::as_ref).filter(|_| partial));
            if before.is_none_or(|b| **b != row) {
                self.process.insert(key, Arc::new(row));
                reading.changed = true;
            }
            tracked.comm = stat.comm.into();
            tracked.ppid = stat.ppid;
        }
        tracked.seen = self.tick;
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
