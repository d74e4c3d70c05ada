//! A table of any length: fixed heading, recycled rows, keyboard, selection that follows the key.
//!
//! A view gives the lines in order and a way to paint one; only lines on the screen are painted, so ten thousand cost
//! as much as forty. New lines never move the scroll position, the cursor or the selection, and while a person points
//! at the rows of a plain table their order is held: what is about to be clicked does not jump away.

pub mod chooser;
pub mod head;
mod keys;
mod model;
pub mod order;
mod painter;
mod pilot;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use leptos::html::Div;
use leptos::prelude::*;

pub use chooser::ColumnChooser;
pub use head::{Order, clicked};
pub use model::{Bar, Cell, Column, Key, Kind, Line, shown_columns};
pub use painter::Paint;

use head::{Head, template};
use model::{UNIT_REM, fitting};
use painter::{Frame, Painter};
use pilot::Pilot;
use window::{first_row, slots_for};

use crate::widget::measure::{coarse_pointer, narrow_page, rem_px, size_of};

/// Height of a row with a mouse, CSS pixels.
const ROW_PX: f64 = 26.0;
/// Height of a row with a finger.
const COARSE_ROW_PX: f64 = 38.0;
/// Padding of a row, left and right together, in units of [`UNIT_REM`]; as in the style sheet.
const SIDES: f64 = 10.4;
/// How long the order is held after the pointer rested, milliseconds.
const HOLD_MS: f64 = 4_000.0;

/// Lines of a table. A new allocation means new contents.
pub type Lines<K> = Arc<Vec<Line<K>>>;

/// Lines that are made anew whenever what `make` reads changes, even when they come out the same: their cells may not.
pub fn lines_of<K: Key>(make: impl Fn() -> Vec<Line<K>> + Send + Sync + 'static) -> Signal<Lines<K>> {
    Memo::new_with_compare(move |_| Arc::new(make()), |_, _| true).into()
}

/// What a table shows and tells.
pub struct TableModel<K: Key> {
    /// For screen readers.
    pub label: &'static str,
    /// All columns, the first names the row.
    pub columns: &'static [Column],
    /// Ids of the columns shown; `None` = those shown by default.
    pub chosen: Signal<Option<Vec<String>>>,
    /// How much wider the first column is than it says: room for a tree.
    pub indent: Signal<u16>,
    /// Lines in their order.
    pub lines: Signal<Lines<K>>,
    /// Makes the cells of one line. Not tracked: it runs when the lines change.
    pub paint: Arc<Paint<K>>,
    /// How the lines are sorted, for the heading.
    pub order: Signal<Option<Order>>,
    /// A person wants another order.
    pub on_order: Callback<Order>,
    /// The selected line.
    pub selected: Signal<Option<K>>,
    /// A person chose a line.
    pub on_select: Callback<K>,
    /// A person moved the cursor to a line.
    pub on_cursor: Callback<K>,
    /// A person opened (true) or closed what is beneath a line.
    pub on_fold: Callback<(K, bool)>,
}

/// The table.
#[component]
pub fn Table<K>(
    /// What it shows and tells.
    model: TableModel<K>,
    /// Shown instead of lines when there are none.
    #[prop(into)]
    empty: ViewFn,
) -> impl IntoView
where
    K: Key,
{
    let id = unique_id();
    let columns = model.columns;
    let chosen = model.chosen;
    let (scroller, body) = (NodeRef::<Div>::new(), NodeRef::<Div>::new());
    let (across, height) = size_of(scroller);
    let indent = model.indent;
    // Of the page, not of the table: it may be narrow beside the inspector.
    let narrow = Memo::new(move |_| {
        across.track();
        narrow_page()
    });
    let shown = Memo::new(move |_| match chosen.get() {
        Some(ids) => shown_columns(columns, &ids),
        // Not measured yet.
        None if across.get() == 0.0 => shown_columns(columns, &[]),
        None => {
            let room = across.get() / rem_px() / UNIT_REM - SIDES - f64::from(indent.get());
            fitting(shown_columns(columns, &[]), room, narrow.get())
        }
    });
    let pilot = Pilot::new(&model, shown, if coarse_pointer() { COARSE_ROW_PX } else { ROW_PX });
    let lines = pilot.lines;
    let row_px = pilot.row_px;
    let count = Memo::new(move |_| lines.with(|l| l.len()));
    let slots = Memo::new(move |_| slots_for(height.get(), row_px));
    let first = Memo::new(move |_| first_row(pilot.scroll.get(), row_px, count.get(), slots.get()));
    run_painter(&model, pilot, shown, body, (slots, first), id.clone());
    Effect::new(move |_| {
        if let Some(element) = scroller.get() {
            pilot.attach(element);
        }
    });

    let label = model.label;
    let active = {
        let id = id.clone();
        move || pilot.cursor_line().map(|at| format!("{id}-{}", at % slots.get().max(1)))
    };
    let phone = move || narrow.get() && chosen.with(Option::is_none);
    let rule = move || shown.with(|c| template(c, phone(), indent.get()));
    // Columns that a person chose may need more than there is: then it scrolls.
    let least = move || {
        let columns = shown.with(|c| c.iter().map(|c| f64::from(c.width)).sum::<f64>());
        let units = if phone() { 0.0 } else { columns + f64::from(indent.get()) + SIDES };
        format!("{:.2}rem", units * UNIT_REM)
    };
    view! {
        <div
            class="table"
            class:held=move || pilot.held.get()
            role="grid"
            tabindex="0"
            aria-label=label
            aria-rowcount=move || count.get() + 1
            aria-colcount=move || shown.with(Vec::len)
            aria-activedescendant=active
            style:--columns=rule
            style:--width=least
            style:--row=format!("{row_px}px")
            on:keydown=move |event| pilot.key(&event)
        >
            <div class="table-scroll" tabindex="-1" node_ref=scroller on:scroll=move |_| pilot.scrolled()>
                <Head columns=shown order=model.order on_order=pilot.on_order />
                <div
                    class="table-body"
                    role="rowgroup"
                    node_ref=body
                    style:height=move || format!("{}px", count.get() as f64 * row_px)
                    on:click=move |event| pilot.click(&event)
                    on:pointermove=move |_| pilot.pointed()
                    on:pointerleave=move |_| pilot.left()
                ></div>
                <Show when=move || count.get() == 0>
                    <div class="table-empty">{empty.run()}</div>
                </Show>
            </div>
            <div class="table-told" role="status">{move || pilot.told.get()}</div>
        </div>
    }
}

fn unique_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("table{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Keeps the rows in the page as the lines, the window, the selection and the cursor say.
fn run_painter<K>(
    model: &TableModel<K>,
    pilot: Pilot<K>,
    shown: Memo<Vec<&'static Column>>,
    body: NodeRef<Div>,
    (slots, first): (Memo<usize>, Memo<usize>),
    id: String,
) where
    K: Key,
{
    let (paint, selected, painter) = (Arc::clone(&model.paint), model.selected, pilot.painter);
    Effect::new(move |before: Option<Lines<K>>| {
        let lines = pilot.lines.get();
        let (slots, first, columns) = (slots.get(), first.get(), shown.get());
        let (selected, cursor) = (selected.get(), pilot.cursor.get());
        let Some(body) = body.get() else { return lines };
        painter.update_value(|painter| {
            let painter = painter.get_or_insert_with(|| Painter::new(body.into(), id.clone()));
            painter.fit(slots, &columns);
            painter.paint(&Frame {
                lines: &lines,
                first,
                row_px: pilot.row_px,
                selected: selected.as_ref(),
                cursor: cursor.as_ref(),
                fresh: before.is_none_or(|b| !Arc::ptr_eq(&b, &lines)),
                paint: &*paint,
            });
        });
        lines
    });
}
