//! The network: links, talkers and their matrix, neighbours, routes and namespaces of the host and all its containers.

mod closed;
mod link;
mod matrix;
mod neighbour;
mod netns;
mod path;
mod port;
mod route;
mod rule;
mod sheet;
mod socket;
mod talker;
mod translation;

use std::sync::Arc;

use glasshull_shared::domain::network::LinkKey as Link;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Parsed, capture_line, filter_box};
use crate::store::filter::Query;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

use sheet::{LineKey, Sheet};

static SHEETS: [&Sheet; 11] = [
    &link::SHEET,
    &path::SHEET,
    &talker::SHEET,
    &socket::SHEET,
    &closed::SHEET,
    &port::SHEET,
    &rule::SHEET,
    &translation::SHEET,
    &neighbour::SHEET,
    &route::SHEET,
    &netns::SHEET,
];
const NAMES: &[(&str, &str)] = &[
    ("", "Links"),
    ("paths", "Paths"),
    ("talkers", "Talkers"),
    (matrix::ID, "Matrix"),
    ("sockets", "Sockets"),
    ("closed", "Closed"),
    ("ports", "Ports"),
    ("nat", "NAT"),
    ("translations", "Translations"),
    ("neighbours", "Neighbours"),
    ("routes", "Routes"),
    ("namespaces", "Namespaces"),
];
/// What is drawn: a table of [`SHEETS`], or this.
const MATRIX: usize = usize::MAX;

type Arranged = (Arc<Vec<Line<LineKey>>>, usize);

/// The view.
pub(super) fn render() -> AnyView {
    let choice = use_choice();
    let table = choice.param("table");
    let chosen = move || {
        table.with(|t| match t.as_deref() {
            Some(matrix::ID) => MATRIX,
            id => SHEETS.iter().position(|s| Some(s.id) == id).unwrap_or(0),
        })
    };
    let draw = |at: usize| match SHEETS.get(at) {
        Some(sheet) => untrack(|| page(sheet)),
        None => untrack(matrix::page),
    };
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
            if let Some(selection) = store.with(|s| selection(s, &key)) {
                picked.set(Some(key));
                choice.select(Some(selection));
            }
        }),
        on_cursor: Callback::new(move |key: LineKey| {
            if follow(store, choice, &key) {
                picked.set(Some(key));
            }
        }),
        on_fold: Callback::new(|_| {}),
    };
    view! {
        {toolbar(choice, sheet, query)}
        {(sheet.id == talker::SHEET.id).then(|| capture_line(store))}
        <Table model=model empty=move || view! { <p>{move || why_empty(store, sheet, arranged)}</p> } />
        {totals(sheet, arranged)}
    }
    .into_any()
}

fn toolbar(choice: Choice, sheet: &'static Sheet, query: Memo<Parsed>) -> impl IntoView {
    view! {
        <div class="toolbar">
            {filter_box(choice, sheet.placeholder, sheet.fields, query)}
            {tables(choice, sheet.id)}
            <ColumnChooser
                all=sheet.columns
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        </div>
    }
}

/// Which table is shown.
fn tables(choice: Choice, id: &'static str) -> impl IntoView {
    let choose = move |id: &str| choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
    view! {
        <Segments label="Table" options=NAMES value=Signal::stored(id.to_owned()) on_choose=Callback::new(choose) />
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
    store.why_none(sheet.topics, sheet.empty)
}

/// What a line leads to: its link; a namespace to its container; a socket to its process, else to its container.
fn selection(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    match key {
        LineKey::Link(key) => Some(Selection::Link(*key)),
        LineKey::Neighbour(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Route(key) if key.ifindex == 0 => None,
        LineKey::Route(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Socket(key) => {
            let row = s.socket.get(key)?;
            owner(row.pid.zip(row.start_time), row.container.as_ref())
        }
        LineKey::Closed(key) => {
            let row = s.closed_socket.get(key)?;
            // Who closed it may be gone too.
            let lives = |(pid, start_time)| {
                s.socket.values().any(|r| (r.pid, r.start_time) == (Some(pid), Some(start_time)))
            };
            owner(row.pid.zip(row.start_time).filter(|process| lives(*process)), row.container.as_ref())
        }
        LineKey::Flow(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.link_ifindex })),
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

fn owner(process: Option<(u32, u64)>, container: Option<&String>) -> Option<Selection> {
    let process = process.map(|(pid, start_time)| Selection::Process(ProcessKey { pid, start_time }));
    process.or_else(|| container.cloned().map(Selection::Container))
}

/// The line a person chose, while it leads to what is selected; else the first line that leads to what is selected.
fn selected_line(
    store: Store,
    choice: Choice,
    arranged: Memo<Arranged>,
    picked: Option<LineKey>,
) -> Option<LineKey> {
    let wanted = choice.selected.get()?;
    let leads = |key: &LineKey| store.with(|s| selection(s, key)).as_ref() == Some(&wanted);
    if picked.as_ref().is_some_and(leads) {
        return picked;
    }
    if let Selection::Link(key) = wanted
        && arranged.with(|a| a.0.first().is_some_and(|line| matches!(line.key, LineKey::Link(_))))
    {
        return Some(LineKey::Link(key));
    }
    arranged.with(|a| a.0.iter().find(|line| leads(&line.key)).map(|line| line.key.clone()))
}

/// With the inspector open it follows the cursor; closed, it stays closed. True when it did.
fn follow(store: Store, choice: Choice, key: &LineKey) -> bool {
    if choice.selected.with_untracked(Option::is_some)
        && let Some(selection) = store.with(|s| selection(s, key))
    {
        choice.move_selection(selection);
        return true;
    }
    false
}
