//! Where the tables come from and what each source cannot see now: the basis of every "why is this empty".

use serde::{Deserialize, Serialize};

/// Identifies a source by the agent's name for it (`process`, `process_events`, `cgroup`, …).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceKey {
    /// Stable name.
    pub name: String,
}

/// How well a source works now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Nobody needs it, so it does not run.
    #[default]
    Off,
    /// Works.
    Ok,
    /// Works, but a permission or the kernel hides a part.
    Limited,
    /// The last reading failed; its tables show the one before, from `collected_at`.
    Stale,
    /// Never worked here.
    Missing,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Source {
    /// How well it works.
    pub state: SourceState,
    /// Names of the tables it fills.
    pub tables: Vec<String>,
    /// What is wrong, for people; `None` when fine.
    pub reason: Option<String>,
    /// Capability that would show the rest (`CAP_SYS_PTRACE`); `None` when none is missing.
    pub capability: Option<String>,
    /// What to do about it; `None` when fine.
    pub remedy: Option<String>,
    /// What this way of looking can miss even when it works.
    pub misses: Option<String>,
    /// Last good reading, nanoseconds since the epoch; `None` if never. Not updated while the source is fine (it would
    /// change each tick): meaningful for `Stale`.
    pub collected_at: Option<u64>,
}
