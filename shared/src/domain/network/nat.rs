//! Network address translation: its rules, the ports published through them, and connections that are translated.
//! Sources: nf_tables over netlink, legacy iptables over `getsockopt`, ctnetlink, in each network namespace; ports come from
//! the engines. Chains of hops and dead marks are joined by `model::nat`.

use serde::{Deserialize, Serialize};

/// Which of the kernel's two rule engines holds a rule. Both may be in use at once; a packet passes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatOrigin {
    /// `nft`, and `iptables` where it is iptables-nft.
    #[default]
    Nftables,
    /// iptables-legacy.
    Legacy,
}

impl NatOrigin {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Legacy => "legacy",
        }
    }
}

/// A rule that translates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NatRuleKey {
    /// The namespace it works in.
    pub netns: u64,
    /// Whose rule it is.
    pub origin: NatOrigin,
    /// `ip`, `ip6` or `inet`.
    pub family: String,
    /// Its table, mostly `nat`.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its place in the chain, from 1, as `iptables -L --line-numbers` counts.
    pub position: u32,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatKind {
    /// Another destination.
    #[default]
    Dnat,
    /// Another source.
    Snat,
    /// The source becomes the address of the link it leaves by.
    Masquerade,
    /// The destination becomes this host.
    Redirect,
    /// One range of addresses becomes another.
    Netmap,
}

impl NatKind {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnat => "dnat",
            Self::Snat => "snat",
            Self::Masquerade => "masquerade",
            Self::Redirect => "redirect",
            Self::Netmap => "netmap",
        }
    }
}

/// What a rule says and how often it was used. A condition that is negated begins with `!`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NatRule {
    /// What it does.
    pub kind: NatKind,
    /// `tcp`, `udp`, …; `None` for any.
    pub protocol: Option<String>,
    /// Link a packet must come in by; `None` for any. A `+` at the end stands for any ending.
    pub in_link: Option<String>,
    /// Link a packet must leave by; `None` for any.
    pub out_link: Option<String>,
    /// Address or network it must come from; `None` for any.
    pub source: Option<String>,
    /// Address or network it must go to; `None` for any.
    pub destination: Option<String>,
    /// Port or range it must come from; `None` for any.
    pub source_port: Option<String>,
    /// Port or range it must go to; `None` for any.
    pub port: Option<String>,
    /// What it becomes: `172.18.0.2:80`; `None` when the rule leaves it to the kernel (masquerade).
    pub to: Option<String>,
    /// The whole rule in the manner of `iptables -S`, conditions we do not read by their name.
    pub text: String,
    /// Packets that matched: the first of each connection; `None` for a rule without counter.
    pub packets: Option<u64>,
    /// Bytes of these.
    pub bytes: Option<u64>,
    /// Id of the container its target address belongs to; `None` when there is none.
    pub container: Option<String>,
    /// Why it leads nowhere; `None` for rules that are well or of which that cannot be told.
    pub dead: Option<String>,
}

/// A port through which a container is reached from outside its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPortKey {
    /// The namespace it is published in: that of the host, unless a rule elsewhere publishes it.
    pub netns: u64,
    /// Id of the container; `None` for a rule whose target is no container's.
    pub container: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address it is published on: `0.0.0.0` and `::` for all.
    pub host_address: String,
    /// Port it is published on.
    pub host_port: u16,
}

/// A published port and the way of a packet through it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Port inside the container.
    pub container_port: u16,
    /// Where a packet passes, in its order.
    pub hops: Vec<Hop>,
    /// Why nobody is reached: the reason of the first dead hop; `None` when all hops are well as far as is known.
    pub dead: Option<String>,
}

/// What a packet passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// The address and port on the host.
    #[default]
    HostPort,
    /// A rule that gives it its new destination.
    Rule,
    /// A process that passes it on: docker-proxy, rootlessport, slirp4netns, pasta.
    Proxy,
    /// The namespace's routing (`ip_forward`).
    Routing,
    /// The bridge.
    Bridge,
    /// The veth pair.
    Veth,
    /// Who listens in the container.
    Listener,
}

impl HopKind {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::HostPort => "host_port",
            Self::Rule => "rule",
            Self::Proxy => "proxy",
            Self::Routing => "routing",
            Self::Bridge => "bridge",
            Self::Veth => "veth",
            Self::Listener => "listener",
        }
    }
}

/// One station on the way to a published port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hop {
    /// What it is.
    pub kind: HopKind,
    /// As shown: `DNAT to 172.18.0.2:80`, `lab0`, `httpd (1234) :80`.
    pub text: String,
    /// Namespace it is in; `None` when not known.
    pub netns: Option<u64>,
    /// Its link there; `None` when it is no link or not known.
    pub ifindex: Option<u32>,
    /// Its process; `None` when it is no process or not known.
    pub pid: Option<u32>,
    /// Its container; `None` when it belongs to none.
    pub container: Option<String>,
    /// Packets counted there; `None` when it has no counter.
    pub packets: Option<u64>,
    /// Bytes counted there.
    pub bytes: Option<u64>,
    /// Why a packet ends here; `None` when it goes on, as far as is known.
    pub dead: Option<String>,
    /// What mends it; `None` when it is well or nothing simple does.
    pub remedy: Option<String>,
}

/// A connection that is translated: its reply does not come from where it was sent to, or goes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TranslationKey {
    /// The namespace that translates.
    pub netns: u64,
    /// `tcp`, `udp`, `icmp`, …
    pub protocol: String,
    /// Who began it: address and port (`[::1]:80` for IPv6), an address alone where there are no ports.
    pub source: String,
    /// Whom it was sent to, before translation.
    pub destination: String,
}

/// What becomes of a translated connection. Source: ctnetlink, or `/proc/net/nf_conntrack`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Translation {
    /// Who answers: the true destination.
    pub reply_source: String,
    /// Whom the answers are sent to: the source as the destination sees it.
    pub reply_destination: String,
    /// State of the connection (`ESTABLISHED`, `TIME_WAIT`…); `None` where the protocol has none.
    pub state: Option<String>,
    /// Seconds until the kernel forgets it when nothing passes; `None` when it does not tell.
    pub timeout_secs: Option<u32>,
    /// Packets both ways; `None` while `net.netfilter.nf_conntrack_acct` is 0.
    pub packets: Option<u64>,
    /// Bytes both ways; `None` as above.
    pub bytes: Option<u64>,
    /// Id of the container at the true end; `None` when none is known there.
    pub container: Option<String>,
}
