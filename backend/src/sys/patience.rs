//! Calls that the kernel may never come back from (a dead server's file system): made by a thread of their own, which is
//! given up when one of them takes too long. The rest is done by another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What comes from memory takes microseconds; a disk that is asked for a directory may be under load.
const PATIENCE: Duration = Duration::from_secs(1);
/// Calls of one batch that may hang before the rest is skipped: who asks waits for each.
const HANGS_AT_MOST: usize = 3;
/// Threads of all batches that may hang at once.
const THREADS_AT_MOST: usize = 12;
/// What we call is shallow.
const STACK_BYTES: usize = 256 << 10;

/// Threads given up that have not come back yet.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// How a thread stands.
const RUNS: u8 = 0;
const ENDED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome<R> {
    /// It came back.
    Done(R),
    /// It did not, in time.
    Hung,
    /// It was not made: too many hang already.
    Skipped,
}

/// Calls `work` with each of the items; as many outcomes, in their order.
pub(crate) fn each<T, R>(items: Vec<T>, work: impl Fn(&T) -> R + Send + Sync + 'static) -> Vec<Outcome<R>>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    each_within(PATIENCE, &HANGING, items, work)
}

/// Calls `work` once, which may take this long.
pub(crate) fn once<R: Send + 'static>(
    patience: Duration,
    work: impl Fn() -> R + Send + Sync + 'static,
) -> Outcome<R> {
    each_within(patience, &HANGING, vec![()], move |()| work()).pop().unwrap_or(Outcome::Skipped)
}

fn each_within<T, R>(
    patience: Duration,
    hanging: &'static AtomicUsize,
    items: Vec<T>,
    work: impl Fn(&T) -> R + Send + Sync + 'static,
) -> Vec<Outcome<R>>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    let count = items.len();
    let (items, work) = (Arc::new(items), Arc::new(work));
    let mut outcomes = Vec::with_capacity(count);
    let mut hangs = 0;
    while outcomes.len() < count && hangs < HANGS_AT_MOST && hanging.load(Ordering::Relaxed) < THREADS_AT_MOST
    {
        let (sender, results) = channel();
        let state = Arc::new(AtomicU8::new(RUNS));
        let done = outcomes.len();
        let (items, work, its_state) = (Arc::clone(&items), Arc::clone(&work), Arc::clone(&state));
        let spawned =
            thread::Builder::new().name("patience".into()).stack_size(STACK_BYTES).spawn(move || {
                for item in items.iter().skip(done) {
                    if sender.send(work(item)).is_err() {
                        break;
                    }
                }
                if its_state.swap(ENDED, Ordering::Relaxed) == GIVEN_UP {
                    hanging.fetch_sub(1, Ordering::Relaxed);
                }
            });
        if spawned.is_err() {
            break; // out of threads: what is left is skipped
        }
        while outcomes.len() < count {
            match results.recv_timeout(patience) {
                Ok(result) => outcomes.push(Outcome::Done(result)),
                Err(RecvTimeoutError::Timeout) => {
                    hanging.fetch_add(1, Ordering::Relaxed);
                    if state.compare_exchange(RUNS, GIVEN_UP, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                        hanging.fetch_sub(1, Ordering::Relaxed); // it came back this very moment
                    }
                    hangs += 1;
                    outcomes.push(Outcome::Hung);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    outcomes.push(Outcome::Skipped); // it ended early: the next one goes on behind what stopped it
                    break;
                }
            }
        }
    }
    outcomes.resize_with(count, || Outcome::Skipped);
    outcomes
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A gate that calls hang at until it is opened.
    #[derive(Default)]
    struct Gate(Mutex<bool>, Condvar);

    impl Gate {
        fn pass(&self) {
            drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
        }

        fn open(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }

    #[test]
    fn what_hangs_is_told_and_stops_neither_the_rest_nor_later_calls() {
        /// Other tests must not be told to skip.
        static OURS: AtomicUsize = AtomicUsize::new(0);
        // Where nobody comes back it may be short; who does must get its turn on a busy host.
        const SHORT: Duration = Duration::from_millis(100);
        const LONG: Duration = Duration::from_secs(5);
        let gate = Arc::new(Gate::default());
        let at_gate = Arc::clone(&gate);
        let hang_at = move |patience, hangs: fn(u32) -> bool| {
            let gate = Arc::clone(&at_gate);
            let work = move |item: &u32| {
                if hangs(*item) {
                    gate.pass();
                }
                item * 2
            };
            each_within(patience, &OURS, (0..6).collect(), work)
        };
        let one = hang_at(LONG, |item| item == 2);
        assert_eq!(one[2], Outcome::Hung);
        let rest = [0, 1, 3, 4, 5].map(|at| one[at].clone());
        assert_eq!(rest, [0, 2, 6, 8, 10].map(Outcome::Done));
        let all = hang_at(SHORT, |_| true);
        assert_eq!(all[..3], [Outcome::Hung, Outcome::Hung, Outcome::Hung]);
        assert_eq!(all[3..], [Outcome::Skipped, Outcome::Skipped, Outcome::Skipped]);
        assert_eq!(OURS.load(Ordering::Relaxed), 4);
        for _ in 0..2 {
            hang_at(SHORT, |_| true);
        }
        hang_at(SHORT, |_| true);
        assert_eq!(
            OURS.load(Ordering::Relaxed),
            THREADS_AT_MOST,
            "no more threads than that are left hanging"
        );
        assert_eq!(hang_at(LONG, |_| false), vec![Outcome::Skipped; 6]);
        gate.open();
        while OURS.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        assert_eq!(hang_at(LONG, |_| false)[5], Outcome::Done(10));
    }

    #[test]
    fn a_call_that_panics_costs_its_own_outcome_alone() {
        static OURS: AtomicUsize = AtomicUsize::new(0);
        let one = each_within(Duration::from_secs(5), &OURS, vec![1, 0, 4], |item| 8 / item);
        assert_eq!(one, [Outcome::Done(8), Outcome::Skipped, Outcome::Done(2)]);
    }
}
