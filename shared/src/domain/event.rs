//! What happened: marks on the timeline. The newest few hundred are kept.

use serde::{Deserialize, Serialize};

/// Key of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// Counts from 1 since the agent started.
    pub sequence: u64,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A container began to run.
    ContainerStarted,
    /// A container ended.
    ContainerDied,
    /// A container was frozen.
    ContainerPaused,
    /// A container was thawed.
    ContainerUnpaused,
    /// A container was removed.
    ContainerRemoved,
    /// The kernel killed for memory in a container.
    OomKill,
    /// A health check changed its mind.
    HealthChanged,
    /// An engine answers (again).
    EngineUp,
    /// An engine stopped answering.
    EngineDown,
    /// A person had a container's link taken down through us.
    LinkDown,
    /// A person had a container's link taken up again through us.
    LinkUp,
    /// A rule was met.
    FindingRaised,
    /// It is no longer.
    FindingCleared,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since the epoch, by the agent's clock.
    pub at: u64,
    /// What kind.
    pub kind: EventKind,
    /// Container concerned; `None` for events of engines.
    pub container: Option<String>,
    /// One line for people, without the time: "web started", "worker exited with code 3".
    pub text: String,
}
