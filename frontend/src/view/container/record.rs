//! A container as the filter and the sort orders see it, and the order of the lines. Pure.

use std::collections::{BTreeMap, HashSet};

use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat, ContainerState};
use glasshull_shared::domain::finding::Severity;
use glasshull_shared::snapshot::Snapshot;

use crate::store::filter::{Field, Kind, Query, Record, Value};
use crate::store::finding::{by_container, of_container};
use crate::store::word;
use crate::widget::table::Line;
use crate::widget::table::order::{SortKey, sort_rows};

use super::place::placed;

/// What the filter box of this view understands.
pub(super) const FIELDS: [Field; 19] = [
    Field { name: "name", kind: Kind::Text, help: "container's name" },
    Field { name: "id", kind: Kind::Text, help: "its id" },
    Field { name: "image", kind: Kind::Text, help: "image reference" },
    Field { name: "state", kind: Kind::Word, help: "running paused exited created restarting dead" },
    Field { name: "health", kind: Kind::Word, help: "healthy starting unhealthy; * for any check" },
    Field { name: "project", kind: Kind::Text, help: "compose project; * for any" },
    Field { name: "service", kind: Kind::Text, help: "compose service" },
    Field { name: "pod", kind: Kind::Text, help: "pod it belongs to, uid or id; * for any" },
    Field { name: "in", kind: Kind::Text, help: "container it runs in; * for any" },
    Field { name: "runtime", kind: Kind::Word, help: "docker podman containerd crio lxc nspawn oci" },
    Field { name: "label", kind: Kind::Text, help: "any label, as key=value" },
    Field { name: "port", kind: Kind::Text, help: "a published or exposed port" },
    Field { name: "cpu", kind: Kind::Percent, help: "share of one core" },
    Field { name: "mem", kind: Kind::Bytes, help: "memory working set" },
    Field { name: "pids", kind: Kind::Number, help: "tasks" },
    Field { name: "read", kind: Kind::Rate, help: "from block devices" },
    Field { name: "write", kind: Kind::Rate, help: "to block devices" },
    Field { name: "findings", kind: Kind::Text, help: "trouble attention; * for any" },
    Field { name: "uptime", kind: Kind::Seconds, help: "time since it was started" },
];

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    /// A container.
    Container(String),
    /// A compose project (`None`: no project).
    Project(Option<String>),
    /// A pod, by its uid or id.
    Pod(String),
}

/// How the lines are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Table,
    Projects,
    /// By pod, and inside the containers they run in.
    Places,
}

impl Shape {
    /// From the URL.
    pub(super) fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("project") => Self::Projects,
            Some("pod") => Self::Places,
            Some(_) | None => Self::Table,
        }
    }
}

/// One container with what it uses.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) who: &'a Container,
    pub(super) uses: Option<&'a ContainerStat>,
    /// The gravest of what is found of it, and how many ask for more than a glance; `None` when none does.
    pub(super) found: Option<(Severity, usize)>,
    /// Instant of the tick, nanoseconds since the epoch.
    pub(super) now: u64,
}

/// All containers.
pub(super) fn rows(snapshot: &Snapshot, now: u64) -> impl Iterator<Item = Row<'_>> {
    let found = by_container(snapshot);
    snapshot.container.iter().map(move |(key, who)| {
        let uses = snapshot.container_stat.get(key).map(|s| &**s);
        Row { id: &key.id, who, uses, found: found.get(key).copied(), now }
    })
}

/// One container.
pub(super) fn row<'a>(
    snapshot: &'a Snapshot,
    key: &'a ContainerKey,
    who: &'a Container,
    now: u64,
) -> Row<'a> {
    let uses = snapshot.container_stat.get(key).map(|s| &**s);
    Row { id: &key.id, who, uses, found: of_container(snapshot, &key.id), now }
}

/// Whether it has processes: everything else stands at the end.
pub(super) fn is_up(who: &Container) -> bool {
    match who.state {
        ContainerState::Running
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Unknown => true,
        ContainerState::Created
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead => false,
    }
}

impl Row<'_> {
    /// Nanoseconds it has been up; `None` when it is not or nobody knows.
    pub(super) fn uptime(&self) -> Option<u64> {
        let started = self.who.started_at.filter(|_| is_up(self.who))?;
        Some(self.now.saturating_sub(started))
    }

    fn stat(&self, f: impl FnOnce(&ContainerStat) -> Option<f64>) -> Option<f64> {
        self.uses.and_then(f)
    }

    /// What the table sorts by for a column.
    pub(super) fn sort_key(&self, column: &str) -> SortKey {
        match column {
            "state" => SortKey::Text(word::container_state(self.who).text),
            "image" => SortKey::text(self.who.image.as_deref()),
            "runtime" => SortKey::text(Some(self.who.runtime.name())),
            "project" => SortKey::text(self.who.compose_project.as_deref()),
            "health" => SortKey::text(word::health(self.who.health).map(|w| w.text).as_deref()),
            "cpu_ratio" | "cpu_line" => SortKey::number(self.stat(|s| s.cpu_ratio.map(f64::from))),
            "memory_bytes" => SortKey::number(self.stat(|s| s.memory_bytes.map(|b| b as f64))),
            "pids" => SortKey::number(self.stat(|s| s.pids.map(f64::from))),
            "read" => SortKey::number(self.stat(|s| s.read_bytes_per_sec.map(f64::from))),
            "write" => SortKey::number(self.stat(|s| s.write_bytes_per_sec.map(f64::from))),
            "psi_cpu" => SortKey::number(self.stat(|s| s.psi_cpu.map(|p| f64::from(p.some.avg10_ratio)))),
            "psi_memory" => {
                SortKey::number(self.stat(|s| s.psi_memory.map(|p| f64::from(p.some.avg10_ratio))))
            }
            "psi_io" => SortKey::number(self.stat(|s| s.psi_io.map(|p| f64::from(p.some.avg10_ratio)))),
            // The gravest first, then the most.
            "findings" => SortKey::number(self.found.map(|(worst, n)| {
                let grave = if worst == Severity::Trouble { 1e6 } else { 0.0 };
                grave + n as f64
            })),
            "uptime" => SortKey::number(self.uptime().map(|n| n as f64)),
            "ports" => SortKey::text(self.who.ports.first().map(|p| p.container_port.to_string()).as_deref()),
            "restart_count" => SortKey::number(self.who.restart_count.map(f64::from)),
            "id" => SortKey::text(Some(self.id)),
            _ => SortKey::text(Some(&self.who.name)),
        }
    }
}

impl Record for Row<'_> {
    fn value(&self, field: &str) -> Value<'_> {
        let stat = |f: fn(&ContainerStat) -> Option<f64>| Value::maybe_number(self.uses.and_then(f));
        let who = self.who;
        match field {
            "name" => Value::text(&who.name),
            "id" => Value::text(self.id),
            "image" => Value::maybe_text(who.image.as_deref()),
            "state" => Value::text(who.state.name()),
            "health" => word::health(who.health).map_or(Value::Unknown, |w| Value::Text(w.text.into())),
            "project" => Value::maybe_text(who.compose_project.as_deref()),
            "service" => Value::maybe_text(who.compose_service.as_deref()),
            "pod" => Value::maybe_text(who.pod.as_deref()),
            "in" => Value::maybe_text(who.parent.as_deref()),
            "runtime" => Value::text(who.runtime.name()),
            "label" if who.labels.is_empty() => Value::Unknown,
            "label" => {
                let labels: Vec<String> = who.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                Value::Text(labels.join("\n").into())
            }
            "port" if who.ports.is_empty() => Value::Unknown,
            "port" => Value::Text(who.ports.iter().map(word::port).collect::<Vec<_>>().join(" ").into()),
            "cpu" => stat(|s| s.cpu_ratio.map(f64::from)),
            "mem" => stat(|s| s.memory_bytes.map(|b| b as f64)),
            "pids" => stat(|s| s.pids.map(f64::from)),
            "read" => stat(|s| s.read_bytes_per_sec.map(f64::from)),
            "write" => stat(|s| s.write_bytes_per_sec.map(f64::from)),
            "findings" => Value::maybe_text(self.found.map(|(worst, _)| worst.name())),
            "uptime" => Value::maybe_number(self.uptime().map(|n| n as f64 / 1e9)),
            _ => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let who = self.who;
        let rest = [who.image.as_deref(), who.compose_project.as_deref(), who.command.as_deref()];
        [who.name.as_str(), self.id].into_iter().chain(rest.into_iter().flatten())
    }
}

/// What is asked of the lines.
pub(super) struct Wanted<'a> {
    pub(super) shape: Shape,
    pub(super) stopped: bool,
    pub(super) query: &'a Query,
    pub(super) order: (&'a str, bool),
    pub(super) closed: &'a HashSet<LineKey>,
}

/// Lines with what is said around them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Arranged {
    pub(super) lines: Vec<Line<LineKey>>,
    /// Containers that passed the filter (stopped ones too, shown or not).
    pub(super) passed: usize,
    /// Of those, stopped.
    pub(super) stopped: usize,
    /// The others by their state.
    pub(super) up: BTreeMap<ContainerState, usize>,
    /// Containers in all.
    pub(super) total: usize,
    /// Containers of each project that passed.
    pub(super) projects: BTreeMap<Option<String>, usize>,
    /// Containers of each pod that passed.
    pub(super) pods: BTreeMap<String, usize>,
}

/// Arranges the containers: running ones by the order, then stopped ones; or so within each project.
pub(super) fn arrange<'a>(rows: impl Iterator<Item = Row<'a>>, wanted: &Wanted<'_>) -> Arranged {
    let mut arranged = Arranged::default();
    let mut kept = Vec::new();
    for row in rows {
        arranged.total += 1;
        if wanted.query.matches(&row) {
            arranged.passed += 1;
            match is_up(row.who) {
                true => *arranged.up.entry(row.who.state).or_default() += 1,
                false => arranged.stopped += 1,
            }
            if wanted.stopped || is_up(row.who) {
                kept.push(row);
            }
        }
    }
    let (column, descending) = wanted.order;
    let (mut sorted, down): (Vec<_>, Vec<_>) =
        sort_rows(kept, descending, |r| r.sort_key(column)).into_iter().partition(|r| is_up(r.who));
    sorted.extend(down);
    let line = |r: &Row<'_>, depth| Line {
        depth,
        faint: !is_up(r.who),
        ..Line::row(LineKey::Container(r.id.to_owned()))
    };
    match wanted.shape {
        Shape::Table => arranged.lines = sorted.iter().map(|r| line(r, 0)).collect(),
        Shape::Places => (arranged.lines, arranged.pods) = placed(&sorted, wanted.closed, line),
        Shape::Projects => by_project(&mut arranged, sorted, wanted, line),
    }
    arranged
}

fn by_project(
    arranged: &mut Arranged,
    sorted: Vec<Row<'_>>,
    wanted: &Wanted<'_>,
    line: impl Fn(&Row<'_>, u8) -> Line<LineKey>,
) {
    let mut projects: BTreeMap<Option<String>, Vec<Row<'_>>> = BTreeMap::new();
    for row in sorted {
        projects.entry(row.who.compose_project.clone()).or_default().push(row);
    }
    // Those of no project are last.
    let names = projects.keys().cloned().collect();
    for name in sort_rows(names, false, |n: &Option<String>| SortKey::text(n.as_deref())) {
        let members = projects.remove(&name).unwrap_or_default();
        arranged.projects.insert(name.clone(), members.len());
        let key = LineKey::Project(name);
        let open = !wanted.closed.contains(&key);
        arranged.lines.push(Line::group(key, open));
        if open {
            arranged.lines.extend(members.iter().map(|r| line(r, 1)));
        }
    }
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
