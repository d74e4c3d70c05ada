//! States in words that every view uses alike: text, a shape and a tone, so that colour is never the only sign.

use glasshull_shared::domain::container::{Container, ContainerState, Health, Port};
use glasshull_shared::domain::engine::EngineState;
use glasshull_shared::domain::network::{Link, OperState};
use glasshull_shared::domain::process::ProcessState;
use glasshull_shared::domain::source::SourceState;

/// A state as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// One character that differs between states.
    pub shape: &'static str,
    /// The state.
    pub text: String,
    /// `data-tone`: `fine`, `attention`, `trouble`, `special` or `quiet`.
    pub tone: &'static str,
}

impl Word {
    fn new(shape: &'static str, text: impl Into<String>, tone: &'static str) -> Self {
        Self { shape, text: text.into(), tone }
    }

    /// Shape and text in one.
    pub fn line(&self) -> String {
        format!("{} {}", self.shape, self.text)
    }
}

/// State of a container with its exit code and the OOM killer's part in it.
pub fn container_state(row: &Container) -> Word {
    let name = row.state.name();
    match row.state {
        ContainerState::Running => Word::new("●", name, "fine"),
        ContainerState::Paused => Word::new("‖", name, "attention"),
        ContainerState::Restarting => Word::new("↻", name, "attention"),
        ContainerState::Removing => Word::new("◌", name, "quiet"),
        ContainerState::Created => Word::new("○", name, "quiet"),
        ContainerState::Unknown => Word::new("?", name, "quiet"),
        ContainerState::Exited | ContainerState::Dead => {
            let code = row.exit_code.map(|c| format!(" {c}")).unwrap_or_default();
            let oom = row.oom_killed == Some(true);
            let bad = oom || row.state == ContainerState::Dead || row.exit_code.is_some_and(|c| c != 0);
            let text = format!("{name}{code}{}", if oom { " OOM" } else { "" });
            Word::new(if bad { "✕" } else { "■" }, text, if bad { "trouble" } else { "quiet" })
        }
    }
}

/// What an exit code says, for hovers; `None` when it says nothing more.
pub fn exit_meaning(code: i32) -> Option<&'static str> {
    Some(match code {
        0 => "ended by itself, without error",
        125 => "the engine could not start it",
        126 => "its command could not be run",
        127 => "its command was not found",
        129 => "ended by SIGHUP",
        130 => "ended by SIGINT",
        134 => "ended by SIGABRT",
        137 => "ended by SIGKILL",
        139 => "ended by SIGSEGV",
        143 => "ended by SIGTERM",
        _ => return None,
    })
}

/// Whether packets pass over a link. `unknown` is usual for links without a carrier to lose (lo, tun): up counts there.
pub fn link_state(row: &Link) -> Word {
    match row.state {
        OperState::Up => Word::new("●", "up", "fine"),
        OperState::Unknown if row.up => Word::new("●", "up", "fine"),
        OperState::Unknown | OperState::Down if !row.up => Word::new("○", "down", "quiet"),
        OperState::Unknown | OperState::Down => Word::new("✕", "no carrier", "attention"),
        OperState::LowerLayerDown => Word::new("✕", "lower down", "attention"),
        OperState::Dormant => Word::new("◌", "dormant", "attention"),
        OperState::Testing => Word::new("?", "testing", "attention"),
        OperState::NotPresent => Word::new("✕", "not there", "trouble"),
    }
}

/// Outcome of a health check; `None` without one.
pub fn health(health: Option<Health>) -> Option<Word> {
    Some(match health? {
        Health::Healthy => Word::new("✓", "healthy", "fine"),
        Health::Starting => Word::new("…", "starting", "quiet"),
        Health::Unhealthy => Word::new("✕", "unhealthy", "trouble"),
    })
}

/// `8080→80`, `127.0.0.1:8080→80/udp`, or `80` where it is only exposed.
pub fn port(port: &Port) -> String {
    let inside = match port.protocol.as_str() {
        "tcp" | "" => port.container_port.to_string(),
        protocol => format!("{}/{protocol}", port.container_port),
    };
    let everywhere = |a: &str| matches!(a, "" | "0.0.0.0" | "::");
    match (port.host_address.as_deref().filter(|a| !everywhere(a)), port.host_port) {
        (Some(address), Some(host)) => format!("{address}:{host}→{inside}"),
        (None, Some(host)) => format!("{host}→{inside}"),
        (_, None) => inside,
    }
}

/// Tone of a process state; its letter is the shape.
pub fn process_tone(state: ProcessState) -> &'static str {
    match state {
        ProcessState::R => "fine",
        ProcessState::D => "trouble",
        ProcessState::Z | ProcessState::X => "special",
        ProcessState::T | ProcessState::Traced => "attention",
        ProcessState::S | ProcessState::I | ProcessState::P => "quiet",
    }
}

/// The letter of a process state as text.
pub fn letter(state: ProcessState) -> &'static str {
    match state {
        ProcessState::R => "R",
        ProcessState::S => "S",
        ProcessState::D => "D",
        ProcessState::Z => "Z",
        ProcessState::T => "T",
        ProcessState::Traced => "t",
        ProcessState::I => "I",
        ProcessState::X => "X",
        ProcessState::P => "P",
    }
}

/// How we stand with an engine.
pub fn engine_state(state: EngineState) -> Word {
    match state {
        EngineState::Connected => Word::new("●", "connected", "fine"),
        EngineState::Connecting => Word::new("◌", "connecting", "quiet"),
        EngineState::Hanging => Word::new("‖", "hanging", "trouble"),
        EngineState::Failed => Word::new("✕", "failed", "trouble"),
    }
}

/// How well a source works.
pub fn source_state(state: SourceState) -> Word {
    match state {
        SourceState::Ok => Word::new("●", "ok", "fine"),
        SourceState::Off => Word::new("○", "not needed now", "quiet"),
        SourceState::Limited => Word::new("◐", "limited", "attention"),
        SourceState::Stale => Word::new("‖", "stale", "trouble"),
        SourceState::Missing => Word::new("✕", "missing", "trouble"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_states_share_a_shape_and_a_tone() {
        let states = [
            ContainerState::Created,
            ContainerState::Running,
            ContainerState::Paused,
            ContainerState::Restarting,
            ContainerState::Removing,
            ContainerState::Exited,
            ContainerState::Unknown,
        ];
        let shapes: std::collections::BTreeSet<_> = states
            .iter()
            .map(|s| container_state(&Container { state: *s, ..Container::default() }))
            .map(|w| w.shape)
            .collect();
        assert_eq!(shapes.len(), states.len());
    }

    #[test]
    fn letters_are_those_of_the_kernel() {
        for state in ProcessState::ALL {
            assert_eq!(letter(state), state.letter().to_string());
        }
    }

    #[test]
    fn an_oom_kill_is_said() {
        let row = Container {
            state: ContainerState::Exited,
            exit_code: Some(137),
            oom_killed: Some(true),
            ..Container::default()
        };
        assert_eq!(container_state(&row).line(), "✕ exited 137 OOM");
    }
}
