//! Rules about containers and engines as such.

use glasshull_shared::domain::container::ContainerState;
use glasshull_shared::domain::engine::EngineState;
use glasshull_shared::domain::finding::{Severity, Subject};
use glasshull_shared::shell::quote;
use glasshull_shared::unit;

use super::{Draft, Facts, evidence};

/// Restarts from which it is a loop.
const RESTARTS: u32 = 3;
/// Engines wait a minute at most between two starts: who runs longer has settled.
const SETTLED: u64 = 120 * 1_000_000_000;

/// Restarted several times, and not up for long.
pub(super) fn restart_loop(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = facts.snapshot.container.iter().filter_map(|(key, row)| {
        let count = row.restart_count.filter(|count| *count >= RESTARTS)?;
        let young = || row.started_at.is_some_and(|at| facts.now.saturating_sub(at) < SETTLED);
        let loops = match row.state {
            ContainerState::Restarting => true,
            ContainerState::Running => young(),
            ContainerState::Created
            | ContainerState::Paused
            | ContainerState::Removing
            | ContainerState::Exited
            | ContainerState::Dead
            | ContainerState::Unknown => false,
        };
        if !loops {
            return None;
        }
        let mut told = vec![evidence("restarts", count.to_string(), "inspect RestartCount")];
        if let Some(code) = row.exit_code {
            told.push(evidence("last exit code", code.to_string(), "inspect State.ExitCode"));
        }
        told.push(evidence("state", row.state.name(), "inspect State.Status"));
        Some(Draft::of_container(facts, key, Severity::Trouble, told))
    });
    rows.collect()
}

/// It took the connection and is silent, or it answered before and is gone. One that was never reached may be none of ours.
pub(super) fn engine_silent(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = facts.snapshot.engine.iter().filter_map(|(key, row)| {
        let word = match row.state {
            EngineState::Hanging => "takes connections, does not answer",
            EngineState::Failed if row.answered_at.is_some() => "gone",
            EngineState::Failed | EngineState::Connecting | EngineState::Connected => return None,
        };
        let mut told = vec![evidence("state", word, "engine table")];
        told.extend(row.reason.as_ref().map(|why| evidence("reason", unit::printable(why), "engine table")));
        if let Some(at) = row.answered_at {
            told.push(evidence("last answer", unit::time_of_day(at), "engine table"));
        }
        let socket = key.endpoint.strip_prefix("unix://").unwrap_or(&key.endpoint);
        let subject = Subject::Engine { endpoint: key.endpoint.clone() };
        let draft = Draft::new(subject, unit::printable(&key.endpoint), Severity::Trouble, told);
        Some(draft.blank("socket", quote(socket)))
    });
    rows.collect()
}
