//! What one table of this view is: columns, filter fields and, for each cell, one datum that is shown, sorted by and
//! filtered. Pure.

use glasshull_shared::domain::network::{
    ClosedSocketKey, FlowKey, LinkKey, NatRuleKey, NeighbourKey, NetnsKey, PublishedPortKey, RouteKey,
    SocketKey, TranslationKey,
};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use crate::store::filter::{Field, Query, Record, Value};
use crate::store::finding::sign;
use crate::store::mark::Mark;
use crate::widget::table::order::{SortKey, sort_rows};
use crate::widget::table::{Cell, Column};

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Link(LinkKey),
    Neighbour(NeighbourKey),
    Route(RouteKey),
    Netns(NetnsKey),
    Socket(SocketKey),
    Closed(ClosedSocketKey),
    Flow(FlowKey),
    Port(PublishedPortKey),
    Rule(NatRuleKey),
    Translation(TranslationKey),
}

/// One table.
pub(super) struct Sheet {
    /// In the URL: `table=neighbours`; empty for the first.
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
    pub(super) keys: fn(&Snapshot) -> Vec<LineKey>,
    /// What a column (or a field of the same name) says of a row.
    pub(super) datum: fn(&Snapshot, &LineKey, &str) -> Datum,
}

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Datum {
    pub(super) text: String,
    number: Option<f64>,
    /// More numbers of which a filter may mean one.
    others: Vec<f64>,
    /// Where it stands in the order, when that is neither text nor number.
    rank: Option<f64>,
    tone: &'static str,
    title: Option<String>,
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
        Self { text: unit::count(n), number: Some(n as f64), ..Self::default() }.quiet_zero()
    }

    /// Bytes per second.
    pub(super) fn rate(rate: Option<f32>, write: fn(f64) -> String) -> Self {
        rate.map_or_else(
            || Self::unknown("first sample: a rate needs two"),
            |n| Self { text: write(f64::from(n)), number: Some(n.into()), ..Self::default() }.quiet_zero(),
        )
    }

    /// Bytes.
    pub(super) fn bytes(n: u64) -> Self {
        Self { text: unit::bytes(n), number: Some(n as f64), ..Self::default() }.quiet_zero()
    }

    /// What is found of it: sign and number, in the order of their weight.
    pub(super) fn mark(mark: Option<Mark>) -> Self {
        mark.map_or_else(Self::default, |mark| {
            Self::text(mark.text()).tone(sign(mark.worst).1).title(mark.about()).ranked(mark.weight())
        })
    }

    /// Several numbers, of which a filter means any; as digits.
    pub(super) fn any_of(numbers: impl IntoIterator<Item = u16>) -> Self {
        let others: Vec<f64> = numbers.into_iter().map(f64::from).collect();
        let text = others.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        Self { text, number: others.first().copied(), others, ..Self::default() }
    }

    /// A short time; the filter counts in milliseconds.
    pub(super) fn latency(nanos: Option<u64>) -> Self {
        nanos.map_or_else(Self::default, |n| Self {
            text: unit::latency(n),
            number: Some(n as f64 / 1e6),
            ..Self::default()
        })
    }

    /// A quantity that not every row has.
    pub(super) fn measured(n: Option<u64>, write: fn(u64) -> Self) -> Self {
        n.map_or_else(Self::default, write)
    }

    /// With a place in the order of its own.
    pub(super) fn ranked(mut self, rank: impl Into<f64>) -> Self {
        self.rank = Some(rank.into());
        self
    }

    /// With the digits as they are: an inode or a pid is a name, not a quantity.
    pub(super) fn exact(mut self, n: u64) -> Self {
        self.text = n.to_string();
        self
    }

    /// With the number written otherwise: a time.
    pub(super) fn written(mut self, text: String) -> Self {
        self.text = text;
        self
    }

    fn quiet_zero(mut self) -> Self {
        if self.number == Some(0.0) {
            self.tone = "quiet";
        }
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
        Cell { text: self.text, class: self.tone, title: self.title, bar: None }
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
            Some(_) if datum.others.len() > 1 => Value::Numbers(datum.others),
            Some(n) => Value::Number(n),
            None if datum.is_known() => Value::Text(datum.title.unwrap_or(datum.text).into()),
            None => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl Sheet {
    /// The keys that pass the filter, in order, and the number of all.
    pub(super) fn arrange(
        &'static self,
        snapshot: &Snapshot,
        query: Option<&Query>,
        (column, descending): (&str, bool),
    ) -> (Vec<LineKey>, usize) {
        let mut keys = (self.keys)(snapshot);
        let all = keys.len();
        if let Some(query) = query {
            keys.retain(|key| {
                let datum = |c: &Column| (self.datum)(snapshot, key, c.id);
                // Rates change under a person's eyes: words are looked for in what stays.
                let texts = self.columns.iter().map(datum).filter(|d| d.number.is_none());
                let texts = texts.map(|d| d.title.unwrap_or(d.text)).collect();
                query.matches(&Row { snapshot, sheet: self, key, texts })
            });
        }
        let known = self.columns.iter().any(|c| c.id == column);
        let (column, descending) = if known { (column, descending) } else { self.order };
        (sort_rows(keys, descending, |key| (self.datum)(snapshot, key, column).sort_key()), all)
    }

    /// The cells of one row.
    pub(super) fn cells(&self, snapshot: &Snapshot, key: &LineKey, columns: &[&'static Column]) -> Vec<Cell> {
        columns.iter().map(|column| (self.datum)(snapshot, key, column.id).cell()).collect()
    }
}
