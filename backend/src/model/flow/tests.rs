//! Whose the ends of flows are, in a made scene.

use super::*;

const HOST_NS: u64 = 1;

#[test]
fn each_end_is_the_process_of_its_own_containers_socket_and_is_remembered() {
    let socket = |container: &str, local: &str, remote: &str, pid| {
        Arc::new(Socket {
            local: local.into(),
            remote: Some(remote.into()),
            pid: Some(pid),
            container: Some(container.into()),
            ..Socket::default()
        })
    };
    let (client, server) = ("10.0.0.3:4000", "10.0.0.2:80");
    let sockets: Table<SocketKey, Socket> = [
        (SocketKey { netns: 2, cookie: 1 }, socket("web", server, client, 20)),
        (SocketKey { netns: 4, cookie: 2 }, socket("twin", server, client, 40)),
        (SocketKey { netns: 3, cookie: 3 }, socket("db", client, server, 30)),
    ]
    .into();
    let key = FlowKey {
        netns: HOST_NS,
        link_ifindex: 8,
        protocol: Protocol::Tcp,
        source: client.into(),
        destination: server.into(),
    };
    let row = Flow {
        source_container: Some("db".into()),
        destination_container: Some("web".into()),
        ..Flow::default()
    };
    let mut first = Table::from([(key.clone(), Arc::new(row.clone()))]);
    join_processes(&mut first, &Table::new(), &sockets);
    assert_eq!((first[&key].source_pid, first[&key].destination_pid), (Some(30), Some(20)));
    let mut second = Table::from([(key.clone(), Arc::new(row))]);
    join_processes(&mut second, &first, &Table::new());
    assert_eq!(second[&key].destination_pid, Some(20));
}

#[test]
fn both_sides_of_a_translation_have_the_same_true_ends() {
    let (client, gate, inner, server) = ("10.1.0.2:4000", "10.1.0.1:8080", "10.2.0.1:5000", "10.2.0.2:80");
    let translation = |netns, source: &str, to: &str, reply_source: &str, reply_to: &str| {
        let key =
            TranslationKey { netns, protocol: "tcp".into(), source: source.into(), destination: to.into() };
        let row = Translation {
            reply_source: reply_source.into(),
            reply_destination: reply_to.into(),
            ..Translation::default()
        };
        (key, Arc::new(row))
    };
    let one: Table<_, _> = [translation(1, client, gate, server, inner)].into();
    let flow = |source: &str, destination: &str| FlowKey {
        netns: 1,
        link_ifindex: 1,
        protocol: Protocol::Tcp,
        source: source.into(),
        destination: destination.into(),
    };
    let join = |key: &FlowKey, before: &Table<FlowKey, Flow>, translations: &Table<_, _>| {
        let mut flows = Table::from([(key.clone(), Arc::new(Flow::default()))]);
        join_true_ends(&mut flows, before, translations);
        flows
    };
    let ends = |key: &FlowKey, flows: &Table<FlowKey, Flow>| {
        let (source, destination) = flows[key].ends(key);
        (source.to_owned(), destination.to_owned())
    };
    let truth = (client.to_owned(), server.to_owned());
    let back = (truth.1.clone(), truth.0.clone());
    let outside = flow(client, gate);
    let known = join(&outside, &Table::new(), &one);
    assert_eq!(ends(&outside, &known), truth);
    assert_eq!(known[&outside].true_source, None, "it is that end already");
    let inside = flow(inner, server);
    assert_eq!(ends(&inside, &join(&inside, &Table::new(), &one)), truth);
    let taken_for = flow(server, inner);
    assert_eq!(ends(&taken_for, &join(&taken_for, &Table::new(), &one)), back);
    // The kernel has forgotten it.
    assert_eq!(ends(&outside, &join(&outside, &known, &Table::new())), truth);
    let other = flow(client, "10.9.9.9:1");
    assert_eq!(join(&other, &Table::new(), &one)[&other].true_destination, None);
    // Two say otherwise: nobody knows.
    let two: Table<_, _> =
        [translation(1, client, gate, server, inner), translation(2, client, gate, "10.3.0.2:80", client)]
            .into();
    assert_eq!(join(&outside, &Table::new(), &two)[&outside].true_destination, None);
}

fn link(kind: &str, address: &str, network: Option<&str>) -> Link {
    let addresses = [address].into_iter().filter(|a| !a.is_empty()).map(str::to_owned).collect();
    Link { kind: kind.into(), addresses, network: network.map(str::to_owned), ..Link::default() }
}

fn key(netns: u64, ifindex: u32) -> LinkKey {
    LinkKey { netns, ifindex }
}

/// Two bridges with the same addresses behind them: web and db on one, twin (of web) on the other.
fn scene() -> (Table<NetnsKey, Netns>, Table<LinkKey, Link>, Table<ContainerKey, Container>) {
    let mut netns =
        Table::from([(NetnsKey { netns: HOST_NS }, Arc::new(Netns { host: true, ..Netns::default() }))]);
    let mut links = Table::from([
        (key(HOST_NS, 1), Arc::new(link("loopback", "127.0.0.1/8", None))),
        (key(HOST_NS, 8), Arc::new(link("bridge", "10.0.0.1/24", Some("front")))),
        (key(HOST_NS, 9), Arc::new(link("bridge", "10.0.1.1/24", Some("back")))),
    ]);
    let mut containers = Table::new();
    let scene = [
        ("web", 2, "10.0.0.2/24", 8, "front"),
        ("db", 3, "10.0.0.3/24", 8, "front"),
        ("twin", 4, "10.0.0.2/24", 9, "back"),
    ];
    for (name, inode, address, bridge, network) in scene {
        let near = inode as u32 + 10;
        let far = Link {
            peer_netns: Some(HOST_NS),
            peer_ifindex: Some(near),
            ..link("veth", address, Some(network))
        };
        let near_row = Link {
            master: Some(bridge),
            peer_netns: Some(inode),
            peer_ifindex: Some(2),
            ..link("veth", "", Some(network))
        };
        links.insert(key(inode, 1), Arc::new(link("loopback", "127.0.0.1/8", None)));
        links.insert(key(inode, 2), Arc::new(far));
        links.insert(key(HOST_NS, near), Arc::new(near_row));
        netns.insert(
            NetnsKey { netns: inode },
            Arc::new(Netns { containers: vec![format!("id-{name}")], ..Netns::default() }),
        );
        containers.insert(
            ContainerKey { id: format!("id-{name}") },
            Arc::new(Container { name: name.into(), ..Container::default() }),
        );
    }
    (netns, links, containers)
}

fn joined(on: LinkKey, source: &str, destination: &str) -> Flow {
    let (netns, links, containers) = scene();
    let flow = FlowKey {
        netns: on.netns,
        link_ifindex: on.ifindex,
        protocol: Protocol::Tcp,
        source: source.into(),
        destination: destination.into(),
    };
    let mut flows = Table::from([(flow.clone(), Arc::new(Flow::default()))]);
    join_flows(&mut flows, &Addresses::new(&netns, &links, &containers));
    Flow::clone(&flows[&flow])
}

fn names(flow: &Flow) -> (Option<&str>, Option<&str>) {
    (flow.source_name.as_deref(), flow.destination_name.as_deref())
}

#[test]
fn the_same_address_behind_another_bridge_is_somebody_else() {
    let flow = joined(key(HOST_NS, 12), "10.0.0.2:41000", "10.0.0.3:5432");
    assert_eq!(names(&flow), (Some("web.front"), Some("db.front")));
    assert_eq!(flow.source_container.as_deref(), Some("id-web"));
    let flow = joined(key(HOST_NS, 14), "10.0.0.2:41000", "9.9.9.9:53");
    assert_eq!(names(&flow), (Some("twin.back"), None));
    // Where neither is near, nobody knows which it is.
    let flow = joined(key(HOST_NS, 1), "10.0.0.2:41000", "10.0.0.3:1");
    assert_eq!(names(&flow), (None, Some("db.front")));
}

#[test]
fn loopback_is_whose_namespace_it_is() {
    let flow = joined(key(3, 1), "127.0.0.1:41000", "127.0.0.1:5432");
    assert_eq!(names(&flow), (Some("db"), Some("db")));
    let flow = joined(key(HOST_NS, 1), "127.0.0.1:41000", "127.0.0.5:80");
    assert_eq!(names(&flow), (Some("host"), Some("host")));
    assert_eq!(flow.source_container, None);
}

#[test]
fn the_host_is_named_and_what_is_no_address_is_not() {
    let flow = joined(key(HOST_NS, 12), "10.0.0.2", "10.0.0.1");
    assert_eq!(names(&flow), (Some("web.front"), Some("host")));
    assert_eq!(names(&joined(key(HOST_NS, 12), "02:00:00:00:00:01", "")), (None, None));
}

#[test]
fn what_began_since_the_last_reading_had_nothing_then() {
    let key = |source: &str| FlowKey {
        netns: 1,
        link_ifindex: 1,
        protocol: Protocol::Udp,
        source: source.into(),
        destination: String::new(),
    };
    let row = |first_seen_at| Arc::new(Flow { first_seen_at, ..Flow::default() });
    let now = Table::from([(key("old"), row(5)), (key("new"), row(15))]);
    let mut before = Table::new();
    begin_flows(&mut before, &now, 10);
    assert_eq!(before.keys().cloned().collect::<Vec<_>>(), [key("new")]);
}
