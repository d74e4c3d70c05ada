//! Packets as they come, cut at every byte, and bytes that are none.

use super::*;
use proptest::prelude::*;

const V4_TCP_SYN: &[u8] = &[
    0x45, 0, 0, 60, 0x1c, 0x46, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3, // IPv4
    0xa1, 0x22, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 0x02, 0xff, 0xff, 0, 0, 0,
    0, // 41250 → 5432
];

fn sll2(protocol: u16, hardware: u16, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![0; SLL2_BYTES];
    all[..2].copy_from_slice(&protocol.to_be_bytes());
    all[4..8].copy_from_slice(&7_u32.to_be_bytes());
    all[8..10].copy_from_slice(&hardware.to_be_bytes());
    all[12..18].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    all.extend(payload);
    all
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1];
    all.extend(kind.to_be_bytes());
    all.extend(payload);
    all
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, 64];
    all.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    all.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    all.extend(payload);
    all
}

fn whole(link_type: i32, data: &[u8]) -> Decoded {
    decode(link_type, data, data.len() as u32, false).unwrap()
}

fn v4(end: End) -> ([u8; 4], u16) {
    ([end.address[0], end.address[1], end.address[2], end.address[3]], end.port)
}

#[test]
fn a_syn_over_any_link_tells_its_ends_and_who_opens() {
    let frames = [
        (LINUX_SLL2, sll2(IPV4, 1, V4_TCP_SYN), 54),
        (LINUX_SLL2, sll2(IPV4, 65534, V4_TCP_SYN), 40),
        (EN10MB, ethernet(IPV4, V4_TCP_SYN), 54),
        (RAW, V4_TCP_SYN.to_vec(), 40),
    ];
    for (link_type, frame, bytes) in frames {
        let got = whole(link_type, &frame);
        assert_eq!((got.protocol, got.family, got.bytes), (Protocol::Tcp, Family::V4, bytes));
        assert_eq!((v4(got.from), v4(got.to)), (([10, 0, 0, 2], 41250), ([10, 0, 0, 3], 5432)));
        assert_eq!((got.opener, got.flags, got.fragment), (Opener::Sender, 2, Fragment::Whole));
        assert_eq!(got.ifindex, if link_type == LINUX_SLL2 { 7 } else { 0 });
    }
    let on_lo = decode(EN10MB, &ethernet(IPV4, V4_TCP_SYN), 54, true).unwrap();
    assert_eq!(on_lo.bytes, 40);
}

#[test]
fn the_answer_to_a_syn_names_the_receiver_as_opener() {
    let mut packet = V4_TCP_SYN.to_vec();
    packet[33] = 0x12;
    assert_eq!(whole(RAW, &packet).opener, Opener::Receiver);
    packet[33] = 0x10;
    assert_eq!(whole(RAW, &packet).opener, Opener::Unknown);
}

#[test]
fn tags_are_taken_off() {
    let mut tagged = vec![0, 5, 0x81, 0, 0, 6, 8, 0];
    tagged.extend(V4_TCP_SYN);
    let got = whole(EN10MB, &ethernet(0x88a8, &tagged));
    assert_eq!((got.protocol, v4(got.to)), (Protocol::Tcp, ([10, 0, 0, 3], 5432)));
    let endless = [0x81_u8, 0].repeat(40);
    assert_eq!(decode(EN10MB, &ethernet(0x8100, &endless), 94, false), None);
}

#[test]
fn extensions_of_ipv6_are_passed_over() {
    let udp = [0, 53, 0x9c, 0x40, 0, 8, 0, 0];
    let mut inner = vec![60, 0, 0, 0, 0, 0, 0, 0]; // hop-by-hop, then options, then a fragment
    inner.extend([44, 0, 0, 0, 0, 0, 0, 0]);
    inner.extend([17, 0, 0, 1, 0, 0, 0, 9]);
    inner.extend(udp);
    let got = whole(RAW, &ipv6(0, &inner));
    assert_eq!((got.protocol, got.family), (Protocol::Udp, Family::V6));
    assert_eq!((got.from.port, got.to.port, got.fragment), (53, 40000, Fragment::First(9)));
    let nothing = whole(RAW, &ipv6(59, &[]));
    assert_eq!((nothing.protocol, nothing.from.port), (Protocol::Ip(59), 0));
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut packet = V4_TCP_SYN.to_vec();
    (packet[6], packet[7]) = (0, 3);
    let got = whole(RAW, &packet);
    assert_eq!((got.from.port, got.flags, got.fragment), (0, 0, Fragment::Later(0x1c46)));
}

#[test]
fn echo_arp_and_what_is_no_ip() {
    let mut ping = V4_TCP_SYN[..20].to_vec();
    ping[9] = 1;
    ping.extend([0, 0, 0, 0, 0, 1, 0, 1]);
    let got = whole(RAW, &ping);
    assert_eq!((got.protocol, got.opener, got.from.port), (Protocol::Icmp, Opener::Receiver, 0));
    assert_eq!(whole(RAW, &ipv6(58, &[128, 0])).opener, Opener::Sender);
    let mut asks = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2];
    asks.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 3]);
    let got = whole(EN10MB, &ethernet(ARP, &asks));
    assert_eq!((got.protocol, got.opener), (Protocol::Arp, Opener::Sender));
    assert_eq!((v4(got.from).0, v4(got.to).0), ([10, 0, 0, 2], [10, 0, 0, 3]));
    let lldp = whole(EN10MB, &ethernet(0x88cc, &[0; 46]));
    assert_eq!((lldp.protocol, lldp.family, lldp.from.address[0]), (Protocol::Ether(0x88cc), Family::Mac, 2));
    assert_eq!(whole(EN10MB, &ethernet(38, &[0x42; 38])).protocol, Protocol::Ether(LLC));
}

/// What a hostile neighbour may send: heads that lie about their length, versions that do not fit, nothing at all.
#[test]
fn odd_packets_are_none() {
    let odd: &[(i32, &[u8])] = &[
        (LINUX_SLL2, &[]),
        (LINUX_SLL2, &[0xff; 19]),
        (EN10MB, &[0; 13]),
        (RAW, &[]),
        (RAW, &[0x45]),
        (RAW, &[0x44; 40]),
        (RAW, &[0x60; 39]),
        (147, &[0; 60]),
    ];
    for (link_type, data) in odd {
        assert_eq!(decode(*link_type, data, 60, false), None, "{link_type} {data:?}");
    }
    // An ihl beyond the packet: the addresses are there, the ports are not.
    let mut long = V4_TCP_SYN[..20].to_vec();
    long[0] = 0x4f;
    assert_eq!(whole(RAW, &long).from.port, 0);
}

#[test]
fn a_packet_that_was_cut_anywhere_tells_what_is_there() {
    let frames = [sll2(IPV4, 1, V4_TCP_SYN), sll2(IPV6, 1, &ipv6(6, &V4_TCP_SYN[20..]))];
    for frame in frames {
        let all = whole(LINUX_SLL2, &frame);
        for end in 0..frame.len() {
            if let Some(part) = decode(LINUX_SLL2, &frame[..end], frame.len() as u32, false) {
                assert_eq!((part.from.address, part.bytes), (all.from.address, all.bytes), "{end}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(data: Vec<u8>, length: u32, loopback: bool, kind in 0_usize..5) {
        let link_type = [LINUX_SLL2, EN10MB, RAW, LINUX_SLL, 147][kind];
        let _ = decode(link_type, &data, length, loopback);
    }

    #[test]
    fn no_change_of_a_packet_panics(at in 0_usize..100, byte: u8, cut in 0_usize..120, six: bool) {
        let mut frame = if six {
            let mut inner = vec![43, 0, 0, 0, 0, 0, 0, 0, 51, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0];
            inner.extend(&V4_TCP_SYN[20..]);
            sll2(IPV6, 1, &ipv6(0, &inner))
        } else {
            sll2(IPV4, 1, V4_TCP_SYN)
        };
        if let Some(place) = frame.get_mut(at) {
            *place = byte;
        }
        frame.truncate(cut);
        let _ = decode(LINUX_SLL2, &frame, 1500, false);
    }
}
