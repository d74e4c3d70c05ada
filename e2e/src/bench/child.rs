//! Programs the bench starts: the agent, `top`, `docker stats`. Each ends with the value that stands for it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::meter::Reading;
use crate::lab::process::{ProcessRef, argv, pids, wait_until};
use crate::lab::{Lab, State};

/// A running program; dropping the value ends it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    process: ProcessRef,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let name = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("start {name}"))?;
        let process = ProcessRef::of(child.id()).with_context(|| format!("{name} ended at once"))?;
        Ok(Self { child, process })
    }

    /// Its pid on the host.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.terminate(Duration::from_secs(3));
        let _ = self.child.wait();
    }
}

/// A program that the kernel ends when the bench is killed and cannot end it itself. `setpriv` executes it in place, so
/// the pid is the program's.
fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
}

/// `top` as a person would leave it running to watch all processes, output thrown away.
///
/// # Errors
/// When it cannot be started.
pub(super) fn top() -> Result<Running> {
    let mut command = bound("top");
    // A user's configuration may choose more columns or threads: only the defaults compare.
    command.args(["-b", "-d", "1", "-w", "512"]).env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

/// A program by its words, output thrown away.
///
/// # Errors
/// When it cannot be started.
pub(super) fn quiet(words: &[&str]) -> Result<Running> {
    let (program, args) = words.split_first().context("no program")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        bail!("{program} is not installed");
    }
    Running::start(bound(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// `docker stats` on the lab's engine, output thrown away.
///
/// # Errors
/// When it cannot be started.
pub(super) fn docker_stats(state: &State) -> Result<Running> {
    let mut command = bound("docker");
    command
        .env("DOCKER_CONFIG", state.dir.join("client"))
        .env_remove("DOCKER_CONTEXT")
        .env_remove("DOCKER_HOST")
        .args(["--host", &state.endpoint, "stats"]);
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

/// The agent and its address.
#[derive(Debug)]
pub(super) struct Agent {
    /// Its process.
    pub(super) running: Running,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// Starts `glasshull serve` on a free port, asking the lab's engine alone.
///
/// # Errors
/// When it cannot be started or does not tell its address.
pub(super) fn agent(program: &Path, lab: &Lab) -> Result<Agent> {
    let mut command = bound(program);
    command
        .args(["serve", "--bind", "127.0.0.1:0", "--engine", &lab.state().endpoint])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command)?;
    let stdout = running.child.stdout.take().context("the agent has no stdout")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read what the agent prints")?;
        if let Some((_, rest)) = line.split_once("http://") {
            let address = rest.split('/').next().unwrap_or_default();
            let address = address.parse().with_context(|| format!("no address in {line:?}"))?;
            return Ok(Agent { running, address });
        }
    }
    bail!("the agent ended without telling its address")
}

/// The engine's processes: dockerd, containerd and the shims, which do the work of `docker stats` for it.
pub(super) fn engine_pids(state: &State) -> Vec<u32> {
    let socket = state.dir.join("containerd.sock").to_string_lossy().into_owned();
    let is_shim = |pid: &u32| {
        let args = argv(*pid);
        args.first().is_some_and(|a| a.contains("containerd-shim")) && args.contains(&socket)
    };
    let daemons = [state.dockerd_pid, state.containerd_pid].into_iter().flatten();
    daemons.chain(pids().into_iter().filter(is_shim)).collect()
}

/// Readings of all processes that still run.
pub(super) fn readings(pids: &[u32]) -> Vec<(u32, Reading)> {
    pids.iter().filter_map(|pid| Some((*pid, Reading::take(*pid).ok()?))).collect()
}

/// System calls of a process by name.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Calls {
    /// Time traced, seconds.
    pub seconds: f64,
    /// All calls.
    pub total: u64,
    /// The most frequent ones.
    pub by_name: Vec<(String, u64)>,
}

/// Counts all system calls of a process with `strace -c -f`. It slows the process down many times: nothing else may
/// be measured meanwhile.
///
/// # Errors
/// When strace is missing or may not trace.
pub(super) fn count_calls(pid: u32, time: Duration) -> Result<Calls> {
    let output = tempfile::NamedTempFile::new().context("make a file")?;
    let mut command = bound("strace");
    command.args(["-c", "-f", "-U", "calls,name", "-o"]).arg(output.path()).args(["-p", &pid.to_string()]);
    let began = Instant::now();
    let tracer = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    if wait_until(time, || !tracer.process.is_alive()) {
        bail!("strace ended at once");
    }
    let seconds = began.elapsed().as_secs_f64();
    // Its table comes when it is interrupted.
    tracer.process.signal(Signal::INT)?;
    tracer.process.wait_gone(Duration::from_secs(5));
    drop(tracer);
    let table = std::fs::read_to_string(output.path()).context("read what strace wrote")?;
    let mut by_name: Vec<(String, u64)> = table
        .lines()
        .filter_map(|line| {
            let (calls, name) = line.trim().split_once(char::is_whitespace)?;
            Some((name.trim().to_owned(), calls.parse().ok()?))
        })
        .filter(|(name, _)| name != "total")
        .collect();
    by_name.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    let total = by_name.iter().map(|(_, calls)| calls).sum();
    by_name.truncate(8);
    Ok(Calls { seconds, total, by_name })
}
