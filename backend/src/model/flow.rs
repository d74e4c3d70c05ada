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

use super::rate;

/// What the host is called at the end of a flow.
pub(super) const HOST: &str = "host";

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Host,
    Container { id: String, network: Option<String> },
}

/// Id of a container and what to call it.
pub(super) type Named = (Option<String>, Option<String>);

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

    /// The namespace of whoever has this address, for somebody on this link, and the container that owns it; `None` for an
    /// address that nothing here has.
    pub(super) fn asker(&self, on: LinkKey, address: IpAddr) -> (Option<u64>, Option<String>) {
        let has = |netns: u64| self.inside.get(&netns).is_some_and(|all| all.contains_key(&address));
        let across = || self.links.get(&on).and_then(|link| link.peer_netns).filter(|peer| has(*peer));
        let netns = if address.is_loopback() || has(on.netns) { Some(on.netns) } else { across() };
        let netns = netns.or_else(|| match self.find(on, address)? {
            Who::Host => self.host,
            Who::Container { id, .. } => {
                self.owners.iter().find(|(_, owner)| **owner == id).map(|(netns, _)| *netns)
            }
        });
        (netns, netns.and_then(|netns| self.owners.get(&netns).cloned()))
    }

    /// Whether there is such a link still.
    pub(super) fn has_link(&self, on: LinkKey) -> bool {
        self.links.contains_key(&on)
    }

    /// The namespace of the agent.
    pub(super) fn host(&self) -> Option<u64> {
        self.host
    }

    /// Who an end is.
    pub(super) fn name(&self, on: LinkKey, end: &str) -> Named {
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
pub(super) fn address(end: &str) -> Option<IpAddr> {
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
    let began = now.iter().filter(|(_, row)| row.first_seen_at >= last_at);
    rate::begin(before, began.map(|(key, _)| key));
}

#[cfg(test)]
mod tests;
