//! Namespaces: a matrix of how far each container is apart from the host, and all namespaces there are with what keeps them
//! alive.

mod all;
mod matrix;

use std::sync::Arc;

use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::sheet::Sheet;
use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::lookup::process_of_pid;
use crate::store::namespace::{Subject, meaning};
use crate::store::network::trouble_of;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

static SHEETS: [&Sheet<LineKey>; 2] = [&matrix::SHEET, &all::SHEET];
const NAMES: &[(&str, &str)] = &[("", "Matrix"), ("all", "All namespaces")];

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Subject(Subject),
    Namespace(NamespaceKey),
}

type Arranged = (Arc<Vec<Line<LineKey>>>, usize);

/// The view.
pub(super) fn render() -> AnyView {
    let choice = use_choice();
    let table = choice.param("table");
    let chosen = move || table.with(|t| SHEETS.iter().position(|s| Some(s.id) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| untrack(|| page(SHEETS.get(at).copied().unwrap_or(&matrix::SHEET)));
    view! {
        <div class="view namespace">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet<LineKey>) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(sheet.topics);
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
                store.read(sheet.topics, |s| {
                    let (keys, all) = sheet.arrange(s, filtered.then_some(query), (&order.0, order.1));
                    (Arc::new(keys.into_iter().map(Line::row).collect()), all)
                })
            })
        },
        |_, _| true,
    );
    // Several lines may lead to the same thing.
    let picked = RwSignal::new(None::<LineKey>);
    let model = TableModel {
        label: sheet.title,
        columns: sheet.columns,
        chosen: choice.columns,
        indent: Signal::stored(0),
        lines: Memo::new_with_compare(move |_| arranged.with(|a| Arc::clone(&a.0)), |_, _| true).into(),
        paint: Arc::new(move |line: &Line<LineKey>, columns: &[&'static Column]| {
            store.with(|s| sheet.cells(s, &line.key, columns))
        }),
        order: Signal::derive(move || Some(order.get())),
        on_order: Callback::new(move |(column, descending)| {
            choice.set_sort(Some(Sort { column, descending }))
        }),
        selected: Signal::derive(move || selected_line(store, choice, arranged, picked.get())),
        on_select: Callback::new(move |key: LineKey| {
            if let Some(leads) = leads_to(store, &key) {
                picked.set(Some(key));
                choice.select(Some(leads));
            }
        }),
        on_cursor: Callback::new(move |key: LineKey| {
            if choice.selected.with_untracked(Option::is_some)
                && let Some(leads) = leads_to(store, &key)
            {
                picked.set(Some(key));
                choice.move_selection(leads);
            }
        }),
        on_fold: Callback::new(|_| {}),
    };
    view! {
        {toolbar(choice, sheet, query)}
        <Table model=model empty=move || view! { <p>{move || why_empty(store, sheet, arranged)}</p> } />
        {totals(sheet, arranged)}
        {sheet.id.is_empty().then(legend)}
    }
    .into_any()
}

/// What each column of the matrix isolates, how it is switched off, and what that costs.
fn legend() -> impl IntoView {
    let kind = |kind: NamespaceKind| {
        let told = meaning(kind);
        view! {
            <tr>
                <th scope="row"><code>{kind.name()}</code></th>
                <td>{told.isolates}</td>
                <td><code>{told.flag}</code></td>
                <td>{told.cost}</td>
            </tr>
        }
    };
    view! {
        <details class="ns-legend">
            <summary>"What the columns mean: ● own, ○ the host's, ◐ shared, the same letter is the same namespace"</summary>
            <table class="plain">
                <thead>
                    <tr>
                        <th>"kind"</th>
                        <th>"keeps apart"</th>
                        <th>"switched off by"</th>
                        <th>"and then"</th>
                    </tr>
                </thead>
                <tbody>{NamespaceKind::ALL.map(kind).collect_view()}</tbody>
            </table>
        </details>
    }
}

fn toolbar(choice: Choice, sheet: &'static Sheet<LineKey>, query: Memo<Parsed>) -> impl IntoView {
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

fn totals(sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> impl IntoView {
    let shown = move || arranged.with(|a| unit::count(a.0.len() as u64));
    let all = move || arranged.with(|a| format!(" of {} {}", unit::count(a.1 as u64), sheet.noun));
    let out = move || {
        let hidden = arranged.with(|a| a.1 - a.0.len());
        if hidden > 0 { format!("{} filtered out", unit::count(hidden as u64)) } else { String::new() }
    };
    view! {
        <p class="totals">
            <span><b>{shown}</b>{all}</span>
            <span class="filtered">{out}</span>
        </p>
    }
}

fn why_empty(store: Store, sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> String {
    if arranged.with(|a| a.1 > 0) {
        return "Nothing passes the filter. Esc in its box empties it.".into();
    }
    store
        .read(&[Topic::Source], |s| trouble_of(s, *sheet.topics.first()?))
        .unwrap_or_else(|| sheet.empty.to_owned())
}

fn leads_to(store: Store, key: &LineKey) -> Option<Selection> {
    match key {
        LineKey::Subject(subject) => match &subject.container {
            Some(id) => Some(Selection::Container(id.clone())),
            None => store.with(|s| process_of_pid(s, subject.group?).map(|(key, _)| Selection::Process(key))),
        },
        LineKey::Namespace(key) => Some(Selection::Namespace(*key)),
    }
}

/// The line a person chose, while it leads to what is selected; else the first line that does.
fn selected_line(
    store: Store,
    choice: Choice,
    arranged: Memo<Arranged>,
    picked: Option<LineKey>,
) -> Option<LineKey> {
    let wanted = choice.selected.get()?;
    let leads = |key: &LineKey| leads_to(store, key).as_ref() == Some(&wanted);
    if picked.as_ref().is_some_and(leads) {
        return picked;
    }
    arranged.with(|a| a.0.iter().find(|line| leads(&line.key)).map(|line| line.key.clone()))
}
