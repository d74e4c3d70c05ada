//! What processes wait for, as the kernel's delay accounting tells it: made by `collect::process::delay`, shown beside I/O.

use serde::{Deserialize, Serialize};

/// How long all threads of a process waited, by what for; threads that ended count too. A thread that began before delay
/// accounting was switched on counts nothing but its wait for a CPU. There are rows only while that is on (`kernel.task_delayacct`) and somebody
/// looks. Source: `TASKSTATS` over generic netlink, asked for the thread group.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessDelay {
    /// Nanoseconds since start, able to run, without a CPU. Source: `cpu_delay_total`.
    pub cpu_wait_nanos: u64,
    /// Nanoseconds since start, for block I/O that it asked for itself. Source: `blkio_delay_total`.
    pub block_wait_nanos: u64,
    /// Nanoseconds since start, for pages to come back from swap. Source: `swapin_delay_total`.
    pub swap_wait_nanos: u64,
    /// Nanoseconds since start, freeing memory itself because there was none left. Source: `freepages_delay_total`.
    pub reclaim_wait_nanos: u64,
    /// Nanoseconds since start, for pages of files that had been thrown out a moment before; 0 before Linux 4.20. Source:
    /// `thrashing_delay_total`.
    pub thrashing_wait_nanos: u64,
    /// Share of the interval, added up over its threads; `None` on the first sample. Derived.
    pub cpu_wait_ratio: Option<f32>,
    /// Derived; as above.
    pub block_wait_ratio: Option<f32>,
    /// Derived; as above.
    pub swap_wait_ratio: Option<f32>,
    /// Derived; as above.
    pub reclaim_wait_ratio: Option<f32>,
    /// Derived; as above.
    pub thrashing_wait_ratio: Option<f32>,
}
