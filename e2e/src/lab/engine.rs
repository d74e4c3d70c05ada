//! The lab's own engine: a containerd and a dockerd on directories of the lab, and the `docker` client aimed at them.
//!
//! Nothing of the host's is touched: no `docker0` (`--bridge none`; the scene uses a user network with a bridge name of
//! its own, so an engine the user runs keeps its bridge), no iptables rules and no forwarding (the scene talks on one
//! bridge, published ports go through the userland proxy), no name asked outside (`--dns 127.0.0.1`), own client
//! configuration. containerd is started by us: dockerd would otherwise join a system-wide one when it finds its socket.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::{ProcessRef, wait_until};
use super::state::Layout;

/// How long an engine may take to answer; it needs about a second.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Starts the lab's containerd and waits for its socket.
///
/// # Errors
/// When it cannot be started or does not come up; the end of its log is in the message.
pub(super) fn start_containerd(layout: &Layout) -> Result<ProcessRef> {
    let socket = layout.join("containerd.sock");
    // The opt plug-in would make /opt/containerd, the CRI plug-in would look for network configuration.
    let config = format!(
        "version = 2\nroot = {root:?}\nstate = {state:?}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
         [grpc]\n  address = {socket:?}\n",
        root = layout.text("containerd"),
        state = layout.text("containerd-state"),
        socket = layout.text("containerd.sock"),
    );
    let file = layout.join("containerd.toml");
    fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
    let _ = fs::remove_file(&socket);
    let process = start(layout, "containerd", &["--config".into(), layout.text("containerd.toml")])?;
    wait_for(layout, "containerd", process, || socket.exists())?;
    Ok(process)
}

/// Starts the lab's dockerd and waits until it answers.
///
/// # Errors
/// As [`start_containerd`].
pub(super) fn start_dockerd(layout: &Layout, live_restore: bool) -> Result<ProcessRef> {
    let config = layout.join("daemon.json");
    fs::write(&config, "{}\n").with_context(|| format!("write {}", config.display()))?;
    // A killed dockerd leaves both; the pid in the file may belong to somebody else by now.
    for stale in ["dockerd.pid", "docker.sock"] {
        let _ = fs::remove_file(layout.join(stale));
    }
    let mut args = vec![
        "--config-file".into(),
        layout.text("daemon.json"),
        "--data-root".into(),
        layout.text("data"),
        "--exec-root".into(),
        layout.text("exec"),
        "--host".into(),
        layout.endpoint(),
        "--pidfile".into(),
        layout.text("dockerd.pid"),
        "--containerd".into(),
        layout.text("containerd.sock"),
        "--dns=127.0.0.1".into(),
        "--bridge=none".into(),
        "--iptables=false".into(),
        "--ip6tables=false".into(),
        "--ip-forward=false".into(),
    ];
    if live_restore {
        args.push("--live-restore".into());
    }
    let process = start(layout, "dockerd", &args)?;
    wait_for(layout, "dockerd", process, || {
        docker_within(layout, Duration::from_secs(5), &["version", "--format", "{{.Server.Version}}"]).is_ok()
    })?;
    Ok(process)
}

/// Starts a daemon in a session of its own (it must outlive us and our terminal), output into `NAME.log`.
fn start(layout: &Layout, name: &str, args: &[String]) -> Result<ProcessRef> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(layout.join(&format!("{name}.log")))
        .with_context(|| format!("open the log of {name}"))?;
    // setsid(1) executes in place here (a fresh child leads no group), so the pid is the daemon's.
    let child = Command::new("setsid")
        .arg(name)
        .args(args)
        .current_dir(&layout.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {name}"))?;
    ProcessRef::of(child.id()).with_context(|| format!("{name} ended at once"))
}

fn wait_for(layout: &Layout, name: &str, process: ProcessRef, mut ready: impl FnMut() -> bool) -> Result<()> {
    let mut alive = true;
    let came = wait_until(START_LIMIT, || {
        alive = process.is_alive();
        !alive || ready()
    });
    if came && alive {
        return Ok(());
    }
    let log = fs::read_to_string(layout.join(&format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(8).collect();
    let tail: Vec<&str> = lines.into_iter().rev().collect();
    let _ = process.terminate(Duration::from_secs(2));
    let what = if alive { "does not answer" } else { "ended" };
    bail!("{name} {what}; the end of its log:\n{}", tail.join("\n"))
}

/// A `docker` command aimed at the lab's engine and deaf to the user's client configuration.
pub(super) fn docker_command(layout: &Layout) -> Command {
    let mut command = Command::new("docker");
    command
        .env("DOCKER_CONFIG", layout.join("client"))
        .env_remove("DOCKER_CONTEXT")
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_TLS_VERIFY")
        .arg("--host")
        .arg(layout.endpoint())
        .stdin(Stdio::null());
    command
}

/// Runs one `docker` command and returns its output.
///
/// # Errors
/// When it fails; the message holds what it said.
pub(super) fn docker<S: AsRef<std::ffi::OsStr>>(layout: &Layout, args: &[S]) -> Result<String> {
    let mut command = docker_command(layout);
    command.args(args);
    let output = command.output().context("run docker")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.trim().lines().find(|line| !line.starts_with("WARNING"));
        bail!("{}: {}", shown(args), why.unwrap_or("(no word)"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as an error message shows it: the scene has arguments of 4 kB.
fn shown<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> String {
    let words = args.iter().map(|a| a.as_ref().to_string_lossy().chars().take(40).collect::<String>());
    format!("docker {}", words.collect::<Vec<_>>().join(" "))
}

/// As [`docker`], but gives up after `limit`: for engines that may hang. For short answers (they must fit a pipe).
///
/// # Errors
/// When it fails or takes longer.
pub(super) fn docker_within(layout: &Layout, limit: Duration, args: &[&str]) -> Result<String> {
    let mut child = docker_command(layout)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("run docker")?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("{}: no answer within {limit:?}", shown(args));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut text = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text)?;
    }
    if !status.success() {
        bail!("{}: {status}", shown(args));
    }
    Ok(text)
}
