//! The order of the process table: plain, as a tree of parents, or by container. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use glasshull_shared::domain::process::{ProcessKey, ProcessState};

use crate::store::filter::Query;
use crate::store::scoreboard::count_states;
use crate::widget::table::Line;
use crate::widget::table::order::{SortKey, sort_rows};

use super::record::Row;

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    /// A process.
    Process(ProcessKey),
    /// All processes of a container (`None`: of the host).
    Group(Option<String>),
}

/// How the lines are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Table,
    Tree,
    Groups,
}

impl Shape {
    /// From the URL.
    pub(super) fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("tree") => Self::Tree,
            Some("container") => Self::Groups,
            Some(_) | None => Self::Table,
        }
    }

    /// The order that makes sense until a person chooses: busiest first, but a tree stands as it grew.
    pub(super) fn own_order(self) -> (&'static str, bool) {
        match self {
            Self::Table | Self::Groups => ("cpu_ratio", true),
            Self::Tree => ("started_at", false),
        }
    }
}

/// What is asked of the lines.
pub(super) struct Wanted<'a> {
    pub(super) shape: Shape,
    pub(super) query: &'a Query,
    pub(super) kernel: bool,
    pub(super) order: (&'a str, bool),
    pub(super) closed: &'a HashSet<LineKey>,
}

/// Sums over the processes of a group, or of all.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sums {
    pub(super) processes: usize,
    pub(super) cpu_ratio: f64,
    pub(super) rss_bytes: u64,
}

/// Lines with what is said around them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Arranged {
    pub(super) lines: Vec<Line<LineKey>>,
    /// By container; filled for [`Shape::Groups`].
    pub(super) groups: BTreeMap<Option<String>, Sums>,
    /// Processes that passed the filter.
    pub(super) shown: usize,
    /// Processes in all, kernel threads too.
    pub(super) total: usize,
    /// Kernel threads.
    pub(super) kernel: usize,
    /// Threads of what passed the filter.
    pub(super) threads: u64,
    /// How many of what passed are in each state.
    pub(super) states: Vec<(ProcessState, usize)>,
}

/// Arranges the rows.
pub(super) fn arrange<'a>(rows: impl Iterator<Item = Row<'a>>, wanted: &Wanted<'_>) -> Arranged {
    let mut arranged = Arranged::default();
    let mut kept: Vec<Row<'a>> = Vec::new();
    for row in rows {
        arranged.total += 1;
        arranged.kernel += usize::from(row.who.kernel_thread);
        if wanted.kernel || !row.who.kernel_thread {
            kept.push(row);
        }
    }
    let passes: Vec<bool> = kept.iter().map(|r| wanted.query.matches(r)).collect();
    let passed = || kept.iter().zip(&passes).filter(|(_, p)| **p).map(|(r, _)| r);
    arranged.shown = passed().count();
    arranged.threads = passed().filter_map(|r| r.does).map(|d| u64::from(d.threads)).sum();
    arranged.states = count_states(passed().filter_map(|r| r.does).map(|d| d.state));
    match wanted.shape {
        Shape::Table => {
            let rows: Vec<&Row<'_>> = passed().collect();
            arranged.lines =
                sorted(rows, wanted).into_iter().map(|r| Line::row(LineKey::Process(r.key))).collect();
        }
        Shape::Groups => (arranged.lines, arranged.groups) = grouped(passed(), wanted),
        Shape::Tree => arranged.lines = tree(&kept, &passes, wanted),
    }
    arranged
}

fn sorted<'a, 'b>(rows: Vec<&'a Row<'b>>, wanted: &Wanted<'_>) -> Vec<&'a Row<'b>> {
    let (column, descending) = wanted.order;
    sort_rows(rows, descending, |r| r.sort_key(column))
}

type Grouped = (Vec<Line<LineKey>>, BTreeMap<Option<String>, Sums>);

fn grouped<'a, 'b: 'a>(rows: impl Iterator<Item = &'a Row<'b>>, wanted: &Wanted<'_>) -> Grouped {
    let mut groups: BTreeMap<Option<String>, (Sums, &str, Vec<&Row<'b>>)> = BTreeMap::new();
    for row in rows {
        let name = row.container.unwrap_or_default();
        let (sums, _, members) =
            groups.entry(row.who.container.clone()).or_insert_with(|| (Sums::default(), name, Vec::new()));
        sums.processes += 1;
        sums.cpu_ratio += row.does.and_then(|d| d.cpu_ratio).map_or(0.0, f64::from);
        sums.rss_bytes += row.does.map_or(0, |d| d.rss_bytes);
        members.push(row);
    }
    // The host comes last: containers are what one looks for here.
    let names = groups.iter().map(|(id, (_, name, _))| (id.clone(), name.to_lowercase())).collect();
    let names = sort_rows(names, false, |(id, name): &(Option<String>, String)| {
        SortKey::text(id.as_ref().map(|_| name.as_str()))
    });
    let (mut lines, mut all_sums) = (Vec::new(), BTreeMap::new());
    for (id, _) in names {
        let Some((sums, _, members)) = groups.remove(&id) else { continue };
        let key = LineKey::Group(id.clone());
        let open = !wanted.closed.contains(&key);
        lines.push(Line::group(key, open));
        if open {
            let rows = sorted(members, wanted).into_iter();
            lines.extend(rows.map(|r| Line { depth: 1, ..Line::row(LineKey::Process(r.key)) }));
        }
        all_sums.insert(id, sums);
    }
    (lines, all_sums)
}

/// What passes the filter and its ancestors, children under their parents. Parents that are not there (filtered out,
/// or gone) make their children roots.
fn tree(rows: &[Row<'_>], passes: &[bool], wanted: &Wanted<'_>) -> Vec<Line<LineKey>> {
    let by_pid: HashMap<u32, usize> = rows.iter().enumerate().map(|(i, r)| (r.key.pid, i)).collect();
    let parent = |i: usize| rows.get(i).and_then(|r| by_pid.get(&r.who.ppid)).copied().filter(|p| *p != i);
    let mut kept = vec![false; rows.len()];
    for start in (0..rows.len()).filter(|i| passes.get(*i) == Some(&true)) {
        let mut next = Some(start);
        // A chain that was walked already is known up to its root.
        while let Some(i) = next.filter(|i| !kept.get(*i).copied().unwrap_or(true)) {
            kept[i] = true;
            next = parent(i);
        }
    }
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for i in (0..rows.len()).filter(|i| kept[*i]) {
        children.entry(parent(i)).or_default().push(i);
    }
    let (column, descending) = wanted.order;
    for siblings in children.values_mut() {
        let unsorted = std::mem::take(siblings);
        *siblings = sort_rows(unsorted, descending, |i| {
            rows.get(*i).map_or(SortKey::Unknown, |r| r.sort_key(column))
        });
    }
    let mut lines = Vec::new();
    let mut seen = vec![false; rows.len()];
    let roots = children.get(&None).cloned().unwrap_or_default();
    // Pids that are each other's parents (one was reused) have no root: whoever was not reached becomes one.
    let rest = (0..rows.len()).filter(|i| kept[*i]);
    for root in roots.into_iter().chain(rest) {
        let mut stack = vec![(root, 0u8)];
        while let Some((i, depth)) = stack.pop() {
            if std::mem::replace(&mut seen[i], true) {
                continue;
            }
            let key = LineKey::Process(rows[i].key);
            let below = children.get(&Some(i)).map_or(&[][..], Vec::as_slice);
            let open = (!below.is_empty()).then(|| !wanted.closed.contains(&key));
            lines.push(Line { key, depth, group: false, open, faint: !passes[i] });
            if open == Some(true) {
                stack.extend(below.iter().rev().map(|c| (*c, depth.saturating_add(1))));
            } else {
                mark_seen(below, &children, &mut seen);
            }
        }
    }
    lines
}

/// What is beneath a closed line is not shown, and must not turn up as a root either.
fn mark_seen(below: &[usize], children: &HashMap<Option<usize>, Vec<usize>>, seen: &mut [bool]) {
    let mut stack = below.to_vec();
    while let Some(i) = stack.pop() {
        if let Some(place) = seen.get_mut(i).filter(|s| !**s) {
            *place = true;
            stack.extend(children.get(&Some(i)).into_iter().flatten());
        }
    }
}

#[cfg(test)]
#[path = "lines_test.rs"]
mod tests;
