//! Containers: who they are ([`Container`]) and what they use ([`ContainerStat`]), from engines, cgroups and the
//! runtime's state on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::host::Psi;

/// Identifies a container: the engine's full id, or the machine's name where the runtime has no ids (LXC, nspawn).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    /// Mostly 64 hexadecimal digits.
    pub id: String,
}

/// Who runs the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Docker (dockerd, moby).
    Docker,
    /// Podman (libpod).
    Podman,
    /// containerd by itself: nerdctl, ctr, or Kubernetes through its CRI plug-in.
    Containerd,
    /// CRI-O.
    Crio,
    /// LXC, LXD, Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// runc, crun, youki without an engine.
    Oci,
    /// A cgroup that looks like a container's, of an unknown runtime.
    #[default]
    Unknown,
}

impl Runtime {
    /// The name users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Oci => "oci",
            Self::Unknown => "unknown",
        }
    }
}

/// Life cycle, in the engines' terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended; see the exit code.
    Exited,
    /// The engine could not remove it.
    Dead,
    /// Nobody told.
    #[default]
    Unknown,
}

impl ContainerState {
    /// Whether its processes are there, be they frozen or not.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// The engines' word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// Outcome of the image's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not decided yet.
    Starting,
    /// Last check passed.
    Healthy,
    /// Too many checks failed in a row.
    Unhealthy,
}

/// A port the container exposes, and where it is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Address on the host; `None` when not published.
    pub host_address: Option<String>,
    /// Port on the host; `None` when not published.
    pub host_port: Option<u16>,
    /// Port inside.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// How a container became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownFrom {
    /// An engine's API.
    Engine,
    /// A process's cgroup path.
    Cgroup,
    /// The command line of a shim or monitor (containerd-shim, conmon, lxc monitor).
    Shim,
    /// The runtime's state on disk.
    State,
}

/// What rarely changes about a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Container {
    /// Name without the leading slash; the id's first 12 digits when nobody told a name.
    pub name: String,
    /// Image reference as given by the user; `None` when unknown.
    pub image: Option<String>,
    /// Who runs it.
    pub runtime: Runtime,
    /// Endpoint of the engine that told of it; `None` when found without one.
    pub engine: Option<String>,
    /// Life cycle.
    pub state: ContainerState,
    /// Exit code of the last run; `None` while it runs or when unknown.
    pub exit_code: Option<i32>,
    /// The engine saw the kernel's OOM killer end it; `None` when unknown.
    pub oom_killed: Option<bool>,
    /// `None` without a health check.
    pub health: Option<Health>,
    /// Nanoseconds since the epoch; `None` when unknown.
    pub created_at: Option<u64>,
    /// Start of the present or last run; `None` when never started or unknown.
    pub started_at: Option<u64>,
    /// End of the last run; `None` while it runs or when unknown.
    pub finished_at: Option<u64>,
    /// Host pid of the container's pid 1; `None` when it does not run or is unknown.
    pub init_pid: Option<u32>,
    /// How often the engine restarted it; `None` when unknown.
    pub restart_count: Option<u32>,
    /// Path and arguments of its command; `None` when unknown or masked.
    pub command: Option<String>,
    /// Label `com.docker.compose.project` (or Podman's twin).
    pub compose_project: Option<String>,
    /// Label `com.docker.compose.service`.
    pub compose_service: Option<String>,
    /// Exposed and published ports.
    pub ports: Vec<Port>,
    /// All labels; values cut at 4 KiB. Hostile text: show as text only.
    pub labels: BTreeMap<String, String>,
    /// `bridge`, `host`, `none`, `container:ID` or a network's name; `None` when unknown.
    pub network_mode: Option<String>,
    /// Networks it is on with its address there (may be empty).
    pub networks: Vec<(String, String)>,
    /// Its cgroup path; `None` when it does not run or is hidden.
    pub cgroup: Option<String>,
    /// Pod (uid or id) it belongs to.
    pub pod: Option<String>,
    /// Id of the container it runs in (Docker in Docker, kind).
    pub parent: Option<String>,
    /// How it became known, without repeats.
    pub known_from: Vec<KnownFrom>,
}

/// What a running container uses. Source: its cgroup, v1 or v2 per controller. `None` = controller or
/// file missing, where a field does not say otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ContainerStat {
    /// CPU time of all its processes, also ended ones, nanoseconds. v1 `cpuacct.usage`, v2 `cpu.stat` `usage_usec`.
    pub cpu_nanos: Option<u64>,
    /// Share of one core over the last interval; `None` on the first sample. Derived.
    pub cpu_ratio: Option<f32>,
    /// Cores it may use (quota / period); `None` = no limit. v1 `cpu.cfs_quota_us`, v2 `cpu.max`.
    pub cpu_limit_cores: Option<f32>,
    /// Scheduling periods in which it ran since start. `cpu.stat` `nr_periods`.
    pub cpu_periods: Option<u64>,
    /// Periods in which its quota ran out. `cpu.stat` `nr_throttled`.
    pub cpu_throttled_periods: Option<u64>,
    /// Time it was held back, nanoseconds. v1 `throttled_time`, v2 `throttled_usec`.
    pub cpu_throttled_nanos: Option<u64>,
    /// Share of periods of the last interval in which it was throttled, 0..1; `None` on the first sample. Derived.
    pub cpu_throttled_ratio: Option<f32>,
    /// Working set, bytes: usage without inactive file cache, as `docker stats` prints it.
    pub memory_bytes: Option<u64>,
    /// Usage with all page cache, bytes. v1 `memory.usage_in_bytes`, v2 `memory.current`.
    pub memory_usage_bytes: Option<u64>,
    /// Effective limit, bytes: the lowest of its own and its ancestors'; `None` = no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Processes the OOM killer ended in it. v1 `memory.oom_control`, v2 `memory.events` `oom_kill`.
    pub oom_kills: Option<u64>,
    /// Tasks (threads count). `pids.current`.
    pub pids: Option<u32>,
    /// Most tasks allowed; `None` = no limit. `pids.max`.
    pub pids_limit: Option<u32>,
    /// Processes seen in it at the last tick; `None` while processes are not collected. Derived by `model::join`.
    pub processes: Option<u32>,
    /// Bytes read from block devices. v1 `blkio.throttle.io_service_bytes_recursive`, v2 `io.stat`.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices; sources as above.
    pub write_bytes: Option<u64>,
    /// Derived; `None` on the first sample.
    pub read_bytes_per_sec: Option<f32>,
    /// Derived; `None` on the first sample.
    pub write_bytes_per_sec: Option<f32>,
    /// CPU pressure. `cpu.pressure` of the v2 tree.
    pub psi_cpu: Option<Psi>,
    /// Memory pressure. `memory.pressure`.
    pub psi_memory: Option<Psi>,
    /// I/O pressure. `io.pressure`.
    pub psi_io: Option<Psi>,
    /// Its processes that lived less than a second, counted as on the host; `None` without process events.
    pub short_lived: Option<u64>,
    /// Derived; `None` on the first sample or without process events.
    pub short_lived_per_sec: Option<f32>,
}

/// What the processes of a container ask of files and disks now, added up: also where its control group counts nothing (v1 does so
/// only where a limit is set, since Linux 6.10). Collected only while somebody looks at I/O. Source: [`super::process::ProcessIo`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ContainerIo {
    /// Processes that were added up.
    pub processes: u32,
    /// Of them those that wait uninterruptibly (state D).
    pub waiting: u32,
    /// From storage; `None` on the first sample or when not permitted.
    pub read_bytes_per_sec: Option<f32>,
    /// To storage; as above.
    pub write_bytes_per_sec: Option<f32>,
    /// Through system calls; as above.
    pub rchar_bytes_per_sec: Option<f32>,
    /// Through system calls; as above.
    pub wchar_bytes_per_sec: Option<f32>,
    /// Shares of time its processes waited for block devices, added up: 2.0 is two processes that did nothing else; `None` also
    /// while delay accounting is off.
    pub block_wait_ratio: Option<f32>,
}

/// Identifies a block device as a container uses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerDeviceKey {
    /// Id of the container.
    pub container: String,
    /// The device's number, as `254:0`. Control groups count whole disks and volumes, not partitions.
    pub major_minor: String,
}

/// What passed a block device for a container, as its control group counts it. There is a row for each device that it counts; on v1
/// those are, since Linux 6.10, devices on which some control group has or had a limit: a row that is missing is unknown there.
/// Counters are those since the group was made. Source: v1 `blkio.throttle.io_service_bytes` and `io_serviced` (with groups below
/// where the kernel has `_recursive`), v2 `io.stat`. `None` = the kernel does not tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ContainerDeviceIo {
    /// The kernel's name, below `/dev`; `None` when no device has the number now.
    pub device: Option<String>,
    /// Bytes read. v1 `Read`, v2 `rbytes`.
    pub read_bytes: Option<u64>,
    /// Bytes written. v1 `Write`, v2 `wbytes`.
    pub write_bytes: Option<u64>,
    /// Reads. v1 `Read` of `io_serviced`, v2 `rios`.
    pub reads: Option<u64>,
    /// Writes. v1 `Write` of `io_serviced`, v2 `wios`.
    pub writes: Option<u64>,
    /// Bytes discarded; `None` before Linux 4.18. v1 `Discard`, v2 `dbytes`.
    pub discard_bytes: Option<u64>,
    /// Discards; `None` before Linux 4.18. v1 `Discard` of `io_serviced`, v2 `dios`.
    pub discards: Option<u64>,
    /// Derived; `None` on the first sample, as all that follow.
    pub read_bytes_per_sec: Option<f32>,
    /// Derived.
    pub write_bytes_per_sec: Option<f32>,
    /// Derived.
    pub reads_per_sec: Option<f32>,
    /// Derived.
    pub writes_per_sec: Option<f32>,
    /// Derived.
    pub discard_bytes_per_sec: Option<f32>,
    /// Derived.
    pub discards_per_sec: Option<f32>,
}

impl ContainerDeviceIo {
    /// Read and written together per second; `None` while either is not known.
    pub fn bytes_per_sec(&self) -> Option<f32> {
        Some(self.read_bytes_per_sec? + self.write_bytes_per_sec?)
    }
}

impl ContainerStat {
    /// Used share of its CPU limit; `None` without a limit and on the first sample.
    pub fn cpu_fill(&self) -> Option<f32> {
        Some(self.cpu_ratio? / self.cpu_limit_cores.filter(|cores| *cores > 0.0)?)
    }

    /// Used share of its memory limit; `None` without a limit. A limit of 0 is always reached.
    pub fn memory_fill(&self) -> Option<f32> {
        let (used, limit) = (self.memory_bytes?, self.memory_limit_bytes?);
        Some(if limit == 0 { 1.0 } else { used as f32 / limit as f32 })
    }
}
