//! Mounts, in each mount namespace. Source: `/proc/PID/mountinfo`; what lies beneath what, and what of the host is mounted
//! in, is joined by `model::mount`. How full its file system is stands in a table of its own under the same key, since asking
//! for it may hang: `model::mount_use`.

use serde::{Deserialize, Serialize};

/// Identifies a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MountKey {
    /// Inode of its mount namespace in `nsfs`; `None` when that is hidden (the mount's id is unique on the host all the
    /// same, while the mount lasts).
    pub mntns: Option<u64>,
    /// The kernel's id of the mount. Source: `mountinfo` field 1.
    pub mount: u32,
}

/// What a mount is to the container in whose namespace it is. Derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountOrigin {
    /// Not in a container's namespace.
    #[default]
    Host,
    /// The container's root file system.
    Root,
    /// A file system of its own or the kernel's: proc, sysfs, a tmpfs, mqueue.
    Own,
    /// Made by the runtime for it on the host: `resolv.conf`, `hosts`, `hostname`, `/dev/shm`.
    Runtime,
    /// A volume of the engine.
    Volume,
    /// A path of the host.
    HostPath,
}

impl MountOrigin {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host's own",
            Self::Root => "root",
            Self::Own => "own",
            Self::Runtime => "runtime",
            Self::Volume => "volume",
            Self::HostPath => "host path",
        }
    }
}

/// The directories of an overlay file system. Source: its super options. Long lists are cut by the kernel at a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overlay {
    /// Read-only layers, topmost first.
    pub lower: Vec<String>,
    /// The writable layer; `None` when there is none (read-only).
    pub upper: Option<String>,
    /// Its scratch directory.
    pub work: Option<String>,
}

/// What of the host is seen through a mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FromHost {
    /// Path on the host.
    pub path: String,
    /// Neither the mount nor its file system is read-only.
    pub writable: bool,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mount {
    /// Its container; `None` in the host's namespace and in others that are no container's. Derived.
    pub container: Option<String>,
    /// Process through which it was read: `findmnt -N PID` shows the same.
    pub pid: u32,
    /// Whether it is in the host's own mount namespace.
    pub host: bool,
    /// Id of the mount it is mounted on; its own or one that is not listed for the root.
    pub parent: u32,
    /// Path as the namespace sees it, escaped for terminals.
    pub mountpoint: String,
    /// Path within the file system that is mounted: `/` unless it is a bind of a part.
    pub root: String,
    /// What is mounted: a device, `overlay`, `tmpfs`… as the one who mounted it said.
    pub source: String,
    /// Type of file system.
    pub fstype: String,
    /// `major:minor` of the file system, as `st_dev` of its files.
    pub device: String,
    /// Options of this mount: `rw,nosuid`.
    pub options: String,
    /// Options of the file system as a whole; cut at 4 KiB.
    pub super_options: String,
    /// As `findmnt` prints it: `private`, `shared`, `private,slave`, `unbindable`.
    pub propagation: String,
    /// Its peer group: mounts with the same number follow one another; `None` when private.
    pub peer_group: Option<u32>,
    /// The group it follows; `None` when it is no slave.
    pub master_group: Option<u32>,
    /// Of an overlay file system; `None` for others.
    pub overlay: Option<Overlay>,
    /// Writing is impossible, by the mount's options or its file system's.
    pub read_only: bool,
    /// Nobody in the namespace can reach it: other mounts lie over it. Derived.
    pub overmounted: bool,
    /// What it is to the container. Derived.
    pub origin: MountOrigin,
    /// What of the host it shows; `None` when it shows nothing of the host's mounts, or those cannot be read. Derived.
    pub from_host: Option<FromHost>,
}

/// How full the file system of a mount is, as `df` has it. All mounts of one file system tell the same; those of the kernel's
/// own that hold no data (proc, sysfs, cgroup…) have no row. Source: `fstatvfs(2)`, each ten seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MountUse {
    /// Size; `None` when the file system counts none (a tmpfs without limit) or has told nothing yet. Source: `f_blocks`.
    pub size_bytes: Option<u64>,
    /// What is in use; `None` as `size_bytes`. Source: `f_blocks - f_bfree`.
    pub used_bytes: Option<u64>,
    /// What others than root may still write; `None` as `size_bytes`. Source: `f_bavail`.
    pub available_bytes: Option<u64>,
    /// Inodes there are; `None` where their number is not fixed (btrfs) or nothing was told yet. Source: `f_files`.
    pub inodes: Option<u64>,
    /// Inodes in use; `None` as `inodes`. Source: `f_files - f_ffree`.
    pub inodes_used: Option<u64>,
    /// How fast the used bytes grow, over the last minute of looks; negative when they shrink; `None` until two looks were
    /// answered, and while the last one was not.
    pub growth_bytes_per_sec: Option<f32>,
    /// When nothing is available any more at this pace; `None` when it does not grow.
    pub full_in_secs: Option<f32>,
    /// Instant of the look that these figures are from, nanoseconds since the epoch; `None` when none was answered.
    pub asked_at: Option<u64>,
    /// The last look hangs in the kernel: it is not asked again before that one comes back.
    pub hung: bool,
    /// Why the last look brought nothing, the figures being older then; `None` when it was answered.
    pub failure: Option<String>,
}
