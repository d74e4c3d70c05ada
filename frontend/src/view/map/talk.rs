//! Who talks to whom: flows of all links put together by pairs of containers, and the arcs between their frames; with whom
//! they talk beyond this host. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::network::{NetnsKey, Protocol};
use glasshull_shared::domain::source::{SourceKey, SourceState};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::plan::Who;
use super::scene::{BOX, Flow, Frame, TALL, plus};
use crate::store::flow::{self, Seen, split_end};

/// Arcs begin at the right edge of the boxes and reach out so far at most.
pub(super) const REACH: f64 = 104.0;

/// What passes between two containers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Talk {
    /// Ids of the containers, or [`place_id`] of a namespace without, in order.
    pub(super) ends: (String, String),
    /// Bytes per second from the first to the second and back; `None` before that is known.
    pub(super) rates: (Option<f32>, Option<f32>),
    /// Bytes since it was first seen, both ways.
    pub(super) bytes: u64,
}

/// Addresses that mean everybody of a network: the last of each prefix.
fn broadcasts(s: &Snapshot) -> BTreeSet<IpAddr> {
    let last = |text: &String| {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let rest = u32::MAX.checked_shr(bits).filter(|rest| *rest > 1)?;
        Some(IpAddr::V4((u32::from(address) | rest).into()))
    };
    s.link.values().flat_map(|row| row.addresses.iter().filter_map(last)).collect()
}

/// What stands for a namespace that no container is in.
fn place_id(netns: u64) -> String {
    format!("netns {netns}")
}

/// Whose an address is; `None` where several have it.
type Places = BTreeMap<IpAddr, Option<u64>>;

/// Addresses of namespaces on this host without a container.
fn places(s: &Snapshot) -> Places {
    let mut places = BTreeMap::new();
    for (key, row) in &s.link {
        let netns = s.netns.get(&NetnsKey { netns: key.netns });
        if netns.is_none_or(|netns| netns.host || !netns.containers.is_empty()) {
            continue;
        }
        let addresses = row.addresses.iter().filter_map(|a| a.split('/').next()?.parse::<IpAddr>().ok());
        for address in addresses.filter(|address| !address.is_loopback()) {
            let one = places.entry(address).or_insert(Some(key.netns));
            *one = one.filter(|netns| *netns == key.netns);
        }
    }
    places
}

/// All pairs, each talk counted once.
fn talks(seen: &[Seen<'_>], places: &Places) -> Vec<Talk> {
    let mut pairs: BTreeMap<(String, String), Talk> = BTreeMap::new();
    let party = |container: &Option<String>, end: &str| match container {
        Some(id) => Some(id.clone()),
        None => places.get(&split_end(end).0.parse::<IpAddr>().ok()?).copied().flatten().map(place_id),
    };
    for &(key, row, stat) in seen {
        let (source, destination) = row.ends(key);
        let from = party(&row.source_container, source);
        let to = party(&row.destination_container, destination);
        let (Some(from), Some(to)) = (from, to) else { continue };
        if from == to || key.protocol == Protocol::Arp {
            continue;
        }
        let ((a, b), rates) = if from < to {
            ((from, to), (stat.sent_bytes_per_sec, stat.received_bytes_per_sec))
        } else {
            ((to, from), (stat.received_bytes_per_sec, stat.sent_bytes_per_sec))
        };
        let ends = (a, b);
        let sum = pairs.entry(ends.clone()).or_insert(Talk { ends, rates: (None, None), bytes: 0 });
        sum.rates = (plus(sum.rates.0, rates.0), plus(sum.rates.1, rates.1));
        sum.bytes = sum.bytes.saturating_add(stat.bytes());
    }
    pairs.into_values().collect()
}

/// All that is drawn of talk.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Talking {
    /// Between containers.
    pub(super) within: Vec<Talk>,
    /// With others, most bytes first.
    pub(super) beyond: Vec<Outside>,
}

impl Talking {
    /// As the flows tell it.
    pub(super) fn of(s: &Snapshot) -> Self {
        let (seen, places) = (flow::talks(s), places(s));
        Self { within: talks(&seen, &places), beyond: outsides(s, &seen, &places) }
    }
}

/// Somebody that is neither a container nor the host, with all of the picture's it talks with.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outside {
    /// Told by an answer of DNS, else the address.
    pub(super) name: String,
    /// Ids of containers.
    pub(super) with: BTreeSet<String>,
    /// Seen from this host.
    pub(super) flow: Flow,
    /// Since it was first seen, both ways.
    pub(super) bytes: u64,
}

/// All of them, those with most bytes first. What goes to many at once (multicast, ARP) goes to nobody.
fn outsides(s: &Snapshot, seen: &[Seen<'_>], places: &Places) -> Vec<Outside> {
    let mut all: BTreeMap<String, Outside> = BTreeMap::new();
    let broadcasts = broadcasts(s);
    for &(key, row, stat) in seen {
        // Both here, or neither: then it only passes through.
        let (sent, received) = (stat.sent_bytes_per_sec, stat.received_bytes_per_sec);
        let (source, destination) = row.ends(key);
        let (outside, address, with, received, sent) = match flow::elsewhere(key, row) {
            [Some(name), None] => (name, source, &row.destination_container, sent, received),
            [None, Some(name)] => (name, destination, &row.source_container, received, sent),
            [..] => continue,
        };
        let address: Option<IpAddr> = split_end(address).0.parse().ok();
        let to_many = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
            IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
        };
        let is_here = |address: IpAddr| places.contains_key(&address) || broadcasts.contains(&address);
        if key.protocol == Protocol::Arp || address.is_some_and(|at| to_many(at) || is_here(at)) {
            continue;
        }
        let one =
            all.entry(outside.clone()).or_insert_with(|| Outside { name: outside, ..Outside::default() });
        one.with.extend(with.clone());
        (one.flow.rx, one.flow.tx) = (plus(one.flow.rx, received), plus(one.flow.tx, sent));
        one.bytes = one.bytes.saturating_add(stat.bytes());
    }
    let mut all: Vec<Outside> = all.into_values().collect();
    all.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    all
}

/// An arc between two frames, as wide as a bow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bow {
    /// Frames at its upper and lower end.
    pub(super) ends: (Who, Who),
    pub(super) from: f64,
    pub(super) to: f64,
    /// Bytes per second, downwards and upwards.
    pub(super) rates: (Option<f32>, Option<f32>),
    pub(super) bytes: u64,
    /// Names of the frames.
    pub(super) names: (String, String),
}

impl Bow {
    /// Bytes per second both ways.
    pub(super) fn rate(&self) -> Option<f32> {
        Some(self.rates.0? + self.rates.1?)
    }

    /// From the right edge of one frame to that of the other: the farther, the wider.
    pub(super) fn path(&self) -> String {
        let x = BOX.0 + BOX.1;
        let out = x + (18.0 + (self.to - self.from).abs() * 0.16).min(REACH) * 4.0 / 3.0;
        format!(
            "M{x:.0} {:.1}C{out:.1} {:.1} {out:.1} {:.1} {x:.0} {:.1}",
            self.from, self.from, self.to, self.to
        )
    }

    /// For hover and screen readers.
    pub(super) fn about(&self) -> String {
        let rate = |r: Option<f32>| unit::or_unknown(r.map(|r| unit::bytes_per_sec(f64::from(r))));
        let (a, b) = (unit::printable(&self.names.0), unit::printable(&self.names.1));
        let bytes = unit::bytes(self.bytes);
        format!(
            "{a} → {b} {}, {b} → {a} {}; {bytes} since it was first seen",
            rate(self.rates.0),
            rate(self.rates.1)
        )
    }
}

/// What talks of a frame's are known by.
fn ids(frame: &Frame) -> Vec<String> {
    match frame.who {
        Who::Netns(netns) if frame.containers.is_empty() => vec![place_id(netns)],
        Who::Netns(_) => frame.containers.clone(),
        Who::Bundle(..) => {
            frame.containers.iter().cloned().chain(frame.members.iter().copied().map(place_id)).collect()
        }
    }
}

/// The arcs between frames. Containers in one frame need none.
pub(super) fn bows(talks: &[Talk], frames: &[Frame]) -> Vec<Bow> {
    let mut of: BTreeMap<String, &Frame> = BTreeMap::new();
    for frame in frames {
        for id in ids(frame) {
            // Of an open bundle and its members, the member.
            let closer = frame.bundle.is_none();
            of.entry(id).and_modify(|at| *at = if closer { frame } else { *at }).or_insert(frame);
        }
    }
    let mut bows: BTreeMap<(&Who, &Who), Bow> = BTreeMap::new();
    for talk in talks {
        let (Some(a), Some(b)) = (of.get(talk.ends.0.as_str()), of.get(talk.ends.1.as_str())) else {
            continue;
        };
        if a.who == b.who {
            continue;
        }
        let down = a.y <= b.y;
        let (upper, lower) = if down { (a, b) } else { (b, a) };
        let rates = if down { talk.rates } else { (talk.rates.1, talk.rates.0) };
        let bow = bows.entry((&upper.who, &lower.who)).or_insert_with(|| Bow {
            ends: (upper.who.clone(), lower.who.clone()),
            from: upper.y + TALL / 2.0,
            to: lower.y + TALL / 2.0,
            rates: (None, None),
            bytes: 0,
            names: (upper.title.clone(), lower.title.clone()),
        });
        bow.rates = (plus(bow.rates.0, rates.0), plus(bow.rates.1, rates.1));
        bow.bytes = bow.bytes.saturating_add(talk.bytes);
    }
    bows.into_values().collect()
}

/// Why talk is not known, or not all of it; `None` when nothing is amiss.
pub(super) fn trouble(s: &Snapshot) -> Option<String> {
    let capture = s.capture.get(&Single).and_then(|row| row.error.clone());
    let row = s.source.get(&SourceKey { name: "flow".into() });
    let source = row.filter(|row| row.state != SourceState::Ok && row.state != SourceState::Off);
    capture.or_else(|| source.and_then(|row| row.reason.clone()))
}

#[cfg(test)]
#[path = "talk_test.rs"]
mod tests;
