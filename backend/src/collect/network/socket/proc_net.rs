//! Sockets from `/proc/PID/net`: what is left where a namespace may not be entered, or the kernel was built without a
//! diagnosis. No cookie, no round trips, no byte counts.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use glasshull_shared::domain::network::{Socket, SocketProtocol, SocketStat, SocketState};
use glasshull_shared::unit::printable;

use super::Row;
use super::inet::{end_text, far_end, kind, queues};
use super::local;

/// Marks a cookie that the kernel did not give; its own count from 1. All stay below what scripts can hold exactly.
const OURS: u64 = 1 << 52;
/// `__SO_ACCEPTCON` in the flags of `/proc/net/unix`.
const ACCEPTS: u32 = 1 << 16;
/// `SS_CONNECTED`.
const CONNECTED: u8 = 3;

/// A table as text: its rows, and the number of lines that could not be read.
pub(super) fn rows(text: &str, protocol: SocketProtocol) -> (Vec<Row>, usize) {
    let mut broken = 0;
    let mut rows = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let row = match protocol {
            SocketProtocol::Tcp | SocketProtocol::Udp | SocketProtocol::Raw => inet(line, protocol),
            SocketProtocol::Unix => unix(line),
            SocketProtocol::Packet => packet(line),
        };
        match row {
            Some(row) => rows.push(row),
            None => broken += 1,
        }
    }
    (rows, broken)
}

/// `sl local rem st tx:rx tr:when retrnsmt uid timeout inode …`.
fn inet(line: &str, protocol: SocketProtocol) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let field = |at: usize| fields.get(at).copied();
    let state = SocketState::from_kernel(u8::from_str_radix(field(3)?, 16).ok()?)?;
    let (send, receive) = field(4)?.split_once(':')?;
    let (send, receive) = (u32::from_str_radix(send, 16).ok()?, u32::from_str_radix(receive, 16).ok()?);
    let inode = field(9)?.parse::<u64>().ok()?;
    let has_owner = !matches!(state, SocketState::TimeWait | SocketState::SynRecv);
    let socket = Socket {
        protocol,
        kind: kind(protocol),
        local: end_text(end(field(1)?)?),
        remote: far_end(end(field(2)?)?, state),
        state,
        uid: if has_owner { field(7)?.parse().ok() } else { None },
        inode: (inode != 0).then_some(inode),
        ..Socket::default()
    };
    let mut stat = queues(state, (receive, send));
    stat.backlog_limit = None; // the file does not tell it
    let datagrams = protocol != SocketProtocol::Tcp;
    stat.dropped = if datagrams { field(12).and_then(|drops| drops.parse().ok()) } else { None };
    Some(row(socket, stat))
}

/// `0100007F:0050`: words of the address in the machine's byte order, the port in hexadecimal.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * at)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

/// `num refcount protocol flags type st inode [path]`.
fn unix(line: &str) -> Option<Row> {
    let mut rest = line;
    let mut field = || {
        rest = rest.trim_start_matches(' ');
        let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        (!field.is_empty()).then_some(field)
    };
    field()?.strip_suffix(':')?;
    for _ in ["refcount", "protocol"] {
        field()?;
    }
    let flags = u32::from_str_radix(field()?, 16).ok()?;
    let kind = i32::from_str_radix(field()?, 16).ok()?;
    let state = u8::from_str_radix(field()?, 16).ok()?;
    let inode = field()?.parse().ok()?;
    let state = match state {
        _ if flags & ACCEPTS != 0 => SocketState::Listen,
        CONNECTED => SocketState::Established,
        _ => SocketState::Unconnected,
    };
    let socket = Socket {
        protocol: SocketProtocol::Unix,
        kind: local::kind(kind)?,
        local: printable(rest),
        state,
        inode: Some(inode),
        ..Socket::default()
    };
    Some(row(socket, SocketStat::default()))
}

/// `sk refcnt type proto iface r rmem user inode`.
fn packet(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let field = |at: usize| fields.get(at).copied();
    let socket = Socket {
        protocol: SocketProtocol::Packet,
        kind: local::kind(field(2)?.parse().ok()?)?,
        local: local::ethernet(u16::from_str_radix(field(3)?, 16).ok()?),
        ifindex: Some(field(4)?.parse().ok()?).filter(|ifindex| *ifindex != 0),
        uid: field(7)?.parse().ok(),
        inode: Some(field(8)?.parse().ok()?),
        ..Socket::default()
    };
    Some(row(socket, SocketStat::default()))
}

fn row(socket: Socket, stat: SocketStat) -> Row {
    let name = socket.inode.unwrap_or_else(|| {
        let mut hasher = DefaultHasher::new();
        (socket.protocol, &socket.local, &socket.remote).hash(&mut hasher);
        hasher.finish()
    });
    Row { cookie: OURS | name & (OURS - 1), socket, stat }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0B00007F:9C1F 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 1517 1 x 100 0 0 10 0\n\
        \x20  1: 020012AC:0050 030012AC:9DD4 01 00000010:00000003 00:00000000 00000000    33        0 1620 1 x 20 4 30 10 -1\n\
        \x20  2: 020012AC:0050 030012AC:9DD2 06 00000000:00000000 03:00001754 00000000     0        0 0 3 x\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn states_ends_and_owners_are_told() {
        let (rows, broken) = rows(TCP, SocketProtocol::Tcp);
        assert_eq!((rows.len(), broken), (3, 0));
        let [listener, open, over] = &rows[..] else { panic!() };
        assert_eq!((listener.socket.local.as_str(), &listener.socket.remote), ("127.0.0.11:39967", &None));
        assert_eq!((listener.stat.backlog, listener.stat.backlog_limit), (Some(2), None));
        assert_eq!(open.socket.remote.as_deref(), Some("172.18.0.3:40404"));
        assert_eq!((open.socket.uid, open.socket.inode), (Some(33), Some(1620)));
        assert_eq!(
            (open.stat.receive_queue_bytes, open.stat.send_queue_bytes, open.stat.sent_bytes),
            (Some(3), Some(16), None)
        );
        assert_eq!(
            (over.socket.state, over.socket.inode, over.socket.uid),
            (SocketState::TimeWait, None, None)
        );
        assert!(over.cookie & OURS != 0 && over.cookie != open.cookie);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn six_words_are_four_and_drops_are_of_datagrams() {
        let text = "h\n 5: 000000000000000000000000010012AC:14E9 00000000000000000000000000000000:0000 07 \
            00000000:00000000 00:00000000 00000000 101 0 99 2 x 7\n";
        let (rows, _) = rows(text, SocketProtocol::Udp);
        assert_eq!(rows[0].socket.local, "[::ac12:1]:5353");
        assert_eq!((rows[0].stat.dropped, &rows[0].socket.remote), (Some(7), &None));
    }

    #[test]
    fn unix_paths_keep_their_spaces_and_lose_their_tricks() {
        let text = "Num RefCount Protocol Flags Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 21 /run/my app\u{202e}.sock\n\
            0000000000000000: 00000003 00000000 00000000 0002 03    22\n";
        let (rows, broken) = rows(text, SocketProtocol::Unix);
        assert_eq!((rows[0].socket.local.as_str(), broken), ("/run/my app\\u{202e}.sock", 0));
        assert_eq!(
            (rows[0].socket.state, rows[1].socket.state),
            (SocketState::Listen, SocketState::Established)
        );
        assert_eq!((rows[1].socket.local.as_str(), rows[1].socket.inode), ("", Some(22)));
    }

    #[test]
    fn packet_sockets_are_told() {
        let text = "sk RefCnt Type Proto Iface R Rmem User Inode\n0000 3 3 0003 7 1 0 0 4711\n";
        let (rows, _) = rows(text, SocketProtocol::Packet);
        assert_eq!((rows[0].socket.local.as_str(), rows[0].socket.ifindex), ("*", Some(7)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, cut in 0_usize..400) {
            for protocol in [SocketProtocol::Tcp, SocketProtocol::Udp, SocketProtocol::Raw, SocketProtocol::Unix, SocketProtocol::Packet] {
                let _ = rows(&text, protocol);
                let mut mixed: String = TCP.chars().take(cut).collect();
                mixed.push_str(&text);
                let _ = rows(&mixed, protocol);
            }
        }
    }
}
