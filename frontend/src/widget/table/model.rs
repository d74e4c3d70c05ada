//! What a table shows: columns, lines and cells. From the views, to the painter. Strings and numbers only.

use std::hash::Hash;

/// What names a line: selection, cursor and what is open follow it.
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static {}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Key for K {}

/// What widths of columns count in: at the page's usual size of type it is one CSS pixel, and it grows with the type.
pub(super) const UNIT_REM: f64 = 1.0 / 13.0;

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
    /// Width in units of [`UNIT_REM`]; it never follows the contents.
    pub width: u16,
    /// Width on a phone, in the same units; 0 leaves it out there.
    pub narrow: u16,
    /// Takes a share of the room that is left.
    pub grows: bool,
    /// Leaves when there is no room: the greatest first, among equals the rightmost.
    pub spare: u8,
    /// How its cells look.
    pub kind: Kind,
    /// Largest first when a person first sorts by it.
    pub descending: bool,
    /// Shown until a person chooses otherwise.
    pub shown: bool,
}

impl Column {
    /// A column of text, shown by default.
    pub const fn text(id: &'static str, title: &'static str, width: u16, hint: &'static str) -> Self {
        Self {
            id,
            title,
            hint,
            width,
            narrow: 0,
            grows: false,
            spare: 0,
            kind: Kind::Text,
            descending: false,
            shown: true,
        }
    }

    /// A column of figures, shown by default, largest first.
    pub const fn number(id: &'static str, title: &'static str, width: u16, hint: &'static str) -> Self {
        Self { kind: Kind::Number, descending: true, ..Self::text(id, title, width, hint) }
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

    /// Kept on a phone, at this width.
    pub const fn narrow(mut self, width: u16) -> Self {
        self.narrow = width;
        self
    }

    /// Takes a share of the room that is left.
    pub const fn grow(mut self) -> Self {
        self.grows = true;
        self
    }

    /// Leaves before others when there is no room: the greatest first.
    pub const fn spare(mut self, rank: u8) -> Self {
        self.spare = rank;
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

/// The columns of a table nobody chose columns for: on a phone those meant for it, else as many as `room` (in units of
/// [`UNIT_REM`]) holds, so that none is cut.
pub(super) fn fitting(mut columns: Vec<&'static Column>, room: f64, narrow: bool) -> Vec<&'static Column> {
    if narrow {
        columns.retain(|c| c.narrow > 0);
        return columns;
    }
    let width = |columns: &[&'static Column]| columns.iter().map(|c| f64::from(c.width)).sum::<f64>();
    while columns.len() > 1 && width(&columns) > room {
        let last = columns.iter().enumerate().skip(1).max_by_key(|(i, c)| (c.spare, *i));
        let Some((at, _)) = last else { break };
        columns.remove(at);
    }
    columns
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

    #[test]
    fn columns_leave_whole_and_in_their_order() {
        static COLUMNS: [Column; 4] = [
            Column::text("name", "Name", 100, "").narrow(90),
            Column::text("image", "Image", 100, "").spare(1),
            Column::number("cpu", "CPU", 50, "").narrow(40),
            Column::number("up", "Up", 50, ""),
        ];
        let ids = |room, narrow| {
            let all = COLUMNS.iter().collect();
            fitting(all, room, narrow).iter().map(|c| c.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(300.0, false), ["name", "image", "cpu", "up"]);
        assert_eq!(ids(299.0, false), ["name", "cpu", "up"]);
        assert_eq!(ids(199.0, false), ["name", "cpu"]);
        assert_eq!(ids(10.0, false), ["name"]);
        assert_eq!(ids(10.0, true), ["name", "cpu"]);
    }
}
