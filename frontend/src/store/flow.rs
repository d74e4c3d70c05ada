//! Joins of flows that several views need: what an end is called, its port, who talks with whom, what passes a link. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::network::{Capture, Flow, FlowKey, FlowStat, LinkKey, Protocol, Socket};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::Selection;
use super::address::Address;
use super::lookup::container_name;
use super::network::{link, other_end};
use super::socket::process_text;

/// Whoever is neither a container nor the host.
pub const ELSEWHERE: &str = "elsewhere";

/// The capture behind the flows; `None` until it began.
pub fn capture(snapshot: &Snapshot) -> Option<&Capture> {
    snapshot.capture.get(&Single).map(|row| &**row)
}

/// One line about the capture: how much it saw. Its time is told with the zone's offset, nanoseconds.
pub fn capture_seen(snapshot: &Snapshot, zone_nanos: i64) -> String {
    let Some(row) = capture(snapshot) else { return "Packets are looked at from now on.".into() };
    let namespaces = row.namespaces.len() as u64;
    format!(
        "{} packets since {} in {} {}, heads of {} bytes; {} flows",
        unit::count(row.packets),
        unit::time_of_day(row.since_at.saturating_add_signed(zone_nanos)),
        unit::count(namespaces),
        if namespaces == 1 { "network namespace" } else { "network namespaces" },
        row.snaplen,
        unit::count(row.flows.into()),
    )
}

/// What numbers of flows lack; empty when they are whole.
pub fn capture_missed(snapshot: &Snapshot) -> String {
    let Some(row) = capture(snapshot) else { return String::new() };
    let mut all: Vec<String> = row.error.iter().map(|error| unit::printable(error)).collect();
    for (n, what) in [
        (row.dropped, "packets dropped by the kernel: they came too fast"),
        (row.packets_left_out, "packets of flows beyond the bound"),
        (row.flows_left_out.into(), "flows known but not listed"),
        (row.links_left_out.into(), "links beyond the bound on captures"),
        (row.malformed, "packets that could not be read"),
    ] {
        if n > 0 {
            all.push(format!("{} {what}", unit::count(n)));
        }
    }
    all.join(" · ")
}

/// Address and port of an end: `10.0.0.2:80`, `[fd00::2]:80`, or without a port.
pub fn split_end(end: &str) -> (&str, Option<u16>) {
    let port = |at: usize| end.get(at + 1..).and_then(|port| port.parse().ok());
    match end.rfind(':') {
        Some(at) if end.starts_with('[') && end[..at].ends_with(']') => (&end[1..at - 1], port(at)),
        Some(at) if end.matches(':').count() == 1 => (&end[..at], port(at)),
        Some(_) | None => (end, None),
    }
}

/// Ports of both ends.
pub fn ports(key: &FlowKey) -> Vec<u16> {
    [&key.source, &key.destination].into_iter().filter_map(|end| split_end(end).1).collect()
}

/// Who sends to whom, as the matrix has it: a container by its name, `host`, or [`ELSEWHERE`].
pub fn party(snapshot: &Snapshot, container: Option<&String>, name: Option<&String>) -> String {
    match (container, name) {
        (Some(id), _) => container_name(snapshot, id),
        // With a dot behind it, it is a name that somebody was told.
        (None, Some(name)) if !name.ends_with('.') => name.clone(),
        (None, _) => ELSEWHERE.to_owned(),
    }
}

/// Source and destination where they are neither a container nor the host: the name that was answered with the address,
/// else the address.
pub fn elsewhere(key: &FlowKey, flow: &Flow) -> [Option<String>; 2] {
    let (source, destination) = flow.ends(key);
    let end = |end: &str, container: &Option<String>, name: &Option<String>| match (container, name) {
        (Some(_), _) => None,
        (None, Some(name)) => name.strip_suffix('.').map(str::to_owned),
        (None, None) => Some(split_end(end).0.to_owned()).filter(|address| !address.is_empty()),
    };
    [
        end(source, &flow.source_container, &flow.source_name),
        end(destination, &flow.destination_container, &flow.destination_name),
    ]
}

/// Two parties, whoever opened.
pub fn between(one: &str, other: &str) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    format!("{first} ⇄ {second}")
}

/// `href` of the talkers of which a field is this and nothing else.
pub fn flows_link(field: &str, value: &str) -> String {
    let mut address = Address::parse("");
    address.set("view", Some("network".into()));
    address.set("table", Some("talkers".into()));
    address.set("f", Some(format!("{field}=\"{}\"", value.replace('"', ""))));
    address.to_query()
}

/// What passes between two.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Passing {
    /// Now.
    pub bytes_per_sec: f64,
    /// Since the capture began.
    pub bytes: u64,
}

/// Who talks with whom.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// In order of the alphabet, the host and those elsewhere last.
    pub parties: Vec<String>,
    /// By sender and receiver.
    pub cells: BTreeMap<(String, String), Passing>,
    /// Parties that are counted as [`ELSEWHERE`] for lack of room.
    pub left_out: usize,
}

/// What is the same talk on every link: namespace of loopback addresses, protocol, both ends.
type Talk<'a> = (Option<u64>, Protocol, &'a str, &'a str);

/// A flow with who its ends are and what passes in it.
pub type Seen<'a> = (&'a FlowKey, &'a Flow, &'a FlowStat);

/// Every talk once, with what is known of it on the link that saw most: links cannot be added up. Both sides of an address
/// translation are one talk.
pub fn talks(snapshot: &Snapshot) -> Vec<Seen<'_>> {
    let mut best: BTreeMap<Talk<'_>, Seen<'_>> = BTreeMap::new();
    for (key, flow) in &snapshot.flow {
        let Some(stat) = snapshot.flow_stat.get(key) else { continue };
        // The same loopback addresses in another namespace are somebody else.
        let (source, destination) = flow.ends(key);
        let inside = split_end(source).0.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let place = inside.then_some(key.netns);
        let talk = (place, key.protocol, source, destination);
        let seen = best.entry(talk).or_insert((key, flow, stat));
        if stat.bytes() > seen.2.bytes() {
            *seen = (key, flow, stat);
        }
    }
    best.into_values().collect()
}

/// The matrix of at most so many parties, the busiest.
pub fn matrix(snapshot: &Snapshot, at_most: usize) -> Matrix {
    let mut cells: BTreeMap<(String, String), Passing> = BTreeMap::new();
    let mut add = |from: &str, to: &str, bytes: u64, rate: Option<f32>| {
        let cell = cells.entry((from.to_owned(), to.to_owned())).or_default();
        cell.bytes += bytes;
        cell.bytes_per_sec += f64::from(rate.unwrap_or(0.0));
    };
    for (_, flow, stat) in talks(snapshot) {
        let source = party(snapshot, flow.source_container.as_ref(), flow.source_name.as_ref());
        let to = party(snapshot, flow.destination_container.as_ref(), flow.destination_name.as_ref());
        add(&source, &to, stat.sent_bytes, stat.sent_bytes_per_sec);
        add(&to, &source, stat.received_bytes, stat.received_bytes_per_sec);
    }
    cells.retain(|_, cell| cell.bytes > 0);
    fit(cells, at_most)
}

fn fit(cells: BTreeMap<(String, String), Passing>, at_most: usize) -> Matrix {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for ((from, to), cell) in &cells {
        for party in [from, to] {
            *sums.entry(party).or_default() += cell.bytes;
        }
    }
    let mut order: Vec<(&str, u64)> = sums.into_iter().collect();
    order.sort_by_key(|(name, bytes)| (*name == ELSEWHERE, std::cmp::Reverse(*bytes), name.to_owned()));
    let kept: BTreeSet<String> = order.iter().take(at_most).map(|(name, _)| (*name).to_owned()).collect();
    let left_out = order.iter().filter(|(name, _)| !kept.contains(*name) && *name != ELSEWHERE).count();
    let called = |name: &String| if kept.contains(name) { name.clone() } else { ELSEWHERE.to_owned() };
    let mut fitted: BTreeMap<(String, String), Passing> = BTreeMap::new();
    for ((from, to), cell) in &cells {
        let sum = fitted.entry((called(from), called(to))).or_default();
        sum.bytes += cell.bytes;
        sum.bytes_per_sec += cell.bytes_per_sec;
    }
    let all: BTreeSet<&String> = fitted.keys().flat_map(|(from, to)| [from, to]).collect();
    let mut parties: Vec<String> = all.into_iter().cloned().collect();
    parties.sort_by_key(|name| (name == ELSEWHERE, name == "host", name.clone()));
    Matrix { parties, cells: fitted, left_out }
}

/// What passes a link, and at which end it is seen: of a pair whose other end is in the agent's own namespace, packets are
/// captured there alone.
pub fn on_link(snapshot: &Snapshot, key: LinkKey) -> (LinkKey, Vec<Seen<'_>>) {
    let passing = |at: LinkKey| -> Vec<Seen<'_>> {
        let flows = snapshot
            .flow
            .iter()
            .filter(|(flow, _)| (flow.netns, flow.link_ifindex) == (at.netns, at.ifindex));
        flows.filter_map(|(flow, row)| Some((flow, &**row, &**snapshot.flow_stat.get(flow)?))).collect()
    };
    let own = passing(key);
    let row = link(snapshot, key).filter(|row| own.is_empty() && row.peer_ifindex.is_some());
    match row.and_then(other_end).map(|end| (end, passing(end))) {
        Some((end, flows)) if !flows.is_empty() => (end, flows),
        Some(_) | None => (key, own),
    }
}

/// What a container sends and is sent, each talk once.
pub fn of_container<'a>(snapshot: &'a Snapshot, id: &str) -> Vec<Seen<'a>> {
    let own = |flow: &Flow| {
        [&flow.source_container, &flow.destination_container].iter().any(|end| end.as_deref() == Some(id))
    };
    talks(snapshot).into_iter().filter(|(_, flow, _)| own(flow)).collect()
}

/// The fastest first, among equals those with most bytes.
pub fn top_first(flows: &mut [Seen<'_>]) {
    let rate = |stat: &FlowStat| stat.bytes_per_sec().unwrap_or(0.0);
    flows.sort_by(|(key, _, a), (other, _, b)| {
        rate(b).total_cmp(&rate(a)).then(b.bytes().cmp(&a.bytes())).then_with(|| key.cmp(other))
    });
}

/// One end of a flow, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// Container and network, `host`, or the address.
    pub name: String,
    /// `httpd 4242`; `None` when its socket was not found.
    pub process: Option<String>,
    /// Address and port, as on this link; empty where the packet does not tell.
    pub address: String,
    /// The address beyond a translation.
    pub truly: Option<String>,
    /// Its process, else its container.
    pub leads_to: Option<Selection>,
}

/// A socket of each process that has one.
pub type Owners<'a> = HashMap<u32, &'a Socket>;

/// For [`ends`] of many flows.
pub fn owners(snapshot: &Snapshot) -> Owners<'_> {
    snapshot.socket.values().filter_map(|row| Some((row.pid?, &**row))).collect()
}

/// Source and destination of a flow.
pub fn ends(owners: &Owners<'_>, key: &FlowKey, flow: &Flow) -> [End; 2] {
    let end = |address: &String, truly: &Option<String>, name: &Option<String>, pid: Option<u32>| {
        let owner = pid.and_then(|pid| owners.get(&pid));
        let start_time = owner.and_then(|row| row.start_time);
        End {
            name: name.clone().unwrap_or_else(|| split_end(truly.as_ref().unwrap_or(address)).0.to_owned()),
            process: process_text(owner.and_then(|row| row.comm.as_deref()), pid),
            address: address.clone(),
            truly: truly.clone().filter(|truly| truly != address),
            leads_to: pid
                .zip(start_time)
                .map(|(pid, start_time)| Selection::Process(ProcessKey { pid, start_time })),
        }
    };
    let (mut source, mut destination) = (
        end(&key.source, &flow.true_source, &flow.source_name, flow.source_pid),
        end(&key.destination, &flow.true_destination, &flow.destination_name, flow.destination_pid),
    );
    for (end, id) in [(&mut source, &flow.source_container), (&mut destination, &flow.destination_container)]
    {
        end.leads_to = end.leads_to.take().or_else(|| id.clone().map(Selection::Container));
    }
    [source, destination]
}

/// What a capture of this flow alone lets through, in the language of pcap.
pub fn wire_filter(key: &FlowKey) -> String {
    let mut terms: Vec<String> = Vec::new();
    if matches!(key.protocol, Protocol::Tcp | Protocol::Udp) {
        terms.push(key.protocol.to_string());
    }
    let ends = [&key.source, &key.destination].map(|end| split_end(end));
    // A scope of IPv6 (`fe80::1%eth0`) it does not understand.
    let hosts = ends.map(|(address, _)| address.split('%').next().unwrap_or_default());
    let parsed = hosts.into_iter().filter(|host| host.parse::<IpAddr>().is_ok());
    terms.extend(parsed.map(|host| format!("host {host}")));
    terms.extend(ends.into_iter().filter_map(|(_, port)| port).map(|port| format!("port {port}")));
    terms.join(" and ")
}

#[cfg(test)]
#[path = "flow_test.rs"]
mod tests;
