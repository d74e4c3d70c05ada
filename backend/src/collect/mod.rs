//! 1 READ: one file or folder per domain. Each reads its own; nothing here relates one fact to another.
//!
//! `collect::X` may import `sys` and `shared`, never `collect::Y`.

pub(crate) mod cgroup;
pub(crate) mod confinement;
pub(crate) mod container;
pub(crate) mod device;
pub(crate) mod dns;
pub(crate) mod file;
pub(crate) mod finding;
pub(crate) mod host;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod own_cost;
pub(crate) mod process;
pub(crate) mod process_events;
pub(crate) mod runtime;
pub(crate) mod wire;

use glasshull_shared::snapshot::{Topic, TopicSet};

/// What a collector fills, who needs it, and what it can miss even when it works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collector {
    /// Name in the `source` table.
    pub name: &'static str,
    /// Tables it fills or helps to fill.
    pub fills: &'static [Topic],
    /// Tables whose subscribers make it run.
    pub needed_by: &'static [Topic],
    /// What this way of looking misses.
    pub misses: Option<&'static str>,
}

impl Collector {
    /// Whether somebody needs what it reads.
    pub(crate) fn needed(&self, demand: TopicSet) -> bool {
        self.needed_by.iter().any(|t| demand.contains(*t))
    }
}

/// The host's load: `/proc/stat`, `meminfo`, `loadavg`, `pressure`.
pub(crate) const HOST: Collector = Collector {
    name: "host",
    fills: &[Topic::Host, Topic::HostStat, Topic::Cpu],
    needed_by: &[Topic::HostStat, Topic::Cpu, Topic::IoCase],
    misses: None,
};

/// Processes: `/proc/PID`.
pub(crate) const PROCESS: Collector = Collector {
    name: "process",
    fills: &[Topic::Process, Topic::ProcessStat],
    needed_by: &[
        Topic::Process,
        Topic::ProcessStat,
        Topic::Thread,
        Topic::ExitedProcess,
        Topic::Container,
        Topic::ContainerStat,
        Topic::Netns,
        Topic::Link,
        Topic::LinkStat,
        Topic::Neighbour,
        Topic::Route,
        Topic::Socket,
        Topic::SocketStat,
        Topic::ClosedSocket,
        Topic::Flow,
        Topic::FlowStat,
        Topic::Capture,
        Topic::NatRule,
        Topic::PublishedPort,
        Topic::Translation,
        Topic::Confinement,
        Topic::Mount,
        Topic::Namespace,
        Topic::Isolation,
        Topic::Cgroup,
        Topic::Limit,
        Topic::LimitStat,
        Topic::OomKill,
        Topic::Resolver,
        Topic::DnsName,
        Topic::ProcessIo,
        Topic::ContainerIo,
        Topic::Waiter,
        Topic::MountUse,
        Topic::IoCase,
        Topic::DnsSeen,
        Topic::DnsClient,
        Topic::ContainerDeviceIo,
        Topic::ProcessDelay,
    ],
    misses: Some(
        "CPU time counts in steps of a clock tick (10 ms); an exec under the same name is noticed at the next re-check when process events are off",
    ),
};

/// Fork, exec and exit: the kernel's proc connector.
pub(crate) const PROCESS_EVENTS: Collector = Collector {
    name: "process_events",
    fills: &[Topic::ExitedProcess],
    needed_by: &[Topic::Process, Topic::ExitedProcess, Topic::ContainerStat],
    misses: Some("name and container of a process that is gone before we can look (mostly below 1 ms)"),
};

/// Threads: `/proc/PID/task`.
pub(crate) const THREAD: Collector = Collector {
    name: "thread",
    fills: &[Topic::Thread],
    needed_by: &[Topic::Thread],
    misses: Some("threads that live shorter than a tick"),
};

/// I/O of processes beyond what storage sees: `/proc/PID/io`, block delays of `/proc/PID/stat`, `ioprio_get`.
pub(crate) const PROCESS_IO: Collector = Collector {
    name: "process_io",
    fills: &[Topic::ProcessIo, Topic::ContainerIo],
    needed_by: &[Topic::ProcessIo, Topic::ContainerIo, Topic::IoCase, Topic::ProcessDelay],
    misses: Some(
        "files that are mapped to memory, in the bytes of system calls; I/O that the kernel does later for a process; apart from its own, the I/O of children that a process waited for, which the kernel adds to it at their end; how long threads other than the first wait for block I/O",
    ),
};

/// What processes wait for: `TASKSTATS` over generic netlink.
pub(crate) const PROCESS_DELAY: Collector = Collector {
    name: "process_delay",
    fills: &[Topic::ProcessDelay],
    needed_by: &[Topic::ProcessDelay],
    misses: Some(
        "waits that have not ended yet; all but the wait for a CPU of threads that began before delay accounting was switched on",
    ),
};

/// Who waits uninterruptibly: `/proc/PID/stat` several times a second, of those in D `wchan` and `stack`.
pub(crate) const WAITER: Collector = Collector {
    name: "waiter",
    fills: &[Topic::Waiter],
    needed_by: &[Topic::Waiter],
    misses: Some(
        "waits between two looks (200 ms; 400 ms of who slept for two seconds before, or began where the kernel does not tell us the new pids; up to 10 s of who was moved to another control group later); threads other than the first; what was before somebody watched",
    ),
};

/// Container engines: their API.
pub(crate) const ENGINE: Collector = Collector {
    name: "engine",
    fills: &[Topic::Engine, Topic::Container, Topic::Event],
    needed_by: &[
        Topic::Engine,
        Topic::Finding,
        Topic::Container,
        Topic::ContainerStat,
        Topic::Event,
        Topic::Netns,
        Topic::Link,
        Topic::Neighbour,
        Topic::Socket,
        Topic::ClosedSocket,
        Topic::Flow,
        Topic::NatRule,
        Topic::PublishedPort,
        Topic::Translation,
        Topic::Confinement,
        Topic::Mount,
        Topic::Namespace,
        Topic::Isolation,
        Topic::Cgroup,
        Topic::Limit,
        Topic::LimitStat,
        Topic::OomKill,
        Topic::Resolver,
        Topic::DnsName,
        Topic::MountUse,
        Topic::IoCase,
        Topic::DnsSeen,
        Topic::DnsClient,
        Topic::ContainerDeviceIo,
    ],
    misses: None,
};

/// Containers without an engine: shims, monitors, runtime state on disk.
pub(crate) const RUNTIME: Collector = Collector {
    name: "runtime",
    fills: &[Topic::Container],
    needed_by: &[
        Topic::Container,
        Topic::ContainerStat,
        Topic::Netns,
        Topic::Link,
        Topic::Neighbour,
        Topic::Socket,
        Topic::ClosedSocket,
        Topic::Flow,
        Topic::NatRule,
        Topic::PublishedPort,
        Topic::Translation,
        Topic::Confinement,
        Topic::Mount,
        Topic::Namespace,
        Topic::Isolation,
        Topic::Cgroup,
        Topic::Limit,
        Topic::LimitStat,
        Topic::OomKill,
        Topic::Resolver,
        Topic::DnsName,
        Topic::MountUse,
        Topic::IoCase,
        Topic::DnsSeen,
        Topic::DnsClient,
        Topic::ContainerDeviceIo,
    ],
    misses: Some("stopped containers of Docker, and names only an engine knows"),
};

/// Control groups of containers.
pub(crate) const CGROUP: Collector = Collector {
    name: "cgroup",
    fills: &[Topic::ContainerStat, Topic::LimitStat],
    needed_by: &[
        Topic::ContainerStat,
        Topic::Cgroup,
        Topic::Limit,
        Topic::LimitStat,
        Topic::OomKill,
        Topic::ContainerDeviceIo,
    ],
    misses: Some(
        "on cgroup v1: buffered writes, which the kernel counts for the host there; the processes that wrote show them. Of who used no CPU time, memory, pressure, tasks and block I/O are up to five readings or ten seconds old",
    ),
};

/// Block I/O of containers by device: the same files, line by line.
pub(crate) const CONTAINER_DEVICE_IO: Collector = Collector {
    name: "container_device_io",
    fills: &[Topic::ContainerDeviceIo],
    needed_by: &[Topic::ContainerDeviceIo],
    misses: Some(
        "on cgroup v1: buffered writes, which the kernel counts for the host there, and since Linux 6.10 all that passes devices on which no control group has or had a limit",
    ),
};

/// The tree of control groups with each group's own settings.
pub(crate) const LIMIT: Collector = Collector {
    name: "limit",
    fills: &[Topic::Cgroup, Topic::Limit],
    needed_by: &[Topic::Cgroup, Topic::Limit],
    misses: Some("for up to ten seconds, what is changed by hand in the files of a control group"),
};

/// OOM kills: the kernel's log.
pub(crate) const KERNEL_LOG: Collector = Collector {
    name: "kernel_log",
    fills: &[Topic::OomKill, Topic::Event],
    needed_by: &[Topic::OomKill, Topic::Event],
    misses: Some(
        "kills that the log's ring has overwritten, and those before somebody looked that it does not hold",
    ),
};

/// The network: rtnetlink in each namespace.
pub(crate) const NETWORK: Collector = Collector {
    name: "network",
    fills: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Neighbour, Topic::Route],
    needed_by: &[
        Topic::Netns,
        Topic::Link,
        Topic::LinkStat,
        Topic::Neighbour,
        Topic::Route,
        Topic::Socket,
        Topic::SocketStat,
        Topic::ClosedSocket,
        Topic::Flow,
        Topic::FlowStat,
        Topic::Capture,
        Topic::NatRule,
        Topic::PublishedPort,
        Topic::Translation,
        Topic::DnsSeen,
        Topic::DnsClient,
    ],
    misses: Some(
        "links that live shorter than 200 ms; namespaces that only a descriptor or a socket keeps alive; until the next tick what changes in a namespace that no link here leads to",
    ),
};

/// Sockets: `sock_diag` in each namespace, and its events of closed connections.
pub(crate) const SOCKET: Collector = Collector {
    name: "socket",
    fills: &[Topic::Socket, Topic::SocketStat, Topic::ClosedSocket],
    needed_by: &[Topic::Socket, Topic::SocketStat, Topic::ClosedSocket],
    misses: Some(
        "connections that end within the first tick of a new namespace; the process of one that opens a connection shorter than a tick; UDP and unix sockets that live shorter than a tick",
    ),
};

/// Flows: packets captured on links.
pub(crate) const FLOW: Collector = Collector {
    name: "flow",
    fills: &[Topic::Flow, Topic::FlowStat, Topic::Capture, Topic::DnsSeen, Topic::DnsClient],
    needed_by: &[Topic::Flow, Topic::FlowStat, Topic::Capture, Topic::DnsSeen, Topic::DnsClient],
    misses: Some(
        "what passed before somebody looked, and the first moment on links inside a new container; what a router or another host does between its links; names that are asked for over TLS or HTTPS, or in a TCP connection after the first message of a segment",
    ),
};

/// Address translation: nf_tables, legacy iptables and connection tracking in each namespace.
pub(crate) const NAT: Collector = Collector {
    name: "nat",
    fills: &[Topic::NatRule, Topic::PublishedPort, Topic::Translation],
    needed_by: &[Topic::NatRule, Topic::PublishedPort, Topic::Translation, Topic::Flow],
    misses: Some(
        "what sets and maps of nf_tables hold (IPVS, kube-proxy in nftables mode), and translation by eBPF programs",
    ),
};

/// What confines containers: credentials, capabilities, seccomp, limits of their init.
pub(crate) const CONFINEMENT: Collector = Collector {
    name: "confinement",
    fills: &[Topic::Confinement],
    needed_by: &[Topic::Confinement],
    misses: Some(
        "what system calls a seccomp filter lets through; which devices a container may use on cgroup v2; for ten ticks a limit or score that was changed from outside",
    ),
};

/// Mounts of each mount namespace: `/proc/PID/mountinfo`.
pub(crate) const MOUNT: Collector = Collector {
    name: "mount",
    fills: &[Topic::Mount],
    needed_by: &[
        Topic::Mount,
        Topic::MountUse,
        Topic::Confinement,
        Topic::Namespace,
        Topic::Isolation,
        Topic::IoCase,
    ],
    misses: Some(
        "namespaces that no process is in; what lies outside the root of a process that called chroot; for a minute that only the propagation of a mount changed",
    ),
};

/// How full file systems are: `fstatvfs(2)` of each, beside the tick.
pub(crate) const MOUNT_USE: Collector = Collector {
    name: "mount_use",
    fills: &[Topic::MountUse],
    needed_by: &[Topic::MountUse],
    misses: Some(
        "what changed within ten seconds; file systems that lie wholly beneath others; how much of a file system a directory, a container or an overlay's own layer takes",
    ),
};

/// Rules over the tables.
pub(crate) const FINDING: Collector = Collector {
    name: "finding",
    fills: &[Topic::Finding],
    needed_by: &[Topic::Finding],
    misses: Some("what was so for less than some seconds, and what no other source can see"),
};

/// Namespaces of all kinds: see [`namespace::WAYS`].
pub(crate) const NAMESPACE: Collector = Collector {
    name: "namespace",
    fills: &[Topic::Namespace, Topic::Isolation],
    needed_by: &[Topic::Namespace, Topic::Isolation],
    misses: Some(
        "for up to a minute that a running process went elsewhere or opened one; mount namespaces that nothing but another mount namespace keeps; descriptors on their way through a unix socket",
    ),
};

/// Names, asked in each container of its own resolver.
pub(crate) const DNS: Collector = Collector {
    name: "dns",
    fills: &[Topic::Resolver, Topic::DnsName],
    needed_by: &[Topic::Resolver, Topic::DnsName],
    misses: Some(
        "names of containers whose resolver is not on this host: nothing is asked that would leave it; changes within 30 seconds that no engine tells",
    ),
};

/// Block devices: `/proc/diskstats`, `/sys/dev/block`, udev's database.
pub(crate) const DEVICE: Collector = Collector {
    name: "device",
    fills: &[Topic::Device, Topic::DeviceStat],
    needed_by: &[Topic::Device, Topic::DeviceStat, Topic::IoCase, Topic::ContainerDeviceIo],
    misses: Some(
        "loop devices without a file; labels and contents where udev does not run; a scheduler that was changed, for half a minute",
    ),
};

/// Who makes the host wait: judged from other tables and the open files of one or two processes.
pub(crate) const IO_CASE: Collector = Collector {
    name: "io_case",
    fills: &[Topic::IoCase],
    needed_by: &[Topic::IoCase],
    misses: Some(
        "who began what the kernel writes back later; files that are open for less than half a second; positions that pwrite and mappings do not move",
    ),
};

/// Our own cost.
pub(crate) const OWN_COST: Collector =
    Collector { name: "own_cost", fills: &[Topic::Agent], needed_by: &[Topic::Agent], misses: None };

/// All collectors.
pub(crate) const COLLECTORS: &[Collector] = &[
    HOST,
    PROCESS_EVENTS,
    PROCESS,
    THREAD,
    PROCESS_IO,
    PROCESS_DELAY,
    WAITER,
    ENGINE,
    RUNTIME,
    CGROUP,
    CONTAINER_DEVICE_IO,
    LIMIT,
    KERNEL_LOG,
    NETWORK,
    SOCKET,
    FLOW,
    NAT,
    CONFINEMENT,
    MOUNT,
    MOUNT_USE,
    FINDING,
    NAMESPACE,
    DNS,
    DEVICE,
    IO_CASE,
    OWN_COST,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_found_through_processes() {
        for reader in [NETWORK, SOCKET, FLOW, NAT] {
            for topic in reader.needed_by {
                let found = [PROCESS, NETWORK].iter().all(|needed| needed.needed_by.contains(topic));
                assert!(found, "{} for {}", topic.name(), reader.name);
            }
        }
    }

    #[test]
    fn devices_of_containers_are_counted_found_and_named() {
        for reader in [PROCESS, ENGINE, RUNTIME, CGROUP, DEVICE, CONTAINER_DEVICE_IO] {
            assert!(reader.needed_by.contains(&Topic::ContainerDeviceIo), "{}", reader.name);
        }
    }

    #[test]
    fn a_case_has_all_it_is_judged_from_read() {
        for reader in [HOST, PROCESS, PROCESS_IO, ENGINE, RUNTIME, MOUNT, DEVICE] {
            assert!(reader.needed_by.contains(&Topic::IoCase), "{}", reader.name);
        }
        // How full file systems are, it does not ask.
        assert!(
            ![MOUNT_USE, NETWORK, SOCKET, CGROUP].iter().any(|one| one.needed_by.contains(&Topic::IoCase))
        );
    }
}
