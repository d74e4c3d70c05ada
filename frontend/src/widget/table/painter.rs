//! Puts lines into the page: a fixed set of recycled rows, touched only where something differs from what they show.
//!
//! Reactive text nodes would cost one effect per cell; here one effect compares strings, and a cell whose string is the
//! same is not touched, so text a person marks stays marked.

use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement, Node};

use super::model::{Cell, Column, Kind, Line};
use super::window::row_of;

const SVG: &str = "http://www.w3.org/2000/svg";
/// Hover texts are cut here: a title of kilobytes covers the screen.
const TITLE_CHARS: usize = 600;

/// Makes the cells of a line, one per column.
pub type Paint<K> = dyn Fn(&Line<K>, &[&'static Column]) -> Vec<Cell> + Send + Sync;

/// What is to be on the screen.
pub(super) struct Frame<'a, K> {
    pub(super) lines: &'a [Line<K>],
    pub(super) first: usize,
    pub(super) row_px: f64,
    pub(super) selected: Option<&'a K>,
    pub(super) cursor: Option<&'a K>,
    /// Lines are new: cells must be made anew even where the same line stays in the same slot.
    pub(super) fresh: bool,
    pub(super) paint: &'a Paint<K>,
}

/// The rows in the page.
pub(super) struct Painter<K> {
    body: HtmlElement,
    id: String,
    columns: Vec<&'static Column>,
    slots: Vec<Slot<K>>,
}

struct Slot<K> {
    row: HtmlElement,
    fold: Element,
    cells: Vec<Nodes>,
    shown: Option<Shown<K>>,
}

struct Nodes {
    cell: HtmlElement,
    text: Node,
    bar: Option<HtmlElement>,
    mark: Option<HtmlElement>,
}

#[derive(PartialEq)]
struct Shown<K> {
    at: usize,
    line: Line<K>,
    selected: bool,
    cursor: bool,
    cells: Vec<Cell>,
}

impl<K: Clone + Eq> Painter<K> {
    /// A painter for an empty body; `id` begins the ids of its rows.
    pub(super) fn new(body: HtmlElement, id: String) -> Self {
        Self { body, id, columns: Vec::new(), slots: Vec::new() }
    }

    /// Makes as many rows as asked for, with these columns. Rows that fit already stay.
    pub(super) fn fit(&mut self, slots: usize, columns: &[&'static Column]) {
        if self.columns != columns {
            for slot in self.slots.drain(..) {
                slot.row.remove();
            }
            self.columns = columns.to_vec();
        }
        if self.slots.len() != slots {
            for slot in self.slots.drain(slots.min(self.slots.len())..) {
                slot.row.remove();
            }
            // Another number of slots moves every row to another slot.
            for slot in &mut self.slots {
                slot.hide();
            }
        }
        let Some(document) = self.body.owner_document() else { return };
        while self.slots.len() < slots {
            let Some(slot) = self.make_slot(&document) else { return };
            self.slots.push(slot);
        }
    }

    /// Number of rows made.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Line shown by a row, by the number in its `data-slot`.
    pub(super) fn line(&self, slot: usize) -> Option<&Line<K>> {
        self.slots.get(slot)?.shown.as_ref().map(|s| &s.line)
    }

    /// Texts shown by a row.
    pub(super) fn texts(&self, slot: usize) -> Vec<String> {
        let shown = self.slots.get(slot).and_then(|s| s.shown.as_ref());
        let columns = self.columns.iter();
        shown.map_or_else(Vec::new, |s| {
            let texts = columns.zip(&s.cells).filter(|(c, _)| c.kind != Kind::Spark);
            texts.map(|(_, cell)| cell.text.clone()).collect()
        })
    }

    /// Brings the page to `frame`.
    pub(super) fn paint(&mut self, frame: &Frame<'_, K>) {
        let count = self.slots.len();
        for (i, slot) in self.slots.iter_mut().enumerate() {
            let at = row_of(i, frame.first, count);
            let Some(line) = frame.lines.get(at) else {
                slot.hide();
                continue;
            };
            let selected = frame.selected == Some(&line.key);
            let cursor = frame.cursor == Some(&line.key);
            let same = slot.shown.as_ref().is_some_and(|s| s.at == at && s.line == *line);
            let cells = match &mut slot.shown {
                Some(shown) if same && !frame.fresh => std::mem::take(&mut shown.cells),
                Some(_) | None => (frame.paint)(line, &self.columns),
            };
            slot.show(
                Shown { at, line: line.clone(), selected, cursor, cells },
                frame.row_px,
                same && !frame.fresh,
            );
        }
    }

    fn make_slot(&self, document: &Document) -> Option<Slot<K>> {
        let row = element(document, "div", "table-row")?;
        let number = self.slots.len();
        attr(&row, "role", "row");
        attr(&row, "data-slot", &number.to_string());
        attr(&row, "id", &format!("{}-{number}", self.id));
        row.set_hidden(true);
        let fold = element(document, "span", "table-fold")?;
        attr(&fold, "aria-hidden", "true");
        let mut cells = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let nodes = make_cell(document, column)?;
            if i == 0 {
                let first = nodes.cell.first_child();
                nodes.cell.insert_before(&fold, first.as_ref()).ok()?;
            }
            row.append_child(&nodes.cell).ok()?;
            cells.push(nodes);
        }
        self.body.append_child(&row).ok()?;
        Some(Slot { row, fold: fold.into(), cells, shown: None })
    }
}

impl<K: PartialEq> Slot<K> {
    fn hide(&mut self) {
        if self.shown.take().is_some() {
            self.row.set_hidden(true);
        }
    }

    fn show(&mut self, next: Shown<K>, row_px: f64, cells_same: bool) {
        let before = self.shown.take();
        let changed = |f: fn(&Shown<K>, &Shown<K>) -> bool| before.as_ref().is_none_or(|b| f(b, &next));
        if changed(|a, b| a.at != b.at) {
            style(&self.row, "transform", &format!("translateY({}px)", next.at as f64 * row_px));
            attr(&self.row, "aria-rowindex", &(next.at + 2).to_string());
        }
        if changed(|a, b| {
            (a.selected, a.cursor, a.at % 2) != (b.selected, b.cursor, b.at % 2)
                || a.line.group != b.line.group
                || a.line.faint != b.line.faint
        }) {
            self.row.set_class_name(&next.class());
            attr(&self.row, "aria-selected", if next.selected { "true" } else { "false" });
        }
        if changed(|a, b| (a.line.open, a.line.depth) != (b.line.open, b.line.depth)) {
            self.show_fold(&next.line);
        }
        if !cells_same {
            for (i, (nodes, cell)) in self.cells.iter().zip(&next.cells).enumerate() {
                nodes.show(before.as_ref().and_then(|b| b.cells.get(i)), cell);
            }
        }
        if before.is_none() {
            self.row.set_hidden(false);
        }
        self.shown = Some(next);
    }

    fn show_fold(&self, line: &Line<K>) {
        style(&self.row, "--depth", &line.depth.to_string());
        self.fold.set_text_content(line.open.map(|open| if open { "▾" } else { "▸" }));
        match line.open {
            Some(open) => attr(&self.row, "aria-expanded", if open { "true" } else { "false" }),
            None => drop(self.row.remove_attribute("aria-expanded")),
        }
        attr(&self.row, "aria-level", &(u32::from(line.depth) + 1).to_string());
    }
}

impl<K> Shown<K> {
    fn class(&self) -> String {
        let mut class = String::from("table-row");
        for (on, name) in [
            (self.at % 2 == 1, " odd"),
            (self.line.group, " group"),
            (self.line.faint, " faint"),
            (self.selected, " selected"),
            (self.cursor, " cursor"),
        ] {
            if on {
                class.push_str(name);
            }
        }
        class
    }
}

impl Nodes {
    fn show(&self, before: Option<&Cell>, now: &Cell) {
        if before.is_none_or(|b| b.text != now.text) {
            // Only a sparkline's text goes into an element: its path.
            match self.text.dyn_ref::<Element>() {
                Some(path) => attr(path, "d", &now.text),
                None => self.text.set_node_value(Some(&now.text)),
            }
        }
        if before.is_none_or(|b| b.class != now.class) {
            attr(&self.cell, "data-tone", now.class);
        }
        if before.is_none_or(|b| b.title != now.title || (now.title.is_none() && b.text != now.text)) {
            let long =
                now.title.as_deref().unwrap_or(if now.text.chars().count() > 12 { &now.text } else { "" });
            let cut: String = long.chars().take(TITLE_CHARS).collect();
            attr(&self.cell, "title", &cut);
        }
        if before.is_none_or(|b| b.bar != now.bar) {
            self.show_bar(now);
        }
    }

    fn show_bar(&self, now: &Cell) {
        let (Some(bar), Some(mark)) = (&self.bar, &self.mark) else { return };
        bar.set_hidden(now.bar.is_none());
        let filled = now.bar.map_or(0.0, |b| b.ratio.clamp(0.0, 1.0));
        style(bar, "--filled", &format!("{filled:.3}"));
        let limit = now.bar.and_then(|b| b.mark);
        mark.set_hidden(limit.is_none());
        if let Some(limit) = limit {
            style(mark, "--at", &format!("{:.3}", limit.clamp(0.0, 1.0)));
        }
    }
}

fn make_cell(document: &Document, column: &Column) -> Option<Nodes> {
    let class = match column.kind {
        Kind::Text => "table-cell",
        Kind::Code => "table-cell code",
        Kind::Number => "table-cell number",
        Kind::Meter => "table-cell number metered",
        Kind::Spark => "table-cell spark",
    };
    let cell = element(document, "div", class)?;
    attr(&cell, "role", "gridcell");
    let text =
        if column.kind == Kind::Spark { make_spark(document, &cell)? } else { make_text(document, &cell)? };
    let (mut bar, mut mark) = (None, None);
    if column.kind == Kind::Meter {
        let (outer, inner) = (element(document, "i", "table-bar")?, element(document, "i", "table-mark")?);
        outer.append_child(&inner).ok()?;
        cell.append_child(&outer).ok()?;
        (bar, mark) = (Some(outer), Some(inner));
    }
    Some(Nodes { cell, text, bar, mark })
}

fn make_text(document: &Document, cell: &HtmlElement) -> Option<Node> {
    let span = element(document, "span", "table-text")?;
    let text: Node = document.create_text_node("").into();
    span.append_child(&text).ok()?;
    cell.append_child(&span).ok()?;
    Some(text)
}

fn make_spark(document: &Document, cell: &HtmlElement) -> Option<Node> {
    let svg = document.create_element_ns(Some(SVG), "svg").ok()?;
    attr(&svg, "viewBox", "0 0 100 20");
    attr(&svg, "preserveAspectRatio", "none");
    attr(&svg, "aria-hidden", "true");
    let path = document.create_element_ns(Some(SVG), "path").ok()?;
    svg.append_child(&path).ok()?;
    cell.append_child(&svg).ok()?;
    Some(path.into())
}

fn element(document: &Document, tag: &str, class: &str) -> Option<HtmlElement> {
    let element = document.create_element(tag).ok()?.dyn_into::<HtmlElement>().ok()?;
    element.set_class_name(class);
    Some(element)
}

/// Names and values here are constants or numbers, so setting them cannot fail.
fn attr(element: &Element, name: &str, value: &str) {
    let _ = element.set_attribute(name, value);
}

fn style(element: &HtmlElement, name: &str, value: &str) {
    let _ = element.style().set_property(name, value);
}
