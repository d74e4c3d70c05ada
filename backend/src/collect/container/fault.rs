//! What is wrong with an engine, in words that say what to do.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use glasshull_shared::domain::engine::EngineState;

/// Why an engine cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// [`EngineState::Hanging`] or [`EngineState::Failed`].
    pub(super) state: EngineState,
    /// The cause and what to do.
    pub(super) reason: String,
}

impl Fault {
    /// Any other cause, in its own words.
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { state: EngineState::Failed, reason: reason.into() }
    }

    /// The connection was made, the answer stays away.
    pub(super) fn hanging(what: &str) -> Self {
        let reason = format!(
            "takes connections but did not answer ({what}): it is stopped, overloaded or stuck; \
             see its log, restart it if it stays so"
        );
        Self { state: EngineState::Hanging, reason }
    }

    /// A refused or failed connection.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the standard library adds kinds with every release")]
    pub(super) fn of_connect(error: &io::Error, socket: &Path) -> Self {
        let shown = socket.display();
        match error.kind() {
            ErrorKind::PermissionDenied => Self::failed(format!(
                "permission denied on {shown}: join the socket's group (mostly docker) and log in again, or run as root"
            )),
            ErrorKind::NotFound => Self::failed(format!(
                "no socket at {shown}: the engine does not run or listens elsewhere (--engine)"
            )),
            ErrorKind::ConnectionRefused if is_something_else(socket) => Self::failed(format!(
                "{shown} is no socket: give --engine the one that the engine listens on"
            )),
            ErrorKind::ConnectionRefused => {
                Self::failed(format!("nobody listens on {shown}: the engine has ended; start it"))
            }
            // A full queue of connections nobody accepts.
            ErrorKind::WouldBlock => Self::hanging("queue of connections full"),
            _ => Self::failed(format!("{shown}: {error}")),
        }
    }

    /// A failed request.
    pub(super) fn of_request(error: &bollard::errors::Error, socket: &Path) -> Self {
        if matches!(error, bollard::errors::Error::RequestTimeoutError) {
            return Self::hanging("request");
        }
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                return Self::of_connect(io, socket);
            }
            cause = inner.source();
        }
        Self::failed(format!("{error}; trying again"))
    }
}

/// The kernel refuses a connection to a file or a folder as it does one to a socket that nobody listens on.
fn is_something_else(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_says_what_to_do() {
        let of = |kind| Fault::of_connect(&io::Error::from(kind), Path::new("/run/docker.sock"));
        assert!(of(ErrorKind::PermissionDenied).reason.contains("group (mostly docker)"));
        assert!(of(ErrorKind::NotFound).reason.contains("/run/docker.sock"));
        assert!(of(ErrorKind::ConnectionRefused).reason.contains("start it"));
        let folder = std::env::temp_dir();
        let refused = std::os::unix::net::UnixStream::connect(&folder).unwrap_err();
        assert!(Fault::of_connect(&refused, &folder).reason.contains("is no socket: give --engine"));
        assert_eq!(of(ErrorKind::WouldBlock).state, EngineState::Hanging);
        assert_eq!(of(ErrorKind::BrokenPipe).state, EngineState::Failed);
    }
}
