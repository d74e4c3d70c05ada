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

impl<K, V> Raw<K, V> {
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
    /// Shows new rows with their rates in the place of those `shown` before.
    fn show(&mut self, now: u64, rows: Table<K, V>, shown: &mut Table<K, V>) {
        *shown = self.advance(now, rows, |before, rows, nanos| rate_rows(before, rows, shown, nanos));
    }
}

/// A new reading with the rows of the one before where they are equal, so that a delta recognises them at a glance.
fn keep_rows<K: Ord, V: PartialEq>(mut now: Table<K, V>, before: &Table<K, V>) -> Table<K, V> {
    for (key, row) in &mut now {
        if let Some(kept) = before.get(key).filter(|kept| **kept == *row) {
            *row = Arc::clone(kept);
        }
    }
    now
}

/// Takes over the rows of one namespace: a failure is stale, never empty.
fn keep_of<K: Ord + Clone, V>(netns: u64, of: fn(&K) -> u64, from: &Table<K, V>, to: &mut Table<K, V>) {
    to.extend(
        from.iter().filter(|(key, _)| of(key) == netns).map(|(key, row)| (key.clone(), Arc::clone(row))),
    );
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
