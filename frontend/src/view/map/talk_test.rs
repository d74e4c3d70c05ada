//! Tests of the talk between containers: links are not added up, directions are kept, frames and not containers are joined.

use std::sync::Arc;

use glasshull_shared::domain::network::{Flow, FlowKey, FlowStat, Protocol};

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
        cpu: None,
        memory: None,
        processes: 1,
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
    let talks = talks(&s);
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
    let arcs = bows(&talks(&s), &frames);
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
    assert!(bows(&talks(&s), &[frame(2, 0.0, &["web"])]).is_empty());
}
