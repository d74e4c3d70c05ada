//! DNS: what each name leads to where it is asked, the odd ones on top; all answers with their lifetimes; how each container
//! finds names; what is asked on the wire, and by whom.

mod client;
mod matrix;
mod name;
mod resolver;
mod seen;

use glasshull_shared::domain::dns::{DnsClientKey, DnsNameKey, DnsSeenKey, DnsStatus};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use super::sheet::{Page, Sheet, pages};
use crate::store::dns::gravity;
use crate::store::flow::capture;
use crate::store::network::trouble_of;
use crate::store::{Selection, Store};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::{Table, TableModel};

const NAMES: &[(&str, &str)] = &[
    ("", "Names"),
    ("answers", "All answers"),
    ("resolvers", "Resolvers"),
    ("seen", "On the wire"),
    ("askers", "Askers"),
];

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Name(DnsNameKey),
    /// Of the container with this id.
    Resolver(String),
    Seen(DnsSeenKey),
    Client(DnsClientKey),
}

impl LineKey {
    /// Its container; `None` for what others ask.
    fn selection(&self, s: &Snapshot) -> Option<Selection> {
        let id = match self {
            Self::Name(DnsNameKey { container: id, .. }) | Self::Resolver(id) => Some(id),
            Self::Seen(key) => s.dns_seen.get(key)?.container.as_ref(),
            Self::Client(key) => s.dns_client.get(key)?.container.as_ref(),
        };
        id.cloned().map(Selection::Container)
    }
}

/// The view.
pub(super) fn render() -> AnyView {
    pages("view dns", NAMES, page)
}

/// One table with what belongs to it.
fn page(id: &'static str) -> AnyView {
    // Nothing is asked where packets are captured, and nothing captured elsewhere.
    let (sheet, captured): (&'static Sheet<LineKey>, bool) = match id {
        "resolvers" => (&resolver::SHEET, false),
        "seen" => (&seen::SHEET, true),
        "askers" => (&client::SHEET, true),
        _ => (&name::SHEET, false),
    };
    let page = Page::open(sheet);
    let Page { store, arranged, .. } = page;
    let empty = move || page.why_empty();
    let is_matrix = id.is_empty();
    let body = if is_matrix {
        let none = move || arranged.with(|a| a.lines.is_empty());
        view! {
            {matrix::panel(store, arranged)}
            {move || none().then(|| view! { <p class="table-empty">{empty}</p> })}
        }
        .into_any()
    } else {
        view! { <Table model=model(page) empty=move || view! { <p>{empty}</p> } /> }.into_any()
    };
    view! {
        {page.toolbar(NAMES, id, !is_matrix, (!captured).then(|| again(store)))}
        {body}
        {if captured { heard(page).into_any() } else { totals(page).into_any() }}
    }
    .into_any()
}

/// The line a person chose is selected as long as its container is; the inspector opens at its names.
fn model(page: Page<LineKey>) -> TableModel<LineKey> {
    let choice = page.choice;
    let picked = RwSignal::new(None::<LineKey>);
    let selected = Signal::derive(move || {
        let selected = choice.selected.get();
        let leads = |key: &LineKey| page.store.with(|s| key.selection(s)) == selected;
        picked.get().filter(|key| selected.is_some() && leads(key))
    });
    let model = page.model(|s, key| key.selection(s), selected, picked);
    let on_select = model.on_select;
    TableModel {
        on_select: Callback::new(move |key: LineKey| {
            on_select.run(key);
            choice.set_tab(Some("names".into()));
        }),
        ..model
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
        Some(_) | None => String::new(),
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
fn totals(page: Page<LineKey>) -> impl IntoView {
    let store = page.store;
    let odd = move || store.read(&[Topic::DnsName], odd);
    let age = move || {
        let now = store.tick().get().at;
        let asked =
            store.read(&[Topic::DnsName], |s| s.dns_name.values().filter_map(|row| row.asked_at).min());
        asked.map(|at| format!("asked {} ago", unit::duration(now.saturating_sub(at))))
    };
    view! {
        <p class="totals">
            {page.count()}
            <span>{odd}</span>
            <span class="dim">{age}</span>
            {page.missed(trouble_of)}
        </p>
    }
}

/// Counts, since when packets are captured, and what is missed.
fn heard(page: Page<LineKey>) -> impl IntoView {
    let Page { store, sheet, .. } = page;
    store.want_here(&[Topic::Capture]);
    let since = move || {
        let began =
            store.read(&[Topic::Capture], |s| capture(s).map(|row| row.since_at).filter(|at| *at > 0));
        began.map(|at| {
            format!("captured since {}", unit::time_of_day(at.saturating_add_signed(zone_offset_nanos())))
        })
    };
    let missed = move || {
        let topic = sheet.topics.first().copied()?;
        store.read(&[Topic::Source], |s| trouble_of(s, topic))
    };
    view! {
        <p class="totals">
            {page.count()}
            <span class="dim">{since}</span>
            <span class="missed">{missed}</span>
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
