//! The files of control groups: which there are per controller, and their texts as numbers.

use glasshull_shared::domain::container::ContainerStat;
use glasshull_shared::domain::host::{Psi, PsiLine};

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
    /// With children, or without where the kernel has no `_recursive` file: only the first that exists is opened.
    Blkio,
    IoStat,
    PsiCpu,
    PsiMemory,
    PsiIo,
    FreezerState,
    CgroupEvents,
}

/// The files to read for a controller.
pub(super) fn files(controller: Controller, v2: bool) -> &'static [(What, &'static str)] {
    match (controller, v2) {
        (Controller::Cpu, false) => &[(What::CpuStatV1, "cpu.stat")],
        (Controller::Cpu, true) => &[(What::CpuStatV2, "cpu.stat")],
        (Controller::Cpuacct, false) => &[(What::CpuacctUsage, "cpuacct.usage")],
        (Controller::Cpuacct, true) => &[], // usage is in cpu.stat
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

/// What the files said so far.
#[derive(Debug, Default)]
pub(super) struct Raw {
    stat: ContainerStat,
    inactive_file: Option<u64>,
    frozen: bool,
}

impl Raw {
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
            What::MemoryStatV1 => self.inactive_file = keyed(text, "total_inactive_file"),
            What::MemoryStatV2 => self.inactive_file = keyed(text, "inactive_file"),
            What::OomKill => stat.oom_kills = keyed(text, "oom_kill"),
            What::Pids => stat.pids = number(text).and_then(|n| u32::try_from(n).ok()),
            What::Blkio => (stat.read_bytes, stat.write_bytes) = blkio(text),
            What::IoStat => (stat.read_bytes, stat.write_bytes) = io_stat(text),
            What::PsiCpu => stat.psi_cpu = psi(text),
            What::PsiMemory => stat.psi_memory = psi(text),
            What::PsiIo => stat.psi_io = psi(text),
            What::FreezerState => self.frozen = matches!(text.trim(), "FROZEN" | "FREEZING"),
            What::CgroupEvents => self.frozen = keyed(text, "frozen") == Some(1),
        }
    }

    fn periods(&mut self, text: &str) {
        self.stat.cpu_periods = keyed(text, "nr_periods");
        self.stat.cpu_throttled_periods = keyed(text, "nr_throttled");
    }

    /// The row, and whether the freezer is on.
    pub(super) fn finish(mut self) -> (ContainerStat, bool) {
        // Both are read one after the other: the cache can be larger than the usage for a moment.
        let inactive = self.inactive_file.unwrap_or(0);
        self.stat.memory_bytes = self.stat.memory_usage_bytes.map(|usage| usage.saturating_sub(inactive));
        (self.stat, self.frozen)
    }
}

/// A file of one number; `None` for `max`, −1 and garbage.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number after `key` in lines of `key number`.
fn keyed(text: &str, key: &str) -> Option<u64> {
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
    (Some(sum("Read")), Some(sum("Write")))
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

    fn read(files: &[(What, &str)]) -> (ContainerStat, bool) {
        let mut raw = Raw::default();
        for (what, text) in files {
            raw.take(*what, text);
        }
        raw.finish()
    }

    #[test]
    fn v1_files() {
        let (stat, frozen) = read(&[
            (What::CpuacctUsage, "123456789\n"),
            (What::CpuStatV1, "nr_periods 10\nnr_throttled 4\nthrottled_time 5000\n"),
            (What::MemoryUsage, "1000\n"),
            (What::MemoryStatV1, "inactive_file 1\ntotal_inactive_file 300\n"),
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
        assert!(frozen);
    }

    #[test]
    fn v2_files() {
        let (stat, frozen) = read(&[
            (What::CpuStatV2, "usage_usec 5\nuser_usec 1\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n"),
            (What::MemoryUsage, "1000\n"),
            (What::MemoryStatV2, "anon 1\ninactive_file 1300\n"),
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
            let (stat, _) = read(&[
                (What::CpuacctUsage, text),
                (What::CpuStatV2, text),
                (What::MemoryUsage, text),
                (What::Pids, text),
                (What::PsiIo, text),
            ]);
            assert_eq!(stat, ContainerStat::default(), "{text}");
        }
        assert_eq!(keyed("oom_kill_disable 1\n", "oom_kill"), None);
    }
}
