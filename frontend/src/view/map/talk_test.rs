//! Tests of the talk between containers: links are not added up, directions are kept, frames and not containers are joined.

use std::sync::Arc;

use glasshull_shared::domain::network::{Flow, FlowKey, FlowStat, Link, LinkKey};

use super::*;

fn add(s: &mut Snapshot, ifindex: u32, (from, to): (&str, &str), port: u16, (sent, received): (u64, u64)) {
    let key = FlowKey {
        netns: 1,
        link_ifindex: ifindex,
        protocol: Protocol::Tcp,
        source: format!("10.0.0.{}:{port}", from.len()),
        destination: format!("10.0.0.{}:80", to.len()),
    };
    let row = Flow {
        source_container: Some(from.into()),
        destination_container: Some(to.into()),
        ..Flow::default()
    };
    let stat = FlowStat {
        sent_bytes: sent,
        received_bytes: received,
        sent_bytes_per_sec: Some(sent as f32),
        received_bytes_per_sec: Some(received as f32),
        ..FlowStat::default()
    };
    s.flow.insert(key.clone(), Arc::new(row));
    s.flow_stat.insert(key, Arc::new(stat));
}

fn frame(netns: u64, y: f64, containers: &[&str]) -> Frame {
    Frame {
        who: Who::Netns(netns),
        bundle: None,
        y,
        title: containers.join("+"),
        detail: String::new(),
        containers: containers.iter().map(|c| (*c).to_owned()).collect(),
        members: Vec::new(),
        cpu: None,
        memory: None,
        processes: 1,
        address: None,
    }
}

#[test]
fn a_packet_seen_on_two_links_counts_once() {
    let mut s = Snapshot::default();
    // Two connections, both seen on the veth of either end; the second end missed a little.
    for (ifindex, missed) in [(5, 0), (6, 10)] {
        add(&mut s, ifindex, ("web", "api"), 4000, (100 - missed, 1000));
        add(&mut s, ifindex, ("api", "web"), 4001, (20, 3));
    }
    let talks = Talking::of(&s).within;
    assert_eq!(talks.len(), 1);
    assert_eq!(talks[0].ends, ("api".to_owned(), "web".to_owned()));
    assert_eq!(talks[0].rates, (Some(1020.0), Some(103.0)));
    assert_eq!(talks[0].bytes, 1123);
}

#[test]
fn arcs_join_frames_downwards_and_none_joins_itself() {
    let mut s = Snapshot::default();
    add(&mut s, 5, ("web", "api"), 4000, (100, 1000));
    add(&mut s, 5, ("web", "side"), 4001, (7, 7));
    let frames = [frame(2, 300.0, &["web", "side"]), frame(3, 100.0, &["api"])];
    let arcs = bows(&Talking::of(&s).within, &frames);
    assert_eq!(arcs.len(), 1);
    assert_eq!(arcs[0].ends, (Who::Netns(3), Who::Netns(2)));
    assert!(arcs[0].from < arcs[0].to);
    // From the upper, api, flows what web received.
    assert_eq!(arcs[0].rates, (Some(1000.0), Some(100.0)));
}

#[test]
fn whose_frame_is_not_drawn_has_no_arc() {
    let mut s = Snapshot::default();
    add(&mut s, 5, ("web", "api"), 4000, (1, 1));
    assert!(bows(&Talking::of(&s).within, &[frame(2, 0.0, &["web"])]).is_empty());
}

#[test]
fn who_is_beyond_this_host_is_told_by_name_with_whom_it_talks() {
    let mut s = Snapshot::default();
    let mut outside = |port: u16, id: Option<&str>, name: Option<&str>, address: &str, protocol: Protocol| {
        let key = FlowKey {
            netns: 1,
            link_ifindex: 5,
            protocol,
            source: format!("10.0.0.2:{port}"),
            destination: format!("{address}:443"),
        };
        let row = Flow {
            source_container: id.map(Into::into),
            source_name: Some("host".into()),
            destination_name: name.map(Into::into),
            ..Flow::default()
        };
        let stat = FlowStat {
            sent_bytes: 10,
            received_bytes: u64::from(port),
            sent_bytes_per_sec: Some(1.0),
            received_bytes_per_sec: Some(2.0),
            ..FlowStat::default()
        };
        s.flow.insert(key.clone(), Arc::new(row));
        s.flow_stat.insert(key, Arc::new(stat));
    };
    outside(4000, Some("web"), Some("repo.example."), "203.0.113.7", Protocol::Tcp);
    outside(4001, Some("db"), Some("repo.example."), "203.0.113.8", Protocol::Tcp);
    outside(9, None, None, "203.0.113.9", Protocol::Udp);
    outside(5000, Some("web"), None, "224.0.0.251", Protocol::Udp);
    outside(5001, Some("web"), None, "203.0.113.9", Protocol::Arp);
    // Everybody of the network below.
    outside(5003, Some("web"), None, "10.0.0.255", Protocol::Udp);
    // In a namespace of this host that no container is in: that has a box of its own.
    outside(5002, Some("web"), None, "10.0.0.77", Protocol::Tcp);
    s.netns.insert(NetnsKey { netns: 8 }, Arc::default());
    let link = Link { addresses: vec!["10.0.0.77/24".into()], ..Link::default() };
    s.link.insert(LinkKey { netns: 8, ifindex: 2 }, Arc::new(link));
    let all = Talking::of(&s).beyond;
    let names: Vec<&str> = all.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["repo.example", "203.0.113.9"]);
    let with: Vec<&String> = all[0].with.iter().collect();
    assert_eq!(with, ["db", "web"]);
    assert_eq!((all[0].flow.rx, all[0].flow.tx, all[0].bytes), (Some(4.0), Some(2.0), 8021));
    assert!(all[1].with.is_empty(), "the host itself");
    let place = Frame { who: Who::Netns(8), ..frame(8, 300.0, &[]) };
    let arcs = bows(&Talking::of(&s).within, &[frame(2, 100.0, &["web"]), place]);
    assert_eq!(arcs.iter().map(|bow| bow.ends.clone()).collect::<Vec<_>>(), [(Who::Netns(2), Who::Netns(8))]);
}
