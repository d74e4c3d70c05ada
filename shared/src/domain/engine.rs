//! Container engines we talk to: Docker and Podman sockets, found by themselves or given with `--engine`.

use serde::{Deserialize, Serialize};

/// Identifies an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EngineKey {
    /// `unix:///run/docker.sock`.
    pub endpoint: String,
}

/// How we stand with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// First answer awaited.
    #[default]
    Connecting,
    /// Answers, and its events reach us.
    Connected,
    /// Took the connection but has not answered for longer than the deadline.
    Hanging,
    /// Refused, gone or not permitted; we try again.
    Failed,
}

/// One engine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Engine {
    /// How we stand with it.
    pub state: EngineState,
    /// `docker` or `podman`, from its version answer; `None` before the first answer.
    pub product: Option<String>,
    /// Version of the engine; `None` before the first answer.
    pub version: Option<String>,
    /// API version agreed on; `None` before the first answer.
    pub api_version: Option<String>,
    /// Why it is not connected, with what to do; `None` when it is.
    pub reason: Option<String>,
    /// Last good answer before it fell silent (or the one that connected us), nanoseconds since the epoch; `None` if never.
    pub answered_at: Option<u64>,
    /// Containers it told of.
    pub containers: u32,
}
