//! Whether the one behind a socket that we found may tell what the host's containers are. Anybody can listen on a socket
//! called `docker.sock`, a container too.

use std::path::Path;

use glasshull_shared::cgroup_path;
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::time::timeout;

use super::Options;
use super::fault::Fault;
use crate::sys::root::Root;

/// Connects once and judges who listens: `None` when a person named the socket, then it is believed whoever it is.
///
/// # Errors
/// When nobody can be reached there (the errno of a connection of our own says what is wrong better than the client library
/// does), or who can is not to be asked.
pub(super) async fn of(options: &Options, socket: &Path, given: bool) -> Result<Option<bool>, Fault> {
    match timeout(options.deadline, UnixStream::connect(socket)).await {
        Ok(Ok(_)) if given => Ok(None),
        Ok(Ok(stream)) => {
            let peer = stream.peer_cred().map_err(|error| Fault::of_connect(&error, socket))?;
            judge(&options.root, socket, &peer).map(Some).map_err(Fault::failed)
        }
        Ok(Err(error)) => Err(Fault::of_connect(&error, socket)),
        Err(_) => Err(Fault::hanging("connect")),
    }
}

/// Judges the process that listens: true when what it tells is taken for granted (root's or our own engine), false when it
/// may only add containers that nobody else knows (another user's rootless engine).
///
/// # Errors
/// When it is not to be asked at all, with what to do if it is right after all.
pub(super) fn judge(root: &Root, socket: &Path, peer: &UCred) -> Result<bool, String> {
    let container = |pid: &str| {
        let cgroup = std::fs::read(root.proc_path(format!("{pid}/cgroup"))).ok()?;
        let text = String::from_utf8_lossy(&cgroup).into_owned();
        cgroup_path::deepest(&text).and_then(cgroup_path::parse).map(|found| found.id)
    };
    let theirs = peer.pid().and_then(|pid| container(&pid.to_string()));
    // Where we run in a container ourselves, an engine beside us there is as good as one on a host.
    if let Some(id) = theirs.filter(|id| container("self").as_ref() != Some(id)) {
        let id: String = id.chars().take(12).collect();
        return Err(format!(
            "not asked: who listens there runs in container {id}; to ask it all the same, name it with --engine"
        ));
    }
    let (uid, own) = (peer.uid(), rustix::process::geteuid().as_raw());
    if uid == 0 || uid == own {
        return Ok(true);
    }
    // Where systemd keeps what belongs to a user who is logged in: nobody else can put a socket there.
    if socket.starts_with(root.host_path(format!("/run/user/{uid}"))) {
        return Ok(false);
    }
    Err(format!(
        "not asked: user {uid} listens there, in a place of nobody in particular; to ask all the same, name it with --engine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{UnixListener, UnixStream};

    /// What the kernel says of ourselves, listening.
    async fn own_credentials() -> UCred {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        UnixStream::connect(&path).await.unwrap().peer_cred().unwrap()
    }

    #[tokio::test]
    async fn our_own_engine_is_believed_and_a_containers_is_not_asked() {
        let peer = own_credentials().await;
        let host = tempfile::tempdir().unwrap();
        let proc = host.path().join(format!("proc/{}", peer.pid().unwrap()));
        std::fs::create_dir_all(&proc).unwrap();
        let root = Root::at(host.path());
        let socket = Path::new("/run/docker.sock");
        std::fs::write(proc.join("cgroup"), "0::/system.slice/docker.service\n").unwrap();
        assert_eq!(judge(&root, socket, &peer), Ok(true));
        std::fs::write(proc.join("cgroup"), format!("0::/docker/{}\n", "a".repeat(64))).unwrap();
        assert!(judge(&root, socket, &peer).unwrap_err().contains("in container aaaaaaaaaaaa"));
    }
}
