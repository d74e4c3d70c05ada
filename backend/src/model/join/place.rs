//! Where a process is when its cgroup path alone does not say it: plain runtimes, rootless v1, cgroups moved by hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use glasshull_shared::cgroup_path::unnamed;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::Container;
use glasshull_shared::domain::process::{Process, ProcessKey};

use super::{Known, PathSays};

/// Ancestors followed, at most: a chain cannot be longer than the table, but a torn reading may hold a ring.
const MOST_ANCESTORS: usize = 256;

/// Containers whose init's cgroup does not name them.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    /// Init pid → (id, id of the container its cgroup names instead).
    misplaced: HashMap<u32, (&'a str, Option<String>)>,
    /// Own cgroup → id.
    cgroups: BTreeMap<String, &'a str>,
    /// Parents, only filled when there is a misplaced init.
    parents: HashMap<u32, u32>,
    know_processes: bool,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        known: Known<'a>,
        processes: &Table<ProcessKey, Process>,
        says: &[Option<Arc<PathSays>>],
    ) -> Self {
        let mut places = Self { know_processes: !processes.is_empty(), ..Self::default() };
        let rows = known.containers.iter().chain(known.runtime);
        let inits: HashMap<u32, (&'a str, &'a Container)> =
            rows.filter_map(|(key, row)| Some((row.init_pid?, (key.id.as_str(), &**row)))).collect();
        if inits.is_empty() {
            return places;
        }
        for ((key, process), says) in processes.iter().zip(says) {
            let Some((id, row)) = inits.get(&key.pid) else { continue };
            let says = says.as_deref();
            if says.is_some_and(|says| says.id == *id) || is_reused(process, row) {
                continue;
            }
            places.misplaced.insert(key.pid, (id, says.map(|says| says.id.clone())));
            let outer = says.map_or("", |says| says.path.as_str());
            if let Some(own) = process.cgroup.as_deref().and_then(|cgroup| unnamed(cgroup, outer)) {
                places.cgroups.insert(own.to_owned(), id);
            }
        }
        if !places.misplaced.is_empty() {
            places.parents = processes.iter().map(|(key, process)| (key.pid, process.ppid)).collect();
        }
        places
    }

    /// The container of a process; `None` on the host.
    pub(super) fn container<'b>(
        &'b self,
        pid: u32,
        process: &Process,
        says: Option<&'b PathSays>,
    ) -> Option<&'b str> {
        let named = says.map(|says| says.id.as_str());
        if self.misplaced.is_empty() {
            return named;
        }
        let own = process.cgroup.as_deref().and_then(|cgroup| self.of_cgroup(cgroup, says));
        own.or_else(|| self.of_ancestor(pid, named)).or(named)
    }

    /// Whether processes are collected at all: without them their absence says nothing.
    pub(super) fn know_processes(&self) -> bool {
        self.know_processes
    }

    /// The container around a misplaced one, as its init's cgroup names it.
    pub(super) fn around(&self, id: &str) -> Option<&str> {
        let (_, outer) = self.misplaced.values().find(|(inner, _)| *inner == id)?;
        outer.as_deref()
    }

    /// The cgroup of a misplaced container.
    pub(super) fn cgroup(&self, id: &str) -> Option<&str> {
        self.cgroups.iter().find(|(_, inner)| **inner == id).map(|(path, _)| path.as_str())
    }

    /// The nearest cgroup above that belongs to a container, as long as it lies below the one the path names.
    fn of_cgroup(&self, cgroup: &str, says: Option<&PathSays>) -> Option<&'a str> {
        let floor = says.map_or(0, |says| says.path.len());
        let mut path = cgroup;
        while path.len() > floor.max(1) {
            if let Some(id) = self.cgroups.get(path) {
                return Some(id);
            }
            path = path.rsplit_once('/')?.0;
        }
        None
    }

    /// The misplaced init it descends from, if the cgroups of both name the same container around them (or none).
    fn of_ancestor(&self, pid: u32, named: Option<&str>) -> Option<&'a str> {
        let mut at = pid;
        for _ in 0..MOST_ANCESTORS {
            if let Some((id, outer)) = self.misplaced.get(&at) {
                return (outer.as_deref() == named).then_some(*id);
            }
            at = *self.parents.get(&at)?;
        }
        None
    }
}

/// A process younger than the container's start got the pid after its init ended (an engine that is silent or late
/// still tells the old pid); one that is much older was never its init (an engine in a virtual machine tells pids of
/// there). Boot time, on which the process's start rests, is known to the second only.
fn is_reused(process: &Process, row: &Container) -> bool {
    let younger = |at: u64| process.started_at > at.saturating_add(2_000_000_000);
    let older = |at: u64| process.started_at.saturating_add(60_000_000_000) < at;
    row.started_at.is_some_and(|at| younger(at) || older(at))
}
