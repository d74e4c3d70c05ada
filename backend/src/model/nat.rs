//! Where published ports lead: which rule, proxy, bridge and veth pair a packet passes and who listens in the end; which
//! rules lead nowhere. Pure.

mod chain;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::network::{
    Link, LinkKey, NatKind, NatRule, NatRuleKey, NetnsKey, PublishedPort, PublishedPortKey, Translation,
    TranslationKey,
};
use glasshull_shared::snapshot::Snapshot;

/// Programs that pass a published port on.
const PROXIES: [&str; 6] = ["docker-proxy", "rootlessport", "slirp4netns", "pasta", "passt", "rootlesskit"];
/// Chains in which engines keep their rules: their targets are containers and nothing else.
const ENGINE_CHAINS: [&str; 4] = ["DOCKER", "CNI-DN-", "NETAVARK-DN-", "nv_"];

/// A socket that takes what comes: protocol, address, port, process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Process; `None` when hidden.
    pub pid: Option<u32>,
}

/// A namespace to look for listeners in, on these ports, among these processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whose sockets.
    pub netns: u64,
    /// A process in it.
    pub pid: u32,
    /// Protocol and port.
    pub ports: Vec<(String, u16)>,
    /// Processes that may have the socket open.
    pub candidates: Vec<u32>,
}

/// What was read besides tables.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Namespaces whose rules were read.
    pub read: BTreeSet<u64>,
    /// Listeners by namespace; one that is missing could not be read.
    pub listeners: HashMap<u64, Vec<Listening>>,
}

/// Which link has an address, and the namespaces where it could hide.
pub(crate) struct Places<'a> {
    snapshot: &'a Snapshot,
    by_address: HashMap<IpAddr, Vec<LinkKey>>,
    host: Option<u64>,
}

impl<'a> Places<'a> {
    /// Of these links.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut by_address: HashMap<IpAddr, Vec<LinkKey>> = HashMap::new();
        for (key, row) in &snapshot.link {
            for ip in row.addresses.iter().filter_map(|text| bare(text)) {
                by_address.entry(ip).or_default().push(*key);
            }
        }
        let host = snapshot.netns.iter().find(|(_, row)| row.host).map(|(key, _)| key.netns);
        Self { snapshot, by_address, host }
    }

    fn link(&self, key: LinkKey) -> Option<&'a Link> {
        self.snapshot.link.get(&key).map(|row| &**row)
    }

    /// The link with that address; of several the one reached from `netns`: in another namespace before its own.
    fn at(&self, netns: u64, ip: IpAddr) -> Option<LinkKey> {
        let all = self.by_address.get(&ip)?;
        let far = all.iter().filter(|key| key.netns != netns);
        let near = far.clone().find(|key| self.across(**key).is_some_and(|end| end.netns == netns));
        near.or_else(|| all.iter().find(|key| key.netns == netns)).or_else(|| all.first()).copied()
    }

    fn across(&self, key: LinkKey) -> Option<LinkKey> {
        let row = self.link(key)?;
        Some(LinkKey { netns: row.peer_netns?, ifindex: row.peer_ifindex? })
    }

    /// The container whose link has the address.
    fn container_at(&self, netns: u64, ip: IpAddr) -> Option<String> {
        self.at(netns, ip).and_then(|key| self.link(key)?.container.clone())
    }

    /// Whether every address behind the link that `ip` is routed to is one that we see: a bridge whose ports all lead to
    /// namespaces we read. Machines behind tun devices and hardware have addresses nobody tells us.
    fn sees_behind(&self, netns: u64, ip: IpAddr) -> bool {
        let here = |(key, _): &(&LinkKey, &Arc<Link>)| key.netns == netns;
        let routed = self
            .snapshot
            .link
            .iter()
            .filter(here)
            .find(|(_, row)| row.addresses.iter().any(|text| contains(text, ip)));
        let Some((key, row)) = routed else { return false };
        let seen = |key: &LinkKey| {
            let hidden = |end: LinkKey| {
                self.snapshot.netns.get(&NetnsKey { netns: end.netns }).is_none_or(|row| row.hidden.is_some())
            };
            self.across(*key).is_some_and(|end| !hidden(end))
        };
        match row.kind.as_str() {
            "veth" => seen(key),
            "bridge" => {
                let ports = self.snapshot.link.iter().filter(here);
                ports.filter(|(_, port)| port.master == Some(key.ifindex)).all(|(port, _)| seen(port))
            }
            _ => false,
        }
    }
}

/// Puts containers into rules and marks those that lead nowhere.
pub(crate) fn join_rules(rules: &mut Table<NatRuleKey, NatRule>, places: &Places<'_>) {
    for (key, row) in rules.iter_mut() {
        let Some(ip) = target(row).map(|(ip, _)| ip).filter(|_| row.kind == NatKind::Dnat) else { continue };
        let row = Arc::make_mut(row);
        row.container = places.container_at(key.netns, ip);
        let engines = ENGINE_CHAINS.iter().any(|chain| key.chain.starts_with(chain));
        let whole = engines && places.snapshot.netns.values().all(|netns| netns.hidden.is_none());
        if places.at(key.netns, ip).is_none()
            && !ip.is_loopback()
            && (whole || places.sees_behind(key.netns, ip))
        {
            row.dead = Some(format!("stale rule: {ip} belongs to no container and no link"));
        }
    }
}

/// Puts the container at the true end into translations.
pub(crate) fn join_translations(rows: &mut Table<TranslationKey, Translation>, places: &Places<'_>) {
    for (key, row) in rows.iter_mut() {
        let of = |text: &str| places.container_at(key.netns, end(text)?.0);
        let container = of(&row.reply_source).or_else(|| of(&key.source));
        if container.is_some() {
            Arc::make_mut(row).container = container;
        }
    }
}

/// Where to look for listeners: the ports of containers inside, the published ones on the host among proxies, and those that
/// other rules lead to.
pub(crate) fn wanted(rules: &Table<NatRuleKey, NatRule>, places: &Places<'_>) -> Vec<Wanted> {
    let s = places.snapshot;
    let mut by_netns: BTreeMap<u64, BTreeSet<(String, u16)>> = BTreeMap::new();
    for (id, row) in &s.container {
        for port in row.ports.iter().filter(|port| port.host_port.is_some()) {
            if let Some(inside) = netns_of(s, id) {
                by_netns.entry(inside).or_default().insert((port.protocol.clone(), port.container_port));
            }
            if let (Some(host), Some(host_port)) = (places.host, port.host_port) {
                by_netns.entry(host).or_default().insert((port.protocol.clone(), host_port));
            }
        }
    }
    for (key, row) in rules {
        let port = target(row).zip(row.protocol.clone()).filter(|_| row.kind == NatKind::Dnat);
        let Some(((ip, Some(port)), protocol)) = port else { continue };
        if let Some(at) = places.at(key.netns, ip) {
            by_netns.entry(at.netns).or_default().insert((protocol, port));
        }
    }
    let mut proxies = Vec::new();
    let mut members: HashMap<&str, Vec<u32>> = HashMap::new();
    for (key, row) in &s.process {
        match &row.container {
            Some(id) => members.entry(id).or_default().push(key.pid),
            None if PROXIES.contains(&row.comm.as_str()) => proxies.push(key.pid),
            None => {}
        }
    }
    let ask = |(netns, ports): (u64, BTreeSet<(String, u16)>)| {
        let row = s.netns.get(&NetnsKey { netns })?;
        let inside = || row.containers.iter().filter_map(|id| members.get(id.as_str())).flatten().copied();
        let mut candidates: Vec<u32> = if row.host { proxies.clone() } else { inside().collect() };
        candidates.extend(row.pid.filter(|pid| !row.host && !candidates.contains(pid)));
        Some(Wanted { netns, pid: row.pid?, ports: ports.into_iter().collect(), candidates })
    };
    by_netns.into_iter().filter_map(ask).collect()
}

/// Every published port with its hops: those engines tell of, and those that rules publish which no engine explains.
pub(crate) fn join_ports(
    rules: &Table<NatRuleKey, NatRule>,
    known: &Known,
    places: &Places<'_>,
) -> Table<PublishedPortKey, PublishedPort> {
    let mut ports = Table::new();
    let mut explained: BTreeSet<&NatRuleKey> = BTreeSet::new();
    for (id, row) in &places.snapshot.container {
        for port in &row.ports {
            let (Some(host_port), Some(netns)) = (port.host_port, places.host) else { continue };
            let mut key = PublishedPortKey {
                netns,
                container: Some(id.id.clone()),
                protocol: port.protocol.clone(),
                host_address: port.host_address.clone().unwrap_or_else(|| "0.0.0.0".into()),
                host_port,
            };
            let mut rule =
                rules.iter().find(|(at, rule)| at.netns == netns && publishes(at, rule, &key, places));
            let here = known.listeners.get(&netns).into_iter().flatten();
            let mut passed_on = here.filter(|s| s.port == host_port && s.protocol == key.protocol);
            if rule.is_none() && passed_on.next().is_none() {
                // An engine with a network namespace of its own publishes there.
                rule = rules.iter().find(|(at, rule)| publishes(at, rule, &key, places));
                key.netns = rule.map_or(netns, |(at, _)| at.netns);
            }
            explained.extend(rule.map(|(at, _)| at));
            let row = chain::Chain { key: &key, port: port.container_port, rule, known, places }.port();
            ports.insert(key, Arc::new(row));
        }
    }
    for (at, rule) in rules.iter().filter(|(at, _)| !explained.contains(at)) {
        let Some((key, port)) = published(at, rule) else { continue };
        let row = chain::Chain { key: &key, port, rule: Some((at, rule)), known, places }.port();
        // Of two rules for one port the first is the one that packets meet.
        ports.entry(key).or_insert_with(|| Arc::new(row));
    }
    ports
}

/// Whether a rule is the one that publishes this port of a container.
fn publishes(at: &NatRuleKey, rule: &NatRule, key: &PublishedPortKey, places: &Places<'_>) -> bool {
    let on = rule.destination.as_deref().is_none_or(|address| address == key.host_address);
    let both = |a: &str| a.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    let family = match at.family.as_str() {
        "ip" => !both(&key.host_address),
        "ip6" => both(&key.host_address),
        _ => true,
    };
    let of = |id: &str| {
        let row = places.snapshot.container.get(&ContainerKey { id: id.to_owned() });
        let ip = target(rule).map(|(ip, _)| ip.to_string());
        rule.container.as_deref() == Some(id)
            || row.is_some_and(|row| row.networks.iter().any(|(_, address)| Some(address) == ip.as_ref()))
    };
    rule.kind == NatKind::Dnat
        && rule.protocol.as_ref() == Some(&key.protocol)
        && rule.port.as_deref() == Some(key.host_port.to_string().as_str())
        && on
        && family
        && key.container.as_deref().is_some_and(of)
}

/// The port a rule publishes by itself: one port to one address. Engines' name servers on loopback are no such port.
fn published(at: &NatRuleKey, rule: &NatRule) -> Option<(PublishedPortKey, u16)> {
    let host_port = rule.port.as_ref()?.parse().ok()?;
    let (ip, port) = target(rule).filter(|(ip, _)| rule.kind == NatKind::Dnat && !ip.is_loopback())?;
    let any = if ip.is_ipv6() { "::" } else { "0.0.0.0" };
    let key = PublishedPortKey {
        netns: at.netns,
        container: rule.container.clone(),
        protocol: rule.protocol.clone()?,
        host_address: rule.destination.clone().unwrap_or_else(|| any.into()),
        host_port,
    };
    Some((key, port.unwrap_or(host_port)))
}

/// The address and port a rule translates to, when it is one.
fn target(rule: &NatRule) -> Option<(IpAddr, Option<u16>)> {
    end(rule.to.as_ref()?)
}

/// `10.0.0.2:80`, `[::1]:80` or an address alone.
fn end(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let both = text.parse::<SocketAddr>().map(|end| (end.ip(), Some(end.port())));
    both.or_else(|_| text.parse().map(|ip| (ip, None))).ok()
}

/// The address of `10.0.0.2/24`.
fn bare(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// Whether an address is in the network of `10.0.0.2/24`.
fn contains(network: &str, ip: IpAddr) -> bool {
    let Some((own, prefix)) = network.split_once('/') else { return false };
    let Ok(prefix) = prefix.parse::<u32>() else { return false };
    match (own.parse(), ip) {
        (Ok(IpAddr::V4(own)), IpAddr::V4(ip)) => {
            let shift = 32_u32.saturating_sub(prefix);
            own.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (Ok(IpAddr::V6(own)), IpAddr::V6(ip)) => {
            let shift = 128_u32.saturating_sub(prefix);
            own.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (Ok(_), _) | (Err(_), _) => false,
    }
}

/// The namespace a container is in.
fn netns_of(s: &Snapshot, id: &ContainerKey) -> Option<u64> {
    s.netns.iter().find(|(_, row)| row.containers.contains(&id.id)).map(|(key, _)| key.netns)
}
