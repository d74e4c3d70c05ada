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
/// An event, an inspection and a file tell of one end with instants that lie this far apart at most.
const SAME_END: u64 = 1_000_000_000;
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
    /// Events of engines that are taken in for a kill known here: an engine tells of none twice.
    events_of: BTreeMap<OomKillKey, u32>,
    /// The last end of each container whose `OOMKilled` is taken in.
    ends: BTreeMap<String, u64>,
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
                Some((key, row)) if row.count > 1 => {
                    let row = Arc::make_mut(row);
                    row.count -= 1;
                    kill.sources.extend(row.sources.iter().copied());
                    let left = row.count;
                    let new = self.add(settled(kill));
                    // Events that were of all of them are of each.
                    let events = self.events_of.get(&key).copied().unwrap_or(0);
                    self.events_of.insert(key, events.min(left));
                    self.events_of.insert(new, events.saturating_sub(left));
                    if self.marked.contains(&key) {
                        self.marked.insert(new);
                    }
                }
                Some((_, row)) => {
                    kill.sources.extend(row.sources.iter().copied());
                    *row = Arc::new(settled(kill));
                }
                None => {
                    self.add(kill);
                }
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
            // One event may stand for several kills, but no two for the same.
            self.confirm(container, event.at, OomSource::EngineEvent, u32::MAX);
            let waits = self
                .near(Some(container), event.at)
                .find(|(key, row)| self.events_of.get(key).copied().unwrap_or(0) < row.count);
            let of = match waits.map(|(key, _)| key) {
                Some(key) => key,
                None => self.add(told(container, event.at, OomSource::EngineEvent, 1)),
            };
            *self.events_of.entry(of).or_default() += 1;
            let on_timeline: Vec<_> = self.near(Some(container), event.at).map(|(key, _)| key).collect();
            self.marked.extend(on_timeline);
        }
    }

    /// Takes in what engines say of containers that ended. `OOMKilled` tells of any kill since the start, also of one long
    /// before the end that ended a child alone.
    pub(crate) fn take_ends(&mut self, containers: &Table<ContainerKey, Container>) {
        for (key, row) in containers.iter().filter(|(_, row)| row.oom_killed == Some(true)) {
            let Some(at) = row.finished_at else { continue };
            let taken = self.ends.get(&key.id).is_some_and(|known| match row.started_at {
                Some(started_at) => started_at <= *known,
                None => known.abs_diff(at) <= SAME_END,
            });
            if taken {
                continue;
            }
            let earliest = at.saturating_sub(SAME);
            let since = row.started_at.map_or(earliest, |started_at| started_at.min(earliest));
            self.ends.insert(key.id.clone(), at);
            if self.confirm_since(&key.id, since, at, OomSource::OomKilled, u32::MAX) == 0 {
                self.add(told(&key.id, at, OomSource::OomKilled, 1));
            }
        }
        // Also while it runs again, or its engine is silent: the same end may be told once more.
        let rows = &self.rows;
        self.ends.retain(|id, _| {
            // What is in the history is not to be told again, also when nobody looked at containers meanwhile.
            let known = || rows.values().any(|row| row.container.as_deref() == Some(id));
            containers.contains_key(&ContainerKey { id: id.clone() }) || known()
        });
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
        self.events_of.retain(|key, _| rows.contains_key(key));
        due.into_iter().map(|(_, row)| row).filter(|row| row.at >= since).collect()
    }

    /// Remembers that an event is made of a kill known here: nobody else told of it.
    pub(crate) fn made(&mut self, event: EventKey) {
        self.own.insert(event.sequence);
    }

    fn near(&self, container: Option<&str>, at: u64) -> impl Iterator<Item = (OomKillKey, &OomKill)> {
        self.between(container, at.saturating_sub(SAME), at)
    }

    /// Kills in a container since an instant, and up to what may still be the same as one at `at`.
    fn between(
        &self,
        container: Option<&str>,
        since: u64,
        at: u64,
    ) -> impl Iterator<Item = (OomKillKey, &OomKill)> {
        let same = move |row: &OomKill| container.is_some() && row.container.as_deref() == container;
        let when = since..=at.saturating_add(SAME);
        let rows = self.rows.iter().filter(move |(_, row)| same(row) && when.contains(&row.at));
        rows.map(|(key, row)| (*key, &**row))
    }

    /// Adds who told to the rows of that time, `most` kills; says how many those stand for.
    fn confirm(&mut self, container: &str, at: u64, source: OomSource, most: u32) -> u32 {
        self.confirm_since(container, at.saturating_sub(SAME), at, source, most)
    }

    fn confirm_since(&mut self, container: &str, since: u64, at: u64, source: OomSource, most: u32) -> u32 {
        let open = |row: &OomKill| !row.sources.contains(&source);
        let found = self.between(Some(container), since, at).filter(|(_, row)| open(row));
        let keys: Vec<_> = found.map(|(key, _)| key).collect();
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

    fn add(&mut self, kill: OomKill) -> OomKillKey {
        self.sequence += 1;
        let key = OomKillKey { sequence: self.sequence };
        self.rows.insert(key, Arc::new(kill));
        while self.rows.len() > KEPT {
            self.rows.pop_first();
        }
        key
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
        run(None, at)
    }

    fn run(started_at: Option<u64>, at: u64) -> Table<ContainerKey, Container> {
        let ended = Container { finished_at: Some(at), oom_killed: Some(true), ..Container::default() };
        [(ContainerKey { id: ID.into() }, Arc::new(Container { started_at, ..ended }))].into()
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
    fn one_end_is_one_kill_however_often_and_by_whom_it_is_told() {
        for started_at in [None, Some(AT - 1)] {
            let mut history = OomHistory::default();
            // The inspection, the event `die`, a moment without the engine, the inspection again.
            for at in [AT, AT + 3_000_000, AT] {
                history.take_ends(&run(started_at, at));
                history.take_ends(&[(ContainerKey { id: ID.into() }, Arc::default())].into());
            }
            assert_eq!(shown(&history), [(None, 1, 1)], "{started_at:?}");
        }
    }

    #[test]
    fn an_end_that_is_told_again_after_nobody_looked_is_no_other() {
        let mut history = OomHistory::default();
        history.take_log(vec![line(7, AT)], |_| None);
        for _ in 0..3 {
            history.take_ends(&run(Some(AT - 1), AT + 3 * SAME));
            history.take_ends(&Table::new());
        }
        assert_eq!(shown(&history), [(Some(7), 1, 2)]);
    }

    #[test]
    fn a_second_run_that_ends_soon_is_a_second_kill() {
        let mut history = OomHistory::default();
        history.take_ends(&run(Some(AT), AT + 100));
        history.take_ends(&run(Some(AT + 200), AT + 300));
        assert_eq!(shown(&history), [(None, 1, 1), (None, 1, 1)]);
        history.take_events(&event(1, AT + 101));
        history.take_events(&event(2, AT + 301));
        history.take_log(vec![line(7, AT + 99), line(8, AT + 299)], |_| None);
        assert_eq!(shown(&history), [(Some(7), 1, 3), (Some(8), 1, 3)]);
    }

    #[test]
    fn the_engine_s_word_at_an_end_is_of_the_child_that_was_killed_long_before() {
        let mut history = OomHistory::default();
        let end = AT + 10 * SAME;
        history.take_log(vec![line(7, AT)], |_| None);
        history.take_ends(&run(Some(AT - 1), end));
        assert_eq!(shown(&history), [(Some(7), 1, 2)]);
        // In a later run nothing was known of a kill.
        history.take_ends(&run(Some(end + 1), end + 2 * SAME));
        assert_eq!(shown(&history), [(Some(7), 1, 2), (None, 1, 1)]);
    }

    #[test]
    fn each_of_two_kills_at_once_has_its_event() {
        let both = || vec![line(7, AT), line(8, AT + 5)];
        for turn in 0..3 {
            let mut history = OomHistory::default();
            history.take_counters(&counter(0), AT - 1);
            for step in 0..3 {
                match (turn + step) % 3 {
                    0 => history.take_log(both(), |_| None),
                    1 => history.take_counters(&counter(2), AT + 900_000_000),
                    _ => {
                        history.take_events(&event(1, AT + 1));
                        history.take_events(&event(2, AT + 6));
                    }
                }
            }
            assert_eq!(history.rows().len(), 2, "{turn}: {:?}", shown(&history));
            assert!(history.unmarked(AT + SAME, 0).is_empty());
            // The third is one that is not known yet.
            history.take_events(&event(3, AT + 7));
            assert_eq!(history.rows().len(), 3, "{turn}");
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
