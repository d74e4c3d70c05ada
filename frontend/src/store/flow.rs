//! Joins of flows that several views need: what an end is called, its port, who talks with whom. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::network::{Capture, Flow, FlowKey, FlowStat, Protocol};
use glasshull_shared::snapshot::Snapshot;

use super::lookup::container_name;

/// Whoever is neither a container nor the host.
pub const ELSEWHERE: &str = "elsewhere";

/// The capture behind the flows; `None` until it began.
pub fn capture(snapshot: &Snapshot) -> Option<&Capture> {
    snapshot.capture.get(&Single).map(|row| &**row)
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
        (None, Some(name)) => name.clone(),
        (None, None) => ELSEWHERE.to_owned(),
    }
}

/// Two parties, whoever opened.
pub fn between(one: &str, other: &str) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    format!("{first} ⇄ {second}")
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

/// Every talk once, with what is known of it on the link that saw most: links cannot be added up. Both sides of an address
/// translation are one talk.
pub fn talks(snapshot: &Snapshot) -> Vec<(&Flow, &FlowStat)> {
    let mut best: BTreeMap<Talk<'_>, (&Flow, &FlowStat)> = BTreeMap::new();
    for (key, flow) in &snapshot.flow {
        let Some(stat) = snapshot.flow_stat.get(key) else { continue };
        // The same loopback addresses in another namespace are somebody else.
        let (source, destination) = flow.ends(key);
        let inside = split_end(source).0.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let place = inside.then_some(key.netns);
        let talk = (place, key.protocol, source, destination);
        let seen = best.entry(talk).or_insert((flow, stat));
        if stat.bytes() > seen.1.bytes() {
            *seen = (flow, stat);
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
    for (flow, stat) in talks(snapshot) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_end_is_an_address_and_perhaps_a_port() {
        assert_eq!(split_end("10.0.0.2:80"), ("10.0.0.2", Some(80)));
        assert_eq!(split_end("[fd00::2]:80"), ("fd00::2", Some(80)));
        assert_eq!(split_end("fd00::2"), ("fd00::2", None));
        assert_eq!(split_end("10.0.0.2"), ("10.0.0.2", None));
        assert_eq!(split_end("02:00:00:00:00:01"), ("02:00:00:00:00:01", None));
        assert_eq!(split_end(""), ("", None));
    }

    fn scene(talks: &[(u32, &str, &str, u64, u64)]) -> Snapshot {
        let mut s = Snapshot::default();
        for (link, from, to, sent_bytes, received_bytes) in talks {
            let key = FlowKey {
                netns: 1,
                link_ifindex: *link,
                protocol: Protocol::Tcp,
                source: format!("{from}:1"),
                destination: format!("{to}:2"),
            };
            let name = |name: &str| (name != "x").then(|| name.to_owned());
            let flow = Flow { source_name: name(from), destination_name: name(to), ..Flow::default() };
            let stat = FlowStat {
                sent_bytes: *sent_bytes,
                received_bytes: *received_bytes,
                sent_bytes_per_sec: Some(*sent_bytes as f32),
                ..FlowStat::default()
            };
            s.flow.insert(key.clone(), Arc::new(flow));
            s.flow_stat.insert(key, Arc::new(stat));
        }
        s
    }

    #[test]
    fn a_talk_that_passes_two_links_is_counted_once() {
        let s = scene(&[(5, "web", "db", 100, 7), (6, "web", "db", 90, 7), (5, "web", "x", 1, 0)]);
        let matrix = matrix(&s, 10);
        assert_eq!(matrix.parties, ["db", "web", ELSEWHERE]);
        let cell = |from: &str, to: &str| matrix.cells.get(&(from.into(), to.into())).copied();
        assert_eq!(cell("web", "db"), Some(Passing { bytes_per_sec: 100.0, bytes: 100 }));
        assert_eq!(cell("db", "web").map(|c| c.bytes), Some(7));
        assert_eq!(cell(ELSEWHERE, "web"), None);
    }

    #[test]
    fn both_sides_of_a_translation_are_one_talk() {
        let mut s = scene(&[(5, "client", "host", 100, 7), (6, "client", "web", 90, 6)]);
        let outside = s.flow.keys().find(|key| key.link_ifindex == 5).cloned().unwrap();
        let inside = s.flow.keys().find(|key| key.link_ifindex == 6).cloned().unwrap();
        assert_eq!(talks(&s).len(), 2);
        Arc::make_mut(s.flow.get_mut(&outside).unwrap()).true_destination = Some(inside.destination);
        assert_eq!(talks(&s).len(), 1);
    }

    #[test]
    fn loopback_of_another_namespace_is_another_talk_with_or_without_a_port() {
        let count = |protocol, ends: (&str, &str)| {
            let mut s = Snapshot::default();
            for netns in [1, 2] {
                let (source, destination) = (ends.0.to_owned(), ends.1.to_owned());
                let key = FlowKey { netns, link_ifindex: 1, protocol, source, destination };
                s.flow.insert(key.clone(), Arc::default());
                s.flow_stat.insert(key, Arc::default());
            }
            talks(&s).len()
        };
        assert_eq!(count(Protocol::Icmpv6, ("::1", "::1")), 2);
        assert_eq!(count(Protocol::Tcp, ("[::1]:40000", "[::1]:80")), 2);
        assert_eq!(count(Protocol::Icmp, ("127.0.0.1", "127.0.0.1")), 2);
        assert_eq!(count(Protocol::Icmpv6, ("fd00::1", "fd00::2")), 1);
    }

    #[test]
    fn without_room_the_least_busy_are_elsewhere() {
        let s = scene(&[(5, "a", "b", 100, 0), (5, "c", "b", 1, 0), (5, "host", "a", 50, 0)]);
        let matrix = matrix(&s, 3);
        assert_eq!(
            (matrix.parties, matrix.left_out),
            (vec!["a".into(), "b".into(), "host".into(), ELSEWHERE.into()], 1)
        );
        assert_eq!(matrix.cells[&(ELSEWHERE.to_owned(), "b".to_owned())].bytes, 1);
    }
}
