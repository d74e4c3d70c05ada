//! Control groups: the tree ([`Cgroup`]), what holds for each container ([`Limit`]), what it uses of that beyond
//! [`super::container::ContainerStat`] ([`LimitStat`]), and whom the kernel killed for memory ([`OomKill`]).

mod room;

use serde::{Deserialize, Serialize};

pub use room::{Resource, Room, rooms};

/// Key of [`Cgroup`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CgroupKey {
    /// Path below the mounted hierarchies, `/` for their root; the same path in several v1 hierarchies is one row.
    pub path: String,
}

/// What the freezer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freezer {
    /// Runs.
    Thawed,
    /// On its way to stand still.
    Freezing,
    /// Stands still.
    Frozen,
}

impl Freezer {
    /// The kernel's word, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thawed => "thawed",
            Self::Freezing => "freezing",
            Self::Frozen => "frozen",
        }
    }
}

/// One control group. Read every ten seconds while somebody looks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// Path of the group it is in; `None` for the root.
    pub parent: Option<String>,
    /// Controllers that act on it, sorted. v1: hierarchies that have the path; v2: `cgroup.controllers`.
    pub controllers: Vec<String>,
    /// Container whose own group it is, or in whose it lies; `None` on the host.
    pub container: Option<String>,
    /// v1 `freezer.state`, v2 `cgroup.events` `frozen` and `cgroup.freeze`; `None` where no freezer acts on it.
    pub freezer: Option<Freezer>,
    /// Frozen by itself and not only by a group above. v1 `freezer.self_freezing`, v2 `cgroup.freeze`; `None` as above.
    pub self_frozen: Option<bool>,
    /// Processes in itself, without those below. `cgroup.procs`; `None` when it cannot be read.
    pub processes: Option<u32>,
    /// Groups below it, at all depths.
    pub descendants: u32,
    /// What its own files say.
    pub own: Settings,
}

/// A limit as one group's own file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cap<T> {
    /// No controller, no such file, or it could not be read.
    #[default]
    Unknown,
    /// The file says that there is none. v1: −1 or the largest number; v2: `max`.
    Unlimited,
    /// In the field's unit.
    Set(T),
}

/// What one group's own files say, whatever the groups above it allow. `None` = no such file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// CPU time per period, nanoseconds. v1 `cpu.cfs_quota_us`, v2 `cpu.max`.
    pub cpu_quota_nanos: Cap<u64>,
    /// The period, nanoseconds. v1 `cpu.cfs_period_us`, v2 `cpu.max`.
    pub cpu_period_nanos: Option<u64>,
    /// v1 `cpu.shares`.
    pub cpu_shares: Option<u64>,
    /// v2 `cpu.weight`.
    pub cpu_weight: Option<u64>,
    /// v1 `cpuset.effective_cpus`, v2 `cpuset.cpus.effective`.
    pub cpuset_cpus: Option<String>,
    /// v1 `cpuset.effective_mems`, v2 `cpuset.mems.effective`.
    pub cpuset_mems: Option<String>,
    /// v1 `memory.limit_in_bytes`, v2 `memory.max`.
    pub memory_max_bytes: Cap<u64>,
    /// v2 `memory.high`.
    pub memory_high_bytes: Cap<u64>,
    /// v1 `memory.soft_limit_in_bytes`.
    pub memory_soft_bytes: Cap<u64>,
    /// v2 `memory.low`; as good as everything is the largest number.
    pub memory_low_bytes: Option<u64>,
    /// v2 `memory.min`; as above.
    pub memory_min_bytes: Option<u64>,
    /// v2 `memory.swap.max`.
    pub swap_max_bytes: Cap<u64>,
    /// v1 `memory.memsw.limit_in_bytes`.
    pub memory_swap_max_bytes: Cap<u64>,
    /// `pids.max`.
    pub pids_max: Cap<u32>,
    /// v1 `blkio.throttle.*_device`, v2 `io.max`; empty = none.
    pub io: Option<Vec<IoLimit>>,
    /// v1 `memory.oom_control` `oom_kill_disable`.
    pub oom_kill_disable: Option<bool>,
    /// v2 `memory.oom.group`.
    pub oom_group: Option<bool>,
}

/// A limit that holds, and where it comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound<T> {
    /// No controller, no file, or not permitted.
    #[default]
    Unknown,
    /// Neither the group nor one above it sets a limit.
    Unlimited,
    /// This holds.
    Set {
        /// The lowest (of what protects: the group's own) value on the way up, in the field's unit.
        value: T,
        /// Path of the group that sets it: the container's own, or one above it.
        from: String,
    },
}

impl<T: Copy> Bound<T> {
    /// The value; `None` when there is no limit or it is not known.
    pub fn value(&self) -> Option<T> {
        match self {
            Self::Set { value, .. } => Some(*value),
            Self::Unknown | Self::Unlimited => None,
        }
    }
}

impl<T> Bound<T> {
    /// The group that sets it; `None` as above.
    pub fn from(&self) -> Option<&str> {
        match self {
            Self::Set { from, .. } => Some(from),
            Self::Unknown | Self::Unlimited => None,
        }
    }

    /// Whether it is known that there is no limit.
    pub fn is_unlimited(&self) -> bool {
        matches!(self, Self::Unlimited)
    }
}

/// What a block device may do for a container. `None` = no limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct IoLimit {
    /// `major:minor`.
    pub device: String,
    /// Bytes read per second. v1 `blkio.throttle.read_bps_device`, v2 `io.max` `rbps`.
    pub read_bytes_per_sec: Option<u64>,
    /// Bytes written per second.
    pub write_bytes_per_sec: Option<u64>,
    /// Reads per second.
    pub read_per_sec: Option<u64>,
    /// Writes per second.
    pub write_per_sec: Option<u64>,
    /// Path of the group that sets it.
    pub from: String,
}

/// What holds for one container: its own limits and those of the groups above it, under the key of `container`. Read every
/// ten seconds, and when an engine tells of a change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Limit {
    /// Its own group, below the mounted hierarchies.
    pub cgroup: String,
    /// Cores it may use: quota / period, the lowest on the way up. v1 `cpu.cfs_quota_us`, v2 `cpu.max`.
    pub cpu_cores: Bound<f32>,
    /// Quota of the group that sets it, nanoseconds per period; `None` without limit.
    pub cpu_quota_nanos: Option<u64>,
    /// Its period, nanoseconds.
    pub cpu_period_nanos: Option<u64>,
    /// Its share when cores are scarce, v1 `cpu.shares` (2..262144, usual 1024); `None` on v2.
    pub cpu_shares: Option<u64>,
    /// The same on v2, `cpu.weight` (1..10000, usual 100); `None` on v1.
    pub cpu_weight: Option<u64>,
    /// Cores it may run on (`0-3,8`). v1 `cpuset.effective_cpus`, v2 `cpuset.cpus.effective`; `None` without controller.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes it may use. `cpuset.effective_mems`, `cpuset.mems.effective`.
    pub cpuset_mems: Option<String>,
    /// Above this it is killed, bytes. v1 `memory.limit_in_bytes`, v2 `memory.max`; the lowest on the way up.
    pub memory_max_bytes: Bound<u64>,
    /// Above this it is slowed and reclaimed from, bytes. v2 `memory.high`; unknown on v1.
    pub memory_high_bytes: Bound<u64>,
    /// Reclaimed to when memory is scarce, bytes, its own. v1 `memory.soft_limit_in_bytes`; unknown on v2.
    pub memory_soft_bytes: Bound<u64>,
    /// Spared as long as others can give, bytes, its own. v2 `memory.low`; 0 = not spared; `None` on v1.
    pub memory_low_bytes: Option<u64>,
    /// Never taken, bytes, its own. v2 `memory.min`; 0 = nothing; `None` on v1.
    pub memory_min_bytes: Option<u64>,
    /// Swap it may use beside memory, bytes. v2 `memory.swap.max`; the lowest on the way up. Unknown on v1.
    pub swap_max_bytes: Bound<u64>,
    /// Memory and swap together, bytes. v1 `memory.memsw.limit_in_bytes`; the lowest on the way up. Unknown on v2 and
    /// where swap is not accounted.
    pub memory_swap_max_bytes: Bound<u64>,
    /// Tasks (threads count) it may have. `pids.max`; the lowest on the way up.
    pub pids_max: Bound<u32>,
    /// Limits of block devices, sorted: one per device and group that sets one, all of which hold; empty = none. `None`
    /// without the controller.
    pub io: Option<Vec<IoLimit>>,
    /// Tasks over the limit are not killed but wait. v1 `memory.oom_control` `oom_kill_disable`; `None` on v2, which
    /// cannot do that.
    pub oom_kill_disable: Option<bool>,
    /// All its tasks are killed together. v2 `memory.oom.group`; `None` on v1.
    pub oom_group: Option<bool>,
}

/// What a container uses of its limits, beyond [`super::container::ContainerStat`], under the key of `container`. Bytes of
/// memory include the groups below. `None` = controller or file missing. Read at each tick somebody looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LimitStat {
    /// Memory of programs: heap, stacks. `memory.stat` v1 `total_rss`, v2 `anon`.
    pub anon_bytes: Option<u64>,
    /// Page cache, shared memory with it. v1 `total_cache`, v2 `file`.
    pub file_bytes: Option<u64>,
    /// Shared memory and tmpfs: part of `file_bytes` that cannot be dropped. `total_shmem`, `shmem`.
    pub shmem_bytes: Option<u64>,
    /// The kernel's own for it, slab with it. v1 `memory.kmem.usage_in_bytes`, v2 `kernel` (5.18+).
    pub kernel_bytes: Option<u64>,
    /// Kernel objects (inodes, dentries). v2 `slab`; `None` on v1.
    pub slab_bytes: Option<u64>,
    /// Buffers of sockets. v1 `memory.kmem.tcp.usage_in_bytes`, v2 `sock`.
    pub sock_bytes: Option<u64>,
    /// Swapped out. v1 `total_swap`, v2 `memory.swap.current`.
    pub swap_bytes: Option<u64>,
    /// Most memory it ever used. v1 `memory.max_usage_in_bytes`, v2 `memory.peak` (5.19+).
    pub memory_peak_bytes: Option<u64>,
    /// How often it ran into its memory limit. v1 `memory.failcnt`, v2 `memory.events` `max`.
    pub memory_limit_hits: Option<u64>,
    /// How often it was slowed at `memory.high`. v2 `memory.events` `high`.
    pub memory_high_hits: Option<u64>,
    /// How often the OOM killer was about to act. v2 `memory.events` `oom`.
    pub ooms: Option<u64>,
    /// It stands still for want of memory now. v1 `memory.oom_control` `under_oom`; `None` on v2.
    pub under_oom: Option<bool>,
    /// How often a task could not be made for want of pids. `pids.events` `max`.
    pub pids_limit_hits: Option<u64>,
}

/// Key of [`OomKill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OomKillKey {
    /// Counts from 1 since the agent started, in the order in which kills became known.
    pub sequence: u64,
}

/// Who told of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomSource {
    /// A line of the kernel's log. `/dev/kmsg`.
    KernelLog,
    /// The group's counter went up. v1 `memory.oom_control`, v2 `memory.events`.
    Counter,
    /// An engine's event `oom`.
    EngineEvent,
    /// The engine's `OOMKilled` of a container that ended.
    OomKilled,
}

impl OomSource {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::KernelLog => "kernel log",
            Self::Counter => "counter",
            Self::EngineEvent => "engine event",
            Self::OomKilled => "OOMKilled",
        }
    }
}

/// Processes the OOM killer ended: one row per victim the kernel's log names, else one per rise of a counter. The newest
/// 200 since the host started, as far as its log reaches back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OomKill {
    /// Nanoseconds since the epoch: of the log line, else of the tick or event that told.
    pub at: u64,
    /// Container it was in; `None` on the host.
    pub container: Option<String>,
    /// Control group of the victim; `None` unless the log tells.
    pub cgroup: Option<String>,
    /// Control group whose limit was hit; `None` when the host itself had no memory left, or unless the log tells.
    pub limit_cgroup: Option<String>,
    /// The host had no memory left, not a control group; `None` unless the log tells.
    pub global: Option<bool>,
    /// Host pid; `None` unless the log tells.
    pub pid: Option<u32>,
    /// Name; `None` as above. Hostile text, made printable.
    pub comm: Option<String>,
    /// User id; `None` as above.
    pub uid: Option<u32>,
    /// Memory of its own it had, bytes. `anon-rss` of the log line; `None` as above.
    pub anon_bytes: Option<u64>,
    /// Processes this row stands for: 1, or by how much the counter rose.
    pub count: u32,
    /// Who told, sorted, without repeats.
    pub sources: Vec<OomSource>,
}
