//! "In the shell": what a person would type on this host for the same answer, with its real pids, ids and paths, and
//! what Glasshull reads instead. Pure; an end-to-end test runs these commands and compares.

use glasshull_shared::domain::container::{Container, Runtime};
use glasshull_shared::domain::host::CgroupMode;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat, ProcessState};
use glasshull_shared::unit;

pub use glasshull_shared::shell::quote;

use super::confinement;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What it answers.
    pub comment: String,
    /// Ready to paste.
    pub command: String,
    /// What Glasshull reads for it.
    pub reads: String,
}

pub(super) fn command(comment: &str, command: impl Into<String>, reads: impl Into<String>) -> Command {
    Command { comment: comment.into(), command: command.into(), reads: reads.into() }
}

/// The commands about a process.
pub fn for_process(
    key: ProcessKey,
    who: &Process,
    does: Option<&ProcessStat>,
    container: Option<(&str, &Container)>,
) -> Vec<Command> {
    let pid = key.pid;
    let state = does.map_or_else(ProcessState::default, |d| d.state);
    let mut lines = vec![command(
        "who it is and what it uses",
        format!("ps -o pid,ppid,user,stat,pcpu,rss,vsz,nlwp,pri,ni,lstart,time,tty,args -p {pid}"),
        format!("/proc/{pid}/stat · /proc/{pid}/status · /proc/{pid}/cmdline"),
    )];
    match state {
        ProcessState::D => lines.push(command(
            "what it waits for",
            format!("cat /proc/{pid}/wchan; echo; cat /proc/{pid}/stack"),
            format!("/proc/{pid}/wchan"),
        )),
        ProcessState::Z | ProcessState::X => lines.push(command(
            "who has not waited for it",
            format!("ps -o pid,user,stat,lstart,args -p {}", who.ppid),
            format!("/proc/{pid}/stat field 4"),
        )),
        ProcessState::R
        | ProcessState::S
        | ProcessState::T
        | ProcessState::Traced
        | ProcessState::I
        | ProcessState::P => {}
    }
    lines.push(command(
        "its parents",
        format!("pstree -pls {pid}"),
        format!("/proc/{pid}/stat field 4, upwards"),
    ));
    lines.push(command(
        "its control group",
        format!("cat /proc/{pid}/cgroup"),
        format!("/proc/{pid}/cgroup"),
    ));
    if who.kernel_thread || state == ProcessState::Z {
        return lines;
    }
    lines.push(command(
        "its pid inside",
        format!("grep NSpid /proc/{pid}/status"),
        format!("/proc/{pid}/status NSpid"),
    ));
    lines.push(command(
        "its threads",
        format!("ps -L -o tid,stat,pcpu,comm -p {pid}"),
        format!("/proc/{pid}/task/*/stat"),
    ));
    lines.push(command(
        "exact memory",
        format!("grep -E '^(Rss|Pss|Shared|Private|Swap)' /proc/{pid}/smaps_rollup"),
        format!("/proc/{pid}/smaps_rollup"),
    ));
    lines.push(command(
        "its memory, region by region",
        format!("pmap -X {pid}"),
        format!("/proc/{pid}/smaps · /proc/{pid}/map_files/*"),
    ));
    lines.push(command("bytes to and from disks", format!("cat /proc/{pid}/io"), format!("/proc/{pid}/io")));
    lines.push(command("its binary", format!("readlink /proc/{pid}/exe"), format!("/proc/{pid}/exe")));
    lines.push(command("its namespaces", format!("lsns -p {pid}"), format!("/proc/{pid}/ns/*")));
    lines.extend(confinement::commands(pid));
    if let Some((id, row)) = container {
        lines.push(command(
            "go inside",
            format!("nsenter -t {pid} -a /bin/sh"),
            "nothing: Glasshull does not enter it",
        ));
        lines.extend(engine(row).map(|cli| {
            command(
                "its container",
                format!("{cli} top {}", quote(unit::short_id(id))),
                format!("/proc/{pid}/cgroup"),
            )
        }));
    }
    lines
}

/// The commands about a container.
pub fn for_container(id: &str, row: &Container, mode: CgroupMode) -> Vec<Command> {
    let mut lines = Vec::new();
    // Engines take the beginning of an id, as they print it.
    let word = quote(unit::short_id(id));
    match (engine(row), row.runtime) {
        (Some(cli), _) => {
            lines.push(command(
                "all the engine knows",
                format!("{cli} inspect {word}"),
                format!("GET /containers/{id}/json"),
            ));
            lines.push(confinement::inspect_command(&cli, id));
            // `top` refuses a container that does not run.
            if row.init_pid.is_some() {
                lines.push(command("its processes", format!("{cli} top {word}"), "/proc/*/cgroup"));
            }
            lines.push(command(
                "what it uses",
                format!("{cli} stats --no-stream {word}"),
                "its control group, below",
            ));
        }
        (None, Runtime::Nspawn) => {
            lines.push(command(
                "all the runtime knows",
                format!("machinectl status {word}"),
                "/proc/*/cgroup",
            ));
        }
        (None, Runtime::Lxc) => {
            lines.push(command("all the runtime knows", format!("lxc-info -n {word}"), "/proc/*/cgroup"));
        }
        (None, Runtime::Crio | Runtime::Containerd) => {
            lines.push(command("all the runtime knows", format!("crictl inspect {word}"), "/proc/*/cgroup"));
        }
        (None, Runtime::Docker | Runtime::Podman | Runtime::Oci | Runtime::Unknown) => {}
    }
    lines.extend(row.cgroup.iter().flat_map(|path| for_cgroup(path, mode)));
    if let Some(pid) = row.init_pid {
        lines.push(command(
            "its pid 1 from outside",
            format!("ps -o pid,user,stat,lstart,args -p {pid}"),
            format!("/proc/{pid}/stat"),
        ));
        lines.push(command(
            "its addresses",
            format!("nsenter -t {pid} -n ip -brief address"),
            "what the engine says of its networks",
        ));
        lines.extend(for_sockets(pid));
        lines.extend(confinement::commands(pid));
        let ask = row.engine.as_ref().map(|endpoint| format!("--engine {} ", quote(endpoint)));
        lines.push(command(
            "a program of this host in its network, with its names",
            format!("glasshull enter {}{word} -- sh", ask.unwrap_or_default()),
            "nothing: Glasshull does not enter it",
        ));
        lines.push(command(
            "go inside",
            format!("nsenter -t {pid} -a /bin/sh"),
            "nothing: Glasshull does not enter it",
        ));
    }
    lines
}

/// Sockets of the network namespace of a process.
fn for_sockets(pid: u32) -> [Command; 4] {
    let ss = |options: &str| format!("nsenter -t {pid} -n ss {options}");
    [
        command("who listens and who is connected", ss("-tunap"), "sock_diag TCP, UDP · /proc/*/fd"),
        command("how its TCP connections fare", ss("-tni"), "sock_diag INET_DIAG_INFO"),
        command("its unix sockets", ss("-xap"), "sock_diag AF_UNIX"),
        command("TCP connections as they end", ss("-tnE"), "SKNLGRP_INET_TCP_DESTROY"),
    ]
}

fn for_cgroup(path: &str, mode: CgroupMode) -> Vec<Command> {
    let files = |controller: &str, names: &[&str]| {
        let dir = |name: &str| match mode {
            CgroupMode::V2 | CgroupMode::Unknown => format!("/sys/fs/cgroup{path}"),
            // cpu and cpuacct may be two hierarchies; where they are one, both names lead to it.
            CgroupMode::V1 | CgroupMode::Hybrid if name.starts_with("cpuacct.") => {
                format!("/sys/fs/cgroup/cpuacct{path}")
            }
            CgroupMode::V1 | CgroupMode::Hybrid => format!("/sys/fs/cgroup/{controller}{path}"),
        };
        names.iter().map(|n| quote(&format!("{}/{n}", dir(n)))).collect::<Vec<_>>().join(" ")
    };
    let sets: [(&str, &str, &[&str], &[&str]); 4] = [
        (
            "cpu time and how often its quota ran out",
            "cpu",
            &["cpu.max", "cpu.stat"],
            &["cpu.cfs_quota_us", "cpu.stat", "cpuacct.usage"],
        ),
        (
            "memory and its limit",
            "memory",
            &["memory.current", "memory.max", "memory.events"],
            &["memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"],
        ),
        ("tasks and their limit", "pids", &["pids.current", "pids.max"], &["pids.current", "pids.max"]),
        ("block I/O", "blkio", &["io.stat"], &["blkio.throttle.io_service_bytes_recursive"]),
    ];
    let old = matches!(mode, CgroupMode::V1 | CgroupMode::Hybrid);
    sets.into_iter()
        .map(|(comment, controller, v2, v1)| {
            let names = files(controller, if old { v1 } else { v2 });
            command(comment, format!("head {names}"), "the same files")
        })
        .collect()
}

/// The commands about an engine.
pub fn for_engine(endpoint: &str, podman: bool) -> Vec<Command> {
    let cli = cli(endpoint, podman);
    vec![
        command("whether it answers, and its version", format!("{cli} version"), "GET /version"),
        command(
            "its containers, stopped ones too",
            format!("{cli} ps --all"),
            "GET /containers/json?all=true",
        ),
        command("what happens", format!("{cli} events"), "GET /events"),
    ]
}

/// The commands about the host.
pub fn for_host() -> Vec<Command> {
    vec![
        command("what it is", "uname -a; cat /etc/os-release", "uname(2) · /etc/os-release"),
        command("cpu by mode, now", "vmstat 1 2", "/proc/stat"),
        command("load and uptime", "uptime", "/proc/loadavg · /proc/uptime"),
        command("memory and swap", "free -wh", "/proc/meminfo"),
        command("pressure", "head /proc/pressure/*", "/proc/pressure/cpu · memory · io"),
        command("forks and context switches", "grep -E '^(ctxt|processes|procs_)' /proc/stat", "/proc/stat"),
        command("how control groups are mounted", "findmnt -t cgroup,cgroup2", "/proc/self/mountinfo"),
    ]
}

/// The engine's own command with the endpoint this container was found at; `None` when no such command applies.
pub(super) fn engine(row: &Container) -> Option<String> {
    let endpoint = row.engine.as_deref()?;
    match row.runtime {
        Runtime::Podman => Some(cli(endpoint, true)),
        Runtime::Docker | Runtime::Containerd | Runtime::Oci | Runtime::Unknown => Some(cli(endpoint, false)),
        Runtime::Crio | Runtime::Lxc | Runtime::Nspawn => None,
    }
}

fn cli(endpoint: &str, podman: bool) -> String {
    format!("{} {}", if podman { "podman --url" } else { "docker -H" }, quote(endpoint))
}

#[cfg(test)]
#[path = "shell_test.rs"]
mod tests;
