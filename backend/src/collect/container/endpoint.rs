//! Where engines listen: the places Docker and Podman use, `/proc/net/unix`, and the command line of a running dockerd.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use glasshull_shared::domain::engine::EngineKey;

use crate::sys::root::Root;

/// One engine's socket.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// As it was given or first found.
    pub(super) key: EngineKey,
    /// The socket; `Err` says why the endpoint cannot be used.
    pub(super) path: Result<PathBuf, String>,
    /// Named by `--engine`, not found.
    pub(super) given: bool,
}

impl Endpoint {
    /// From `--engine`: `unix:///path` or an absolute path.
    pub(super) fn given(text: &str) -> Self {
        let text = text.trim();
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            return Self { given: true, ..Self::at(Path::new(path)) };
        }
        let why = "only unix sockets are supported: give unix:///path/of/the.sock";
        Self { key: EngineKey { endpoint: text.to_owned() }, path: Err(why.to_owned()), given: true }
    }

    fn at(path: &Path) -> Self {
        let endpoint = format!("unix://{}", path.display());
        Self { key: EngineKey { endpoint }, path: Ok(path.to_owned()), given: false }
    }

    /// Whether both lead to the same socket now (`/var/run` is mostly `/run`).
    pub(super) fn same_socket(&self, other: &Self) -> bool {
        let (Ok(a), Ok(b)) = (&self.path, &other.path) else { return false };
        a == b
            || fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
            || fs::metadata(a)
                .ok()
                .is_some_and(|a| fs::metadata(b).is_ok_and(|b| (a.dev(), a.ino()) == (b.dev(), b.ino())))
    }
}

/// Looks for sockets; remembers what it saw, so that looking again costs a few system calls.
#[derive(Debug)]
pub(super) struct Finder {
    root: Root,
    listening: BTreeSet<PathBuf>,
    of_daemons: Vec<PathBuf>,
}

impl Finder {
    pub(super) fn new(root: Root) -> Self {
        Self { root, listening: BTreeSet::new(), of_daemons: Vec::new() }
    }

    /// All sockets of engines that exist now, each once.
    pub(super) fn look(&mut self) -> Vec<Endpoint> {
        let listening = listening(&self.root);
        if listening != self.listening {
            // Only then can there be a new daemon: /proc is walked when something new listens, not each time.
            self.of_daemons = sockets_of_daemons(&self.root);
            self.listening = listening;
        }
        let usual = usual_places(&self.root);
        let named = self.listening.iter().filter(|p| is_engine_socket(p)).map(|p| self.root.host_path(p));
        let all = usual.into_iter().chain(named).chain(self.of_daemons.iter().cloned());
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for path in all.filter(|path| is_socket(path)) {
            let endpoint = Endpoint::at(&path);
            if !endpoints.iter().any(|other| other.same_socket(&endpoint)) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }
}

fn usual_places(root: &Root) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]
        .iter()
        .map(|path| root.host_path(path))
        .collect();
    let users = fs::read_dir(root.host_path("/run/user")).into_iter().flatten().flatten();
    for user in users {
        places.push(user.path().join("docker.sock"));
        places.push(user.path().join("podman/podman.sock"));
    }
    places
}

fn is_socket(path: &Path) -> bool {
    // Not permitted to look (a user's own /run/user) counts as absent: there is nothing we could do with it.
    fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

/// Paths of listening stream sockets. Source: `/proc/net/unix`, flag `__SO_ACCEPTCON`.
fn listening(root: &Root) -> BTreeSet<PathBuf> {
    let text = fs::read(root.proc_path("net/unix")).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (flags, kind, path) = (fields.nth(3)?, fields.next()?, fields.nth(2)?);
            (flags == "00010000" && kind == "0001" && path.starts_with('/')).then(|| PathBuf::from(path))
        })
        .collect()
}

/// `…docker.sock` and `…podman.sock`, but not the sockets dockerd keeps for itself in its exec root.
fn is_engine_socket(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with("docker.sock") || name.ends_with("podman.sock"))
}

/// `-H unix://…` of running dockerds.
fn sockets_of_daemons(root: &Root) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(&root.proc).into_iter().flatten().flatten() {
        let is_pid = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_pid && fs::read(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with(b"dockerd")) {
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.extend(hosts_of(&cmdline).into_iter().map(|path| root.host_path(path)));
        }
    }
    found
}

/// Unix sockets among the `-H`/`--host` arguments of a command line with NUL bytes between arguments.
fn hosts_of(cmdline: &[u8]) -> Vec<PathBuf> {
    let arguments: Vec<_> = cmdline.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
    let mut hosts = Vec::new();
    for (i, argument) in arguments.iter().enumerate() {
        let value = match argument.as_ref() {
            "-H" | "--host" => arguments.get(i + 1).map(AsRef::as_ref),
            other => other.strip_prefix("--host=").or_else(|| other.strip_prefix("-H=")),
        };
        if let Some(path) = value.and_then(|v| v.strip_prefix("unix://")).filter(|p| p.starts_with('/')) {
            hosts.push(PathBuf::from(path));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn one_socket_under_two_names_is_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("run/user/1000/podman")).unwrap();
        fs::create_dir_all(dir.path().join("var")).unwrap();
        symlink(dir.path().join("run"), dir.path().join("var/run")).unwrap();
        let _docker = UnixListener::bind(dir.path().join("run/docker.sock")).unwrap();
        let _podman = UnixListener::bind(dir.path().join("run/user/1000/podman/podman.sock")).unwrap();
        fs::write(dir.path().join("run/user/1000/docker.sock"), "no socket").unwrap();
        let mut finder = Finder::new(Root::at(dir.path()));
        let found: Vec<_> = finder.look().into_iter().map(|e| e.key.endpoint).collect();
        let base = dir.path().display();
        assert_eq!(
            found,
            [
                format!("unix://{base}/run/docker.sock"),
                format!("unix://{base}/run/user/1000/podman/podman.sock")
            ]
        );
    }

    #[test]
    fn a_daemon_on_an_unusual_socket_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/net")).unwrap();
        fs::create_dir_all(dir.path().join("proc/77")).unwrap();
        let _engine = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let _listed = UnixListener::bind(dir.path().join("my-docker.sock")).unwrap();
        fs::write(dir.path().join("proc/77/comm"), "dockerd\n").unwrap();
        fs::write(dir.path().join("proc/77/cmdline"), "dockerd\0-H\0unix:///engine.sock\0-H\0tcp://x\0")
            .unwrap();
        let unix = "Num RefCount Protocol Flags Type St Inode Path\n\
             0: 00000002 00000000 00010000 0001 01 4711 /my-docker.sock\n\
             0: 00000003 00000000 00000000 0001 03 4712 /gone-docker.sock\n garbage";
        fs::write(dir.path().join("proc/net/unix"), unix).unwrap();
        let found = Finder::new(Root::at(dir.path())).look();
        let names: Vec<_> = found.iter().map(|e| e.path.clone().unwrap()).collect();
        assert_eq!(names, [dir.path().join("my-docker.sock"), dir.path().join("engine.sock")]);
    }

    #[test]
    fn given_endpoints_are_taken_as_they_are() {
        assert_eq!(Endpoint::given("/run/x.sock").key.endpoint, "unix:///run/x.sock");
        assert_eq!(Endpoint::given("unix:///run/x.sock").path, Ok(PathBuf::from("/run/x.sock")));
        assert!(Endpoint::given("tcp://127.0.0.1:2375").path.is_err());
    }

    #[test]
    fn hosts_of_command_lines() {
        assert_eq!(
            hosts_of(b"dockerd\0--host=unix:///a\0-H\0unix:///b\0-H\0fd://\0"),
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
        assert!(hosts_of(b"dockerd\0-H").is_empty());
    }
}
