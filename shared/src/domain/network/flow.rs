//! Flows: who talks to whom over which link. Source: packets captured on the links while somebody looks (`AF_PACKET` through
//! libpcap, headers only); who the ends are is joined by `model::flow`.
//!
//! A packet that passes several links (both ends of a veth pair, a bridge, the wire) is counted on each that is looked at:
//! numbers of one link can be added up, those of several cannot.

use serde::{Deserialize, Serialize};

/// What is inside a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6, with neighbour discovery.
    Icmpv6,
    /// Who has which IPv4 address.
    Arp,
    /// Another protocol inside IP, by its number (`/etc/protocols`).
    Ip(u8),
    /// No IP at all, by its Ethertype: 0x88cc is LLDP.
    Ether(u16),
}

impl Protocol {
    /// Number of a protocol for which IPv4 and IPv6 have one; `None` for ARP and what is not in IP.
    pub fn number(self) -> Option<u8> {
        match self {
            Self::Tcp => Some(6),
            Self::Udp => Some(17),
            Self::Icmp => Some(1),
            Self::Icmpv6 => Some(58),
            Self::Ip(number) => Some(number),
            Self::Arp | Self::Ether(_) => None,
        }
    }
}

/// As filters and JSON have it: `tcp`, `udp`, `icmp`, `icmpv6`, `arp`, else `132` or `0x88cc`.
impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp => f.pad("tcp"),
            Self::Udp => f.pad("udp"),
            Self::Icmp => f.pad("icmp"),
            Self::Icmpv6 => f.pad("icmpv6"),
            Self::Arp => f.pad("arp"),
            Self::Ip(number) => f.pad(&number.to_string()),
            Self::Ether(kind) => f.pad(&format!("{kind:#06x}")),
        }
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.to_string()
    }
}

/// Text no version writes becomes protocol 255, which IANA keeps free.
impl From<String> for Protocol {
    fn from(text: String) -> Self {
        let ether = || u16::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        match text.as_str() {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "icmp" => Self::Icmp,
            // As the kernel's tables of protocols and connection tracking call it.
            "icmpv6" | "ipv6-icmp" => Self::Icmpv6,
            "arp" => Self::Arp,
            other => ether().map_or_else(|| Self::Ip(other.parse().unwrap_or(u8::MAX)), Self::Ether),
        }
    }
}

/// A conversation as one link sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowKey {
    /// Namespace of the link.
    pub netns: u64,
    /// Its number there.
    pub link_ifindex: u32,
    /// What is inside.
    pub protocol: Protocol,
    /// Who opened it: `10.0.0.2:41234`, `[fe80::1]:546`; without a port for protocols that have none, a MAC address where there
    /// is no IP. Seen to open it (SYN, request), else the end with the higher port, else who was seen to send first.
    pub source: String,
    /// The other end; empty where the packet does not tell.
    pub destination: String,
}

/// Who the ends of a flow are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flow {
    /// Id of the container that has the source's address; `None` when none has, or when it cannot be told which.
    pub source_container: Option<String>,
    /// As above, of the destination.
    pub destination_container: Option<String>,
    /// What to call the source: `web.front` (container and network), `host`; with a dot at its end (`example.org.`) the name for
    /// which a DNS answer on the wire told the other end this address; `None` for addresses that nothing here has or was told.
    pub source_name: Option<String>,
    /// As above, of the destination.
    pub destination_name: Option<String>,
    /// Process at the source, on the host; `None` when its socket was not found.
    pub source_pid: Option<u32>,
    /// As above, at the destination.
    pub destination_pid: Option<u32>,
    /// Instant of the first packet that was captured, nanoseconds since the epoch.
    pub first_seen_at: u64,
    /// Whether the source was seen to open it: false when it was under way before somebody looked.
    pub opening_seen: bool,
    /// The end that truly opened it where an address translation stands between (masquerade): the same on both sides of it;
    /// `None` when `source` is that end, or nothing is known. Names and containers are those of the true ends. Source:
    /// connection tracking.
    pub true_source: Option<String>,
    /// As above, of the end that truly answers (published ports).
    pub true_destination: Option<String>,
}

impl Flow {
    /// Both ends as they are beyond all translation: the same for both sides of one.
    pub fn ends<'a>(&'a self, key: &'a FlowKey) -> (&'a str, &'a str) {
        let source = self.true_source.as_ref().unwrap_or(&key.source);
        (source, self.true_destination.as_ref().unwrap_or(&key.destination))
    }
}

/// How far a TCP connection is, as far as its packets were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// SYN, no answer yet.
    Opening,
    /// Both ends talk.
    Open,
    /// One end has said that it is done.
    Closing,
    /// Both ends are done.
    Closed,
    /// Refused or broken off (RST).
    Reset,
}

impl FlowState {
    /// As shown and as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
        }
    }
}

/// What passes in a flow; counts since it was first seen. Bytes are those the link itself counts (`IFLA_STATS64`): with the
/// Ethernet header, except on `lo`. Segments that the kernel has not cut yet (GSO) count as one packet, as there.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FlowStat {
    /// Bytes from the source.
    pub sent_bytes: u64,
    /// Bytes to the source.
    pub received_bytes: u64,
    /// Packets from the source.
    pub sent_packets: u64,
    /// Packets to the source.
    pub received_packets: u64,
    /// Derived; `None` on the first sample.
    pub sent_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub received_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub sent_packets_per_sec: Option<f32>,
    /// Derived; as above.
    pub received_packets_per_sec: Option<f32>,
    /// Instant of the last packet, nanoseconds since the epoch.
    pub last_seen_at: u64,
    /// TCP flags seen in either direction, as bits of the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub tcp_flags: u8,
    /// How far a TCP connection is; `None` for other protocols.
    pub state: Option<FlowState>,
}

impl FlowStat {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.sent_bytes.saturating_add(self.received_bytes)
    }

    /// Packets both ways.
    pub fn packets(&self) -> u64 {
        self.sent_packets.saturating_add(self.received_packets)
    }

    /// Bytes per second both ways; `None` while neither is known.
    pub fn bytes_per_sec(&self) -> Option<f32> {
        Some(self.sent_bytes_per_sec? + self.received_bytes_per_sec?)
    }

    /// Flags seen, as tcpdump spells them out: `SYN,ACK`.
    pub fn flag_names(&self) -> String {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let seen = NAMES.iter().enumerate().filter(|(bit, _)| self.tcp_flags >> bit & 1 == 1);
        seen.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
    }
}

/// The capture that flows are made from. One row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capture {
    /// Packets accounted since it began.
    pub packets: u64,
    /// Packets that the kernel dropped because we were too slow: bytes and packets of flows miss them. What interfaces drop
    /// before anybody can see it, `link_stat` counts.
    pub dropped: u64,
    /// Packets too short or too odd to tell whose they are.
    pub malformed: u64,
    /// Flows known now.
    pub flows: u32,
    /// Flows known but not in the table, which holds the busiest ones.
    pub flows_left_out: u32,
    /// Packets of flows for which there was no room.
    pub packets_left_out: u64,
    /// Instant it began, nanoseconds since the epoch.
    pub since_at: u64,
    /// Bytes of each packet that are looked at.
    pub snaplen: u32,
    /// Namespaces in which packets are captured: the host's whole, others where no link on the host's side shows them (`lo`,
    /// macvlan).
    pub namespaces: Vec<u64>,
    /// Links beyond the bound on open captures, whose flows are missing.
    pub links_left_out: u32,
    /// Why nothing is captured where something should be; `None` when all goes well.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_survive_their_text() {
        let all = [
            Protocol::Tcp,
            Protocol::Udp,
            Protocol::Icmp,
            Protocol::Icmpv6,
            Protocol::Arp,
            Protocol::Ip(132),
            Protocol::Ether(0x88cc),
            Protocol::Ether(0),
        ];
        for protocol in all {
            assert_eq!(Protocol::from(protocol.to_string()), protocol);
        }
        assert_eq!(Protocol::from("what?".to_owned()), Protocol::Ip(255));
    }

    #[test]
    fn flags_are_spelled_out() {
        let stat = FlowStat { tcp_flags: 0b1_0010, ..FlowStat::default() };
        assert_eq!(stat.flag_names(), "SYN,ACK");
        assert_eq!(FlowStat::default().flag_names(), "");
    }
}
