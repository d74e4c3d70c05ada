//! `glasshull enter` with the programs it is for: what they reach, how they end, and what the host keeps. Names are those of two
//! projects of [`crate::dns`]; no question leaves the machine.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;

use crate::dns::Scene;
use crate::network::run;
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

/// `/sys` is that of the container's network with what the host has mounted below; where it cannot be, that is said and all else is
/// as ever.
pub(crate) fn sys(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.pid("names-tool")?;
    let links = run(&["nsenter", "-t", &pid, "-n", "ip", "-o", "link"])?;
    let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
    let mut links: Vec<String> = links.lines().filter_map(name).collect();
    links.sort();
    ensure!(links.contains(&"eth0".to_owned()) && links.contains(&"lo".to_owned()), "{links:?}");
    let listed = told(context, &["names-tool", "--", "ls", "/sys/class/net"])?;
    ensure!(listed.lines().eq(&links), "{listed} where ip says {links:?}");
    let mac = run(&["nsenter", "-t", &pid, "-n", "ip", "-br", "link", "show", "eth0"])?;
    let address = told(context, &["names-tool", "--", "cat", "/sys/class/net/eth0/address"])?;
    ensure!(mac.split_whitespace().nth(2) == Some(&address), "{address} where ip says {mac}");
    // What is mounted there is not only listed, but seen.
    let below = "ls /sys/fs/cgroup; ls /sys/fs/cgroup/* | head -50";
    let (here, there) =
        (run(&["sh", "-c", below])?, told(context, &["names-tool", "--", "sh", "-c", below])?);
    ensure!(
        !here.trim().is_empty() && here.trim() == there,
        "the host has {here} in cgroup, the program {there}"
    );
    ensure!(run(&["ls", "/sys/class/net"])?.lines().ne(&links), "the host's /sys has changed");

    // A tree without a place for it.
    let place = context.lab.state().dir.join("names-rootless").display().to_string();
    let endpoint = context.endpoint();
    let program = context.agent.program().display().to_string();
    let tree = format!(
        "mkdir -p {place} && mount -t tmpfs tree {place} && mkdir {place}/mnt && \
         for f in /*; do case $f in /sys|/mnt) continue;; esac; \
         if [ -L $f ]; then cp -P $f {place}$f; elif [ -d $f ]; then mkdir {place}$f && mount --rbind $f {place}$f; fi; done && \
         exec chroot {place} {program} enter --engine {endpoint} names-tool -- getent ahostsv4 names-tool"
    );
    let output =
        Command::new("unshare").args(["--mount", "sh", "-c", &tree]).stdin(Stdio::null()).output()?;
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && err.contains("/sys tells of the host's links"), "{err}");
    Ok(fs::remove_dir(place)?)
}

/// What is piped in arrives, and Python's resolver, which is the C library's, finds names.
pub(crate) fn piped(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let line = |words: &str| {
        let (program, endpoint) = (context.agent.program().display().to_string(), context.endpoint());
        format!("seq 20000 | {program} enter --engine {endpoint} names-a-api -- {words}")
    };
    ensure!(
        run(&["sh", "-c", &line("cksum")])? == run(&["sh", "-c", "seq 20000 | cksum"])?,
        "bytes were lost"
    );
    let address = scene.address("names-a-db", "names-a")?;
    let script = "import socket; print(socket.getaddrinfo('db', 8080, socket.AF_INET)[0][4][0])";
    if run(&["sh", "-c", "command -v python3"]).is_ok() {
        let by_python = told(context, &["names-a-api", "--", "python3", "-c", script])?;
        ensure!(by_python == address, "Python says {by_python}");
    }
    Ok(())
}

/// A shell that a person types into has its terminal with size and jobs: an interrupt ends the program in front and not the shell.
pub(crate) fn shell(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.pid("names-a-api")?;
    let (program, endpoint) = (context.agent.program().display(), context.endpoint());
    let line = format!("{program} enter --engine {endpoint} names-a-api -- bash --norc --noprofile -i");
    let log = context.lab.state().dir.join("names-typed");
    let mut script = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("PS1", "")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&log)?)
        .spawn()?;
    let mut keys = script.stdin.take().context("no stdin")?;
    let seen = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    // What is typed is echoed as well, so what is waited for must be what came of it.
    let mut type_and_wait = |typed: &str, wanted: &str| -> Result<()> {
        keys.write_all(typed.as_bytes())?;
        if wait_until(Duration::from_secs(10), || seen().contains(wanted)) {
            return Ok(());
        }
        // A terminal throws away what is typed while it interrupts: as a person would, once more.
        keys.write_all(b"\x03")?;
        std::thread::sleep(Duration::from_secs(1));
        keys.write_all(typed.as_bytes())?;
        ensure!(
            wait_until(Duration::from_secs(20), || seen().contains(wanted)),
            "no {wanted:?} in {}",
            seen()
        );
        Ok(())
    };
    let net = fs::read_link(format!("/proc/{pid}/ns/net"))?.display().to_string();
    let tried = (|| {
        type_and_wait("stty rows 33 cols 101; stty size; readlink /proc/$$/ns/net\n", &net)?;
        type_and_wait("sleep 300 & jobs\n", "Running")?;
        type_and_wait("kill %1; wait %1; echo job $?\n", "job 143")?;
        type_and_wait("sh -c 'echo in fr''ont; exec sleep 300'\n", "in front")?;
        type_and_wait("\x03", "^C")?;
        type_and_wait("echo code $?\n", "code 130")?;
        type_and_wait("exit 7\n", "exit 7")
    })();
    if tried.is_err() {
        let _ = script.kill(); // it may have ended
    }
    let status = script.wait()?;
    tried?;
    let seen = seen();
    ensure!(status.code() == Some(7), "{status}: {seen}");
    ensure!(seen.contains("33 101") && !seen.contains("no job control"), "{seen}");
    Ok(())
}

/// A container that holds one program and nothing else is entered all the same.
pub(crate) fn scratch(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let tar = context.lab.state().dir.join("scratch.tar").display().to_string();
    run(&["tar", "-C", "/bin", "-cf", &tar, "busybox"])?;
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
    let limit = run(&["sh", "-c", "ulimit -n"])?;
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
    let typed = run(&["script", "-qec", &line, "/dev/null"])?;
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
