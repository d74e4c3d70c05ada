//! Whose a namespace is, which are the host's, and how far each container is apart from it: rows of namespaces and the places
//! of processes in, both tables out.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::domain::namespace::{
    Isolation, IsolationKey, Namespace, NamespaceKey, NamespaceKind, Relation,
};
use glasshull_shared::domain::process::{Process, ProcessKey};

/// Where a process is: inode per kind, in the order of `NamespaceKind::ALL`; `None` where that is unknown.
pub(crate) type Places = [Option<u64>; 8];

/// Groups of the host's processes shown.
const GROUPS_AT_MOST: usize = 500;
/// Where `ip netns` puts its names.
const NAMED: [&str; 2] = ["/run/netns/", "/var/run/netns/"];

/// What is joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Where processes are.
    pub(crate) places: &'a BTreeMap<ProcessKey, Places>,
    /// Joined already.
    pub(crate) processes: &'a Table<ProcessKey, Process>,
    /// The process of each container that stands for it.
    pub(crate) inits: &'a BTreeMap<ContainerKey, ProcessKey>,
    /// Joined already.
    pub(crate) mounts: &'a Table<MountKey, Mount>,
}

/// Namespaces that are mounted on a file: each with a process that sees it, and where.
pub(crate) fn mounted(mounts: &Table<MountKey, Mount>) -> Vec<(NamespaceKey, u32, String)> {
    let of_nsfs = mounts.values().filter(|row| row.fstype == "nsfs");
    let mut seen = BTreeSet::new();
    // A mount that is passed on is seen in many namespaces; the host's own comes first.
    let mut found: Vec<&std::sync::Arc<Mount>> = of_nsfs.collect();
    found.sort_by_key(|row| (!row.host, row.pid));
    let found = found.into_iter().filter_map(|row| {
        let (kind, rest) = row.root.split_once(":[")?;
        let inode = rest.strip_suffix(']')?.parse().ok()?;
        let key = NamespaceKey { kind: NamespaceKind::from_name(kind)?, inode };
        seen.insert((key, row.mountpoint.clone())).then(|| (key, row.pid, row.mountpoint.clone()))
    });
    found.collect()
}

/// The namespaces the host booted with. The kernel's own threads never leave them; where those cannot be seen, the numbers
/// it gives to the first ones tell, and at last the first process.
pub(crate) fn defaults(known: Known<'_>) -> Places {
    let mut of_kernel = Places::default();
    let kernel =
        known.processes.iter().find(|(key, row)| row.kernel_thread && known.places.contains_key(key));
    if let Some(places) = kernel.and_then(|(key, _)| known.places.get(key)) {
        of_kernel = *places;
    }
    let first = known.places.iter().find(|(key, _)| key.pid == 1).map(|(_, places)| *places);
    let first = first.filter(|places| {
        // Pid 1 of a container that the agent runs in is not the host's.
        places[NamespaceKind::Pid.index()] == Some(NamespaceKind::Pid.initial_inode())
    });
    let seen = |kind: NamespaceKind| {
        let inode = kind.initial_inode();
        known.places.values().any(|places| places[kind.index()] == Some(inode)).then_some(inode)
    };
    NamespaceKind::ALL.map(|kind| {
        let first = first.and_then(|places| places[kind.index()]);
        match kind {
            NamespaceKind::Mnt | NamespaceKind::Net => {
                of_kernel[kind.index()].or_else(|| seen(kind)).or(first)
            }
            NamespaceKind::Uts
            | NamespaceKind::Ipc
            | NamespaceKind::Pid
            | NamespaceKind::User
            | NamespaceKind::Cgroup
            | NamespaceKind::Time => Some(kind.initial_inode()),
        }
    })
}

/// Says whose each namespace is.
pub(crate) fn join_namespaces(rows: &mut Table<NamespaceKey, Namespace>, known: Known<'_>) {
    let defaults = defaults(known);
    let mut containers: BTreeMap<NamespaceKey, BTreeSet<&str>> = BTreeMap::new();
    for (process, places) in known.places {
        let Some(id) = known.processes.get(process).and_then(|row| row.container.as_deref()) else {
            continue;
        };
        for kind in NamespaceKind::ALL {
            // Every container without one of its own is in the host's: that is said by the matrix.
            if let Some(inode) =
                places[kind.index()].filter(|_| places[kind.index()] != defaults[kind.index()])
            {
                containers.entry(NamespaceKey { kind, inode }).or_default().insert(id);
            }
        }
    }
    let mut names: BTreeMap<NamespaceKey, String> = BTreeMap::new();
    for (key, _, path) in mounted(known.mounts) {
        if let Some(name) = NAMED.iter().find_map(|folder| path.strip_prefix(folder)) {
            names.entry(key).or_insert_with(|| name.to_owned());
        }
    }
    let roots = cgroup_roots(known);
    for (key, row) in rows.iter_mut() {
        let row = std::sync::Arc::make_mut(row);
        row.host = defaults[key.kind.index()].map(|inode| inode == key.inode);
        row.containers = containers.get(key).into_iter().flatten().map(|id| (*id).to_owned()).collect();
        row.name = names.get(key).cloned();
        row.cgroup_root = roots.get(&key.inode).cloned().filter(|_| key.kind == NamespaceKind::Cgroup);
    }
}

/// Where the hierarchy begins for each cgroup namespace: what the cgroup mounts of its containers show.
fn cgroup_roots(known: Known<'_>) -> BTreeMap<u64, String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for row in known.mounts.values().filter(|row| row.fstype == "cgroup2" || row.fstype == "cgroup") {
        if let Some(id) = row.container.as_deref().filter(|_| !row.root.starts_with("/..")) {
            let longest = seen.entry(id).or_insert(&row.root);
            if row.root.len() > longest.len() {
                *longest = &row.root;
            }
        }
    }
    let of = |(key, init): (&ContainerKey, &ProcessKey)| {
        let inode = known.places.get(init)?[NamespaceKind::Cgroup.index()]?;
        let root = seen.get(key.id.as_str())?;
        (inode != NamespaceKind::Cgroup.initial_inode()).then(|| (inode, (*root).to_owned()))
    };
    known.inits.iter().filter_map(of).collect()
}

/// Someone whose isolation is told.
struct Subject {
    container: Option<String>,
    process: ProcessKey,
    places: Places,
    label: Option<String>,
    processes: Option<u32>,
}

/// A cell per container, or group of the host's processes that left some of its namespaces, and kind.
pub(crate) fn isolation(known: Known<'_>) -> Table<IsolationKey, Isolation> {
    let defaults = defaults(known);
    let subjects = containers(known).chain(groups(known, &defaults)).collect::<Vec<_>>();
    let mut inside: BTreeMap<NamespaceKey, Vec<&Subject>> = BTreeMap::new();
    for subject in &subjects {
        for kind in NamespaceKind::ALL {
            if let Some(inode) = subject.places[kind.index()] {
                inside.entry(NamespaceKey { kind, inode }).or_default().push(subject);
            }
        }
    }
    let mut cells = Table::new();
    for subject in &subjects {
        for kind in NamespaceKind::ALL {
            let Some(inode) = subject.places[kind.index()] else { continue };
            // Unknown which is the host's: nothing can be said.
            let Some(default) = defaults[kind.index()] else { continue };
            let all = inside.get(&NamespaceKey { kind, inode }).map(Vec::as_slice).unwrap_or_default();
            let relation = match (inode == default, all.len()) {
                (true, _) => Relation::Host,
                (false, 0 | 1) => Relation::Own,
                (false, _) => Relation::Shared,
            };
            let others = all.iter().filter(|other| other.process != subject.process);
            let with = match relation {
                Relation::Shared => others.filter_map(|other| other.container.clone()).collect(),
                Relation::Own | Relation::Host => Vec::new(),
            };
            let key = IsolationKey {
                container: subject.container.clone(),
                group: subject.container.is_none().then_some(subject.process.pid),
                kind,
            };
            let cell = Isolation {
                inode,
                relation,
                with,
                pid: subject.process.pid,
                label: subject.label.clone(),
                processes: subject.processes,
            };
            cells.insert(key, cell.into());
        }
    }
    cells
}

fn containers(known: Known<'_>) -> impl Iterator<Item = Subject> {
    known.inits.iter().filter_map(move |(key, process)| {
        Some(Subject {
            container: Some(key.id.clone()),
            process: *process,
            places: *known.places.get(process)?,
            label: None,
            processes: None,
        })
    })
}

/// The host's processes that are together in other namespaces than the host's.
fn groups(known: Known<'_>, defaults: &Places) -> impl Iterator<Item = Subject> {
    let mut groups: BTreeMap<Places, (ProcessKey, u32)> = BTreeMap::new();
    for (key, places) in known.places {
        let Some(row) = known.processes.get(key).filter(|row| row.container.is_none()) else { continue };
        let left = |kind: NamespaceKind| {
            let (here, default) = (places[kind.index()], defaults[kind.index()]);
            here.is_some() && default.is_some() && here != default
        };
        if row.kernel_thread || !NamespaceKind::ALL.into_iter().any(left) {
            continue;
        }
        let group = groups.entry(*places).or_insert((*key, 0));
        group.1 += 1;
        if (key.start_time, key.pid) < (group.0.start_time, group.0.pid) {
            group.0 = *key;
        }
    }
    groups.into_iter().take(GROUPS_AT_MOST).map(move |(places, (process, count))| Subject {
        container: None,
        process,
        places,
        label: known.processes.get(&process).map(|row| label(row)),
        processes: Some(count),
    })
}

/// The systemd unit a process belongs to, else its command name.
fn label(row: &Process) -> String {
    let unit = row.cgroup.as_deref().and_then(|path| {
        path.rsplit('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"))
    });
    unit.filter(|unit| *unit != "init.scope").map_or_else(|| row.comm.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
