//! Containers without asking an engine: command lines of shims and monitors, OCI bundles, the runtimes' state on disk.
//!
//! Rows are partial: the model's join merges them with what engines and cgroups tell. Looking things up costs
//! files, so it is done once per container and again only now and then; a call at which no process came or went
//! returns the rows of the last.

mod bundle;
mod docker;
mod json;
mod kubernetes;
mod machine;
mod monitor;
mod state;
mod storage;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::{Table, diff};
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerState, KnownFrom, Runtime};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::unit::short_id;
use hashbrown::HashMap;

use self::kubernetes::Logs;
use self::monitor::Monitor;
use self::state::Plain;
use crate::sys::root::Root;

/// A complete row is looked up again after this long (names and images can change), an incomplete one sooner: a shim
/// is there before its container is.
const FRESH: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1));
/// Lookups of an incomplete row before it is taken as it is.
const TRIES: u32 = 10;
/// How often state directories are listed, at most, and how long a call may skip everything.
const SCAN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Looks containers up; remembers what it found.
#[derive(Debug)]
pub(crate) struct RuntimeReader {
    root: Root,
    /// Processes of the last call, to see whether anything changed.
    processes: Table<ProcessKey, Process>,
    passed_at: Option<Instant>,
    /// Shims and monitors among the processes.
    monitors: BTreeMap<ProcessKey, Monitor>,
    /// What cgroup paths say, with the number of the pass that last used it.
    cgroups: HashMap<String, (Option<Seen>, u64)>,
    pass: u64,
    plain: BTreeMap<String, Plain>,
    /// Those of them that engines keep on disk.
    tasks: BTreeMap<String, Plain>,
    plain_at: Option<Instant>,
    found: BTreeMap<String, Found>,
    table: Table<ContainerKey, Container>,
}

/// What a cgroup path says, as far as it helps to look further.
#[derive(Debug, Clone)]
struct Seen {
    id: String,
    runtime: Runtime,
    pod: Option<String>,
}

/// One container as looked up.
#[derive(Debug)]
struct Found {
    row: Container,
    complete: bool,
    /// Lookups so far; after [`TRIES`] what is still missing is no longer expected.
    tries: u32,
    at: Instant,
    /// Who named it then: another monitor means another run.
    monitor: Option<ProcessKey>,
}

/// Everything that may tell more about one container.
#[derive(Debug, Default, Clone)]
struct Hints {
    /// The monitor that named it.
    monitor: Option<ProcessKey>,
    seen: Option<Seen>,
    plain: Option<Plain>,
}

impl RuntimeReader {
    /// A reader of the host below `root`.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            processes: Table::new(),
            passed_at: None,
            monitors: BTreeMap::new(),
            cgroups: HashMap::new(),
            pass: 0,
            plain: BTreeMap::new(),
            tasks: BTreeMap::new(),
            plain_at: None,
            found: BTreeMap::new(),
            table: Table::new(),
        }
    }

    /// What is known of the containers that have processes or a state on disk. Rows that did not change are the
    /// same allocation as before. `processes` are the collector's rows, before containers are joined to them.
    pub(crate) fn read(&mut self, processes: &Table<ProcessKey, Process>) -> Table<ContainerKey, Container> {
        let now = Instant::now();
        let due = |at: Option<Instant>, after| at.is_none_or(|at| now.duration_since(at) >= after);
        if !due(self.passed_at, SCAN.1) && self.found_all(now) && diff(&self.processes, processes).is_empty()
        {
            return self.table.clone();
        }
        self.passed_at = Some(now);
        self.pass += 1;
        if due(self.plain_at, SCAN.0) {
            self.plain_at = Some(now);
            self.plain = state::read(&self.root, std::mem::take(&mut self.plain));
            self.plain.extend(machine::read(&self.root));
            self.tasks = task::read(&self.root, &self.tasks);
            self.plain.extend(self.tasks.clone());
        }
        let wanted = self.hints(processes);
        self.found.retain(|id, _| wanted.contains_key(id));
        let stale = |id: &String, hints: &Hints| {
            self.found
                .get(id)
                .is_none_or(|found| found.monitor != hints.monitor || is_stale(found, processes, now))
        };
        let wanted: Vec<(String, Hints)> =
            wanted.into_iter().filter(|(id, hints)| stale(id, hints)).collect();
        if !wanted.is_empty() {
            self.look_up(wanted, processes, now);
        }
        self.processes.clone_from(processes);
        self.publish()
    }

    fn look_up(
        &mut self,
        wanted: Vec<(String, Hints)>,
        processes: &Table<ProcessKey, Process>,
        now: Instant,
    ) {
        let children = self.children(processes);
        let data_roots = docker::data_roots(&self.root, processes);
        let mut looked = Vec::new();
        let mut logs = Logs::new(&self.root);
        let look = Look { reader: self, processes, children: &children, data_roots: &data_roots };
        for (id, hints) in wanted {
            let (row, complete) = look.look(&id, &hints, &mut logs);
            looked.push((id, hints.monitor, row, complete));
        }
        for (id, monitor, row, complete) in looked {
            let before = self.found.get(&id).filter(|found| found.monitor == monitor);
            let tries = before.map_or(1, |found| found.tries.saturating_add(1));
            let complete = complete || tries >= TRIES;
            self.found.insert(id, Found { row, complete, tries, at: now, monitor });
        }
    }

    /// Nothing waits to be looked up again soon.
    fn found_all(&self, now: Instant) -> bool {
        self.found.values().all(|found| found.complete || now.duration_since(found.at) < FRESH.1)
    }

    fn publish(&mut self) -> Table<ContainerKey, Container> {
        let rows = self.found.iter().map(|(id, found)| {
            let key = ContainerKey { id: id.clone() };
            let kept = self.table.get(&key).filter(|row| ***row == found.row).cloned();
            (key, kept.unwrap_or_else(|| Arc::new(found.row.clone())))
        });
        self.table = rows.collect();
        self.table.clone()
    }

    /// One pass over the processes: who may know something about which container.
    fn hints(&mut self, processes: &Table<ProcessKey, Process>) -> BTreeMap<String, Hints> {
        let mut wanted: BTreeMap<String, Hints> = BTreeMap::new();
        for (id, plain) in &self.plain {
            wanted.entry(id.clone()).or_default().plain = Some(plain.clone());
        }
        self.monitors.retain(|key, _| processes.contains_key(key));
        for (key, process) in processes {
            if monitor::may_be(&process.comm) {
                // One that says nothing is read again at the next pass: it may be about to execute.
                if !self.monitors.contains_key(key)
                    && let Some(monitor) = monitor::read(&self.root, key.pid, &process.comm)
                {
                    self.monitors.insert(*key, monitor);
                }
                if let Some(monitor) = self.monitors.get(key) {
                    wanted.entry(monitor.id.clone()).or_default().monitor = Some(*key);
                }
            }
            let Some(cgroup) = process.cgroup.as_deref().filter(|cgroup| cgroup.len() > 1) else { continue };
            if let Some((seen, used)) = self.cgroups.get_mut(cgroup) {
                // Each path counts once per pass: most processes share theirs with others.
                if std::mem::replace(used, self.pass) != self.pass {
                    want(&mut wanted, seen.as_ref());
                }
                continue;
            }
            let seen = cgroup_path::parse(cgroup).map(|p| Seen { id: p.id, runtime: p.runtime, pod: p.pod });
            want(&mut wanted, seen.as_ref());
            self.cgroups.insert(cgroup.to_owned(), (seen, self.pass));
        }
        self.cgroups.retain(|_, (_, used)| *used == self.pass);
        wanted
    }

    /// First child of each monitor that says nothing about its init pid.
    fn children(&self, processes: &Table<ProcessKey, Process>) -> BTreeMap<u32, u32> {
        let wanted: BTreeSet<u32> = self.monitors.keys().map(|key| key.pid).collect();
        if wanted.is_empty() {
            return BTreeMap::new();
        }
        let mut oldest: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
        for (key, process) in processes.iter().filter(|(_, process)| wanted.contains(&process.ppid)) {
            let this = (key.start_time, key.pid);
            oldest.entry(process.ppid).and_modify(|child| *child = (*child).min(this)).or_insert(this);
        }
        oldest.into_iter().map(|(parent, (_, pid))| (parent, pid)).collect()
    }
}

fn want(wanted: &mut BTreeMap<String, Hints>, seen: Option<&Seen>) {
    if let Some(seen) = seen {
        wanted.entry(seen.id.clone()).or_default().seen = Some(seen.clone());
    }
}

fn is_stale(found: &Found, processes: &Table<ProcessKey, Process>, now: Instant) -> bool {
    let age = now.duration_since(found.at);
    let fresh = if found.complete { FRESH.0 } else { FRESH.1 };
    age >= fresh || found.row.init_pid.is_some_and(|pid| find(processes, pid).is_none())
}

/// The process that has this pid now.
fn find(processes: &Table<ProcessKey, Process>, pid: u32) -> Option<(&ProcessKey, &Arc<Process>)> {
    processes.range(ProcessKey { pid, start_time: 0 }..=ProcessKey { pid, start_time: u64::MAX }).next()
}

/// Looks up one container.
struct Look<'a> {
    reader: &'a RuntimeReader,
    processes: &'a Table<ProcessKey, Process>,
    /// First child by monitor's pid.
    children: &'a BTreeMap<u32, u32>,
    data_roots: &'a [PathBuf],
}

impl Look<'_> {
    /// The row, and whether all that can be expected was found.
    fn look(&self, id: &str, hints: &Hints, logs: &mut Logs) -> (Container, bool) {
        let mut row = Container::default();
        let monitor = hints.monitor.and_then(|key| Some((key.pid, self.reader.monitors.get(&key)?)));
        if let Some(seen) = &hints.seen {
            row.runtime = seen.runtime;
            row.pod.clone_from(&seen.pod);
        }
        let mut bundle = None;
        if let Some((pid, monitor)) = monitor {
            row.known_from.push(KnownFrom::Shim);
            row.runtime = monitor.runtime;
            row.name = monitor.name.clone().unwrap_or_default();
            bundle = monitor.bundle.clone();
            row.init_pid =
                monitor.init_pid(&self.reader.root, pid).or_else(|| self.children.get(&pid).copied());
        }
        if let Some(plain) = &hints.plain {
            known_from_state(&mut row);
            plain.fill(&mut row);
            bundle = bundle.or_else(|| plain.bundle.clone());
        }
        // Containers of a pod share one shim; their bundles lie beside each other.
        let bundle = bundle.or_else(|| self.neighbour(id));
        if let Some(bundle) = &bundle
            && let Some(config) = self.json_of(monitor.map(|(pid, _)| pid), &bundle.join("config.json"))
        {
            known_from_state(&mut row);
            bundle::fill(&mut row, &config);
            row.init_pid = row.init_pid.or_else(|| bundle::init_pid(&self.reader.root, bundle));
            self.names_of_docker(&mut row, id, docker::directory(&config, id));
        }
        if matches!(row.runtime, Runtime::Docker | Runtime::Unknown) {
            self.names_of_docker(&mut row, id, None);
        }
        if matches!(row.runtime, Runtime::Podman | Runtime::Crio) && row.image.is_none() {
            storage::fill(&self.reader.root, &mut row, id, bundle.as_deref());
        }
        if row.pod.is_some() && row.name.is_empty() && logs.fill(&mut row, id) {
            known_from_state(&mut row);
        }
        self.settle(&mut row, id, hints);
        let has_bundle = monitor.is_some_and(|(_, monitor)| monitor.bundle.is_some());
        let complete = row.init_pid.is_some() && (!has_bundle || row.known_from.contains(&KnownFrom::State));
        (row, complete)
    }

    /// Docker's own notes on the container, found by its bundle or below a known data root.
    fn names_of_docker(&self, row: &mut Container, id: &str, directory: Option<PathBuf>) {
        if row.image.is_some() {
            return;
        }
        let below_root = self.data_roots.iter().map(|root| root.join("containers").join(id));
        for directory in directory.into_iter().chain(below_root) {
            if let Some(config) = json::read(&self.reader.root.host_path(directory.join("config.v2.json"))) {
                known_from_state(row);
                docker::fill(row, &config);
                return;
            }
        }
    }

    /// The bundle of `id` beside that of another container's shim.
    fn neighbour(&self, id: &str) -> Option<PathBuf> {
        self.reader.monitors.values().find_map(|monitor| {
            let bundle = monitor.bundle.as_ref()?.parent()?.join(id);
            self.reader.root.host_path(&bundle).is_dir().then_some(bundle)
        })
    }

    /// A file as the host sees it, else as its monitor does (the agent may run in a container).
    fn json_of(&self, monitor: Option<u32>, path: &std::path::Path) -> Option<serde_json::Value> {
        json::read(&self.reader.root.host_path(path)).or_else(|| {
            let through = self.reader.root.proc_path(format!("{}/root", monitor?));
            json::read(&through.join(path.strip_prefix("/").ok()?))
        })
    }

    /// Name and state, once everything else is known.
    fn settle(&self, row: &mut Container, id: &str, hints: &Hints) {
        if row.name.is_empty() {
            row.name = short_id(id).to_owned();
        }
        let init = row.init_pid.and_then(|pid| find(self.processes, pid));
        let reused = |start| hints.plain.as_ref().is_some_and(|p| p.init_start.is_some_and(|s| s != start));
        // One that has ended and that nobody has waited for yet keeps its pid.
        let ended = |pid| hints.plain.is_some() && state::has_ended(&self.reader.root, pid);
        match init.filter(|(key, _)| !reused(key.start_time) && !ended(key.pid)) {
            Some(_) if row.state == ContainerState::Created => {}
            Some((_, process)) => {
                row.started_at = Some(process.started_at);
                row.state = ContainerState::Running;
                row.exit_code = None;
            }
            None => {
                let had_one = row.init_pid.take().is_some();
                if had_one && row.state != ContainerState::Created {
                    row.state = ContainerState::Exited;
                }
            }
        }
        row.known_from.sort();
        row.known_from.dedup();
    }
}

fn known_from_state(row: &mut Container) {
    if !row.known_from.contains(&KnownFrom::State) {
        row.known_from.push(KnownFrom::State);
    }
}
