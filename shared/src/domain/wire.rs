//! Looking into a wire: packets with decoded headers and the streams they carry. Source: a packet socket on one link or on all
//! links of a network namespace, open while somebody looks; none of it is a table and no recording holds any.
//!
//! A look is a conversation of its own: the client gives [`Order`]s, the agent tells [`Sight`]s.

use serde::{Deserialize, Serialize};

/// When a look ends by itself; whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time, seconds.
    pub secs: u32,
    /// Packets.
    pub packets: u32,
    /// Bytes kept of all packets together: all of them with payload, the headers without.
    pub bytes: u32,
}

impl Limits {
    /// What a look gets that asks for nothing else.
    pub const USUAL: Self = Self { secs: 60, packets: 5_000, bytes: 4 << 20 };
    /// What nothing may exceed: packets are kept in memory while somebody looks at them.
    pub const MOST: Self = Self { secs: 600, packets: 50_000, bytes: 16 << 20 };

    /// Within what is allowed.
    pub fn bounded(self) -> Self {
        Self {
            secs: self.secs.clamp(1, Self::MOST.secs),
            packets: self.packets.clamp(1, Self::MOST.packets),
            bytes: self.bytes.clamp(1, Self::MOST.bytes),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Where to look and how long.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Inode of the network namespace.
    pub netns: u64,
    /// Link there; `None` for all of its links.
    pub ifindex: Option<u32>,
    /// Filter as `tcpdump` takes it (pcap-filter(7)); empty for everything.
    pub filter: String,
    /// When it ends by itself.
    pub limits: Limits,
    /// Keep what packets carry, not only their headers; refused unless the agent allows it.
    pub payload: bool,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Begin; the first order of a look and the only one that may be first.
    Start(Start),
    /// Take no more packets; what was taken can still be looked at.
    Stop,
    /// Show all headers of a packet.
    Detail {
        /// Its number.
        number: u32,
    },
    /// Show the stream of a conversation from its beginning, and whatever comes; replaces the one before.
    Follow {
        /// As packets name it.
        conversation: u32,
    },
    /// Show no stream any more.
    Unfollow,
}

/// Which way a packet went, as far as the kernel tells: only with all links at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// It came in by the link.
    In,
    /// It left by the link.
    Out,
}

/// A packet in one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacketRow {
    /// Counts packets of this look from 1.
    pub number: u32,
    /// When the kernel saw it, nanoseconds since the epoch.
    pub at: u64,
    /// Link it was seen on.
    pub ifindex: u32,
    /// Which way; `None` when one link is looked at: it does not tell.
    pub way: Option<Way>,
    /// Bytes on the wire, with the link's header where it has one.
    pub length: u32,
    /// Who sent it: address and port, or hardware address.
    pub source: String,
    /// To whom.
    pub destination: String,
    /// `TCP`, `UDP`, `ARP`, `HTTP`, `DNS`, …
    pub protocol: String,
    /// The rest as `tcpdump` prints it; printable.
    pub info: String,
    /// The conversation it belongs to; `None` for what is neither TCP nor UDP.
    pub conversation: Option<u32>,
}

/// One header of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layer {
    /// `Ethernet`, `IPv4`, `TCP`, …
    pub name: String,
    /// Names and values of its fields, as people write them; printable.
    pub fields: Vec<(String, String)>,
}

/// A packet in full.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacketDetail {
    /// Its number.
    pub number: u32,
    /// Bytes on the wire.
    pub length: u32,
    /// Its headers, outermost first.
    pub layers: Vec<Layer>,
    /// The bytes kept, values of secret HTTP headers masked; `None` without payload.
    pub bytes: Option<Vec<u8>>,
}

/// Which end of a conversation sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one that opened it; when that was not seen, the one that spoke first.
    First,
    /// The other.
    Second,
}

/// A part of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Bytes in their order; values of secret HTTP headers are masked with `*`.
    Data(Vec<u8>),
    /// So many bytes passed that we did not get.
    Gap(u64),
    /// What was recognised in the bytes that follow: the first line of an HTTP message, a DNS question or answer.
    Note(String),
    /// The beginning was not seen: the bytes before have no number.
    Middle,
    /// This side has sent its last byte.
    Fin,
    /// This side broke the connection off.
    Reset,
    /// More passed than is shown.
    Cut,
}

/// A part of a stream, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The conversation.
    pub conversation: u32,
    /// Who sent it.
    pub side: Side,
    /// When the packet that brought it was seen, nanoseconds since the epoch.
    pub at: u64,
    /// What.
    pub piece: Piece,
}

/// How a look is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WireStat {
    /// Packets taken.
    pub packets: u32,
    /// Bytes kept of them.
    pub bytes: u32,
    /// Bytes they had on the wire.
    pub wire_bytes: u64,
    /// Packets the kernel had no room for: they passed unseen.
    pub dropped: u64,
    /// Packets taken whose line was not sent because this client reads too slowly.
    pub unsent: u32,
    /// Time since the start, nanoseconds.
    pub elapsed_nanos: u64,
}

/// Why a look took its last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The client said so.
    Stopped,
    /// Its time is over.
    Time,
    /// It has taken as many packets as it may.
    Packets,
    /// It has kept as many bytes as it may.
    Bytes,
    /// The link or the namespace has gone.
    Gone,
}

/// Why there is nothing to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The filter is none; what the compiler says.
    Filter(String),
    /// A capability is missing; which, and how to grant it.
    Permission(String),
    /// No such link or namespace.
    Gone(String),
    /// Payload was asked for and is not allowed.
    Payload,
    /// Too many look already.
    Busy,
    /// A recording holds no packets.
    Recording,
    /// Anything else.
    Failed(String),
}

/// What the agent tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// First of all, before any order: what may be asked for.
    Ready {
        /// Whether payload may be looked at (`--allow-payload`).
        payload: bool,
    },
    /// It has begun.
    Started {
        /// As bounded.
        limits: Limits,
        /// Whether payload is kept.
        payload: bool,
        /// Numbers and names of the links looked at.
        links: Vec<(u32, String)>,
        /// Addresses and whose they are.
        names: Vec<(String, String)>,
    },
    /// Packets, oldest first.
    Packets(Vec<PacketRow>),
    /// Answer to [`Order::Detail`]; nothing answers a number that was never given.
    Detail(PacketDetail),
    /// Begins the answer to [`Order::Follow`]: who talks, the first side first.
    Follows {
        /// The conversation.
        conversation: u32,
        /// Addresses and ports of both sides.
        ends: [String; 2],
    },
    /// The next part of the stream followed.
    Chunk(Chunk),
    /// How it is doing.
    Stat(WireStat),
    /// No more packets will come.
    Ended(Ended),
    /// It did not begin, or broke off.
    Refused(Refusal),
}
