//! The clocks: wall time for people, monotonic time for intervals, CPU time for our own cost.

use rustix::time::{ClockId, clock_gettime};

fn nanos(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// Nanoseconds since the epoch.
pub fn now() -> u64 {
    nanos(ClockId::Realtime)
}

/// Nanoseconds since some fixed instant; never goes back.
pub fn monotonic() -> u64 {
    nanos(ClockId::Monotonic)
}

/// CPU time this process has used, nanoseconds.
pub fn own_cpu() -> u64 {
    nanos(ClockId::ProcessCPUTime)
}
