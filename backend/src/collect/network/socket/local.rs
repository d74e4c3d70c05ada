//! Unix and packet sockets as `unix_diag` and `packet_diag` tell them.

use glasshull_shared::domain::network::{Socket, SocketKind, SocketProtocol, SocketStat, SocketState};
use glasshull_shared::unit::printable_bytes as printable;

use super::Row;
use super::inet::{queues, word};
use crate::sys::netlink_frame::attributes;

/// `struct unix_diag_msg` and `struct packet_diag_msg`.
const MESSAGE_BYTES: usize = 16;
/// `UDIAG_SHOW_NAME | _PEER | _RQLEN | _UID`.
const UNIX_SHOW: u32 = 0x1 | 0x4 | 0x10 | 0x40;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_UID: u16 = 7;
/// `PACKET_SHOW_INFO`.
const PACKET_SHOW: u32 = 1;
const PACKET_DIAG_INFO: u16 = 0;
const PACKET_DIAG_UID: u16 = 5;
/// `ETH_P_ALL`.
const EVERY_PROTOCOL: u16 = 3;

/// Asks for all unix sockets: `struct unix_diag_req`.
pub(super) fn unix_request() -> Vec<u8> {
    let mut bytes = vec![libc::AF_UNIX.to_le_bytes()[0], 0, 0, 0];
    for field in [u32::MAX, 0, UNIX_SHOW, 0, 0] {
        bytes.extend(field.to_ne_bytes());
    }
    bytes
}

/// Asks for all packet sockets: `struct packet_diag_req`.
pub(super) fn packet_request() -> Vec<u8> {
    let mut bytes = vec![libc::AF_PACKET.to_le_bytes()[0], 0, 0, 0];
    for field in [0, PACKET_SHOW, 0, 0] {
        bytes.extend(field.to_ne_bytes());
    }
    bytes
}

/// A unix socket; `None` when the message is cut short or of a state we do not know.
pub(super) fn unix(message: &[u8]) -> Option<Row> {
    let fixed = message.first_chunk::<MESSAGE_BYTES>()?;
    let state = SocketState::from_kernel(fixed[2])?;
    let (cookie, inode) = names(fixed)?;
    let mut socket = Socket {
        protocol: SocketProtocol::Unix,
        kind: kind(fixed[1].into())?,
        state,
        inode: Some(inode),
        ..Socket::default()
    };
    let mut lengths = None;
    for (kind, value) in attributes(message.get(MESSAGE_BYTES..)?) {
        match kind {
            UNIX_DIAG_NAME => socket.local = name(value),
            UNIX_DIAG_PEER => socket.peer_inode = word(value, 0).filter(|peer| *peer != 0).map(u64::from),
            UNIX_DIAG_RQLEN => lengths = word(value, 0).zip(word(value, 4)),
            UNIX_DIAG_UID => socket.uid = word(value, 0),
            _ => {}
        }
    }
    let stat = lengths.map(|lengths| queues(state, lengths)).unwrap_or_default();
    Some(Row { cookie, socket, stat })
}

/// A packet socket; `None` when the message is cut short.
pub(super) fn packet(message: &[u8]) -> Option<Row> {
    let fixed = message.first_chunk::<MESSAGE_BYTES>()?;
    let (cookie, inode) = names(fixed)?;
    let mut socket = Socket {
        protocol: SocketProtocol::Packet,
        kind: kind(fixed[1].into())?,
        local: ethernet(u16::from_ne_bytes([fixed[2], fixed[3]])),
        inode: Some(inode),
        ..Socket::default()
    };
    for (kind, value) in attributes(message.get(MESSAGE_BYTES..)?) {
        match kind {
            PACKET_DIAG_INFO => socket.ifindex = word(value, 0).filter(|ifindex| *ifindex != 0),
            PACKET_DIAG_UID => socket.uid = word(value, 0),
            _ => {}
        }
    }
    Some(Row { cookie, socket, stat: SocketStat::default() }) // it does not tell the queues
}

/// Cookie and inode: the same places in both messages.
fn names(fixed: &[u8; MESSAGE_BYTES]) -> Option<(u64, u64)> {
    let cookie = u64::from(word(fixed, 8)?) | u64::from(word(fixed, 12)?) << 32;
    Some((cookie, word(fixed, 4)?.into()))
}

/// `SOCK_STREAM`, …
pub(super) fn kind(number: i32) -> Option<SocketKind> {
    match number {
        libc::SOCK_STREAM => Some(SocketKind::Stream),
        libc::SOCK_DGRAM => Some(SocketKind::Dgram),
        libc::SOCK_SEQPACKET => Some(SocketKind::Seqpacket),
        libc::SOCK_RAW => Some(SocketKind::Raw),
        _ => None,
    }
}

/// `*` or the ethernet protocol.
pub(super) fn ethernet(protocol: u16) -> String {
    if protocol == EVERY_PROTOCOL { "*".into() } else { format!("{protocol:#06x}") }
}

/// A path, or the name of an abstract socket with `@` for its zero bytes, as `ss` writes it.
fn name(bytes: &[u8]) -> String {
    if bytes.first() != Some(&0) {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        return printable(bytes.get(..end).unwrap_or_default());
    }
    let shown: Vec<u8> = bytes.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect();
    printable(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: i32, state: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![1, kind.to_le_bytes()[0], state, 0];
        for field in [4711_u32, 9, 0] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(attributes.concat());
        bytes
    }

    #[test]
    fn a_listener_tells_its_path_and_who_waits() {
        let lengths: Vec<u8> = [3_u32, 128].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let attributes = [attribute(0, b"/run/a\x1b.sock\0"), attribute(4, &lengths)];
        let row = unix(&message(libc::SOCK_STREAM, 10, &attributes)).unwrap();
        assert_eq!((row.cookie, row.socket.inode, row.socket.state), (9, Some(4711), SocketState::Listen));
        assert_eq!((row.stat.backlog, row.stat.backlog_limit), (Some(3), Some(128)));
        assert_eq!((row.socket.local.as_str(), row.socket.uid), ("/run/a\\u{1b}.sock", None));
    }

    #[test]
    fn abstract_and_missing_names_are_told_apart() {
        let named = message(libc::SOCK_DGRAM, 7, &[attribute(0, b"\0bus\0x"), attribute(7, &[33, 0, 0, 0])]);
        let row = unix(&named).unwrap();
        assert_eq!((row.socket.local.as_str(), row.socket.uid), ("@bus@x", Some(33)));
        let row = unix(&message(libc::SOCK_SEQPACKET, 1, &[attribute(2, &[5, 0, 0, 0])])).unwrap();
        assert_eq!((row.socket.local.as_str(), row.socket.peer_inode), ("", Some(5)));
        assert_eq!(row.socket.kind, SocketKind::Seqpacket);
    }

    #[test]
    fn a_packet_socket_tells_protocol_and_link() {
        let mut bytes = message(libc::SOCK_RAW, 0, &[attribute(0, &[7, 0, 0, 0])]);
        bytes[2..4].copy_from_slice(&EVERY_PROTOCOL.to_ne_bytes());
        let row = packet(&bytes).unwrap();
        assert_eq!((row.socket.local.as_str(), row.socket.ifindex), ("*", Some(7)));
        assert_eq!(ethernet(0x806), "0x0806");
    }

    #[test]
    fn cut_messages_give_nothing() {
        let whole = message(libc::SOCK_STREAM, 1, &[attribute(0, b"/run/x")]);
        for length in 0..MESSAGE_BYTES {
            assert_eq!((unix(&whole[..length]), packet(&whole[..length])), (None, None));
        }
        for length in MESSAGE_BYTES..MESSAGE_BYTES + 4 + "/run/x".len() {
            assert_eq!(unix(&whole[..length]).map(|row| row.socket.local), Some(String::new()));
        }
    }
}
