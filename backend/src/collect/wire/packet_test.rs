//! Packets of every kind, whole and broken, and their lines.

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};
use glasshull_shared::domain::wire::PacketRow;
use proptest::prelude::*;

use super::super::conversation::{Conversations, Mark};
use super::super::{detail, summary};
use super::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn tcp(seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(A, B, 64).tcp(45678, 80, seq, 502);
    builder.psh().ack(1).write(&mut bytes, payload).unwrap();
    bytes
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).ipv6([1; 16], [2; 16], 64).udp(from, to);
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn arp() -> Vec<u8> {
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &MAC_A,
        &A,
        &[0; 6],
        &B,
    )
    .unwrap();
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(MAC_A, [255; 6]).arp(packet).write(&mut bytes).unwrap();
    bytes
}

fn ping() -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(A, B, 64).icmpv4_echo_request(7, 1);
    builder.write(&mut bytes, &[b'x'; 56]).unwrap();
    bytes
}

/// As taken from all links: the kernel's head in place of the link's.
fn sll2(ethernet: &[u8], ifindex: u32, outgoing: bool) -> Vec<u8> {
    let mut bytes = ethernet[12..14].to_vec();
    bytes.extend([0, 0]);
    bytes.extend(ifindex.to_be_bytes());
    bytes.extend([0, 1, if outgoing { 4 } else { 0 }, 6]);
    bytes.extend(MAC_A);
    bytes.extend([0, 0]);
    bytes.extend(&ethernet[14..]);
    bytes
}

fn line(form: Form, bytes: &[u8], payload: bool) -> PacketRow {
    let packet = Packet::parse(form, bytes, bytes.len() as u32).unwrap();
    let mark = packet.tcp().map(|tcp| Mark { seq: tcp.sequence_number(), syn: tcp.syn(), ack: tcp.ack() });
    let place = packet.ends().map(|ends| Conversations::default().place(&ends, mark));
    summary::row(&packet, place, payload)
}

#[test]
fn tcp_reads_as_tcpdump_prints_it() {
    let row = line(Form::Ethernet(3), &tcp(1000, b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"), true);
    assert_eq!((row.source.as_str(), row.destination.as_str()), ("10.0.0.1:45678", "10.0.0.2:80"));
    assert_eq!(row.info, "GET / HTTP/1.1 · Flags [P.], seq 0:29, ack 1, win 502, length 29");
    assert_eq!((row.protocol.as_str(), row.ifindex, row.way, row.conversation), ("HTTP", 3, None, Some(1)));
}

#[test]
fn options_of_an_opening_are_named() {
    use etherparse::TcpOptionElement as Option;
    let options = [
        Option::MaximumSegmentSize(1460),
        Option::SelectiveAcknowledgementPermitted,
        Option::Timestamp(1, 0),
        Option::Noop,
        Option::WindowScale(7),
    ];
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(A, B, 64).tcp(9, 80, 5, 64240).syn();
    builder.options(&options).unwrap().write(&mut bytes, &[]).unwrap();
    assert_eq!(
        line(Form::Ethernet(3), &bytes, true).info,
        "Flags [S], seq 5, win 64240, options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0"
    );
}

#[test]
fn all_links_at_once_tell_the_link_and_the_way() {
    for (outgoing, way) in [(true, Way::Out), (false, Way::In)] {
        let row = line(Form::Sll2, &sll2(&tcp(1, b"ab"), 77, outgoing), true);
        assert_eq!((row.ifindex, row.way), (77, Some(way)));
        assert_eq!(row.info, "Flags [P.], seq 0:2, ack 1, win 502, length 2");
    }
}

#[test]
fn arp_icmp_and_what_is_unknown_have_their_lines() {
    assert_eq!(
        line(Form::Ethernet(1), &arp(), true).info,
        "Request who-has 10.0.0.2 tell 10.0.0.1, length 28"
    );
    assert_eq!(line(Form::Ethernet(1), &ping(), true).info, "echo request, id 7, seq 1, length 64");
    let mut strange = vec![0; 40];
    strange[12..14].copy_from_slice(&[0x88, 0xcc]);
    assert_eq!(line(Form::Ethernet(1), &strange, true).protocol, "0x88cc");
}

#[test]
fn without_payload_nothing_of_it_is_told_or_kept() {
    let secret = b"GET /secret HTTP/1.1\r\n\r\n";
    let question = b"\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06secret\x00\x00\x01\x00\x01";
    for bytes in [tcp(1, secret), udp(9, 53, question), ping(), arp(), sll2(&tcp(1, secret), 3, true)] {
        let form = if bytes[4..8] == [0, 0, 0, 3] { Form::Sll2 } else { Form::Ethernet(1) };
        let packet = Packet::parse(form, &bytes, bytes.len() as u32).unwrap();
        let kept = &bytes[..packet.headers_length()];
        assert!(!kept.windows(6).any(|w| w == b"secret" || w == b"xxxxxx"));
        let cut = Packet::parse(form, kept, bytes.len() as u32).unwrap();
        assert_eq!(cut.headers_length(), kept.len());
        let told = |p: &Packet<'_>| (summary::row(p, None, false), detail::layers(p, false));
        assert_eq!(told(&cut), told(&packet), "the headers tell the same");
        assert!(!format!("{:?}", told(&packet)).contains("secret"));
    }
}

#[test]
fn the_length_on_the_wire_is_told_although_less_was_kept() {
    let whole = tcp(1, &[b'x'; 1000]);
    let packet = Packet::parse(Form::Ethernet(1), &whole[..54], whole.len() as u32).unwrap();
    assert_eq!((packet.payload_length(), packet.payload().len()), (1000, 0));
}

#[test]
fn a_packet_larger_than_its_length_field_is_measured_on_the_wire() {
    let mut whole = tcp(1, &[b'x'; 1000]);
    whole[16..18].copy_from_slice(&[0, 0]);
    let packet = Packet::parse(Form::Ethernet(1), &whole, 70_054).unwrap();
    assert_eq!(packet.payload_length(), 70_000);
}

#[test]
fn all_headers_are_told() {
    let bytes = udp(9, 53, b"\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x00\x00\x01\x00\x01");
    let packet = Packet::parse(Form::Ethernet(1), &bytes, bytes.len() as u32).unwrap();
    let names: Vec<_> = detail::layers(&packet, true).into_iter().map(|layer| layer.name).collect();
    assert_eq!(names, ["Ethernet", "IPv6", "UDP", "DNS"]);
    assert!(summary::row(&packet, None, true).info.starts_with("4711+ A? web."));
}

/// Whatever the bytes: every part of the code that looks at them.
fn swallow(form: Form, bytes: &[u8], length: u32) {
    let Some(packet) = Packet::parse(form, bytes, length) else { return };
    assert!(packet.headers_length() <= bytes.len());
    let place = packet.ends().map(|ends| Conversations::default().place(&ends, None));
    for payload in [false, true] {
        let row = summary::row(&packet, place, payload);
        assert!(!row.info.contains('\n') && row.info.chars().count() < 500);
        let _ = detail::layers(&packet, payload);
    }
    let _ = (packet.payload_length(), packet.payload());
}

#[test]
fn packets_broken_at_every_place_are_told_as_far_as_they_go() {
    for whole in [tcp(1, b"GET / HTTP/1.1\r\n\r\n"), udp(53, 9, &[0; 40]), arp(), ping()] {
        for cut in 0..=whole.len() {
            swallow(Form::Ethernet(1), &whole[..cut], whole.len() as u32);
        }
        for at in 12..whole.len().min(80) {
            for value in [0, 1, 0x0f, 0xf0, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                swallow(Form::Ethernet(1), &broken, 60);
                swallow(Form::Sll2, &sll2(&broken, 1, false), 0);
                swallow(Form::Raw(1), &broken[14..], u32::MAX);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..4, length: u32) {
        let kinds: [u16; 4] = [0x0800, 0x86dd, 0x0806, 0x8100];
        swallow(Form::Raw(1), &bytes, length);
        swallow(Form::Sll2, &bytes, length);
        let mut ethernet = vec![0; 12];
        ethernet.extend(kinds[kind].to_be_bytes());
        ethernet.extend(&bytes);
        swallow(Form::Ethernet(1), &ethernet, length);
    }
}
