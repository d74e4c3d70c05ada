//! Processes: who they are ([`Process`]), what they do ([`ProcessStat`]), their threads ([`Thread`]), those that
//! ended ([`ExitedProcess`]), and what is read only for one process on demand ([`ProcessDetail`], [`MemoryMaps`]).

mod delay;
mod io;
mod map;
mod waiter;

pub use delay::ProcessDelay;
pub use io::{IoClass, IoPriority, ProcessIo};
pub use map::{MapKind, MemoryMap, MemoryMaps, MemorySum};
use serde::{Deserialize, Serialize};
pub use waiter::{ABSENT, LOOKS_PER_SEC, STRIP_SECS, Waiter};

use super::confinement::Effective;
use super::file::HostFile;

/// Identifies a process for as long as the host is up: a pid alone is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Process id as the host sees it (thread group id).
    pub pid: u32,
    /// Clock ticks after boot at which it started. Source: `/proc/PID/stat` field 22.
    pub start_time: u64,
}

/// Scheduler state, the letter `ps` prints. Source: `/proc/PID/stat` field 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum ProcessState {
    /// Running or runnable.
    R,
    /// Interruptible sleep.
    #[default]
    S,
    /// Uninterruptible sleep, mostly for a disk.
    D,
    /// Zombie: ended, not yet waited for by its parent.
    Z,
    /// Stopped by a signal.
    T,
    /// Stopped by a tracer (`t`).
    #[serde(rename = "t")]
    Traced,
    /// Idle kernel thread.
    I,
    /// Dead, about to vanish.
    X,
    /// Parked kernel thread.
    P,
}

impl ProcessState {
    /// All states in the order the scoreboard's key lists them.
    pub const ALL: [Self; 9] =
        [Self::R, Self::S, Self::D, Self::T, Self::Traced, Self::Z, Self::I, Self::P, Self::X];

    /// The letter of `/proc/PID/stat`; letters this version does not know count as sleeping, so `None`.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'R' => Some(Self::R),
            b'S' => Some(Self::S),
            b'D' => Some(Self::D),
            b'Z' => Some(Self::Z),
            b'T' => Some(Self::T),
            b't' => Some(Self::Traced),
            b'I' => Some(Self::I),
            b'X' | b'x' => Some(Self::X),
            b'P' => Some(Self::P),
            _ => None,
        }
    }

    /// The letter that `ps` prints.
    pub fn letter(self) -> char {
        match self {
            Self::R => 'R',
            Self::S => 'S',
            Self::D => 'D',
            Self::Z => 'Z',
            Self::T => 'T',
            Self::Traced => 't',
            Self::I => 'I',
            Self::X => 'X',
            Self::P => 'P',
        }
    }

    /// What the letter means, for keys and hovers.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::R => "running",
            Self::S => "sleeping",
            Self::D => "waiting, uninterruptible",
            Self::Z => "zombie",
            Self::T => "stopped",
            Self::Traced => "stopped by a tracer",
            Self::I => "idle kernel thread",
            Self::X => "dead",
            Self::P => "parked kernel thread",
        }
    }
}

/// What rarely changes about a process: read when it appears, after `execve`, and re-checked now and then.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Process {
    /// Parent's pid on the host; 0 for the kernel's own. Source: `/proc/PID/stat` field 4.
    pub ppid: u32,
    /// Command name, at most 15 bytes, lossy UTF-8. Source: `/proc/PID/stat` field 2.
    pub comm: String,
    /// Arguments joined by spaces, control characters escaped, lossy UTF-8, cut at 4 KiB; empty for kernel threads
    /// and zombies; `None` when hidden by `--mask-args` or not readable. Source: `/proc/PID/cmdline`.
    pub cmdline: Option<String>,
    /// Real uid as the host sees it. `None` when unreadable. Source: `/proc/PID/status` `Uid`.
    pub uid: Option<u32>,
    /// Effective uid as the host sees it. Source: `/proc/PID/status` `Uid`.
    pub euid: Option<u32>,
    /// Name of the effective uid: in the container's own passwd where readable, else the host's; `None` when no
    /// passwd names it.
    pub user: Option<String>,
    /// Controlling terminal, as `ps` prints it (`pts/0`); `None` when it has none. Source: stat field 7.
    pub tty: Option<String>,
    /// Start, nanoseconds since the epoch: boot time plus `start_time`.
    pub started_at: u64,
    /// Pid in its innermost pid namespace; equals the host's pid outside containers; `None` when unreadable (kernel
    /// before 4.1). Source: `/proc/PID/status` `NSpid`, last.
    pub pid_in_ns: Option<u32>,
    /// Whether it is a kernel thread. Source: stat field 9, `PF_KTHREAD`.
    pub kernel_thread: bool,
    /// Path in the cgroup hierarchy that tells the container (the deepest match, else v2, else name=systemd); `None`
    /// when unreadable. Source: `/proc/PID/cgroup`.
    pub cgroup: Option<String>,
    /// Id of its container; `None` on the host. Derived by `model::join`.
    pub container: Option<String>,
}

/// What changes while a process runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessStat {
    /// Scheduler state of its main thread.
    pub state: ProcessState,
    /// User and system time of all threads since start, nanoseconds, in steps of a clock tick. Source: stat 14 + 15.
    pub cpu_nanos: u64,
    /// Share of one core over the last interval (2.0 = two cores full); `None` on the first sample. Derived.
    pub cpu_ratio: Option<f32>,
    /// Resident set, bytes. Source: stat field 24 × page size; exact to some pages per CPU.
    pub rss_bytes: u64,
    /// Virtual size, bytes. Source: stat field 23.
    pub virtual_bytes: u64,
    /// Threads. Source: stat field 20.
    pub threads: u32,
    /// Kernel priority, as `top`'s PR (negative: real time). Source: stat field 18.
    pub priority: i32,
    /// Nice value. Source: stat field 19.
    pub nice: i32,
    /// Bytes fetched from block devices since start; `None` when not permitted. Source: `/proc/PID/io` `read_bytes`.
    pub read_bytes: Option<u64>,
    /// Bytes sent towards block devices since start; `None` when not permitted. Source: `/proc/PID/io` `write_bytes`.
    pub write_bytes: Option<u64>,
    /// Derived; `None` on the first sample or when not permitted.
    pub read_bytes_per_sec: Option<f32>,
    /// Derived; `None` on the first sample or when not permitted.
    pub write_bytes_per_sec: Option<f32>,
    /// Kernel function a D-state process waits in; `None` in other states or when hidden. Source: `/proc/PID/wchan`.
    pub wait_channel: Option<String>,
}

/// Identifies a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ThreadKey {
    /// Its process.
    pub pid: u32,
    /// Start of its process, as in [`ProcessKey`].
    pub start_time: u64,
    /// Thread id on the host.
    pub tid: u32,
}

impl ThreadKey {
    /// The process it belongs to.
    pub fn process(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_time: self.start_time }
    }
}

/// One thread of a process with more than one. Collected only while somebody looks at threads.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Thread {
    /// Thread name. Source: `/proc/PID/task/TID/stat` field 2.
    pub comm: String,
    /// Scheduler state.
    pub state: ProcessState,
    /// User and system time since it started, nanoseconds.
    pub cpu_nanos: u64,
    /// Share of one core; `None` on the first sample. Derived.
    pub cpu_ratio: Option<f32>,
    /// As in [`ProcessStat::wait_channel`].
    pub wait_channel: Option<String>,
}

/// Key of [`ExitedProcess`]: the order in which the ends were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExitKey {
    /// Counts from 1 since the agent began to listen.
    pub sequence: u64,
}

/// A process that ended; the newest few hundred are kept. Source: proc connector (`PROC_EVENT_EXIT`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExitedProcess {
    /// Its pid on the host.
    pub pid: u32,
    /// Its parent's pid at the fork or the end; `None` when unknown.
    pub ppid: Option<u32>,
    /// Command name, read at the last exec or taken over from the parent; `None` when it was gone too soon.
    pub comm: Option<String>,
    /// Command line read at the last exec; `None` when gone too soon, masked, or never executed anything.
    pub cmdline: Option<String>,
    /// Its container's id; `None` on the host, and when it was gone before anybody could look.
    pub container: Option<String>,
    /// Exit status 0..255; `None` when a signal ended it.
    pub exit_code: Option<u8>,
    /// Signal that ended it; `None` when it exited by itself.
    pub signal: Option<u8>,
    /// Nanoseconds from fork to exit; from the start as its row told it (to the second) when the fork was not seen;
    /// `None` when there was no row either.
    pub lifetime_nanos: Option<u64>,
    /// End, nanoseconds since the epoch.
    pub exited_at: u64,
    /// It lived less than a second: a table of processes showed it by chance at most.
    pub short_lived: bool,
}

/// One namespace of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceLink {
    /// `mnt`, `net`, `pid`… as in `/proc/PID/ns`.
    pub kind: String,
    /// Inode number of the namespace.
    pub inode: u64,
    /// Whether the agent itself is in the same one.
    pub same_as_agent: bool,
}

/// Exact memory of one process, bytes. Source: `/proc/PID/smaps_rollup`, read on demand (it walks the page tables).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryDetail {
    /// `Rss`.
    pub rss_bytes: u64,
    /// `Pss`: shared pages divided by the number of their users.
    pub pss_bytes: u64,
    /// `Shared_Clean` + `Shared_Dirty`.
    pub shared_bytes: u64,
    /// `Private_Clean` + `Private_Dirty`.
    pub private_bytes: u64,
    /// `Swap`.
    pub swap_bytes: u64,
}

/// What is read for one process when somebody selects it. Every part may be missing on its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessDetail {
    /// Host side of its binary.
    pub exe: Option<HostFile>,
    /// Working directory as the process sees it. Source: `/proc/PID/cwd`.
    pub cwd: Option<String>,
    /// Root directory as the host sees it, when it is not `/`. Source: `/proc/PID/root`.
    pub root: Option<String>,
    /// Exact memory.
    pub memory: Option<MemoryDetail>,
    /// Pids from the host's namespace inwards. Source: `NSpid`.
    pub ns_pids: Vec<u32>,
    /// Its namespaces.
    pub namespaces: Vec<NamespaceLink>,
    /// All lines of `/proc/PID/cgroup`.
    pub cgroups: Vec<String>,
    /// Pids of its ancestors, nearest first, with their command names.
    pub parents: Vec<(u32, String)>,
    /// Open descriptors; `None` when not permitted.
    pub open_files: Option<u32>,
    /// `oom_score_adj`, −1000..1000.
    pub oom_score_adj: Option<i32>,
    /// Where the kernel has it now. Source: `/proc/PID/wchan`.
    pub wait_channel: Option<String>,
    /// Voluntary and involuntary context switches since start.
    pub context_switches: Option<(u64, u64)>,
    /// What confines it; `None` when its status cannot be read. Source: as in `confinement`.
    pub confinement: Option<Effective>,
    /// What could not be read and which capability would show it.
    pub missing: Vec<String>,
}
