//! The hops of one published port, in the order of a packet.

use std::net::IpAddr;
use std::sync::Arc;

use glasshull_shared::domain::container::{Container, ContainerKey, ContainerState};
use glasshull_shared::domain::network::{
    Hop, HopKind, Link, LinkKey, NatRule, NatRuleKey, NetnsKey, OperState, PublishedPort, PublishedPortKey,
};
use glasshull_shared::domain::process::{Process, ProcessKey};

use super::{Known, Listening, PROXIES, Places, bare, netns_of, target};

/// What one port's hops are made from.
pub(super) struct Chain<'a> {
    pub(super) key: &'a PublishedPortKey,
    /// Port inside.
    pub(super) port: u16,
    pub(super) rule: Option<(&'a NatRuleKey, &'a Arc<NatRule>)>,
    pub(super) known: &'a Known,
    pub(super) places: &'a Places<'a>,
}

impl Chain<'_> {
    /// The row.
    pub(super) fn port(&self) -> PublishedPort {
        let mut hops = vec![self.host_port()];
        let proxy = self.proxy();
        hops.extend(self.rule_hop());
        hops.extend(proxy.clone());
        if self.rule.is_some() {
            hops.extend(self.routing());
        } else if proxy.is_none() {
            hops.push(self.nothing_leads_on());
        }
        let inside = self.inside();
        if let Some(link) = inside {
            hops.extend(self.cable(link));
        }
        // A rule to nowhere says enough by itself.
        let stale = self.rule.is_some_and(|(_, rule)| rule.dead.is_some());
        if !stale {
            hops.extend(self.listener(inside.map(|link| link.netns)));
        }
        let dead = hops.iter().find_map(|hop| hop.dead.clone());
        PublishedPort { container_port: self.port, hops, dead }
    }

    fn container(&self) -> Option<&Container> {
        let id = self.key.container.clone()?;
        self.places.snapshot.container.get(&ContainerKey { id }).map(|row| &**row)
    }

    fn host_port(&self) -> Hop {
        let address = &self.key.host_address;
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        Hop {
            kind: HopKind::HostPort,
            text: format!("{address}:{}/{}", self.key.host_port, self.key.protocol),
            netns: Some(self.key.netns),
            ..Hop::default()
        }
    }

    fn rule_hop(&self) -> Option<Hop> {
        let (at, rule) = self.rule?;
        let to = rule.to.as_deref().unwrap_or("?");
        let remedy = rule.dead.as_ref().map(|_| match at.origin.name() {
            "legacy" => format!("iptables-legacy -t {} -D {} {}", at.table, at.chain, at.position),
            _ => format!("nft -a list chain {} {} {}; then nft delete rule …", at.family, at.table, at.chain),
        });
        Some(Hop {
            kind: HopKind::Rule,
            text: format!("DNAT to {to} ({} {} #{})", at.table, at.chain, at.position),
            netns: Some(at.netns),
            packets: rule.packets,
            bytes: rule.bytes,
            container: rule.container.clone(),
            dead: rule.dead.clone(),
            remedy,
            ..Hop::default()
        })
    }

    /// A proxy that listens on the host's port, or says so on its command line.
    fn proxy(&self) -> Option<Hop> {
        let address = self.key.host_address.parse::<IpAddr>().ok();
        let sockets = self.known.listeners.get(&self.key.netns);
        let mut all = sockets.into_iter().flatten().filter(|socket| {
            let on = socket.address.is_unspecified() || Some(socket.address) == address;
            socket.protocol == self.key.protocol && socket.port == self.key.host_port && on
        });
        let pid = all.find_map(|socket| socket.pid).or_else(|| self.proxy_by_words())?;
        let name = self.process(pid).map_or("", |row| row.comm.as_str());
        Some(Hop {
            kind: HopKind::Proxy,
            text: format!("{name} ({pid})"),
            netns: Some(self.key.netns),
            pid: Some(pid),
            ..Hop::default()
        })
    }

    fn proxy_by_words(&self) -> Option<u32> {
        let says = |row: &Process| {
            let words: Vec<&str> = row.cmdline.as_deref()?.split_whitespace().collect();
            let value =
                |name| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
            let port = self.key.host_port.to_string();
            let right = value("-host-port") == Some(port.as_str())
                && value("-proto") == Some(self.key.protocol.as_str())
                && value("-host-ip") == Some(self.key.host_address.as_str());
            Some(right)
        };
        let proxies =
            self.places.snapshot.process.iter().filter(|(_, row)| PROXIES.contains(&row.comm.as_str()));
        proxies.into_iter().find(|(_, row)| says(row) == Some(true)).map(|(key, _)| key.pid)
    }

    fn process(&self, pid: u32) -> Option<&Process> {
        let from = ProcessKey { pid, start_time: 0 };
        let (key, row) = self.places.snapshot.process.range(from..).next()?;
        (key.pid == pid).then_some(&**row)
    }

    fn routing(&self) -> Option<Hop> {
        // The switch for IPv6 is another one, which we do not read.
        if self.key.host_address.contains(':') {
            return None;
        }
        let forwards = self.places.snapshot.netns.get(&NetnsKey { netns: self.key.netns })?.ip_forward?;
        Some(Hop {
            kind: HopKind::Routing,
            text: format!("ip_forward {}", u8::from(forwards)),
            netns: Some(self.key.netns),
            dead: (!forwards).then(|| "ip_forward is 0: nothing is passed on".to_owned()),
            remedy: (!forwards).then(|| "sysctl -w net.ipv4.ip_forward=1".to_owned()),
            ..Hop::default()
        })
    }

    /// Neither rule nor proxy: dead when we would have seen a rule.
    fn nothing_leads_on(&self) -> Hop {
        let sure = self.known.read.contains(&self.key.netns);
        Hop {
            kind: HopKind::Rule,
            text: if sure { "no rule" } else { "rules are hidden" }.into(),
            netns: Some(self.key.netns),
            dead: sure.then(|| "neither a rule nor a proxy leads on".to_owned()),
            remedy: sure.then(|| "restart the container: its engine makes them anew".to_owned()),
            ..Hop::default()
        }
    }

    /// The link that the packet comes in by: the one with the rule's target, else one with an address of the container.
    fn inside(&self) -> Option<LinkKey> {
        if let Some((ip, _)) = self.rule.and_then(|(_, rule)| target(rule)) {
            return self.places.at(self.key.netns, ip);
        }
        let mut addresses = self.container()?.networks.iter().filter_map(|(_, address)| bare(address));
        addresses.find_map(|ip| self.places.at(self.key.netns, ip))
    }

    fn cable(&self, near: LinkKey) -> Vec<Hop> {
        let Some(inner) = self.places.link(near) else { return Vec::new() };
        let far = self.places.across(near);
        let outer = far.and_then(|far| Some((far, self.places.link(far)?)));
        let mut hops = Vec::new();
        if let Some((key, row)) = outer
            && let Some(ifindex) = row.master
            && let Some(bridge) = self.places.link(LinkKey { ifindex, ..key })
        {
            hops.push(Hop {
                kind: HopKind::Bridge,
                text: bridge.name.clone(),
                netns: Some(key.netns),
                ifindex: Some(ifindex),
                dead: is_down(bridge).map(|how| format!("the bridge {} {how}", bridge.name)),
                remedy: is_down(bridge).map(|_| format!("ip link set {} up", bridge.name)),
                ..Hop::default()
            });
        }
        let down = outer.and_then(|(_, row)| is_down(row).map(|how| format!("{} {how}", row.name)));
        let down = down.or_else(|| is_down(inner).map(|how| format!("{} inside {how}", inner.name)));
        let (at, text) = match outer {
            Some((key, row)) => (key, format!("{} ⇄ {}", row.name, inner.name)),
            None => (near, inner.name.clone()),
        };
        let stat = self.places.snapshot.link_stat.get(&at);
        hops.push(Hop {
            kind: HopKind::Veth,
            text,
            netns: Some(at.netns),
            ifindex: Some(at.ifindex),
            container: inner.container.clone(),
            packets: stat.map(|stat| stat.tx_packets),
            bytes: stat.map(|stat| stat.tx_bytes),
            remedy: down
                .as_ref()
                .map(|_| format!("ip link set {} up", outer.map_or(&inner.name, |(_, o)| &o.name))),
            dead: down,
            ..Hop::default()
        });
        hops
    }

    fn listener(&self, netns: Option<u64>) -> Option<Hop> {
        let id = self.key.container.clone().map(|id| ContainerKey { id });
        let netns = netns.or_else(|| netns_of(self.places.snapshot, id.as_ref()?));
        let hop = |text: String, dead: Option<String>, remedy: Option<String>| Hop {
            kind: HopKind::Listener,
            text,
            netns,
            container: self.key.container.clone(),
            dead,
            remedy,
            ..Hop::default()
        };
        if let Some(state) = self.container().map(|row| row.state).filter(|state| ended(*state)) {
            let word = format!("the container is {}", state.name());
            return Some(hop(word.clone(), Some(word), Some("start the container".into())));
        }
        let sockets = self.known.listeners.get(&netns?)?;
        let of: Vec<&Listening> = sockets
            .iter()
            .filter(|s| (s.protocol, s.port) == (self.key.protocol.as_str(), self.port))
            .collect();
        let Some(socket) = of.iter().find(|s| !s.address.is_loopback()).or_else(|| of.first()) else {
            let why = format!("no listener: nobody listens on {}/{} there", self.port, self.key.protocol);
            return Some(hop(format!(":{}", self.port), Some(why), Some("start the server inside".into())));
        };
        let comm = socket.pid.and_then(|pid| Some(format!("{} ({pid}) ", self.process(pid)?.comm)));
        let inner = socket.address.is_loopback();
        let why = inner.then(|| {
            format!("it listens on {} only, where packets from outside do not come", socket.address)
        });
        Some(Hop {
            pid: socket.pid,
            ..hop(
                format!(
                    "{}{}",
                    comm.unwrap_or_default(),
                    std::net::SocketAddr::new(socket.address, self.port)
                ),
                why,
                inner.then(|| "have it listen on 0.0.0.0".to_owned()),
            )
        })
    }
}

fn ended(state: ContainerState) -> bool {
    match state {
        ContainerState::Created
        | ContainerState::Exited
        | ContainerState::Dead
        | ContainerState::Removing => true,
        ContainerState::Running
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Unknown => false,
    }
}

/// How a link keeps packets from passing.
fn is_down(link: &Link) -> Option<&'static str> {
    if !link.up {
        return Some("is set down");
    }
    matches!(link.state, OperState::Down | OperState::LowerLayerDown).then_some("has no carrier")
}
