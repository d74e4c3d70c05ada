//! Golden frames of a look into a wire, and that no bytes from outside make anything panic. As for `golden.rs`:
//! `BLESS=1 cargo test -p glasshull-shared --test look` makes the files anew when a change is meant.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this file is nothing but tests")]

use std::path::PathBuf;

use glasshull_shared::domain::wire::{
    Chunk, Ended, Layer, Limits, Order, PacketDetail, PacketRow, Piece, Refusal, Side, Sight, Start, Way,
    WireStat,
};
use glasshull_shared::wire::look::{decode_order, decode_sight, encode_order, encode_sight};
use glasshull_shared::wire::{MAX_CLIENT_BYTES, VERSION, WireError, unpack};
use proptest::prelude::*;

fn kept(name: &str, now: &[u8]) -> Vec<u8> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("look_{name}.bin"));
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; see the head of this file", path.display()))
}

fn orders() -> Vec<Order> {
    let start = Start {
        netns: 4_026_531_840,
        ifindex: Some(7),
        filter: "tcp port 80".into(),
        limits: Limits::USUAL,
        payload: true,
    };
    vec![
        Order::Start(start),
        Order::Stop,
        Order::Detail { number: 300 },
        Order::Follow { conversation: 2 },
        Order::Unfollow,
    ]
}

fn row() -> PacketRow {
    PacketRow {
        number: 300,
        at: 1_760_000_000_123_456_789,
        ifindex: 7,
        way: Some(Way::Out),
        length: 1514,
        source: "172.18.0.3:45678".into(),
        destination: "172.18.0.2:80".into(),
        protocol: "HTTP".into(),
        info: "GET / HTTP/1.1 · Flags [P.], seq 1:85, ack 1, win 502, length 84".into(),
        conversation: Some(2),
    }
}

fn sights() -> Vec<Sight> {
    let chunk =
        |side, piece| Sight::Chunk(Chunk { conversation: 2, side, at: 1_760_000_000_000_000_000, piece });
    let fields = vec![("time to live".to_owned(), "64".to_owned())];
    vec![
        Sight::Ready { payload: false },
        Sight::Started {
            limits: Limits::MOST,
            payload: true,
            links: vec![(2, "eth0".into())],
            names: vec![("172.18.0.2".into(), "web".into())],
        },
        Sight::Packets(vec![row(), PacketRow::default()]),
        Sight::Detail(PacketDetail {
            number: 300,
            length: 1514,
            layers: vec![Layer { name: "IPv4".into(), fields }],
            bytes: Some(vec![0x45, 0]),
        }),
        Sight::Follows { conversation: 2, ends: ["172.18.0.3:45678".into(), "172.18.0.2:80".into()] },
        chunk(Side::First, Piece::Data(b"GET / HTTP/1.1\r\n".to_vec())),
        chunk(Side::Second, Piece::Gap(1448)),
        chunk(Side::Second, Piece::Note("HTTP/1.1 200 OK".into())),
        chunk(Side::First, Piece::Middle),
        chunk(Side::First, Piece::Fin),
        chunk(Side::First, Piece::Reset),
        chunk(Side::First, Piece::Cut),
        Sight::Stat(WireStat {
            packets: 300,
            bytes: 70_000,
            wire_bytes: 90_000,
            dropped: 4,
            unsent: 5,
            elapsed_nanos: 1_000_000_000,
        }),
        Sight::Ended(Ended::Stopped),
        Sight::Ended(Ended::Time),
        Sight::Ended(Ended::Packets),
        Sight::Ended(Ended::Bytes),
        Sight::Ended(Ended::Gone),
        Sight::Refused(Refusal::Filter("syntax error".into())),
        Sight::Refused(Refusal::Permission("CAP_NET_RAW".into())),
        Sight::Refused(Refusal::Gone("no such link".into())),
        Sight::Refused(Refusal::Payload),
        Sight::Refused(Refusal::Busy),
        Sight::Refused(Refusal::Recording),
        Sight::Refused(Refusal::Failed("out of memory".into())),
    ]
}

#[test]
fn what_a_client_orders() {
    for (i, order) in orders().into_iter().enumerate() {
        let now = encode_order(&order).unwrap();
        let kept = kept(&format!("order_{i}"), &now);
        assert_eq!(kept, now, "{order:?}: changing the wire is a deliberate act");
        assert_eq!(decode_order(&kept).unwrap(), order);
    }
}

#[test]
fn what_the_agent_tells() {
    for (i, sight) in sights().into_iter().enumerate() {
        let now = encode_sight(&sight).unwrap();
        let kept = kept(&format!("sight_{i}"), &now);
        assert_eq!(
            unpack(&kept).unwrap(),
            unpack(&now).unwrap(),
            "{sight:?}: changing the wire is a deliberate act"
        );
        assert_eq!(decode_sight(&kept).unwrap(), sight);
    }
}

#[test]
fn limits_are_bounded() {
    let all = |n| Limits { secs: n, packets: n, bytes: n };
    assert_eq!(all(u32::MAX).bounded(), Limits::MOST);
    assert_eq!(all(0).bounded(), all(1));
    assert_eq!(Limits::USUAL.bounded(), Limits::default());
}

#[test]
fn other_versions_are_named_and_lengths_are_not_believed() {
    assert!(matches!(decode_order(&[VERSION + 1, 0]), Err(WireError::Version(_))));
    assert!(decode_order(&vec![VERSION; MAX_CLIENT_BYTES + 2]).is_err());
    assert!(decode_order(&[]).is_err() && decode_sight(&[]).is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode_order(&bytes);
        let _ = decode_order(&[&[VERSION], bytes.as_slice()].concat());
        let _ = decode_sight(&[&[VERSION, 0], bytes.as_slice()].concat());
    }
}
