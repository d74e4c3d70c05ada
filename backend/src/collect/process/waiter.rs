//! Looks several times a second at who is in state D, on a thread of its own while somebody watches. Told to `model::waiter`, which
//! makes the rows of `waiter` of it.
//!
//! Of each process `schedstat` is read through a kept descriptor, a third of the cost of `stat`: who did not run since the look
//! before is in the state it was in, in the very same wait. (Who was woken, and has not got a CPU yet, still counts as waiting.) Of
//! control groups that used no CPU time nobody ran ([`super::quiet`]), and who began is known without a list of `/proc`
//! ([`super::birth`]). Who slept for two seconds is looked at every other time. A process counts by its main thread.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use glasshull_shared::domain::process::{LOOKS_PER_SEC, ProcessKey, ProcessState, STRIP_SECS};
use glasshull_shared::unit::printable_bytes;
use rustix::io::Errno;

use super::birth::{Births, Born};
use super::quiet::{Group, Groups};
use super::sleeper::{self, Sleeper};
use super::{STAT_BYTES, is_gone, stat};
use crate::sys::clock::now_nanos;
use crate::sys::procfile::{list_numbers, open_kept, read_once, reread};
use crate::sys::root::Root;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(1000 / LOOKS_PER_SEC as u64);
/// Looks after which a process of a quiet group is looked at itself: it may have been moved to another.
const STRAY_LOOKS: u64 = 50;
/// Looks of sleep after which every other look passes over.
const REST_LOOKS: u32 = 10;
/// Looks between two lists of `/proc` while it is known who began, and while it is not.
const LIST_LOOKS: u64 = 25;
const BLIND_LOOKS: u64 = 2;
/// Longest list of groups that is read.
const CGROUP_BYTES: usize = 16 << 10;
/// Bytes of a stack that are read, and frames that are kept.
const STACK_BYTES: usize = 4096;
const FRAMES_AT_MOST: usize = 24;

/// Looks that are kept until somebody takes them: those of a whole strip.
const UNTAKEN_AT_MOST: usize = STRIP_SECS * LOOKS_PER_SEC as usize;
/// Looks after the first at which the control group is read again: who begins is often moved before it executes its program.
const SETTLED_LOOKS: u8 = 5;
/// Without a look for so long the thread is stuck: in the kernel, at a process that is stuck there itself.
const STUCK_AFTER: Duration = Duration::from_secs(3);

/// The thread; it ends soon after this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
}

/// What the thread has told and nobody has taken yet.
#[derive(Debug)]
struct Told {
    looks: Vec<Look>,
    /// When the last one ended.
    at: Instant,
}

/// What one look found.
#[derive(Debug)]
pub(crate) struct Look {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    /// Who waits.
    pub(crate) waiting: Vec<Arc<Found>>,
    /// Of those that an earlier look found waiting, who is still there; in order.
    pub(crate) there: Vec<ProcessKey>,
    /// What could not be read, for a person: who was there before may still be.
    pub(crate) failed: Option<String>,
}

/// A process in D.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which.
    pub(crate) key: ProcessKey,
    /// Command name, printable.
    pub(crate) comm: String,
    /// The kernel's function it waits in; `None` when hidden. Source: `/proc/PID/wchan`.
    pub(crate) channel: Option<String>,
    /// Functions it was called by, innermost first; empty when hidden. Source: `/proc/PID/stack`.
    pub(crate) stack: Vec<String>,
}

impl Watch {
    /// Starts to look, with at most so many descriptors kept.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(crate) fn start(root: Root, keep_at_most: usize) -> std::io::Result<Self> {
        let told = Arc::new(Mutex::new(Told { looks: Vec::new(), at: Instant::now() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, ends) = (Arc::clone(&told), Arc::clone(&stop));
        let work = move || {
            let mut looker = Looker::new(root, keep_at_most);
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                let look = looker.look();
                let mut told = ours.lock().unwrap_or_else(PoisonError::into_inner);
                told.at = Instant::now();
                if told.looks.len() == UNTAKEN_AT_MOST {
                    told.looks.remove(0);
                }
                told.looks.push(look);
                drop(told);
                // Late looks are left out, not made up for.
                std::thread::sleep(EVERY.saturating_sub(began.elapsed()).max(EVERY / 4));
            }
        };
        std::thread::Builder::new().name("waiters".into()).spawn(work)?;
        Ok(Self { told, stop })
    }

    /// The looks since the last call.
    ///
    /// # Errors
    /// When there was none for long, for a person: the thread is stuck or has failed.
    pub(crate) fn take(&self) -> Result<Vec<Look>, String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = told.at.elapsed();
        if silent > STUCK_AFTER {
            return Err(format!(
                "who waits is not seen: the thread that looks is stuck since {} s",
                silent.as_secs()
            ));
        }
        Ok(std::mem::take(&mut told.looks))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is kept of one process between looks.
#[derive(Debug)]
struct Kept {
    pid: u32,
    start_time: u64,
    state: ProcessState,
    /// Whether it is looked at in any case: it may be another process.
    due: bool,
    /// Looks since the first, up to [`SETTLED_LOOKS`].
    age: u8,
    /// Looks in a row that found it asleep.
    rested: u32,
    /// `stat` of one that runs again and again.
    stat: Option<OwnedFd>,
    sleeper: Sleeper,
    /// Where its CPU time is accounted for; `None` where that cannot tell that it slept.
    group: Option<Arc<Group>>,
    /// Its wait, or its last one.
    found: Option<Arc<Found>>,
}

impl Kept {
    /// One that is there already.
    fn new(pid: u32) -> Self {
        Self {
            pid,
            start_time: 0,
            state: ProcessState::R,
            due: true,
            age: SETTLED_LOOKS,
            rested: 0,
            stat: None,
            sleeper: Sleeper::New,
            group: None,
            found: None,
        }
    }

    fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_time: self.start_time }
    }

    /// Descriptors it keeps.
    fn open(&self) -> usize {
        usize::from(self.sleeper.is_watching()) + usize::from(self.stat.is_some())
    }
}

/// How a process stands.
enum Now {
    /// It did not run since the look before.
    Same,
    /// It may have.
    Read,
    Ended,
}

/// Looks again and again.
#[derive(Debug)]
struct Looker {
    root: Root,
    /// By pid.
    kept: Vec<Kept>,
    births: Births,
    /// The look of the last list, and whether another is due.
    listed: u64,
    blind: bool,
    groups: Groups,
    /// Whether the kernel counts what processes ran.
    counts: bool,
    /// Descriptors of processes, and of groups, that are open.
    open: usize,
    of_groups: usize,
    keep_at_most: usize,
    looks: u64,
    failed: Option<String>,
    buffer: Vec<u8>,
}

impl Looker {
    fn new(root: Root, keep_at_most: usize) -> Self {
        Self {
            kept: Vec::new(),
            births: Births::new(root.clone()),
            listed: 0,
            blind: true,
            groups: Groups::new(&root),
            counts: sleeper::counts(&root),
            root,
            open: 0,
            of_groups: 0,
            keep_at_most,
            looks: 0,
            failed: None,
            buffer: Vec::new(),
        }
    }

    /// Sees to it that everybody who is there is kept.
    fn find(&mut self) {
        match self.births.since() {
            Born::These(pids) => pids.into_iter().for_each(|pid| self.begin(pid)),
            Born::Unknown => self.blind = true,
        }
        let since = self.looks - self.listed;
        if self.listed == 0 || since >= LIST_LOOKS || self.blind && since >= BLIND_LOOKS {
            match list_numbers(&self.root.proc_path("")) {
                Ok(pids) => self.list(pids),
                // Who was there is looked at all the same.
                Err(error) => self.failed = Some(format!("listing /proc: {error}")),
            }
        }
    }

    /// One that began: looked at even where one of the same pid is known.
    fn begin(&mut self, pid: u32) {
        match self.kept.binary_search_by_key(&pid, |kept| kept.pid) {
            Ok(at) => self.kept[at].due = true,
            Err(at) => self.kept.insert(at, Kept { age: 0, ..Kept::new(pid) }),
        }
    }

    fn list(&mut self, mut pids: Vec<u32>) {
        pids.sort_unstable();
        let births = (!self.blind).then_some(&mut self.births);
        let mut known = std::mem::take(&mut self.kept).into_iter().peekable();
        let mut new = Vec::new();
        let keep = |pid: u32| {
            while known.next_if(|kept| kept.pid < pid).is_some() {}
            known.next_if(|kept| kept.pid == pid).unwrap_or_else(|| {
                new.push(pid);
                Kept::new(pid)
            })
        };
        self.kept = pids.into_iter().map(keep).collect();
        if let Some(births) = births {
            new.into_iter().for_each(|pid| births.overlooked(pid));
        }
        (self.listed, self.blind) = (self.looks, false);
    }

    fn look(&mut self) -> Look {
        self.looks += 1;
        let spare = self.keep_at_most.saturating_sub(self.open);
        self.of_groups = self.groups.look(spare, self.passes_over().then_some(REST_LOOKS));
        self.find();
        let (mut waiting, mut there) = (Vec::new(), Vec::new());
        let mut all = std::mem::take(&mut self.kept);
        all.retain_mut(|kept| {
            let now = self.state(kept);
            if matches!(now, Now::Ended) {
                return false;
            }
            if kept.state == ProcessState::D {
                // Who did not run is in the same wait.
                if matches!(now, Now::Read) || kept.found.is_none() {
                    kept.found = self.found(kept.key()).map(Arc::new).or(kept.found.take());
                }
                waiting.extend(kept.found.clone());
            }
            if kept.found.is_some() {
                there.push(kept.key());
            }
            true
        });
        self.open = all.iter().map(Kept::open).sum();
        self.kept = all;
        Look { at: now_nanos(), waiting, there, failed: self.failed.take() }
    }

    /// Whether this look passes over who slept for long: groups and processes alike, so that the next one sees both.
    fn passes_over(&self) -> bool {
        self.looks % 2 == 1
    }

    /// Brings start and state up to now.
    fn state(&mut self, kept: &mut Kept) -> Now {
        let turn = (self.looks + u64::from(kept.pid)).is_multiple_of(STRAY_LOOKS);
        // Who has ended goes without running.
        let group_slept =
            kept.state != ProcessState::Z && kept.group.as_ref().is_some_and(|group| group.slept());
        if kept.age < SETTLED_LOOKS {
            kept.age += 1;
            if kept.age == SETTLED_LOOKS {
                self.regroup(kept.pid, &mut kept.group);
            }
        }
        // The descriptor is of that very process: of one that ended it cannot be read.
        if !kept.due && kept.state != ProcessState::R {
            let rests = kept.rested > REST_LOOKS
                && !matches!(kept.state, ProcessState::D | ProcessState::Z)
                && self.passes_over();
            if (rests || group_slept) && !turn || kept.sleeper.slept(&mut self.buffer) {
                kept.rested = kept.rested.saturating_add(1);
                if kept.rested > REST_LOOKS {
                    kept.stat = None;
                }
                return Now::Same;
            }
        }
        let again = std::mem::take(&mut kept.rested) <= REST_LOOKS && !kept.due;
        // Before its state is read: who runs in between is looked at again.
        if kept.sleeper.is_new() {
            kept.sleeper = self.watch(kept.pid);
        }
        let (start_time, state) = match self.read(kept.pid, &mut kept.stat, again) {
            Ok(Some(read)) => read,
            Err(error) if !is_gone(error) => {
                // Out of descriptors or memory: it is there, in the state it was in.
                self.failed = Some(format!("process {}: {error}", kept.pid));
                // That it ran is not told a second time.
                kept.due = true;
                return Now::Same;
            }
            Ok(None) | Err(_) => return Now::Ended,
        };
        let another = kept.start_time != start_time;
        // It ran, its group did not: it is in another one.
        if another || group_slept {
            self.regroup(kept.pid, &mut kept.group);
        }
        if another && kept.start_time > 0 {
            (kept.sleeper, kept.found, kept.age) = (Sleeper::New, None, 0);
        }
        (kept.start_time, kept.state, kept.due) = (start_time, state, false);
        Now::Read
    }

    fn regroup(&mut self, pid: u32, group: &mut Option<Arc<Group>>) {
        let path = self.root.proc_path(format!("{pid}/cgroup"));
        let read = read_once(&path, &mut self.buffer, CGROUP_BYTES);
        let text = std::str::from_utf8(&self.buffer).ok().filter(|_| read.is_ok());
        self.groups.put(group, text.and_then(|text| self.groups.path(text)));
    }

    fn watch(&mut self, pid: u32) -> Sleeper {
        let mut sleeper = Sleeper::New;
        if self.open + self.of_groups < self.keep_at_most {
            let path = self.root.proc_path(format!("{pid}/schedstat"));
            self.open += usize::from(sleeper.watch(&path, self.counts, &mut self.buffer));
        }
        sleeper
    }

    /// Start and state; `None` when that is no `stat` line. `keep`s the descriptor of one that will be read again soon.
    fn read(
        &mut self,
        pid: u32,
        kept: &mut Option<OwnedFd>,
        keep: bool,
    ) -> Result<Option<(u64, ProcessState)>, Errno> {
        // Of one that ended nothing can be read; another may have its pid.
        kept.take_if(|fd| reread(fd, &mut self.buffer, STAT_BYTES).is_err());
        if kept.is_none() {
            let fd = open_kept(&self.root.proc_path(format!("{pid}/stat")))?;
            reread(&fd, &mut self.buffer, STAT_BYTES)?;
            if keep && self.open + self.of_groups < self.keep_at_most {
                self.open += 1;
                *kept = Some(fd);
            }
        }
        Ok(stat::parse(&self.buffer).map(|stat| (stat.start_time, stat.state)))
    }

    /// What a process waits in; `None` when it is another by now.
    fn found(&mut self, key: ProcessKey) -> Option<Found> {
        let (root, buffer) = (&self.root, &mut self.buffer);
        let mut read = |name: &str, limit: usize| {
            read_once(&root.proc_path(format!("{}/{name}", key.pid)), buffer, limit)
                .ok()
                .map(|()| buffer.clone())
        };
        let line = read("stat", STAT_BYTES)?;
        let stat = stat::parse(&line).filter(|stat| stat.start_time == key.start_time)?;
        let comm = printable_bytes(stat.comm);
        let mut text = |name: &str| Some(String::from_utf8_lossy(&read(name, STACK_BYTES)?).into_owned());
        let channel = text("wchan").filter(|name| !name.is_empty() && name != "0");
        let stack = text("stack").map(|text| frames(&text)).unwrap_or_default();
        Some(Found { key, comm, channel, stack })
    }
}

/// `[<0>] io_schedule+0x46/0x70` → `io_schedule`.
fn frames(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let name = line.split_once("] ").map_or(line, |(_, name)| name);
        name.split('+').next().unwrap_or(name).trim().to_owned()
    };
    text.lines().map(name).filter(|name| !name.is_empty()).take(FRAMES_AT_MOST).collect()
}

#[cfg(test)]
#[path = "waiter_test.rs"]
mod tests;
