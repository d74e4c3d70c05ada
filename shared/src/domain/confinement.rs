//! What confines a container: what the kernel holds for its init process ([`Effective`]), what its engine was told
//! ([`Declared`]), and where the two differ. Sources: `/proc/PID/status`, `limits`, `attr/current`, the devices cgroup, and the
//! engine's inspect answer (never its environment). Differences are found by `model::confinement`.
//!
//! The key is the container, not its init process: what was declared is known of a container that does not run, and stays
//! comparable over a restart. The same facts of any other process come with its details on demand.

mod capability;

use serde::{Deserialize, Serialize};

pub use capability::CapSet;

/// What confines a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// Host pid of the container's init, whose facts `effective` are; `None` when it does not run or is unknown.
    pub init_pid: Option<u32>,
    /// What the kernel holds for its init; `None` when it does not run or cannot be read.
    pub effective: Option<Effective>,
    /// What the engine was told; `None` without an engine that tells.
    pub declared: Option<Declared>,
    /// Where the kernel holds something else than the engine was told; empty also while one of the two is unknown.
    /// Derived.
    pub differences: Vec<Difference>,
}

/// Something that is not as it was declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Difference {
    /// What of it.
    pub aspect: Aspect,
    /// Which one, where there are several: `CAP_NET_ADMIN`, `nofile`, a mountpoint; else empty.
    pub name: String,
    /// As the engine was told, or as it does when told nothing.
    pub declared: String,
    /// As the kernel holds it.
    pub effective: String,
    /// It is freer than declared: what a reader should look at first.
    pub looser: bool,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// A capability.
    #[default]
    Capability,
    /// The seccomp filter.
    Seccomp,
    /// `no_new_privs`.
    NoNewPrivs,
    /// The label of AppArmor or SELinux.
    Lsm,
    /// Whether the root file system is read-only.
    ReadOnlyRoot,
    /// A mount that was asked for.
    Mount,
    /// The user it runs as.
    User,
    /// A resource limit.
    Rlimit,
    /// The score adjustment for the OOM killer.
    OomScoreAdj,
    /// Devices it may use.
    Devices,
}

impl Aspect {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Seccomp => "seccomp",
            Self::NoNewPrivs => "no_new_privs",
            Self::Lsm => "LSM label",
            Self::ReadOnlyRoot => "read-only root",
            Self::Mount => "mount",
            Self::User => "user",
            Self::Rlimit => "rlimit",
            Self::OomScoreAdj => "oom_score_adj",
            Self::Devices => "devices",
        }
    }
}

/// The five capability sets of a process. Source: `/proc/PID/status` `CapEff`, `CapPrm`, `CapBnd`, `CapInh`, `CapAmb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// What it may do now.
    pub effective: CapSet,
    /// What it may make effective.
    pub permitted: CapSet,
    /// What any program it runs may gain at most.
    pub bounding: CapSet,
    /// What a program with the same inheritable file capability keeps.
    pub inheritable: CapSet,
    /// What programs without file capabilities keep; empty on kernels before 4.3.
    pub ambient: CapSet,
}

/// Mode of system call filtering. Source: `/proc/PID/status` `Seccomp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// All system calls reach the kernel (0).
    Disabled,
    /// Only read, write, exit and sigreturn (1).
    Strict,
    /// BPF programs decide (2); what they let through is not told.
    Filter,
}

impl Seccomp {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Strict => "strict",
            Self::Filter => "filter",
        }
    }
}

/// Who decides which devices may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceControl {
    /// Not permitted to read, or not running.
    #[default]
    Unknown,
    /// The devices controller of cgroup v1: its list is in `devices`.
    CgroupV1,
    /// cgroup v2: BPF programs attached to the cgroup, which cannot be read back as a list.
    Bpf,
}

/// A resource limit. Units are the kernel's: bytes, seconds, counts; `rttime` microseconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Rlimit {
    /// As `prlimit` and engines name it, in lower case: `nofile`.
    pub name: String,
    /// In force; `None` = unlimited.
    pub soft: Option<u64>,
    /// As far as the process may raise it by itself; `None` = unlimited.
    pub hard: Option<u64>,
}

/// What the kernel holds for one process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effective {
    /// `None` when hidden.
    pub capabilities: Option<Capabilities>,
    /// Whether its capabilities count in the host's user namespace: its uid map is the identity over all ids. `None` when
    /// unreadable. Source: `/proc/PID/uid_map`.
    pub host_users: Option<bool>,
    /// Host uid of the root of its user namespace: 0 = the host's root; `None` when unreadable or when it has no root.
    pub root_uid: Option<u32>,
    /// `None` when the kernel has no seccomp or hides it.
    pub seccomp: Option<Seccomp>,
    /// Filters one upon another; `None` before Linux 5.9. Source: `status` `Seccomp_filters`.
    pub seccomp_filters: Option<u32>,
    /// Label of the security module: an AppArmor profile with its mode, or an SELinux context; `None` when no module
    /// labels processes or it is hidden. Source: `/proc/PID/attr/current`.
    pub lsm_label: Option<String>,
    /// Gains nothing by executing set-uid programs; `None` before Linux 4.10. Source: `status` `NoNewPrivs`.
    pub no_new_privs: Option<bool>,
    /// Whether `/` is mounted read-only for it; `None` when its mounts cannot be read. Source: its `mountinfo`.
    pub read_only_root: Option<bool>,
    /// Who decides about devices.
    pub device_control: DeviceControl,
    /// Lines of `devices.list`, as `c 1:3 rwm`; `a *:* rwm` = all. Empty unless `device_control` is `cgroup_v1`.
    pub devices: Vec<String>,
    /// In the order of `/proc/PID/limits`; empty when hidden.
    pub rlimits: Vec<Rlimit>,
    /// −1000 (never killed)..1000; `None` when hidden.
    pub oom_score_adj: Option<i32>,
    /// Real uid on the host.
    pub uid: Option<u32>,
    /// Effective uid on the host.
    pub euid: Option<u32>,
    /// Effective uid as seen inside its user namespace; `None` when the map is unreadable or has no entry for it.
    pub euid_inside: Option<u32>,
    /// Real gid on the host.
    pub gid: Option<u32>,
    /// Effective gid on the host.
    pub egid: Option<u32>,
    /// Supplementary groups on the host.
    pub groups: Vec<u32>,
}

/// A mount the engine was asked for. Source: inspect `Mounts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct DeclaredMount {
    /// `bind`, `volume`, `tmpfs`…
    pub kind: String,
    /// Path on the host; empty for a tmpfs.
    pub source: String,
    /// Mountpoint in the container.
    pub destination: String,
    /// Name of the volume; `None` for others.
    pub volume: Option<String>,
    /// Asked to be writable.
    pub writable: bool,
    /// `rprivate`, `rslave`…; empty when the engine does not tell.
    pub propagation: String,
}

/// What the engine was told. `None` and empty = not told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// `--privileged`.
    pub privileged: Option<bool>,
    /// `--cap-add`, as given.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, as given.
    pub cap_drop: Vec<String>,
    /// `--security-opt`. A seccomp profile given as a text is cut to the word `seccomp=profile`.
    pub security_opt: Vec<String>,
    /// `--read-only`.
    pub read_only_root: Option<bool>,
    /// `--user` or the image's; `None` = root.
    pub user: Option<String>,
    /// `--group-add`.
    pub group_add: Vec<String>,
    /// `--pid`; `None` = its own.
    pub pid_mode: Option<String>,
    /// `--network`.
    pub network_mode: Option<String>,
    /// `--ipc`.
    pub ipc_mode: Option<String>,
    /// `--uts`; `None` = its own.
    pub uts_mode: Option<String>,
    /// `--userns`; `None` = as the engine does by default.
    pub userns_mode: Option<String>,
    /// `--cgroupns`.
    pub cgroupns_mode: Option<String>,
    /// `--device`, as `host:container:rwm`.
    pub devices: Vec<String>,
    /// `--device-cgroup-rule`.
    pub device_rules: Vec<String>,
    /// `--ulimit`.
    pub ulimits: Vec<Rlimit>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// Paths hidden inside; `None` when the engine does not tell.
    pub masked_paths: Option<Vec<String>>,
    /// Paths read-only inside; `None` when the engine does not tell.
    pub readonly_paths: Option<Vec<String>>,
    /// AppArmor profile the engine chose; `None` when it does not tell or there is none.
    pub apparmor_profile: Option<String>,
    /// Binds, volumes and tmpfs that were asked for.
    pub mounts: Vec<DeclaredMount>,
}
