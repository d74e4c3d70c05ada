//! One history of OOM kills from all who tell: the kernel's log (who), counters (how many), engines (that it was so).
//! Pure: instants are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::cgroup::{OomKill, OomKillKey, OomSource};
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat};
use glasshull_shared::domain::event::{Event, EventKey, EventKind};

/// Kills kept.
const KEPT: usize = 200;
/// What is told of one container within this time is the same kill: counters are read once a tick, engines are slow.
const SAME: u64 = 15_000_000_000;
/// An engine gets this long to tell of a kill before we mark it on the timeline ourselves.
const PATIENCE: u64 = 4_000_000_000;

/// What is known of kills.
#[derive(Debug, Default)]
pub(crate) struct OomHistory {
    rows: Table<OomKillKey, OomKill>,
    sequence: u64,
    counters: BTreeMap<ContainerKey, u64>,
    /// Events of engines up to here are taken in.
    event: u64,
    /// Events that we made of kills ourselves.
    own: BTreeSet<u64>,
    /// Ends (container, instant) whose `OOMKilled` is taken in.
    ends: BTreeSet<(String, u64)>,
    /// Kills already on the timeline, or never to be.
    marked: BTreeSet<OomKillKey>,
}

impl OomHistory {
    /// The table.
    pub(crate) fn rows(&self) -> &Table<OomKillKey, OomKill> {
        &self.rows
    }

    /// Takes in lines of the kernel's log. `whose`: the container of a control group whose path does not name it.
    pub(crate) fn take_log(&mut self, kills: Vec<OomKill>, whose: impl Fn(&str) -> Option<String>) {
        for mut kill in kills {
            let named = |path: &str| cgroup_path::parse(path).map(|found| found.id);
            kill.container = kill.cgroup.as_deref().and_then(|path| named(path).or_else(|| whose(path)));
            let (at, container) = (kill.at, kill.container.clone());
            // A counter or an engine may have been faster; it told no victim.
            let faster =
                self.near(container.as_deref(), at).find(|(_, row)| row.pid.is_none()).map(|(key, _)| key);
            match faster.and_then(|key| Some((key, self.rows.get_mut(&key)?))) {
                Some((_, row)) if row.count > 1 => {
                    let row = Arc::make_mut(row);
                    row.count -= 1;
                    kill.sources.extend(row.sources.iter().copied());
                    self.add(settled(kill));
                }
                Some((_, row)) => {
                    kill.sources.extend(row.sources.iter().copied());
                    *row = Arc::new(settled(kill));
                }
                None => self.add(kill),
            }
        }
    }

    /// Takes in the containers' counters, read at `at`. The first reading of one tells nothing new.
    pub(crate) fn take_counters(&mut self, stats: &Table<ContainerKey, ContainerStat>, at: u64) {
        for (key, stat) in stats {
            let Some(now) = stat.oom_kills else { continue };
            let before = self.counters.insert(key.clone(), now).unwrap_or(now);
            let rise = u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
            let known = self.confirm(&key.id, at, OomSource::Counter, rise);
            if rise > known {
                self.add(told(&key.id, at, OomSource::Counter, rise - known));
            }
        }
        self.counters.retain(|key, _| stats.contains_key(key));
    }

    /// Takes in the engines' events.
    pub(crate) fn take_events(&mut self, events: &Table<EventKey, Event>) {
        let new = events.range(EventKey { sequence: self.event + 1 }..);
        let new: Vec<_> = new.map(|(key, row)| (key.sequence, Arc::clone(row))).collect();
        for (sequence, event) in new {
            self.event = sequence;
            if event.kind != EventKind::OomKill || self.own.remove(&sequence) {
                continue;
            }
            let Some(container) = event.container.as_deref() else { continue };
            if self.confirm(container, event.at, OomSource::EngineEvent, u32::MAX) == 0 {
                self.add(told(container, event.at, OomSource::EngineEvent, 1));
            }
            let on_timeline: Vec<_> = self.near(Some(container), event.at).map(|(key, _)| key).collect();
            self.marked.extend(on_timeline);
        }
    }

    /// Takes in what engines say of containers that ended.
    pub(crate) fn take_ends(&mut self, containers: &Table<ContainerKey, Container>) {
        let ended = |row: &Container| row.finished_at.filter(|_| row.oom_killed == Some(true));
        let ends: BTreeSet<_> =
            containers.iter().filter_map(|(key, row)| Some((key.id.clone(), ended(row)?))).collect();
        for (container, at) in ends.difference(&self.ends.clone()) {
            if self.confirm(container, *at, OomSource::OomKilled, u32::MAX) == 0 {
                self.add(told(container, *at, OomSource::OomKilled, 1));
            }
        }
        self.ends = ends;
    }

    /// Kills in containers that no engine told of in time: to be marked on the timeline, each once. Those before `since`
    /// are too old for it.
    pub(crate) fn unmarked(&mut self, now: u64, since: u64) -> Vec<OomKill> {
        let due = self.rows.iter().filter(|(key, row)| {
            row.container.is_some() && now.saturating_sub(row.at) >= PATIENCE && !self.marked.contains(key)
        });
        let due: Vec<_> = due.map(|(key, row)| (*key, OomKill::clone(row))).collect();
        self.marked.extend(due.iter().map(|(key, _)| *key));
        let rows = &self.rows;
        self.marked.retain(|key| rows.contains_key(key));
        due.into_iter().map(|(_, row)| row).filter(|row| row.at >= since).collect()
    }

    /// Remembers that an event is made of a kill known here: nobody else told of it.
    pub(crate) fn made(&mut self, event: EventKey) {
        self.own.insert(event.sequence);
    }

    fn near(&self, container: Option<&str>, at: u64) -> impl Iterator<Item = (OomKillKey, &OomKill)> {
        let same = move |row: &OomKill| container.is_some() && row.container.as_deref() == container;
        let near = self.rows.iter().filter(move |(_, row)| same(row) && row.at.abs_diff(at) <= SAME);
        near.map(|(key, row)| (*key, &**row))
    }

    /// Adds who told to the rows of that time, `most` kills; says how many those stand for.
    fn confirm(&mut self, container: &str, at: u64, source: OomSource, most: u32) -> u32 {
        let open = |row: &OomKill| !row.sources.contains(&source);
        let keys: Vec<_> =
            self.near(Some(container), at).filter(|(_, row)| open(row)).map(|(key, _)| key).collect();
        let mut known = 0;
        for key in keys {
            if known >= most {
                break;
            }
            if let Some(row) = self.rows.get_mut(&key) {
                let row = Arc::make_mut(row);
                known = known.saturating_add(row.count);
                row.sources.push(source);
                row.sources.sort();
            }
        }
        known.min(most)
    }

    fn add(&mut self, kill: OomKill) {
        self.sequence += 1;
        self.rows.insert(OomKillKey { sequence: self.sequence }, Arc::new(kill));
        while self.rows.len() > KEPT {
            self.rows.pop_first();
        }
    }
}

fn told(container: &str, at: u64, source: OomSource, count: u32) -> OomKill {
    OomKill { at, container: Some(container.to_owned()), count, sources: vec![source], ..OomKill::default() }
}

fn settled(mut kill: OomKill) -> OomKill {
    kill.sources.sort();
    kill.sources.dedup();
    kill
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
    const AT: u64 = 1_000_000_000_000;

    fn line(pid: u32, at: u64) -> OomKill {
        OomKill {
            at,
            cgroup: Some(format!("/docker/{ID}")),
            pid: Some(pid),
            count: 1,
            sources: vec![OomSource::KernelLog],
            ..OomKill::default()
        }
    }

    fn counter(n: u64) -> Table<ContainerKey, ContainerStat> {
        let stat = ContainerStat { oom_kills: Some(n), ..ContainerStat::default() };
        [(ContainerKey { id: ID.into() }, Arc::new(stat))].into()
    }

    fn event(sequence: u64, at: u64) -> Table<EventKey, Event> {
        let row = Event { at, kind: EventKind::OomKill, container: Some(ID.into()), text: String::new() };
        [(EventKey { sequence }, Arc::new(row))].into()
    }

    fn ended(at: u64) -> Table<ContainerKey, Container> {
        let row = Container { finished_at: Some(at), oom_killed: Some(true), ..Container::default() };
        [(ContainerKey { id: ID.into() }, Arc::new(row))].into()
    }

    fn shown(history: &OomHistory) -> Vec<(Option<u32>, u32, usize)> {
        history.rows().values().map(|row| (row.pid, row.count, row.sources.len())).collect()
    }

    #[test]
    fn all_who_tell_of_one_kill_make_one_row_in_any_order() {
        use OomSource::{Counter, EngineEvent, KernelLog, OomKilled};
        for turn in 0..4 {
            let mut history = OomHistory::default();
            history.take_counters(&counter(0), AT - 1);
            for step in 0..4 {
                match (turn + step) % 4 {
                    0 => history.take_log(vec![line(7, AT)], |_| None),
                    1 => history.take_counters(&counter(1), AT + 900_000_000),
                    2 => history.take_events(&event(3, AT + 50_000_000)),
                    _ => history.take_ends(&ended(AT + 1_000_000_000)),
                }
            }
            // Told again at the next tick.
            history.take_counters(&counter(1), AT + 2_000_000_000);
            history.take_ends(&ended(AT + 1_000_000_000));
            history.take_events(&event(3, AT + 50_000_000));
            assert_eq!(shown(&history), [(Some(7), 1, 4)], "{turn}");
            let row = history.rows().values().next().unwrap();
            assert_eq!(row.sources, [KernelLog, Counter, EngineEvent, OomKilled]);
            assert_eq!((row.container.as_deref(), row.at), (Some(ID), AT));
            assert!(history.unmarked(AT + SAME, 0).is_empty(), "the engine's event is its mark");
        }
    }

    #[test]
    fn without_the_log_a_counter_tells_how_many() {
        let mut history = OomHistory::default();
        history.take_counters(&counter(5), AT);
        assert!(history.rows().is_empty(), "that was before");
        history.take_counters(&counter(8), AT + 1);
        assert_eq!(shown(&history), [(None, 3, 1)]);
        history.take_log(vec![line(7, AT), line(8, AT)], |_| None);
        assert_eq!(shown(&history), [(None, 1, 1), (Some(7), 1, 2), (Some(8), 1, 2)]);
        history.take_counters(&counter(0), AT + 2);
        assert_eq!(history.rows().len(), 3, "a counter that begins anew is no kill");
    }

    #[test]
    fn kills_far_apart_are_several_and_old_ones_go() {
        let mut history = OomHistory::default();
        history.take_log(vec![line(1, AT), line(2, AT + SAME + 1)], |_| None);
        history.take_events(&event(1, AT + SAME + 2));
        assert_eq!(shown(&history), [(Some(1), 1, 1), (Some(2), 1, 2)]);
        history.take_log((0..300).map(|i| line(i, AT)).collect(), |_| None);
        assert_eq!(history.rows().len(), KEPT);
    }

    #[test]
    fn what_no_engine_tells_is_marked_once() {
        let mut history = OomHistory::default();
        let host = OomKill { cgroup: Some("/user.slice".into()), ..line(3, AT) };
        history.take_log(vec![line(1, AT), host], |_| None);
        assert!(history.unmarked(AT + PATIENCE - 1, 0).is_empty());
        assert_eq!(
            history.unmarked(AT + PATIENCE, 0).iter().map(|row| row.pid).collect::<Vec<_>>(),
            [Some(1)]
        );
        assert!(history.unmarked(AT + PATIENCE, 0).is_empty());
        history.made(EventKey { sequence: 4 });
        history.take_events(&event(4, AT));
        assert_eq!(shown(&history), [(Some(1), 1, 1), (Some(3), 1, 1)], "our own mark tells nothing new");
    }
}
