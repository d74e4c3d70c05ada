//! DNS: what each name leads to where it is asked, the odd ones on top; all answers with their lifetimes; how each container
//! finds names.

mod matrix;
mod name;
mod resolver;

use std::sync::Arc;

use glasshull_shared::domain::dns::{DnsNameKey, DnsStatus};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use super::sheet::Sheet;
use super::{Parsed, filter_box};
use crate::store::dns::gravity;
use crate::store::filter::Query;
use crate::store::network::trouble_of;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

const NAMES: &[(&str, &str)] = &[("", "Names"), ("answers", "All answers"), ("resolvers", "Resolvers")];

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Name(DnsNameKey),
    /// Of the container with this id.
    Resolver(String),
}

impl LineKey {
    fn selection(&self) -> Selection {
        let (Self::Name(DnsNameKey { container: id, .. }) | Self::Resolver(id)) = self;
        Selection::Container(id.clone())
    }
}

/// Lines that pass the filter, and how many there are.
pub(super) type Arranged = (Arc<Vec<Line<LineKey>>>, usize);

/// The view.
pub(super) fn render() -> AnyView {
    let table = use_choice().param("table");
    let chosen = move || table.with(|t| NAMES.iter().position(|n| Some(n.0) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| untrack(|| page(at));
    view! {
        <div class="view dns">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// One table with what belongs to it.
fn page(at: usize) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let sheet: &'static Sheet<LineKey> = if at == 2 { &resolver::SHEET } else { &name::SHEET };
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
    let empty = move || why_empty(store, sheet, arranged);
    let body = if at == 0 {
        let none = move || arranged.with(|a| a.0.is_empty());
        view! {
            {matrix::panel(store, arranged)}
            {move || none().then(|| view! { <p class="table-empty">{empty}</p> })}
        }
        .into_any()
    } else {
        let model = model(store, choice, sheet, order, arranged);
        view! { <Table model=model empty=move || view! { <p>{empty}</p> } /> }.into_any()
    };
    view! {
        {toolbar(store, choice, at, sheet, query)}
        {body}
        {totals(store, sheet, arranged)}
    }
    .into_any()
}

fn model(
    store: Store,
    choice: Choice,
    sheet: &'static Sheet<LineKey>,
    order: Memo<(String, bool)>,
    arranged: Memo<Arranged>,
) -> TableModel<LineKey> {
    let picked = RwSignal::new(None::<LineKey>);
    TableModel {
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
            choice.set_sort(Some(Sort { column, descending }));
        }),
        selected: Signal::derive(move || {
            let selected = choice.selected.get();
            picked.get().filter(|key| Some(key.selection()) == selected)
        }),
        on_select: Callback::new(move |key: LineKey| {
            choice.select(Some(key.selection()));
            choice.set_tab(Some("names".into()));
            picked.set(Some(key));
        }),
        on_cursor: Callback::new(move |key: LineKey| {
            // With the inspector open it follows the cursor; closed, it stays closed.
            if choice.selected.with_untracked(Option::is_some) {
                choice.move_selection(key.selection());
                picked.set(Some(key));
            }
        }),
        on_fold: Callback::new(|_| {}),
    }
}

fn toolbar(
    store: Store,
    choice: Choice,
    at: usize,
    sheet: &'static Sheet<LineKey>,
    query: Memo<Parsed>,
) -> impl IntoView {
    let choose = move |id: &str| choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
    let chooser = (at > 0).then(|| {
        view! {
            <ColumnChooser
                all=sheet.columns
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        }
    });
    view! {
        <div class="toolbar">
            {filter_box(choice, sheet.placeholder, sheet.fields, query)}
            <Segments
                label="Table"
                options=NAMES
                value=Signal::stored(NAMES.get(at).map_or("", |name| name.0).to_owned())
                on_choose=Callback::new(choose)
            />
            {chooser}
            {again(store)}
        </div>
    }
}

/// Has everything asked again; what came of it stands beside the button.
fn again(store: Store) -> impl IntoView {
    let outcome = RwSignal::new(None::<Signal<Option<Answer>>>);
    let owner = Owner::current();
    let press = move |_| {
        // Asked under the toolbar: the question lives as long as that.
        let ask = || store.ask(Question::NamesAgain);
        outcome.set(Some(owner.as_ref().map_or_else(ask, |owner| owner.with(ask))));
    };
    let said = move || match outcome.get().and_then(|answer| answer.get()) {
        Some(Answer::Failed(why)) => unit::printable(&why),
        Some(
            Answer::Done(_) | Answer::Names(_) | Answer::Process(_) | Answer::Control(_) | Answer::Files(_),
        )
        | None => String::new(),
    };
    // What is asked now is not seen in a recording or in the past.
    let replayed = move || !matches!(store.origin().get(), Origin::Live) || store.rewound().get().is_some();
    view! {
        <button
            type="button"
            class="dns-again"
            title="ask all resolvers now; by itself every 30 seconds and when a container comes or goes"
            disabled=replayed
            on:click=press
        >
            "Ask again"
        </button>
        <span class="missed" role="status">{said}</span>
    }
}

/// Counts, how old the oldest answer is, and what cannot be seen here.
fn totals(store: Store, sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> impl IntoView {
    let shown = move || arranged.with(|a| unit::count(a.0.len() as u64));
    let all = move || arranged.with(|a| format!(" of {} {}", unit::count(a.1 as u64), sheet.noun));
    let odd = move || store.read(&[Topic::DnsName], odd);
    let age = move || {
        let now = store.tick().get().at;
        let asked =
            store.read(&[Topic::DnsName], |s| s.dns_name.values().filter_map(|row| row.asked_at).min());
        asked.map(|at| format!("asked {} ago", unit::duration(now.saturating_sub(at))))
    };
    let hidden = move || {
        let topic = sheet.topics.first().copied()?;
        store.read(&[Topic::Source], |s| trouble_of(s, topic)).filter(|_| arranged.with(|a| a.1 > 0))
    };
    view! {
        <p class="totals">
            <span><b>{shown}</b>{all}</span>
            <span>{odd}</span>
            <span class="dim">{age}</span>
            <span class="missed">{hidden}</span>
        </p>
    }
}

/// How many are odd, how many without an answer, how many still being asked.
fn odd(s: &Snapshot) -> String {
    let count = |is: &dyn Fn(&glasshull_shared::domain::dns::DnsName) -> bool| {
        s.dns_name.values().filter(|row| is(row)).count() as u64
    };
    let parts = [
        (count(&|row| gravity(row) > 0), "odd"),
        (count(&|row| row.status == DnsStatus::NxDomain), "NXDOMAIN"),
        (count(&|row| row.status == DnsStatus::Pending), "being asked"),
    ];
    let told = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", unit::count(*n)));
    told.collect::<Vec<_>>().join(", ")
}

fn why_empty(store: Store, sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> String {
    if arranged.with(|a| a.1 > 0) {
        return "Nothing passes the filter. Esc in its box empties it.".into();
    }
    if !sheet.topics.iter().all(|topic| store.is_fresh(*topic)) {
        return "Reading…".into();
    }
    store
        .read(&[Topic::Source], |s| trouble_of(s, *sheet.topics.first()?))
        .unwrap_or_else(|| sheet.empty.to_owned())
}
