//! Findings: fills `finding`, and marks in `event` what came and went.
//!
//! Somebody who needs findings makes their tables be read now and then, not at each tick: what is cheap every five seconds,
//! what enters namespaces every thirty. Who needs those tables for themselves has them read as ever, and rules are judged
//! no oftener.

use std::collections::BTreeMap;

use glasshull_shared::domain::finding::Rule;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::container::ContainerPart;
use crate::collect;
use crate::model::finding::{Facts, Watch, changes, find};
use crate::sys::clock;
use crate::sys::root::Root;

/// Nanoseconds between two judgements.
const EVERY: u64 = 5_000_000_000;
/// Judgements between two readings of what is dear.
const DEAR_EVERY: u64 = 6;
/// The first judgements read all: rates need two samples.
const FIRST: u64 = 2;
/// Timer slack: a judgement that is due in a moment is due now.
const SLACK: u64 = 300_000_000;
/// Tables that are dear: mountinfo of each namespace, who is in which, rules in each.
const DEAR: &[Topic] = &[Topic::Mount, Topic::Namespace, Topic::Isolation, Topic::PublishedPort];

/// What findings are made from.
pub(crate) struct FindingPart {
    root: Root,
    watch: Watch,
    deleted: BTreeMap<ProcessKey, String>,
    judged: u64,
    last: Option<u64>,
}

/// What a tick reads for findings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Tables to read beside those that are subscribed to.
    pub(crate) tables: TopicSet,
    dear: bool,
}

impl FindingPart {
    /// A part that has seen nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { root, watch: Watch::default(), deleted: BTreeMap::new(), judged: 0, last: None }
    }

    /// Forgets what was seen.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone());
    }

    /// Whether this tick judges, and what it must read for that. `now` is monotonic.
    pub(crate) fn turn(&self, demand: TopicSet, now: u64) -> Option<Turn> {
        if !demand.contains(Topic::Finding) {
            return None;
        }
        let wanted = needed();
        let all = (wanted - demand).is_empty();
        let due = self.last.is_none_or(|last| now.saturating_sub(last) + SLACK >= EVERY);
        if !due && !all && self.judged >= FIRST {
            return None;
        }
        let dear = self.judged < FIRST || self.judged.is_multiple_of(DEAR_EVERY);
        let tables = if dear { wanted } else { wanted - DEAR.iter().copied().collect() };
        Some(Turn { tables, dear })
    }

    /// Judges; `next` must have all its tables.
    pub(crate) fn judge(
        &mut self,
        turn: Turn,
        containers: &mut ContainerPart,
        next: &mut Snapshot,
        now: u64,
    ) {
        let at = clock::now_nanos();
        self.watch.look(next, at);
        if turn.dear {
            let programs = next.process.iter().filter(|(_, row)| !row.kernel_thread);
            self.deleted = collect::finding::deleted_binaries(&self.root, programs.map(|(key, _)| *key));
        }
        let facts = Facts { now: at, snapshot: next, watch: &self.watch, deleted: &self.deleted };
        let found = find(&facts, &next.finding);
        // What was so before anybody looked is no news.
        if self.judged >= FIRST {
            for (kind, container, text) in changes(&next.finding, &found) {
                containers.tell(kind, container, at, text);
            }
        }
        next.finding = found;
        self.judged += 1;
        self.last = Some(now);
    }
}

/// All tables that rules look at.
pub(crate) fn needed() -> TopicSet {
    let mut tables: TopicSet = Rule::ALL.iter().flat_map(|rule| rule.text().needs).copied().collect();
    // Rates of the one, groups and figures of the other.
    tables.insert(Topic::ContainerStat);
    tables
}
