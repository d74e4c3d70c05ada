//! Scoreboards: one letter per process, one block per container and one for the host's own processes.
//!
//! A process keeps its place as long as it lives: when one ends its place stays open until the next newcomer takes it,
//! as workers do in Apache's `/server-status`. So letters change, but never walk.

use std::collections::{BTreeMap, HashMap, HashSet};

use glasshull_shared::domain::process::{ProcessKey, ProcessState};
use glasshull_shared::snapshot::Snapshot;

/// Open slots drawn as dots before the rest is only counted.
pub const OPEN_SHOWN: usize = 64;

/// Whom a letter stands for: a process, or one of its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// The process.
    pub process: ProcessKey,
    /// The thread; `None` for the process itself.
    pub tid: Option<u32>,
}

/// Tasks by their places; `None` is a place that is open.
pub type Places = Vec<Option<Task>>;

/// Whose block it is: a container's id, or `None` for the host.
pub type Owner = Option<String>;

/// The tasks of each owner in the order they were started. Kernel threads only on demand: they belong to the host.
pub fn tasks(snapshot: &Snapshot, threads: bool, kernel: bool) -> BTreeMap<Owner, Vec<Task>> {
    let mut owners: BTreeMap<Owner, Vec<Task>> = BTreeMap::new();
    let several: HashSet<ProcessKey> =
        if threads { snapshot.thread.keys().map(|k| k.process()).collect() } else { HashSet::new() };
    for (process, row) in snapshot.process.iter().filter(|(_, p)| kernel || !p.kernel_thread) {
        if !several.contains(process) {
            owners.entry(row.container.clone()).or_default().push(Task { process: *process, tid: None });
        }
    }
    if threads {
        for key in snapshot.thread.keys() {
            let process = key.process();
            let Some(row) = snapshot.process.get(&process).filter(|p| kernel || !p.kernel_thread) else {
                continue;
            };
            owners.entry(row.container.clone()).or_default().push(Task { process, tid: Some(key.tid) });
        }
    }
    for tasks in owners.values_mut() {
        tasks.sort_unstable_by_key(|t| (t.process.start_time, t.process.pid, t.tid));
    }
    owners
}

/// The places after `before`, now that these tasks live: who stays keeps the place, newcomers take open places first.
/// Open places at the end go; when most places are open all move up once.
pub fn settle(before: &Places, now: &[Task]) -> Places {
    let living: HashSet<&Task> = now.iter().collect();
    let mut places: Places = before.iter().map(|p| p.filter(|t| living.contains(t))).collect();
    let seated: HashSet<Task> = places.iter().flatten().copied().collect();
    let mut newcomers = now.iter().filter(|t| !seated.contains(t)).copied();
    for place in places.iter_mut().filter(|p| p.is_none()) {
        *place = newcomers.next();
    }
    places.extend(newcomers.map(Some));
    while places.last().is_some_and(Option::is_none) {
        places.pop();
    }
    if places.len() > 16 && places.iter().flatten().count() * 2 < places.len() {
        places.retain(Option::is_some);
    }
    places
}

/// State of a task; sleeping while nobody told.
pub fn state(snapshot: &Snapshot, task: &Task) -> ProcessState {
    let thread = task.tid.and_then(|tid| {
        let key = glasshull_shared::domain::process::ThreadKey {
            pid: task.process.pid,
            start_time: task.process.start_time,
            tid,
        };
        snapshot.thread.get(&key).map(|t| t.state)
    });
    thread.or_else(|| snapshot.process_stat.get(&task.process).map(|s| s.state)).unwrap_or_default()
}

/// How many tasks are in each state, in the order of [`ProcessState::ALL`]; states nobody is in are left out.
pub fn count_states(states: impl Iterator<Item = ProcessState>) -> Vec<(ProcessState, usize)> {
    let mut counts: HashMap<ProcessState, usize> = HashMap::new();
    for state in states {
        *counts.entry(state).or_default() += 1;
    }
    ProcessState::ALL.iter().filter_map(|s| counts.get(s).map(|n| (*s, *n))).collect()
}

/// `R1 S4`.
pub fn counts_text(counts: &[(ProcessState, usize)]) -> String {
    counts.iter().map(|(s, n)| format!("{}{n}", s.letter())).collect::<Vec<_>>().join(" ")
}

/// How much a block asks for attention: what waits for a disk first, then zombies, then stopped ones.
pub fn trouble(counts: &[(ProcessState, usize)]) -> usize {
    let weight = |state: ProcessState| match state {
        ProcessState::D => 10_000,
        ProcessState::Z | ProcessState::X => 100,
        ProcessState::T | ProcessState::Traced => 1,
        ProcessState::R | ProcessState::S | ProcessState::I | ProcessState::P => 0,
    };
    counts.iter().map(|(s, n)| weight(*s) * n.min(&1_000)).sum()
}

/// Open slots up to a limit: how many dots are drawn, and how many more there are.
pub fn open_slots(used: usize, limit: Option<u32>) -> (usize, usize) {
    let open = limit.map_or(0, |l| (l as usize).saturating_sub(used));
    (open.min(OPEN_SHOWN), open.saturating_sub(OPEN_SHOWN))
}

#[cfg(test)]
#[path = "scoreboard_test.rs"]
mod tests;
