//! Rules about the network.

use super::*;
use glasshull_shared::domain::namespace::{Holder, HolderKind, Namespace, NamespaceKey, NamespaceKind};
use glasshull_shared::domain::source::{Source, SourceKey, SourceState};

pub(super) fn bridged(ip_forward: Option<bool>, port: bool) -> Snapshot {
    let mut s = plain();
    let host = Netns { host: true, ip_forward, ..Netns::default() };
    s.netns.insert(NetnsKey { netns: 1 }, Arc::new(host));
    let bridge = Link {
        name: "br0".into(),
        kind: "bridge".into(),
        addresses: vec!["172.18.0.1/16".into()],
        ..Link::default()
    };
    s.link.insert(LinkKey { netns: 1, ifindex: 4 }, Arc::new(bridge));
    let veth = Link {
        name: "veth5".into(),
        kind: "veth".into(),
        master: port.then_some(4),
        container: Some(web().id),
        ..Link::default()
    };
    s.link.insert(LinkKey { netns: 1, ifindex: 5 }, Arc::new(veth));
    s
}

#[test]
fn forwarding_off() {
    for (forward, port, expected) in [
        (Some(false), true, Some(Severity::Trouble)),
        (Some(true), true, None),
        (None, true, None),
        (Some(false), false, None),
    ] {
        let found = judge(&bridged(forward, port));
        assert_eq!(severity(&found, Rule::ForwardingOff), expected, "{forward:?} {port}");
    }
    assert!(Rule::ForwardingOff.text().meaning.contains("reload of sysctl"));
}

#[test]
fn neighbour_trouble() {
    let neighbour = |s: &mut Snapshot, address: &str, row: Neighbour| {
        let key = NeighbourKey { netns: 1, ifindex: 4, address: address.into() };
        s.neighbour.insert(key, Arc::new(row));
        severity(&judge(s), Rule::NeighbourTrouble)
    };
    let failed = || Neighbour { state: NeighbourState::Failed, ..Neighbour::default() };
    let of = |mac: &str, id: &str| Neighbour {
        mac: Some(mac.into()),
        container: Some(id.into()),
        ..Neighbour::default()
    };
    let mut s = bridged(Some(true), true);
    assert_eq!(neighbour(&mut s, "10.0.0.9", failed()), None, "no gateway: merely nobody there");
    let route = RouteKey {
        netns: 1,
        table: 254,
        destination: "default".into(),
        metric: 0,
        ifindex: 4,
        gateway: Some("10.0.0.9".into()),
    };
    s.route.insert(route, Arc::default());
    assert_eq!(neighbour(&mut s, "10.0.0.9", failed()), Some(Severity::Attention));
    let mut s = bridged(Some(true), true);
    let changed = Neighbour { mac_before: Some("aa".into()), ..of("bb", "w") };
    assert_eq!(neighbour(&mut s, "10.0.0.2", changed), Some(Severity::Attention));
}

/// Containers x and y on the bridge, with the hardware addresses `xx` and `yy`.
fn two_on_the_bridge(kind: &str) -> Snapshot {
    let mut s = bridged(Some(true), true);
    for (netns, id, host_end) in [(8, "x", 6), (9, "y", 7)] {
        let inside = Link {
            kind: kind.into(),
            container: Some(id.into()),
            addresses: vec![format!("172.18.0.{netns}/16")],
            peer_netns: Some(1),
            peer_ifindex: Some(host_end),
            ..Link::default()
        };
        let outside = Link { kind: "veth".into(), container: Some(id.into()), ..Link::default() };
        s.link.insert(LinkKey { netns, ifindex: 2 }, Arc::new(inside));
        s.link.insert(LinkKey { netns: 1, ifindex: host_end }, Arc::new(Link { master: Some(4), ..outside }));
    }
    s
}

#[test]
fn a_mac_that_answers_for_two_containers() {
    // As `model::network` marks them: whose a MAC is says one container of each.
    let of = |mac: &str, id: Option<&str>| Neighbour {
        mac: Some(mac.into()),
        container: id.map(str::to_owned),
        ..Neighbour::default()
    };
    let judged = |kind: &str, ifindex: u32, rows: &[(&str, Neighbour)]| {
        let mut s = two_on_the_bridge(kind);
        for (address, row) in rows {
            let key = NeighbourKey { netns: 1, ifindex, address: (*address).into() };
            s.neighbour.insert(key, Arc::new(row.clone()));
        }
        severity(&judge(&s), Rule::NeighbourTrouble)
    };
    let (x, y) = ("172.18.0.8", "172.18.0.9");
    let right = [(x, of("xx", Some("x"))), (y, of("yy", Some("y")))];
    assert_eq!(judged("veth", 4, &right), None);
    let more = [(x, of("xx", Some("x"))), ("172.18.0.20", of("xx", Some("x")))];
    assert_eq!(judged("veth", 4, &more), None, "two addresses of one container");
    let both = [(x, of("xx", Some("x"))), (y, of("xx", Some("x")))];
    assert_eq!(judged("veth", 4, &both), Some(Severity::Attention));
    assert_eq!(judged("veth", 4, &both[1..]), Some(Severity::Attention), "x answers for y");
    let nobody = [(x, of("zz", None)), (y, of("zz", None))];
    assert_eq!(judged("veth", 4, &nobody), Some(Severity::Attention), "whoever it is");
    assert_eq!(judged("veth", 3, &both), None, "another network with such addresses");
    assert_eq!(judged("ipvlan", 4, &nobody), None, "there one MAC is of all");
}

#[test]
fn link_loses() {
    for (drops, errors, expected) in
        [(10, 0, Some(Severity::Attention)), (9, 0, None), (0, 1, Some(Severity::Attention)), (0, 0, None)]
    {
        let (mut s, mut watch) = (bridged(Some(true), true), Watch::default());
        for (at, drops, errors) in [(NOW - SEC, 5000, 70), (NOW, 5000 + drops, 70 + errors)] {
            let row = LinkStat { rx_dropped: drops, tx_errors: errors, ..LinkStat::default() };
            s.link_stat.insert(LinkKey { netns: 1, ifindex: 5 }, Arc::new(row));
            watch.look(&s, at);
        }
        let found = judge_with(&s, &watch, &BTreeMap::new());
        assert_eq!(severity(&found, Rule::LinkLoses), expected, "{drops} {errors}");
    }
}

#[test]
fn stale_dnat() {
    let mut s = bridged(Some(true), true);
    let key = PublishedPortKey {
        netns: 1,
        container: Some(web().id),
        protocol: "tcp".into(),
        host_address: "0.0.0.0".into(),
        host_port: 80,
    };
    s.published_port.insert(key.clone(), Arc::default());
    assert_eq!(severity(&judge(&s), Rule::StaleDnat), None);
    let dead = PublishedPort { dead: Some("nobody listens".into()), ..PublishedPort::default() };
    s.published_port.insert(key, Arc::new(dead));
    assert_eq!(severity(&judge(&s), Rule::StaleDnat), Some(Severity::Attention));
}

#[test]
fn empty_namespace() {
    let mut s = Snapshot::default();
    let source = |state| Arc::new(Source { state, ..Source::default() });
    let name = SourceKey { name: "namespace".into() };
    s.source.insert(name.clone(), source(SourceState::Ok));
    let key = NamespaceKey { kind: NamespaceKind::Ipc, inode: 7 };
    let held = |by| vec![Holder { by, pid: Some(3), detail: "fd 7".into() }];
    let empty =
        Namespace { host: Some(false), held_by: held(HolderKind::Descriptor), ..Namespace::default() };
    for (row, expected) in [
        (empty.clone(), Some(Severity::Info)),
        (Namespace { held_by: held(HolderKind::BindMount), ..empty.clone() }, Some(Severity::Info)),
        (Namespace { pids: 1, pid: Some(3), ..empty.clone() }, None),
        (Namespace { host: Some(true), ..empty.clone() }, None),
        (Namespace { host: None, ..empty.clone() }, None),
        (Namespace { held_by: held(HolderKind::Thread), ..empty.clone() }, None),
        (Namespace { held_by: held(HolderKind::Namespace), ..empty.clone() }, None),
        (Namespace { held_by: Vec::new(), ..empty.clone() }, None),
    ] {
        s.namespace.insert(key, Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::EmptyNamespace), expected);
    }
    s.namespace.insert(key, Arc::new(empty));
    s.source.insert(name, source(SourceState::Limited));
    assert_eq!(severity(&judge(&s), Rule::EmptyNamespace), None);
}
