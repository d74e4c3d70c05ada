//! Who waited uninterruptibly in the last minutes, looked at several times a second while somebody watches.

use serde::{Deserialize, Serialize};

/// Looks at a process in one second.
pub const LOOKS_PER_SEC: u8 = 5;
/// Seconds a strip reaches back.
pub const STRIP_SECS: usize = 180;
/// In a strip: the process was not seen in that second.
pub const ABSENT: u8 = u8::MAX;

/// A process that was in state D within the last [`STRIP_SECS`] seconds, also when it has ended since. Source: `/proc/PID/stat`
/// field 3.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiter {
    /// Command name.
    pub comm: String,
    /// Id of its container; `None` on the host, and when it ended before processes were read.
    pub container: Option<String>,
    /// It is not there any more.
    pub ended: bool,
    /// Whether it waited at the last look.
    pub waits: bool,
    /// Second of the first entry of the strip, since the epoch.
    pub since_secs: u64,
    /// For each second, up to now or to its end, how many of [`LOOKS_PER_SEC`] looks found it in D, or [`ABSENT`].
    pub strip: Vec<u8>,
    /// Kernel functions it was seen waiting in, with the number of looks, most first. Source: `/proc/PID/wchan`; empty when hidden.
    pub channels: Vec<(String, u32)>,
    /// The kernel's stack at the last look that found it in D, innermost first. Source: `/proc/PID/stack`; empty when not permitted.
    pub stack: Vec<String>,
}
