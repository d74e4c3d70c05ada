//! What passes block devices, from counters of two readings: the formulae of `iostat -x` (sysstat, `rd_stats.c` and `iostat.c`).
//! Pure.

use glasshull_shared::domain::device::DeviceStat;

use super::rate::{Rated, maybe_per_sec, per_sec, ratio};

impl Rated for DeviceStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        // A device that was taken away and came back under its number begins anew.
        if self.reads < before.reads || self.writes < before.writes {
            return;
        }
        let now = *self;
        self.reads_per_sec = per_sec(before.reads, now.reads, nanos);
        self.writes_per_sec = per_sec(before.writes, now.writes, nanos);
        self.discards_per_sec = maybe_per_sec(before.discards, now.discards, nanos);
        self.flushes_per_sec = maybe_per_sec(before.flushes, now.flushes, nanos);
        self.read_bytes_per_sec = per_sec(before.read_bytes, now.read_bytes, nanos);
        self.write_bytes_per_sec = per_sec(before.write_bytes, now.write_bytes, nanos);
        self.discard_bytes_per_sec = maybe_per_sec(before.discard_bytes, now.discard_bytes, nanos);
        self.read_merges_per_sec = per_sec(before.read_merges, now.read_merges, nanos);
        self.write_merges_per_sec = per_sec(before.write_merges, now.write_merges, nanos);
        // How much each of those that finished took; `None` when none did.
        let each = |finished: fn(&Self) -> Option<u64>, spent: fn(&Self) -> Option<u64>| {
            let count = finished(&now)?.checked_sub(finished(before)?).filter(|count| *count > 0)?;
            Some(spent(&now)?.checked_sub(spent(before)?)? as f64 / count as f64)
        };
        self.read_await_secs = each(|row| Some(row.reads), |row| Some(row.read_nanos)).map(secs);
        self.write_await_secs = each(|row| Some(row.writes), |row| Some(row.write_nanos)).map(secs);
        self.discard_await_secs = each(|row| row.discards, |row| row.discard_nanos).map(secs);
        self.flush_await_secs = each(|row| row.flushes, |row| row.flush_nanos).map(secs);
        self.read_request_bytes =
            each(|row| Some(row.reads), |row| Some(row.read_bytes)).map(|mean| mean as f32);
        self.write_request_bytes =
            each(|row| Some(row.writes), |row| Some(row.write_bytes)).map(|mean| mean as f32);
        self.queue_length = ratio(before.queue_nanos, now.queue_nanos, nanos);
        // Counted in steps of the kernel's clock, it may run some ahead of a short interval.
        self.utilization_ratio = ratio(before.busy_nanos, now.busy_nanos, nanos).map(|share| share.min(1.0));
    }
}

fn secs(nanos: f64) -> f32 {
    (nanos / 1e9) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters before and after 400 writes of 64 KiB that took 1 ms each.
    fn rated(nanos: u64) -> DeviceStat {
        let before = DeviceStat {
            reads: 100,
            writes: 1000,
            write_merges: 10,
            write_bytes: 65_536_000,
            write_nanos: 900_000_000,
            busy_nanos: 500_000_000,
            queue_nanos: 950_000_000,
            flushes: Some(3),
            flush_nanos: Some(20_000_000),
            ..DeviceStat::default()
        };
        let mut now = DeviceStat {
            writes: 1400,
            write_merges: 14,
            write_bytes: 91_750_400,
            write_nanos: 1_300_000_000,
            busy_nanos: 1_500_000_000,
            queue_nanos: 1_350_000_000,
            flushes: Some(5),
            flush_nanos: Some(60_000_000),
            ..before
        };
        now.rate(&before, nanos);
        now
    }

    #[test]
    fn figures_are_those_iostat_makes_of_the_same_counters() {
        let row = rated(2_000_000_000);
        assert_eq!((row.writes_per_sec, row.write_bytes_per_sec), (Some(200.0), Some(13_107_200.0)));
        assert_eq!((row.write_merges_per_sec, row.flushes_per_sec), (Some(2.0), Some(1.0)));
        // w_await 1.00 ms, f_await 20.00 ms, wareq-sz 64.00 kB, aqu-sz 0.20, %util 50.00.
        assert_eq!((row.write_await_secs, row.flush_await_secs), (Some(0.001), Some(0.02)));
        assert_eq!((row.write_request_bytes, row.queue_length), (Some(65_536.0), Some(0.2)));
        assert_eq!(row.utilization_ratio, Some(0.5));
    }

    #[test]
    fn where_nothing_finished_there_is_no_wait_and_no_size() {
        let row = rated(2_000_000_000);
        assert_eq!((row.reads_per_sec, row.read_await_secs, row.read_request_bytes), (Some(0.0), None, None));
        assert_eq!((row.discards_per_sec, row.discard_await_secs), (None, None));
    }

    #[test]
    fn a_share_is_never_more_than_all_and_a_device_that_came_anew_has_no_rates() {
        assert_eq!(rated(900_000_000).utilization_ratio, Some(1.0));
        let before = rated(2_000_000_000);
        let mut now = DeviceStat { writes: 3, ..DeviceStat::default() };
        now.rate(&before, 1_000_000_000);
        assert_eq!(now, DeviceStat { writes: 3, ..DeviceStat::default() });
    }
}
