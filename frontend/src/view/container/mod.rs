//! The containers: what they are, how they are and what they use of what they may.

mod columns;
mod empty;
mod place;
mod record;

use std::collections::HashSet;
use std::sync::Arc;

use glasshull_shared::domain::container::{ContainerKey, ContainerState};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::{Segments, Toggle};
use crate::widget::table::{Cell, Column, ColumnChooser, Line, Table, TableModel};

use columns::COLUMNS;
use place::pod_name;
use record::{Arranged, FIELDS, LineKey, Shape, Wanted, arrange, row, rows};

const TOPICS: &[Topic] = &[Topic::Container, Topic::ContainerStat];
const SHAPES: &[(&str, &str)] = &[("", "Table"), ("project", "By project"), ("pod", "By pod")];

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let closed = RwSignal::new(HashSet::<LineKey>::new());
    let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, &FIELDS)));
    let hidden = choice.param("stopped");
    let order = Memo::new(move |_| {
        choice.sort.get().map_or(("name".to_owned(), false), |s| (s.column, s.descending))
    });
    let arranged = Memo::new_with_compare(
        move |_| {
            // Ages and uptimes count on even when nothing else changes.
            let now = store.tick().get().at;
            let shape = Shape::from_name(choice.group.get().as_deref());
            let stopped = hidden.with(Option::is_none);
            let order = order.get();
            Arc::new(query.with(|(query, _)| {
                closed.with(|closed| {
                    let wanted = Wanted { shape, stopped, query, order: (&order.0, order.1), closed };
                    store.read(TOPICS, |s| arrange(rows(s, now), &wanted))
                })
            }))
        },
        |_, _| true,
    );
    let model = TableModel {
        label: "Containers",
        columns: &COLUMNS,
        chosen: choice.columns,
        indent: Signal::stored(0),
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
        on_select: Callback::new(move |key| {
            if let LineKey::Container(id) = key {
                choice.select(Some(Selection::Container(id)));
            }
        }),
        on_cursor: Callback::new(move |key| follow(choice, key)),
        on_fold: Callback::new(move |(key, open)| {
            closed.update(|closed| {
                let _ = if open { closed.remove(&key) } else { closed.insert(key) };
            });
        }),
    };
    let none = Memo::new(move |_| arranged.with(|a| a.total == 0));
    view! {
        <div class="view containers">
            {toolbar(choice, query, arranged)}
            <Table
                model=model
                empty=move || view! {
                    {move || if none.get() {
                        empty::no_containers(store).into_any()
                    } else {
                        view! { <p>"No container passes the filter. Esc in its box empties it."</p> }.into_any()
                    }}
                }
            />
            {totals(arranged)}
        </div>
    }
    .into_any()
}

fn toolbar(choice: Choice, query: Memo<Parsed>, arranged: Memo<Arc<Arranged>>) -> impl IntoView {
    let hidden = choice.param("stopped");
    view! {
        <div class="toolbar">
            {filter_box(choice, "project:shop state:running cpu>50 image:nginx", &FIELDS, query)}
            <Segments
                label="Arrangement"
                options=SHAPES
                value=Signal::derive(move || choice.group.get().unwrap_or_default())
                on_choose=Callback::new(move |id: &str| choice.set_group((!id.is_empty()).then(|| id.to_owned())))
            />
            <Toggle
                text=Signal::derive(move || format!("{} stopped", arranged.with(|a| a.stopped)))
                title="Show containers that do not run"
                on=Signal::derive(move || hidden.with(Option::is_none))
                on_switch=Callback::new(move |on: bool| choice.set_param("stopped", (!on).then(|| "no".to_owned())))
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
    let count = move |f: fn(&Arranged) -> usize| arranged.with(|a| unit::count(f(a) as u64));
    let states = move || {
        let up = |(state, n): (&ContainerState, &usize)| format!("{n} {}", state.name());
        arranged.with(|a| {
            let stopped = (a.stopped > 0).then(|| format!("{} stopped", a.stopped));
            a.up.iter().map(up).chain(stopped).collect::<Vec<_>>().join(" · ")
        })
    };
    let out = move || {
        let hidden = arranged.with(|a| a.total - a.passed);
        if hidden > 0 { format!("{} filtered out", unit::count(hidden as u64)) } else { String::new() }
    };
    view! {
        <p class="totals">
            <span><b>{move || count(|a| a.passed)}</b>" of "{move || count(|a| a.total)}" containers"</span>
            <span>{states}</span>
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
        LineKey::Container(id) => store.with(|s| {
            let key = ContainerKey { id: id.clone() };
            let Some(who) = s.container.get(&key) else { return vec![Cell::default(); columns.len()] };
            store.history(|h| columns::cells(&row(s, &key, who, store.now_nanos()), h, columns))
        }),
        LineKey::Project(name) => {
            let count = arranged.with_untracked(|a| a.projects.get(name).copied().unwrap_or_default());
            heading(name.as_deref().unwrap_or("no compose project"), count, columns.len())
        }
        LineKey::Pod(pod) => store.with(|s| {
            let count = arranged.with_untracked(|a| a.pods.get(pod).copied().unwrap_or_default());
            let all: Vec<_> = rows(s, 0).collect();
            heading(&format!("pod {}", pod_name(pod, all.iter())), count, columns.len())
        }),
    }
}

/// The cells of a line above several containers.
fn heading(name: &str, count: usize, columns: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); columns];
    if let Some(first) = cells.first_mut() {
        let noun = if count == 1 { "container" } else { "containers" };
        *first = Cell::new(format!("{}   {count} {noun}", unit::printable(name)));
    }
    cells
}

fn selected_line(choice: Choice) -> Option<LineKey> {
    choice.selected.with(|s| match s {
        Some(Selection::Container(id)) => Some(LineKey::Container(id.clone())),
        Some(
            Selection::Process(_)
            | Selection::Engine(_)
            | Selection::Link(_)
            | Selection::Namespace(_)
            | Selection::Device(_)
            | Selection::Host,
        )
        | None => None,
    })
}

/// With the inspector open it follows the cursor; closed, it stays closed.
fn follow(choice: Choice, key: LineKey) {
    if let (true, LineKey::Container(id)) = (choice.selected.with_untracked(Option::is_some), key) {
        choice.move_selection(Selection::Container(id));
    }
}
