//! Tests of the map's picture: who hangs on what, and that nothing lies over anything else.

use std::sync::Arc;

use glasshull_shared::domain::container::{Container, ContainerKey, Port};
use glasshull_shared::domain::network::Netns;

use super::*;
use crate::store::Selection;
use crate::view::map::cast::{By, groups};

const HOST: u64 = 1;

fn add(s: &mut Snapshot, netns: u64, ifindex: u32, row: Link) {
    s.link.insert(LinkKey { netns, ifindex }, Arc::new(row));
}

fn kind(kind: &str, name: &str) -> Link {
    Link { kind: kind.into(), name: name.into(), up: true, ..Link::default() }
}

/// A wire, two bridges with three containers on the first, one on both, one alone.
fn snapshot() -> Snapshot {
    let mut s = Snapshot::default();
    s.netns.insert(NetnsKey { netns: HOST }, Arc::new(Netns { host: true, ..Netns::default() }));
    add(&mut s, HOST, 1, kind("loopback", "lo"));
    add(&mut s, HOST, 2, kind("physical", "eth0"));
    add(&mut s, HOST, 10, Link { network: Some("front".into()), ..kind("bridge", "br-f") });
    add(&mut s, HOST, 11, Link { network: Some("back".into()), ..kind("bridge", "br-b") });
    let mut next = 20;
    for (netns, name, bridges) in
        [(2, "web", vec![10]), (3, "api", vec![10, 11]), (4, "cache", vec![10]), (5, "alone", vec![])]
    {
        let id = format!("{name}-id");
        let row = Container { name: name.into(), ..Container::default() };
        s.container.insert(ContainerKey { id: id.clone() }, Arc::new(row));
        s.netns.insert(NetnsKey { netns }, Arc::new(Netns { containers: vec![id], ..Netns::default() }));
        add(&mut s, netns, 1, kind("loopback", "lo"));
        for (i, bridge) in bridges.into_iter().enumerate() {
            let inside = 2 + u32::try_from(i).unwrap();
            let near = Link { peer_netns: Some(HOST), peer_ifindex: Some(next), ..kind("veth", "eth0") };
            let far = Link {
                master: Some(bridge),
                peer_netns: Some(netns),
                peer_ifindex: Some(inside),
                ..kind("veth", "vethx")
            };
            add(&mut s, netns, inside, near);
            add(&mut s, HOST, next, far);
            next += 1;
        }
    }
    s
}

fn drawn() -> Scene {
    let s = snapshot();
    let cast = Cast::of(&s, By::Each, &BTreeSet::new());
    scene(&s, &cast, &Plan::default().advance(&cast.members, &groups(&s)), &Talking::default())
}

#[test]
fn each_hangs_on_its_bridge_and_names_are_in_order() {
    let scene = drawn();
    let mut frames: Vec<_> = scene.frames.iter().map(|f| (f.y as i64, f.title.as_str())).collect();
    frames.sort_unstable();
    // `api` is on both networks; its row is with the one whose bridge comes first.
    assert_eq!(frames.iter().map(|f| f.1).collect::<Vec<_>>(), ["api", "cache", "web", "alone"]);
    let bridge = scene.bridges.iter().find(|b| b.title == "front").unwrap();
    for cable in scene.cables.iter().filter(|c| c.bridge == Some(bridge.key) && c.who != Who::Netns(HOST)) {
        assert!(cable.from.1 >= bridge.y && cable.from.1 <= bridge.y + bridge.height);
        assert_eq!(cable.label, "vethx");
    }
    let back = scene.bridges.iter().find(|b| b.title == "back").unwrap();
    assert!(scene.cables.iter().any(|c| c.bridge == Some(back.key) && c.who == Who::Netns(3)));
    assert_eq!(scene.wires.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), ["eth0"]);
}

#[test]
fn nothing_lies_over_anything_else() {
    let scene = drawn();
    let mut spans: Vec<(f64, f64)> = scene.frames.iter().map(|f| (f.y, f.y + TALL)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
    assert!(spans.last().unwrap().1 < scene.height);
    let columns = [WIRE, STACK, BRIDGE, LABEL, BOX];
    assert!(columns.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0));
    assert!(BOX.0 + BOX.1 <= WIDTH);
    for frame in &scene.frames {
        let ends: Vec<f64> = scene.cables.iter().filter(|c| c.who == frame.who).map(|c| c.to.1).collect();
        assert!(ends.iter().all(|y| *y > frame.y && *y < frame.y + TALL));
        assert!(ends.windows(2).all(|pair| pair[1] - pair[0] >= 12.0), "{ends:?}");
        let labels: Vec<_> = scene.cables.iter().filter(|c| c.who == frame.who).map(|c| c.label_at).collect();
        assert!(labels.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{labels:?}");
    }
    // As many as the space between two rows takes, and whatever number stays within it.
    let frame = &scene.frames[0];
    for of in 1..9 {
        let places: Vec<_> = (0..of).map(|i| label_place(frame, i, of)).collect();
        assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0 + 0.001), "{places:?}");
        assert!(places[of - 1].0 + places[of - 1].1 <= frame.y + TALL + (PITCH - TALL) / 2.0);
    }
}

#[test]
fn strands_grow_with_the_logarithm_and_stop_at_nothing() {
    assert_eq!((thickness(None), thickness(Some(0.0))), (0.0, 0.0));
    let widths = [1.0, 1e3, 1e6, 1e9].map(|rate| thickness(Some(rate)));
    assert!(widths.windows(2).all(|pair| pair[0] < pair[1]), "{widths:?}");
    assert!(pace(Some(1e6)) < pace(Some(1e3)));
}

#[test]
fn without_a_host_there_is_no_picture() {
    assert_eq!(
        scene(&Snapshot::default(), &Cast::default(), &Plan::default(), &Talking::default()),
        Scene::default()
    );
}

#[test]
fn a_selected_container_lights_its_way_and_its_peers() {
    let s = snapshot();
    let cast = Cast::of(&s, By::Each, &BTreeSet::new());
    let ends = ("alone-id".to_owned(), "web-id".to_owned());
    let within = vec![talk::Talk { ends, rates: (Some(10.0), Some(1.0)), bytes: 11 }];
    let beyond = |name: &str, id: &str| Outside {
        name: name.into(),
        with: BTreeSet::from([id.to_owned()]),
        ..Outside::default()
    };
    let talking = Talking { within, beyond: vec![beyond("mine", "web-id"), beyond("others", "alone-id")] };
    let plan = Plan::default().advance(&cast.members, &groups(&s));
    let scene = scene(&s, &cast, &plan, &talking);
    let lit = crate::view::map::lit(&scene, Some(&Selection::Container("web-id".into())));
    assert_eq!((lit.frames, lit.peers), (vec![Who::Netns(2)], vec![Who::Netns(5)]));
    assert_eq!(lit.outside, ["mine"]);
    assert!(scene.outside_at >= scene.wires.last().map_or(0.0, |w| w.y + TALL), "below the wires");
    assert_eq!(lit.bridges, [LinkKey { netns: HOST, ifindex: 10 }]);
    assert_eq!(lit.bows.len(), 1);
    assert!(!crate::view::map::lit(&scene, None).any);
}

#[test]
fn a_closed_bundle_has_one_cable_with_all_that_passes() {
    let mut s = snapshot();
    for netns in [2, 3, 4] {
        let row = LinkStat { rx_bytes_per_sec: Some(5.0), rx_dropped: 1, ..LinkStat::default() };
        s.link_stat.insert(LinkKey { netns, ifindex: 2 }, Arc::new(row));
    }
    let cast = Cast::of(&s, By::Network, &BTreeSet::new());
    let scene = scene(&s, &cast, &Plan::default().advance(&cast.members, &groups(&s)), &Talking::default());
    let bundle = scene.frames.iter().find(|f| f.bundle.is_some()).unwrap();
    assert_eq!((bundle.title.as_str(), bundle.containers.len()), ("3 on this bridge", 3));
    let cables: Vec<_> = scene.cables.iter().filter(|c| c.who == bundle.who).collect();
    assert_eq!(cables.len(), 1);
    assert_eq!((cables[0].flow.rx, cables[0].flow.lost), (Some(15.0), 3));
    // `api` is on both networks: its bundle stands with the first.
    assert_eq!(cables[0].label, "4 links");
}

#[test]
fn a_port_published_on_both_families_is_listed_once_and_only_while_its_container_runs() {
    let mut s = snapshot();
    let port = |address: &str, host_port| Port {
        host_address: Some(address.into()),
        host_port,
        container_port: 80,
        protocol: "tcp".into(),
    };
    let ports = vec![port("0.0.0.0", Some(8080)), port("::", Some(8080)), port("", None)];
    for (id, state) in [("web-id", ContainerState::Running), ("api-id", ContainerState::Exited)] {
        let row = Arc::make_mut(s.container.get_mut(&ContainerKey { id: id.into() }).unwrap());
        (row.ports, row.state) = (ports.clone(), state);
    }
    let cast = Cast::of(&s, By::Each, &BTreeSet::new());
    let scene = scene(&s, &cast, &Plan::default(), &Talking::default());
    assert_eq!(scene.published, [("web-id".to_owned(), "8080→web:80".to_owned())]);
}
