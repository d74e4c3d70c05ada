//! Processes that watch over a container and name it on their command line.

use std::fs;
use std::path::PathBuf;

use glasshull_shared::domain::container::Runtime;

use super::json::pid_file;
use crate::sys::root::Root;
use crate::sys::text::cut;

/// A shim or monitor and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    /// The container's id, or the machine's name.
    pub(super) id: String,
    pub(super) runtime: Runtime,
    /// Name given on the command line; `None` when only the id is there.
    pub(super) name: Option<String>,
    /// OCI bundle as the monitor names it.
    pub(super) bundle: Option<PathBuf>,
    /// File that holds the container's init pid.
    pid_file: Option<PathBuf>,
}

impl Monitor {
    fn new(id: &str, runtime: Runtime) -> Self {
        Self { id: cut(id.to_owned()), runtime, name: None, bundle: None, pid_file: None }
    }

    /// The init pid it wrote down; `None` when it did not, or not yet.
    pub(super) fn init_pid(&self, root: &Root, monitor: u32) -> Option<u32> {
        let file = self.pid_file.as_ref()?;
        pid_file(&root.host_path(file)).or_else(|| {
            let through = root.proc_path(format!("{monitor}/root"));
            pid_file(&through.join(file.strip_prefix("/").ok()?))
        })
    }
}

/// Whether a command name can be a monitor's: decides if its command line is worth reading.
pub(super) fn may_be(comm: &str) -> bool {
    comm.starts_with("containerd-shim")
        || comm == "conmon"
        || comm.starts_with("[lxc monitor]")
        || comm == "systemd-nspawn"
        || comm == "libvirt_lxc"
}

/// Reads a process that [`may_be`] one. Source: `/proc/PID/cmdline` and, for shims, `/proc/PID/cwd` (the bundle).
pub(super) fn read(root: &Root, pid: u32, comm: &str) -> Option<Monitor> {
    let cmdline = fs::read(root.proc_path(format!("{pid}/cmdline"))).ok()?;
    let arguments: Vec<String> = cmdline
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .filter(|argument| !argument.is_empty())
        .collect();
    // The id becomes part of paths.
    let monitor = parse(comm, &arguments)
        .filter(|m| !m.id.is_empty() && !m.id.starts_with('.') && !m.id.contains('/'))?;
    let cwd = || fs::read_link(root.proc_path(format!("{pid}/cwd"))).ok();
    let bundle = match monitor.runtime {
        Runtime::Docker | Runtime::Containerd => monitor.bundle.or_else(cwd),
        Runtime::Podman
        | Runtime::Crio
        | Runtime::Lxc
        | Runtime::Nspawn
        | Runtime::Oci
        | Runtime::Unknown => monitor.bundle,
    };
    Some(Monitor { bundle, ..monitor })
}

fn parse(comm: &str, arguments: &[String]) -> Option<Monitor> {
    if comm.starts_with("containerd-shim") {
        shim(arguments)
    } else if comm == "conmon" {
        conmon(arguments)
    } else if comm.starts_with("[lxc monitor]") {
        lxc(arguments)
    } else if comm == "libvirt_lxc" {
        Some(Monitor::new(option(arguments, &["--name"])?, Runtime::Lxc))
    } else {
        nspawn(arguments)
    }
}

/// `containerd-shim-runc-v2 -namespace N -id ID -address SOCK`; version 1 had `-workdir …/ID` instead of the id.
fn shim(arguments: &[String]) -> Option<Monitor> {
    let namespace = option(arguments, &["-namespace", "--namespace"]).unwrap_or_default();
    let by_workdir = || option(arguments, &["-workdir"])?.rsplit('/').next();
    let id = option(arguments, &["-id", "--id"]).or_else(by_workdir)?;
    let runtime = if namespace == "moby" { Runtime::Docker } else { Runtime::Containerd };
    let bundle = option(arguments, &["-bundle", "--bundle"]).map(PathBuf::from);
    Some(Monitor { bundle, ..Monitor::new(id, runtime) })
}

/// `conmon -c ID -n NAME -b BUNDLE -p PIDFILE …`, of Podman or CRI-O.
fn conmon(arguments: &[String]) -> Option<Monitor> {
    let crio = arguments.iter().any(|argument| argument.contains("/crio"));
    let id = option(arguments, &["-c", "--cid"])?;
    Some(Monitor {
        name: option(arguments, &["-n", "--name"]).filter(|_| !crio).map(|name| cut(name.to_owned())),
        bundle: option(arguments, &["-b", "--bundle"]).map(PathBuf::from),
        pid_file: option(arguments, &["-p", "--container-pidfile"]).map(PathBuf::from),
        ..Monitor::new(id, if crio { Runtime::Crio } else { Runtime::Podman })
    })
}

/// `[lxc monitor] /var/lib/lxc NAME`, one string made by setproctitle.
fn lxc(arguments: &[String]) -> Option<Monitor> {
    let title = arguments.join(" ");
    let (_, name) = title.strip_prefix("[lxc monitor] ")?.trim_end().rsplit_once(' ')?;
    Some(Monitor { name: Some(cut(name.to_owned())), ..Monitor::new(name, Runtime::Lxc) })
}

/// `systemd-nspawn --machine=NAME`, else named by its directory or image.
fn nspawn(arguments: &[String]) -> Option<Monitor> {
    let by_path = || {
        let path = option(arguments, &["--directory", "-D", "--image", "-i"])?;
        path.trim_end_matches('/').rsplit('/').next()
    };
    let name = option(arguments, &["--machine", "-M"]).or_else(by_path).filter(|name| !name.is_empty())?;
    Some(Monitor { name: Some(cut(name.to_owned())), ..Monitor::new(name, Runtime::Nspawn) })
}

/// The value of the first option that has one of these names: `-x V`, `--xx V`, `--xx=V`.
fn option<'a>(arguments: &'a [String], names: &[&str]) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(i, argument)| {
        if names.contains(&argument.as_str()) {
            return arguments.get(i + 1).map(String::as_str);
        }
        let (name, value) = argument.split_once('=')?;
        names.contains(&name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(comm: &str, line: &str) -> Option<Monitor> {
        parse(comm, &line.split('|').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines_of_monitors() {
        let shim =
            of("containerd-shim", "/usr/bin/containerd-shim-runc-v2|-namespace|moby|-id|aa|-address|/x")
                .unwrap();
        assert_eq!((shim.id.as_str(), shim.runtime), ("aa", Runtime::Docker));
        let old = of("containerd-shim", "containerd-shim|-namespace|k8s.io|-workdir|/var/lib/x/bb").unwrap();
        assert_eq!((old.id.as_str(), old.runtime), ("bb", Runtime::Containerd));
        let podman =
            of("conmon", "/usr/bin/conmon|--api-version|1|-c|cc|-u|cc|-r|/usr/bin/crun|-b|/b|-p|/p|-n|web")
                .unwrap();
        assert_eq!((podman.name.as_deref(), podman.runtime), (Some("web"), Runtime::Podman));
        assert_eq!((podman.bundle, podman.pid_file), (Some("/b".into()), Some("/p".into())));
        let crio = of("conmon", "conmon|-b|/b|-c|dd|--exit-dir|/var/run/crio/exits|-n|k8s_web").unwrap();
        assert_eq!((crio.name, crio.runtime), (None, Runtime::Crio));
        let lxc = of("[lxc monitor] /", "[lxc monitor] /var/lib/lxc web").unwrap();
        assert_eq!((lxc.id.as_str(), lxc.runtime), ("web", Runtime::Lxc));
        assert_eq!(of("systemd-nspawn", "systemd-nspawn|--quiet|--machine=web").unwrap().id, "web");
        assert_eq!(of("systemd-nspawn", "systemd-nspawn|-bD|x|-D|/var/lib/machines/deb/").unwrap().id, "deb");
        assert_eq!(of("libvirt_lxc", "/usr/libexec/libvirt_lxc|--name|web|--console|1").unwrap().id, "web");
    }

    #[test]
    fn command_lines_that_say_nothing() {
        for comm in ["containerd-shim", "conmon", "[lxc monitor] /", "systemd-nspawn", "libvirt_lxc"] {
            assert!(may_be(comm));
            assert_eq!(of(comm, ""), None);
            assert_eq!(of(comm, "-id"), None);
            assert_eq!(of(comm, "\u{fffd}|-c"), None);
        }
        assert!(!may_be("containerd") && !may_be("bash"));
    }
}
