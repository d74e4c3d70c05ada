//! What the agent itself costs, from its own CPU clock and `/proc/self/statm`.

use glasshull_shared::domain::agent::AgentStat;

use crate::sys::clock;

/// Reads CPU time and resident memory; the rest of the row is the caller's to fill.
pub(crate) fn read() -> AgentStat {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    AgentStat {
        cpu_nanos: clock::own_cpu(),
        rss_bytes: pages * rustix::param::page_size() as u64,
        ..AgentStat::default()
    }
}
