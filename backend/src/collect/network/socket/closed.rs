//! TCP connections that ended, from the kernel's destroy events: a listener per network namespace, read by a thread of its own.
//!
//! A listener keeps its namespace alive. So there is one only where a process is, and the thread watches these ([`Presence`]):
//! when the last has ended the listener is closed there and then, not at the next tick.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use glasshull_shared::domain::network::ClosedSocket;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::super::presence::Presence;
use super::inet::{Identity, counts, end_text, identity, info};
use crate::sys::clock;
use crate::sys::sock_diag::DestroyListener;

/// Ends kept until the next reading; of more, only the number.
const ENDS_AT_MOST: usize = 1000;

/// An end, as far as the event tells it, with the bytes confirmed beyond those sent: our SYN and FIN, as far as they were.
pub(crate) type End = (ClosedSocket, Option<u64>);

/// What ended since the last reading.
#[derive(Debug, Default)]
pub(crate) struct ClosedReading {
    /// Oldest first.
    pub ends: VecDeque<End>,
    /// Ends of which nothing is known: the kernel dropped the message, or too many came at once.
    pub missed: u64,
    /// The thread ended because waiting failed.
    pub failed: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    reading: ClosedReading,
    /// Namespaces with a listener.
    open: BTreeSet<u64>,
}

enum Command {
    /// Listen here too; who is there.
    Add(u64, DestroyListener, Vec<u32>),
    /// Who is where now.
    Members(BTreeMap<u64, Vec<u32>>),
    Stop,
}

/// Listens until dropped.
pub(super) struct ClosedSockets {
    shared: Arc<Mutex<Shared>>,
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl ClosedSockets {
    /// Begins, with no listener yet.
    pub(super) fn start() -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, orders) = channel();
        let shared = Arc::<Mutex<Shared>>::default();
        let ear = Ear {
            shared: Arc::clone(&shared),
            orders,
            wake: Arc::clone(&wake),
            places: BTreeMap::new(),
            buffer: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("closed-sockets".into())
            .stack_size(256 << 10)
            .spawn(move || ear.run())?;
        Ok(Self { shared, commands, wake, thread: Some(thread) })
    }

    /// Namespaces with a listener.
    pub(super) fn open(&self) -> BTreeSet<u64> {
        self.lock().open.clone()
    }

    /// Listens in a namespace too, which these processes are in.
    pub(super) fn add(&self, netns: u64, listener: DestroyListener, members: Vec<u32>) {
        self.lock().open.insert(netns);
        self.command(Command::Add(netns, listener, members));
    }

    /// Says which processes are in which namespace: where none is, no listener stays.
    pub(super) fn members(&self, members: BTreeMap<u64, Vec<u32>>) {
        self.command(Command::Members(members));
    }

    /// Takes what ended since the last reading.
    pub(super) fn read(&self) -> ClosedReading {
        std::mem::take(&mut self.lock().reading)
    }

    fn command(&self, command: Command) {
        // Both fail only when the thread has ended, which the next reading tells.
        let _ = self.commands.send(command);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClosedSockets {
    fn drop(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it wakes at once
        }
    }
}

/// A namespace listened in.
struct Place {
    listener: DestroyListener,
    /// Messages lost so far.
    lost: u32,
    presence: Presence,
}

/// The thread's side.
struct Ear {
    shared: Arc<Mutex<Shared>>,
    orders: Receiver<Command>,
    wake: Arc<OwnedFd>,
    places: BTreeMap<u64, Place>,
    buffer: Vec<u8>,
}

impl Ear {
    fn run(mut self) {
        loop {
            match self.wait() {
                Ok(ready) => {
                    if !self.obey() {
                        return;
                    }
                    for netns in ready {
                        self.hear(netns);
                    }
                }
                Err(error) => {
                    self.lock(|shared| {
                        shared.reading.failed = Some(error.to_string());
                        shared.open.clear();
                    });
                    return;
                }
            }
        }
    }

    /// Waits until something comes, a watched process ends or a command is there; tells the namespaces concerned.
    fn wait(&self) -> io::Result<Vec<u64>> {
        let mut polled = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        let mut of = vec![None];
        for (netns, place) in &self.places {
            polled.push(PollFd::new(&place.listener, PollFlags::IN));
            of.push(Some(*netns));
            if let Some(end) = place.presence.end() {
                polled.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
                of.push(Some(*netns));
            }
        }
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = polled.iter().zip(of).filter(|(fd, _)| !fd.revents().is_empty());
        let mut ready: Vec<u64> = ready.filter_map(|(_, netns)| netns).collect();
        ready.dedup();
        Ok(ready)
    }

    /// Does what was ordered; false when it was to stop.
    fn obey(&mut self) -> bool {
        let mut counter = [0_u8; 8];
        let _ = rustix::io::read(&self.wake, &mut counter); // empties it
        while let Ok(command) = self.orders.try_recv() {
            match command {
                Command::Stop => return false,
                Command::Add(netns, listener, members) => {
                    let lost = listener.lost().unwrap_or_default();
                    self.places.insert(netns, Place { listener, lost, presence: Presence::new(members) });
                    self.close_if_empty(netns);
                }
                Command::Members(mut members) => {
                    for (netns, place) in &mut self.places {
                        // Anew: who is watched may have gone to another namespace.
                        place.presence = Presence::new(members.remove(netns).unwrap_or_default());
                    }
                    let places: Vec<u64> = self.places.keys().copied().collect();
                    places.into_iter().for_each(|netns| self.close_if_empty(netns));
                }
            }
        }
        true
    }

    /// Takes in what one listener heard, then closes it when the namespace has no process any more.
    fn hear(&mut self, netns: u64) {
        let Some(place) = self.places.get_mut(&netns) else { return };
        let mut heard = Vec::new();
        let read = place.listener.read(&mut self.buffer, |message| heard.extend(ended(message, netns)));
        let lost = place.listener.lost().unwrap_or_default();
        let missed = lost.wrapping_sub(std::mem::replace(&mut place.lost, lost));
        let failed = read.is_err();
        self.lock(|shared| {
            let reading = &mut shared.reading;
            reading.missed += u64::from(missed);
            reading.ends.extend(heard);
            while reading.ends.len() > ENDS_AT_MOST {
                reading.ends.pop_front();
                reading.missed += 1;
            }
        });
        if failed { self.close(netns) } else { self.close_if_empty(netns) }
    }

    fn close_if_empty(&mut self, netns: u64) {
        if self.places.get_mut(&netns).is_some_and(|place| !place.presence.lives()) {
            self.close(netns);
        }
    }

    fn close(&mut self, netns: u64) {
        self.places.remove(&netns);
        self.lock(|shared| {
            shared.open.remove(&netns);
        });
    }

    fn lock(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An end out of a message; `None` for listeners, which have no other end, and for what we cannot read.
fn ended(message: &[u8], netns: u64) -> Option<End> {
    let Identity { cookie, local, remote, .. } = identity(message)?;
    if remote.1 == 0 {
        return None;
    }
    let counts = info(message).map(counts).unwrap_or_default();
    let row = ClosedSocket {
        netns,
        cookie,
        local: end_text(local),
        remote: end_text(remote),
        sent_bytes: counts.sent,
        received_bytes: counts.received,
        rtt_nanos: counts.rtt_nanos,
        retransmits: counts.retransmits,
        closed_at: clock::now_nanos(),
        ..ClosedSocket::default()
    };
    let beyond = counts.confirmed.zip(counts.sent).map(|(confirmed, sent)| confirmed.saturating_sub(sent));
    Some((row, beyond))
}
