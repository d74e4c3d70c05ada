//! The network: namespaces, links, neighbours and routes. Source: rtnetlink in each network namespace; relations (whose
//! namespace, which peer, which network) are joined by `model::network`. Sockets are in a file of their own.
//!
//! A network namespace is named by its inode in `nsfs`, as `lsns` and `/proc/PID/ns/net` print it. The kernel gives the
//! inode number of one that has ended to the next: whether it is the same is told by who is in it (`collect::network`).

mod flow;
mod nat;
mod socket;

use serde::{Deserialize, Serialize};

pub use flow::*;
pub use nat::*;
pub use socket::*;

/// A network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetnsKey {
    /// Inode in `nsfs`.
    pub netns: u64,
}

/// What a network namespace is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Netns {
    /// The host's own: the one of the agent.
    pub host: bool,
    /// Its name below `/run/netns` (`ip netns`); `None` when it has none.
    pub name: Option<String>,
    /// A process that is in it, on the host; `None` when none is (a bind mount keeps it alive).
    pub pid: Option<u32>,
    /// Processes in it, as far as they may be seen.
    pub processes: u32,
    /// Ids of the containers in it, its owner first; several share it (pods, `--net container:`).
    pub containers: Vec<String>,
    /// `net.ipv4.ip_forward` in it; `None` when it cannot be read.
    pub ip_forward: Option<bool>,
    /// Why its links cannot be read; `None` when they can.
    pub hidden: Option<String>,
}

/// A network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkKey {
    /// The namespace it is in.
    pub netns: u64,
    /// Its number there.
    pub ifindex: u32,
}

/// Whether packets can pass (`IFLA_OPERSTATE`, RFC 2863).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperState {
    /// The driver does not tell; usual for `lo` and tun devices that work.
    #[default]
    Unknown,
    /// Packets pass.
    Up,
    /// No carrier or set down.
    Down,
    /// A link below it is down.
    LowerLayerDown,
    /// Waits for an event, for instance 802.1X.
    Dormant,
    /// In a test mode.
    Testing,
    /// Hardware is not there.
    NotPresent,
}

impl OperState {
    /// As `ip link` prints it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Dormant => "dormant",
            Self::Testing => "testing",
            Self::NotPresent => "notpresent",
        }
    }
}

/// What rarely changes about a link.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// `IFLA_IFNAME`.
    pub name: String,
    /// `veth`, `bridge`, `macvlan`, … (`IFLA_INFO_KIND`); `loopback` and `physical` for links without one.
    pub kind: String,
    /// Driver of a physical link (`ETHTOOL_GDRVINFO`); `None` for virtual ones and when it does not tell.
    pub driver: Option<String>,
    /// Its version, from the same source; drivers of the kernel's own tree mostly tell the kernel's. `None` when it has none.
    pub driver_version: Option<String>,
    /// Whether packets can pass.
    pub state: OperState,
    /// Set up by the administrator (`IFF_UP`).
    pub up: bool,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Hardware address as `ip link` prints it; `None` for links without one.
    pub mac: Option<String>,
    /// Addresses with prefix length, IPv4 first.
    pub addresses: Vec<String>,
    /// Bridge, bond or VRF it is a port of: its ifindex in the same namespace; `None` when it is no port.
    pub master: Option<u32>,
    /// Other end of a veth pair: its namespace; `None` for other kinds, and while it is not known or hidden.
    pub peer_netns: Option<u64>,
    /// Other end of a veth pair: its ifindex there.
    pub peer_ifindex: Option<u32>,
    /// Link that this one rides on (macvlan, vlan, vxlan): its namespace.
    pub lower_netns: Option<u64>,
    /// Link that this one rides on: its ifindex there.
    pub lower_ifindex: Option<u32>,
    /// Id of the container it belongs to: that of its namespace, for the host's end of a veth pair that of the other end's.
    pub container: Option<String>,
    /// Network of the engine it is part of (`docker network ls`).
    pub network: Option<String>,
    /// `ip link … alias`.
    pub alias: Option<String>,
}

/// What passes over a link; counters since it was made. Source: `IFLA_STATS64`. Seen from the link itself: what the host's
/// end of a veth pair receives, the container has sent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LinkStat {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Received packets that were broken.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Received packets thrown away for lack of room or interest.
    pub rx_dropped: u64,
    /// Packets thrown away before sending.
    pub tx_dropped: u64,
    /// Derived; `None` on the first sample and after a counter went back.
    pub rx_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub tx_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub rx_packets_per_sec: Option<f32>,
    /// Derived; as above.
    pub tx_packets_per_sec: Option<f32>,
}

/// An entry of a neighbour table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NeighbourKey {
    /// Whose table.
    pub netns: u64,
    /// On which link.
    pub ifindex: u32,
    /// IPv4 or IPv6 address.
    pub address: String,
}

/// How sure the kernel is of a neighbour (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NeighbourState {
    /// Asked for, no answer yet.
    Incomplete,
    /// Confirmed of late.
    Reachable,
    /// Not confirmed of late; used all the same.
    Stale,
    /// Stale and just used: waits for a confirmation by itself.
    Delay,
    /// Asks again.
    Probe,
    /// Nobody answered.
    Failed,
    /// No resolution on this link.
    Noarp,
    /// Set by hand.
    Permanent,
    /// A state this version does not know.
    #[default]
    None,
}

impl NeighbourState {
    /// As `ip neigh` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Noarp => "NOARP",
            Self::Permanent => "PERMANENT",
            Self::None => "NONE",
        }
    }
}

/// Who answers for an address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Neighbour {
    /// Hardware address; `None` while unresolved.
    pub mac: Option<String>,
    /// How sure.
    pub state: NeighbourState,
    /// Marked as a router (IPv6).
    pub router: bool,
    /// Hardware address it had before, when that changed while we watched.
    pub mac_before: Option<String>,
    /// How many addresses the same hardware address answers for on this link, of those of the same family (IPv6: and scope);
    /// 1 is usual.
    pub addresses_of_mac: u32,
    /// Id of the container whose link has this address.
    pub container: Option<String>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteKey {
    /// Whose.
    pub netns: u64,
    /// Routing table: 254 is `main`.
    pub table: u32,
    /// `default` or an address with prefix length.
    pub destination: String,
    /// Smaller wins.
    pub metric: u32,
    /// Link it leaves by; 0 for none.
    pub ifindex: u32,
    /// Gateway; `None` when the destination is on the link.
    pub gateway: Option<String>,
}

/// What a route says besides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Route {
    /// `unicast`, `local`, `blackhole`, `unreachable`, …
    pub kind: String,
    /// Address packets are sent from; `None` when the kernel chooses.
    pub source: Option<String>,
    /// Who made it: `kernel`, `boot`, `static`, `dhcp`, …
    pub protocol: String,
}
