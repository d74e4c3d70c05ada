//! `glasshull enter` with the programs it is for: what they reach, how they end, and what the host keeps. Names are those of two
//! projects of [`crate::dns`]; no question leaves the machine.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::dns::Scene;
use crate::runner::Context;

/// Calls `glasshull enter`, as a shell would.
fn enter(context: &Context, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(context.agent.program());
    command.args(["enter", "--engine", &context.endpoint()]).args(words).stdin(Stdio::null());
    command.output().context("glasshull enter")
}

fn told(context: &Context, words: &[&str]) -> Result<String> {
    let output = enter(context, words)?;
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "enter {}: {}: {err}", words.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// glibc, curl, a static program and a C library's resolver find `db` where the container does: each project its own.
pub(crate) fn names(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    for (inside, network) in [("names-a-api", "names-a"), ("names-b-api", "names-b")] {
        let db = format!("{network}-db");
        let address = scene.address(&db, network)?;
        let by_glibc = told(context, &[inside, "--", "getent", "ahostsv4", "db"])?;
        ensure!(by_glibc.split_whitespace().next() == Some(&address), "getent says {by_glibc}");
        let page = ["--noproxy", "*", "-fsS", "--max-time", "20", "http://db:8080/"];
        ensure!(told(context, &[&[inside, "curl"], &page[..]].concat())? == db, "curl");
        let by_static =
            told(context, &[inside, "--", "busybox", "wget", "-q", "-O", "-", "http://db:8080/"])?;
        ensure!(by_static == db, "a static program led to {by_static}");
        let own = told(context, &[inside, "--", "getent", "hosts", inside])?;
        ensure!(own.starts_with(&scene.address(inside, network)?), "its hosts file says {own}");
    }
    Ok(())
}

/// A container that holds one program and nothing else is entered all the same.
pub(crate) fn scratch(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let tar = context.lab.state().dir.join("scratch.tar").display().to_string();
    crate::network::run(&["tar", "-C", "/bin", "-cf", &tar, "busybox"])?;
    context.lab.docker(&["import", &tar, "names-scratch"])?;
    let start = ["run", "-d", "--name", "names-bare", "--network", "names-a", "--dns", "127.0.0.1"];
    context.lab.docker(&[&start[..], &["names-scratch", "/busybox", "sleep", "300"]].concat())?;
    let tried = (|| {
        let page = ["--noproxy", "*", "-fsS", "--max-time", "20", "http://db:8080/"];
        ensure!(told(context, &[&["names-bare", "--", "curl"], &page[..]].concat())? == "names-a-db", "curl");
        // Its files, when they are wanted: the program is looked for there.
        let listed = told(context, &["--mount", "names-bare", "--", "/busybox", "ls", "/"])?;
        ensure!(listed.lines().any(|name| name == "busybox"), "{listed}");
        ensure!(enter(context, &["--mount", "names-bare", "--", "/bin/sh"])?.status.code() == Some(127));
        scene.address("names-a-db", "names-a")
    })();
    context.lab.docker(&["rm", "--force", "names-bare"])?;
    context.lab.docker(&["rmi", "names-scratch"])?;
    tried.map(drop)
}

/// User, folder, limits, exit code and signal are those of the program alone; a shell under a terminal has one.
pub(crate) fn passes(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.pid("names-a-api")?;
    let script = "pwd; ulimit -n; id -u; readlink /proc/self/ns/net; echo $GLASSHULL_TRY; exit 42";
    let mut command = Command::new(context.agent.program());
    command.args(["enter", "--engine", &context.endpoint(), "names-a-api", "--", "sh", "-c", script]);
    let output = command.current_dir("/usr").env("GLASSHULL_TRY", "kept").stdin(Stdio::null()).output()?;
    ensure!(output.status.code() == Some(42), "{}", output.status);
    let net = fs::read_link(format!("/proc/{pid}/ns/net"))?;
    let limit = crate::network::run(&["sh", "-c", "ulimit -n"])?;
    let wanted = format!("/usr\n{}\n0\n{}\nkept\n", limit.trim(), net.display());
    ensure!(String::from_utf8_lossy(&output.stdout) == wanted, "{}", String::from_utf8_lossy(&output.stdout));
    let killed = enter(context, &["names-a-api", "--", "sh", "-c", "kill -KILL $$"])?;
    ensure!(killed.status.signal() == Some(9), "{}", killed.status);
    let killed = enter(context, &["--pid", "names-a-api", "--", "sh", "-c", "kill -TERM $$"])?;
    ensure!(killed.status.code() == Some(128 + 15), "{}", killed.status);
    // All of it, as one who debugs a container would: its pid 1 is the container's init.
    let all = ["--mount", "--pid", "--uts", "--ipc", "names-a-api", "--", "sh", "-c"];
    let inside = told(context, &[&all[..], &["hostname; cat /proc/1/comm"]].concat())?;
    let comm = fs::read_to_string(format!("/proc/{pid}/comm"))?;
    ensure!(inside == format!("names-a-api\n{}", comm.trim()), "{inside}");
    let line = format!(
        "{} enter --engine {} names-a-api -- sh -c 'test -t 0 && test -t 1 && echo terminal'",
        context.agent.program().display(),
        context.endpoint()
    );
    let typed = crate::network::run(&["script", "-qec", &line, "/dev/null"])?;
    ensure!(typed.contains("terminal"), "{typed}");
    Ok(())
}

/// The host's files and mounts are as before; what cannot be done is refused with what it needs.
pub(crate) fn refuses(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let before = (fs::read("/etc/resolv.conf").ok(), fs::read("/etc/hosts")?, mounts()?);
    let seen = told(context, &["names-a-api", "--", "cat", "/etc/resolv.conf", "/etc/hosts"])?;
    ensure!(seen.contains("127.0.0.11") && seen.contains("names-a-api"), "{seen}");
    let written = enter(context, &["names-a-api", "--", "sh", "-c", "echo >> /etc/hosts"])?;
    ensure!(!written.status.success(), "the container's hosts file was laid writable");
    ensure!(
        (fs::read("/etc/resolv.conf").ok(), fs::read("/etc/hosts")?, mounts()?) == before,
        "the host changed"
    );
    for (words, code, why) in [
        (&["names-a-api", "--", "no-such-program"][..], 127, "No such file"),
        (&["names-a-api", "--", "/etc"], 126, "Permission denied"),
        (&["nobody", "--", "true"], 125, "no container is called"),
    ] {
        let output = enter(context, words)?;
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(code) && err.contains(why),
            "{words:?}: {}: {err}",
            output.status
        );
    }
    let endpoint = context.endpoint();
    let pid = scene.pid("names-a-api")?;
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    let answer =
        context.agent.call_by(&without, &["enter", "--engine", &endpoint, pid.trim(), "--", "true"])?;
    ensure!(!answer.success && answer.err.contains("CAP_SYS_ADMIN"), "{}", answer.err);
    context.lab.docker(&["stop", "names-b-api"])?;
    let stopped = enter(context, &["names-b-api", "--", "true"])?;
    let err = String::from_utf8_lossy(&stopped.stderr);
    ensure!(stopped.status.code() == Some(125) && err.contains("does not run"), "{err}");
    Ok(())
}

/// What is mounted in our namespace.
fn mounts() -> Result<String> {
    fs::read_to_string("/proc/self/mountinfo").context("mountinfo")
}
