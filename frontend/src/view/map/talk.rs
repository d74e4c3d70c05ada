//! Who talks to whom: flows of all links put together by pairs of containers, and the arcs between their frames. Pure.

use std::collections::BTreeMap;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::source::{SourceKey, SourceState};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::plan::Who;
use super::scene::{BOX, Frame, TALL};
use crate::store::flow;

/// Arcs begin at the right edge of the boxes and reach out so far at most.
pub(super) const REACH: f64 = 104.0;

/// What passes between two containers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Talk {
    /// Their ids, in order.
    pub(super) ends: (String, String),
    /// Bytes per second from the first to the second and back; `None` before that is known.
    pub(super) rates: (Option<f32>, Option<f32>),
    /// Bytes since it was first seen, both ways.
    pub(super) bytes: u64,
}

/// All pairs, each talk counted once.
pub(super) fn talks(s: &Snapshot) -> Vec<Talk> {
    let mut pairs: BTreeMap<(&str, &str), Talk> = BTreeMap::new();
    for (row, stat) in flow::talks(s) {
        let (Some(from), Some(to)) = (&row.source_container, &row.destination_container) else { continue };
        if from == to {
            continue;
        }
        let ((a, b), rates) = if from < to {
            ((from, to), (stat.sent_bytes_per_sec, stat.received_bytes_per_sec))
        } else {
            ((to, from), (stat.received_bytes_per_sec, stat.sent_bytes_per_sec))
        };
        let sum = pairs.entry((a, b)).or_insert_with(|| Talk {
            ends: (a.clone(), b.clone()),
            rates: (None, None),
            bytes: 0,
        });
        let add = |a: Option<f32>, b: Option<f32>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        sum.rates = (add(sum.rates.0, rates.0), add(sum.rates.1, rates.1));
        sum.bytes = sum.bytes.saturating_add(stat.bytes());
    }
    pairs.into_values().collect()
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

/// The arcs between frames. Containers in one frame need none.
pub(super) fn bows(talks: &[Talk], frames: &[Frame]) -> Vec<Bow> {
    let mut of: BTreeMap<&str, &Frame> = BTreeMap::new();
    for frame in frames {
        for id in &frame.containers {
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
        let add = |a: Option<f32>, b: Option<f32>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        bow.rates = (add(bow.rates.0, rates.0), add(bow.rates.1, rates.1));
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
