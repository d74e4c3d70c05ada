//! What one snapshot does not tell: counters over the last minute, and since when a process is in a state.

use std::collections::{BTreeMap, VecDeque};

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::dns::DnsClientKey;
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::process::{ProcessKey, ProcessState};
use glasshull_shared::snapshot::Snapshot;

/// Counters are compared over this time.
const WINDOW: u64 = 60 * 1_000_000_000;

/// What was seen over time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Scheduling periods, and those in which the quota ran out.
    pub(super) periods: Series<ContainerKey, 2>,
    /// Received packets lost and broken, sent packets lost and broken.
    pub(super) losses: Series<LinkKey, 4>,
    /// Questions for names, and those that ended in NXDOMAIN; empty while no packets are captured.
    pub(super) questions: Series<DnsClientKey, 2>,
    /// Processes that wait uninterruptibly or are zombies, with the state and since when each look found it so.
    states: BTreeMap<ProcessKey, (ProcessState, u64)>,
}

impl Watch {
    /// Takes a look. `now` is in nanoseconds.
    pub(crate) fn look(&mut self, snapshot: &Snapshot, now: u64) {
        let periods = snapshot
            .container_stat
            .iter()
            .filter_map(|(key, row)| Some((key.clone(), [row.cpu_periods?, row.cpu_throttled_periods?])));
        self.periods.look(periods, now);
        let losses = snapshot
            .link_stat
            .iter()
            .map(|(key, row)| (*key, [row.rx_dropped, row.rx_errors, row.tx_dropped, row.tx_errors]));
        self.losses.look(losses, now);
        let questions = snapshot.dns_client.iter().filter(|(_, row)| !row.forwarded);
        let questions = questions.map(|(key, row)| (key.clone(), [row.counts.queries, row.counts.nxdomain]));
        self.questions.look(questions, now);
        let mut states = BTreeMap::new();
        for (key, row) in &snapshot.process_stat {
            if matches!(row.state, ProcessState::D | ProcessState::Z) {
                let since = self.states.get(key).filter(|(state, _)| *state == row.state);
                states.insert(*key, (row.state, since.map_or(now, |(_, since)| *since)));
            }
        }
        self.states = states;
    }

    /// How long each look has found a process in this state; `None` when the last one did not.
    pub(super) fn nanos_in(&self, key: &ProcessKey, state: ProcessState, now: u64) -> Option<u64> {
        let (seen, since) = self.states.get(key)?;
        (*seen == state).then(|| now.saturating_sub(*since))
    }
}

/// Counters of many things over the window.
#[derive(Debug)]
pub(super) struct Series<K, const N: usize>(BTreeMap<K, VecDeque<(u64, [u64; N])>>);

// Derived, it would ask the same of keys.
impl<K, const N: usize> Default for Series<K, N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, const N: usize> Series<K, N> {
    /// Takes the counters of all things that are there; those that are not are forgotten.
    fn look(&mut self, counters: impl Iterator<Item = (K, [u64; N])>, now: u64) {
        let mut before = std::mem::take(&mut self.0);
        for (key, values) in counters {
            let mut seen = before.remove(&key).unwrap_or_default();
            if seen.back().is_some_and(|(_, last)| last.iter().zip(&values).any(|(a, b)| b < a)) {
                seen.clear(); // made anew
            }
            seen.push_back((now, values));
            // One reading at or before the beginning of the window stays: growth is counted from there.
            while seen.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
                seen.pop_front();
            }
            self.0.insert(key, seen);
        }
    }

    /// By how much its counters grew over the window, as far as it was watched; `None` before the second look.
    pub(super) fn growth(&self, key: &K) -> Option<[u64; N]> {
        let seen = self.0.get(key).filter(|seen| seen.len() > 1)?;
        let ((_, first), (_, last)) = (seen.front()?, seen.back()?);
        let mut growth = *last;
        for (grown, first) in growth.iter_mut().zip(first) {
            *grown = grown.saturating_sub(*first);
        }
        Some(growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: u64 = 1_000_000_000;

    #[test]
    fn growth_is_counted_over_the_window_and_from_zero_after_a_reset() {
        let mut series = Series::<u8, 1>::default();
        let mut look = |at: u64, value: u64| {
            series.look([(7, [value])].into_iter(), at * SEC);
            series.growth(&7)
        };
        assert_eq!(look(0, 1000), None);
        assert_eq!(look(5, 1005), Some([5]));
        assert_eq!(look(65, 1006), Some([1]));
        assert_eq!(look(70, 3), None);
        assert_eq!(look(75, 4), Some([1]));
        series.look(std::iter::empty(), 80 * SEC);
        assert_eq!(series.growth(&7), None);
    }
}
