//! The ports of a container in the inspector: each published one hop by hop, the dead with their reason and what mends it.

use glasshull_shared::domain::network::{Hop, PublishedPort};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::key;
use super::in_the_shell;
use crate::store::nat::{ports_of, shell_lines};
use crate::store::{Selection, use_store};

const TOPICS: [Topic; 4] = [Topic::PublishedPort, Topic::NatRule, Topic::Netns, Topic::Container];

/// The tab.
pub(super) fn ports(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    store.want_here(&TOPICS);
    let id = key.id.clone();
    let rows = Memo::new(move |_| {
        store.read(&TOPICS, |s| ports_of(s, &id).map(|(_, row)| row.clone()).collect::<Vec<_>>())
    });
    let lines = move || {
        store.read(&TOPICS, |s| {
            ports_of(s, &key.id).flat_map(|(port, row)| shell_lines(s, port, row)).collect::<Vec<_>>()
        })
    };
    view! {
        {move || rows.get().into_iter().map(port).collect_view()}
        <p class="dim" hidden=move || rows.with(|r| !r.is_empty())>"It publishes no port."</p>
        {in_the_shell(lines)}
    }
    .into_any()
}

fn port(row: PublishedPort) -> AnyView {
    view! { <ol class="hops">{row.hops.into_iter().map(hop).collect_view()}</ol> }.into_any()
}

fn hop(hop: Hop) -> AnyView {
    let counter = hop.packets.map(|n| format!("{} packets", unit::count(n)));
    let tone = if hop.dead.is_some() { "trouble" } else { "" };
    let mends = hop.remedy.map(|remedy| view! { <code>{remedy}</code> });
    let dead = hop.dead.map(|why| view! { <p data-tone="trouble">"✕ " {why} " " {mends}</p> });
    view! {
        <li data-hop=hop.kind.name()>
            <span class="code" data-tone=tone>{hop.text}</span>
            <span class="dim">{counter}</span>
            {dead}
        </li>
    }
    .into_any()
}
