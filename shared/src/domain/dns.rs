//! Names as each container resolves them: how its resolver is set up ([`Resolver`]), what that answers ([`DnsName`]),
//! what the engine says of names ([`Told`], which stays in the agent), and what is asked on the wire ([`DnsSeen`]).

mod seen;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::dns_export::is_host_name;

pub use seen::*;

/// Where Docker answers for names inside of containers: port 53, and the one of each container that it is translated to.
pub const ENGINE_RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Names taken of one hosts file: some block lists are laid down as one.
const NAMES_AT_MOST: usize = 200;

/// Identifies a container's resolver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResolverKey {
    /// Id of the container.
    pub container: String,
}

/// How a container finds names. Source: files below `/proc/PID/root/etc` of its init.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resolver {
    /// Host pid it was read through.
    pub pid: u32,
    /// Inode of the network namespace questions are asked in; `None` when it is hidden.
    pub netns: Option<u64>,
    /// `nameserver` of resolv.conf, in the order they are asked.
    pub nameservers: Vec<String>,
    /// `search` (or `domain`): what is appended to names.
    pub search: Vec<String>,
    /// `options`, as `ndots:5`.
    pub options: Vec<String>,
    /// What stands behind an engine's resolver, as the engine notes it in the file (`host(10.0.0.2)`), else what it was told
    /// for this container (`--dns`); empty when neither tells.
    pub upstreams: Vec<String>,
    /// Lines of the hosts file.
    pub hosts: Vec<HostsLine>,
    /// `hosts:` of nsswitch.conf (`files dns`); `None` without such a file, as in images with musl.
    pub lookup_order: Option<String>,
    /// Why resolv.conf cannot be read; `None` when it can.
    pub hidden: Option<String>,
}

impl Resolver {
    /// The addresses that the hosts file gives to a name, of the family of `record`, where that goes before DNS.
    pub fn in_hosts(&self, name: &str, record: DnsRecord) -> Vec<String> {
        let order = self.lookup_order.as_deref().unwrap_or("files dns");
        let place = |word| order.split_whitespace().position(|one| one == word);
        let files_first = match (place("files"), place("dns")) {
            (Some(files), Some(dns)) => files < dns,
            (files, _) => files.is_some(),
        };
        let named = |line: &&HostsLine| line.names.iter().any(|one| one.eq_ignore_ascii_case(name));
        let lines = self.hosts.iter().filter(named).filter(|_| files_first);
        let of_family = |address: &&String| match record {
            DnsRecord::A => !address.contains(':'),
            DnsRecord::Aaaa => address.contains(':'),
            DnsRecord::Cname | DnsRecord::Ptr => false,
        };
        let mut found: Vec<String> = lines.map(|line| &line.address).filter(of_family).cloned().collect();
        found.sort();
        found.dedup();
        found
    }

    /// Names that the hosts file alone tells of: its own host name, `--link`, `extra_hosts`, a pod's. Without those that every
    /// such file has, and without what no host may be called.
    pub fn names_in_hosts(&self) -> BTreeSet<&str> {
        let all = self.hosts.iter().flat_map(|line| &line.names).map(String::as_str);
        let worth =
            |name: &&str| !name.starts_with("localhost") && !name.starts_with("ip6-") && is_host_name(name);
        all.filter(worth).take(NAMES_AT_MOST).collect()
    }
}

/// A line of a hosts file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostsLine {
    /// The address.
    pub address: String,
    /// Names it gets.
    pub names: Vec<String>,
}

/// Kind of record asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// What the name is another name for.
    Cname,
    /// Names of an address.
    Ptr,
}

impl DnsRecord {
    /// As `dig` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Ptr => "PTR",
        }
    }
}

/// Identifies a question in a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DnsNameKey {
    /// Id of the container it is asked in.
    pub container: String,
    /// The name; of `PTR` the address.
    pub name: String,
    /// What is asked for.
    pub record: DnsRecord,
}

/// How an answer turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsStatus {
    /// Not answered yet.
    #[default]
    Pending,
    /// Answered.
    NoError,
    /// The name exists, but has no such record.
    NoData,
    /// No such name.
    NxDomain,
    /// The server could not find out.
    ServFail,
    /// The server does not want to.
    Refused,
    /// Nobody answered in time.
    Timeout,
    /// What came were no answers to the question: wrong id, another question, garbage.
    Lied,
    /// Nobody listens there, or there is no way to it.
    Unreachable,
    /// Anything else, as a namespace that may not be entered.
    Failed,
    /// Left alone: no resolver, one that is not on this host, or one that has not answered the questions before.
    NotAsked,
}

impl DnsStatus {
    /// As scripts read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::NoError => "noerror",
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
            Self::ServFail => "servfail",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Lied => "lied",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::NotAsked => "notasked",
        }
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsSource {
    /// The container's resolver.
    #[default]
    Dns,
    /// Its hosts file, which goes first.
    Hosts,
}

impl DnsSource {
    /// As scripts read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Hosts => "hosts",
        }
    }
}

/// What is odd about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsOddity {
    /// Another container gets something else for the same name.
    Conflict,
    /// The engine says something else.
    Stale,
    /// The hosts file says something else than DNS.
    Shadowed,
    /// Several containers go by that name on networks of this one.
    Ambiguous,
}

impl DnsOddity {
    /// As scripts read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Stale => "stale",
            Self::Shadowed => "shadowed",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// What is odd, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsMark {
    /// What.
    pub oddity: DnsOddity,
    /// The other answer and whose it is; one line.
    pub evidence: String,
}

/// What a container gets for a name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DnsName {
    /// Addresses or names, sorted.
    pub answers: Vec<String>,
    /// Shortest time to live among the answers, seconds; `None` without one.
    pub ttl_secs: Option<u32>,
    /// From question to answer, seconds; `None` when nothing was asked or came.
    pub latency_secs: Option<f32>,
    /// How it turned out.
    pub status: DnsStatus,
    /// Who answered.
    pub source: DnsSource,
    /// Address of the server that answered or was asked last; `None` when none was.
    pub server: Option<String>,
    /// Nanoseconds since the epoch; `None` when it was not asked.
    pub asked_at: Option<u64>,
    /// Addresses the engine gives to that name on networks of this container; empty when it does not know it.
    pub expected: Vec<String>,
    /// What is odd about it.
    pub marks: Vec<DnsMark>,
}

/// What an engine says of a container's names (`docker inspect`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Networks it is on.
    pub networks: Vec<ToldNetwork>,
    /// Servers that the engine's resolver was told to pass on to (`--dns`); empty for those of the engine's or the host's.
    pub servers: Vec<String>,
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ToldNetwork {
    /// The network's name.
    pub network: String,
    /// The network's id; its name when the engine does not tell.
    pub id: String,
    /// The network's addresses on the host: where Podman's resolver listens.
    pub gateways: Vec<String>,
    /// Its addresses there.
    pub addresses: Vec<String>,
    /// Names it answers to there.
    pub names: Vec<String>,
    /// Names for others that only it may use: the other container's name and what it calls it.
    pub links: Vec<(String, String)>,
}
