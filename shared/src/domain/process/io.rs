//! What processes read and write, as `iotop` and `pidstat -d` tell it. Read for
//! every process at every tick, unlike the two totals in [`super::ProcessStat`], which wait some ticks where a process is quiet.

use serde::{Deserialize, Serialize};

/// Class of I/O priority, as `ionice` names it. Source: `ioprio_get(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoClass {
    /// Never set: the kernel goes by the nice value, as best effort.
    #[default]
    None,
    /// Served before all others.
    RealTime,
    /// Shares what is left by level.
    BestEffort,
    /// Served when nobody else asks.
    Idle,
}

/// I/O priority of a process's main thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IoPriority {
    /// Its class.
    pub class: IoClass,
    /// 0 (first) to 7 (last); without meaning in the classes none and idle.
    pub level: u8,
}

impl IoPriority {
    /// As `iotop` writes it: `be/4`.
    pub fn text(self) -> String {
        match self.class {
            IoClass::None => "none".to_owned(),
            IoClass::RealTime => format!("rt/{}", self.level),
            IoClass::BestEffort => format!("be/{}", self.level),
            IoClass::Idle => "idle".to_owned(),
        }
    }
}

/// What a process asked of files and how long it waited for block devices. Collected only while somebody looks at I/O.
///
/// The kernel adds the counts of `/proc/PID/io` of a child to its parent when that waits for it: a shell that runs `dd` shows a
/// leap when `dd` ends.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessIo {
    /// Bytes fetched from block devices since start; `None` when not permitted. Source: `/proc/PID/io` `read_bytes`.
    pub read_bytes: Option<u64>,
    /// Bytes sent towards block devices since start, counted when a page gets dirty; `None` when not permitted. Source:
    /// `write_bytes`.
    pub write_bytes: Option<u64>,
    /// Bytes that `read` and its like returned since start, from caches, pipes and sockets too; `None` when not permitted.
    /// Source: `rchar`.
    pub rchar_bytes: Option<u64>,
    /// Bytes that `write` and its like took since start; `None` when not permitted. Source: `wchar`.
    pub wchar_bytes: Option<u64>,
    /// System calls that read, since start; `None` when not permitted. Source: `syscr`.
    pub read_syscalls: Option<u64>,
    /// System calls that write, since start; `None` when not permitted. Source: `syscw`.
    pub write_syscalls: Option<u64>,
    /// Bytes counted as written whose pages were thrown away before they reached a device; `None` when not permitted.
    /// Source: `cancelled_write_bytes`.
    pub cancelled_write_bytes: Option<u64>,
    /// Time its main thread and those that ended spent waiting for block I/O since start, nanoseconds, in steps of a clock
    /// tick; `None` while delay accounting is off. Source: `/proc/PID/stat` field 42, `kernel.task_delayacct`.
    pub block_wait_nanos: Option<u64>,
    /// I/O priority; `None` when the kernel refuses to tell.
    pub priority: Option<IoPriority>,
    /// Derived; `None` on the first sample or when not permitted.
    pub read_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub write_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub rchar_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub wchar_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub read_syscalls_per_sec: Option<f32>,
    /// Derived; as above.
    pub write_syscalls_per_sec: Option<f32>,
    /// Share of the interval spent waiting for block I/O; `None` on the first sample or while delay accounting is off.
    /// Derived.
    pub block_wait_ratio: Option<f32>,
}
