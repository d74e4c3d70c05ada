//! What passes block devices, from counters of two readings: the formulae of `iostat -x` (sysstat, `rd_stats.c` and `iostat.c`).
//! Pure.

use glasshull_shared::domain::device::DeviceStat;

use super::rate::{Rated, per_sec, ratio};

impl Rated for DeviceStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        // A device that was taken away and came back under its number begins anew.
        if self.reads < before.reads || self.writes < before.writes {
            return;
        }
        let maybe = |before: Option<u64>, now: Option<u64>| per_sec(before?, now?, nanos);
        self.reads_per_sec = per_sec(before.reads, self.reads, nanos);
        self.writes_per_sec = per_sec(before.writes, self.writes, nanos);
        self.discards_per_sec = maybe(before.discards, self.discards);
        self.flushes_per_sec = maybe(before.flushes, self.flushes);
        self.read_bytes_per_sec = per_sec(before.read_bytes, self.read_bytes, nanos);
        self.write_bytes_per_sec = per_sec(before.write_bytes, self.write_bytes, nanos);
        self.discard_bytes_per_sec = maybe(before.discard_bytes, self.discard_bytes);
        self.read_merges_per_sec = per_sec(before.read_merges, self.read_merges, nanos);
        self.write_merges_per_sec = per_sec(before.write_merges, self.write_merges, nanos);
        let (reads, writes) = ((before.reads, self.reads), (before.writes, self.writes));
        self.read_await_secs = each(reads, (before.read_nanos, self.read_nanos)).map(secs);
        self.write_await_secs = each(writes, (before.write_nanos, self.write_nanos)).map(secs);
        self.discard_await_secs = (|| {
            let spent = (before.discard_nanos?, self.discard_nanos?);
            each((before.discards?, self.discards?), spent).map(secs)
        })();
        self.flush_await_secs = (|| {
            let spent = (before.flush_nanos?, self.flush_nanos?);
            each((before.flushes?, self.flushes?), spent).map(secs)
        })();
        self.read_request_bytes = each(reads, (before.read_bytes, self.read_bytes)).map(|mean| mean as f32);
        self.write_request_bytes =
            each(writes, (before.write_bytes, self.write_bytes)).map(|mean| mean as f32);
        self.queue_length = ratio(before.queue_nanos, self.queue_nanos, nanos);
        // Counted in steps of the kernel's clock, it may run some ahead of a short interval.
        self.utilization_ratio = ratio(before.busy_nanos, self.busy_nanos, nanos).map(|share| share.min(1.0));
    }
}

/// How much of something each of those that finished took; `None` when none did.
fn each((before, now): (u64, u64), (spent_before, spent): (u64, u64)) -> Option<f64> {
    let finished = now.checked_sub(before).filter(|finished| *finished > 0)?;
    Some(spent.checked_sub(spent_before)? as f64 / finished as f64)
}

fn secs(nanos: f64) -> f32 {
    (nanos / 1e9) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines of `/proc/diskstats` of a loop device two seconds apart, while `dd` wrote 64 KiB at a time.
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
