//! What a table of several in one view is: columns, filter fields and, for each cell, one datum that is shown, sorted by and
//! filtered. Pure; `K` names a row.

mod page;
mod tree;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use crate::store::filter::{Field, Query, Record, Value};
use crate::store::finding::sign;
use crate::store::mark::Mark;
use crate::widget::table::order::{SortKey, sort_rows};
use crate::widget::table::{Bar, Cell, Column, Line};

pub(super) use page::{Page, pages, tables};

/// One table.
pub(super) struct Sheet<K> {
    /// In the URL: `table=all`; empty for the first.
    pub(super) id: &'static str,
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
    /// Which row one stands under; `None` where rows stand under none.
    pub(super) parent: Option<fn(&Snapshot, &K) -> Option<K>>,
    pub(super) keys: fn(&Snapshot) -> Vec<K>,
    /// What a column (or a field of the same name) says of a row.
    pub(super) datum: fn(&Snapshot, &K, &str) -> Datum,
}

/// Lines with what is said around them.
#[derive(Debug, Clone)]
pub(super) struct Arranged<K> {
    pub(super) lines: Arc<Vec<Line<K>>>,
    /// Rows that passed the filter.
    pub(super) passed: usize,
    /// Rows in all.
    pub(super) all: usize,
}

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Datum {
    pub(super) text: String,
    number: Option<f64>,
    /// More numbers of which a filter may mean one.
    others: Vec<f64>,
    /// Words are looked for in the number too.
    word: bool,
    /// What a filter looks for instead of the text.
    sought: Option<String>,
    /// Where it stands in the order, when that is neither text nor number.
    rank: Option<f64>,
    tone: &'static str,
    title: Option<String>,
    /// A bar under the text.
    bar: Option<Bar>,
}

impl Datum {
    /// Text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Text, or nothing where there is none by nature.
    pub(super) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map(Self::text).unwrap_or_default()
    }

    /// Not known, and why.
    pub(super) fn unknown(why: &str) -> Self {
        Self { text: unit::UNKNOWN.into(), tone: "unknown", title: Some(why.into()), ..Self::default() }
    }

    /// A number without unit.
    pub(super) fn count(n: u64) -> Self {
        Self::measure(n as f64, unit::count(n))
    }

    /// A number that is a name, not a quantity: an inode, a port.
    pub(super) fn name(n: u64) -> Self {
        Self { text: n.to_string(), number: Some(n as f64), ..Self::default() }
    }

    /// A pid: found without saying that it is one.
    pub(super) fn pid(pid: u32) -> Self {
        Self { word: true, ..Self::name(pid.into()) }
    }

    /// A number that may be below 0.
    pub(super) fn number(n: i32) -> Self {
        Self { text: n.to_string(), number: Some(n.into()), ..Self::default() }
    }

    /// Bytes.
    pub(super) fn bytes(n: u64) -> Self {
        Self::measure(n as f64, unit::bytes(n))
    }

    /// So much per second.
    pub(super) fn rate(rate: Option<f32>, write: fn(f64) -> String) -> Self {
        rate.map_or_else(
            || Self::unknown("first sample: a rate needs two"),
            |n| Self::measure(n.into(), write(n.into())),
        )
    }

    /// A short time; the filter counts in milliseconds.
    pub(super) fn latency(nanos: Option<u64>) -> Self {
        Self::having(nanos, |n| Self {
            text: unit::latency(n),
            number: Some(n as f64 / 1e6),
            ..Self::default()
        })
    }

    /// Several numbers, of which a filter means any; as digits.
    pub(super) fn any_of(numbers: impl IntoIterator<Item = u16>) -> Self {
        let others: Vec<f64> = numbers.into_iter().map(f64::from).collect();
        let text = others.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        Self { text, number: others.first().copied(), others, ..Self::default() }
    }

    /// A quantity that not every row has.
    pub(super) fn having(n: Option<u64>, write: fn(u64) -> Self) -> Self {
        n.map_or_else(Self::default, write)
    }

    /// A quantity that every row has, and why it may be unknown.
    pub(super) fn known(n: Option<u64>, write: fn(u64) -> Self, why: &str) -> Self {
        n.map_or_else(|| Self::unknown(why), write)
    }

    /// What is found of it: sign and number, in the order of their weight; found by its rules.
    pub(super) fn mark(mark: Option<Mark>) -> Self {
        mark.map_or_else(Self::default, |mark| {
            let about = mark.about();
            Self::text(mark.text())
                .tone(sign(mark.worst).1)
                .title(about.clone())
                .sought(about)
                .ranked(mark.weight())
        })
    }

    /// A number as it is written; nothing is quiet.
    pub(super) fn measure(number: f64, text: String) -> Self {
        let tone = if number == 0.0 { "quiet" } else { "" };
        Self { text, number: Some(number), tone, ..Self::default() }
    }

    /// With the number written otherwise.
    pub(super) fn written(mut self, text: String) -> Self {
        self.text = text;
        self
    }

    /// Found by this text instead.
    pub(super) fn sought(mut self, text: impl Into<String>) -> Self {
        self.sought = Some(text.into());
        self
    }

    /// Found by this too.
    pub(super) fn also_sought(self, more: &str) -> Self {
        let sought = format!("{} {more}", self.sought.as_ref().unwrap_or(&self.text));
        self.sought(sought)
    }

    /// With a place in the order of its own.
    pub(super) fn ranked(mut self, rank: impl Into<f64>) -> Self {
        self.rank = Some(rank.into());
        self
    }

    /// With a bar beneath, filled so far; for [`Kind::Meter`](crate::widget::table::Kind::Meter).
    pub(super) fn bar(mut self, ratio: f32) -> Self {
        self.bar = Some(Bar { ratio, mark: None });
        self
    }

    /// With a bar beneath that ends at a limit.
    pub(super) fn limit_bar(mut self, ratio: f32) -> Self {
        self.bar = Some(Bar { ratio, mark: Some(1.0) });
        self
    }

    /// With a tone.
    pub(super) fn tone(mut self, tone: &'static str) -> Self {
        self.tone = tone;
        self
    }

    /// With a hover text.
    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// What words are looked for in. Figures change under a person's eyes, and inodes have any digits in them: not in those.
    fn words(self) -> Option<String> {
        self.sought.or_else(|| (self.number.is_none() || self.word).then_some(self.text))
    }

    fn is_known(&self) -> bool {
        self.number.is_some() || !(self.text.is_empty() || self.text == unit::UNKNOWN)
    }

    fn sort_key(self) -> SortKey {
        match self.rank.or(self.number) {
            Some(n) => SortKey::number(Some(n)),
            None if self.is_known() => SortKey::text(Some(&self.text)),
            None => SortKey::Unknown,
        }
    }

    fn cell(self) -> Cell {
        Cell { text: self.text, class: self.tone, title: self.title, bar: self.bar }
    }
}

/// A row as the filter sees it.
struct Row<'a, K: 'static> {
    snapshot: &'a Snapshot,
    sheet: &'static Sheet<K>,
    key: &'a K,
    texts: Vec<String>,
}

impl<K: 'static> Record for Row<'_, K> {
    fn value(&self, field: &str) -> Value<'_> {
        let datum = (self.sheet.datum)(self.snapshot, self.key, field);
        let known = datum.is_known();
        match (datum.sought, datum.number) {
            // Nothing to be sought is nothing known.
            (Some(text), _) if text.trim().is_empty() => Value::Unknown,
            (Some(text), _) => Value::Text(text.into()),
            (None, Some(_)) if datum.others.len() > 1 => Value::Numbers(datum.others),
            (None, Some(n)) => Value::Number(n),
            (None, None) if known => Value::Text(datum.text.into()),
            (None, None) => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl<K: Clone + Eq + Hash + 'static> Sheet<K> {
    /// The lines that pass the filter, in order. `closed`: rows whose own are not shown.
    pub(super) fn arrange(
        &'static self,
        snapshot: &Snapshot,
        query: Option<&Query>,
        (column, descending): (&str, bool),
        closed: &HashSet<K>,
    ) -> Arranged<K> {
        let mut keys = (self.keys)(snapshot);
        let all = keys.len();
        let passes = |key: &K| query.is_none_or(|query| self.passes(snapshot, key, query));
        let known = self.columns.iter().any(|c| c.id == column);
        let (column, descending) = if known { (column, descending) } else { self.order };
        let sort = |keys| sort_rows(keys, descending, |key| (self.datum)(snapshot, key, column).sort_key());
        let Some(parent) = self.parent else {
            keys.retain(passes);
            let lines: Vec<_> = sort(keys).into_iter().map(Line::row).collect();
            return Arranged { passed: lines.len(), lines: Arc::new(lines), all };
        };
        keys = sort(keys);
        let at: HashMap<&K, usize> = keys.iter().enumerate().map(|(i, key)| (key, i)).collect();
        let above = |key: &K| parent(snapshot, key).and_then(|key| at.get(&key).copied());
        let rows: Vec<tree::Row> = keys
            .iter()
            .map(|key| tree::Row { above: above(key), passed: passes(key), closed: closed.contains(key) })
            .collect();
        let line = |(i, line): (usize, Line<()>)| {
            let Line { depth, group, open, faint, .. } = line;
            Some(Line { key: keys.get(i)?.clone(), depth, group, open, faint })
        };
        let lines = Arc::new(tree::grown(&rows).into_iter().filter_map(line).collect());
        Arranged { lines, passed: rows.iter().filter(|row| row.passed).count(), all }
    }

    fn passes(&'static self, snapshot: &Snapshot, key: &K, query: &Query) -> bool {
        let words = self.columns.iter().filter_map(|c| (self.datum)(snapshot, key, c.id).words());
        query.matches(&Row { snapshot, sheet: self, key, texts: words.collect() })
    }

    /// The cells of one row.
    pub(super) fn cells(&self, snapshot: &Snapshot, key: &K, columns: &[&'static Column]) -> Vec<Cell> {
        columns.iter().map(|column| (self.datum)(snapshot, key, column.id).cell()).collect()
    }
}
