//! What belongs together in the network: veth ends, links and what they ride on, namespaces and containers, networks of
//! engines, neighbours and the containers they are. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::network::{Link, LinkKey, Neighbour, NeighbourKey, Netns, NetnsKey};
use glasshull_shared::domain::process::{Process, ProcessKey};

/// What a link says of the link across: its number, and its namespace when that is known.
pub(crate) type Across = (u32, Option<u64>);

/// Kinds of which both ends point to each other.
const PAIRS: [&str; 3] = ["veth", "netkit", "vxcan"];

/// Puts the containers of their processes into namespaces, owner first: the one that did not join another's namespace,
/// and while the engine has not told that, the one that runs longest: who joins finds it there.
pub(crate) fn join_namespaces(
    netns: &mut Table<NetnsKey, Netns>,
    members: &BTreeMap<u64, Vec<ProcessKey>>,
    processes: &Table<ProcessKey, Process>,
    containers: &Table<ContainerKey, Container>,
) {
    for (key, row) in netns.iter_mut() {
        let mut since: BTreeMap<&String, u64> = BTreeMap::new();
        for process in members.get(&key.netns).into_iter().flatten() {
            if let Some(id) = processes.get(process).and_then(|p| p.container.as_ref()) {
                let first = since.entry(id).or_insert(process.start_time);
                *first = process.start_time.min(*first);
            }
        }
        let joined = |id: &str| {
            let container = containers.get(&ContainerKey { id: id.to_owned() });
            container
                .and_then(|c| c.network_mode.as_deref())
                .is_some_and(|mode| mode.starts_with("container:"))
        };
        let mut ids: Vec<(bool, u64, &String)> =
            since.into_iter().map(|(id, t)| (joined(id), t, id)).collect();
        ids.sort_unstable();
        let row = Arc::make_mut(row);
        row.containers = ids.into_iter().map(|(.., id)| id.clone()).collect();
        // The container's own init tells more than whichever helper of the engine came first.
        let owner = row.containers.first().and_then(|id| containers.get(&ContainerKey { id: id.clone() }));
        row.pid = owner.and_then(|c| c.init_pid).filter(|_| !row.host).or(row.pid);
    }
}

/// Joins links with the other end, what they ride on, their container and their network.
pub(crate) fn join_links(
    links: &mut Table<LinkKey, Link>,
    across: &BTreeMap<LinkKey, Across>,
    netns: &Table<NetnsKey, Netns>,
    containers: &Table<ContainerKey, Container>,
) {
    let ends = ends(links, across);
    for (key, row) in links.iter_mut() {
        let Some(other) = ends.get(key) else { continue };
        let row = Arc::make_mut(row);
        if PAIRS.contains(&row.kind.as_str()) {
            (row.peer_netns, row.peer_ifindex) = (Some(other.netns), Some(other.ifindex));
        } else {
            (row.lower_netns, row.lower_ifindex) = (Some(other.netns), Some(other.ifindex));
        }
    }
    join_containers_and_networks(links, netns, containers);
}

/// The link across, for each link where it is known. An end whose namespace has no id here is known from the other side.
fn ends(links: &Table<LinkKey, Link>, across: &BTreeMap<LinkKey, Across>) -> HashMap<LinkKey, LinkKey> {
    let mut ends: HashMap<LinkKey, LinkKey> = HashMap::new();
    for (key, (ifindex, netns)) in across {
        if let Some(netns) = netns {
            ends.insert(*key, LinkKey { netns: *netns, ifindex: *ifindex });
        }
    }
    let back: Vec<(LinkKey, LinkKey)> = ends
        .iter()
        .filter(|(near, far)| {
            // Only who points back is the other end: a number may be in use in several namespaces.
            !ends.contains_key(far)
                && across.get(far).is_some_and(|(ifindex, _)| *ifindex == near.ifindex)
                && links.get(near).is_some_and(|l| PAIRS.contains(&l.kind.as_str()))
        })
        .map(|(near, far)| (*far, *near))
        .collect();
    ends.extend(back);
    ends
}

fn join_containers_and_networks(
    links: &mut Table<LinkKey, Link>,
    netns: &Table<NetnsKey, Netns>,
    containers: &Table<ContainerKey, Container>,
) {
    let owner = |inode: u64| {
        let row = netns.get(&NetnsKey { netns: inode })?;
        if row.host { None } else { row.containers.first().cloned() }
    };
    // Ends inside containers first: what they are tells what the host's ends and bridges are.
    let mut inside: HashMap<LinkKey, (Option<String>, Option<String>)> = HashMap::new();
    for (key, row) in links.iter() {
        let Some(id) = owner(key.netns) else { continue };
        let container = containers.get(&ContainerKey { id: id.clone() });
        let network = container.and_then(|c| network_of(c, &row.addresses));
        inside.insert(*key, (Some(id), network));
    }
    let mut bridges: HashMap<LinkKey, String> = HashMap::new();
    let mut found = HashMap::new();
    for (key, row) in links.iter() {
        let peer = row.peer_netns.zip(row.peer_ifindex).map(|(netns, ifindex)| LinkKey { netns, ifindex });
        let Some((container, network)) =
            inside.get(key).or_else(|| peer.and_then(|peer| inside.get(&peer))).cloned()
        else {
            continue;
        };
        if let (Some(master), Some(network)) = (row.master, &network) {
            bridges.insert(LinkKey { ifindex: master, ..*key }, network.clone());
        }
        found.insert(*key, (container, network));
    }
    let ports = ports(links, &bridges);
    for (key, row) in links.iter_mut() {
        let (container, network) = found.remove(key).unwrap_or_default();
        let network =
            network.or_else(|| bridges.get(key).or_else(|| ports.get(key)).cloned()).or_else(|| {
                // A network nobody is on has no port that tells its name.
                (row.kind == "bridge" && row.name == "docker0").then(|| "bridge".to_owned())
            });
        if row.container != container || row.network != network {
            let row = Arc::make_mut(row);
            (row.container, row.network) = (container, network);
        }
    }
}

/// What else hangs on the networks' bridges: their ports (a vxlan, a veth somebody put there) and those ports' other ends.
fn ports(links: &Table<LinkKey, Link>, bridges: &HashMap<LinkKey, String>) -> HashMap<LinkKey, String> {
    let mut ports = HashMap::new();
    for (key, row) in links {
        let bridge = row.master.map(|ifindex| LinkKey { ifindex, ..*key });
        let Some(network) = bridge.and_then(|bridge| bridges.get(&bridge)) else { continue };
        let peer = row.peer_netns.zip(row.peer_ifindex).map(|(netns, ifindex)| LinkKey { netns, ifindex });
        ports.extend([Some(*key), peer].into_iter().flatten().map(|port| (port, network.clone())));
    }
    ports
}

/// The network on which a container has one of these addresses.
fn network_of(container: &Container, addresses: &[String]) -> Option<String> {
    let bare = |address: &str| address.split('/').next().unwrap_or_default().to_owned();
    let has = |wanted: &str| addresses.iter().any(|address| bare(address) == bare(wanted));
    let found = container.networks.iter().find(|(_, address)| !address.is_empty() && has(address));
    found.map(|(name, _)| name.clone())
}

/// Marks what is unusual about neighbours and says which container each is. `before` is the table shown last: it remembers
/// hardware addresses that changed.
pub(crate) fn join_neighbours(
    now: &mut Table<NeighbourKey, Neighbour>,
    before: &Table<NeighbourKey, Neighbour>,
    links: &Table<LinkKey, Link>,
) {
    let mut shares: HashMap<(u64, u32, String, Scope), u32> = HashMap::new();
    let share =
        |key: &NeighbourKey, mac: &str| (key.netns, key.ifindex, mac.to_owned(), Scope::of(&key.address));
    for (key, row) in now.iter() {
        if let Some(mac) = &row.mac {
            *shares.entry(share(key, mac)).or_default() += 1;
        }
    }
    let mut by_mac: HashMap<&str, &str> = HashMap::new();
    for link in links.values().filter(|l| l.peer_netns.is_some() || l.lower_netns.is_some()) {
        // The host's end has another hardware address than the one neighbours see.
        if let (Some(mac), Some(container), false) = (&link.mac, &link.container, link.addresses.is_empty()) {
            by_mac.insert(mac, container);
        }
    }
    for (key, row) in now.iter_mut() {
        let was = before.get(key);
        let row = Arc::make_mut(row);
        row.mac_before = was.and_then(|was| {
            let changed = was.mac.is_some() && row.mac.is_some() && was.mac != row.mac;
            if changed { was.mac.clone() } else { was.mac_before.clone() }
        });
        if let Some(mac) = &row.mac {
            row.addresses_of_mac = shares.get(&share(key, mac)).copied().unwrap_or(1);
            row.container = by_mac.get(mac.as_str()).map(|id| (*id).to_owned());
        }
    }
}

/// Of each of these a host has one address as a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    V4,
    V6Link,
    V6,
}

impl Scope {
    fn of(address: &str) -> Self {
        match address.parse() {
            Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Self::V6Link,
            Ok(IpAddr::V6(_)) => Self::V6,
            Ok(IpAddr::V4(_)) | Err(_) => Self::V4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: u64 = 1;
    const WEB: u64 = 2;
    const DB: u64 = 3;

    fn key(netns: u64, ifindex: u32) -> LinkKey {
        LinkKey { netns, ifindex }
    }

    fn veth(master: Option<u32>, address: &str) -> Arc<Link> {
        let addresses = if address.is_empty() { Vec::new() } else { vec![address.to_owned()] };
        Arc::new(Link { kind: "veth".into(), master, addresses, ..Link::default() })
    }

    fn container(networks: &[(&str, &str)], mode: &str) -> Arc<Container> {
        let networks = networks.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect();
        Arc::new(Container { networks, network_mode: Some(mode.into()), ..Container::default() })
    }

    fn id(id: &str) -> ContainerKey {
        ContainerKey { id: id.into() }
    }

    fn netns(host: bool, containers: &[&str]) -> Arc<Netns> {
        let containers = containers.iter().map(|c| (*c).to_owned()).collect();
        Arc::new(Netns { host, containers, ..Netns::default() })
    }

    fn namespaces() -> Table<NetnsKey, Netns> {
        let key = |netns| NetnsKey { netns };
        [
            (key(HOST), netns(true, &["hostnet"])),
            (key(WEB), netns(false, &["web"])),
            (key(DB), netns(false, &["db"])),
        ]
        .into()
    }

    fn containers() -> Table<ContainerKey, Container> {
        [(id("web"), container(&[("front", "10.0.0.2")], "front")), (id("db"), container(&[], "none"))].into()
    }

    #[test]
    fn ends_bridge_and_network_are_known_from_one_side() {
        let bridge = Arc::new(Link { kind: "bridge".into(), ..Link::default() });
        let mut links = Table::from([
            (key(HOST, 5), veth(Some(9), "")),
            (key(HOST, 9), bridge),
            (key(WEB, 2), veth(None, "10.0.0.2/24")),
        ]);
        // The container's end does not know in which namespace the other one is.
        let across = BTreeMap::from([(key(HOST, 5), (2, Some(WEB))), (key(WEB, 2), (5, None))]);
        join_links(&mut links, &across, &namespaces(), &containers());
        let (near, far) = (&links[&key(HOST, 5)], &links[&key(WEB, 2)]);
        assert_eq!((near.peer_netns, near.peer_ifindex), (Some(WEB), Some(2)));
        assert_eq!((far.peer_netns, far.peer_ifindex), (Some(HOST), Some(5)));
        assert_eq!((near.container.as_deref(), far.container.as_deref()), (Some("web"), Some("web")));
        let networks = [key(HOST, 5), key(HOST, 9), key(WEB, 2)].map(|k| links[&k].network.clone());
        assert_eq!(networks, [Some("front".to_owned()), Some("front".into()), Some("front".into())]);
    }

    #[test]
    fn what_hangs_on_a_networks_bridge_is_part_of_it() {
        let kind = |kind: &str, master| Arc::new(Link { kind: kind.into(), master, ..Link::default() });
        let mut links = Table::from([
            (key(HOST, 5), veth(Some(9), "")),
            (key(WEB, 2), veth(None, "10.0.0.2/24")),
            (key(HOST, 9), kind("bridge", None)),
            (key(HOST, 6), kind("vxlan", Some(9))),
            // A veth that no engine put there, and its end in a namespace without container.
            (key(HOST, 7), veth(Some(9), "")),
            (key(4, 2), veth(None, "10.0.0.250/24")),
            (key(HOST, 8), kind("vxlan", Some(10))),
        ]);
        let across = BTreeMap::from([
            (key(HOST, 5), (2, Some(WEB))),
            (key(HOST, 7), (2, Some(4))),
            (key(4, 2), (7, None)),
        ]);
        join_links(&mut links, &across, &namespaces(), &containers());
        for part in [key(HOST, 5), key(HOST, 6), key(HOST, 7), key(HOST, 9)] {
            assert_eq!(links[&part].network.as_deref(), Some("front"), "{part:?}");
        }
        assert_eq!((&links[&key(HOST, 8)].network, &links[&key(HOST, 7)].container), (&None, &None));
        assert_eq!(links[&key(4, 2)].network.as_deref(), Some("front"), "the other end");
    }

    #[test]
    fn the_same_number_elsewhere_is_not_the_other_end() {
        let mut links = Table::from([
            (key(HOST, 5), veth(None, "")),
            (key(WEB, 2), veth(None, "")),
            (key(DB, 2), veth(None, "")),
        ]);
        let across = BTreeMap::from([
            (key(HOST, 5), (2, Some(WEB))),
            (key(WEB, 2), (5, None)),
            (key(DB, 2), (5, None)),
        ]);
        join_links(&mut links, &across, &namespaces(), &containers());
        assert_eq!(links[&key(WEB, 2)].peer_ifindex, Some(5));
        assert_eq!(links[&key(DB, 2)].peer_ifindex, None);
    }

    #[test]
    fn a_macvlan_rides_and_has_no_peer() {
        let macvlan = Arc::new(Link { kind: "macvlan".into(), ..Link::default() });
        let mut links = Table::from([(key(WEB, 2), macvlan)]);
        join_links(
            &mut links,
            &BTreeMap::from([(key(WEB, 2), (3, Some(HOST)))]),
            &namespaces(),
            &containers(),
        );
        let row = &links[&key(WEB, 2)];
        assert_eq!((row.peer_netns, row.lower_netns, row.lower_ifindex), (None, Some(HOST), Some(3)));
    }

    #[test]
    fn links_of_the_host_belong_to_no_container_even_when_one_is_in_its_namespace() {
        let mut links = Table::from([(key(HOST, 2), Arc::new(Link::default()))]);
        join_links(&mut links, &BTreeMap::new(), &namespaces(), &containers());
        assert_eq!(links[&key(HOST, 2)].container, None);
    }

    #[test]
    fn who_joined_anothers_namespace_comes_after_its_owner() {
        let process = |pid| ProcessKey { pid, start_time: 1 };
        let row = |c: &str| Arc::new(Process { container: Some(c.into()), ..Process::default() });
        let processes = Table::from([(process(1), row("a-sidecar")), (process(2), row("z-owner"))]);
        let containers = Table::from([
            (id("a-sidecar"), container(&[], "container:z-owner")),
            (id("z-owner"), container(&[], "front")),
        ]);
        let mut table = Table::from([(NetnsKey { netns: WEB }, Arc::new(Netns::default()))]);
        let members = BTreeMap::from([(WEB, vec![process(1), process(2)])]);
        join_namespaces(&mut table, &members, &processes, &containers);
        assert_eq!(table[&NetnsKey { netns: WEB }].containers, ["z-owner", "a-sidecar"]);
        // Also before the engine has told who joined whom: the sidecar's first process began later.
        let later = ProcessKey { pid: 1, start_time: 2 };
        let processes = Table::from([(process(2), row("z-owner")), (later, row("a-sidecar"))]);
        let members = BTreeMap::from([(WEB, vec![later, process(2)])]);
        join_namespaces(&mut table, &members, &processes, &Table::new());
        assert_eq!(table[&NetnsKey { netns: WEB }].containers, ["z-owner", "a-sidecar"]);
    }

    #[test]
    fn a_changed_and_a_shared_hardware_address_are_marked_and_remembered() {
        let at = |address: &str| NeighbourKey { netns: HOST, ifindex: 9, address: address.into() };
        let of = |mac: &str| Arc::new(Neighbour { mac: Some(mac.into()), ..Neighbour::default() });
        let mut first = Table::from([(at("10.0.0.2"), of("aa")), (at("10.0.0.3"), of("bb"))]);
        join_neighbours(&mut first, &Table::new(), &Table::new());
        assert_eq!(first[&at("10.0.0.2")].addresses_of_mac, 1);
        // IPv6 beside IPv4 is no sharing, and neither is the address of the link beside a wider one.
        let six = [(at("fd00::3"), of("bb")), (at("fe80::3"), of("bb"))];
        let mut second = Table::from([(at("10.0.0.2"), of("bb")), (at("10.0.0.3"), of("bb"))]);
        second.extend(six);
        join_neighbours(&mut second, &first, &Table::new());
        let row = &second[&at("10.0.0.2")];
        assert_eq!((row.mac_before.as_deref(), row.addresses_of_mac), (Some("aa"), 2));
        assert_eq!(second[&at("fd00::3")].addresses_of_mac, 1);
        let mut third = Table::from([(at("10.0.0.2"), of("bb"))]);
        join_neighbours(&mut third, &second, &Table::new());
        let row = &third[&at("10.0.0.2")];
        assert_eq!((row.mac_before.as_deref(), row.addresses_of_mac), (Some("aa"), 1));
    }
}
