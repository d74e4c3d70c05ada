//! Which container a process is in, and what is known of a container from all sides: engines, the runtimes' state and
//! the cgroup paths of processes.
//!
//! A process belongs to the innermost container its cgroup names; else to the one whose own cgroup it is in; else to
//! the one whose init it descends from. Engines are believed first, gaps are filled. Rows that come out the same are
//! the same allocation as before, so that nothing is sent for them.

mod place;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat, Runtime};
use glasshull_shared::domain::engine::{Engine, EngineKey};
use glasshull_shared::domain::process::{Process, ProcessKey};
use hashbrown::HashMap;

use self::place::Places;
use self::row::Seen;

/// What is known of containers before processes are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Engines: the containers of one that does not answer may be out of date.
    pub(crate) engines: &'a Table<EngineKey, Engine>,
    /// Rows of engines.
    pub(crate) containers: &'a Table<ContainerKey, Container>,
    /// Rows of the runtimes' state and monitors.
    pub(crate) runtime: &'a Table<ContainerKey, Container>,
    /// Containers whose freezer is on.
    pub(crate) frozen: &'a BTreeSet<ContainerKey>,
}

/// What the last join found; lets unchanged rows stay the same allocation.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    containers: Table<ContainerKey, Container>,
    /// Rows with a container, in key order: as they came in, and as they went out.
    rows: Vec<(ProcessKey, Arc<Process>, Arc<Process>)>,
    /// What cgroup paths say, with the number of the join that last used it.
    paths: HashMap<String, (Option<Arc<PathSays>>, u64)>,
    join: u64,
    counts: BTreeMap<ContainerKey, u32>,
    members: BTreeMap<ContainerKey, u32>,
}

/// A cgroup path that names a container.
#[derive(Debug)]
struct PathSays {
    id: String,
    runtime: Runtime,
    pod: Option<String>,
    parent: Option<String>,
    /// The container's own cgroup.
    path: String,
}

impl Joined {
    /// A host pid in each container that runs, its init where known: what the cgroup reader asks for.
    pub(crate) fn members(&self) -> &BTreeMap<ContainerKey, u32> {
        &self.members
    }

    /// Writes the number of processes into each container's row.
    pub(crate) fn put_counts(&self, stats: &mut Table<ContainerKey, ContainerStat>) {
        for (key, stat) in stats {
            let processes = Some(self.counts.get(key).copied().unwrap_or(0));
            if stat.processes != processes {
                Arc::make_mut(stat).processes = processes;
            }
        }
    }
}

/// Sets [`Process::container`] in all rows and merges what is known of containers.
///
/// `processes` are the collector's rows, whose container is not set. At a tick at which neither the rows nor what is
/// known changed, the caller may skip this and keep both tables of the last join.
pub(crate) fn join_containers(
    known: Known<'_>,
    processes: &mut Table<ProcessKey, Process>,
    last: &mut Joined,
) -> Table<ContainerKey, Container> {
    last.join += 1;
    let says = says_of(processes, last);
    let places = Places::new(known, processes, &says);
    let mut seen: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    let mut rows = Vec::with_capacity(last.rows.len());
    let mut before = std::mem::take(&mut last.rows).into_iter().peekable();
    for ((key, process), says) in processes.iter_mut().zip(&says) {
        while before.next_if(|(gone, _, _)| gone < key).is_some() {}
        let before = before.next_if(|(same, _, _)| same == key);
        let Some(id) = places.container(key.pid, process, says.as_deref()) else {
            if process.container.is_some() {
                Arc::make_mut(process).container = None;
            }
            continue;
        };
        row::note(seen.entry(id).or_default(), id, key, process, says.as_deref());
        let went = match before {
            Some((_, came, went))
                if went.container.as_deref() == Some(id)
                    && (Arc::ptr_eq(&came, process) || came == *process) =>
            {
                went
            }
            Some(_) | None if process.container.as_deref() == Some(id) => Arc::clone(process),
            Some(_) | None => Arc::new(Process { container: Some(id.to_owned()), ..Process::clone(process) }),
        };
        let came = std::mem::replace(process, Arc::clone(&went));
        rows.push((*key, came, went));
    }
    last.rows = rows;
    last.paths.retain(|_, (_, used)| *used == last.join);
    last.counts =
        seen.iter().map(|(id, seen)| (ContainerKey { id: (*id).to_owned() }, seen.processes)).collect();
    let containers = row::rows(known, &seen, &places, &last.containers);
    last.members = row::members(&containers, &seen);
    last.containers.clone_from(&containers);
    containers
}

/// What each process's cgroup path says, in the order of the table.
fn says_of(processes: &Table<ProcessKey, Process>, last: &mut Joined) -> Vec<Option<Arc<PathSays>>> {
    let mut all = Vec::with_capacity(processes.len());
    for process in processes.values() {
        let Some(cgroup) = process.cgroup.as_deref().filter(|cgroup| cgroup.len() > 1) else {
            all.push(None);
            continue;
        };
        let says = match last.paths.get_mut(cgroup) {
            Some((says, used)) => {
                *used = last.join;
                says.clone()
            }
            None => {
                let says = cgroup_path::parse(cgroup).map(|found| {
                    let path = found.path.to_owned();
                    Arc::new(PathSays {
                        id: found.id,
                        runtime: found.runtime,
                        pod: found.pod,
                        parent: found.parent,
                        path,
                    })
                });
                last.paths.insert(cgroup.to_owned(), (says.clone(), last.join));
                says
            }
        };
        all.push(says);
    }
    all
}

#[cfg(test)]
mod tests;
