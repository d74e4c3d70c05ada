//! Arguments of `glasshull ns`.

use clap::Args;
use glasshull_shared::domain::namespace::NamespaceKind;

/// Which namespaces.
///
/// Without an argument all of them, pid and user namespaces below the one they are nested in. A container tells which of its
/// namespaces are its own, the host's or shared with whom, and what is inside and outside: uids, host name, clocks. An inode
/// (or net:[inode]), or a name of `ip netns`, tells who is in that namespace and what else keeps it alive: a thread, a bind
/// mount, an open descriptor, a socket, another namespace. lsns finds those with processes alone.
///
/// Other users' processes show their namespaces only to CAP_SYS_PTRACE.
#[derive(Debug, Args)]
pub(crate) struct Ns {
    /// A container's name or the beginning of its id, a pid, an inode, or a name of `ip netns`
    #[arg(value_name = "CONTAINER|PID|INODE|NAME")]
    pub subject: Option<String>,
    /// Only this kind: mnt, uts, ipc, pid, net, user, cgroup, time
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub kind: Option<NamespaceKind>,
    /// Only those that no process is in
    #[arg(long)]
    pub unused: bool,
    /// Print JSON: rows as in `snapshot --tables namespace,isolation`
    #[arg(long)]
    pub json: bool,
}

fn parse_kind(text: &str) -> Result<NamespaceKind, String> {
    let known = || NamespaceKind::ALL.map(NamespaceKind::name).join(", ");
    NamespaceKind::from_name(text).ok_or_else(|| format!("no such kind; there are {}", known()))
}
