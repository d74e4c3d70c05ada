//! What a table of several in one view is: columns, filter fields and, for each cell, one datum that is shown, sorted by and
//! filtered. Pure; `K` names a row.

mod page;

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use crate::store::filter::{Field, Query, Record, Value};
use crate::store::finding::sign;
use crate::store::mark::Mark;
use crate::widget::table::order::{SortKey, sort_rows};
use crate::widget::table::{Bar, Cell, Column};

pub(super) use page::{Arranged, Page, tables};

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
    pub(super) order: (&'static str, bool),
    pub(super) keys: fn(&Snapshot) -> Vec<K>,
    /// What a column (or a field of the same name) says of a row.
    pub(super) datum: fn(&Snapshot, &K, &str) -> Datum,
}

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Datum {
    text: String,
    number: Option<f64>,
    /// What a filter looks for instead of the text.
    sought: Option<String>,
    tone: &'static str,
    title: Option<String>,
    /// Filled part of a bar under the text, 0..1.
    bar: Option<f32>,
}

impl Datum {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map(Self::text).unwrap_or_default()
    }

    /// Not known, and why.
    pub(super) fn unknown(why: &str) -> Self {
        Self { text: unit::UNKNOWN.into(), tone: "unknown", title: Some(why.into()), ..Self::default() }
    }

    pub(super) fn count(n: usize) -> Self {
        let tone = if n == 0 { "quiet" } else { "" };
        Self { text: unit::count(n as u64), number: Some(n as f64), tone, ..Self::default() }
    }

    /// A pid: no thousands.
    pub(super) fn pid(pid: u32) -> Self {
        Self { text: pid.to_string(), number: Some(pid.into()), ..Self::default() }
    }

    /// A number that may be below 0.
    pub(super) fn number(n: i32) -> Self {
        Self { text: n.to_string(), number: Some(n.into()), ..Self::default() }
    }

    /// What is found of it: sign and number, in the order of their weight; found by its rules.
    pub(super) fn mark(mark: Option<Mark>) -> Self {
        mark.map_or_else(Self::default, |mark| {
            let about = mark.about();
            Self { number: Some(mark.weight()), ..Self::text(mark.text()) }
                .tone(sign(mark.worst).1)
                .title(about.clone())
                .sought(about)
        })
    }

    /// A number as it is written.
    pub(super) fn measure(number: f64, text: String) -> Self {
        Self { text, number: Some(number), ..Self::default() }
    }

    /// With the number written otherwise.
    pub(super) fn written(mut self, text: String) -> Self {
        self.text = text;
        self
    }

    /// Found by this text instead.
    pub(super) fn sought(mut self, text: String) -> Self {
        self.sought = Some(text);
        self
    }

    /// With a bar beneath; for [`Kind::Meter`](crate::widget::table::Kind::Meter).
    pub(super) fn bar(mut self, ratio: f32) -> Self {
        self.bar = Some(ratio);
        self
    }

    pub(super) fn tone(mut self, tone: &'static str) -> Self {
        self.tone = tone;
        self
    }

    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    fn is_known(&self) -> bool {
        self.number.is_some() || !(self.text.is_empty() || self.text == unit::UNKNOWN)
    }

    fn sort_key(self) -> SortKey {
        match self.number {
            Some(n) => SortKey::number(Some(n)),
            None if self.is_known() => SortKey::text(Some(&self.text)),
            None => SortKey::Unknown,
        }
    }

    fn cell(self) -> Cell {
        let bar = self.bar.map(|ratio| Bar { ratio, mark: None });
        Cell { text: self.text, class: self.tone, title: self.title, bar }
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
        match (datum.sought, datum.number) {
            (Some(text), _) => Value::Text(text.into()),
            (None, Some(n)) => Value::Number(n),
            (None, None) if datum.text.is_empty() || datum.text == unit::UNKNOWN => Value::Unknown,
            (None, None) => Value::Text(datum.text.into()),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl<K: 'static> Sheet<K> {
    /// The keys that pass the filter, in order, and the number of all.
    pub(super) fn arrange(
        &'static self,
        snapshot: &Snapshot,
        query: Option<&Query>,
        (column, descending): (&str, bool),
    ) -> (Vec<K>, usize) {
        let mut keys = (self.keys)(snapshot);
        let all = keys.len();
        if let Some(query) = query {
            keys.retain(|key| {
                let data = self.columns.iter().map(|c| (self.datum)(snapshot, key, c.id));
                let texts = data.map(|datum| datum.sought.unwrap_or(datum.text)).collect();
                query.matches(&Row { snapshot, sheet: self, key, texts })
            });
        }
        let known = self.columns.iter().any(|c| c.id == column);
        let (column, descending) = if known { (column, descending) } else { self.order };
        (sort_rows(keys, descending, |key| (self.datum)(snapshot, key, column).sort_key()), all)
    }

    /// The cells of one row.
    pub(super) fn cells(&self, snapshot: &Snapshot, key: &K, columns: &[&'static Column]) -> Vec<Cell> {
        columns.iter().map(|column| (self.datum)(snapshot, key, column.id).cell()).collect()
    }
}
