//! Representative rows of the tables of flows.

use glasshull_shared::domain::network::{Capture, Flow, FlowKey, FlowStat, FlowState, Protocol};

use super::{AT, ID};

pub(super) fn key() -> FlowKey {
    FlowKey {
        netns: super::network::WEB,
        link_ifindex: 2,
        protocol: Protocol::Tcp,
        source: "172.18.0.2:41234".into(),
        destination: "[fd00::3]:5432".into(),
    }
}

pub(super) fn flow() -> Flow {
    Flow {
        source_container: Some(ID.into()),
        destination_container: Some("abc".into()),
        source_name: Some("web.front".into()),
        destination_name: Some("db.front".into()),
        source_pid: Some(4321),
        destination_pid: Some(4322),
        first_seen_at: AT - 9,
        opening_seen: true,
        true_source: Some("10.0.0.9:41234".into()),
        true_destination: Some("10.0.0.2:80".into()),
    }
}

pub(super) fn stat() -> FlowStat {
    FlowStat {
        sent_bytes: 1_000_001,
        received_bytes: 2_000_002,
        sent_packets: 3003,
        received_packets: 4004,
        sent_bytes_per_sec: Some(5.5),
        received_bytes_per_sec: Some(6.5),
        sent_packets_per_sec: Some(7.5),
        received_packets_per_sec: None,
        last_seen_at: AT,
        tcp_flags: 0b1_1010,
        state: Some(FlowState::Closing),
    }
}

pub(super) fn capture() -> Capture {
    Capture {
        packets: 1_000_001,
        dropped: 12,
        malformed: 14,
        flows: 15,
        flows_left_out: 16,
        packets_left_out: 17,
        since_at: AT - 10,
        snaplen: 128,
        namespaces: vec![4_026_531_840, super::network::WEB],
        links_left_out: 18,
        error: Some("capturing needs CAP_NET_RAW".into()),
    }
}
