//! Block devices: what they are and lie on ([`Device`]), and what passes them ([`DeviceStat`]), as `lsblk` and `iostat -x` tell it;
//! and who makes the host wait for one ([`IoCase`]).

mod case;

pub use case::{CaseKind, CaseLink, IoCase};
use serde::{Deserialize, Serialize};

/// Identifies a block device until it is taken away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceKey {
    /// Its number, as `254:0`. Source: fields 1 and 2 of `/proc/diskstats`.
    pub major_minor: String,
}

/// What a block device is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A whole disk, real or virtual.
    #[default]
    Disk,
    /// A part of a disk.
    Partition,
    /// Device-mapper: an LVM volume, dm-crypt, multipath.
    Dm,
    /// A software RAID.
    Md,
    /// A file that serves as a disk.
    Loop,
    /// Compressed memory.
    Zram,
}

impl DeviceKind {
    /// As it is shown and filtered by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Partition => "partition",
            Self::Dm => "dm",
            Self::Md => "md",
            Self::Loop => "loop",
            Self::Zram => "zram",
        }
    }
}

/// What a block device is. The device itself is never opened: what udev and the kernel know of it is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Device {
    /// The kernel's name, below `/dev` (`sda1`, `dm-0`).
    pub name: String,
    /// What it is made of.
    pub kind: DeviceKind,
    /// Names of those it lies on: a partition's disk, what `slaves` of `/sys` names; empty at the bottom.
    pub parents: Vec<String>,
    /// Its size. Source: `/sys/dev/block/*/size`.
    pub size_bytes: Option<u64>,
    /// What its maker calls it; `None` for virtual ones without a name.
    pub model: Option<String>,
    /// The scheduler in use (`mq-deadline`, `none`); a partition has its disk's. Source: `queue/scheduler`.
    pub scheduler: Option<String>,
    /// Whether it turns; virtual disks say what they were told. Source: `queue/rotational`.
    pub rotational: Option<bool>,
    /// Whether nothing can be written to it. Source: `ro`.
    pub read_only: Option<bool>,
    /// Name of a device-mapper device (`vg-lv`). Source: `dm/name`.
    pub dm_name: Option<String>,
    /// What made it, and its identity there (`LVM-…`, `CRYPT-LUKS2-…`). Source: `dm/uuid`.
    pub dm_uuid: Option<String>,
    /// File of a loop device, as the kernel names it. Source: `loop/backing_file`.
    pub backing_file: Option<String>,
    /// What is written on it (`ext4`, `LVM2_member`, `crypto_LUKS`), as udev found it; `None` also without udev.
    pub content: Option<String>,
    /// Label of the file system, by udev.
    pub label: Option<String>,
    /// UUID of the file system, by udev.
    pub uuid: Option<String>,
}

/// What passed a block device. Counters are those since it appeared; rates, waits and shares are of the last interval by the
/// formulae of `iostat -x`, and `None` at the first look: what was since boot is never shown as now. Source: `/proc/diskstats`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DeviceStat {
    /// Reads finished.
    pub reads: u64,
    /// Reads merged into others before they were handed over.
    pub read_merges: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Time reads took, added up.
    pub read_nanos: u64,
    /// Writes finished.
    pub writes: u64,
    /// Writes merged into others before they were handed over.
    pub write_merges: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Time writes took, added up.
    pub write_nanos: u64,
    /// Discards finished; `None` before Linux 4.18.
    pub discards: Option<u64>,
    /// Bytes discarded; `None` before Linux 4.18.
    pub discard_bytes: Option<u64>,
    /// Time discards took, added up; `None` before Linux 4.18.
    pub discard_nanos: Option<u64>,
    /// Flushes finished; `None` before Linux 5.5.
    pub flushes: Option<u64>,
    /// Time flushes took, added up; `None` before Linux 5.5.
    pub flush_nanos: Option<u64>,
    /// Requests on their way now.
    pub in_flight: u64,
    /// Time during which at least one request was on its way.
    pub busy_nanos: u64,
    /// Time of all requests on their way, added up.
    pub queue_nanos: u64,
    /// `r/s`.
    pub reads_per_sec: Option<f32>,
    /// `w/s`.
    pub writes_per_sec: Option<f32>,
    /// `d/s`.
    pub discards_per_sec: Option<f32>,
    /// `f/s`.
    pub flushes_per_sec: Option<f32>,
    /// `rkB/s`, in bytes.
    pub read_bytes_per_sec: Option<f32>,
    /// `wkB/s`, in bytes.
    pub write_bytes_per_sec: Option<f32>,
    /// `dkB/s`, in bytes.
    pub discard_bytes_per_sec: Option<f32>,
    /// `rrqm/s`.
    pub read_merges_per_sec: Option<f32>,
    /// `wrqm/s`.
    pub write_merges_per_sec: Option<f32>,
    /// `r_await`: how long a read took on average, waiting included; `None` when none finished.
    pub read_await_secs: Option<f32>,
    /// `w_await`; `None` when none finished.
    pub write_await_secs: Option<f32>,
    /// `d_await`; `None` when none finished.
    pub discard_await_secs: Option<f32>,
    /// `f_await`; `None` when none finished.
    pub flush_await_secs: Option<f32>,
    /// `rareq-sz`: bytes of a read on average; `None` when none finished.
    pub read_request_bytes: Option<f32>,
    /// `wareq-sz`; `None` when none finished.
    pub write_request_bytes: Option<f32>,
    /// `aqu-sz`: requests on their way on average.
    pub queue_length: Option<f32>,
    /// `%util` as a share: how long at least one request was on its way. A device that serves many at once (an SSD, a RAID, a
    /// disk of a cloud) may do more at 1.
    pub utilization_ratio: Option<f32>,
}
