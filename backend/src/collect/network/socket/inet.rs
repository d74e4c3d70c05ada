//! TCP, UDP and raw sockets as `inet_diag` tells them: `struct inet_diag_msg`, then attributes. By offset and with a look at the
//! length, since what follows the fixed part grows with the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use glasshull_shared::domain::network::{Socket, SocketKind, SocketProtocol, SocketStat, SocketState};

use super::Row;
use crate::sys::netlink_frame::attributes;

/// `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 56;
/// `struct inet_diag_msg`.
const MESSAGE_BYTES: usize = 72;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_V6ONLY: u16 = 11;
/// All states but `TCP_BOUND_INACTIVE`, which is no socket yet that `ss` would show.
const STATES: u32 = 0xfff;
/// `SK_MEMINFO_DROPS`.
const MEMINFO_DROPS: usize = 8;
const MICRO: u64 = 1000;

/// Asks for all sockets of a family and protocol, with `tcp_info` and drops.
pub(super) fn request(family: u8, protocol: SocketProtocol) -> Vec<u8> {
    let number = match protocol {
        SocketProtocol::Tcp => libc::IPPROTO_TCP,
        SocketProtocol::Udp => libc::IPPROTO_UDP,
        SocketProtocol::Raw | SocketProtocol::Unix | SocketProtocol::Packet => libc::IPPROTO_RAW,
    };
    let wanted = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
    let mut bytes = vec![family, number.to_le_bytes()[0], wanted, 0];
    bytes.extend(STATES.to_ne_bytes());
    bytes.resize(REQUEST_BYTES, 0);
    bytes
}

/// Both ends, and what names a socket: the fixed part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cookie: u64,
    pub(super) state: u8,
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    ifindex: u32,
    queues: (u32, u32),
    uid: u32,
    inode: u32,
}

/// The fixed part; `None` when it is cut short or of another family.
pub(super) fn identity(message: &[u8]) -> Option<Identity> {
    let fixed = message.first_chunk::<MESSAGE_BYTES>()?;
    let address = |at: usize| match i32::from(fixed[0]) {
        libc::AF_INET => Some(IpAddr::V4(Ipv4Addr::from(*fixed.get(at..)?.first_chunk::<4>()?))),
        libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*fixed.get(at..)?.first_chunk::<16>()?))),
        _ => None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*fixed.get(at..)?.first_chunk::<2>()?));
    Some(Identity {
        cookie: u64::from(word(fixed, 44)?) | u64::from(word(fixed, 48)?) << 32,
        state: fixed[1],
        local: (address(8)?, port(4)?),
        remote: (address(24)?, port(6)?),
        ifindex: word(fixed, 40)?,
        queues: (word(fixed, 56)?, word(fixed, 60)?),
        uid: word(fixed, 64)?,
        inode: word(fixed, 68)?,
    })
}

/// A socket; `None` when the message is cut short or of a kind we do not know.
pub(super) fn row(message: &[u8], protocol: SocketProtocol) -> Option<Row> {
    let id = identity(message)?;
    let state = SocketState::from_kernel(id.state)?;
    let (mut v6_only, mut info, mut drops) = (None, None, None);
    for (kind, value) in attributes(message.get(MESSAGE_BYTES..)?) {
        match kind {
            INET_DIAG_V6ONLY => v6_only = value.first().map(|flag| *flag != 0),
            INET_DIAG_INFO => info = Some(value),
            INET_DIAG_SKMEMINFO => drops = word(value, 4 * MEMINFO_DROPS),
            _ => {}
        }
    }
    let has_owner = !matches!(state, SocketState::TimeWait | SocketState::SynRecv);
    let socket = Socket {
        protocol,
        kind: kind(protocol),
        local: end_text(id.local),
        remote: far_end(id.remote, state),
        state,
        v6_only,
        uid: has_owner.then_some(id.uid),
        inode: (id.inode != 0).then_some(id.inode.into()),
        ifindex: (id.ifindex != 0).then_some(id.ifindex),
        ..Socket::default()
    };
    let mut stat = queues(state, id.queues);
    // On a connection the kernel counts other things there.
    stat.dropped = drops.filter(|_| protocol != SocketProtocol::Tcp || state == SocketState::Listen);
    if let Some(info) = info.filter(|_| state != SocketState::Listen) {
        tcp(info, state, &mut stat);
    }
    Some(Row { cookie: id.cookie, socket, stat })
}

/// How a protocol carries what is put in.
pub(super) fn kind(protocol: SocketProtocol) -> SocketKind {
    match protocol {
        SocketProtocol::Tcp | SocketProtocol::Unix => SocketKind::Stream,
        SocketProtocol::Udp => SocketKind::Dgram,
        SocketProtocol::Raw | SocketProtocol::Packet => SocketKind::Raw,
    }
}

/// The queues of a connection or, of one that listens, who waits to be accepted and how many may.
pub(super) fn queues(state: SocketState, (receive, send): (u32, u32)) -> SocketStat {
    if state == SocketState::Listen {
        return SocketStat { backlog: Some(receive), backlog_limit: Some(send), ..SocketStat::default() };
    }
    SocketStat {
        receive_queue_bytes: Some(receive.into()),
        send_queue_bytes: Some(send.into()),
        ..SocketStat::default()
    }
}

/// What `tcp_info` says of the bytes and the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Bytes of the stream sent, each once.
    pub(super) sent: Option<u64>,
    /// Bytes confirmed by the other end; its SYN and FIN count.
    pub(super) confirmed: Option<u64>,
    /// Bytes received; the FIN counts.
    pub(super) received: Option<u64>,
    pub(super) rtt_nanos: Option<u64>,
    pub(super) retransmits: Option<u32>,
}

/// From the bytes of `struct tcp_info`, as far as this kernel fills it.
pub(super) fn counts(info: &[u8]) -> Counts {
    let confirmed = long(info, 120);
    let once = long(info, 200).zip(long(info, 208)).map(|(sent, again)| sent.saturating_sub(again));
    Counts {
        sent: once.or(confirmed),
        confirmed,
        received: long(info, 128),
        rtt_nanos: word(info, 68).filter(|rtt| *rtt != 0).map(|rtt| u64::from(rtt) * MICRO),
        retransmits: word(info, 100),
    }
}

/// `tcp_info` out of the attributes of a message of the destroy group.
pub(super) fn info(message: &[u8]) -> Option<&[u8]> {
    let found = attributes(message.get(MESSAGE_BYTES..)?).find(|(kind, _)| *kind == INET_DIAG_INFO);
    found.map(|(_, value)| value)
}

fn tcp(info: &[u8], state: SocketState, stat: &mut SocketStat) {
    let counts = counts(info);
    stat.rtt_nanos = counts.rtt_nanos;
    stat.rtt_var_nanos =
        word(info, 72).filter(|_| stat.rtt_nanos.is_some()).map(|var| u64::from(var) * MICRO);
    stat.retransmits = counts.retransmits;
    stat.lost = word(info, 32);
    stat.cwnd = word(info, 80);
    stat.mss_bytes = word(info, 16);
    stat.sent_bytes = counts.sent;
    let fin = u64::from(state.other_end_closed());
    stat.received_bytes = counts.received.map(|received| received.saturating_sub(fin));
    stat.delivery_bytes_per_sec = long(info, 160).filter(|rate| *rate != 0);
}

/// The other end; `None` when there is none.
pub(super) fn far_end(end: (IpAddr, u16), state: SocketState) -> Option<String> {
    let none = state == SocketState::Listen || (end.0.is_unspecified() && end.1 == 0);
    (!none).then(|| end_text(end))
}

/// `172.18.0.2:80`, `[::]:80`; `*` for any port.
pub(super) fn end_text((address, port): (IpAddr, u16)) -> String {
    let port = if port == 0 { "*".to_owned() } else { port.to_string() };
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk::<8>()?))
}

#[cfg(test)]
mod tests;
