//! Messages as a kernel (6.18, little endian) sent them: the `.hex` files beside; the one of the listener is cut short in its
//! `tcp_info`.
#![cfg(target_endian = "little")]

use super::*;
use proptest::prelude::*;

const CONNECTED: &str = include_str!("connected.hex");
const LISTENING: &str = include_str!("listening.hex");
const DATAGRAMS: &str = include_str!("datagrams.hex");
const DESTROYED: &str = include_str!("destroyed.hex");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

#[test]
fn a_connection_tells_ends_bytes_and_way() {
    let Row { cookie, socket, stat } = row(&bytes(CONNECTED), SocketProtocol::Tcp).unwrap();
    assert_eq!((cookie, socket.inode, socket.uid), (11, Some(221_586), Some(0)));
    assert_eq!(
        (socket.local.as_str(), socket.remote.as_deref()),
        ("127.0.0.1:40404", Some("127.0.0.1:8080"))
    );
    assert_eq!((socket.state, socket.v6_only, socket.ifindex), (SocketState::Established, None, None));
    assert_eq!((stat.receive_queue_bytes, stat.send_queue_bytes, stat.backlog), (Some(300), Some(0), None));
    // `ss -i` of the same: rtt:0.027/0.015 mss:32768 cwnd:10 bytes_sent:1000 bytes_acked:1001 bytes_received:300
    assert_eq!((stat.sent_bytes, stat.received_bytes), (Some(1000), Some(300)));
    assert_eq!((stat.rtt_nanos, stat.rtt_var_nanos), (Some(27_000), Some(15_000)));
    assert_eq!((stat.cwnd, stat.mss_bytes), (Some(11), Some(35_328)));
    assert_eq!((stat.retransmits, stat.lost, stat.dropped), (Some(0), Some(0), None));
}

#[test]
fn a_listener_tells_its_backlog_and_has_no_way() {
    let Row { socket, stat, .. } = row(&bytes(LISTENING), SocketProtocol::Tcp).unwrap();
    assert_eq!((socket.local.as_str(), socket.remote, socket.v6_only), ("[::]:443", None, Some(true)));
    assert_eq!((stat.backlog, stat.backlog_limit, stat.receive_queue_bytes), (Some(0), Some(9), None));
    assert_eq!((stat.cwnd, stat.sent_bytes, stat.dropped), (None, None, Some(0)));
}

#[test]
fn datagrams_have_drops_and_no_other_end() {
    let Row { socket, stat, .. } = row(&bytes(DATAGRAMS), SocketProtocol::Udp).unwrap();
    assert_eq!((socket.local.as_str(), socket.remote), ("0.0.0.0:5353", None));
    assert_eq!((socket.kind, socket.state), (SocketKind::Dgram, SocketState::Unconnected));
    assert_eq!((stat.dropped, stat.sent_bytes), (Some(0), None));
}

#[test]
fn what_is_gone_leaves_its_counts() {
    let message = bytes(DESTROYED);
    let id = identity(&message).unwrap();
    assert_eq!((id.cookie, end_text(id.local).as_str(), id.remote.1), (10, "127.0.0.1:8080", 40_404));
    let counts = counts(info(&message).unwrap());
    // It was reset: neither end's FIN was confirmed.
    assert_eq!((counts.sent, counts.confirmed, counts.received), (Some(300), Some(300), Some(1000)));
}

#[test]
fn an_older_kernel_has_a_shorter_tcp_info() {
    let message = bytes(CONNECTED);
    let info = info(&message).unwrap();
    let old = counts(&info[..200]);
    assert_eq!((old.sent, old.received), (Some(1001), Some(300)), "confirmed bytes stand in");
    assert_eq!(counts(&info[..68]), Counts::default());
}

#[test]
fn requests_have_the_size_the_kernel_wants() {
    assert_eq!(request(2, SocketProtocol::Tcp)[..4], [2, 6, 0x42, 0]);
    assert_eq!(request(10, SocketProtocol::Raw)[..2], [10, 255]);
    assert_eq!(request(10, SocketProtocol::Udp).len(), REQUEST_BYTES);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = row(&bytes, SocketProtocol::Tcp);
        let _ = counts(&bytes);
    }

    #[test]
    fn no_damage_panics(cut in 0_usize..440, at in 0_usize..440, byte: u8, which in 0_usize..4) {
        let mut message = bytes([CONNECTED, LISTENING, DATAGRAMS, DESTROYED][which]);
        if let Some(there) = message.get_mut(at) {
            *there = byte;
        }
        message.truncate(cut);
        let _ = row(&message, SocketProtocol::Tcp);
        let _ = (identity(&message), info(&message).map(counts));
    }
}
