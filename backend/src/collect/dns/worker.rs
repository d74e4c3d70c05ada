//! Asks beside the tick: a thread gives out jobs, so many at a time, each to a thread of its own. One whose resolver is slow gives
//! its place to the next and goes on beside it, and waits behind the others from then on: dead resolvers hold up nobody else, and
//! of what may hang at once there is a limit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Job, Outcome, run_until};

/// Containers asked in at the same time whose resolvers may all be quick.
const AT_ONCE: usize = 8;
/// All together, with those whose resolvers have turned out slow.
const THREADS_AT_MOST: usize = 32;
/// A resolver that takes so long for all of its questions is slow.
const SLOW: Duration = Duration::from_millis(500);
/// How often it is looked who has become slow while others wait.
const LOOK: Duration = Duration::from_millis(100);
/// Containers that were slow last time; beyond, it is forgotten who was.
const SLOW_KNOWN: usize = 1000;

/// The thread; once this is dropped it ends, and so does every question under way.
#[derive(Debug)]
pub(crate) struct Worker {
    news: Sender<News>,
    done: Receiver<(Job, Outcome)>,
    waiting: usize,
    enough: Arc<AtomicBool>,
}

#[derive(Debug)]
enum News {
    Order(Vec<Job>),
    Ended(u64, Job, Outcome),
    Enough,
}

type Ask = dyn Fn(&Job, &AtomicBool) -> Outcome + Send + Sync;

impl Worker {
    /// Starts it. `wake` is notified when answers are there.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(crate) fn start(wake: Arc<Notify>) -> std::io::Result<Self> {
        let ask = |job: &Job, enough: &AtomicBool| run_until(job, &|| enough.load(Ordering::Relaxed));
        Self::asking(wake, Arc::new(ask))
    }

    fn asking(wake: Arc<Notify>, ask: Arc<Ask>) -> std::io::Result<Self> {
        let (news, heard) = channel();
        let (results, done) = channel();
        let enough = Arc::new(AtomicBool::new(false));
        let hands = Hands { ask, enough: Arc::clone(&enough), news: news.clone() };
        let work = move || {
            let mut desk = Desk::default();
            loop {
                while let Some((ticket, job)) = desk.begin(Instant::now()) {
                    hands.give(ticket, job);
                }
                match if desk.is_idle() { heard.recv().map_err(Into::into) } else { heard.recv_timeout(LOOK) }
                {
                    Ok(News::Order(jobs)) => desk.take_in(jobs),
                    Ok(News::Ended(ticket, job, outcome)) => {
                        desk.end(ticket, &job.container, Instant::now());
                        if results.send((job, outcome)).is_err() {
                            return;
                        }
                        wake.notify_one();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(News::Enough) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        std::thread::Builder::new().name("dns".into()).spawn(work)?;
        Ok(Self { news, done, waiting: 0, enough })
    }

    /// Hands over jobs; their outcomes come by [`Worker::take`]. False when the thread has died.
    #[must_use]
    pub(crate) fn order(&mut self, jobs: Vec<Job>) -> bool {
        let count = jobs.len();
        let taken = self.news.send(News::Order(jobs)).is_ok();
        if taken {
            self.waiting += count;
        }
        taken
    }

    /// Jobs without outcome yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What is done since the last call.
    pub(crate) fn take(&mut self) -> Vec<(Job, Outcome)> {
        let mut all = Vec::new();
        loop {
            match self.done.try_recv() {
                Ok(one) => all.push(one),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.waiting = all.len(); // the thread died: nothing more will come
                    break;
                }
            }
        }
        self.waiting = self.waiting.saturating_sub(all.len());
        all
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        let _ = self.news.send(News::Enough); // it may have died
    }
}

/// What a thread that asks is made of.
struct Hands {
    ask: Arc<Ask>,
    enough: Arc<AtomicBool>,
    news: Sender<News>,
}

impl Hands {
    fn give(&self, ticket: u64, job: Job) {
        let (ask, enough, news) = (Arc::clone(&self.ask), Arc::clone(&self.enough), self.news.clone());
        let of = job.clone();
        let work = move || {
            let outcome = ask(&job, &enough);
            let _ = news.send(News::Ended(ticket, job, outcome)); // nobody wants it any more
        };
        if let Err(error) = std::thread::Builder::new().name("dns-ask".into()).spawn(work) {
            let outcome =
                Outcome { refused: Some(format!("no thread to ask on: {error}")), ..Outcome::default() };
            let _ = self.news.send(News::Ended(ticket, of, outcome)); // as above
        }
    }
}

/// Who waits, who is asked, and who was slow.
#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Job>,
    /// Behind those.
    waiting_slow: VecDeque<Job>,
    running: BTreeMap<u64, Instant>,
    next: u64,
    slow: BTreeSet<String>,
}

impl Desk {
    fn take_in(&mut self, jobs: Vec<Job>) {
        let (slow, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| self.slow.contains(&job.container));
        self.waiting.extend(others);
        self.waiting_slow.extend(slow);
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.waiting_slow.is_empty()
    }

    /// The next job for which there is room.
    fn begin(&mut self, now: Instant) -> Option<(u64, Job)> {
        let quick =
            self.running.values().filter(|began| now.saturating_duration_since(**began) < SLOW).count();
        if quick >= AT_ONCE || self.running.len() >= THREADS_AT_MOST {
            return None;
        }
        // Those known to be slow leave room for the others.
        let room = self.running.len() < THREADS_AT_MOST - AT_ONCE;
        let slow = |waiting: &mut VecDeque<Job>| if room { waiting.pop_front() } else { None };
        let job = self.waiting.pop_front().or_else(|| slow(&mut self.waiting_slow))?;
        self.next += 1;
        self.running.insert(self.next, now);
        Some((self.next, job))
    }

    fn end(&mut self, ticket: u64, container: &str, now: Instant) {
        let Some(began) = self.running.remove(&ticket) else { return };
        if now.saturating_duration_since(began) < SLOW {
            self.slow.remove(container);
        } else {
            if self.slow.len() >= SLOW_KNOWN {
                self.slow.clear();
            }
            self.slow.insert(container.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(container: &str) -> Job {
        Job {
            container: container.into(),
            pid: 1,
            netns: 1,
            servers: Vec::new(),
            questions: Vec::new(),
            patience: Duration::ZERO,
        }
    }

    fn jobs(kind: &str, count: usize) -> Vec<Job> {
        (0..count).map(|n| job(&format!("{kind}{n}"))).collect()
    }

    /// Resolvers of `dead…` are silent until nobody wants to know any more.
    fn worker() -> Worker {
        let ask = |job: &Job, enough: &AtomicBool| {
            while job.container.starts_with("dead") && !enough.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Outcome::default()
        };
        Worker::asking(Arc::default(), Arc::new(ask)).unwrap()
    }

    fn take(worker: &mut Worker, count: usize) -> Vec<String> {
        let (mut all, until) = (Vec::new(), Instant::now() + Duration::from_secs(30));
        while all.len() < count {
            all.extend(worker.take().into_iter().map(|(job, _)| job.container));
            assert!(Instant::now() < until, "{all:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        all
    }

    #[test]
    fn more_dead_resolvers_than_are_asked_at_once_hold_up_nobody_else() {
        let mut worker = worker();
        assert!(worker.order(jobs("dead", AT_ONCE + 4)) && worker.order(jobs("good", 50)));
        let told = take(&mut worker, 50);
        assert!(told.iter().all(|container| container.starts_with("good")), "{told:?}");
        assert_eq!(worker.waiting(), AT_ONCE + 4);
    }

    #[test]
    fn who_is_not_wanted_any_more_ends_at_once() {
        let (ended, all) = channel();
        let ask = move |_: &Job, enough: &AtomicBool| {
            while !enough.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended.send(()).unwrap();
            Outcome::default()
        };
        let mut worker = Worker::asking(Arc::default(), Arc::new(ask)).unwrap();
        assert!(worker.order(jobs("dead", 3)));
        drop(worker);
        // Those that were begun end; the threads and with them the sender go.
        while all.recv_timeout(Duration::from_secs(30)).is_ok() {}
        assert!(matches!(all.try_recv(), Err(TryRecvError::Disconnected)));
    }

    #[test]
    fn what_hangs_is_bounded_and_who_was_slow_waits_behind_the_others() {
        let mut desk = Desk::default();
        let began = Instant::now();
        let later = began + SLOW;
        desk.take_in(jobs("dead", 100));
        let begin =
            |desk: &mut Desk, now: Instant| std::iter::from_fn(|| desk.begin(now)).collect::<Vec<_>>();
        let first = begin(&mut desk, began);
        assert_eq!(first.len(), AT_ONCE);
        let mut running = first;
        for round in 1..=10 {
            running.extend(begin(&mut desk, began + SLOW * round));
        }
        assert_eq!(running.len(), THREADS_AT_MOST);
        for (ticket, job) in running {
            desk.end(ticket, &job.container, began + SLOW * 20);
        }
        desk.waiting.clear();
        desk.take_in(jobs("dead", 30));
        desk.take_in(jobs("good", 2));
        let names: Vec<_> = begin(&mut desk, later).into_iter().map(|(_, job)| job.container).collect();
        assert_eq!(names[..3], ["good0", "good1", "dead0"]);
        for round in 2..10 {
            begin(&mut desk, began + SLOW * round);
        }
        assert_eq!(desk.running.len(), THREADS_AT_MOST - AT_ONCE, "room is left for others");
        desk.take_in(jobs("new", 20));
        assert_eq!(begin(&mut desk, began + SLOW * 20).len(), AT_ONCE);
    }

    #[test]
    fn who_is_quick_again_is_slow_no_more() {
        let (mut desk, began) = (Desk::default(), Instant::now());
        for (took, slow) in [(SLOW, true), (Duration::ZERO, false)] {
            desk.take_in(vec![job("c")]);
            let (ticket, _) = desk.begin(began).unwrap();
            desk.end(ticket, "c", began + took);
            assert_eq!(desk.slow.contains("c"), slow);
        }
    }
}
