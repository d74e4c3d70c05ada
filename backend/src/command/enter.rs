//! `glasshull enter CONTAINER -- PROGRAM ARGS…`: a host program in a container's network, with its names. From the engines and
//! `/proc` to `sys::stage`; then the program takes our place.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::LinkNameSpaceType;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::tell;
use super::who::{find_container, no_process};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect::process::is_still;
use crate::config::{Common, Enter};
use crate::model::names::nsswitch;
use crate::sys::procfile::{open_inside, reread};
use crate::sys::root::Root;
use crate::sys::stage::{self, Cover, Door, Failed};

/// Between the two samples that tell of containers; only the second counts.
const SAMPLES: Duration = Duration::from_millis(100);
/// Longest file taken from a container.
const FILE_BYTES: usize = 64 << 10;
/// We failed, not the program; as `docker run` and `chroot` have it.
const OURS: u8 = 125;
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Sockets of daemons that answer for names in the C library's stead, with those of the host.
const ANSWERERS: [&str; 2] = ["/run/nscd/socket", "/var/run/nscd/socket"];

/// Where to go.
struct Place {
    key: ProcessKey,
    name: String,
}

/// What is needed to enter, when nothing of the runtime is left.
pub(crate) struct Ready {
    place: Place,
    args: Enter,
    /// As it was before looking around raised it.
    open_files: Rlimit,
}

/// Finds the container.
///
/// # Errors
/// The exit code, when that is not known or does not run; why is told.
pub(crate) async fn find(common: Common, args: Enter) -> Result<Ready, ExitCode> {
    let open_files = getrlimit(Resource::Nofile);
    match look(common, &args.subject).await {
        Ok(place) => Ok(Ready { place, args, open_files }),
        Err(error) => Err(complain(&error)),
    }
}

async fn look(common: Common, subject: &str) -> Result<Place> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [Topic::Container, Topic::Process, Topic::Source].into_iter().collect();
    let sample = sample_twice(&mut live, &wake, demand, SAMPLES).await;
    place(&sample.snapshot, subject)
}

fn complain(error: &anyhow::Error) -> ExitCode {
    tell(&format!("{error:#}"));
    ExitCode::from(OURS)
}

impl Ready {
    /// Enters and runs; returns only when that failed, or with `--pid` when the program has ended. No other thread may run.
    pub(crate) fn run(self) -> ExitCode {
        if let Err(error) = enter(&self.place, &self.args) {
            return complain(&error);
        }
        let _ = setrlimit(Resource::Nofile, self.open_files); // lowering one's own is always allowed
        let Some((program, words)) = self.args.program.split_first() else { return ExitCode::from(OURS) };
        if self.args.pid { child(program, words) } else { replace(program, words) }
    }
}

fn place(snapshot: &Snapshot, subject: &str) -> Result<Place> {
    let process = |pid: u32| snapshot.process.keys().find(|key| key.pid == pid).copied();
    let found = find_container(snapshot, subject);
    if let (Err(_), Ok(pid)) = (&found, subject.parse()) {
        let Some(key) = process(pid) else {
            return Err(no_process(snapshot, pid).context("no container of that name"));
        };
        return Ok(Place { key, name: format!("process {pid}") });
    }
    let (_, row) = found?;
    let Some(key) = row.init_pid.and_then(process) else {
        bail!("{} does not run: it has no network to enter; docker start it first", row.name);
    };
    Ok(Place { key, name: row.name.clone() })
}

/// Opens everything while the process is known to be the one that is meant, then joins and lays the files.
fn enter(place: &Place, args: &Enter) -> Result<()> {
    let root = Root::host();
    let wanted = [
        (args.uts, "uts", LinkNameSpaceType::HostNameAndNISDomainName),
        (args.ipc, "ipc", LinkNameSpaceType::InterProcessCommunication),
        (args.pid, "pid", LinkNameSpaceType::ProcessID),
        (true, "net", LinkNameSpaceType::Network),
        (args.mount, "mnt", LinkNameSpaceType::Mount),
    ];
    let refused = |failed| refused(failed, &place.name);
    let wanted = wanted.into_iter().filter(|(on, ..)| *on);
    let doors = wanted.map(|(_, name, kind)| Door::open(&root.proc, place.key.pid, name, kind));
    let doors = doors.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let covers = if args.mount { None } else { Some(covers(&root, place)?) };
    if !is_still(&root, place.key) {
        bail!("{} ended meanwhile", place.name);
    }
    let here = std::env::current_dir().ok();
    // Files first: joining may take the right to mount along.
    if let Some(covers) = &covers {
        stage::lay(covers).map_err(refused)?;
    }
    let of_hosts_network = network(&root.proc.join("thread-self"));
    stage::join(&doors).map_err(refused)?;
    // Only now is the network its own; one on the host's network sees the host's links anyway.
    if covers.is_some()
        && of_hosts_network != network(&root.proc.join("thread-self"))
        && let Err(Failed { what, why }) = stage::renew_sys()
    {
        tell(&format!("/sys tells of the host's links, not of those of {}: {what}: {why}", place.name));
    }
    if args.mount && here.is_none_or(|folder| std::env::set_current_dir(folder).is_err()) {
        std::env::set_current_dir("/").context("entering / in the container")?;
    }
    Ok(())
}

/// Inode of a process's network namespace.
fn network(process: &Path) -> Option<u64> {
    fs::metadata(process.join("ns/net")).ok().map(|net| net.ino())
}

/// The container's files over those of the host; what it does not have, its own programs do not find either.
fn covers(root: &Root, place: &Place) -> Result<Vec<Cover>> {
    let inside = root.proc_path(format!("{}/root", place.key.pid));
    let read = |file: &str| -> Result<Option<Vec<u8>>> {
        let mut content = Vec::new();
        match open_inside(&inside, file).and_then(|fd| reread(fd, &mut content, FILE_BYTES)) {
            Ok(_) => Ok(Some(content)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL) => Ok(None),
            Err(error) => {
                let what = format!("reading {}", inside.join(file).display());
                Err(refused(Failed { what, why: error.into() }, &place.name))
            }
        }
    };
    let mut covers = Vec::new();
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        let content = read(file.trim_start_matches('/'))?.unwrap_or_default();
        let over = resolved(Path::new(file)).with_context(|| {
            format!("the host has no {file} that the container's could be laid over; an empty one would do")
        })?;
        covers.push(Cover { over, content });
    }
    // Without one on the host its C library goes by files and dns as well.
    if let Some(over) = resolved(Path::new("/etc/nsswitch.conf")) {
        let host = fs::read_to_string(&over).unwrap_or_default();
        let order = read("etc/nsswitch.conf")?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        covers.push(Cover { over, content: nsswitch(&host, order.as_deref()).into_bytes() });
    }
    for socket in ANSWERERS {
        let found = resolved(Path::new(socket)).filter(|over| covers.iter().all(|cover| cover.over != *over));
        covers.extend(found.map(|over| Cover { over, content: Vec::new() }));
    }
    Ok(covers)
}

/// The file behind links, when there is one.
fn resolved(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// What was refused, with the capability that would allow it.
fn refused(failed: Failed, name: &str) -> anyhow::Error {
    let lacks = match failed.why.raw_os_error() {
        Some(libc::EACCES) => {
            "; it needs CAP_SYS_PTRACE and its user's rights over that process: run it as root"
        }
        Some(libc::EPERM) => "; it needs CAP_SYS_ADMIN: run it as root",
        Some(libc::ENOENT) => "; has it ended?",
        Some(_) | None => "",
    };
    anyhow::anyhow!("{name} cannot be entered: {}: {}{lacks}", failed.what, failed.why)
}

/// The program takes our place: what the shell sees is its own end.
fn replace(program: &OsString, words: &[OsString]) -> ExitCode {
    let error = std::process::Command::new(program).args(words).exec();
    not_run(program, &error)
}

fn not_run(program: &OsString, error: &io::Error) -> ExitCode {
    tell(&format!("{}: {error}", program.to_string_lossy()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN })
}

/// Only a child is in the pid namespace that was joined. No thread can be made any more, so one runtime without any waits.
fn child(program: &OsString, words: &[OsString]) -> ExitCode {
    let waited = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            let mut child = match tokio::process::Command::new(program).args(words).spawn() {
                Ok(child) => child,
                Err(error) => return Ok(not_run(program, &error)),
            };
            let pid =
                child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
            // The terminal sends these two to the child as well: they must not end us before it.
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut quit = signal(SignalKind::quit())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hang_up = signal(SignalKind::hangup())?;
            loop {
                let passed = tokio::select! {
                    ended = child.wait() => return ended.map(code),
                    _ = interrupt.recv() => continue,
                    _ = quit.recv() => continue,
                    _ = terminate.recv() => rustix::process::Signal::TERM,
                    _ = hang_up.recv() => rustix::process::Signal::HUP,
                };
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, passed); // it may have ended
                }
            }
        })
    });
    match waited {
        Ok(Ok(code)) => code,
        Ok(Err(error)) | Err(error) => {
            tell(&format!("waiting for {}: {error}", program.to_string_lossy()));
            ExitCode::from(OURS)
        }
    }
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OURS))
}
