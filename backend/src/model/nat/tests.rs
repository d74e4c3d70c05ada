//! Ports that are alive, and each way in which they are not.

use std::collections::HashMap;
use std::sync::Arc;

use glasshull_shared::domain::container::{Container, ContainerState, Port};
use glasshull_shared::domain::network::{HopKind, LinkStat, NatOrigin, Netns};
use glasshull_shared::domain::process::{Process, ProcessKey};

use super::*;

const HOST: u64 = 1;
const WEB: u64 = 2;

fn link(kind: &str, address: &str, peer: Option<(u64, u32)>) -> Link {
    Link {
        name: format!("{kind}0"),
        kind: kind.into(),
        up: true,
        addresses: if address.is_empty() { vec![] } else { vec![address.into()] },
        peer_netns: peer.map(|(netns, _)| netns),
        peer_ifindex: peer.map(|(_, ifindex)| ifindex),
        ..Link::default()
    }
}

/// A container `web` on a bridge, which publishes 8080 → 80.
fn scene() -> Snapshot {
    let mut s = Snapshot::default();
    let mut netns = |inode, row| drop(s.netns.insert(NetnsKey { netns: inode }, Arc::new(row)));
    netns(HOST, Netns { host: true, pid: Some(1), ip_forward: Some(true), ..Netns::default() });
    netns(WEB, Netns { pid: Some(10), containers: vec!["w".into()], ..Netns::default() });
    let mut put = |netns, ifindex, row| drop(s.link.insert(LinkKey { netns, ifindex }, Arc::new(row)));
    put(HOST, 3, link("bridge", "172.18.0.1/16", None));
    put(HOST, 5, Link { master: Some(3), ..link("veth", "", Some((WEB, 2))) });
    put(WEB, 2, Link { container: Some("w".into()), ..link("veth", "172.18.0.2/16", Some((HOST, 5))) });
    let stat = LinkStat { tx_packets: 9, ..LinkStat::default() };
    s.link_stat.insert(LinkKey { netns: HOST, ifindex: 5 }, Arc::new(stat));
    let port = Port {
        host_address: Some("0.0.0.0".into()),
        host_port: Some(8080),
        container_port: 80,
        protocol: "tcp".into(),
    };
    let web = Container {
        state: ContainerState::Running,
        ports: vec![port],
        networks: vec![("lab".into(), "172.18.0.2".into())],
        ..Container::default()
    };
    s.container.insert(ContainerKey { id: "w".into() }, Arc::new(web));
    for (pid, comm, container) in [(10, "httpd", Some("w")), (20, "docker-proxy", None)] {
        let container = container.map(str::to_owned);
        let row = Process { comm: comm.into(), container, ..Process::default() };
        s.process.insert(ProcessKey { pid, start_time: 1 }, Arc::new(row));
    }
    s
}

fn dnat(to: &str) -> Table<NatRuleKey, NatRule> {
    let key = NatRuleKey {
        netns: HOST,
        origin: NatOrigin::Nftables,
        family: "ip".into(),
        table: "nat".into(),
        chain: "DOCKER".into(),
        position: 2,
    };
    let row = NatRule {
        protocol: Some("tcp".into()),
        port: Some("8080".into()),
        to: Some(to.into()),
        packets: Some(7),
        ..NatRule::default()
    };
    [(key, Arc::new(row))].into()
}

fn listening(address: &str, port: u16, pid: u32) -> Listening {
    Listening { protocol: "tcp", address: address.parse().unwrap(), port, pid: Some(pid) }
}

fn known(inside: Vec<Listening>, outside: Vec<Listening>) -> Known {
    Known { read: [HOST, WEB].into(), listeners: HashMap::from([(WEB, inside), (HOST, outside)]) }
}

/// The only port: its kinds of hops, and why it is dead.
fn ports(s: &Snapshot, mut rules: Table<NatRuleKey, NatRule>, known: &Known) -> Vec<PublishedPort> {
    let places = Places::new(s);
    join_rules(&mut rules, &places);
    join_ports(&rules, known, &places).values().map(|row| PublishedPort::clone(row)).collect()
}

fn kinds(row: &PublishedPort) -> Vec<HopKind> {
    row.hops.iter().map(|hop| hop.kind).collect()
}

#[test]
fn a_port_that_is_alive_shows_every_hop_in_order() {
    let rows = ports(&scene(), dnat("172.18.0.2:80"), &known(vec![listening("0.0.0.0", 80, 10)], vec![]));
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.dead, None);
    let texts: Vec<&str> = row.hops.iter().map(|hop| hop.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "0.0.0.0:8080/tcp",
            "DNAT to 172.18.0.2:80 (nat DOCKER #2)",
            "ip_forward 1",
            "bridge0",
            "veth0 ⇄ veth0",
            "httpd (10) 0.0.0.0:80"
        ]
    );
    assert_eq!((row.hops[1].packets, row.hops[4].packets, row.hops[5].pid), (Some(7), Some(9), Some(10)));
}

#[test]
fn a_proxy_alone_leads_on() {
    let known = known(vec![listening("0.0.0.0", 80, 10)], vec![listening("0.0.0.0", 8080, 20)]);
    let rows = ports(&scene(), Table::new(), &known);
    use HopKind::{Bridge, HostPort, Listener, Proxy, Veth};
    assert_eq!(kinds(&rows[0]), [HostPort, Proxy, Bridge, Veth, Listener]);
    assert_eq!((rows[0].hops[1].text.as_str(), &rows[0].dead), ("docker-proxy (20)", &None));
}

#[test]
fn nobody_listening_is_dead_and_so_is_who_listens_on_loopback() {
    let dead =
        |inside| ports(&scene(), dnat("172.18.0.2:80"), &known(inside, vec![]))[0].dead.clone().unwrap();
    assert!(dead(vec![]).starts_with("no listener"));
    assert!(dead(vec![listening("127.0.0.1", 80, 10)]).contains("127.0.0.1 only"));
}

#[test]
fn without_forwarding_nothing_comes_through() {
    let mut s = scene();
    let host = Netns { host: true, ip_forward: Some(false), ..Netns::default() };
    s.netns.insert(NetnsKey { netns: HOST }, Arc::new(host));
    let row = &ports(&s, dnat("172.18.0.2:80"), &known(vec![listening("::", 80, 10)], vec![]))[0];
    assert!(row.dead.as_ref().unwrap().contains("ip_forward is 0"));
    assert!(row.hops[2].remedy.as_ref().unwrap().contains("sysctl"));
}

#[test]
fn a_bridge_that_is_down_and_a_stopped_container_are_told() {
    let mut s = scene();
    let down = Link { up: false, ..link("bridge", "172.18.0.1/16", None) };
    s.link.insert(LinkKey { netns: HOST, ifindex: 3 }, Arc::new(down));
    let alive = known(vec![listening("::", 80, 10)], vec![]);
    let row = &ports(&s, dnat("172.18.0.2:80"), &alive)[0];
    assert_eq!(row.dead.as_deref(), Some("the bridge bridge0 is set down"));
    let mut s = scene();
    let web = s.container.get_mut(&ContainerKey { id: "w".into() }).unwrap();
    Arc::make_mut(web).state = ContainerState::Exited;
    assert_eq!(ports(&s, dnat("172.18.0.2:80"), &alive)[0].dead.as_deref(), Some("the container is exited"));
}

#[test]
fn a_rule_whose_target_has_gone_is_stale_and_shown_although_no_engine_tells_of_it() {
    let mut s = scene();
    s.container.clear();
    let rows = ports(&s, dnat("172.18.0.9:80"), &known(vec![], vec![]));
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(row.dead.as_ref().unwrap().starts_with("stale rule: 172.18.0.9"));
    assert_eq!(kinds(row), [HopKind::HostPort, HopKind::Rule, HopKind::Routing]);
}

#[test]
fn where_addresses_could_hide_no_rule_is_called_stale() {
    let mut chain = dnat("172.18.0.9:80");
    let (mut key, row) = chain.pop_first().unwrap();
    key.chain = "PREROUTING".into();
    let rules = |to: &str| {
        let mut row = NatRule::clone(&row);
        row.to = Some(to.into());
        Table::from([(key.clone(), Arc::new(row))])
    };
    let dead = |s: &Snapshot, to: &str| {
        let mut rules = rules(to);
        join_rules(&mut rules, &Places::new(s));
        rules.values().next().unwrap().dead.is_some()
    };
    let mut s = scene();
    assert!(dead(&s, "172.18.0.9:80"));
    assert!(!dead(&s, "192.0.2.1:80"), "it may be anywhere behind the gateway");
    let tap = Link { master: Some(3), ..link("tun", "", None) };
    s.link.insert(LinkKey { netns: HOST, ifindex: 6 }, Arc::new(tap));
    assert!(!dead(&s, "172.18.0.9:80"), "a virtual machine behind the tap may have it");
}

#[test]
fn neither_rule_nor_proxy_is_dead_only_where_rules_are_seen() {
    let alive = vec![listening("0.0.0.0", 80, 10)];
    let mut all = known(alive, vec![]);
    assert!(ports(&scene(), Table::new(), &all)[0].dead.as_ref().unwrap().contains("neither"));
    all.read.clear();
    assert_eq!(ports(&scene(), Table::new(), &all)[0].dead, None);
}

#[test]
fn an_engine_with_a_namespace_of_its_own_publishes_there() {
    let mut rules = dnat("172.18.0.2:80");
    let (mut key, row) = rules.pop_first().unwrap();
    key.netns = 9;
    rules.insert(key, row);
    let (s, inside) = (scene(), vec![listening("0.0.0.0", 80, 10)]);
    let netns = |outside| {
        let all = join_ports(&rules, &known(inside.clone(), outside), &Places::new(&s));
        all.keys().filter(|key| key.container.is_some()).map(|key| key.netns).collect::<Vec<_>>()
    };
    assert_eq!(netns(vec![]), [9]);
    assert_eq!(netns(vec![listening("0.0.0.0", 8080, 20)]), [HOST]);
}

#[test]
fn translations_tell_the_container_at_the_true_end() {
    let key = TranslationKey {
        netns: HOST,
        protocol: "tcp".into(),
        source: "10.0.0.1:4000".into(),
        destination: "10.0.0.2:8080".into(),
    };
    let row = Translation { reply_source: "172.18.0.2:80".into(), ..Translation::default() };
    let mut rows = Table::from([(key, Arc::new(row))]);
    join_translations(&mut rows, &Places::new(&scene()));
    assert_eq!(rows.values().next().unwrap().container.as_deref(), Some("w"));
}
