//! Representative rows of the sockets' tables.

use glasshull_shared::domain::network::{
    ClosedSocket, Socket, SocketKey, SocketKind, SocketProtocol, SocketStat, SocketState,
};

use super::network::WEB;
use super::{AT, ID};

pub(super) fn socket_key() -> SocketKey {
    SocketKey { netns: WEB, cookie: 4097 }
}

pub(super) fn socket() -> Socket {
    Socket {
        protocol: SocketProtocol::Udp,
        kind: SocketKind::Dgram,
        local: "[fd77::2]:5353".into(),
        remote: Some("[fd77::1]:53".into()),
        state: SocketState::Established,
        v6_only: Some(true),
        uid: Some(33),
        inode: Some(123_456),
        peer_inode: Some(123_457),
        pid: Some(4321),
        start_time: Some(987_654),
        comm: Some("named".into()),
        more_holders: 3,
        container: Some(ID.into()),
        ifindex: Some(2),
    }
}

pub(super) fn socket_stat() -> SocketStat {
    SocketStat {
        receive_queue_bytes: Some(1),
        send_queue_bytes: Some(2),
        backlog: Some(3),
        backlog_limit: Some(4),
        dropped: Some(5),
        rtt_nanos: Some(6_000),
        rtt_var_nanos: Some(7_000),
        retransmits: Some(8),
        lost: Some(9),
        cwnd: Some(10),
        mss_bytes: Some(1448),
        sent_bytes: Some(1_000_001),
        received_bytes: Some(2_000_002),
        sent_bytes_per_sec: Some(11.5),
        received_bytes_per_sec: Some(12.5),
        delivery_bytes_per_sec: Some(13_000),
    }
}

pub(super) fn closed_socket() -> ClosedSocket {
    ClosedSocket {
        netns: WEB,
        cookie: 4098,
        local: "172.18.0.2:80".into(),
        remote: "172.18.0.3:40404".into(),
        pid: Some(4321),
        start_time: Some(987_654),
        comm: Some("httpd".into()),
        container: Some(ID.into()),
        sent_bytes: Some(211),
        received_bytes: Some(68),
        rtt_nanos: Some(45_000),
        retransmits: Some(1),
        closed_at: AT,
    }
}
