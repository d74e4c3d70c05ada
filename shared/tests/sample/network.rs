//! Representative rows of the network's tables.

use glasshull_shared::domain::network::{
    Link, LinkKey, LinkStat, Neighbour, NeighbourKey, NeighbourState, Netns, OperState, Route, RouteKey,
};

use super::ID;

pub(super) const WEB: u64 = 4_026_532_185;

pub(super) fn netns() -> Netns {
    Netns {
        host: false,
        name: Some("blue".into()),
        pid: Some(4321),
        processes: 3,
        containers: vec![ID.into(), "abc".into()],
        ip_forward: Some(true),
        hidden: Some("entering needs CAP_SYS_ADMIN".into()),
    }
}

pub(super) fn link_key() -> LinkKey {
    LinkKey { netns: WEB, ifindex: 2 }
}

pub(super) fn link() -> Link {
    Link {
        name: "eth0".into(),
        kind: "veth".into(),
        driver: Some("veth".into()),
        driver_version: Some("1.0".into()),
        state: OperState::LowerLayerDown,
        up: true,
        mtu: 1500,
        mac: Some("02:42:ac:12:00:02".into()),
        addresses: vec!["172.18.0.2/16".into(), "fe80::1/64".into()],
        master: Some(4),
        peer_netns: Some(4_026_531_840),
        peer_ifindex: Some(7),
        lower_netns: Some(4_026_531_841),
        lower_ifindex: Some(8),
        container: Some(ID.into()),
        network: Some("front".into()),
        alias: Some("uplink".into()),
    }
}

pub(super) fn link_stat() -> LinkStat {
    LinkStat {
        rx_bytes: 1_000_001,
        tx_bytes: 2_000_002,
        rx_packets: 3003,
        tx_packets: 4004,
        rx_errors: 5,
        tx_errors: 6,
        rx_dropped: 7,
        tx_dropped: 8,
        rx_bytes_per_sec: Some(9.5),
        tx_bytes_per_sec: Some(10.5),
        rx_packets_per_sec: Some(11.5),
        tx_packets_per_sec: None,
    }
}

pub(super) fn neighbour_key() -> NeighbourKey {
    NeighbourKey { netns: WEB, ifindex: 2, address: "172.18.0.1".into() }
}

pub(super) fn neighbour() -> Neighbour {
    Neighbour {
        mac: Some("02:42:00:00:00:01".into()),
        state: NeighbourState::Delay,
        router: true,
        mac_before: Some("02:42:00:00:00:02".into()),
        addresses_of_mac: 2,
        container: Some(ID.into()),
    }
}

pub(super) fn route_key() -> RouteKey {
    RouteKey {
        netns: WEB,
        table: 254,
        destination: "default".into(),
        metric: 100,
        ifindex: 2,
        gateway: Some("172.18.0.1".into()),
    }
}

pub(super) fn route() -> Route {
    Route { kind: "unicast".into(), source: Some("172.18.0.2".into()), protocol: "boot".into() }
}
