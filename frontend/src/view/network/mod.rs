//! The network: links, neighbours, routes and namespaces of the host and all its containers.

mod link;
mod neighbour;
mod netns;
mod port;
mod route;
mod rule;
mod sheet;
mod translation;

use std::sync::Arc;

use glasshull_shared::domain::network::LinkKey as Link;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::store::{nat, network};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

use sheet::{LineKey, Sheet};

static SHEETS: [&Sheet; 7] = [
    &link::SHEET,
    &neighbour::SHEET,
    &route::SHEET,
    &netns::SHEET,
    &port::SHEET,
    &rule::SHEET,
    &translation::SHEET,
];
const NAMES: &[(&str, &str)] = &[
    ("", "Links"),
    ("neighbours", "Neighbours"),
    ("routes", "Routes"),
    ("namespaces", "Namespaces"),
    ("ports", "Ports"),
    ("nat", "NAT"),
    ("translations", "Translations"),
];

type Arranged = (Arc<Vec<Line<LineKey>>>, usize);

/// The view.
pub(super) fn render() -> AnyView {
    let choice = use_choice();
    let table = choice.param("table");
    let chosen = move || table.with(|t| SHEETS.iter().position(|s| Some(s.id) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| SHEETS.get(at).map(|sheet| untrack(|| page(sheet)));
    view! {
        <div class="view network">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet) -> AnyView {
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
        selected: Signal::derive(move || selected_line(store, choice, arranged)),
        on_select: Callback::new(move |key| {
            if let Some(selection) = store.with(|s| selection(s, &key)) {
                choice.select(Some(selection));
            }
        }),
        on_cursor: Callback::new(move |key| follow(store, choice, &key)),
        on_fold: Callback::new(|_| {}),
    };
    view! {
        {toolbar(choice, sheet, query)}
        <Table model=model empty=move || view! { <p>{move || why_empty(store, sheet, arranged)}</p> } />
        {totals(sheet, arranged)}
    }
    .into_any()
}

fn toolbar(choice: Choice, sheet: &'static Sheet, query: Memo<Parsed>) -> impl IntoView {
    view! {
        <div class="toolbar">
            {filter_box(choice, sheet.placeholder, sheet.fields, query)}
            <Segments
                label="Table"
                options=NAMES
                value=Signal::stored(sheet.id.to_owned())
                on_choose=Callback::new(move |id: &str| {
                    choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
                })
            />
            <ColumnChooser
                all=sheet.columns
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        </div>
    }
}

fn totals(sheet: &'static Sheet, arranged: Memo<Arranged>) -> impl IntoView {
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

fn why_empty(store: Store, sheet: &'static Sheet, arranged: Memo<Arranged>) -> String {
    if arranged.with(|a| a.1 > 0) {
        return "Nothing passes the filter. Esc in its box empties it.".into();
    }
    let why = if sheet.of_nat() { nat::trouble } else { network::trouble };
    store.read(&[Topic::Source], why).unwrap_or_else(|| sheet.empty.to_owned())
}

/// What a line leads to: its link; a namespace to its container.
fn selection(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    match key {
        LineKey::Link(key) => Some(Selection::Link(*key)),
        LineKey::Neighbour(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Route(key) if key.ifindex == 0 => None,
        LineKey::Route(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Port(key) => key.container.clone().map(Selection::Container),
        LineKey::Rule(key) => s.nat_rule.get(key)?.container.clone().map(Selection::Container),
        LineKey::Translation(key) => s.translation.get(key)?.container.clone().map(Selection::Container),
        LineKey::Netns(key) => {
            let row = s.netns.get(key)?;
            if row.host {
                Some(Selection::Host)
            } else {
                row.containers.first().cloned().map(Selection::Container)
            }
        }
    }
}

/// The first line that leads to what is selected.
fn selected_line(store: Store, choice: Choice, arranged: Memo<Arranged>) -> Option<LineKey> {
    let wanted = choice.selected.get()?;
    if let Selection::Link(key) = wanted
        && arranged.with(|a| a.0.first().is_some_and(|line| matches!(line.key, LineKey::Link(_))))
    {
        return Some(LineKey::Link(key));
    }
    arranged.with(|a| {
        let leads = |line: &&Line<LineKey>| store.with(|s| selection(s, &line.key)).as_ref() == Some(&wanted);
        a.0.iter().find(leads).map(|line| line.key.clone())
    })
}

/// With the inspector open it follows the cursor; closed, it stays closed.
fn follow(store: Store, choice: Choice, key: &LineKey) {
    if choice.selected.with_untracked(Option::is_some)
        && let Some(selection) = store.with(|s| selection(s, key))
    {
        choice.move_selection(selection);
    }
}
