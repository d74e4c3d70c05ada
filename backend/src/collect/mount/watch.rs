//! The kernel's word that mounts of a namespace changed: a descriptor of mountinfo becomes exceptional (`POLLPRI`) then.
//!
//! Such a descriptor keeps its namespace alive, and with it every mount in it. So a thread of its own holds them, each beside
//! the pidfd of the process it was opened through, and closes it the moment that process ends, not at the next tick. Whose
//! end cannot be heard of is not watched at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use glasshull_shared::domain::process::ProcessKey;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::place::Way;
use crate::sys::procfile::open_kept;
use crate::sys::root::Root;

/// Namespaces watched; two descriptors each.
const WATCHED_AT_MOST: usize = 500;

/// What the thread tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Where something changed since it was asked last.
    pub(super) changed: BTreeSet<Way>,
    /// Where it watches.
    pub(super) watched: BTreeSet<Way>,
    /// Why it watches no more.
    pub(super) failed: Option<String>,
}

#[derive(Debug)]
enum Command {
    /// Watch exactly these.
    Want(BTreeMap<Way, ProcessKey>),
    Stop,
}

/// Watches until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Mutex<Told>>,
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    wanted: Mutex<BTreeMap<Way, ProcessKey>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins, watching nothing yet.
    pub(super) fn start(root: Root) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, orders) = channel();
        let shared = Arc::<Mutex<Told>>::default();
        let eye = Eye {
            root,
            shared: Arc::clone(&shared),
            orders,
            wake: Arc::clone(&wake),
            places: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("mounts".into())
            .stack_size(256 << 10)
            .spawn(move || eye.run())?;
        Ok(Self { shared, commands, wake, wanted: Mutex::default(), thread: Some(thread) })
    }

    /// Says where to watch, and through whom.
    pub(super) fn want(&self, ways: &BTreeMap<Way, ProcessKey>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *wanted != *ways {
            wanted.clone_from(ways);
            self.command(Command::Want(ways.clone()));
        }
    }

    /// Takes what it tells.
    pub(super) fn take(&self) -> Told {
        let mut told = lock(&self.shared);
        let changed = std::mem::take(&mut told.changed);
        Told { changed, watched: told.watched.clone(), failed: told.failed.clone() }
    }

    fn command(&self, command: Command) {
        // Both fail only when the thread has ended, which it told.
        let _ = self.commands.send(command);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it wakes at once
        }
    }
}

fn lock(shared: &Mutex<Told>) -> MutexGuard<'_, Told> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace under watch.
struct Watched {
    process: ProcessKey,
    /// Readable when that process has ended.
    end: OwnedFd,
    mountinfo: OwnedFd,
}

/// The thread's side.
struct Eye {
    root: Root,
    shared: Arc<Mutex<Told>>,
    orders: Receiver<Command>,
    wake: Arc<OwnedFd>,
    places: BTreeMap<Way, Watched>,
}

impl Eye {
    fn run(mut self) {
        loop {
            match self.wait() {
                Ok((ended, changed)) => {
                    for way in &ended {
                        self.places.remove(way);
                    }
                    let mut told = lock(&self.shared);
                    told.watched.retain(|way| !ended.contains(way));
                    told.changed.extend(changed);
                    drop(told);
                    if !self.obey() {
                        return;
                    }
                }
                Err(error) => {
                    let mut told = lock(&self.shared);
                    told.failed = Some(error.to_string());
                    told.watched.clear();
                    return;
                }
            }
        }
    }

    /// Waits; tells through whom nothing can be read any more, and where something changed.
    fn wait(&self) -> io::Result<(Vec<Way>, Vec<Way>)> {
        let mut polled = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        for place in self.places.values() {
            polled.push(PollFd::from_borrowed_fd(place.end.as_fd(), PollFlags::IN));
            // Readable it always is.
            polled.push(PollFd::from_borrowed_fd(place.mountinfo.as_fd(), PollFlags::PRI));
        }
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let (mut ended, mut changed) = (Vec::new(), Vec::new());
        for (pair, way) in polled.get(1..).unwrap_or_default().chunks(2).zip(self.places.keys()) {
            if let [end, mountinfo] = pair {
                if !end.revents().is_empty() {
                    ended.push(*way);
                } else if !mountinfo.revents().is_empty() {
                    changed.push(*way);
                }
            }
        }
        Ok((ended, changed))
    }

    /// Does what was ordered; false when it was to stop.
    fn obey(&mut self) -> bool {
        let mut counter = [0_u8; 8];
        let _ = rustix::io::read(&self.wake, &mut counter); // empties it
        while let Ok(command) = self.orders.try_recv() {
            match command {
                Command::Stop => return false,
                Command::Want(ways) => self.watch(&ways),
            }
        }
        true
    }

    fn watch(&mut self, ways: &BTreeMap<Way, ProcessKey>) {
        self.places.retain(|way, watched| ways.get(way) == Some(&watched.process));
        let mut begun = Vec::new();
        for (way, process) in ways {
            if self.places.len() >= WATCHED_AT_MOST {
                break;
            }
            if self.places.contains_key(way) {
                continue;
            }
            if let Some(watched) = Watched::begin(&self.root, *process) {
                self.places.insert(*way, watched);
                begun.push(*way);
            }
        }
        let mut told = lock(&self.shared);
        told.watched = self.places.keys().copied().collect();
        // What changed between the reading and now nobody told.
        told.changed.extend(begun);
    }
}

impl Watched {
    fn begin(root: &Root, process: ProcessKey) -> Option<Self> {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw)?;
        let end = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let mountinfo = open_kept(&root.proc_path(format!("{}/mountinfo", process.pid))).ok()?;
        // It may have ended in between, and the pid be another's.
        (!has_ended(&end)).then_some(Self { process, end, mountinfo })
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
