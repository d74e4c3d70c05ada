//! The processes: as a table, as a tree or by container; with what lived too short for a tick beneath.

mod columns;
mod exited;
mod lines;
mod record;

use std::collections::HashSet;
use std::sync::Arc;

use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::lookup::{container_name, container_names};
use crate::store::scoreboard::counts_text;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::segments::{Segments, Toggle};
use crate::widget::table::{Cell, Column, ColumnChooser, Line, Table, TableModel};

use columns::COLUMNS;
use lines::{Arranged, LineKey, Shape, Wanted, arrange};
use record::{FIELDS, Row, rows};

const TOPICS: &[Topic] = &[Topic::Process, Topic::ProcessStat, Topic::Container];
const SHAPES: &[(&str, &str)] = &[("", "Table"), ("tree", "Tree"), ("container", "By container")];

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let kernel = choice.param("kernel");
    let closed = RwSignal::new(HashSet::<LineKey>::new());
    let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, &FIELDS)));
    let shape = Memo::new(move |_| Shape::from_name(choice.group.get().as_deref()));
    let order = Memo::new(move |_| match choice.sort.get() {
        Some(sort) => (sort.column, sort.descending),
        None => (shape.get().own_order().0.to_owned(), shape.get().own_order().1),
    });
    let arranged = Memo::new_with_compare(
        move |_| {
            let order = order.get();
            let (shape, kernel) = (shape.get(), kernel.with(Option::is_some));
            let now = store.now_nanos();
            Arc::new(query.with(|(query, _)| {
                closed.with(|closed| {
                    store.read(TOPICS, |s| {
                        let names = container_names(s);
                        let wanted = Wanted { shape, query, kernel, order: (&order.0, order.1), closed };
                        arrange(rows(s, &names, now), &wanted)
                    })
                })
            }))
        },
        |_, _| true,
    );
    let model = TableModel {
        label: "Processes",
        columns: &COLUMNS,
        chosen: choice.columns,
        indent: Signal::derive(move || if shape.get() == Shape::Tree { 96 } else { 0 }),
        lines: Memo::new_with_compare(move |_| Arc::new(arranged.with(|a| a.lines.clone())), |_, _| true)
            .into(),
        paint: Arc::new(move |line: &Line<LineKey>, columns: &[&'static Column]| {
            paint(store, arranged, line, columns)
        }),
        order: Signal::derive(move || Some(order.get())),
        on_order: Callback::new(move |(column, descending)| {
            choice.set_sort(Some(Sort { column, descending }))
        }),
        selected: Signal::derive(move || selected_line(choice)),
        on_select: Callback::new(move |key| choice.select(selection(key))),
        on_cursor: Callback::new(move |key| follow(choice, key)),
        on_fold: Callback::new(move |(key, open)| {
            closed.update(|closed| {
                let _ = if open { closed.remove(&key) } else { closed.insert(key) };
            });
        }),
    };
    view! {
        <div class="view processes">
            {toolbar(choice, query, arranged)}
            <Table model=model empty=move || view! { <p>{move || why_empty(store, arranged)}</p> } />
            {totals(arranged)}
            {exited::strip()}
        </div>
    }
    .into_any()
}

fn toolbar(choice: Choice, query: Memo<Parsed>, arranged: Memo<Arc<Arranged>>) -> impl IntoView {
    let kernel = choice.param("kernel");
    view! {
        <div class="toolbar">
            {filter_box(choice, "container:web state:D cpu>5 -user:root", &FIELDS, query)}
            <Segments
                label="Arrangement"
                options=SHAPES
                value=Signal::derive(move || choice.group.get().unwrap_or_default())
                on_choose=Callback::new(move |id: &str| choice.set_group((!id.is_empty()).then(|| id.to_owned())))
            />
            <Toggle
                text=Signal::derive(move || format!("{} kernel threads", arranged.with(|a| a.kernel)))
                title="Show the kernel's own threads, which belong to no container"
                on=Signal::derive(move || kernel.with(Option::is_some))
                on_switch=Callback::new(move |on: bool| choice.set_param("kernel", on.then(|| "1".to_owned())))
            />
            <ColumnChooser
                all=&COLUMNS
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        </div>
    }
}

fn totals(arranged: Memo<Arc<Arranged>>) -> impl IntoView {
    let shown = move || arranged.with(|a| unit::count(a.shown as u64));
    let of = move || arranged.with(|a| unit::count((a.total - a.kernel) as u64));
    let states = move || arranged.with(|a| counts_text(&a.states));
    let threads = move || arranged.with(|a| unit::count(a.threads));
    let out = move || {
        arranged.with(|a| {
            let hidden = a.total.saturating_sub(a.kernel).saturating_sub(a.shown);
            if hidden > 0 { format!("{} filtered out", unit::count(hidden as u64)) } else { String::new() }
        })
    };
    view! {
        <p class="totals">
            <span><b>{shown}</b>" of "{of}" processes"</span>
            <span class="code">{states}</span>
            <span>{threads}" threads"</span>
            <span class="filtered">{out}</span>
        </p>
    }
}

fn paint(
    store: Store,
    arranged: Memo<Arc<Arranged>>,
    line: &Line<LineKey>,
    columns: &[&'static Column],
) -> Vec<Cell> {
    match &line.key {
        LineKey::Process(key) => store.with(|s| {
            let Some(who) = s.process.get(key) else { return vec![Cell::default(); columns.len()] };
            let name = who.container.as_deref().map(|id| container_name(s, id));
            let row = Row {
                key: *key,
                who,
                does: s.process_stat.get(key).map(|d| &**d),
                container: name.as_deref(),
                now: store.now_nanos(),
            };
            columns::cells(s, &row, zone_offset_nanos(), columns)
        }),
        LineKey::Group(id) => {
            let name = match id {
                Some(id) => store.with(|s| container_name(s, id)),
                None => "host (no container)".into(),
            };
            let text = arranged.with_untracked(|a| match a.groups.get(id) {
                Some(sums) => format!(
                    "{name}   {} {} · cpu {} · rss {}",
                    sums.processes,
                    if sums.processes == 1 { "process" } else { "processes" },
                    unit::percent(sums.cpu_ratio),
                    unit::bytes(sums.rss_bytes)
                ),
                None => name,
            });
            let mut cells = vec![Cell::default(); columns.len()];
            if let Some(first) = cells.first_mut() {
                *first = Cell::new(text);
            }
            cells
        }
    }
}

fn why_empty(store: Store, arranged: Memo<Arc<Arranged>>) -> String {
    arranged.with(|a| {
        if a.total > 0 {
            format!(
                "None of {} processes passes the filter. Esc in its box empties it.",
                unit::count(a.total as u64)
            )
        } else if store.is_fresh(Topic::Process) {
            "The agent sees no process at all: its /proc is not the host's, or it is mounted with hidepid. \
             In a container, run it with --pid host."
                .into()
        } else {
            "Waiting for the first reading of /proc.".into()
        }
    })
}

fn selection(key: LineKey) -> Option<Selection> {
    match key {
        LineKey::Process(key) => Some(Selection::Process(key)),
        LineKey::Group(id) => id.map(Selection::Container),
    }
}

fn selected_line(choice: Choice) -> Option<LineKey> {
    choice.selected.with(|s| s.as_ref().and_then(Selection::process)).map(LineKey::Process)
}

/// With the inspector open it follows the cursor; closed, it stays closed.
fn follow(choice: Choice, key: LineKey) {
    if choice.selected.with_untracked(Option::is_some)
        && let Some(selection) = selection(key)
    {
        choice.move_selection(selection);
    }
}
