//! What a table shows: columns, lines and cells. From the views, to the painter. Strings and numbers only.

use std::hash::Hash;

/// What names a line: selection, cursor and what is open follow it.
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static {}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Key for K {}

/// How a column's cells look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in the page's type, cut at the edge.
    Text,
    /// What a shell would print: monospace, cut at the edge.
    Code,
    /// Right-aligned tabular figures.
    Number,
    /// Figures above a thin bar.
    Meter,
    /// A line of the last minutes.
    Spark,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Stable id: stands in the URL and in sort orders.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Meaning, unit and kernel source, shown over the heading.
    pub hint: &'static str,
    /// Width in CSS pixels; it never follows the contents.
    pub width: u16,
    /// How its cells look.
    pub kind: Kind,
    /// Largest first when a person first sorts by it.
    pub descending: bool,
    /// Shown until a person chooses otherwise.
    pub shown: bool,
    /// Kept at phone width.
    pub narrow: bool,
}

impl Column {
    /// A column of text, shown by default.
    pub const fn text(id: &'static str, title: &'static str, width: u16, hint: &'static str) -> Self {
        Self { id, title, hint, width, kind: Kind::Text, descending: false, shown: true, narrow: false }
    }

    /// A column of figures, shown by default, largest first.
    pub const fn number(id: &'static str, title: &'static str, width: u16, hint: &'static str) -> Self {
        Self { id, title, hint, width, kind: Kind::Number, descending: true, shown: true, narrow: false }
    }

    /// Another look.
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Smallest first.
    pub const fn ascending(mut self) -> Self {
        self.descending = false;
        self
    }

    /// Left out until chosen.
    pub const fn extra(mut self) -> Self {
        self.shown = false;
        self
    }

    /// Kept at phone width.
    pub const fn narrow(mut self) -> Self {
        self.narrow = true;
        self
    }
}

/// A thin bar under a cell's text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bar {
    /// Filled part, 0..1; more is drawn as full.
    pub ratio: f32,
    /// Where a limit lies, 0..1; `None` without one.
    pub mark: Option<f32>,
}

/// Contents of one cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// Text; for [`Kind::Spark`] the path's `d`.
    pub text: String,
    /// Classes that give it colour; the text or its shape says the same.
    pub class: &'static str,
    /// What a hover tells; `None` repeats a long text.
    pub title: Option<String>,
    /// For [`Kind::Meter`].
    pub bar: Option<Bar>,
}

impl Cell {
    /// Plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Unknown, and why.
    pub fn unknown(why: &str) -> Self {
        Self { text: "–".into(), class: "unknown", title: Some(why.into()), bar: None }
    }

    /// With classes.
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// With a hover text.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// With a bar.
    pub fn bar(mut self, ratio: f32, mark: Option<f32>) -> Self {
        self.bar = Some(Bar { ratio, mark });
        self
    }
}

/// One line of a table: a row or the heading of a group of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<K> {
    /// Whom the line is about; selection and focus follow it.
    pub key: K,
    /// Indentation.
    pub depth: u8,
    /// Heading of a group: its first cell goes across.
    pub group: bool,
    /// `None`: nothing beneath; else whether what is beneath is shown.
    pub open: Option<bool>,
    /// Shown only because something beneath it passed the filter.
    pub faint: bool,
}

impl<K> Line<K> {
    /// A plain row.
    pub fn row(key: K) -> Self {
        Self { key, depth: 0, group: false, open: None, faint: false }
    }

    /// A heading.
    pub fn group(key: K, open: bool) -> Self {
        Self { key, depth: 0, group: true, open: Some(open), faint: false }
    }
}

/// Which columns are shown: those named, in the table's own order, else those shown by default. The first one always
/// is: it names the row.
pub fn shown_columns(all: &'static [Column], chosen: &[String]) -> Vec<&'static Column> {
    let by_default = chosen.is_empty();
    all.iter()
        .enumerate()
        .filter(|(i, c)| *i == 0 || if by_default { c.shown } else { chosen.iter().any(|id| id == c.id) })
        .map(|(_, c)| c)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Column; 3] = [
        Column::text("name", "Name", 10, ""),
        Column::number("a", "A", 10, "").extra(),
        Column::number("b", "B", 10, ""),
    ];
    static COLUMNS: [Column; 3] = ALL;

    #[test]
    fn the_first_column_stays_and_the_order_is_the_tables() {
        let ids = |chosen: &[&str]| {
            let chosen: Vec<String> = chosen.iter().map(|c| (*c).into()).collect();
            shown_columns(&COLUMNS, &chosen).iter().map(|c| c.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[]), ["name", "b"]);
        assert_eq!(ids(&["b", "a"]), ["name", "a", "b"]);
        assert_eq!(ids(&["gone"]), ["name"]);
    }
}
