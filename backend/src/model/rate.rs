//! Counters of two readings and the time between them → rates. Pure: time is an argument.
//!
//! A rate is `None` on the first sample and after a counter went back (the thing was re-created); a row whose rates did
//! not change stays the same allocation, so that the delta recognises it at a glance.

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::container::{ContainerDeviceIo, ContainerStat};
use glasshull_shared::domain::dns::{DnsClient, DnsSeen};
use glasshull_shared::domain::host::{CpuKey, CpuRatios, CpuStat, CpuTimes, HostStat, Psi, PsiLine};
use glasshull_shared::domain::network::{FlowStat, LinkStat, SocketStat};
use glasshull_shared::domain::process::{ProcessDelay, ProcessIo, ProcessStat, Thread};

/// What began since the last reading had nothing then: its rate is known at once.
pub(crate) fn begin<'a, K: Ord + Clone + 'a, V: Default>(
    before: &mut Table<K, V>,
    began: impl Iterator<Item = &'a K>,
) {
    let nothing = Arc::new(V::default());
    for key in began {
        before.entry(key.clone()).or_insert_with(|| Arc::clone(&nothing));
    }
}

/// Growth per second; `None` when the counter went back or no time passed.
pub(crate) fn per_sec(before: u64, now: u64, nanos: u64) -> Option<f32> {
    let growth = now.checked_sub(before)?;
    (nanos > 0).then(|| (growth as f64 * 1e9 / nanos as f64) as f32)
}

/// Nanoseconds spent per nanosecond passed; `None` as [`per_sec`].
pub(crate) fn ratio(before: u64, now: u64, nanos: u64) -> Option<f32> {
    let spent = now.checked_sub(before)?;
    (nanos > 0).then(|| (spent as f64 / nanos as f64) as f32)
}

/// The same of what may be unknown.
pub(crate) fn maybe_per_sec(before: Option<u64>, now: Option<u64>, nanos: u64) -> Option<f32> {
    per_sec(before?, now?, nanos)
}

/// A row type with rates.
pub(crate) trait Rated: Clone + PartialEq {
    /// Fills the rates of `self` (read now) from the row read `nanos` before.
    fn rate(&mut self, before: &Self, nanos: u64);

    /// Takes over from the row shown before what is not worth a new row by itself.
    fn settle(&mut self, _shown: &Self) {}
}

/// A row type whose block I/O is not read each time.
pub(crate) trait Gapped: Rated {
    /// Fills the rates of block I/O alone.
    fn rate_io(&mut self, before: &Self, nanos: u64);
}

/// Rates of a whole table whose rows were all read `nanos` apart. `before` and `now` are readings without rates, `last` is
/// what this function returned then.
pub(crate) fn rate_rows<K: Ord + Clone, V: Rated>(
    before: &Table<K, V>,
    now: &Table<K, V>,
    last: &Table<K, V>,
    nanos: u64,
) -> Table<K, V> {
    // All three are in key order: walked in step, not looked up.
    let (mut before, mut last) = (before.iter().peekable(), last.iter().peekable());
    let rated = now.iter().map(|(key, row)| {
        while before.next_if(|(k, _)| *k < key).is_some() {}
        while last.next_if(|(k, _)| *k < key).is_some() {}
        let Some((_, was)) = before.next_if(|(k, _)| *k == key) else {
            return (key.clone(), Arc::clone(row));
        };
        let last = last.next_if(|(k, _)| *k == key);
        let mut rated = V::clone(row);
        rated.rate(was, nanos);
        if let Some((_, shown)) = last {
            rated.settle(shown);
        }
        let rated =
            last.filter(|(_, l)| ***l == rated).map_or_else(|| Arc::new(rated), |(_, l)| Arc::clone(l));
        (key.clone(), rated)
    });
    rated.collect()
}

impl Gapped for ProcessStat {
    fn rate_io(&mut self, before: &Self, nanos: u64) {
        self.read_bytes_per_sec = maybe_per_sec(before.read_bytes, self.read_bytes, nanos);
        self.write_bytes_per_sec = maybe_per_sec(before.write_bytes, self.write_bytes, nanos);
    }
}

impl Rated for ProcessStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.cpu_ratio = ratio(before.cpu_nanos, self.cpu_nanos, nanos);
        self.rate_io(before, nanos);
    }
}

impl Rated for ProcessIo {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.read_bytes_per_sec = maybe_per_sec(before.read_bytes, self.read_bytes, nanos);
        self.write_bytes_per_sec = maybe_per_sec(before.write_bytes, self.write_bytes, nanos);
        self.rchar_bytes_per_sec = maybe_per_sec(before.rchar_bytes, self.rchar_bytes, nanos);
        self.wchar_bytes_per_sec = maybe_per_sec(before.wchar_bytes, self.wchar_bytes, nanos);
        self.read_syscalls_per_sec = maybe_per_sec(before.read_syscalls, self.read_syscalls, nanos);
        self.write_syscalls_per_sec = maybe_per_sec(before.write_syscalls, self.write_syscalls, nanos);
        // The wait counts in clock ticks and may run some ahead of a short interval.
        self.block_wait_ratio = before
            .block_wait_nanos
            .zip(self.block_wait_nanos)
            .and_then(|(before, now)| ratio(before, now, nanos))
            .map(|share| share.min(1.0));
    }
}

impl Rated for ProcessDelay {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.cpu_wait_ratio = ratio(before.cpu_wait_nanos, self.cpu_wait_nanos, nanos);
        self.block_wait_ratio = ratio(before.block_wait_nanos, self.block_wait_nanos, nanos);
        self.swap_wait_ratio = ratio(before.swap_wait_nanos, self.swap_wait_nanos, nanos);
        self.reclaim_wait_ratio = ratio(before.reclaim_wait_nanos, self.reclaim_wait_nanos, nanos);
        self.thrashing_wait_ratio = ratio(before.thrashing_wait_nanos, self.thrashing_wait_nanos, nanos);
    }
}

impl Rated for Thread {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.cpu_ratio = ratio(before.cpu_nanos, self.cpu_nanos, nanos);
    }
}

impl Rated for CpuStat {
    fn rate(&mut self, before: &Self, _nanos: u64) {
        self.ratio = cpu_ratios(&before.times, &self.times);
    }
}

impl Rated for HostStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.cpu_ratio = cpu_ratios(&before.cpu, &self.cpu);
        self.forks_per_sec = per_sec(before.forks, self.forks, nanos);
        self.context_switches_per_sec = per_sec(before.context_switches, self.context_switches, nanos);
        self.short_lived_per_sec = maybe_per_sec(before.short_lived, self.short_lived, nanos);
    }
}

impl Gapped for ContainerStat {
    fn rate_io(&mut self, before: &Self, nanos: u64) {
        self.read_bytes_per_sec = maybe_per_sec(before.read_bytes, self.read_bytes, nanos);
        self.write_bytes_per_sec = maybe_per_sec(before.write_bytes, self.write_bytes, nanos);
    }
}

impl Rated for ContainerStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.cpu_ratio = before.cpu_nanos.zip(self.cpu_nanos).and_then(|(b, n)| ratio(b, n, nanos));
        self.rate_io(before, nanos);
        self.short_lived_per_sec = maybe_per_sec(before.short_lived, self.short_lived, nanos);
        self.cpu_throttled_ratio = throttled(before, self);
    }

    fn settle(&mut self, shown: &Self) {
        settle_psi(&mut self.psi_cpu, shown.psi_cpu.as_ref());
        settle_psi(&mut self.psi_memory, shown.psi_memory.as_ref());
        settle_psi(&mut self.psi_io, shown.psi_io.as_ref());
    }
}

impl Rated for ContainerDeviceIo {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.read_bytes_per_sec = maybe_per_sec(before.read_bytes, self.read_bytes, nanos);
        self.write_bytes_per_sec = maybe_per_sec(before.write_bytes, self.write_bytes, nanos);
        self.reads_per_sec = maybe_per_sec(before.reads, self.reads, nanos);
        self.writes_per_sec = maybe_per_sec(before.writes, self.writes, nanos);
        self.discard_bytes_per_sec = maybe_per_sec(before.discard_bytes, self.discard_bytes, nanos);
        self.discards_per_sec = maybe_per_sec(before.discards, self.discards, nanos);
    }
}

impl Rated for LinkStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.rx_bytes_per_sec = per_sec(before.rx_bytes, self.rx_bytes, nanos);
        self.tx_bytes_per_sec = per_sec(before.tx_bytes, self.tx_bytes, nanos);
        self.rx_packets_per_sec = per_sec(before.rx_packets, self.rx_packets, nanos);
        self.tx_packets_per_sec = per_sec(before.tx_packets, self.tx_packets, nanos);
    }
}

impl Rated for SocketStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.sent_bytes_per_sec = maybe_per_sec(before.sent_bytes, self.sent_bytes, nanos);
        self.received_bytes_per_sec = maybe_per_sec(before.received_bytes, self.received_bytes, nanos);
    }
}

impl Rated for FlowStat {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.sent_bytes_per_sec = per_sec(before.sent_bytes, self.sent_bytes, nanos);
        self.received_bytes_per_sec = per_sec(before.received_bytes, self.received_bytes, nanos);
        self.sent_packets_per_sec = per_sec(before.sent_packets, self.sent_packets, nanos);
        self.received_packets_per_sec = per_sec(before.received_packets, self.received_packets, nanos);
    }
}

impl Rated for DnsSeen {
    fn rate(&mut self, before: &Self, nanos: u64) {
        self.queries_per_sec = per_sec(before.counts.queries, self.counts.queries, nanos);
    }
}

impl Rated for DnsClient {
    fn rate(&mut self, before: &Self, nanos: u64) {
        let (was, is) = (&before.counts, &self.counts);
        self.queries_per_sec = per_sec(was.queries, is.queries, nanos);
        self.nxdomain_per_sec = per_sec(was.nxdomain, is.nxdomain, nanos);
        self.failures_per_sec = per_sec(was.failures(), is.failures(), nanos);
    }
}

/// Every wake-up adds some microseconds to the totals of pressure: idle containers would change at every tick. Totals move
/// when an average does, which is when 1 ms was lost in 10 s.
fn settle_psi(now: &mut Option<Psi>, shown: Option<&Psi>) {
    let averages = |line: &PsiLine| (line.avg10_ratio, line.avg60_ratio, line.avg300_ratio);
    let all = |psi: &Psi| (averages(&psi.some), psi.full.as_ref().map(averages));
    if let (Some(now), Some(shown)) = (now, shown)
        && all(now) == all(shown)
    {
        *now = *shown;
    }
}

/// Throttled periods among those of the interval; 0 when it did not run at all.
fn throttled(before: &ContainerStat, now: &ContainerStat) -> Option<f32> {
    let periods = now.cpu_periods?.checked_sub(before.cpu_periods?)?;
    let throttled = now.cpu_throttled_periods?.checked_sub(before.cpu_throttled_periods?)?;
    Some(if periods == 0 { 0.0 } else { (throttled as f64 / periods as f64) as f32 })
}

/// Shares by mode. A mode may go back a little on its own (the kernel corrects idle and iowait): that counts as 0.
fn cpu_ratios(before: &CpuTimes, now: &CpuTimes) -> Option<CpuRatios> {
    let spent = |mode: fn(&CpuTimes) -> u64| mode(now).saturating_sub(mode(before)) as f64;
    let modes = [
        spent(|t| t.user_nanos),
        spent(|t| t.nice_nanos),
        spent(|t| t.system_nanos),
        spent(|t| t.idle_nanos),
        spent(|t| t.iowait_nanos),
        spent(|t| t.irq_nanos),
        spent(|t| t.softirq_nanos),
        spent(|t| t.steal_nanos),
        spent(|t| t.guest_nanos),
    ];
    let all: f64 = modes.iter().sum();
    if all <= 0.0 {
        return None;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal, guest] = modes.map(|m| (m / all) as f32);
    Some(CpuRatios { user, nice, system, idle, iowait, irq, softirq, steal, guest })
}

/// Rates where block I/O is read less often than the rest; `gaps` holds the true interval of those rows whose I/O was not read at
/// the tick before, nanoseconds.
pub(crate) fn rate_gapped<'a, K: Ord + Clone + 'a, V: Gapped>(
    before: &Table<K, V>,
    now: &Table<K, V>,
    last: &Table<K, V>,
    nanos: u64,
    gaps: impl IntoIterator<Item = (&'a K, &'a u64)>,
) -> Table<K, V> {
    let mut rated = rate_rows(before, now, last, nanos);
    for (key, gap) in gaps {
        let (Some(row), Some(was)) = (rated.get_mut(key), before.get(key)) else { continue };
        let mut over = V::clone(row);
        over.rate_io(was, *gap);
        if over != **row {
            *row = Arc::new(over);
        }
    }
    rated
}

/// Rates of the host.
pub(crate) fn rate_host(
    before: &Table<Single, HostStat>,
    now: &Table<Single, HostStat>,
    nanos: u64,
) -> Table<Single, HostStat> {
    rate_rows(before, now, &Table::new(), nanos)
}

/// Shares of each core.
pub(crate) fn rate_cpus(
    before: &Table<CpuKey, CpuStat>,
    now: &Table<CpuKey, CpuStat>,
) -> Table<CpuKey, CpuStat> {
    rate_rows(before, now, &Table::new(), 0)
}

/// Rates of our own cost.
pub(crate) fn rate_agent(before: &AgentStat, now: &mut AgentStat, nanos: u64) {
    now.cpu_ratio = ratio(before.cpu_nanos, now.cpu_nanos, nanos);
    now.sent_bytes_per_sec = per_sec(before.sent_bytes, now.sent_bytes, nanos);
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::ContainerKey;
    use glasshull_shared::domain::process::ProcessKey;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const SECOND: u64 = 1_000_000_000;

    fn one(cpu_nanos: u64, read: u64) -> Table<ProcessKey, ProcessStat> {
        let row = ProcessStat { cpu_nanos, read_bytes: Some(read), ..ProcessStat::default() };
        [(ProcessKey { pid: 1, start_time: 1 }, Arc::new(row))].into()
    }

    #[test]
    fn rates_use_the_measured_interval_and_the_gap_where_there_is_one() {
        let key = ProcessKey { pid: 1, start_time: 1 };
        let rated = rate_gapped(&one(0, 0), &one(SECOND, 4000), &Table::new(), 2 * SECOND, &HashMap::new());
        assert_eq!((rated[&key].cpu_ratio, rated[&key].read_bytes_per_sec), (Some(0.5), Some(2000.0)));
        let gap = HashMap::from([(key, 4 * SECOND)]);
        let rated = rate_gapped(&one(0, 0), &one(SECOND, 4000), &Table::new(), 2 * SECOND, &gap);
        assert_eq!(rated[&key].read_bytes_per_sec, Some(1000.0));
    }

    #[test]
    fn a_row_whose_rates_stay_is_the_same_allocation() {
        let key = ProcessKey { pid: 1, start_time: 1 };
        let (before, now) = (one(5, 5), one(5, 5));
        let last = rate_gapped(&before, &now, &Table::new(), SECOND, &HashMap::new());
        let again = rate_gapped(&now, &now, &last, SECOND, &HashMap::new());
        assert!(Arc::ptr_eq(&last[&key], &again[&key]));
    }

    #[test]
    fn throttling_counts_periods_of_the_interval_alone() {
        let at = |periods, throttled| ContainerStat {
            cpu_periods: Some(periods),
            cpu_throttled_periods: Some(throttled),
            ..ContainerStat::default()
        };
        assert_eq!(throttled(&at(100, 90), &at(110, 95)), Some(0.5));
        assert_eq!(throttled(&at(100, 90), &at(100, 90)), Some(0.0));
        assert_eq!(throttled(&at(100, 90), &at(10, 9)), None);
    }

    #[test]
    fn of_a_device_each_counter_has_its_rate_and_none_after_it_went_back() {
        let at = |n: u64| ContainerDeviceIo {
            read_bytes: Some(n * 4096),
            write_bytes: Some(n * 8192),
            reads: Some(n),
            writes: Some(n * 2),
            discards: None,
            ..ContainerDeviceIo::default()
        };
        let mut now = at(30);
        now.rate(&at(10), 2 * SECOND);
        assert_eq!((now.read_bytes_per_sec, now.write_bytes_per_sec), (Some(40_960.0), Some(81_920.0)));
        assert_eq!(
            (now.reads_per_sec, now.writes_per_sec, now.discards_per_sec),
            (Some(10.0), Some(20.0), None)
        );
        assert_eq!(now.bytes_per_sec(), Some(122_880.0));
        let mut anew = at(1);
        anew.rate(&at(30), SECOND);
        assert_eq!(anew, at(1));
    }

    #[test]
    fn a_total_of_pressure_moves_with_the_averages() {
        let key = ContainerKey { id: "a".into() };
        let at = |avg10_ratio, total_nanos| {
            let some = PsiLine { avg10_ratio, total_nanos, ..PsiLine::default() };
            let psi_cpu = Some(Psi { some, full: None });
            Table::from([(key.clone(), Arc::new(ContainerStat { psi_cpu, ..ContainerStat::default() }))])
        };
        let shown = rate_rows(&at(0.0, 1), &at(0.0, 2), &Table::new(), SECOND);
        let quiet = rate_rows(&at(0.0, 2), &at(0.0, 3), &shown, SECOND);
        assert!(Arc::ptr_eq(&shown[&key], &quiet[&key]));
        let busy = rate_rows(&at(0.0, 3), &at(0.01, 9), &quiet, SECOND);
        assert_eq!(busy[&key].psi_cpu.map(|p| p.some.total_nanos), Some(9));
    }

    proptest! {
        #[test]
        fn a_rate_is_never_negative_nor_nan(before: u64, now: u64, nanos: u64) {
            for rate in [per_sec(before, now, nanos), ratio(before, now, nanos)].into_iter().flatten() {
                prop_assert!(rate >= 0.0 && rate.is_finite());
            }
        }

        #[test]
        fn shares_add_up_to_one(user: u32, idle: u32, steal: u32) {
            let now = CpuTimes {
                user_nanos: user.into(), idle_nanos: idle.into(), steal_nanos: steal.into(), ..CpuTimes::default()
            };
            if let Some(r) = cpu_ratios(&CpuTimes::default(), &now) {
                prop_assert!((r.busy() + r.idle + r.iowait - 1.0).abs() < 1e-4);
            } else {
                prop_assert_eq!(user as u64 + idle as u64 + steal as u64, 0);
            }
        }
    }
}
