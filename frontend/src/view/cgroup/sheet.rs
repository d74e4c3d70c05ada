//! What one table of this view is: columns, filter fields and, for each cell, one datum that is shown, sorted by and
//! filtered. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use glasshull_shared::domain::cgroup::{CgroupKey, OomKillKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use crate::store::filter::{Field, Query, Record, Value};
use crate::widget::table::order::{SortKey, sort_rows};
use crate::widget::table::{Cell, Column, Line};

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Container(String),
    Group(String),
    Kill(OomKillKey),
}

/// One table.
pub(super) struct Sheet {
    /// In the URL: `table=tree`; empty for the first.
    pub(super) id: &'static str,
    /// Also the table's name for screen readers.
    pub(super) title: &'static str,
    /// What its rows are, in the plural.
    pub(super) noun: &'static str,
    pub(super) placeholder: &'static str,
    /// Why it may be empty.
    pub(super) empty: &'static str,
    pub(super) topics: &'static [Topic],
    pub(super) columns: &'static [Column],
    pub(super) fields: &'static [Field],
    /// Column it is sorted by until a person chooses, and whether largest first.
    pub(super) order: (&'static str, bool),
    /// Lines stand under those of the groups above them.
    pub(super) tree: bool,
    pub(super) keys: fn(&Snapshot) -> Vec<LineKey>,
    /// What a column (or a field of the same name) says of a row.
    pub(super) datum: fn(&Snapshot, &LineKey, &str) -> Datum,
}

/// Lines with what is said around them.
#[derive(Debug, Clone, Default)]
pub(super) struct Arranged {
    pub(super) lines: Arc<Vec<Line<LineKey>>>,
    /// Rows that passed the filter.
    pub(super) passed: usize,
    /// Rows in all.
    pub(super) all: usize,
}

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Datum {
    pub(super) cell: Cell,
    /// What it is sorted and filtered by, when that is no text.
    pub(super) number: Option<f64>,
}

impl Datum {
    /// Text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { cell: Cell::new(text), number: None }
    }

    /// Text, or nothing where there is none by nature.
    pub(super) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map(Self::text).unwrap_or_default()
    }

    /// Not known, and why.
    pub(super) fn unknown(why: &str) -> Self {
        Self { cell: Cell::unknown(why), number: None }
    }

    /// A quantity and how it is written; nothing is quiet.
    pub(super) fn number(n: f64, text: impl Into<String>) -> Self {
        let cell = Cell::new(text).class(if n == 0.0 { "quiet" } else { "" });
        Self { cell, number: Some(n) }
    }

    /// A quantity that may be unknown.
    pub(super) fn measured(n: Option<u64>, write: fn(u64) -> String, why: &str) -> Self {
        n.map_or_else(|| Self::unknown(why), |n| Self::number(n as f64, write(n)))
    }

    /// With a class.
    pub(super) fn class(mut self, class: &'static str) -> Self {
        self.cell = self.cell.class(class);
        self
    }

    /// With a hover text.
    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.cell = self.cell.title(title);
        self
    }

    /// With a bar that ends at a limit.
    pub(super) fn bar(mut self, ratio: f32) -> Self {
        self.cell = self.cell.bar(ratio, Some(1.0));
        self
    }

    fn is_known(&self) -> bool {
        self.number.is_some() || !(self.cell.text.is_empty() || self.cell.text == unit::UNKNOWN)
    }

    fn sort_key(&self) -> SortKey {
        match self.number {
            Some(n) => SortKey::number(Some(n)),
            None if self.is_known() => SortKey::text(Some(&self.cell.text)),
            None => SortKey::Unknown,
        }
    }
}

/// A row as the filter sees it.
struct Row<'a> {
    snapshot: &'a Snapshot,
    sheet: &'static Sheet,
    key: &'a LineKey,
    texts: Vec<String>,
}

impl Record for Row<'_> {
    fn value(&self, field: &str) -> Value<'_> {
        let datum = (self.sheet.datum)(self.snapshot, self.key, field);
        match datum.number {
            Some(n) => Value::Number(n),
            None if datum.is_known() => Value::Text(datum.cell.text.into()),
            None => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl Sheet {
    /// The lines that pass the filter, in order.
    pub(super) fn arrange(
        &'static self,
        snapshot: &Snapshot,
        query: Option<&Query>,
        (column, descending): (&str, bool),
        closed: &HashSet<LineKey>,
    ) -> Arranged {
        let keys = (self.keys)(snapshot);
        let all = keys.len();
        let passes = |key: &LineKey| query.is_none_or(|query| self.passes(snapshot, key, query));
        let known = self.columns.iter().any(|c| c.id == column);
        let (column, descending) = if known { (column, descending) } else { self.order };
        let sort = |keys| sort_rows(keys, descending, |key| (self.datum)(snapshot, key, column).sort_key());
        if self.tree {
            let passed: HashSet<LineKey> = keys.iter().filter(|key| passes(key)).cloned().collect();
            let count = passed.len();
            let lines = Arc::new(grown(snapshot, sort(keys), &passed, closed));
            return Arranged { lines, passed: count, all };
        }
        let keys = sort(keys.into_iter().filter(passes).collect());
        let passed = keys.len();
        Arranged { lines: Arc::new(keys.into_iter().map(Line::row).collect()), passed, all }
    }

    fn passes(&'static self, snapshot: &Snapshot, key: &LineKey, query: &Query) -> bool {
        let datum = |c: &Column| (self.datum)(snapshot, key, c.id);
        // Figures change under a person's eyes: words are looked for in what stays.
        let texts = self.columns.iter().map(datum).filter(|d| d.number.is_none());
        query.matches(&Row { snapshot, sheet: self, key, texts: texts.map(|d| d.cell.text).collect() })
    }

    /// The cells of one row.
    pub(super) fn cells(&self, snapshot: &Snapshot, key: &LineKey, columns: &[&'static Column]) -> Vec<Cell> {
        columns.iter().map(|column| (self.datum)(snapshot, key, column.id).cell).collect()
    }
}

/// Groups under the groups they are in; those above one that passed stay, faint.
fn grown(
    s: &Snapshot,
    keys: Vec<LineKey>,
    passed: &HashSet<LineKey>,
    closed: &HashSet<LineKey>,
) -> Vec<Line<LineKey>> {
    let parent = |key: &LineKey| match key {
        LineKey::Group(path) => {
            let row = s.cgroup.get(&CgroupKey { path: path.clone() })?;
            let above = row.parent.clone()?;
            s.cgroup.contains_key(&CgroupKey { path: above.clone() }).then_some(LineKey::Group(above))
        }
        LineKey::Container(_) | LineKey::Kill(_) => None,
    };
    let mut kept: HashSet<LineKey> = HashSet::new();
    for key in passed {
        let mut next = Some(key.clone());
        while let Some(key) = next.filter(|key| !kept.contains(key)) {
            next = parent(&key);
            kept.insert(key);
        }
    }
    let mut below: HashMap<Option<LineKey>, Vec<LineKey>> = HashMap::new();
    for key in keys.into_iter().filter(|key| kept.contains(key)) {
        below.entry(parent(&key)).or_default().push(key);
    }
    let mut lines = Vec::new();
    let roots = below.remove(&None).unwrap_or_default();
    let mut todo: Vec<(LineKey, u8)> = roots.into_iter().rev().map(|key| (key, 0)).collect();
    while let Some((key, depth)) = todo.pop() {
        // Taken out, so that rows that name each other as parents end.
        let children = below.remove(&Some(key.clone())).unwrap_or_default();
        let open = (!children.is_empty()).then(|| !closed.contains(&key));
        if open == Some(true) {
            todo.extend(children.into_iter().rev().map(|child| (child, depth.saturating_add(1))));
        }
        let faint = !passed.contains(&key);
        lines.push(Line { key, depth, group: false, open, faint });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::cgroup::Cgroup;

    fn snapshot(paths: &[(&str, Option<&str>)]) -> Snapshot {
        let row =
            |parent: &Option<&str>| Arc::new(Cgroup { parent: parent.map(Into::into), ..Cgroup::default() });
        let rows = paths.iter().map(|(path, parent)| (CgroupKey { path: (*path).into() }, row(parent)));
        Snapshot { cgroup: rows.collect(), ..Snapshot::default() }
    }

    fn drawn(s: &Snapshot, passed: &[&str], closed: &[&str]) -> Vec<(String, u8, bool)> {
        let keys: Vec<_> = s.cgroup.keys().map(|key| LineKey::Group(key.path.clone())).collect();
        let set = |paths: &[&str]| paths.iter().map(|path| LineKey::Group((*path).into())).collect();
        let passed = if passed.is_empty() { keys.iter().cloned().collect() } else { set(passed) };
        let lines = grown(s, keys, &passed, &set(closed));
        let text = |key: LineKey| match key {
            LineKey::Group(path) => path,
            LineKey::Container(_) | LineKey::Kill(_) => String::new(),
        };
        lines.into_iter().map(|line| (text(line.key), line.depth, line.faint)).collect()
    }

    #[test]
    fn groups_stand_under_their_parents() {
        let s = snapshot(&[
            ("/", None),
            ("/a", Some("/")),
            ("/a-b", Some("/")),
            ("/a/c", Some("/a")),
            ("/x/y", Some("/x")),
        ]);
        let row = |path: &str, depth, faint| (path.to_owned(), depth, faint);
        let whole = [
            row("/", 0, false),
            row("/a", 1, false),
            row("/a/c", 2, false),
            row("/a-b", 1, false),
            row("/x/y", 0, false),
        ];
        assert_eq!(drawn(&s, &[], &[]), whole);
        assert_eq!(drawn(&s, &["/a/c"], &[]), [row("/", 0, true), row("/a", 1, true), row("/a/c", 2, false)]);
        assert_eq!(drawn(&s, &[], &["/"]), [row("/", 0, false), row("/x/y", 0, false)]);
        let ring = snapshot(&[("/a", Some("/b")), ("/b", Some("/a"))]);
        assert!(drawn(&ring, &[], &[]).is_empty());
    }
}
