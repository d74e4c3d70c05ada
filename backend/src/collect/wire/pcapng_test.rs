//! Files read back by a reader that is not ours.

use std::net::{Ipv4Addr, Ipv6Addr};

use pcap_parser::Block;
use pcap_parser::pcapng::PcapNGSlice;

use super::*;

const AT: u64 = 1_760_000_000_123_456_789;

fn blocks(file: &[u8]) -> Vec<Block<'_>> {
    let slice = PcapNGSlice::from_slice(file).unwrap();
    slice
        .map(|block| match block {
            Ok(pcap_parser::PcapBlockOwned::NG(block)) => block,
            _ => panic!("no pcapng"),
        })
        .collect()
}

fn sample() -> Vec<u8> {
    let mut pcapng = Pcapng::new(Form::Sll2, 192, "tcp port 80", [(2, "eth0".into()), (7, "veth<b>".into())]);
    let names = [
        (Ipv4Addr::new(172, 18, 0, 2).into(), "web".to_owned()),
        (Ipv6Addr::LOCALHOST.into(), "lo\0cal".to_owned()),
    ];
    let mut file = pcapng.begin("box", &names);
    file.extend(pcapng.packet(7, AT, Some(Way::Out), &[1, 2, 3, 4, 5], 1500));
    file.extend(pcapng.packet(2, AT + 1, None, &[6; 8], 8));
    file.extend(pcapng.packet(7, AT + 2, Some(Way::In), &[], 60));
    file.extend(pcapng.end(AT, AT + 5, Counts { received: 12, dropped: 3 }));
    file
}

#[test]
fn links_are_described_before_their_packets_and_by_name() {
    let file = sample();
    let names: Vec<_> = blocks(&file)
        .iter()
        .filter_map(|block| match block {
            Block::InterfaceDescription(link) => {
                assert_eq!(
                    (link.linktype.0, link.snaplen, link.ts_resolution()),
                    (276, 192, Some(1_000_000_000))
                );
                Some(link.if_name().unwrap().unwrap().to_owned())
            }
            _ => None,
        })
        .collect();
    assert_eq!(names, ["veth<b>", "eth0"]);
}

#[test]
fn packets_come_back_with_time_length_and_way() {
    let file = sample();
    let packets: Vec<_> = blocks(&file)
        .into_iter()
        .filter_map(|block| match block {
            Block::EnhancedPacket(packet) => Some(packet),
            _ => None,
        })
        .collect();
    let at = |i: usize| (u64::from(packets[i].ts_high) << 32) + u64::from(packets[i].ts_low);
    assert_eq!((at(0), at(2)), (AT, AT + 2));
    assert_eq!((packets[0].if_id, packets[0].caplen, packets[0].origlen), (0, 5, 1500));
    assert_eq!(&packets[0].data[..5], [1, 2, 3, 4, 5]);
    assert_eq!((packets[1].if_id, &packets[1].data[..8]), (1, &[6u8; 8][..]));
    let way = |i: usize| packets[i].options.iter().find(|o| o.code.0 == 2).map(|o| o.value()[0]);
    assert_eq!((way(0), way(1), way(2)), (Some(2), None, Some(1)));
}

#[test]
fn names_and_counters_come_back() {
    let file = sample();
    let all = blocks(&file);
    let names =
        all.iter().find_map(|b| if let Block::NameResolution(n) = b { Some(n) } else { None }).unwrap();
    let first: Vec<_> = names.nr.iter().map(|r| r.record_value.to_vec()).collect();
    assert_eq!(first[0], [&[172, 18, 0, 2][..], b"web\0"].concat());
    let padded = first[1].iter().rev().skip_while(|b| **b == 0).count();
    assert!(first[1][..padded].ends_with(b"\x01local"), "a name holds no zero");
    let stat =
        all.iter().find_map(|b| if let Block::InterfaceStatistics(s) = b { Some(s) } else { None }).unwrap();
    assert_eq!(stat.isb_ifrecv().unwrap().unwrap(), 12);
    assert_eq!(stat.isb_ifdrop().unwrap().unwrap(), 3);
}

#[test]
fn a_file_without_packets_is_one_too() {
    let mut pcapng = Pcapng::new(Form::Ethernet(3), 262_144, "", [(3, "br0".into())]);
    let file = [pcapng.begin("", &[]), pcapng.end(AT, AT, Counts::default())].concat();
    assert_eq!(blocks(&file).len(), 3);
}

#[test]
fn a_long_filter_is_cut_and_the_file_stays_whole() {
    let mut pcapng = Pcapng::new(Form::Raw(1), 64, &"x".repeat(100_000), []);
    let file = [pcapng.begin("box", &[]), pcapng.packet(1, AT, None, &[0x45], 1)].concat();
    assert_eq!(blocks(&file).len(), 3);
}
