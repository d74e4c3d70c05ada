//! Who the ends of flows are: containers and names by address, as seen from the link. Pure.
//!
//! An address means something only where it is: the same one may be in use in several networks. So it is looked for on the
//! link's own side first, then among what shares its bridge, then anywhere if one alone has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::network::{
    Flow, FlowKey, FlowStat, Link, LinkKey, Netns, NetnsKey, Protocol, Socket, SocketKey, SocketProtocol,
    Translation, TranslationKey,
};

/// What the host is called at the end of a flow.
const HOST: &str = "host";

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Host,
    Container { id: String, network: Option<String> },
}

/// Id of a container and what to call it.
type Named = (Option<String>, Option<String>);

/// Addresses and whose they are.
pub(crate) struct Addresses<'a> {
    links: &'a Table<LinkKey, Link>,
    containers: &'a Table<ContainerKey, Container>,
    host: Option<u64>,
    /// Container of each other namespace.
    owners: HashMap<u64, String>,
    /// By namespace: all of its links.
    inside: HashMap<u64, HashMap<IpAddr, Option<String>>>,
    /// By bridge: what its ports lead to.
    behind: HashMap<LinkKey, HashMap<IpAddr, BTreeSet<Who>>>,
    /// Everywhere but on loopback.
    anywhere: HashMap<IpAddr, BTreeSet<Who>>,
}

impl<'a> Addresses<'a> {
    /// Collects the addresses of all links.
    pub(crate) fn new(
        netns: &Table<NetnsKey, Netns>,
        links: &'a Table<LinkKey, Link>,
        containers: &'a Table<ContainerKey, Container>,
    ) -> Self {
        let host = netns.iter().find(|(_, row)| row.host).map(|(key, _)| key.netns);
        let other = netns.iter().filter(|(_, row)| !row.host);
        let owners = other.filter_map(|(key, row)| Some((key.netns, row.containers.first()?.clone())));
        let mut all = Self {
            links,
            containers,
            host,
            owners: owners.collect(),
            inside: HashMap::new(),
            behind: HashMap::new(),
            anywhere: HashMap::new(),
        };
        for (key, link) in links {
            all.add(*key, link);
        }
        all
    }

    fn add(&mut self, key: LinkKey, link: &Link) {
        let here = self.inside.entry(key.netns).or_default();
        let addresses = link.addresses.iter().filter_map(|a| a.split('/').next()?.parse::<IpAddr>().ok());
        let addresses: Vec<IpAddr> = addresses.collect();
        here.extend(addresses.iter().map(|address| (*address, link.network.clone())));
        let Some(who) = self.who(key.netns, link.network.clone()) else { return };
        let bridge = bridge_of(self.links, key, link);
        for address in addresses.into_iter().filter(|address| !address.is_loopback()) {
            if let Some(bridge) = bridge {
                self.behind.entry(bridge).or_default().entry(address).or_default().insert(who.clone());
            }
            self.anywhere.entry(address).or_default().insert(who.clone());
        }
    }

    fn who(&self, netns: u64, network: Option<String>) -> Option<Who> {
        if Some(netns) == self.host {
            return Some(Who::Host);
        }
        self.owners.get(&netns).map(|id| Who::Container { id: id.clone(), network })
    }

    /// Who has this address, for somebody on this link.
    fn find(&self, on: LinkKey, address: IpAddr) -> Option<Who> {
        let own = self.inside.get(&on.netns);
        if let Some(network) = own.and_then(|addresses| addresses.get(&address)) {
            return self.who(on.netns, network.clone());
        }
        if address.is_loopback() {
            return self.who(on.netns, None);
        }
        let link = self.links.get(&on);
        let near = link.and_then(|link| bridge_of(self.links, on, link));
        let near = near.and_then(|bridge| self.behind.get(&bridge)?.get(&address));
        near.or_else(|| self.anywhere.get(&address)).and_then(one).cloned()
    }

    /// Who an end is.
    fn name(&self, on: LinkKey, end: &str) -> Named {
        match address(end).and_then(|address| self.find(on, address)) {
            None => (None, None),
            Some(Who::Host) => (None, Some(HOST.to_owned())),
            Some(Who::Container { id, network }) => {
                let key = ContainerKey { id };
                let name = self.containers.get(&key).map(|c| c.name.clone()).filter(|name| !name.is_empty());
                let name = name.map(|name| match network {
                    Some(network) => format!("{name}.{network}"),
                    None => name,
                });
                (Some(key.id), name)
            }
        }
    }
}

fn one(who: &BTreeSet<Who>) -> Option<&Who> {
    if who.len() == 1 { who.first() } else { None }
}

/// The bridge a link leads to: it is one, is a port of one, or its other end is.
fn bridge_of(links: &Table<LinkKey, Link>, key: LinkKey, link: &Link) -> Option<LinkKey> {
    if link.kind == "bridge" {
        return Some(key);
    }
    if let Some(master) = link.master {
        return Some(LinkKey { ifindex: master, ..key });
    }
    let peer = LinkKey { netns: link.peer_netns?, ifindex: link.peer_ifindex? };
    let master = links.get(&peer)?.master?;
    Some(LinkKey { ifindex: master, ..peer })
}

/// The address of an end, with or without a port.
fn address(end: &str) -> Option<IpAddr> {
    end.parse::<SocketAddr>().map(|at| at.ip()).or_else(|_| end.parse()).ok()
}

/// Puts the true ends to flows that are translated somewhere, seen before or behind it. A flow is remembered by `before` when the
/// kernel has forgotten the connection; where two translations contradict each other, nothing is said.
pub(crate) fn join_true_ends(
    flows: &mut Table<FlowKey, Flow>,
    before: &Table<FlowKey, Flow>,
    translations: &Table<TranslationKey, Translation>,
) {
    type Ends<'a> = (&'a str, &'a str);
    let mut by_ends: HashMap<(Protocol, Ends<'_>), Option<Ends<'_>>> = HashMap::new();
    for (key, row) in translations {
        let protocol = Protocol::from(key.protocol.clone());
        let truly = (key.source.as_str(), row.reply_source.as_str());
        let seen = [
            (key.source.as_str(), key.destination.as_str()),
            (row.reply_destination.as_str(), row.reply_source.as_str()),
        ];
        // Some flows are taken for the way back: they were under way before somebody looked.
        for (seen, truly) in seen.into_iter().flat_map(|ends| [(ends, truly), (turned(ends), turned(truly))])
        {
            let known = by_ends.entry((protocol, seen)).or_insert(Some(truly));
            if *known != Some(truly) {
                *known = None;
            }
        }
    }
    for (key, row) in flows.iter_mut() {
        let found = by_ends.get(&(key.protocol, (key.source.as_str(), key.destination.as_str())));
        let row = Arc::make_mut(row);
        match found {
            Some(Some((source, destination))) => {
                row.true_source = (*source != key.source).then(|| (*source).to_owned());
                row.true_destination = (*destination != key.destination).then(|| (*destination).to_owned());
            }
            Some(None) => {}
            None => {
                if let Some(was) = before.get(key) {
                    row.true_source.clone_from(&was.true_source);
                    row.true_destination.clone_from(&was.true_destination);
                }
            }
        }
    }
}

fn turned<'a>((one, other): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (other, one)
}

/// Puts containers and names to both ends; what is known of a flow already stays while its ends do.
pub(crate) fn join_flows(flows: &mut Table<FlowKey, Flow>, addresses: &Addresses<'_>) {
    // Many flows have one end in common.
    let mut known: HashMap<(LinkKey, String), Named> = HashMap::new();
    for (key, row) in flows.iter_mut() {
        let on = LinkKey { netns: key.netns, ifindex: key.link_ifindex };
        let row = Arc::make_mut(row);
        let mut end = |end: &str| {
            if let Some(named) = known.get(&(on, end.to_owned())) {
                return named.clone();
            }
            let named = addresses.name(on, end);
            known.insert((on, end.to_owned()), named.clone());
            named
        };
        let ends = row.ends(key);
        let (source, destination) = (end(ends.0), end(ends.1));
        (row.source_container, row.source_name) = source;
        (row.destination_container, row.destination_name) = destination;
    }
}

/// Puts the process to each end of which a connected socket is known. Where the same two addresses meet in several places,
/// that of the end's own container counts. `before` remembers whose a socket was that has gone.
pub(crate) fn join_processes(
    flows: &mut Table<FlowKey, Flow>,
    before: &Table<FlowKey, Flow>,
    sockets: &Table<SocketKey, Socket>,
) {
    /// Whose socket it is, and the process.
    type Holder<'a> = (&'a Option<String>, u32);
    let mut by_ends: HashMap<(Protocol, &str, &str), Vec<Holder<'_>>> = HashMap::new();
    for row in sockets.values() {
        let protocol = match row.protocol {
            SocketProtocol::Tcp => Protocol::Tcp,
            SocketProtocol::Udp => Protocol::Udp,
            SocketProtocol::Raw | SocketProtocol::Unix | SocketProtocol::Packet => continue,
        };
        if let (Some(remote), Some(pid)) = (&row.remote, row.pid) {
            by_ends.entry((protocol, &row.local, remote)).or_default().push((&row.container, pid));
        }
    }
    for (key, row) in flows.iter_mut() {
        let find = |near: &str, far: &str, container: &Option<String>| {
            let mut own = by_ends.get(&(key.protocol, near, far))?.iter().filter(|(of, _)| *of == container);
            own.next().map(|(_, pid)| *pid).filter(|_| own.next().is_none())
        };
        let was = before.get(key);
        let row = Arc::make_mut(row);
        row.source_pid = find(&key.source, &key.destination, &row.source_container)
            .or_else(|| was.and_then(|row| row.source_pid));
        row.destination_pid = find(&key.destination, &key.source, &row.destination_container)
            .or_else(|| was.and_then(|row| row.destination_pid));
    }
}

/// Adds the beginning of flows that began since `last_at`: they had nothing then, so their rate is known at once.
pub(crate) fn begin_flows(
    before: &mut Table<FlowKey, FlowStat>,
    now: &BTreeMap<FlowKey, Arc<Flow>>,
    last_at: u64,
) {
    let nothing = Arc::new(FlowStat::default());
    for (key, _) in now.iter().filter(|(_, row)| row.first_seen_at >= last_at) {
        before.entry(key.clone()).or_insert_with(|| Arc::clone(&nothing));
    }
}

#[cfg(test)]
mod tests {
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
        let (client, gate, inner, server) =
            ("10.1.0.2:4000", "10.1.0.1:8080", "10.2.0.1:5000", "10.2.0.2:80");
        let translation = |netns, source: &str, to: &str, reply_source: &str, reply_to: &str| {
            let key = TranslationKey {
                netns,
                protocol: "tcp".into(),
                source: source.into(),
                destination: to.into(),
            };
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
        let two: Table<_, _> = [
            translation(1, client, gate, server, inner),
            translation(2, client, gate, "10.3.0.2:80", client),
        ]
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
        assert_eq!(before.into_keys().collect::<Vec<_>>(), [key("new")]);
    }
}
