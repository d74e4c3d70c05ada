//! Namespaces of all eight kinds, and how far each container is apart from the host. Sources: `/proc/PID/ns` of processes and
//! threads, `nsfs` mounts, open descriptors, sockets, and the ioctls of `nsfs` for parents and owners; whose they are is
//! joined by `model::namespace`.
//!
//! A namespace is named by kind and inode in `nsfs`, as `lsns` prints it. The kernel gives the inode number of one that
//! has ended to the next.

use serde::{Deserialize, Serialize};

/// What a namespace isolates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// Mounts.
    Mnt,
    /// Host and domain name.
    Uts,
    /// System V IPC, POSIX message queues.
    Ipc,
    /// Process ids.
    Pid,
    /// Links, addresses, routes, sockets, ports.
    Net,
    /// User and group ids, capabilities.
    User,
    /// Where the cgroup hierarchy seems to begin.
    Cgroup,
    /// Offsets of the monotonic and boot clocks.
    Time,
}

impl NamespaceKind {
    /// All kinds, in the order of columns.
    pub const ALL: [Self; 8] =
        [Self::Mnt, Self::Uts, Self::Ipc, Self::Pid, Self::Net, Self::User, Self::Cgroup, Self::Time];

    /// As in `/proc/PID/ns` and `lsns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Position in [`Self::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Mnt => 0,
            Self::Uts => 1,
            Self::Ipc => 2,
            Self::Pid => 3,
            Self::Net => 4,
            Self::User => 5,
            Self::Cgroup => 6,
            Self::Time => 7,
        }
    }

    /// Inode of the one the kernel boots with (`include/uapi/linux/nsfs.h`). Of mount and network namespaces only kernels
    /// since 6.18 keep to it; older ones give them a number like any other.
    pub fn initial_inode(self) -> u64 {
        match self {
            Self::Mnt => 0xEFFF_FFF8,
            Self::Net => 0xEFFF_FFF9,
            Self::Time => 0xEFFF_FFFA,
            Self::Cgroup => 0xEFFF_FFFB,
            Self::Pid => 0xEFFF_FFFC,
            Self::User => 0xEFFF_FFFD,
            Self::Uts => 0xEFFF_FFFE,
            Self::Ipc => 0xEFFF_FFFF,
        }
    }
}

/// Identifies a namespace while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespaceKey {
    /// Of which kind.
    pub kind: NamespaceKind,
    /// Inode in `nsfs`.
    pub inode: u64,
}

/// A way in which a namespace is kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// A process is in it.
    #[default]
    Process,
    /// A thread is in it whose process is elsewhere.
    Thread,
    /// Mounted on a file.
    BindMount,
    /// An open descriptor of `nsfs`.
    Descriptor,
    /// An open socket that was made in it.
    Socket,
    /// A namespace below it, or one that it owns.
    Namespace,
}

impl HolderKind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::BindMount => "bind mount",
            Self::Descriptor => "open descriptor",
            Self::Socket => "open socket",
            Self::Namespace => "namespace",
        }
    }
}

/// What keeps a namespace alive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Holder {
    /// In which way.
    pub by: HolderKind,
    /// Process on the host, for a bind mount one that sees it; `None` for a namespace.
    pub pid: Option<u32>,
    /// Thread id, `fd 7`, the path of the mount (escaped for terminals), or `user:[4026532201]`.
    pub detail: String,
}

/// A line of `uid_map` or `gid_map`: ids inside, what they are on the host, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id in the agent's user namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Namespace {
    /// The one the host booted with; `None` when that cannot be told.
    pub host: Option<bool>,
    /// Inode of the one it is nested in; only of pid and user namespaces, `None` for the outermost, the one of the agent
    /// (the kernel tells nothing beyond), and where it cannot be asked. Source: `NS_GET_PARENT`.
    pub parent: Option<u64>,
    /// Inode of the user namespace whose capabilities count in it; `None` where it cannot be asked. Source: `NS_GET_USERNS`.
    pub owner: Option<u64>,
    /// Uid of who made it, on the host; only of user namespaces. Source: `NS_GET_OWNER_UID`.
    pub creator_uid: Option<u32>,
    /// Processes in it, as far as they may be seen.
    pub pids: u32,
    /// The oldest of them; `None` when none is in it.
    pub pid: Option<u32>,
    /// Pids of the oldest of them, at most sixteen.
    pub members: Vec<u32>,
    /// Ids of the containers with a process in it. Derived.
    pub containers: Vec<String>,
    /// Its name of `ip netns`; `None` when it has none. Source: a mount below `/run/netns`. Derived.
    pub name: Option<String>,
    /// What keeps it alive besides its processes, each way at most eight times.
    pub held_by: Vec<Holder>,
    /// Host name in it; only of uts namespaces, `None` where it cannot be entered (CAP_SYS_ADMIN).
    pub hostname: Option<String>,
    /// Only of user namespaces; empty while none is set. Source: `/proc/PID/uid_map`.
    pub uid_map: Vec<IdRange>,
    /// As `uid_map`, of groups.
    pub gid_map: Vec<IdRange>,
    /// What its monotonic clock is ahead, nanoseconds; only of time namespaces. Source: `/proc/PID/timens_offsets`.
    pub monotonic_offset_nanos: Option<i64>,
    /// As `monotonic_offset_nanos`, of the boot clock.
    pub boottime_offset_nanos: Option<i64>,
    /// Where the hierarchy begins for its processes, as the host sees it; only of cgroup namespaces. Source: the root of the
    /// cgroup mounts its processes see.
    pub cgroup_root: Option<String>,
}

impl Namespace {
    /// Which uid on the host root inside is; `None` when root is not mapped or it is no user namespace.
    pub fn root_uid(&self) -> Option<u32> {
        self.uid_map.iter().find(|range| range.inside == 0 && range.count > 0).map(|range| range.outside)
    }
}

/// Identifies a cell of the isolation matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IsolationKey {
    /// Id of the container; `None` for processes that are no container's.
    pub container: Option<String>,
    /// Pid of the oldest of a group of the host's processes that left some of the host's namespaces together; `None` for a
    /// container.
    pub group: Option<u32>,
    /// Of which kind of namespace.
    pub kind: NamespaceKind,
}

/// How far apart something is from the rest of the host in one kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// In one of its own.
    #[default]
    Own,
    /// In the host's.
    Host,
    /// In one with others, but not the host.
    Shared,
}

impl Relation {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Host => "host",
            Self::Shared => "shared",
        }
    }
}

/// A cell of the isolation matrix.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Isolation {
    /// Inode of the namespace its init (of a group, the oldest process) is in.
    pub inode: u64,
    /// How that is related to others.
    pub relation: Relation,
    /// Ids of the other containers in it; empty unless shared.
    pub with: Vec<String>,
    /// Pid of its init, or of the oldest process.
    pub pid: u32,
    /// Of a group: the systemd unit, else the command name; `None` for a container.
    pub label: Option<String>,
    /// Of a group: how many processes.
    pub processes: Option<u32>,
}
