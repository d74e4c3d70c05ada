//! Looks at file systems beside the tick: some threads take jobs, and one whose look does not come back in time is written
//! off, with another in its place. What hangs is not asked again before it comes back, and of what hangs there is a limit, for
//! each mount namespace as well: a container that serves dead file systems hides those of no other.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::look::{Fault, Figures, Job, look};
use crate::sys::clock;
use crate::sys::root::Root;

/// How long a look may take before it counts as hanging.
const PATIENCE: u64 = 2_000_000_000;
/// Looks at the same time.
const AT_ONCE: usize = 8;
/// Looks that may hang; with those that begin at the same time it may be [`AT_ONCE`] more.
const HUNG_AT_MOST: usize = 32;
/// The same in one mount namespace.
const HUNG_OF_ONE: usize = 4;

/// What is told of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The look came back.
    Figures {
        /// Monotonic instant when it did.
        at: u64,
        /// The same, since the epoch.
        asked_at: u64,
        /// What it brought.
        figures: Figures,
    },
    /// It came back with nothing.
    Failed(Fault),
    /// It did not in time; what it brings is told when it does.
    Hung,
    /// It was not begun, since too many others hang.
    NotAsked,
}

/// News of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// Which.
    pub(crate) device: String,
    /// What of it.
    pub(crate) told: Told,
}

type Look = dyn Fn(&Job) -> Result<Figures, Fault> + Send + Sync;

/// The threads; they end when there is nothing to do.
pub(crate) struct Crew {
    shared: Arc<Mutex<State>>,
    look: Arc<Look>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    news: Vec<News>,
    /// Threads that take jobs: all but those written off.
    hands: usize,
    /// The ticket of the next look.
    next: u64,
}

#[derive(Debug)]
struct Running {
    ticket: u64,
    device: String,
    place: Option<u64>,
    /// Monotonic instant when it began.
    at: u64,
    /// It hangs; its thread takes no more jobs.
    written_off: bool,
}

impl Crew {
    /// A crew without threads yet.
    pub(crate) fn new(root: Root) -> Self {
        Self::looking(move |job| look(&root, job))
    }

    fn looking(look: impl Fn(&Job) -> Result<Figures, Fault> + Send + Sync + 'static) -> Self {
        Self { shared: Arc::default(), look: Arc::new(look) }
    }

    /// Hands over looks, but those that wait or run already.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(crate) fn order(&self, jobs: impl IntoIterator<Item = Job>) -> io::Result<()> {
        let mut state = lock(&self.shared);
        for job in jobs {
            let known = state.waiting.iter().any(|other| other.device == job.device)
                || state.running.iter().any(|other| other.device == job.device);
            if !known {
                state.waiting.push_back(job);
            }
        }
        self.man(&mut state)
    }

    /// Whether there is something to take, or looks are on their way that may still come back in time.
    pub(crate) fn is_waiting(&self) -> bool {
        let state = lock(&self.shared);
        let some = !state.waiting.is_empty() || !state.news.is_empty();
        some || state.running.iter().any(|one| !one.written_off)
    }

    /// What is new since the last call. `now` is monotonic.
    ///
    /// # Errors
    /// When no thread can be made in the place of one that hangs.
    pub(crate) fn take(&self, now: u64) -> (Vec<News>, io::Result<()>) {
        let mut state = lock(&self.shared);
        let State { running, news, hands, .. } = &mut *state;
        let late = |one: &&mut Running| !one.written_off && now.saturating_sub(one.at) > PATIENCE;
        for one in running.iter_mut().filter(late) {
            one.written_off = true;
            *hands = hands.saturating_sub(1);
            let device = one.device.clone();
            news.push(News { device, told: Told::Hung });
        }
        let news = std::mem::take(news);
        let manned = self.man(&mut state);
        (news, manned)
    }

    /// Drops what waits and what is not told yet. Looks that hang are still known afterwards.
    pub(crate) fn rest(&self) {
        let mut state = lock(&self.shared);
        state.waiting.clear();
        state.news.clear();
    }

    /// Makes as many threads as there is work for.
    fn man(&self, state: &mut State) -> io::Result<()> {
        while state.hands < AT_ONCE.min(state.waiting.len()) {
            let (shared, look) = (Arc::clone(&self.shared), Arc::clone(&self.look));
            std::thread::Builder::new()
                .name("mount_use".into())
                .stack_size(256 << 10)
                .spawn(move || work(&shared, &*look))?;
            state.hands += 1;
        }
        Ok(())
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(shared: &Mutex<State>, look: &Look) {
    loop {
        let Some((ticket, job)) = lock(shared).begin() else { return };
        let told = look(&job);
        if !lock(shared).end(ticket, told) {
            return;
        }
    }
}

impl State {
    /// The next look; the thread that asks has ended when there is none.
    fn begin(&mut self) -> Option<(u64, Job)> {
        while let Some(job) = self.waiting.pop_front() {
            let device = job.device.clone();
            let hung = || self.running.iter().filter(|one| one.written_off);
            let of_one = hung().filter(|one| one.place == job.place).count();
            if of_one >= HUNG_OF_ONE || hung().count() >= HUNG_AT_MOST {
                self.news.push(News { device, told: Told::NotAsked });
                continue;
            }
            self.next += 1;
            let (ticket, place) = (self.next, job.place);
            self.running.push(Running { ticket, device, place, at: clock::monotonic(), written_off: false });
            return Some((ticket, job));
        }
        self.hands = self.hands.saturating_sub(1);
        None
    }

    /// Takes what a look brought; whether its thread may go on.
    fn end(&mut self, ticket: u64, told: Result<Figures, Fault>) -> bool {
        let Some(index) = self.running.iter().position(|one| one.ticket == ticket) else { return false };
        let Running { device, written_off, .. } = self.running.swap_remove(index);
        let (at, asked_at) = (clock::monotonic(), clock::now_nanos());
        let told = told.map_or_else(Told::Failed, |figures| Told::Figures { at, asked_at, figures });
        self.news.push(News { device, told });
        !written_off
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Condvar;
    use std::time::{Duration, Instant};

    use super::*;

    /// A door that looks at file systems named `dead…` wait behind.
    #[derive(Default)]
    struct Door(Mutex<bool>, Condvar);

    impl Door {
        fn open(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }

        fn crew(self: &Arc<Self>) -> Crew {
            let door = Arc::clone(self);
            Crew::looking(move |job| {
                if job.device.starts_with("dead") {
                    let open = door.0.lock().unwrap();
                    drop(door.1.wait_while(open, |open| !*open).unwrap());
                }
                Ok(Figures { identity: 5, ..Figures::default() })
            })
        }
    }

    fn job(device: &str, place: u64) -> Job {
        Job { device: device.into(), place: Some(place), apart: false, ways: Vec::new() }
    }

    fn in_time() -> u64 {
        clock::monotonic()
    }

    fn too_late() -> u64 {
        clock::monotonic() + PATIENCE + 1
    }

    type All = BTreeMap<String, Told>;

    fn hung(told: &All) -> usize {
        told.values().filter(|told| **told == Told::Hung).count()
    }

    /// Takes news until they are `enough`: a look that is on its way in the very moment counts as late, too, until it is back.
    fn take(crew: &Crew, now: fn() -> u64, enough: impl Fn(&All) -> bool) -> All {
        let (mut all, until) = (BTreeMap::new(), Instant::now() + Duration::from_secs(20));
        while !enough(&all) {
            all.extend(crew.take(now()).0.into_iter().map(|news| (news.device, news.told)));
            assert!(Instant::now() < until, "{all:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        all
    }

    fn running(crew: &Crew, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while lock(&crew.shared).running.len() < count {
            assert!(Instant::now() < until, "{:?}", lock(&crew.shared));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn more_hang_than_there_are_threads_and_the_others_are_told_all_the_same() {
        let door = Arc::new(Door::default());
        let crew = door.crew();
        let dead: Vec<Job> = (0..2 * AT_ONCE).map(|n| job(&format!("dead{n}"), n as u64)).collect();
        crew.order(dead.clone()).unwrap();
        crew.order((0..50).map(|n| job(&format!("good{n}"), 1000))).unwrap();
        running(&crew, AT_ONCE);
        assert_eq!(crew.take(in_time()).0, [], "it is not too late yet");
        take(&crew, too_late, |told| told.len() == 2 * AT_ONCE + 50 && hung(told) == 2 * AT_ONCE);
        assert!(!crew.is_waiting(), "nobody waits for what hangs");

        // Not asked again while they hang, told once when they come back, and asked as ever then.
        crew.order(dead.clone()).unwrap();
        assert!(crew.take(too_late()).0.is_empty() && lock(&crew.shared).running.len() == 2 * AT_ONCE);
        door.open();
        let told = take(&crew, in_time, |told| told.len() == 2 * AT_ONCE);
        assert!(told.values().all(|told| matches!(told, Told::Figures { .. })), "{told:?}");
        assert!(lock(&crew.shared).running.is_empty());
        crew.order(dead).unwrap();
        assert_eq!(hung(&take(&crew, in_time, |told| told.len() == 2 * AT_ONCE)), 0);
    }

    #[test]
    fn what_hangs_is_bounded_in_one_namespace_and_in_all() {
        let door = Arc::new(Door::default());
        let crew = door.crew();
        let of_one = (0..30).map(|n| job(&format!("dead{n}"), 1));
        crew.order(of_one.chain([job("good", 1), job("other", 2)])).unwrap();
        let answered = |told: &All| matches!(told.get("other"), Some(Told::Figures { .. }));
        let told = take(&crew, too_late, |told| told.len() == 32 && answered(told));
        let hung = lock(&crew.shared).running.len();
        assert!((HUNG_OF_ONE..HUNG_OF_ONE + AT_ONCE).contains(&hung), "{hung} hang");
        assert_eq!(told["good"], Told::NotAsked, "its own namespace is to blame");

        crew.order((100..300).map(|n| job(&format!("dead{n}"), n))).unwrap();
        take(&crew, too_late, |told| told.len() == 200);
        let hung = lock(&crew.shared).running.len();
        assert!((HUNG_AT_MOST..HUNG_AT_MOST + AT_ONCE).contains(&hung), "{hung} hang");
        door.open();
    }

    #[test]
    fn who_rests_knows_still_what_hangs() {
        let door = Arc::new(Door::default());
        let crew = door.crew();
        for _ in 0..5 {
            crew.order([job("dead", 1)]).unwrap();
            running(&crew, 1);
            crew.rest();
            assert_eq!(lock(&crew.shared).running.len(), 1);
        }
        assert_eq!(take(&crew, too_late, |told| told.len() == 1)["dead"], Told::Hung);
        door.open();
    }
}
