//! The catalogue: each rule's name and texts, for the terminal and the browser alike. The conditions are in
//! `model::finding`. The discriminants are on the wire: only append.

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::snapshot::Topic;

/// What people are told of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleText {
    /// Stable name, as in JSON: `engine_socket`.
    pub name: &'static str,
    /// What is the case, in a few words.
    pub title: &'static str,
    /// The gravest it may be; a finding may be less.
    pub severity: Severity,
    /// What it means for whoever runs this host.
    pub meaning: &'static str,
    /// A shell line that shows it; blanks as in [`super::Finding::blanks`].
    pub check: &'static str,
    /// What to do about it.
    pub mend: &'static str,
    /// Tables the rule looks at: what hides them hides it.
    pub needs: &'static [Topic],
}

macro_rules! rules {
    ($( $(#[$doc:meta])* $rule:ident $name:literal {
        $title:literal, $severity:ident, [$($topic:ident),*],
        meaning: $meaning:literal, check: $check:literal, mend: $mend:literal $(,)?
    } )*) => {
        /// A rule. Named in JSON as in [`RuleText::name`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule { $( $(#[$doc])* #[serde(rename = $name)] $rule, )* }

        impl Rule {
            /// All rules in the order of the catalogue.
            pub const ALL: &'static [Self] = &[ $( Self::$rule, )* ];

            /// What people are told of it.
            pub fn text(self) -> &'static RuleText {
                match self { $( Self::$rule => &RuleText {
                    name: $name, title: $title, severity: Severity::$severity,
                    meaning: $meaning, check: $check, mend: $mend, needs: &[$( Topic::$topic ),*],
                }, )* }
            }
        }
    };
}

impl Rule {
    /// Stable name.
    pub fn name(self) -> &'static str {
        self.text().name
    }

    /// The rule of that name; dashes do as well as underscores.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

rules! {
    /// `--net`, `--pid`, `--ipc host`, or the host's `/` mounted in.
    HostLike "host_like" {
        "shares the host's namespaces or its root", Trouble, [Container, Netns, Isolation, Confinement, Mount],
        meaning: "What a container does not have of its own it has of the host. With the host's pids it sees, signals and (as root) looks into every process; with the host's network it listens on the host's addresses and reaches what only the host may; with / mounted and writable it is root on the host.",
        check: "lsns -p {pid}; findmnt -N {pid} -o TARGET,SOURCE,OPTIONS",
        mend: "Start it without --net host, --pid host, --ipc host and without -v /:…; publish ports and mount single folders read-only instead."
    }
    /// `--privileged`.
    Privileged "privileged" {
        "privileged", Trouble, [Container, Confinement],
        meaning: "All capabilities, all devices, no seccomp filter, no masked paths: root in it can load kernel modules, write to the host's disks, and leave. The container is no border.",
        check: "{docker} inspect --format '{{.HostConfig.Privileged}}' {id}; grep -E 'Cap(Eff|Bnd)|Seccomp' /proc/{pid}/status",
        mend: "Drop --privileged; add the one --cap-add or --device it really needs."
    }
    /// A capability that leads out of a container.
    DangerousCapability "dangerous_capability" {
        "has a capability that leads out of a container", Trouble, [Container, Confinement],
        meaning: "Without a user namespace of its own, such a capability counts for the whole host: CAP_SYS_ADMIN mounts file systems, CAP_SYS_MODULE loads code into the kernel, CAP_DAC_READ_SEARCH opens any file, CAP_NET_ADMIN rewrites its namespace's network.",
        check: "capsh --decode=$(awk '/CapBnd/ {print $2}' /proc/{pid}/status)",
        mend: "Leave out the --cap-add, or give the container a user namespace (--userns, userns-remap, rootless)."
    }
    /// The socket of an engine is mounted in.
    EngineSocket "engine_socket" {
        "can command a container engine", Trouble, [Container, Mount],
        meaning: "Whoever may write to an engine's socket may start a privileged container with the host's / mounted: it is as good as root on the host. A read-only mount of the socket changes nothing about that.",
        check: "findmnt -N {pid} -l -o TARGET,SOURCE | grep -E 'docker|podman|containerd|crio'",
        mend: "Do not mount the socket; put a filtering proxy before it, or use a rootless engine of its own."
    }
    /// A path of the host is mounted in and writable.
    WritableHostPath "writable_host_path" {
        "can write to paths of the host", Attention, [Container, Mount],
        meaning: "What the container writes there, the host reads: a program in it can change files that other programs of the host trust. Below /etc, /usr, /boot, /root, /proc or /sys that is a way out.",
        check: "findmnt -N {pid} -o TARGET,SOURCE,OPTIONS",
        mend: "Mount it read-only (-v PATH:PATH:ro), or use a volume."
    }
    /// Root inside is root outside.
    RootWithoutUserns "root_without_userns" {
        "runs as root without a user namespace", Info, [Container, Confinement],
        meaning: "Its uid 0 is the host's uid 0, held only by capabilities, seccomp and mounts: a file that leaks out of it, or a hole in the kernel, is root's. This is how Docker starts containers unless told otherwise.",
        check: "cat /proc/{pid}/uid_map; grep Uid /proc/{pid}/status",
        mend: "Let it run as another user (--user, USER in the image), or turn on userns-remap or rootless mode."
    }
    /// The kernel holds something else than the engine was told.
    NotAsDeclared "not_as_declared" {
        "is not confined as its engine was told", Attention, [Container, Confinement],
        meaning: "What docker inspect says is not what the kernel holds. Where it is freer than declared, whoever relies on the declaration is wrong; where it is tighter, the program gave something up itself, or the engine has other defaults.",
        check: "{glasshull} confinement {id}",
        mend: "Look which of the two is meant; create the container anew so that both are the same."
    }
    /// Nothing bounds its memory.
    NoMemoryLimit "no_memory_limit" {
        "has no memory limit", Info, [Container, Limit],
        meaning: "When it leaks, the whole host runs out of memory, and the kernel chooses a victim among all processes, not only its own.",
        check: "cat /sys/fs/cgroup/memory{cgroup}/memory.limit_in_bytes /sys/fs/cgroup{cgroup}/memory.max 2>/dev/null",
        mend: "{docker} update --memory 512m --memory-swap 512m {id}"
    }
    /// `--oom-kill-disable` without a limit.
    OomKillDisabled "oom_kill_disabled" {
        "is never OOM-killed and has no limit", Trouble, [Container, Limit],
        meaning: "With --oom-kill-disable and no memory limit the kernel may not end the one process that eats the host's memory: it ends others, or stands still.",
        check: "cat /sys/fs/cgroup/memory{cgroup}/memory.oom_control",
        mend: "Set a limit ({docker} update --memory), or leave --oom-kill-disable out."
    }
    /// The kernel killed for memory a short while ago.
    OomKill "oom_kill" {
        "was OOM-killed in the last hour", Trouble, [Container, OomKill],
        meaning: "The kernel ended a process because the container's memory limit, or the host's memory, was used up. The container may go on with a part of it missing.",
        check: "journalctl -k --since -1h | grep -iE 'oom|killed process'",
        mend: "Raise the limit ({docker} update --memory), or find what grew: see memory of its processes over time."
    }
    /// The quota runs out in many periods.
    Throttled "throttled" {
        "is held back by its CPU quota", Attention, [Container, ContainerStat],
        meaning: "In more than a quarter of the scheduling periods of the last minute its quota ran out and all its threads stood still until the next. Answers get late though the host has CPU to give.",
        check: "cat /sys/fs/cgroup/cpu{cgroup}/cpu.stat /sys/fs/cgroup{cgroup}/cpu.stat 2>/dev/null",
        mend: "{docker} update --cpus N {id}, with N above what it uses; or fewer threads in it."
    }
    /// Nearly no more processes may be made.
    PidsNearLimit "pids_near_limit" {
        "has nearly as many tasks as it may", Attention, [Container, ContainerStat],
        meaning: "At the limit, fork and thread creation fail inside it: \"Resource temporarily unavailable\". Threads count.",
        check: "cat /sys/fs/cgroup/pids{cgroup}/pids.current /sys/fs/cgroup/pids{cgroup}/pids.max /sys/fs/cgroup{cgroup}/pids.current /sys/fs/cgroup{cgroup}/pids.max 2>/dev/null",
        mend: "Find what multiplies (ps -L), or {docker} update --pids-limit N {id}."
    }
    /// Zombies that nobody waits for.
    Zombies "zombies" {
        "does not wait for its children", Attention, [Process, ProcessStat],
        meaning: "Each zombie keeps a pid until its parent asks how it ended. A parent that never does uses up the pids of its container, in the end of the host. Often it is a program that is no init but runs as pid 1.",
        check: "ps -o pid,stat,etime,comm --ppid {pid}",
        mend: "Start the container with --init, or mend the parent: it must wait() for its children."
    }
    /// The file it runs is gone.
    DeletedBinary "deleted_binary" {
        "runs a binary that was deleted", Attention, [Process],
        meaning: "The program on the disk is another one or none, for instance after an upgrade: what runs is still the old code, with its old holes. It can also be the trace of somebody who removed what he started.",
        check: "ls -l /proc/{pid}/exe",
        mend: "Restart it. To look at the code that runs: cp /proc/{pid}/exe /tmp/"
    }
    /// Uninterruptible for long.
    StuckInD "stuck_in_d" {
        "waits uninterruptibly for long", Attention, [Process, ProcessStat],
        meaning: "It waits in the kernel and takes no signal, not even SIGKILL: mostly for a disk or a network file system that does not answer, or for a frozen file system. It counts into the load.",
        check: "cat /proc/{pid}/wchan; echo; cat /proc/{pid}/stack",
        mend: "Find what it waits for: the device, the NFS server. It goes on by itself when that answers."
    }
    /// The engine starts it again and again.
    RestartLoop "restart_loop" {
        "is restarted again and again", Trouble, [Container],
        meaning: "It ends soon after each start, and its restart policy starts it anew: nobody is served, and the cause is in its last output.",
        check: "{docker} logs --tail 20 {id}; {docker} inspect --format '{{.RestartCount}} {{.State.ExitCode}}' {id}",
        mend: "Read why it ends; {docker} update --restart no {id} stops the loop meanwhile."
    }
    /// An engine that answered is silent.
    EngineSilent "engine_silent" {
        "does not answer", Trouble, [Engine],
        meaning: "Names, images and states of its containers are as old as its last answer; its own commands hang. The containers themselves run on.",
        check: "curl --max-time 3 --unix-socket {socket} http://localhost/version",
        mend: "journalctl -u docker --since -10min; systemctl restart docker (containers survive with live-restore)."
    }
    /// Containers on a bridge, and the namespace forwards nothing.
    ForwardingOff "forwarding_off" {
        "has container bridges, but forwards nothing", Trouble, [Netns, Link],
        meaning: "With net.ipv4.ip_forward 0 no packet passes from a bridge to another link: containers reach neither the outside nor other networks, and published ports by DNAT are dead. The engine sets it to 1 at its start; a reload of sysctl (a file in /etc/sysctl.d says 0) has taken it back, and the next one will do it again.",
        check: "{enter}sysctl net.ipv4.ip_forward; grep -rs ip_forward /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d",
        mend: "{enter}sysctl -w net.ipv4.ip_forward=1, and put net.ipv4.ip_forward = 1 into a file of /etc/sysctl.d so that it stays."
    }
    /// A gateway that does not answer, an address that changed its MAC, one address of two containers.
    NeighbourTrouble "neighbour_trouble" {
        "has neighbours that cannot be right", Attention, [Netns, Link, Neighbour, Route],
        meaning: "A gateway that answers no ARP or neighbour solicitation takes all that is beyond it away. An address whose MAC changed, or one MAC for two containers, means a container that was made anew, or two machines with one address, or somebody who puts himself between.",
        check: "{enter}ip -s neighbour show dev {link}",
        mend: "See who has the address (glasshull veth ADDRESS); {enter}ip neighbour flush dev {link} makes the kernel ask again."
    }
    /// Packets are lost now, not since boot.
    LinkLoses "link_loses" {
        "drops packets or counts errors now", Attention, [Link, LinkStat],
        meaning: "Within the last minute packets were thrown away on this link: nobody took them in time, a queue was full, or they were broken. TCP slows down; what is not TCP is lost.",
        check: "{enter}ip -s -s link show dev {link}",
        mend: "Look who reads too slowly (receive queues in glasshull's sockets), at its txqueuelen and qdisc; on a physical link at the cable and ethtool -S."
    }
    /// A published port that leads nowhere.
    StaleDnat "stale_dnat" {
        "has published ports that lead nowhere", Attention, [Netns, PublishedPort],
        meaning: "A packet to this port of the host is sent on by a rule or a proxy, but ends at a dead hop: an address that is nobody's any more, a link that is down, a port nobody listens on.",
        check: "{enter}iptables -t nat -S | grep -E 'DNAT|REDIRECT'; {enter}nft list ruleset | grep -E 'dnat|redirect'",
        mend: "Start what should listen, or restart the container so that its engine writes the rule anew; delete a rule that nobody owns."
    }
    /// Something keeps a namespace alive in which nobody is.
    EmptyNamespace "empty_namespace" {
        "no process is in it", Info, [Namespace],
        meaning: "A bind mount, an open descriptor or a socket keeps it alive. For ip netns that is how it is meant; else it is what a crashed engine left behind, with its links and addresses.",
        check: "find /proc/[0-9]*/fd -lname '{kind}:*{inode}*' 2>/dev/null; findmnt -t nsfs -o TARGET,SOURCE | grep {inode}",
        mend: "Umount the file that pins it (ip netns delete NAME), or end who holds it open, when nobody needs it any more."
    }
    /// Many questions for names that are none.
    DnsNxdomainStorm "dns_nxdomain_storm" {
        "asks for many names that do not exist", Attention, [Container, Netns],
        meaning: "Within the last minute more than a hundred of its questions ended in NXDOMAIN, and most of all it asked: a name that was misspelt or is gone and is asked for again and again, a search list that never fits, or a program that makes names up to find its master. Each is a round trip for the program and work for every resolver on the way. Judged only while packets are captured.",
        check: "{glasshull} snapshot --json --capture 5s | jq '.tables.dns_seen | sort_by(-.counts.nxdomain)[:10][] | {name, record, counts}'",
        mend: "Correct the name in its configuration; write names that are complete with a dot at the end; for names that nobody can know, look at the program that asks."
    }
    /// Search lists multiply questions.
    DnsNdotsAmplification "dns_ndots_amplification" {
        "asks several times for each name because of its search list", Info, [Container, Netns],
        meaning: "Names with fewer dots than `ndots` are tried with each domain of the search list first: those answer NXDOMAIN, then the name itself is asked for and found. With ndots:5, as in Kubernetes, one look-up of an outside name becomes four or more, each for A and AAAA. Judged only while packets are captured.",
        check: "cat /proc/{pid}/root/etc/resolv.conf",
        mend: "A dot at the end of the name (api.example.org.) asks once; or set ndots lower: --dns-opt ndots:1, dnsConfig.options in a pod."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_told_whole_and_found_by_its_name() {
        for rule in Rule::ALL {
            let text = rule.text();
            assert_eq!(Rule::from_name(text.name), Some(*rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), text.name);
            let told = [text.title, text.meaning, text.check, text.mend];
            assert!(told.iter().all(|t| !t.is_empty()) && !text.needs.is_empty(), "{}", text.name);
        }
        assert_eq!(Rule::from_name("host-like"), Some(Rule::HostLike));
        assert_eq!(Rule::from_name("nonsense"), None);
    }
}
