//! Arguments of `glasshull enter`.

use std::ffi::OsString;

use clap::Args;

/// Where to run what.
///
/// The program is the host's, with the host's files, user, folder and environment; its network is the container's, and its names
/// are the container's: in a mount namespace of its own the container's resolv.conf and hosts lie over the host's, and the hosts
/// line of nsswitch.conf is the container's; /sys tells of its links. Nothing is installed in the container, which needs no shell, no C library and no
/// file of its own; nothing is changed on the host. The program takes glasshull's place, so that terminal, signals and exit code
/// are its own.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Enter {
    /// Take the container's host name too
    #[arg(long)]
    pub uts: bool,
    /// Take the container's System V and POSIX queues, semaphores and shared memory too
    #[arg(long)]
    pub ipc: bool,
    /// Take the container's pids too: the program is a child of glasshull then, which passes signals on; /proc still is the
    /// host's unless --mount is given
    #[arg(long)]
    pub pid: bool,
    /// Take the container's files instead of the host's: PROGRAM is looked for there
    #[arg(long)]
    pub mount: bool,
    /// A container's name or the beginning of its id, or a pid of the host
    #[arg(value_name = "CONTAINER|PID")]
    pub subject: String,
    /// What to run there, with its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<OsString>,
}

const HELP: &str = "\
Examples:
  glasshull enter web -- curl -s http://localhost/          a port that is not published
  glasshull enter web -- psql -h postgres                   by the name the container uses
  glasshull enter web -- ss -tnp                            sockets of its network namespace
  glasshull enter web -- tcpdump -ni eth0 port 5432         its packets, with the host's tcpdump
  glasshull enter --mount --pid --uts --ipc web -- sh       as docker exec, but for cgroup, user and rights

It needs CAP_SYS_ADMIN to join and to mount, and CAP_SYS_PTRACE over other users' processes: run it as root. The program keeps
these rights: the host's files are writable as ever. Exit code: the program's; 125 when glasshull itself fails, 126 when the
program cannot be run, 127 when it is not found; with --pid 128 + n when signal n ended it.

What is asked leaves the host when the container's own questions would.";
