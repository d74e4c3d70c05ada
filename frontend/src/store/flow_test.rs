//! Tests of joins of flows: ends, talks counted once, the matrix, what passes a link.

use super::*;
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::network::{Link, SocketKey};
use std::sync::Arc;

#[test]
fn what_was_dropped_is_said_and_nothing_when_nothing_was() {
    let mut s = Snapshot::default();
    s.capture.insert(Single, Arc::new(Capture { packets: 9, ..Capture::default() }));
    assert_eq!(capture_missed(&s), "");
    assert!(capture_seen(&s, 0).starts_with("9 packets"));
    s.capture.insert(Single, Arc::new(Capture { dropped: 3, malformed: 1, ..Capture::default() }));
    let missed = capture_missed(&s);
    assert!(missed.starts_with("3 packets dropped") && missed.contains(" · 1 packets that"), "{missed}");
}

#[test]
fn an_end_is_an_address_and_perhaps_a_port() {
    assert_eq!(split_end("10.0.0.2:80"), ("10.0.0.2", Some(80)));
    assert_eq!(split_end("[fd00::2]:80"), ("fd00::2", Some(80)));
    assert_eq!(split_end("fd00::2"), ("fd00::2", None));
    assert_eq!(split_end("10.0.0.2"), ("10.0.0.2", None));
    assert_eq!(split_end("02:00:00:00:00:01"), ("02:00:00:00:00:01", None));
    assert_eq!(split_end(""), ("", None));
}

fn scene(talks: &[(u32, &str, &str, u64, u64)]) -> Snapshot {
    let mut s = Snapshot::default();
    for (link, from, to, sent_bytes, received_bytes) in talks {
        let key = FlowKey {
            netns: 1,
            link_ifindex: *link,
            protocol: Protocol::Tcp,
            source: format!("{from}:1"),
            destination: format!("{to}:2"),
        };
        let name = |name: &str| (name != "x").then(|| name.to_owned());
        let flow = Flow { source_name: name(from), destination_name: name(to), ..Flow::default() };
        let stat = FlowStat {
            sent_bytes: *sent_bytes,
            received_bytes: *received_bytes,
            sent_bytes_per_sec: Some(*sent_bytes as f32),
            ..FlowStat::default()
        };
        s.flow.insert(key.clone(), Arc::new(flow));
        s.flow_stat.insert(key, Arc::new(stat));
    }
    s
}

#[test]
fn a_talk_that_passes_two_links_is_counted_once() {
    let s = scene(&[(5, "web", "db", 100, 7), (6, "web", "db", 90, 7), (5, "web", "x", 1, 0)]);
    let matrix = matrix(&s, 10);
    assert_eq!(matrix.parties, ["db", "web", ELSEWHERE]);
    let cell = |from: &str, to: &str| matrix.cells.get(&(from.into(), to.into())).copied();
    assert_eq!(cell("web", "db"), Some(Passing { bytes_per_sec: 100.0, bytes: 100 }));
    assert_eq!(cell("db", "web").map(|c| c.bytes), Some(7));
    assert_eq!(cell(ELSEWHERE, "web"), None);
}

#[test]
fn both_sides_of_a_translation_are_one_talk() {
    let mut s = scene(&[(5, "client", "host", 100, 7), (6, "client", "web", 90, 6)]);
    let outside = s.flow.keys().find(|key| key.link_ifindex == 5).cloned().unwrap();
    let inside = s.flow.keys().find(|key| key.link_ifindex == 6).cloned().unwrap();
    assert_eq!(talks(&s).len(), 2);
    Arc::make_mut(s.flow.get_mut(&outside).unwrap()).true_destination = Some(inside.destination);
    assert_eq!(talks(&s).len(), 1);
}

#[test]
fn loopback_of_another_namespace_is_another_talk_with_or_without_a_port() {
    let count = |protocol, ends: (&str, &str)| {
        let mut s = Snapshot::default();
        for netns in [1, 2] {
            let (source, destination) = (ends.0.to_owned(), ends.1.to_owned());
            let key = FlowKey { netns, link_ifindex: 1, protocol, source, destination };
            s.flow.insert(key.clone(), Arc::default());
            s.flow_stat.insert(key, Arc::default());
        }
        talks(&s).len()
    };
    assert_eq!(count(Protocol::Icmpv6, ("::1", "::1")), 2);
    assert_eq!(count(Protocol::Tcp, ("[::1]:40000", "[::1]:80")), 2);
    assert_eq!(count(Protocol::Icmp, ("127.0.0.1", "127.0.0.1")), 2);
    assert_eq!(count(Protocol::Icmpv6, ("fd00::1", "fd00::2")), 1);
}

#[test]
fn what_passes_a_pair_is_seen_at_the_end_that_is_captured() {
    let mut s = scene(&[(5, "web", "db", 10, 7), (5, "web", "x", 100, 0), (6, "a", "b", 1, 1)]);
    let near = LinkKey { netns: 1, ifindex: 5 };
    let far = LinkKey { netns: 2, ifindex: 2 };
    let pair = |peer: LinkKey| Link {
        peer_netns: Some(peer.netns),
        peer_ifindex: Some(peer.ifindex),
        ..Link::default()
    };
    s.link.insert(near, Arc::new(pair(far)));
    s.link.insert(far, Arc::new(pair(near)));
    s.link.insert(LinkKey { netns: 2, ifindex: 1 }, Arc::default());
    for key in [near, far] {
        let (at, mut flows) = on_link(&s, key);
        assert_eq!(at, near);
        top_first(&mut flows);
        let sent: Vec<u64> = flows.iter().map(|(.., stat)| stat.sent_bytes).collect();
        assert_eq!(sent, [100, 10]);
    }
    let lo = LinkKey { netns: 2, ifindex: 1 };
    assert_eq!(on_link(&s, lo), (lo, Vec::new()));
}

#[test]
fn an_end_is_a_process_where_its_socket_is_known_and_else_a_container_or_an_address() {
    let mut s = Snapshot::default();
    let socket =
        Socket { pid: Some(7), start_time: Some(70), comm: Some("curl".into()), ..Socket::default() };
    s.socket.insert(SocketKey { netns: 1, cookie: 1 }, Arc::new(socket));
    let key = FlowKey {
        netns: 1,
        link_ifindex: 5,
        protocol: Protocol::Tcp,
        source: "10.0.0.2:41000".into(),
        destination: "192.0.2.1:443".into(),
    };
    let flow = Flow {
        source_name: Some("web.front".into()),
        source_container: Some("w".into()),
        source_pid: Some(7),
        destination_pid: Some(8),
        true_destination: Some("[fd00::2]:443".into()),
        ..Flow::default()
    };
    let owners = owners(&s);
    let [source, destination] = ends(&owners, &key, &flow);
    assert_eq!((source.name.as_str(), source.process.as_deref()), ("web.front", Some("curl 7")));
    assert_eq!(source.leads_to, Some(Selection::Process(ProcessKey { pid: 7, start_time: 70 })));
    assert_eq!((destination.name.as_str(), destination.process.as_deref()), ("fd00::2", Some("8")));
    assert_eq!(destination.truly.as_deref(), Some("[fd00::2]:443"));
    assert_eq!(destination.leads_to, None);
    let flow = Flow { source_pid: None, ..flow };
    assert_eq!(ends(&owners, &key, &flow)[0].leads_to, Some(Selection::Container("w".into())));
}

#[test]
fn a_capture_of_one_flow_names_what_pcap_understands_and_no_more() {
    let filter = |protocol, source: &str, destination: &str| {
        let (source, destination) = (source.to_owned(), destination.to_owned());
        wire_filter(&FlowKey { netns: 1, link_ifindex: 1, protocol, source, destination })
    };
    let tcp = filter(Protocol::Tcp, "10.0.0.2:41000", "[fd00::2]:80");
    assert_eq!(tcp, "tcp and host 10.0.0.2 and host fd00::2 and port 41000 and port 80");
    assert_eq!(filter(Protocol::Icmpv6, "fe80::1%eth0", "ff02::1"), "host fe80::1 and host ff02::1");
    assert_eq!(filter(Protocol::Ether(0x88cc), "02:00:00:00:00:01", ""), "");
}

#[test]
fn without_room_the_least_busy_are_elsewhere() {
    let s = scene(&[(5, "a", "b", 100, 0), (5, "c", "b", 1, 0), (5, "host", "a", 50, 0)]);
    let matrix = matrix(&s, 3);
    assert_eq!(
        (matrix.parties, matrix.left_out),
        (vec!["a".into(), "b".into(), "host".into(), ELSEWHERE.into()], 1)
    );
    assert_eq!(matrix.cells[&(ELSEWHERE.to_owned(), "b".to_owned())].bytes, 1);
}
