//! Changes of links, addresses, neighbours and routes as they happen. A thread of its own hears of them and wakes the agent,
//! which reads the tables again: at once after some quiet, and in a storm a few times a second at most.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::Notify;

use super::Want;
use crate::sys::netlink_events::{Changed, RouteEvents};

/// Links that change are read again this often at most.
const LINKS_GAP: Duration = Duration::from_millis(200);
/// Neighbours and routes change in idle networks too: they are read again this often at most.
const OTHERS_GAP: Duration = Duration::from_secs(1);

/// Listens until dropped.
pub(crate) struct Listener {
    shared: Arc<Shared>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    changed: Mutex<Changed>,
    /// Somebody looks at neighbours, at routes: nobody is woken for what nobody looks at.
    neighbours: AtomicBool,
    routes: AtomicBool,
    failed: Mutex<Option<String>>,
}

impl Listener {
    /// Begins to listen; `wake` is notified when something changed.
    ///
    /// # Errors
    /// When the socket or the thread cannot be had.
    pub(crate) fn start(wake: Arc<Notify>) -> io::Result<Self> {
        let events = RouteEvents::listen()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let stopped = stop.try_clone()?;
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("link-events".into())
            .stack_size(256 << 10)
            .spawn(move || of_thread.run(events, &stopped, &wake))?;
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// Which tables somebody looks at, besides links.
    pub(crate) fn want(&self, want: Want) {
        self.shared.neighbours.store(want.neighbours, Ordering::Relaxed);
        self.shared.routes.store(want.routes, Ordering::Relaxed);
    }

    /// What changed since it was asked last.
    pub(crate) fn take(&self) -> Changed {
        std::mem::take(&mut *self.shared.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why nothing is heard any more; `None` while all is well.
    pub(crate) fn failed(&self) -> Option<String> {
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Fails only when it is readable already.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // at once
        }
    }
}

impl Shared {
    fn run(&self, mut events: RouteEvents, stop: &OwnedFd, wake: &Notify) {
        let (mut pending, mut pace) = (Changed::default(), Pace::default());
        loop {
            let now = Instant::now();
            let due = pace.due(pending, now);
            // While something waits to be told, what comes meanwhile waits in the socket.
            let heard = match due {
                Some(left) if !left.is_zero() => sleep(stop, left),
                Some(_) | None => events.wait(stop.as_fd(), due),
            };
            match heard.and_then(|()| events.take()) {
                Ok(changed) => pending = pending.and(self.of_interest(changed)),
                Err(error) => {
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    return wake.notify_one();
                }
            }
            if is_readable(stop) {
                return;
            }
            if pace.due(pending, Instant::now()).is_some_and(|left| left.is_zero()) {
                pace.told(pending, Instant::now());
                let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
                *changed = changed.and(std::mem::take(&mut pending));
                wake.notify_one();
            }
        }
    }

    fn of_interest(&self, changed: Changed) -> Changed {
        Changed {
            links: changed.links,
            neighbours: changed.neighbours && self.neighbours.load(Ordering::Relaxed),
            routes: changed.routes && self.routes.load(Ordering::Relaxed),
        }
    }
}

/// Waits for a time, or until it is to end.
fn sleep(stop: &OwnedFd, time: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec::try_from(time).ok();
    match poll(&mut [PollFd::new(stop, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_readable(stop: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&at_once)).is_ok_and(|n| n > 0)
}

/// When the agent was last woken for what.
#[derive(Debug, Default)]
struct Pace {
    links: Option<Instant>,
    others: Option<Instant>,
}

impl Pace {
    /// Time until the agent may be woken for this; `None` when there is nothing to wake it for.
    fn due(&self, pending: Changed, now: Instant) -> Option<Duration> {
        let left = |last: Option<Instant>, gap: Duration| {
            last.map_or(Duration::ZERO, |last| (last + gap).saturating_duration_since(now))
        };
        let links = pending.links.then(|| left(self.links, LINKS_GAP));
        let others = (pending.neighbours || pending.routes).then(|| left(self.others, OTHERS_GAP));
        links.into_iter().chain(others).min()
    }

    fn told(&mut self, what: Changed, now: Instant) {
        // Links are read with all others.
        self.links = Some(now);
        if what.neighbours || what.routes {
            self.others = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: Changed = Changed { links: true, neighbours: false, routes: false };
    const NEIGHBOURS: Changed = Changed { links: false, neighbours: true, routes: false };

    #[test]
    fn the_first_is_told_at_once_and_a_storm_at_its_pace() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(Changed::default(), begun), None);
        let mut told = 0;
        for millis in 0..2000 {
            let now = begun + Duration::from_millis(millis);
            if pace.due(LINKS.and(NEIGHBOURS), now) == Some(Duration::ZERO) {
                pace.told(LINKS.and(NEIGHBOURS), now);
                told += 1;
            }
        }
        assert_eq!(told, 10);
    }

    #[test]
    fn neighbours_alone_are_told_more_rarely() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(NEIGHBOURS, begun), Some(Duration::ZERO));
        pace.told(NEIGHBOURS, begun);
        assert_eq!(pace.due(NEIGHBOURS, begun), Some(OTHERS_GAP));
        assert_eq!(pace.due(LINKS, begun + LINKS_GAP), Some(Duration::ZERO));
    }

    #[test]
    fn who_stops_listening_does_not_wait() {
        let listener = Listener::start(Arc::default()).unwrap();
        assert!(listener.failed().is_none());
        listener.want(Want { neighbours: true, routes: false });
        let changed = Changed { links: true, neighbours: true, routes: true };
        let heard = listener.shared.of_interest(changed);
        assert_eq!(heard, Changed { routes: false, ..changed });
        drop(listener);
    }
}
