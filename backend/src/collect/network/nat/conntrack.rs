//! Connections that are translated: `IPCTNL_MSG_CT_GET`, or `/proc/net/nf_conntrack` where the kernel refuses that.

use std::net::{IpAddr, SocketAddr};

use glasshull_shared::domain::network::{Translation, TranslationKey};

use super::draft::{address, protocol};
use crate::sys::netlink_frame::attribute;

/// Translations kept; a busy gateway has hundreds of thousands.
const KEPT_AT_MOST: usize = 4096;
/// Connections of a namespace that are looked at, translated or not; the kernel's table may hold millions.
pub(super) const READ_AT_MOST: usize = 65_536;
/// `enum tcp_conntrack`.
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// Translations read so far.
#[derive(Debug, Default)]
pub(super) struct Translations {
    pub(super) rows: Vec<(TranslationKey, Translation)>,
    /// Those beyond the bound.
    pub(super) left_out: usize,
    /// Connections looked at.
    pub(super) read: usize,
}

/// Connections that were not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// So many more by the kernel's own count.
    Counted(u64),
    /// The count cannot be read.
    Unknown,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tuple {
    protocol: u8,
    source: (IpAddr, Option<u16>),
    destination: (IpAddr, Option<u16>),
}

impl Translations {
    /// Takes one connection of the dump; false when it was the last that is looked at.
    pub(super) fn take(&mut self, netns: u64, connection: &[u8]) -> bool {
        self.enter(netns, connection);
        self.counts()
    }

    /// Takes one line of `/proc/net/nf_conntrack`; as [`Self::take`].
    pub(super) fn take_line(&mut self, netns: u64, line: &str) -> bool {
        self.enter_line(netns, line);
        self.counts()
    }

    /// How many more there are, when the kernel has `all`; `None` when none is left out by what is known.
    pub(super) fn unread(&self, all: Option<u64>) -> Option<Unread> {
        if self.read < READ_AT_MOST {
            return None;
        }
        match all.map(|all| all.saturating_sub(self.read as u64)) {
            Some(0) => None,
            Some(more) => Some(Unread::Counted(more)),
            None => Some(Unread::Unknown),
        }
    }

    fn counts(&mut self) -> bool {
        self.read += 1;
        self.read < READ_AT_MOST
    }

    fn enter(&mut self, netns: u64, connection: &[u8]) {
        let tuples = attribute(connection, 1).and_then(tuple).zip(attribute(connection, 2).and_then(tuple));
        let Some((original, reply)) = tuples else { return };
        let counters = |kind, field| {
            let number = attribute(attribute(connection, kind)?, field)?;
            number.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
        };
        let both = |field| Some(counters(9, field)?.saturating_add(counters(10, field)?));
        let state =
            attribute(connection, 4).and_then(|info| attribute(info, 1)).and_then(|tcp| attribute(tcp, 1));
        let state = state.and_then(|state| TCP_STATES.get(usize::from(*state.first()?)));
        let timeout = attribute(connection, 7).and_then(|bytes| bytes.first_chunk::<4>());
        let row = Translation {
            state: state.map(|state| (*state).to_owned()),
            timeout_secs: timeout.map(|bytes| u32::from_be_bytes(*bytes)),
            packets: both(1),
            bytes: both(2),
            ..Translation::default()
        };
        self.put(netns, original, reply, row);
    }

    fn enter_line(&mut self, netns: u64, line: &str) {
        let mut words = line.split_whitespace().skip(3);
        let number = words.next().and_then(|word| word.parse().ok());
        let timeout_secs = words.next().and_then(|word| word.parse().ok());
        let words: Vec<&str> = words.collect();
        let state = words.first().filter(|word| TCP_STATES.contains(word)).map(|word| (*word).to_owned());
        let value = |name: &str, nth| {
            words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).nth(nth)
        };
        let end = |ip: &str, port: &str, nth| {
            Some((value(ip, nth)?.parse().ok()?, value(port, nth).and_then(|port| port.parse().ok())))
        };
        let tuple = |nth| {
            let (source, destination) = (end("src", "sport", nth)?, end("dst", "dport", nth)?);
            Some(Tuple { protocol: number?, source, destination })
        };
        let count = |name: &str| {
            let of = |nth| value(name, nth)?.parse::<u64>().ok();
            Some(of(0)?.saturating_add(of(1)?))
        };
        if let Some((original, reply)) = tuple(0).zip(tuple(1)) {
            let (packets, bytes) = (count("packets"), count("bytes"));
            let row = Translation { state, timeout_secs, packets, bytes, ..Translation::default() };
            self.put(netns, original, reply, row);
        }
    }

    fn put(&mut self, netns: u64, original: Tuple, reply: Tuple, row: Translation) {
        if (original.source, original.destination) == (reply.destination, reply.source) {
            return;
        }
        if self.rows.len() >= KEPT_AT_MOST {
            self.left_out += 1;
            return;
        }
        let key = TranslationKey {
            netns,
            protocol: protocol(original.protocol),
            source: text(original.source),
            destination: text(original.destination),
        };
        let (reply_source, reply_destination) = (text(reply.source), text(reply.destination));
        self.rows.push((key, Translation { reply_source, reply_destination, ..row }));
    }
}

fn text((address, port): (IpAddr, Option<u16>)) -> String {
    port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string())
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    let (ip, transport) = (attribute(bytes, 1)?, attribute(bytes, 2)?);
    let end = |v4, v6| attribute(ip, v4).or_else(|| attribute(ip, v6)).and_then(address);
    let port = |kind| attribute(transport, kind)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
    let source = (end(1, 3)?, port(2));
    let destination = (end(2, 4)?, port(3));
    Some(Tuple { protocol: *attribute(transport, 1)?.first()?, source, destination })
}
