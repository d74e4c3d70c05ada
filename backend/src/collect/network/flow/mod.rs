//! Flows, from packets: one capture on all links of the agent's own namespace, and one on each link that shows there on no
//! other end: `lo` and macvlans of containers. Fills `flow`, `flow_stat` and `capture`, and tells what was asked for names; who the
//! ends are is joined by `model::flow` and `model::seen`.
//!
//! Captures are open while somebody looks at flows. They pin their namespace, so those of one are closed the moment its last
//! process ends. Needs CAP_NET_RAW; in other namespaces also CAP_SYS_ADMIN, and CAP_SYS_PTRACE to find them.

mod decode;
mod dns;
mod ledger;
mod reader;
mod row;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::dns::DnsHeard;
use glasshull_shared::domain::network::{
    Capture, Flow, FlowKey, FlowStat, Link, LinkKey, Netns, NetnsKey, OperState,
};
use glasshull_shared::domain::process::ProcessKey;

use super::presence::told;
use crate::sys::capture::{CaptureError, Device, Options, PacketCapture};
use crate::sys::clock;
use crate::sys::netns::Target;
use crate::sys::root::Root;
use reader::{Own, Reader, Taken, Tap};
use row::{busiest, rows};

/// Bytes of each packet that are looked at: heads of the link, IPv6 with extensions, TCP.
const SNAPLEN: u32 = 128;
/// The same of packets about names: an Ethernet frame. The kernel tells them apart before it copies.
const DNS_SNAPLEN: u32 = 1_600;
/// Ring of the agent's own namespace: a tenth of a second at a million packets a second.
const OWN_RING_BYTES: u32 = 16 << 20;
/// Ring of `lo` in another namespace: four blocks; every container has one.
const LO_RING_BYTES: u32 = 512 << 10;
/// Ring of another link inside another namespace, which few have.
const LINK_RING_BYTES: u32 = 2 << 20;
/// Packets are looked at after this long at latest.
const PATIENCE: Duration = Duration::from_millis(100);
/// Captures on links inside other namespaces.
const LINKS_AT_MOST: usize = 128;
/// Flows known in the agent's own namespace: what a hash table of 65,536 buckets holds.
const OWN_FLOWS: usize = 57_344;
/// Flows known in all others: as above, of 16,384.
const INSIDE_FLOWS: usize = 14_336;

/// One reading.
#[derive(Debug, Default)]
pub(crate) struct FlowReading {
    /// Flows without who the ends are.
    pub flow: Table<FlowKey, Flow>,
    /// Counters; rates are still `None`.
    pub flow_stat: Table<FlowKey, FlowStat>,
    /// How well it goes.
    pub capture: Capture,
    /// Who asks whom for which names, without who that is.
    pub dns: Vec<DnsHeard>,
    /// Questions for names that were not followed for lack of room.
    pub dns_left_out: u64,
    /// CAP_NET_RAW is missing.
    pub refused: bool,
}

/// Captures while it lives.
pub(crate) struct FlowReader {
    root: Root,
    /// Where the dashboard is served.
    served_at: Option<SocketAddr>,
    own: Own,
    host: Option<Reader>,
    inside: Option<Reader>,
    /// Links with a capture inside other namespaces.
    open: Vec<LinkKey>,
    /// Captures were closed since, because nobody was in their namespaces any more.
    left: bool,
    since_at: u64,
    /// Why links inside other namespaces are not captured.
    failed: BTreeMap<LinkKey, String>,
}

impl FlowReader {
    /// One that has opened nothing yet. The stream of the dashboard served at this address is left out.
    pub(crate) fn new(root: Root, served_at: Option<SocketAddr>) -> Self {
        Self {
            root,
            served_at,
            own: Own::default(),
            host: None,
            inside: None,
            open: Vec::new(),
            left: false,
            since_at: 0,
            failed: BTreeMap::new(),
        }
    }

    /// Opens and closes captures as namespaces and links come and go, and reads the accounts. `members` are the processes in
    /// each namespace.
    ///
    /// # Errors
    /// When a capturing thread fails; flows begin afresh then.
    pub(crate) fn read(
        &mut self,
        netns: &Table<NetnsKey, Netns>,
        links: &Table<LinkKey, Link>,
        members: &BTreeMap<u64, Vec<ProcessKey>>,
    ) -> io::Result<FlowReading> {
        let Some(host) = netns.iter().find(|(_, row)| row.host).map(|(key, _)| key.netns) else {
            return Err(io::Error::other("the agent's own network namespace is not known yet"));
        };
        let mut reading = FlowReading::default();
        let mut error = self.open_host(host, links)?;
        reading.refused = error == Some(CaptureError::Refused);
        if !reading.refused {
            reading.capture.links_left_out = self.open_inside(host, netns, links)?;
        }
        if let Some(inside) = &self.inside {
            inside.members(members.iter().map(|(netns, members)| (*netns, told(members))).collect())?;
        }
        let mut all = Taken::default();
        for reader in [&self.host, &self.inside].into_iter().flatten() {
            add(&mut all, reader.take()?);
        }
        for (key, why) in std::mem::take(&mut all.closed) {
            if key.ifindex == 0 {
                self.host = None;
                error = Some(CaptureError::Failed(why));
            } else {
                self.open.retain(|open| *open != key);
                self.failed.insert(key, why);
            }
        }
        self.left |= !all.left.is_empty();
        self.open.retain(|key| !all.left.contains(key));
        self.failed.retain(|key, _| links.contains_key(key));
        self.tell(&mut reading, host, all, error);
        Ok(reading)
    }

    fn tell(&self, reading: &mut FlowReading, host: u64, all: Taken, error: Option<CaptureError>) {
        (reading.dns, reading.dns_left_out) = (all.dns, all.dns_left_out);
        let inside = || {
            let (key, why) = self.failed.iter().next()?;
            let others = self.failed.len() - 1;
            let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            Some(format!("link {} of network namespace {}: {why}{more}", key.ifindex, key.netns))
        };
        let mut namespaces: Vec<u64> = self.open.iter().map(|key| key.netns).collect();
        namespaces.extend(self.host.is_some().then_some(host));
        namespaces.sort_unstable();
        namespaces.dedup();
        let known = all.flows.len();
        for (pair, account) in busiest(all.flows) {
            let (key, flow, stat) = rows(&pair, &account);
            reading.flow_stat.insert(key.clone(), Arc::new(stat));
            reading.flow.insert(key, Arc::new(flow));
        }
        reading.capture = Capture {
            packets: all.packets,
            dropped: all.dropped,
            malformed: all.malformed,
            flows: u32::try_from(known).unwrap_or(u32::MAX),
            flows_left_out: u32::try_from(known - reading.flow.len()).unwrap_or(u32::MAX),
            packets_left_out: all.left_out,
            since_at: self.since_at,
            snaplen: SNAPLEN,
            namespaces,
            links_left_out: reading.capture.links_left_out,
            error: error.map(|error| error.to_string()).or_else(inside),
        };
    }

    /// Captures on all links of our own namespace; gives why not.
    fn open_host(&mut self, host: u64, links: &Table<LinkKey, Link>) -> io::Result<Option<CaptureError>> {
        let own = self.served_at.map(|at| own(at, host, links)).unwrap_or_default();
        if let Some(reader) = &self.host {
            if own != self.own {
                reader.leave_out(own.clone())?;
                self.own = own;
            }
            return Ok(None);
        }
        let capture = match PacketCapture::open(&options(Device::Any, OWN_RING_BYTES)) {
            Ok(capture) => capture,
            Err(error) => return Ok(Some(error)),
        };
        let tap = Tap { on: LinkKey { netns: host, ifindex: 0 }, loopback: false, capture };
        self.own = own;
        self.host = Some(Reader::start("flow", vec![tap], OWN_FLOWS, self.own.clone())?);
        self.since_at = clock::now_nanos();
        Ok(None)
    }

    /// Captures on links of other namespaces that our own does not show; gives how many are too many.
    fn open_inside(
        &mut self,
        host: u64,
        netns: &Table<NetnsKey, Netns>,
        links: &Table<LinkKey, Link>,
    ) -> io::Result<u32> {
        let mut wanted = wanted(host, netns, links);
        // Open ones first: which are left out does not change by the tick.
        wanted.sort_by_key(|key| (!self.open.contains(key), *key));
        let left_out = wanted.len().saturating_sub(LINKS_AT_MOST);
        wanted.truncate(LINKS_AT_MOST);
        let gone = std::mem::take(&mut self.left) || self.open.iter().any(|key| !wanted.contains(key));
        let new: Vec<LinkKey> = wanted.iter().filter(|key| !self.open.contains(key)).copied().collect();
        if !gone && new.is_empty() {
            return Ok(u32::try_from(left_out).unwrap_or(u32::MAX));
        }
        let mut added = Vec::new();
        for key in new {
            match self.open_link(key, netns, links) {
                Ok(tap) => {
                    self.failed.remove(&key);
                    added.push(tap);
                }
                Err(why) => {
                    self.failed.insert(key, why.to_string());
                }
            }
        }
        if gone || !added.is_empty() {
            self.open.retain(|key| wanted.contains(key));
            self.open.extend(added.iter().map(|tap| tap.on));
            let name = "flow inside";
            self.inside = Some(match self.inside.take() {
                Some(reader) => reader.change(name, |key| wanted.contains(key), added)?,
                None => Reader::start(name, added, INSIDE_FLOWS, Own::default())?,
            });
        }
        Ok(u32::try_from(left_out).unwrap_or(u32::MAX))
    }

    fn open_link(
        &self,
        on: LinkKey,
        netns: &Table<NetnsKey, Netns>,
        links: &Table<LinkKey, Link>,
    ) -> Result<Tap, CaptureError> {
        let gone = || CaptureError::Failed("it has gone".into());
        let link = links.get(&on).ok_or_else(gone)?;
        let pid = netns.get(&NetnsKey { netns: on.netns }).and_then(|row| row.pid).ok_or_else(gone)?;
        let target = Target { inode: on.netns, paths: vec![self.root.proc_path(format!("{pid}/ns/net"))] };
        let loopback = link.kind == LOOPBACK;
        let ring = if loopback { LO_RING_BYTES } else { LINK_RING_BYTES };
        let capture = PacketCapture::open_in(&target, &options(Device::Link(link.name.clone()), ring))?;
        Ok(Tap { on, loopback, capture })
    }
}

const LOOPBACK: &str = "loopback";

fn options(device: Device, buffer_bytes: u32) -> Options {
    let dns_snaplen = Some(DNS_SNAPLEN);
    Options {
        device,
        snaplen: SNAPLEN,
        dns_snaplen,
        buffer_bytes,
        patience: PATIENCE,
        immediate: false,
        filter: None,
    }
}

/// Links to capture on in other namespaces. One that nobody is in is left alone: a capture would keep it alive.
fn wanted(host: u64, netns: &Table<NetnsKey, Netns>, links: &Table<LinkKey, Link>) -> Vec<LinkKey> {
    let open = |key: &LinkKey| {
        netns.get(&NetnsKey { netns: key.netns }).is_some_and(|row| row.processes > 0 && row.hidden.is_none())
    };
    let unseen = |(key, link): &(&LinkKey, &Arc<Link>)| {
        key.netns != host
            && link.up
            && link.state != OperState::NotPresent
            && link.peer_netns != Some(host)
            && open(key)
    };
    links.iter().filter(unseen).map(|(key, _)| *key).collect()
}

/// The addresses by which the dashboard is reached in our own namespace.
fn own(at: SocketAddr, host: u64, links: &Table<LinkKey, Link>) -> Own {
    let port = at.port();
    if !at.ip().is_unspecified() {
        return Own { port, addresses: vec![at.ip()] };
    }
    let of_links = links.iter().filter(|(key, _)| key.netns == host).flat_map(|(_, link)| &link.addresses);
    let bare = of_links.filter_map(|address| address.split('/').next()?.parse().ok());
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut addresses: Vec<IpAddr> = bare.chain(loopback).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Own { port, addresses }
}

fn add(all: &mut Taken, taken: Taken) {
    all.flows.extend(taken.flows);
    all.packets += taken.packets;
    all.malformed += taken.malformed;
    all.left_out += taken.left_out;
    all.dropped += taken.dropped;
    all.dns.extend(taken.dns);
    all.dns_left_out += taken.dns_left_out;
    all.closed.extend(taken.closed);
    all.left.extend(taken.left);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Table<LinkKey, Link> {
        let link = |kind: &str, peer| {
            Arc::new(Link {
                kind: kind.into(),
                up: true,
                addresses: vec!["10.0.0.1/24".into()],
                peer_netns: peer,
                ..Link::default()
            })
        };
        let key = |netns, ifindex| LinkKey { netns, ifindex };
        [
            (key(1, 1), link("loopback", None)),
            (key(1, 5), link("veth", Some(2))),
            (key(2, 1), link("loopback", None)),
            (key(2, 2), link("veth", Some(1))),
            (key(2, 3), link("macvlan", None)),
            (key(2, 4), link("veth", Some(3))),
            (key(3, 1), link("loopback", None)),
        ]
        .into()
    }

    #[test]
    fn links_are_wanted_that_our_namespace_does_not_show_and_somebody_is_in() {
        let row = |host, processes| Arc::new(Netns { host, processes, ..Netns::default() });
        let key = |netns| NetnsKey { netns };
        let netns = [(key(1), row(true, 9)), (key(2), row(false, 1)), (key(3), row(false, 0))].into();
        let wanted: Vec<u32> = wanted(1, &netns, &links()).iter().map(|key| key.ifindex).collect();
        assert_eq!(wanted, [1, 3, 4]);
    }

    #[test]
    fn the_dashboard_is_where_it_is_bound() {
        let at = |text: &str| own(text.parse().unwrap(), 1, &links());
        assert_eq!(at("127.0.0.2:80"), Own { port: 80, addresses: vec![[127, 0, 0, 2].into()] });
        assert_eq!(at("0.0.0.0:80").addresses.len(), 3);
    }
}
