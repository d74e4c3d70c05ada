//! Limits: what each container may use and uses, the tree of control groups with its freezers, and whom the kernel killed for
//! memory.

mod kill;
mod limit;
mod sheet;
mod tree;

use std::collections::HashSet;
use std::sync::Arc;

use glasshull_shared::domain::cgroup::CgroupKey;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::network::trouble_of;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

use sheet::{Arranged, LineKey, Sheet};

static SHEETS: [&Sheet; 3] = [&limit::SHEET, &tree::SHEET, &kill::SHEET];
const NAMES: &[(&str, &str)] = &[("", "Containers"), ("tree", "Tree"), ("kills", "OOM kills")];

/// The view.
pub(super) fn render() -> AnyView {
    let table = use_choice().param("table");
    let chosen = move || table.with(|t| SHEETS.iter().position(|s| Some(s.id) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| SHEETS.get(at).map(|sheet| untrack(|| page(sheet)));
    view! {
        <div class="view limits">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(sheet.topics);
    let closed = RwSignal::new(HashSet::<LineKey>::new());
    let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, sheet.fields)));
    let order = Memo::new(move |_| {
        let own = (sheet.order.0.to_owned(), sheet.order.1);
        choice.sort.get().map_or(own, |s| (s.column, s.descending))
    });
    let arranged: Memo<Arranged> = Memo::new_with_compare(
        move |_| {
            let order = order.get();
            let filtered = choice.filter.with(|f| !f.trim().is_empty());
            query.with(|(query, _)| {
                closed.with(|closed| {
                    let query = filtered.then_some(query);
                    store.read(sheet.topics, |s| sheet.arrange(s, query, (&order.0, order.1), closed))
                })
            })
        },
        |_, _| true,
    );
    let picked = RwSignal::new(None::<LineKey>);
    let model = TableModel {
        label: sheet.title,
        columns: sheet.columns,
        chosen: choice.columns,
        indent: Signal::stored(if sheet.tree { 96 } else { 0 }),
        lines: Memo::new_with_compare(move |_| arranged.with(|a| Arc::clone(&a.lines)), |_, _| true).into(),
        paint: Arc::new(move |line: &Line<LineKey>, columns: &[&'static Column]| {
            store.with(|s| sheet.cells(s, &line.key, columns))
        }),
        order: Signal::derive(move || Some(order.get())),
        on_order: Callback::new(move |(column, descending)| {
            choice.set_sort(Some(Sort { column, descending }))
        }),
        selected: Signal::derive(move || selected_line(store, choice, arranged, picked.get())),
        on_select: Callback::new(move |key: LineKey| {
            if let Some(container) = store.with(|s| container_of(s, &key)) {
                picked.set(Some(key));
                choice.select(Some(Selection::Container(container)));
            }
        }),
        on_cursor: Callback::new(move |key: LineKey| {
            // With the inspector open it follows the cursor; closed, it stays closed.
            if choice.selected.with_untracked(Option::is_some)
                && let Some(container) = store.with(|s| container_of(s, &key))
            {
                picked.set(Some(key));
                choice.move_selection(Selection::Container(container));
            }
        }),
        on_fold: Callback::new(move |(key, open)| {
            closed.update(|closed| {
                let _ = if open { closed.remove(&key) } else { closed.insert(key) };
            });
        }),
    };
    view! {
        {toolbar(choice, sheet, query)}
        <Table model=model empty=move || view! { <p>{move || why_empty(store, sheet, arranged)}</p> } />
        {totals(store, sheet, arranged)}
    }
    .into_any()
}

fn toolbar(choice: Choice, sheet: &'static Sheet, query: Memo<Parsed>) -> impl IntoView {
    let choose = move |id: &str| choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
    view! {
        <div class="toolbar">
            {filter_box(choice, sheet.placeholder, sheet.fields, query)}
            <Segments
                label="Table"
                options=NAMES
                value=Signal::stored(sheet.id.to_owned())
                on_choose=Callback::new(choose)
            />
            <ColumnChooser
                all=sheet.columns
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        </div>
    }
}

/// Counts, and what cannot be seen here and would be with a permission.
fn totals(store: Store, sheet: &'static Sheet, arranged: Memo<Arranged>) -> impl IntoView {
    let shown = move || arranged.with(|a| unit::count(a.passed as u64));
    let all = move || arranged.with(|a| format!(" of {} {}", unit::count(a.all as u64), sheet.noun));
    let out = move || {
        let hidden = arranged.with(|a| a.all - a.passed);
        if hidden > 0 { format!("{} filtered out", unit::count(hidden as u64)) } else { String::new() }
    };
    let hidden = move || {
        let topic = sheet.topics.first().copied()?;
        store.read(&[Topic::Source], |s| trouble_of(s, topic)).filter(|_| arranged.with(|a| a.all > 0))
    };
    view! {
        <p class="totals">
            <span><b>{shown}</b>{all}</span>
            <span class="filtered">{out}</span>
            <span class="missed">{hidden}</span>
        </p>
    }
}

fn why_empty(store: Store, sheet: &'static Sheet, arranged: Memo<Arranged>) -> String {
    if arranged.with(|a| a.all > 0) {
        return "Nothing passes the filter. Esc in its box empties it.".into();
    }
    store.why_none(sheet.topics, sheet.empty)
}

/// What a line leads to.
fn container_of(s: &Snapshot, key: &LineKey) -> Option<String> {
    let id = match key {
        LineKey::Container(id) => Some(id.clone()),
        LineKey::Group(path) => s.cgroup.get(&CgroupKey { path: path.clone() })?.container.clone(),
        LineKey::Kill(key) => s.oom_kill.get(key)?.container.clone(),
    };
    id.filter(|id| s.container.contains_key(&ContainerKey { id: id.clone() }))
}

/// The line a person chose, while it leads to what is selected; else the first that does.
fn selected_line(
    store: Store,
    choice: Choice,
    arranged: Memo<Arranged>,
    picked: Option<LineKey>,
) -> Option<LineKey> {
    let Some(Selection::Container(wanted)) = choice.selected.get() else { return None };
    let leads = |key: &LineKey| store.with(|s| container_of(s, key)).as_ref() == Some(&wanted);
    if picked.as_ref().is_some_and(leads) {
        return picked;
    }
    arranged.with(|a| a.lines.iter().find(|line| leads(&line.key)).map(|line| line.key.clone()))
}
