//! The host itself: what it is ([`Host`]) and how busy it is ([`HostStat`], [`CpuStat`]).

use serde::{Deserialize, Serialize};

/// How the host mounts its control groups. Source: `/proc/self/mountinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupMode {
    /// No cgroup file system is mounted where we can see it.
    #[default]
    Unknown,
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies carry the controllers, a v2 tree is mounted beside them.
    Hybrid,
    /// The unified hierarchy alone.
    V2,
}

/// What rarely changes about the host. One row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Node name. Source: `uname(2)`.
    pub hostname: String,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Machine, as `uname -m`.
    pub architecture: String,
    /// `PRETTY_NAME` of `/etc/os-release`; `None` when the file cannot be read.
    pub os: Option<String>,
    /// Boot time, nanoseconds since the epoch. Source: `/proc/stat` `btime`.
    pub boot_at: u64,
    /// Online CPUs. Source: `/proc/stat`.
    pub cpus: u32,
    /// How control groups are mounted.
    pub cgroup_mode: CgroupMode,
    /// Clock ticks per second of `start_time` in process keys. Source: `sysconf(_SC_CLK_TCK)`.
    pub ticks_per_sec: u32,
    /// Version of the agent.
    pub agent_version: String,
    /// The agent's own pid as its `/proc` numbers processes; `None` in a recording of an older agent.
    pub agent_pid: Option<u32>,
    /// The agent's effective capabilities by name (`CAP_SYS_PTRACE`…). Source: `/proc/self/status` `CapEff`.
    pub capabilities: Vec<String>,
    /// Whether command lines are hidden by `--mask-args`.
    pub args_masked: bool,
}

/// Time the CPUs spent by mode. Source: a `cpu` line of `/proc/stat`, ticks turned into nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTimes {
    /// User mode, without guests.
    pub user_nanos: u64,
    /// User mode with a positive nice value, without guests.
    pub nice_nanos: u64,
    /// Kernel mode.
    pub system_nanos: u64,
    /// Nothing to do.
    pub idle_nanos: u64,
    /// Nothing to do while a task of this CPU waited for a block device.
    pub iowait_nanos: u64,
    /// Hardware interrupts.
    pub irq_nanos: u64,
    /// Soft interrupts.
    pub softirq_nanos: u64,
    /// Taken by the hypervisor.
    pub steal_nanos: u64,
    /// Running guests (nice or not).
    pub guest_nanos: u64,
}

/// Shares of CPU time by mode over the last interval, 0..1, adding up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CpuRatios {
    /// User mode.
    pub user: f32,
    /// User mode, nice.
    pub nice: f32,
    /// Kernel mode.
    pub system: f32,
    /// Idle.
    pub idle: f32,
    /// Idle while waiting for a block device.
    pub iowait: f32,
    /// Hardware interrupts.
    pub irq: f32,
    /// Soft interrupts.
    pub softirq: f32,
    /// Taken by the hypervisor.
    pub steal: f32,
    /// Guests.
    pub guest: f32,
}

impl CpuRatios {
    /// Share of time spent on anything: all but idle and iowait.
    pub fn busy(&self) -> f32 {
        self.user + self.nice + self.system + self.irq + self.softirq + self.steal + self.guest
    }
}

/// Key of [`CpuStat`]: the kernel's CPU number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CpuKey {
    /// As in `/proc/stat` `cpuN`.
    pub cpu: u32,
}

/// One core.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CpuStat {
    /// Counters since boot.
    pub times: CpuTimes,
    /// Derived by `model::rate`; `None` on the first sample.
    pub ratio: Option<CpuRatios>,
}

/// One line of a pressure file. Ratios 0..1 of wall time; source: `/proc/pressure/*`, a cgroup's `*.pressure`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PsiLine {
    /// Mean over the last 10 seconds.
    pub avg10_ratio: f32,
    /// Mean over the last minute.
    pub avg60_ratio: f32,
    /// Mean over the last 5 minutes.
    pub avg300_ratio: f32,
    /// Stalled time since boot, nanoseconds. Of a container: since its cgroup began, as of the last change of an average.
    pub total_nanos: u64,
}

/// Pressure stall information of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Psi {
    /// At least one task was stalled.
    pub some: PsiLine,
    /// All tasks were stalled; `None` where the kernel has no such line (cpu before 5.13).
    pub full: Option<PsiLine>,
}

impl Psi {
    /// A pressure file; `None` when it has no readable `some` line.
    pub fn parse(text: &str) -> Option<Self> {
        let line = |kind: &str| {
            let fields = text.lines().find_map(|l| l.strip_prefix(kind)?.strip_prefix(' '))?;
            let field = |name: &str| fields.split(' ').find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
            // A percentage; what is no finite number is no pressure.
            let ratio =
                |name: &str| field(name)?.parse::<f32>().ok().filter(|r| r.is_finite()).map(|r| r / 100.0);
            Some(PsiLine {
                avg10_ratio: ratio("avg10")?,
                avg60_ratio: ratio("avg60")?,
                avg300_ratio: ratio("avg300")?,
                total_nanos: field("total")?.parse::<u64>().ok()?.checked_mul(1000)?,
            })
        };
        Some(Self { some: line("some")?, full: line("full") })
    }
}

/// Memory as `free` shows it, bytes. Source: `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemFree`.
    pub free_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
    /// `MemTotal` − `MemAvailable`: `used` of procps 4.
    pub used_bytes: u64,
    /// `Shmem`.
    pub shared_bytes: u64,
    /// `Buffers` + `Cached` + `SReclaimable`: `buff/cache`.
    pub buff_cache_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapTotal` − `SwapFree`.
    pub swap_used_bytes: u64,
}

/// How busy the host is. One row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostStat {
    /// Seconds since boot. Source: `/proc/uptime`.
    pub uptime_secs: u64,
    /// All CPUs together, counters since boot.
    pub cpu: CpuTimes,
    /// Derived by `model::rate`; `None` on the first sample.
    pub cpu_ratio: Option<CpuRatios>,
    /// Load averages over 1, 5 and 15 minutes. Source: `/proc/loadavg`.
    pub load: [f32; 3],
    /// Runnable scheduling entities now. Source: `/proc/loadavg` field 4.
    pub runnable: u32,
    /// Scheduling entities (threads) in all. Source: `/proc/loadavg` field 4.
    pub threads: u32,
    /// Tasks blocked waiting for I/O. Source: `/proc/stat` `procs_blocked`.
    pub blocked: u32,
    /// Memory and swap.
    pub memory: Memory,
    /// CPU pressure; `None` when the kernel has PSI off or lacks it.
    pub psi_cpu: Option<Psi>,
    /// Memory pressure; `None` as above.
    pub psi_memory: Option<Psi>,
    /// I/O pressure; `None` as above.
    pub psi_io: Option<Psi>,
    /// Tasks created since boot (threads too). Source: `/proc/stat` `processes`.
    pub forks: u64,
    /// Derived; `None` on the first sample.
    pub forks_per_sec: Option<f32>,
    /// Context switches since boot. Source: `/proc/stat` `ctxt`.
    pub context_switches: u64,
    /// Derived; `None` on the first sample.
    pub context_switches_per_sec: Option<f32>,
    /// Processes that lived less than a second, since the agent started, while somebody watched; `None` without process events.
    pub short_lived: Option<u64>,
    /// Derived; `None` on the first sample or without process events.
    pub short_lived_per_sec: Option<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_lines_are_ratios_and_nanoseconds() {
        let text = "some avg10=12.50 avg60=1.00 avg300=0.25 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let psi = Psi::parse(text).unwrap();
        assert_eq!((psi.some.avg10_ratio, psi.some.total_nanos), (0.125, 1_234_000));
        assert_eq!(psi.full.unwrap().total_nanos, 7_000);
        assert!(Psi::parse("some avg10=12.50 avg60=1.00 avg300=0.25 total=1").unwrap().full.is_none());
        for broken in ["", "some avg10=x", "some avg10=NaN avg60=1 avg300=0 total=1", "full avg10=0"] {
            assert!(Psi::parse(broken).is_none(), "{broken}");
        }
    }
}
