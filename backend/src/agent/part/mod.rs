//! The parts of the live source: each keeps the collectors of one domain between ticks and fills that domain's tables.
//!
//! A part calls `collect` for readings, `model` for rates and joins, and says its troubles; [`super::live`] calls parts in
//! the order in which they need one another.

pub(crate) mod container;
pub(crate) mod host;
pub(crate) mod process;

use glasshull_shared::delta::Table;

use crate::sys::clock;

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
    /// Makes rates of new rows with those before and the nanoseconds between, then keeps the new ones.
    fn advance<T>(
        &mut self,
        rows: Table<K, V>,
        rate: impl FnOnce(&Table<K, V>, &Table<K, V>, u64) -> T,
    ) -> T {
        let now = clock::monotonic();
        self.advance_at(now, rows, rate)
    }

    /// The same for a reading that began at a known instant.
    fn advance_at<T>(
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
