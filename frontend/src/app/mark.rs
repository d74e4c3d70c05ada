//! Where the timeline's bars and event marks stand: samples and events in, shares of its width out. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use glasshull_shared::domain::event::{Event, EventKind};
use glasshull_shared::domain::host::HostStat;

use crate::store::history::HostSample;
use crate::store::past::STEP_NANOS;

/// Bars on the timeline.
pub(super) const BARS: u64 = 225;
/// Time of one bar, nanoseconds: 15 minutes in all.
pub(super) const BAR_NANOS: u64 = STEP_NANOS;
/// Bars that share one mark: signs closer than that would lie on each other.
const CELL_BARS: u64 = 8;
/// A label needs this many bars to the next mark.
const LABEL_BARS: u64 = 32;

/// The number of the bar an instant falls into. Counted from the epoch, so that bars do not change as time goes on.
pub(super) fn bar_of(at: u64) -> u64 {
    at / BAR_NANOS
}

/// What one bar says: means of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bar {
    /// Share of all CPUs doing anything, 0..1; `None` without a sample.
    pub(super) busy_ratio: Option<f32>,
    /// Share idle while waiting for a block device; `None` without a sample.
    pub(super) iowait_ratio: Option<f32>,
    /// Memory used, 0..1; `None` without a sample.
    pub(super) memory_ratio: Option<f32>,
}

impl Bar {
    /// One reading.
    pub(super) fn now(stat: &HostStat) -> Self {
        let memory = stat.memory;
        let known = memory.total_bytes > 0;
        Self {
            busy_ratio: stat.cpu_ratio.map(|r| r.busy()),
            iowait_ratio: stat.cpu_ratio.map(|r| r.iowait),
            memory_ratio: known.then(|| memory.used_bytes as f32 / memory.total_bytes as f32),
        }
    }
}

/// The bars up to `last`, oldest first, [`BARS`] of them.
pub(super) fn bars<'a>(samples: impl Iterator<Item = &'a HostSample>, last: u64) -> Vec<Bar> {
    let first = (last + 1).saturating_sub(BARS);
    let mut sums = vec![[(0.0f32, 0u16); 3]; BARS as usize];
    for sample in samples {
        let Some(position) = bar_of(sample.at).checked_sub(first) else { continue };
        let Some(sum) = sums.get_mut(position as usize) else { continue };
        let total = sample.memory_total_bytes;
        let memory = (total > 0).then(|| sample.memory_used_bytes as f32 / total as f32);
        for (sum, value) in sum.iter_mut().zip([sample.busy_ratio, sample.iowait_ratio, memory]) {
            if let Some(value) = value {
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
    }
    let mean = |(sum, n): (f32, u16)| (n > 0).then(|| sum / f32::from(n));
    sums.into_iter()
        .map(|[busy, iowait, memory]| Bar {
            busy_ratio: mean(busy),
            iowait_ratio: mean(iowait),
            memory_ratio: mean(memory),
        })
        .collect()
}

/// SVG paths of the bars on a field `BARS` wide and 100 high: busy from the ground up, iowait on top of it.
pub(super) fn paths(bars: &[Bar]) -> (String, String) {
    let (mut busy_path, mut iowait_path) = (String::new(), String::new());
    for (x, bar) in bars.iter().enumerate() {
        let Some(busy) = bar.busy_ratio else { continue };
        // An idle host still shows that it was looked at.
        let busy = (busy.clamp(0.0, 1.0) * 100.0).max(1.5);
        let iowait = (bar.iowait_ratio.unwrap_or(0.0).clamp(0.0, 1.0) * 100.0).min(100.0 - busy);
        // Writing to a string cannot fail.
        let _ = write!(busy_path, "M{x} 100v-{busy:.1}h.75v{busy:.1}z");
        if iowait >= 0.5 {
            let _ = write!(iowait_path, "M{x} {:.1}v-{iowait:.1}h.75v{iowait:.1}z", 100.0 - busy);
        }
    }
    (busy_path, iowait_path)
}

/// One mark: the events within [`CELL_BARS`] bars.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    /// The bar it stands at.
    pub(super) bar: u64,
    /// When what it tells of happened.
    pub(super) at: u64,
    /// How many events it stands for.
    pub(super) count: usize,
    /// The gravest that happened.
    pub(super) kind: EventKind,
    /// Container of that; `None` for engines.
    pub(super) container: Option<String>,
    /// That in words, the newest of its kind, with how many more events there were.
    pub(super) text: String,
    /// There is room for the words.
    pub(super) labelled: bool,
}

/// The marks up to bar `last`, oldest first.
pub(super) fn marks<'a>(events: impl Iterator<Item = &'a Event>, last: u64) -> Vec<Mark> {
    let first = (last + 1).saturating_sub(BARS);
    let mut grouped: BTreeMap<u64, (&Event, usize)> = BTreeMap::new();
    // Whole cells only: the sign stands where its cell begins.
    for event in events.filter(|e| (first..=last).contains(&cell_of(e.at)) && bar_of(e.at) <= last) {
        // Counted from the epoch like the bars, so that what shares a mark does not change.
        let told = grouped.entry(cell_of(event.at)).or_insert((event, 0));
        let graver = gravity(event.kind) >= gravity(told.0.kind);
        *told = (if graver { event } else { told.0 }, told.1 + 1);
    }
    let mut next = last + LABEL_BARS / 2;
    let mut marks = Vec::with_capacity(grouped.len());
    for (bar, (event, count)) in grouped.into_iter().rev() {
        let labelled = bar + LABEL_BARS <= next;
        next = bar;
        let text =
            if count > 1 { format!("{} and {} more", event.text, count - 1) } else { event.text.clone() };
        let container = event.container.clone();
        marks.push(Mark { bar, at: event.at, count, kind: event.kind, container, text, labelled });
    }
    marks.reverse();
    marks
}

/// The bar where the mark of an instant stands.
fn cell_of(at: u64) -> u64 {
    bar_of(at) / CELL_BARS * CELL_BARS
}

/// Which of several events is told.
fn gravity(kind: EventKind) -> u8 {
    match kind {
        EventKind::ContainerRemoved => 0,
        EventKind::ContainerStarted
        | EventKind::ContainerUnpaused
        | EventKind::EngineUp
        | EventKind::LinkUp => 1,
        EventKind::ContainerPaused | EventKind::HealthChanged => 2,
        EventKind::ContainerDied => 3,
        EventKind::FindingRaised => 3,
        EventKind::FindingCleared => 0,
        EventKind::OomKill | EventKind::EngineDown | EventKind::LinkDown => 4,
    }
}

/// How a kind of event looks: a sign of its own, and a style class.
pub(super) fn look(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::ContainerStarted => ("▲", "ok"),
        EventKind::ContainerUnpaused => ("►", "ok"),
        EventKind::ContainerPaused => ("‖", "warn"),
        EventKind::ContainerDied => ("✕", "warn"),
        EventKind::ContainerRemoved => ("○", "dim"),
        EventKind::HealthChanged => ("◆", "dim"),
        EventKind::OomKill => ("!", "bad"),
        EventKind::EngineUp => ("△", "ok"),
        EventKind::EngineDown => ("▽", "bad"),
        EventKind::LinkUp => ("⊕", "ok"),
        EventKind::LinkDown => ("⊗", "bad"),
        EventKind::FindingRaised => ("⚑", "warn"),
        EventKind::FindingCleared => ("⚐", "dim"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;

    fn sample(at: u64, busy: f32) -> HostSample {
        HostSample { at, busy_ratio: Some(busy), iowait_ratio: Some(0.5), ..HostSample::default() }
    }

    fn event(at: u64, kind: EventKind, text: &str) -> Event {
        Event { at, kind, container: None, text: text.into() }
    }

    #[test]
    fn a_bar_is_the_mean_of_its_samples_and_the_newest_stands_right() {
        let last = bar_of(NOW);
        let start = last * BAR_NANOS;
        let samples = [sample(start, 0.2), sample(start + 1, 0.4), sample(start - 3 * BAR_NANOS, 1.0)];
        let bars = bars(samples.iter(), last);
        assert_eq!(bars.len() as u64, BARS);
        assert_eq!(bars.last().and_then(|b| b.busy_ratio), Some(0.3));
        assert_eq!(bars[bars.len() - 4].busy_ratio, Some(1.0));
        assert_eq!(bars[bars.len() - 2], Bar::default());
    }

    #[test]
    fn samples_out_of_the_window_are_left_out() {
        let last = bar_of(NOW);
        let samples = [sample(NOW - BARS * BAR_NANOS, 1.0), sample(NOW + BAR_NANOS, 1.0), sample(0, 1.0)];
        assert_eq!(bars(samples.iter(), last), vec![Bar::default(); BARS as usize]);
    }

    #[test]
    fn busy_and_iowait_never_leave_the_field() {
        let bar = Bar { busy_ratio: Some(0.9), iowait_ratio: Some(0.5), memory_ratio: None };
        let (busy, iowait) = paths(&[bar]);
        assert_eq!(busy, "M0 100v-90.0h.75v90.0z");
        assert_eq!(iowait, "M0 10.0v-10.0h.75v10.0z");
    }

    #[test]
    fn many_events_of_one_moment_are_one_mark() {
        let events: Vec<_> =
            (0..50).map(|i| event(NOW + i, EventKind::ContainerDied, &format!("w{i} exited"))).collect();
        let marks = marks(events.iter(), bar_of(NOW));
        assert_eq!(marks.len(), 1);
        assert_eq!((marks[0].text.as_str(), marks[0].count), ("w49 exited and 49 more", 50));
    }

    #[test]
    fn the_gravest_of_one_moment_is_told() {
        let events = [
            event(NOW, EventKind::OomKill, "worker OOM-killed"),
            event(NOW + 1, EventKind::ContainerDied, "worker exited with code 137"),
            event(NOW + 2, EventKind::ContainerStarted, "worker started"),
        ];
        let marks = marks(events.iter(), bar_of(NOW));
        assert_eq!(marks.len(), 1);
        assert_eq!(
            (marks[0].kind, marks[0].text.as_str()),
            (EventKind::OomKill, "worker OOM-killed and 2 more")
        );
    }

    #[test]
    fn no_two_kinds_share_a_sign() {
        use EventKind::{
            ContainerDied, ContainerPaused, ContainerRemoved, ContainerStarted, ContainerUnpaused,
            EngineDown, EngineUp, FindingCleared, FindingRaised, HealthChanged, OomKill,
        };
        let kinds = [
            ContainerDied,
            ContainerPaused,
            ContainerRemoved,
            ContainerStarted,
            ContainerUnpaused,
            EngineDown,
            EngineUp,
            FindingCleared,
            FindingRaised,
            HealthChanged,
            OomKill,
        ];
        let signs: std::collections::BTreeSet<_> = kinds.into_iter().map(|kind| look(kind).0).collect();
        assert_eq!(signs.len(), kinds.len());
    }

    #[test]
    fn labels_do_not_run_into_the_next_mark() {
        let events = [
            event(NOW - 90 * BAR_NANOS, EventKind::ContainerStarted, "a"),
            event(NOW - 36 * BAR_NANOS, EventKind::ContainerStarted, "b"),
            event(NOW - 20 * BAR_NANOS, EventKind::OomKill, "c"),
            event(NOW - BARS * BAR_NANOS * 2, EventKind::OomKill, "long ago"),
        ];
        let marks = marks(events.iter(), bar_of(NOW));
        let labels: Vec<_> = marks.iter().map(|m| (m.text.as_str(), m.labelled)).collect();
        assert_eq!(labels, [("a", true), ("b", false), ("c", true)]);
    }
}
