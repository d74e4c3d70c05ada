//! The parts of the live source: each keeps the collectors of one domain between ticks and fills that domain's tables.
//!
//! A part calls `collect` for readings, `model` for rates and joins, and says its troubles; [`super::live`] calls parts in
//! the order in which they need one another.

pub(crate) mod cgroup;
pub(crate) mod confinement;
pub(crate) mod container;
pub(crate) mod device;
pub(crate) mod dns;
pub(crate) mod finding;
pub(crate) mod flow;
pub(crate) mod host;
pub(crate) mod io_case;
pub(crate) mod mount;
pub(crate) mod mount_use;
pub(crate) mod namespace;
pub(crate) mod nat;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod socket;

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::host::Host;

use crate::model::rate::{Rated, rate_rows};

/// The last reading without rates and when it was made: the basis of the next rates.
#[derive(Debug)]
pub(super) struct Raw<K, V> {
    at: u64,
    rows: Table<K, V>,
}

// Derived, it would ask the same of keys and rows.
impl<K, V> Default for Raw<K, V> {
    fn default() -> Self {
        Self { at: 0, rows: Table::new() }
    }
}

impl<K: Ord + Clone, V> Raw<K, V> {
    /// Forgets rows that are of something else now.
    fn forget(&mut self, is_of: impl Fn(&K) -> bool) {
        self.rows.retain(|key, _| !is_of(key));
    }

    /// Makes something of new rows, those before and the nanoseconds between, then keeps the new ones. `now` is when they
    /// were begun to be read.
    fn advance<T>(
        &mut self,
        now: u64,
        rows: Table<K, V>,
        rate: impl FnOnce(&Table<K, V>, &Table<K, V>, u64) -> T,
    ) -> T {
        let rated = rate(&self.rows, &rows, now.saturating_sub(self.at));
        *self = Self { at: now, rows };
        rated
    }
}

impl<K: Ord + Clone, V: Rated> Raw<K, V> {
    /// As [`Raw::show`]; what is shown of namespaces that `failed` to be read stays, and has no rate when they are read again.
    fn show_but(
        &mut self,
        failed: &[u64],
        of: fn(&K) -> u64,
        (now, rows): (u64, Table<K, V>),
        shown: &mut Table<K, V>,
    ) {
        let mut kept = Table::new();
        keep_of(failed, of, shown, &mut kept);
        self.show(now, rows, shown);
        shown.extend(kept);
    }

    /// Shows new rows with their rates in the place of those `shown` before.
    fn show(&mut self, now: u64, rows: Table<K, V>, shown: &mut Table<K, V>) {
        *shown = self.advance(now, rows, |before, rows, nanos| rate_rows(before, rows, shown, nanos));
    }
}

/// A new reading with the rows of the one before where they are equal, so that a delta recognises them at a glance.
fn keep_rows<K: Ord + Clone, V: PartialEq>(mut now: Table<K, V>, before: &Table<K, V>) -> Table<K, V> {
    for (key, row) in &mut now {
        if let Some(kept) = before.get(key).filter(|kept| **kept == *row) {
            *row = Arc::clone(kept);
        }
    }
    now
}

/// Takes over the rows of these namespaces: a failure is stale, never empty.
fn keep_of<K: Ord + Clone, V>(failed: &[u64], of: fn(&K) -> u64, from: &Table<K, V>, to: &mut Table<K, V>) {
    if failed.is_empty() {
        return;
    }
    let rows = from.iter().filter(|(key, _)| failed.contains(&of(key)));
    to.extend(rows.map(|(key, row)| (key.clone(), Arc::clone(row))));
}

/// What to say of namespaces whose rows were taken over.
fn is_of_before(failed: &[u64]) -> Option<String> {
    let count = failed.len();
    (count > 0).then(|| format!("what is shown of {count} network namespaces is of before"))
}

/// Whether we hold both capabilities that show other users' processes whole.
pub(crate) fn sees_all(host: &Host) -> bool {
    let capable = ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];
    capable.iter().all(|c| host.capabilities.iter().any(|have| have == c))
}

/// Whether we hold the capability that shows where other users' processes are.
pub(crate) fn traces(host: &Host) -> bool {
    host.capabilities.iter().any(|have| have == "CAP_SYS_PTRACE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::{LinkKey, LinkStat};

    #[test]
    fn what_failed_stays_as_it_was_and_has_no_rate_of_more_than_one_interval() {
        let row = |netns, rx_bytes| {
            let stat = LinkStat { rx_bytes, ..LinkStat::default() };
            (LinkKey { netns, ifindex: 2 }, Arc::new(stat))
        };
        let (mut raw, mut shown) = (Raw::default(), Table::new());
        let mut show = |at: u64, rows: &[(u64, u64)], failed: &[u64]| {
            let rows = rows.iter().map(|(netns, bytes)| row(*netns, *bytes)).collect();
            raw.show_but(failed, |key: &LinkKey| key.netns, (at * 1_000_000_000, rows), &mut shown);
            shown.values().map(|stat| stat.rx_bytes_per_sec).collect::<Vec<_>>()
        };
        show(1, &[(7, 100), (8, 100)], &[]);
        assert_eq!(show(2, &[(7, 150), (8, 130)], &[]), [Some(50.0), Some(30.0)]);
        assert_eq!(show(3, &[(7, 160)], &[8]), [Some(10.0), Some(30.0)], "as it was shown last");
        assert_eq!(show(4, &[(7, 170), (8, 1000)], &[]), [Some(10.0), None]);
        assert_eq!(show(5, &[(7, 170)], &[]), [Some(0.0)], "what is gone goes");
    }
}
