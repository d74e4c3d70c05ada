//! The files of control groups: which there are per controller, and their texts as numbers.

use glasshull_shared::domain::cgroup::{Cap, LimitStat};
use glasshull_shared::domain::container::ContainerStat;
use glasshull_shared::domain::host::{Psi, PsiLine};

use super::Extra;
use super::block::{self, ByDevice};
use super::mount::Controller;

/// A file and how its text is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    CpuacctUsage,
    CpuStatV1,
    CpuStatV2,
    MemoryUsage,
    MemoryStatV1,
    MemoryStatV2,
    OomKill,
    Pids,
    /// Bytes. With children, or without where the kernel has no `_recursive` file: only the first that exists is opened.
    Blkio,
    /// As [`What::Blkio`], requests.
    BlkioServiced,
    IoStat,
    PsiCpu,
    PsiMemory,
    PsiIo,
    FreezerState,
    CgroupEvents,
    Kernel,
    SocketBuffers,
    Swap,
    Peak,
    Failures,
    PidsEvents,
}

impl What {
    /// Whether it tells that nothing ran in a group, and what changes without that.
    pub(super) fn tells_quiet(self) -> bool {
        matches!(self, Self::CpuacctUsage | Self::CpuStatV2 | Self::FreezerState | Self::CgroupEvents)
    }
}

/// Files read only for who looks at limits.
pub(super) fn more_files(controller: Controller, v2: bool) -> &'static [(What, &'static str)] {
    match (controller, v2) {
        (Controller::Memory, false) => &[
            (What::Kernel, "memory.kmem.usage_in_bytes"),
            (What::SocketBuffers, "memory.kmem.tcp.usage_in_bytes"),
            (What::Peak, "memory.max_usage_in_bytes"),
            (What::Failures, "memory.failcnt"),
        ],
        (Controller::Memory, true) => &[(What::Swap, "memory.swap.current"), (What::Peak, "memory.peak")],
        (Controller::Pids, _) => &[(What::PidsEvents, "pids.events")],
        (
            Controller::Cpu
            | Controller::Cpuacct
            | Controller::Cpuset
            | Controller::Io
            | Controller::Freezer
            | Controller::Unified,
            _,
        ) => &[],
    }
}

/// Files read only for who looks at devices; `io.stat` of v2 tells all in one.
pub(super) fn device_files(controller: Controller, v2: bool) -> &'static [(What, &'static str)] {
    match (controller, v2) {
        (Controller::Io, false) => &[
            (What::BlkioServiced, "blkio.throttle.io_serviced_recursive"),
            (What::BlkioServiced, "blkio.throttle.io_serviced"),
        ],
        _ => &[],
    }
}

/// The files to read for a controller.
pub(super) fn files(controller: Controller, v2: bool) -> &'static [(What, &'static str)] {
    match (controller, v2) {
        (Controller::Cpu, false) => &[(What::CpuStatV1, "cpu.stat")],
        (Controller::Cpu, true) => &[(What::CpuStatV2, "cpu.stat")],
        (Controller::Cpuacct, false) => &[(What::CpuacctUsage, "cpuacct.usage")],
        (Controller::Cpuacct, true) => &[], // usage is in cpu.stat
        (Controller::Cpuset, _) => &[],     // nothing to use up
        (Controller::Memory, false) => &[
            (What::MemoryUsage, "memory.usage_in_bytes"),
            (What::MemoryStatV1, "memory.stat"),
            (What::OomKill, "memory.oom_control"),
        ],
        (Controller::Memory, true) => &[
            (What::MemoryUsage, "memory.current"),
            (What::MemoryStatV2, "memory.stat"),
            (What::OomKill, "memory.events"),
        ],
        (Controller::Pids, _) => &[(What::Pids, "pids.current")],
        (Controller::Io, false) => &[
            (What::Blkio, "blkio.throttle.io_service_bytes_recursive"),
            (What::Blkio, "blkio.throttle.io_service_bytes"),
        ],
        (Controller::Io, true) => &[(What::IoStat, "io.stat")],
        (Controller::Freezer, false) => &[(What::FreezerState, "freezer.state")],
        (Controller::Freezer, true) => &[(What::CgroupEvents, "cgroup.events")],
        (Controller::Unified, _) => &[
            (What::PsiCpu, "cpu.pressure"),
            (What::PsiMemory, "memory.pressure"),
            (What::PsiIo, "io.pressure"),
        ],
    }
}

/// A line of `memory.stat` that we keep.
#[derive(Debug, Clone, Copy)]
enum Part {
    InactiveFile,
    Anon,
    File,
    Shmem,
    Kernel,
    Slab,
    Sock,
    Swap,
}

/// With the groups below: names without `total_`.
const V1_PARTS: [(&str, Part); 5] = [
    ("inactive_file", Part::InactiveFile),
    ("rss", Part::Anon),
    ("cache", Part::File),
    ("shmem", Part::Shmem),
    ("swap", Part::Swap),
];

const V2_PARTS: [(&str, Part); 7] = [
    ("inactive_file", Part::InactiveFile),
    ("anon", Part::Anon),
    ("file", Part::File),
    ("shmem", Part::Shmem),
    ("kernel", Part::Kernel),
    ("slab", Part::Slab),
    ("sock", Part::Sock),
];

/// What the files said so far.
#[derive(Debug, Default)]
pub(super) struct Raw {
    stat: ContainerStat,
    more: LimitStat,
    /// Block I/O by device; `None` when nobody asks.
    devices: Option<ByDevice>,
    inactive_file: Option<u64>,
    frozen: bool,
}

/// What the files of one group told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) stat: ContainerStat,
    pub(super) more: LimitStat,
    pub(super) devices: ByDevice,
    /// The freezer is on.
    pub(super) frozen: bool,
}

impl Raw {
    /// Nothing told yet.
    pub(super) fn new(extra: Extra) -> Self {
        Self { devices: extra.devices.then(ByDevice::new), ..Self::default() }
    }

    /// Understands one file's text; what is garbage stays unknown.
    pub(super) fn take(&mut self, what: What, text: &str) {
        let stat = &mut self.stat;
        match what {
            What::CpuacctUsage => stat.cpu_nanos = number(text),
            What::CpuStatV1 => {
                self.periods(text);
                self.stat.cpu_throttled_nanos = keyed(text, "throttled_time");
            }
            What::CpuStatV2 => {
                stat.cpu_nanos = micros(text, "usage_usec");
                stat.cpu_throttled_nanos = micros(text, "throttled_usec");
                self.periods(text);
            }
            What::MemoryUsage => stat.memory_usage_bytes = number(text),
            What::MemoryStatV1 => self.breakdown(text, "total_", &V1_PARTS),
            What::MemoryStatV2 => self.breakdown(text, "", &V2_PARTS),
            What::OomKill => self.oom(text),
            What::Pids => stat.pids = number(text).and_then(|n| u32::try_from(n).ok()),
            What::Blkio => {
                (stat.read_bytes, stat.write_bytes) = blkio(text);
                self.devices.iter_mut().for_each(|rows| block::v1(text, true, rows));
            }
            What::BlkioServiced => self.devices.iter_mut().for_each(|rows| block::v1(text, false, rows)),
            What::IoStat => {
                (stat.read_bytes, stat.write_bytes) = io_stat(text);
                self.devices.iter_mut().for_each(|rows| block::v2(text, rows));
            }
            What::PsiCpu => stat.psi_cpu = psi(text),
            What::PsiMemory => stat.psi_memory = psi(text),
            What::PsiIo => stat.psi_io = psi(text),
            What::FreezerState => self.frozen = matches!(text.trim(), "FROZEN" | "FREEZING"),
            What::CgroupEvents => self.frozen = keyed(text, "frozen") == Some(1),
            What::Kernel => self.more.kernel_bytes = number(text),
            What::SocketBuffers => self.more.sock_bytes = number(text),
            What::Swap => self.more.swap_bytes = number(text),
            What::Peak => self.more.memory_peak_bytes = number(text),
            What::Failures => self.more.memory_limit_hits = number(text),
            What::PidsEvents => self.more.pids_limit_hits = keyed(text, "max"),
        }
    }

    /// One pass over the many lines of `memory.stat`.
    fn breakdown(&mut self, text: &str, prefix: &str, parts: &[(&str, Part)]) {
        for line in text.lines() {
            let Some((key, value)) = line.strip_prefix(prefix).and_then(|line| line.split_once(' ')) else {
                continue;
            };
            let Some((_, part)) = parts.iter().find(|(name, _)| *name == key) else { continue };
            let (value, more) = (number(value), &mut self.more);
            match part {
                Part::InactiveFile => self.inactive_file = value,
                Part::Anon => more.anon_bytes = value,
                Part::File => more.file_bytes = value,
                Part::Shmem => more.shmem_bytes = value,
                Part::Kernel => more.kernel_bytes = value,
                Part::Slab => more.slab_bytes = value,
                Part::Sock => more.sock_bytes = value,
                Part::Swap => more.swap_bytes = value,
            }
        }
    }

    /// v1 `memory.oom_control` and v2 `memory.events` have no word in common but `oom_kill`.
    fn oom(&mut self, text: &str) {
        self.stat.oom_kills = keyed(text, "oom_kill");
        self.more.under_oom = keyed(text, "under_oom").map(|n| n != 0);
        self.more.ooms = keyed(text, "oom");
        self.more.memory_high_hits = keyed(text, "high");
        self.more.memory_limit_hits = keyed(text, "max").or(self.more.memory_limit_hits);
    }

    fn periods(&mut self, text: &str) {
        self.stat.cpu_periods = keyed(text, "nr_periods");
        self.stat.cpu_throttled_periods = keyed(text, "nr_throttled");
    }

    /// All that was told.
    pub(super) fn finish(mut self) -> Told {
        // Both are read one after the other: the cache can be larger than the usage for a moment.
        let inactive = self.inactive_file.unwrap_or(0);
        self.stat.memory_bytes = self.stat.memory_usage_bytes.map(|usage| usage.saturating_sub(inactive));
        let devices = self.devices.unwrap_or_default();
        Told { stat: self.stat, more: self.more, devices, frozen: self.frozen }
    }
}

/// A file of one number; `None` for `max`, −1 and garbage.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A file of one number where `max` (v1: −1) means that there is none.
pub(super) fn cap(text: &str) -> Option<Cap<u64>> {
    match text.trim() {
        "max" | "-1" => Some(Cap::Unlimited),
        text => number(text).map(Cap::Set),
    }
}

/// The number after `key` in lines of `key number`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

fn micros(text: &str, key: &str) -> Option<u64> {
    keyed(text, key)?.checked_mul(1000)
}

/// `8:0 Read 4096` lines, summed over devices; a device that did nothing has no line, so none at all is zero.
fn blkio(text: &str) -> (Option<u64>, Option<u64>) {
    let sum = |word: &str| {
        text.lines()
            .filter_map(|line| {
                let mut fields = line.split(' ');
                (fields.nth(1)? == word).then(|| number(fields.next()?))?
            })
            .fold(0_u64, u64::saturating_add)
    };
    // Without a line of a device nothing is counted: since Linux 6.10 only on devices on which some group has or had a limit.
    let counts = text.lines().any(|line| line.contains(':'));
    (counts.then(|| sum("Read")), counts.then(|| sum("Write")))
}

/// `8:0 rbytes=1 wbytes=2 rios=…` lines, summed over devices.
fn io_stat(text: &str) -> (Option<u64>, Option<u64>) {
    let sum = |key: &str| {
        text.split_ascii_whitespace()
            .filter_map(|field| number(field.strip_prefix(key)?))
            .fold(0_u64, u64::saturating_add)
    };
    (Some(sum("rbytes=")), Some(sum("wbytes=")))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full …` where the kernel has it.
fn psi(text: &str) -> Option<Psi> {
    let line = |word: &str| text.lines().find_map(|line| psi_line(line.strip_prefix(word)?));
    Some(Psi { some: line("some ")?, full: line("full ") })
}

fn psi_line(fields: &str) -> Option<PsiLine> {
    let field = |key: &str| fields.split(' ').find_map(|field| field.strip_prefix(key));
    let ratio = |key: &str| {
        let percent: f32 = field(key)?.parse().ok()?;
        (percent.is_finite() && percent >= 0.0).then_some(percent / 100.0)
    };
    Some(PsiLine {
        avg10_ratio: ratio("avg10=")?,
        avg60_ratio: ratio("avg60=")?,
        avg300_ratio: ratio("avg300=")?,
        total_nanos: number(field("total=")?)?.checked_mul(1000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(What, &str)]) -> Told {
        let mut raw = Raw::default();
        for (what, text) in files {
            raw.take(*what, text);
        }
        raw.finish()
    }

    #[test]
    fn v1_files() {
        let Told { stat, more, frozen, devices } = read(&[
            (What::CpuacctUsage, "123456789\n"),
            (What::CpuStatV1, "nr_periods 10\nnr_throttled 4\nthrottled_time 5000\n"),
            (What::MemoryUsage, "1000\n"),
            (
                What::MemoryStatV1,
                "inactive_file 1\nrss 1\ntotal_cache 500\ntotal_rss 600\ntotal_shmem 7\ntotal_swap 8\n\
                 total_inactive_file 300\n",
            ),
            (What::Kernel, "9\n"),
            (What::Failures, "11\n"),
            (What::PidsEvents, "max 12\n"),
            (What::OomKill, "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            (What::Pids, "7\n"),
            (What::Blkio, "8:0 Read 4096\n8:0 Write 10\n8:16 Read 4\n8:0 Total 4110\nTotal 4110\n"),
            (What::FreezerState, "FROZEN\n"),
        ]);
        assert_eq!((stat.cpu_nanos, stat.cpu_throttled_nanos), (Some(123_456_789), Some(5000)));
        assert_eq!((stat.cpu_periods, stat.cpu_throttled_periods), (Some(10), Some(4)));
        assert_eq!((stat.memory_usage_bytes, stat.memory_bytes), (Some(1000), Some(700)));
        assert_eq!((stat.oom_kills, stat.pids), (Some(2), Some(7)));
        assert_eq!((stat.read_bytes, stat.write_bytes), (Some(4100), Some(10)));
        assert!(frozen && devices.is_empty(), "devices were not asked for");
        assert_eq!((more.anon_bytes, more.file_bytes, more.shmem_bytes), (Some(600), Some(500), Some(7)));
        assert_eq!((more.swap_bytes, more.kernel_bytes, more.under_oom), (Some(8), Some(9), Some(false)));
        assert_eq!((more.memory_limit_hits, more.pids_limit_hits, more.ooms), (Some(11), Some(12), None));
    }

    #[test]
    fn v2_files() {
        let Told { stat, more, frozen, .. } = read(&[
            (What::CpuStatV2, "usage_usec 5\nuser_usec 1\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n"),
            (What::MemoryUsage, "1000\n"),
            (What::MemoryStatV2, "anon 1\nfile 2\nkernel 3\nslab 4\nsock 5\nshmem 6\ninactive_file 1300\n"),
            (What::Swap, "7\n"),
            (What::OomKill, "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n"),
            (
                What::IoStat,
                "8:0 rbytes=4096 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n254:0 rbytes=4 wbytes=0\n",
            ),
            (What::PsiCpu, "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\n"),
            (What::CgroupEvents, "populated 1\nfrozen 0\n"),
        ]);
        assert_eq!((stat.cpu_nanos, stat.cpu_throttled_nanos), (Some(5000), Some(9000)));
        assert_eq!((stat.memory_bytes, stat.oom_kills), (Some(0), Some(1)));
        assert_eq!((stat.read_bytes, stat.write_bytes), (Some(4100), Some(1)));
        let psi = stat.psi_cpu.unwrap();
        assert_eq!((psi.some.avg10_ratio, psi.some.total_nanos, psi.full), (0.015, 7000, None));
        assert!(!frozen);
        assert_eq!((more.anon_bytes, more.file_bytes, more.shmem_bytes), (Some(1), Some(2), Some(6)));
        assert_eq!((more.kernel_bytes, more.slab_bytes, more.sock_bytes), (Some(3), Some(4), Some(5)));
        assert_eq!(
            (more.swap_bytes, more.memory_limit_hits, more.memory_high_hits),
            (Some(7), Some(3), Some(0))
        );
        assert_eq!((more.ooms, more.under_oom), (Some(1), None));
    }

    #[test]
    fn garbage_stays_unknown() {
        let garbage = [
            "",
            "max",
            "-1",
            "99999999999999999999999",
            "some avg10=NaN avg60=1 avg300=1 total=1",
            "\u{fffd}",
        ];
        for text in garbage {
            let Told { stat, more, .. } = read(&[
                (What::CpuacctUsage, text),
                (What::CpuStatV2, text),
                (What::MemoryUsage, text),
                (What::Pids, text),
                (What::PsiIo, text),
            ]);
            assert_eq!((stat, more), Default::default(), "{text}");
        }
        assert_eq!(keyed("oom_kill_disable 1\n", "oom_kill"), None);
    }

    #[test]
    fn where_nothing_is_counted_zero_is_not_said() {
        assert_eq!(blkio("Total 0\n"), (None, None));
        assert_eq!(blkio("8:0 Write 10\n8:0 Total 10\nTotal 10\n"), (Some(0), Some(10)));
    }
}
