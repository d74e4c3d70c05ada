//! What the page held at moments of the last minutes, for the timeline to go back to. Tables share their rows with one another:
//! a moment costs what changed since the one before, and its keys. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use glasshull_shared::snapshot::{Snapshot, TopicSet};

/// Time between two moments, nanoseconds; a bar of the timeline.
pub const STEP_NANOS: u64 = 4_000_000_000;
/// How far back moments are kept, nanoseconds.
const KEPT_NANOS: u64 = 900_000_000_000;
/// Rows of all moments together; with more, moments lie further apart.
const KEPT_ROWS: usize = 250_000;

/// The tables at one moment.
#[derive(Debug)]
pub struct Moment {
    /// Instant of the tick, nanoseconds since the epoch.
    pub at: u64,
    /// Tables that were received then; the others are empty.
    pub topics: TopicSet,
    /// The tables.
    pub tables: Snapshot,
    rows: usize,
}

/// Moments, oldest first.
#[derive(Debug, Default)]
pub struct Past {
    moments: VecDeque<Arc<Moment>>,
    rows: usize,
}

impl Past {
    /// Takes a moment, unless there is one of this step already.
    pub(super) fn keep(&mut self, at: u64, now: &Snapshot, topics: TopicSet) {
        // A replay that starts over goes back in time: what came after is not the past of it.
        while self.moments.back().is_some_and(|last| last.at >= at) {
            self.forget_last();
        }
        if self.moments.back().is_some_and(|last| last.at / STEP_NANOS == at / STEP_NANOS) {
            return;
        }
        let mut tables = Snapshot::default();
        topics.iter().for_each(|topic| tables.copy_table(now, topic));
        let rows = topics.iter().map(|topic| tables.len(topic)).sum();
        self.rows += rows;
        self.moments.push_back(Arc::new(Moment { at, topics, tables, rows }));
        while self.moments.front().is_some_and(|first| first.at + KEPT_NANOS < at) {
            self.rows -= self.moments.pop_front().map_or(0, |first| first.rows);
        }
        while self.rows > KEPT_ROWS && self.moments.len() > 2 {
            self.thin_out();
        }
    }

    /// The moment nearest to an instant; `None` without any.
    pub(super) fn nearest(&self, at: u64) -> Option<&Arc<Moment>> {
        self.moments.iter().min_by_key(|moment| moment.at.abs_diff(at))
    }

    fn forget_last(&mut self) {
        self.rows -= self.moments.pop_back().map_or(0, |last| last.rows);
    }

    /// The one goes that is missed least: it leaves the smallest gap.
    fn thin_out(&mut self) {
        let at = |i: usize| self.moments.get(i).map_or(0, |moment| moment.at);
        let inner = 1..self.moments.len().saturating_sub(1);
        if let Some(i) = inner.min_by_key(|i| at(i + 1) - at(i - 1)) {
            self.rows -= self.moments.remove(i).map_or(0, |moment| moment.rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::host::{CpuKey, CpuStat};
    use glasshull_shared::snapshot::Topic;

    fn snapshot(cpus: u32) -> Snapshot {
        let row = |cpu| (CpuKey { cpu }, Arc::new(CpuStat::default()));
        Snapshot { cpu: (0..cpus).map(row).collect(), ..Snapshot::default() }
    }

    fn instants(past: &Past) -> Vec<u64> {
        past.moments.iter().map(|moment| moment.at / STEP_NANOS).collect()
    }

    const CPU: fn() -> TopicSet = || [Topic::Cpu].into_iter().collect();

    #[test]
    fn one_moment_of_each_step_is_kept_with_what_was_received() {
        let mut past = Past::default();
        for at in [0, 1, STEP_NANOS, STEP_NANOS + 5, 3 * STEP_NANOS] {
            past.keep(at, &snapshot(2), if at == 1 { TopicSet::EMPTY } else { CPU() });
        }
        assert_eq!(instants(&past), [0, 1, 3]);
        let near = past.nearest(2 * STEP_NANOS - 1).map(|moment| (moment.at, moment.tables.cpu.len()));
        assert_eq!((near, past.rows), (Some((STEP_NANOS, 2)), 6));
        past.keep(4 * STEP_NANOS, &snapshot(2), TopicSet::EMPTY);
        assert_eq!(past.nearest(u64::MAX).map(|moment| moment.tables.cpu.len()), Some(0));
    }

    #[test]
    fn what_is_old_goes_and_a_replay_that_starts_over_has_no_past() {
        let mut past = Past::default();
        for step in 0..300 {
            past.keep(step * STEP_NANOS, &snapshot(1), CPU());
        }
        assert_eq!(instants(&past).first(), Some(&(299 - 225)));
        past.keep(80 * STEP_NANOS, &snapshot(1), CPU());
        assert_eq!(instants(&past).last_chunk(), Some(&[79, 80]));
    }

    #[test]
    fn many_rows_make_moments_lie_further_apart_but_reach_as_far() {
        let mut past = Past::default();
        let crowd = snapshot(10_000);
        for step in 0..200 {
            past.keep(step * STEP_NANOS, &crowd, CPU());
        }
        let kept = instants(&past);
        assert!(past.rows <= KEPT_ROWS && kept.len() >= KEPT_ROWS / 10_000 / 2, "{kept:?}");
        assert_eq!((kept.first(), kept.last()), (Some(&0), Some(&199)));
        assert!(kept.windows(2).all(|two| two[1] - two[0] <= 16), "{kept:?}");
        assert_eq!(past.rows, kept.len() * 10_000);
    }
}
