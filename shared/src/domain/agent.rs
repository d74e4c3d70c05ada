//! What Glasshull itself costs, so that nobody has to guess: read by the agent from its own `/proc/self`.

use serde::{Deserialize, Serialize};

/// The key of tables that have exactly one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Single;

/// The agent's own use of the host. One row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AgentStat {
    /// CPU time used since start, nanoseconds. Source: `CLOCK_PROCESS_CPUTIME_ID`.
    pub cpu_nanos: u64,
    /// Share of one core over the last interval; `None` on the first sample.
    pub cpu_ratio: Option<f32>,
    /// Resident memory, bytes. Source: `/proc/self/statm` field 2.
    pub rss_bytes: u64,
    /// Browsers and scripts connected now.
    pub clients: u32,
    /// Bytes sent to all clients since start.
    pub sent_bytes: u64,
    /// Bytes per second sent to all clients together; `None` on the first sample.
    pub sent_bytes_per_sec: Option<f32>,
    /// Wall time the last tick took from the first read to the whole snapshot, nanoseconds; encoding comes after.
    pub tick_nanos: u64,
}
