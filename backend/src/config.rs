//! The command line: what `glasshull` can do and how it is told.

mod archive;
mod enter;
mod finding;
mod ns;
mod time;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use archive::Files;
use clap::{Args, Parser, Subcommand, ValueEnum};
use glasshull_shared::dns_export::{PORTS, PROVIDER, parse_provider};

pub(crate) use enter::Enter;
pub(crate) use finding::Findings;
pub(crate) use ns::Ns;

/// What this Linux host's containers really are, live, from the host's side.
///
/// Without a subcommand it serves the dashboard: `glasshull` is `glasshull serve`.
#[derive(Debug, Parser)]
#[command(name = "glasshull", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`, for when it is left out.
    #[command(flatten)]
    pub serve: Serve,
    /// What every subcommand takes.
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  glasshull                                   the dashboard on http://127.0.0.1:7070
  glasshull --engine unix:///run/docker.sock  ask only this engine
  glasshull snapshot --json --tables process | jq '.tables.process[] | select(.state == \"D\")'
  glasshull who 4242                          which container is this pid in, what runs there
  glasshull who web                           which host pids are in this container
  glasshull confinement web                   capabilities, seccomp, limits, mounts: declared and effective
  glasshull dns web                           what names lead to where that container asks
  glasshull enter web -- psql -h postgres     a host program in that container's network, with its names
  glasshull files web /etc/nginx              what is there, also where there is no shell; --to FILE copies it out
  glasshull findings --min trouble            what is wrong here; exit code 1 when something is
  glasshull ns                                all namespaces: who is in them, what keeps them alive
  glasshull veth 172.18.0.2                   whose address is this, behind which veth and bridge
  glasshull limits                            who is near a limit, throttled, or was killed for memory
  glasshull io                                who reads and writes, who waits for a disk, at what priority
  glasshull snapshot --json --capture 5s      who talks to whom: flows of five seconds, per link
  glasshull snapshot --json --files 4242      its open files: which grow, which are deleted and still take space
  glasshull wire web 'tcp port 80' --for 10s  what passes there, line by line; -w FILE for Wireshark
  glasshull record incident.ghrec --for 5m    and on another machine: glasshull replay incident.ghrec
  glasshull replay --demo                     look around without a host, root or Docker

It reads only; of resolvers it asks names that their engine answers for. As root it sees everything; as an ordinary user it says per panel what is missing and which capability
would show it. Logs: GLASSHULL_LOG=debug.";

/// What every subcommand takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// Ask this engine (unix:///path, repeatable) instead of the Docker and Podman sockets that are found
    #[arg(long, global = true, value_name = "URL", value_parser = value::engine)]
    pub engine: Vec<String>,
    /// Hide the arguments of processes and containers, which may hold secrets
    #[arg(long, global = true)]
    pub mask_args: bool,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the dashboard (the default)
    Serve(Serve),
    /// Take two samples, print one JSON object
    Snapshot(Snapshot),
    /// Tell what a pid or a container is: pid → container, container → pids
    Who(Who),
    /// Tell what confines a container: what its engine was told, what the kernel holds, and where they differ
    Confinement(Confinement),
    /// Tell what names lead to where a container asks; as hosts lines, HOSTALIASES, curl arguments and more
    Dns(Dns),
    /// Run a program of this host in a container's network, with the container's names
    Enter(Enter),
    /// List files of a container or an image, or copy them out, through its engine: nothing in it is needed
    Files(Files),
    /// Tell what somebody should know about this host: rules that are met, with evidence
    Findings(Findings),
    /// List namespaces of all kinds; of a container: which it shares; of one namespace: who holds it
    Ns(Ns),
    /// List veth pairs: container's link ⇄ host's link ⇄ bridge, with addresses and rates
    Veth(Veth),
    /// List what containers may use, what they use of it, and who was killed for memory
    Limits(Limits),
    /// List processes and containers by I/O, as iotop does, and who waits in the kernel
    Io(Io),
    /// Look into a wire: packets of a container or a link as tcpdump prints them, or as a pcapng file
    Wire(Wire),
    /// Record what the dashboard would show into a file
    Record(Record),
    /// Play a recording in the dashboard, on any machine
    Replay(Replay),
}

/// Where and for whom to serve.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Address to listen on; any but loopback demands a token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070", value_parser = value::bind)]
    pub bind: SocketAddr,
    /// Time between two ticks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
    /// Demand the token in this file (one line); made at random and printed when a token is needed and none is given
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Let whoever opens the dashboard see what packets carry, not only their headers
    #[arg(long)]
    pub allow_payload: bool,
    /// Also answer to this name in the browser's address bar, over http or a proxy's https (repeatable; localhost and the
    /// address itself always work, over http)
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Let whoever opens the dashboard take a container's veth link down and up again; no other link is ever changed
    #[arg(long)]
    pub allow_control: bool,
    /// Let whoever opens the dashboard list and take files of containers and images, at /files/…; for an image a container
    /// is made that never starts, and removed again
    #[arg(long)]
    pub allow_files: bool,
    /// Most bytes of one such answer, with --allow-files
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = value::size, allow_hyphen_values = true)]
    pub files_limit: u64,
}

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// Print JSON (the only form there is; named so that scripts say what they expect)
    #[arg(long)]
    pub json: bool,
    /// Only these tables, comma-separated (process, process_io, process_delay, device, thread, exited_process, container, cpu, engine, source, netns, link, neighbour, route, socket, closed_socket, nat_rule, published_port, translation, confinement, mount, cgroup, limit, oom_kill, namespace, isolation, finding, resolver, dns_name, flow, capture, open_file, memory_map, file_holder)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub tables: Vec<String>,
    /// Time between the two samples that rates are made from
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
    /// Capture packets for this time (5s) and add the tables flow and capture; needs CAP_NET_RAW
    #[arg(long, value_name = "TIME", conflicts_with = "interval", value_parser = time::interval, allow_hyphen_values = true)]
    pub capture: Option<Duration>,
    /// Add the table open_file: what this process, or each process of this container (name or beginning of its id; a number is a pid), holds open, with paths on the host, space held by deleted files and how fast they grow; other users' processes need CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH
    #[arg(long, value_name = "PID|CONTAINER")]
    pub files: Option<String>,
    /// Add the table memory_map: this process's memory region by region as pmap -X lists it, with files on the host, and the sums; other users' processes need CAP_SYS_PTRACE
    #[arg(long, value_name = "PID")]
    pub maps: Option<u32>,
    /// Add the table file_holder: who holds files there, as fuser -vm lists it, with the largest file and how fast they grow; others' files need CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH
    #[arg(long, value_name = "MOUNTPOINT|DEVICE|MAJ:MIN")]
    pub holders: Option<String>,
}

/// What to look up.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// A pid of the host, or a container's name or the beginning of its id
    #[arg(value_name = "PID|CONTAINER")]
    pub subject: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whose confinement.
///
/// Declared is what the engine was told (docker inspect); effective is what the kernel holds for the container's init.
/// They differ when an engine has other defaults than thought, when the program gave up rights itself, or when somebody
/// changed something from outside. Marks: ! leads out of a container when it counts on the host; + not in the engine's
/// default set; - in it, but not held. Effective facts need no permission; where a container is found among the host's
/// mounts is told when /proc/1/mountinfo can be read.
#[derive(Debug, Args)]
pub(crate) struct Confinement {
    /// A container's name or the beginning of its id
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Print JSON: the row of `snapshot --tables confinement`, and its mounts
    #[arg(long)]
    pub json: bool,
}

/// Which names.
///
/// Without NAME, those that the container's engine answers for and those of its hosts file. Each is asked inside the container's
/// network namespace of the resolver in its resolv.conf, as it is, without the search list; the hosts file goes before. A name
/// that the engine does not know is passed on by its resolver and leaves the host: give only such that may. Exit code: 1 when a
/// name has no answer, each with a line on standard error.
#[derive(Debug, Args)]
#[command(after_help = DNS_HELP)]
pub(crate) struct Dns {
    /// A container's name or the beginning of its id
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Names to ask for, addresses to ask for their names; - reads them from standard input
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = DnsFormat::Table)]
    pub format: DnsFormat,
    /// Print JSON: --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Of hostaliases: a wildcard domain whose names hold an address: sslip.io, nip.io, traefik.me, or your own
    #[arg(long, value_name = "SUFFIX", default_value = PROVIDER, value_parser = parse_provider)]
    pub provider: String,
    /// Of curl: ports to write lines for (repeatable)
    #[arg(long, value_name = "PORT", default_values_t = PORTS, value_parser = value::port, allow_negative_numbers = true)]
    pub port: Vec<u16>,
    /// How long each server may take for an answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub timeout: Duration,
}

/// How names are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsFormat {
    /// For people
    Table,
    /// File for HOSTALIASES
    Hostaliases,
    /// Lines for /etc/hosts
    Hosts,
    /// --resolve arguments of curl
    Curl,
    /// --connect-to arguments of curl
    ConnectTo,
    /// NAME=ADDRESS lines
    Env,
    /// Rows of `snapshot --tables dns_name`, and the resolver
    Json,
}

const DNS_HELP: &str = "\
Examples:
  glasshull dns web                                         all names it may use
  curl $(glasshull dns web db --format curl) http://db/     without touching /etc/hosts
  glasshull dns web --format hosts | sudo tee -a /etc/hosts
  glasshull dns web --format hostaliases > a; HOSTALIASES=$PWD/a getent hosts db

HOSTALIASES is read by glibc alone, not by setuid or static programs, and only for names without a dot; its values are names,
so that db becomes 172-18-0-2.sslip.io, which a resolver on the Internet must answer. Where that is not wanted: hosts or curl.";

/// Which veth pairs.
#[derive(Debug, Args)]
pub(crate) struct Veth {
    /// Only pairs with this container, address, MAC, link on the host, bridge or network
    #[arg(value_name = "WHAT")]
    pub what: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Time between the two samples that rates are made from
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
}

/// Whose I/O.
#[derive(Debug, Args)]
#[command(after_help = IO_HELP)]
pub(crate) struct Io {
    /// List at most this many processes
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value::top, allow_negative_numbers = true)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Time between the two samples that rates are made from
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
}

const IO_HELP: &str = "\
READ/s and WRITE/s are bytes to and from storage; READ() and WRITE() are bytes per second through system calls, which the page
cache, pipes and sockets also serve. A process that writes into the cache is charged when the page gets dirty; the disk gets it
later from a kernel thread. What a child moved is added to its parent when it ends: a shell shows a leap then. WAITS is the share of the interval spent
waiting for block I/O, SWAPIN for pages to come back from swap; both need kernel.task_delayacct=1 and count for processes that
start afterwards, SWAPIN also CAP_NET_ADMIN. STATE D cannot be killed until the kernel function beside it returns.";

/// Whose limits.
#[derive(Debug, Args)]
#[command(after_help = LIMITS_HELP)]
pub(crate) struct Limits {
    /// Only this container (name or beginning of its id), with all that holds for it and where each limit comes from
    #[arg(value_name = "CONTAINER")]
    pub container: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Time between the two samples that rates are made from
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
}

const LIMITS_HELP: &str = "\
A limit holds for a control group and all below it: of several on the way up the lowest counts, and `from` names the
group that sets it. FULLEST is what runs out first. THROTTLED is the share of scheduling periods (mostly 100 ms) in
which the quota ran out: the container then stands still until the next, however idle the host is. Memory counts
without inactive page cache, which goes before anybody is killed.

By hand: cat /sys/fs/cgroup/…/memory.max (v1: memory.limit_in_bytes) for each directory up to the top;
systemd-cgls; docker stats; dmesg | grep -i oom. Victims are named with CAP_SYSLOG.";

/// Which wire.
#[derive(Debug, Args)]
pub(crate) struct Wire {
    /// A container, a namespace's name (`ip netns`), a link of the host, or `host` for all of its links
    #[arg(value_name = "CONTAINER|LINK")]
    pub what: String,
    /// Only packets that pass this filter, as tcpdump takes it (several words may stand apart)
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Stop after this time
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time::look, allow_hyphen_values = true)]
    pub duration: Duration,
    /// Stop after this many packets
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = value::packets, allow_negative_numbers = true)]
    pub packets: u32,
    /// Write a pcapng file instead of lines; must not exist; - is standard output (`-w - | wireshark -k -i -`)
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Also what packets carry: names asked for, requests, and all bytes in the file
    #[arg(long)]
    pub payload: bool,
    /// Print a JSON object per packet
    #[arg(long)]
    pub json: bool,
}

/// What to record.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// File to write; must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Stop after this time (5m, 90s, 2h); without it, at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = time::recording, allow_hyphen_values = true)]
    pub duration: Option<Duration>,
    /// Time between two ticks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub interval: Duration,
    /// Also record every thread of every process
    #[arg(long)]
    pub threads: bool,
    /// Leave out the host's own processes (all but containers' and kernel threads), to give the file to others
    #[arg(long)]
    pub(crate) containers_only: bool,
    /// Overwrite FILE if it exists
    #[arg(long)]
    pub force: bool,
}

/// What to play.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Recording to play
    #[arg(value_name = "FILE", required_unless_present = "demo")]
    pub file: Option<PathBuf>,
    /// Play the small recording that is built in
    #[arg(long, conflicts_with = "file")]
    pub demo: bool,
    /// So many times faster than it was
    #[arg(long, default_value_t = 1.0, value_parser = value::speed, allow_negative_numbers = true)]
    pub speed: f32,
    /// End after one pass instead of beginning again
    #[arg(long)]
    pub once: bool,
    /// Where to serve.
    #[command(flatten)]
    pub serve: Serve,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_number_or_address_is_told_what_is_allowed() {
        for (line, allowed) in [
            ("replay --demo --speed -1", "a number from 0.1 to 1000"),
            ("replay --demo --speed 0", "a number from 0.1 to 1000"),
            ("replay --demo --speed NaN", "a number from 0.1 to 1000"),
            ("replay --demo --speed fast", "a number from 0.1 to 1000"),
            ("dns web --port -1", "a number from 1 to 65535"),
            ("dns web --port 0", "a number from 1 to 65535"),
            ("dns web --port http", "a number from 1 to 65535"),
            ("io --top -1", "a number of lines"),
            ("io --top all", "a number of lines"),
            ("wire web --packets -1", "a number from 1 to 50000"),
            ("wire web --packets 0", "a number from 1 to 50000"),
            ("wire web --packets 50001", "a number from 1 to 50000"),
            ("serve --files-limit -1", "a size as 512MiB"),
            ("serve --files-limit 0", "a size as 512MiB"),
            ("files web /etc --limit 1parsec", "a size as 512MiB"),
            ("--bind 7070", "127.0.0.1:7070"),
            ("--bind :7070", "127.0.0.1:7070"),
            ("serve --bind localhost:7070", "127.0.0.1:7070"),
            ("serve --bind 127.0.0.1", "127.0.0.1:7070"),
            ("who 1 --engine tcp://127.0.0.1:2375", "unix:///"),
        ] {
            let words = std::iter::once("glasshull").chain(line.split(' '));
            let why = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(why.contains("invalid value") && why.contains(allowed), "{line}: {why}");
        }
    }

    /// Also those that look like an option.
    #[test]
    fn a_wrong_time_is_told_what_is_allowed() {
        for line in [
            "serve --interval",
            "--interval",
            "replay --demo --interval",
            "snapshot --interval",
            "snapshot --capture",
            "dns web --timeout",
            "findings --watch",
            "veth --interval",
            "io --interval",
            "limits --interval",
            "wire web --for",
            "record f --for",
            "record f --interval",
        ] {
            for bad in ["-1s", "-5", "0s", "abc", "9000h", "--json"] {
                let words = std::iter::once("glasshull").chain(line.split(' ')).chain([bad]);
                let why = Cli::try_parse_from(words).unwrap_err().to_string();
                assert!(why.contains(bad) && why.contains("a time from 1"), "{line} {bad}: {why}");
            }
        }
    }

    #[test]
    fn every_subcommand_takes_engines() {
        for line in
            ["glasshull", "glasshull serve", "glasshull snapshot", "glasshull who 1", "glasshull record f"]
        {
            let words = line.split(' ').chain(["--engine", "unix:///a", "--engine", "unix:///b"]);
            assert_eq!(Cli::try_parse_from(words).unwrap().common.engine.len(), 2, "{line}");
        }
    }
}
