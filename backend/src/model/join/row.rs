//! The merged row of a container.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerState, KnownFrom, Runtime};
use glasshull_shared::domain::engine::{EngineKey, EngineState};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::unit::short_id;

use super::place::Places;
use super::{Known, PathSays};

/// What the processes of a container say about it.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    pub(super) processes: u32,
    runtime: Runtime,
    pod: Option<&'a str>,
    parent: Option<&'a str>,
    cgroup: Option<&'a str>,
    /// Start and pid of the one that is pid 1 inside, else of the oldest.
    init: Option<(u64, u32)>,
    init_is_first: bool,
    /// Start of that process, nanoseconds since the epoch.
    started_at: u64,
}

/// Counts a process in.
pub(super) fn note<'a>(
    seen: &mut Seen<'a>,
    id: &str,
    key: &ProcessKey,
    process: &Process,
    says: Option<&'a PathSays>,
) {
    seen.processes += 1;
    let first = process.pid_in_ns == Some(1);
    let this = (key.start_time, key.pid);
    let older = seen.init.is_none_or(|init| this < init);
    if (first && (!seen.init_is_first || older)) || (!seen.init_is_first && older) {
        seen.init = Some(this);
        seen.init_is_first = first;
        seen.started_at = process.started_at;
    }
    if let Some(says) = says.filter(|says| says.id == id) {
        seen.runtime = says.runtime;
        seen.pod = says.pod.as_deref();
        seen.parent = says.parent.as_deref();
        // Beside its own, a container's processes can be in deeper cgroups of other hierarchies: the shortest is own.
        if seen.cgroup.is_none_or(|cgroup| says.path.len() < cgroup.len()) {
            seen.cgroup = Some(&says.path);
        }
    }
}

/// All containers anybody knows.
pub(super) fn rows(
    known: Known<'_>,
    seen: &BTreeMap<&str, Seen<'_>>,
    places: &Places<'_>,
    last: &Table<ContainerKey, Container>,
) -> Table<ContainerKey, Container> {
    let mut all = Table::new();
    let named = known.containers.keys().chain(known.runtime.keys()).map(|key| key.id.as_str());
    for id in named.chain(seen.keys().copied()).collect::<BTreeSet<_>>() {
        let key = ContainerKey { id: id.to_owned() };
        let row = merged(known, &key, seen.get(id), places);
        let kept = last.get(&key).filter(|last| ***last == row).cloned();
        all.insert(key, kept.unwrap_or_else(|| Arc::new(row)));
    }
    all
}

/// A pid in each container that has processes, its init where known.
pub(super) fn members(
    containers: &Table<ContainerKey, Container>,
    seen: &BTreeMap<&str, Seen<'_>>,
) -> BTreeMap<ContainerKey, u32> {
    containers
        .iter()
        .filter_map(|(key, row)| {
            let any = seen.get(key.id.as_str()).and_then(|seen| seen.init).map(|(_, pid)| pid);
            Some((key.clone(), row.init_pid.or(any)?))
        })
        .collect()
}

fn merged(known: Known<'_>, key: &ContainerKey, seen: Option<&Seen<'_>>, places: &Places<'_>) -> Container {
    let engine = known.containers.get(key);
    let runtime = known.runtime.get(key);
    let mut row = match (engine, runtime) {
        (Some(engine), Some(runtime)) => filled(Container::clone(engine), runtime),
        (Some(row), None) | (None, Some(row)) => Container::clone(row),
        (None, None) => Container::default(),
    };
    if let Some(seen) = seen {
        from_processes(&mut row, seen);
    }
    row.parent = row.parent.or_else(|| places.around(&key.id).map(str::to_owned));
    row.cgroup = row.cgroup.or_else(|| places.cgroup(&key.id).map(str::to_owned));
    let engine_answers = engine.is_some() && answers(known, &row);
    if !engine_answers && places.know_processes() {
        settle_state(&mut row, seen, known.frozen.contains(key));
    }
    if row.name.is_empty() {
        row.name = short_id(&key.id).to_owned();
    }
    row.known_from.sort();
    row
}

/// The engine's row with its gaps filled from the runtime's.
fn filled(mut row: Container, from: &Container) -> Container {
    fn fill<T: Clone>(gap: &mut Option<T>, from: &Option<T>) {
        if gap.is_none() {
            gap.clone_from(from);
        }
    }
    if row.runtime == Runtime::Unknown {
        row.runtime = from.runtime;
    }
    fill(&mut row.image, &from.image);
    fill(&mut row.command, &from.command);
    fill(&mut row.created_at, &from.created_at);
    fill(&mut row.pod, &from.pod);
    fill(&mut row.parent, &from.parent);
    fill(&mut row.cgroup, &from.cgroup);
    fill(&mut row.compose_project, &from.compose_project);
    fill(&mut row.compose_service, &from.compose_service);
    if row.state.is_up() {
        fill(&mut row.init_pid, &from.init_pid);
        fill(&mut row.started_at, &from.started_at);
    }
    for (label, value) in &from.labels {
        if !row.labels.contains_key(label) {
            row.labels.insert(label.clone(), value.clone());
        }
    }
    for source in &from.known_from {
        if !row.known_from.contains(source) {
            row.known_from.push(*source);
        }
    }
    row
}

fn from_processes(row: &mut Container, seen: &Seen<'_>) {
    // "oci" is what a plain runtime's state says; the cgroup may know better who called it.
    if row.runtime == Runtime::Unknown || (row.runtime == Runtime::Oci && seen.runtime != Runtime::Unknown) {
        row.runtime = seen.runtime;
    }
    row.pod = row.pod.take().or_else(|| seen.pod.map(str::to_owned));
    row.parent = row.parent.take().or_else(|| seen.parent.map(str::to_owned));
    if let Some(cgroup) = seen.cgroup {
        row.cgroup = Some(cgroup.to_owned());
        if !row.known_from.contains(&KnownFrom::Cgroup) {
            row.known_from.push(KnownFrom::Cgroup);
        }
    }
}

/// Whether the engine that told of this row answers now.
fn answers(known: Known<'_>, row: &Container) -> bool {
    let key = row.engine.clone().map(|endpoint| EngineKey { endpoint });
    key.and_then(|key| known.engines.get(&key)).is_some_and(|engine| engine.state == EngineState::Connected)
}

/// Without an engine that answers, processes and the freezer say whether the container lives.
fn settle_state(row: &mut Container, seen: Option<&Seen<'_>>, frozen: bool) {
    let claimed =
        matches!(row.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting);
    match seen {
        Some(seen) if row.state != ContainerState::Created => {
            row.state = if frozen { ContainerState::Paused } else { ContainerState::Running };
            // Pid 1 inside is the init for sure; the oldest process is so only if nobody told another.
            if let Some((_, pid)) = seen.init
                && (row.init_pid.is_none() || (seen.init_is_first && row.init_pid != Some(pid)))
            {
                row.init_pid = Some(pid);
                row.started_at = Some(seen.started_at);
            }
            row.exit_code = None;
            row.finished_at = None;
        }
        Some(_) => {}
        None if claimed => {
            row.state = ContainerState::Exited;
            row.init_pid = None;
        }
        None => {}
    }
}
