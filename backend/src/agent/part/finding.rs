//! Findings: fills `finding`, and marks in `event` what came and went.
//!
//! Somebody who needs findings makes their tables be read now and then, not at each tick: what is cheap every five seconds,
//! what enters namespaces or reads many files now and then and when containers came or went, a group at a tick, so that no
//! tick takes long. Who needs those tables for themselves has them read as ever, and rules are judged no oftener.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::finding::{Finding, FindingKey, Rule};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::container::ContainerPart;
use crate::collect;
use crate::model::finding::{Facts, Watch, changes, find};
use crate::sys::root::Root;
use crate::sys::{clock, heap};

/// Nanoseconds between two judgements.
const EVERY: u64 = 5_000_000_000;
/// What is dear is read again after so many nanoseconds when a container came or went: one that is restarted again and again
/// must not have all read at each tick.
const AT_NEWS: u64 = 10_000_000_000;
/// Findings that are remembered while nobody watches.
const KNOWN_AT_MOST: usize = 5000;
/// Timer slack: a judgement that is due in a moment is due now.
const SLACK: u64 = 300_000_000;
/// Tables that are dear, and the nanoseconds between two readings, in the order they need one another: mountinfo of each
/// namespace, who is in which, and which binaries were deleted; files of each cgroup and of each init; links, neighbours and rules in each network
/// namespace; counters of each cgroup and the kernel's log.
const DEAR: [(u64, &[Topic]); 4] = [
    (60_000_000_000, &[Topic::Mount, Topic::Namespace, Topic::Isolation]),
    (60_000_000_000, &[Topic::Confinement, Topic::Limit]),
    (60_000_000_000, NETWORK),
    (20_000_000_000, &[Topic::ContainerStat, Topic::OomKill]),
];
const NETWORK: &[Topic] =
    &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Neighbour, Topic::Route, Topic::PublishedPort];

/// What findings are made from.
pub(crate) struct FindingPart {
    root: Root,
    watch: Watch,
    deleted: BTreeMap<ProcessKey, String>,
    /// When each group is read next; `None` = not read yet.
    due: [Option<u64>; DEAR.len()],
    /// Somebody has needed findings for a tick: the first one is left to what the page shows.
    began: bool,
    /// Init of each container that runs, as of the last tick.
    running: Vec<u32>,
    last: Option<u64>,
    /// As of the last judgement.
    found: Table<FindingKey, Finding>,
    /// What was found when somebody watched last: still there, it is no news and as old as it was. Until each group was read again.
    known: Table<FindingKey, Finding>,
}

/// What a tick reads for findings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Tables to read beside those that are subscribed to.
    pub(crate) tables: TopicSet,
    /// Whether what is read is judged.
    judges: bool,
    /// Which of [`DEAR`] is read.
    group: Option<usize>,
}

impl FindingPart {
    /// A part that has seen nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            watch: Watch::default(),
            deleted: BTreeMap::new(),
            due: [None; DEAR.len()],
            began: false,
            running: Vec::new(),
            last: None,
            found: Table::new(),
            known: Table::new(),
        }
    }

    /// Forgets what was seen, but not what was found.
    pub(crate) fn release(&mut self) {
        let mut known = std::mem::take(&mut self.known);
        known.extend(std::mem::take(&mut self.found));
        if known.len() > KNOWN_AT_MOST {
            known.clear(); // many came and went before all was judged once
        }
        *self = Self { known, ..Self::new(self.root.clone()) };
    }

    /// What of these tables a tick can tell: before the first judgement, that nothing was found would be no news but a guess.
    pub(crate) fn told(&self, collected: TopicSet) -> TopicSet {
        if self.last.is_some() { collected } else { collected - [Topic::Finding].into_iter().collect() }
    }

    /// What this tick must read, and whether it judges. `last` is the tick before; `now` is monotonic.
    pub(crate) fn turn(&mut self, demand: TopicSet, last: &Snapshot, now: u64) -> Option<Turn> {
        if !demand.contains(Topic::Finding) {
            return None;
        }
        let wanted = needed();
        let all = (wanted - demand).is_empty();
        if !std::mem::replace(&mut self.began, true) && !all {
            return None;
        }
        self.take_containers(last, now);
        let mut groups = self.due.iter_mut().zip(DEAR).enumerate();
        let next = groups.find(|(_, (due, _))| due.is_none_or(|due| now + SLACK >= due));
        let (group, dear_now) = next.map_or((None, &[][..]), |(index, (due, (every, tables)))| {
            *due = Some(now + every);
            (Some(index), tables)
        });
        if all {
            // Each is read as ever, at its own times.
            return Some(Turn { tables: TopicSet::EMPTY, judges: true, group });
        }
        let complete = self.due.iter().all(Option::is_some);
        let judges = complete && self.last.is_none_or(|last| now.saturating_sub(last) + SLACK >= EVERY);
        let cheap = if judges { wanted - dear() } else { TopicSet::EMPTY };
        let tables = cheap | dear_now.iter().copied().collect();
        (!tables.is_empty()).then_some(Turn { tables, judges, group })
    }

    /// Has all groups read again when a container came or went.
    fn take_containers(&mut self, last: &Snapshot, now: u64) {
        let running: Vec<u32> = last.container.values().filter_map(|row| row.init_pid).collect();
        if running != self.running {
            self.running = running;
            // What is due lies an interval after its last reading.
            for (due, (every, _)) in self.due.iter_mut().zip(DEAR) {
                *due = due.map(|due| due.min(now.max(due.saturating_sub(every) + AT_NEWS)));
            }
        }
    }

    /// Judges when it is time; `next` must have the tables of this turn.
    pub(crate) fn judge(
        &mut self,
        turn: Turn,
        containers: &mut ContainerPart,
        next: &mut Snapshot,
        now: u64,
    ) {
        if turn.group == Some(0) {
            let programs = next.process.iter().filter(|(_, row)| !row.kernel_thread);
            self.deleted = collect::finding::deleted_binaries(&self.root, programs.map(|(key, _)| *key));
        }
        if turn.group.is_some() {
            // What reading it took is not needed for a minute.
            heap::give_back();
        }
        if !turn.judges {
            return;
        }
        let at = clock::now_nanos();
        self.watch.look(next, at);
        let facts = Facts { now: at, snapshot: next, watch: &self.watch, deleted: &self.deleted };
        let mut before = self.known.clone();
        before.extend(next.finding.iter().map(|(key, row)| (key.clone(), Arc::clone(row))));
        let found = find(&facts, &before);
        // What was so before anybody looked is no news.
        if self.last.is_some() {
            let is_news = |key: &FindingKey| !self.known.contains_key(key) || next.finding.contains_key(key);
            let news = found.iter().filter(|(key, _)| is_news(key));
            let news = news.map(|(key, row)| (key.clone(), Arc::clone(row))).collect();
            for (kind, container, text) in changes(&next.finding, &news) {
                containers.tell(kind, container, at, text);
            }
        }
        if self.due.iter().all(Option::is_some) {
            self.known.clear();
        }
        self.found.clone_from(&found);
        next.finding = found;
        self.last = Some(now);
    }
}

fn dear() -> TopicSet {
    DEAR.iter().flat_map(|(_, tables)| *tables).copied().collect()
}

/// All tables that rules look at.
pub(crate) fn needed() -> TopicSet {
    let mut tables: TopicSet = Rule::ALL.iter().flat_map(|rule| rule.text().needs).copied().collect();
    // Rates of the one, groups and figures of the other.
    tables.insert(Topic::ContainerStat);
    tables
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::container::{Container, ContainerKey};
    use glasshull_shared::domain::finding::Subject;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Groups read and whether it was judged, at each of so many ticks.
    fn ticks(
        part: &mut FindingPart,
        last: &Snapshot,
        seconds: std::ops::Range<u64>,
    ) -> Vec<(u64, Vec<usize>, bool)> {
        let demand = [Topic::Finding, Topic::Process].into_iter().collect();
        let mut told = Vec::new();
        for second in seconds {
            let Some(turn) = part.turn(demand, last, second * SECOND) else { continue };
            let groups = (0..DEAR.len()).filter(|group| turn.tables.contains(DEAR[*group].1[0])).collect();
            part.last = if turn.judges { Some(second * SECOND) } else { part.last };
            told.push((second, groups, turn.judges));
        }
        told
    }

    #[test]
    fn the_first_tick_is_the_page_s_and_groups_come_one_by_one() {
        let mut part = FindingPart::new(Root::host());
        let told = ticks(&mut part, &Snapshot::default(), 100..112);
        let wanted = vec![
            (101, vec![0], false),
            (102, vec![1], false),
            (103, vec![2], false),
            (104, vec![3], true),
            (109, vec![], true),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn before_the_first_judgement_nothing_is_told() {
        let mut part = FindingPart::new(Root::host());
        let demand: TopicSet = [Topic::Finding, Topic::Process].into_iter().collect();
        ticks(&mut part, &Snapshot::default(), 100..104);
        assert_eq!(part.told(demand), [Topic::Process].into_iter().collect());
        ticks(&mut part, &Snapshot::default(), 104..105);
        assert_eq!(part.told(demand), demand);
        part.release();
        assert!(!part.told(demand).contains(Topic::Finding));
    }

    #[test]
    fn what_was_found_is_known_to_the_next_watcher() {
        let mut part = FindingPart::new(Root::host());
        let key = FindingKey { rule: Rule::HostLike, subject: Subject::Host };
        part.found.insert(key.clone(), Arc::new(Finding { raised_at: 7, ..Finding::default() }));
        part.release();
        part.release();
        assert_eq!(part.known.get(&key).map(|row| row.raised_at), Some(7));
        assert!(part.found.is_empty() && part.last.is_none());
    }

    #[test]
    fn dear_groups_are_read_again_now_and_then() {
        let mut part = FindingPart::new(Root::host());
        let told = ticks(&mut part, &Snapshot::default(), 100..170);
        let read = |group| {
            told.iter().filter(move |(_, groups, _)| groups.contains(&group)).map(|(second, ..)| *second)
        };
        assert_eq!(read(0).collect::<Vec<_>>(), [101, 161]);
        assert_eq!(read(3).collect::<Vec<_>>(), [104, 124, 144, 164]);
        assert_eq!(told.iter().filter(|(.., judges)| *judges).count(), 14);
    }

    #[test]
    fn a_container_that_came_has_them_read_soon_but_not_at_each_tick() {
        let mut part = FindingPart::new(Root::host());
        let mut last = Snapshot::default();
        ticks(&mut part, &last, 100..105);
        let row = Container { init_pid: Some(7), ..Container::default() };
        last.container.insert(ContainerKey { id: "a".into() }, Arc::new(row));
        let told = ticks(&mut part, &last, 105..130);
        let read: Vec<_> =
            told.iter().filter(|(_, groups, _)| groups.contains(&0)).map(|(second, ..)| *second).collect();
        assert_eq!(read, [111]);
    }

    #[test]
    fn who_subscribes_to_all_has_them_judged_at_each_tick() {
        let mut part = FindingPart::new(Root::host());
        let demand = needed() | [Topic::Finding].into_iter().collect();
        for second in 0..3 {
            assert!(part.turn(demand, &Snapshot::default(), second * SECOND).is_some_and(|turn| turn.judges));
        }
    }

    #[test]
    fn no_table_is_read_that_no_rule_needs() {
        assert!((dear() - needed()).is_empty(), "read for nothing");
    }
}
