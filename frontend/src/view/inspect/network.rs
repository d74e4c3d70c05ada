//! The inspector on a network link: the whole way from it to its other end, its counters, and its neighbours.

use std::sync::Arc;

use glasshull_shared::domain::network::{Link, LinkKey, LinkStat};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::flows::of_link;
use super::link_control::control;
use super::{Inspect, Tab, in_the_shell, part};
use crate::store::lookup::container_name;
use crate::store::network::{end_name, link, netns_name, other_end, shell_lines};
use crate::store::{Selection, Store, use_choice, use_store, word};
use crate::widget::facts::{Fact, Facts, live_fact, row};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "flows", title: "Flows", render: of_link },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &TOPICS,
};

const TOPICS: [Topic; 5] = [Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Neighbour, Topic::Container];
const GONE: &str = "the link is gone";

/// Name and value of one counter, received and sent.
type Counter = (&'static str, fn(&LinkStat) -> String, fn(&LinkStat) -> String);

const COUNTERS: [Counter; 6] = [
    (
        "now",
        |s| rate(s.rx_bytes_per_sec, unit::bytes_per_sec),
        |s| rate(s.tx_bytes_per_sec, unit::bytes_per_sec),
    ),
    (
        "packets/s",
        |s| rate(s.rx_packets_per_sec, unit::per_sec),
        |s| rate(s.tx_packets_per_sec, unit::per_sec),
    ),
    ("bytes", |s| unit::bytes(s.rx_bytes), |s| unit::bytes(s.tx_bytes)),
    ("packets", |s| unit::count(s.rx_packets), |s| unit::count(s.tx_packets)),
    ("dropped", |s| unit::count(s.rx_dropped), |s| unit::count(s.tx_dropped)),
    ("errors", |s| unit::count(s.rx_errors), |s| unit::count(s.tx_errors)),
];

fn rate(rate: Option<f32>, write: fn(f64) -> String) -> String {
    unit::or_unknown(rate.map(|n| write(f64::from(n))))
}

pub(super) fn key(selection: &Selection) -> LinkKey {
    selection.link().unwrap_or(LinkKey { netns: 0, ifindex: 0 })
}

fn who(store: Store, key: LinkKey) -> Option<Arc<Link>> {
    store.read(&[Topic::Link], |s| s.link.get(&key).cloned())
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    super::heading(
        move || who(store, key).map_or_else(|| format!("link {}", key.ifindex), |row| row.name.clone()),
        move || {
            let Some(row) = who(store, key) else { return "gone".into() };
            let whose = store.read(&[Topic::Netns, Topic::Container], |s| netns_name(s, key.netns));
            format!("{} in {whose} · {}", row.kind, word::link_state(&row).line())
        },
    )
}

fn overview(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let of = move |name: &'static str, f: fn(&Link) -> Fact| {
        live_fact(name, move || who(store, key).map_or_else(|| Fact::unknown(GONE), |row| f(&row)))
    };
    let master = move || {
        store.read(&[Topic::Link], |s| {
            let ifindex = link(s, key)?.master?;
            Some(LinkKey { ifindex, ..key })
        })
    };
    let across = move || store.read(&[Topic::Link], |s| other_end(link(s, key)?));
    let (bridge, other) = (Memo::new(move |_| master()), Memo::new(move |_| across()));
    let answering = move || {
        let n = store.read(&[Topic::Neighbour], |s| {
            s.neighbour.keys().filter(|n| (n.netns, n.ifindex) == (key.netns, key.ifindex)).count()
        });
        Fact::new(unit::count(n as u64))
    };
    view! {
        {part("Way", view! {
            <Facts>
                {live_fact("in", move || {
                    Fact::new(store.read(&[Topic::Netns, Topic::Container], |s| netns_name(s, key.netns)))
                        .title(format!("network namespace {}", key.netns))
                })}
                {row("other end", move || link_button(store, other.get()))}
                {row("port of", move || link_button(store, bridge.get()))}
                {row("container", move || container_button(store, key))}
                {of("network", |r| Fact::or(r.network.clone(), "no engine's network is on it"))}
            </Facts>
        })}
        {part("Link", view! {
            <Facts>
                {live_fact("number", move || Fact::new(format!("{} (ifindex) of netns {}", key.ifindex, key.netns)))}
                {of("addresses", |r| Fact::new(r.addresses.join(", ")))}
                {of("MAC", |r| Fact::or(r.mac.clone(), "this kind of link has none"))}
                {of("MTU", |r| Fact::new(format!("{} bytes", r.mtu)))}
                {of("driver", |r| {
                    let words = [&r.driver, &r.driver_version].map(|w| w.as_deref().unwrap_or_default());
                    let driver = r.driver.is_some().then(|| words.join(" ").trim_end().to_owned());
                    Fact::or(driver, "a virtual link, or one that does not tell")
                })}
                {of("alias", |r| Fact::new(r.alias.clone().unwrap_or_default()))}
                {live_fact("neighbours", answering)}
            </Facts>
        })}
        {part("Traffic, seen from this end", counters(store, key))}
        {look_into(format!("{}:{}", key.netns, key.ifindex))}
        {control(key)}
    }
    .into_any()
}

fn counters(store: Store, key: LinkKey) -> AnyView {
    let stat = Memo::new(move |_| store.read(&[Topic::LinkStat], |s| s.link_stat.get(&key).cloned()));
    let line = |(name, rx, tx): Counter| {
        let cell = move |f: fn(&LinkStat) -> String| {
            move || stat.with(|s| s.as_deref().map_or_else(|| unit::UNKNOWN.into(), f))
        };
        view! { <tr><th scope="row">{name}</th><td>{cell(rx)}</td><td>{cell(tx)}</td></tr> }
    };
    view! {
        <table class="counters">
            <thead>
                <tr><th></th><th scope="col" class="rx">"received"</th><th scope="col" class="tx">"sent"</th></tr>
            </thead>
            <tbody>{COUNTERS.into_iter().map(line).collect::<Vec<_>>()}</tbody>
        </table>
    }
    .into_any()
}

/// The way to its packets.
pub(super) fn look_into(at: String) -> AnyView {
    view! { <p><a class="look-into" href=format!("?view=wire&at={at}&go=1")>"Look into this wire"</a></p> }
        .into_any()
}

/// A link as something to go to.
fn link_button(store: Store, to: Option<LinkKey>) -> AnyView {
    let choice = use_choice();
    let Some(key) = to else { return "–".into_any() };
    let name = store.with(|s| end_name(s, key));
    let href = move || choice.selection_link(&Selection::Link(key));
    view! { <a class="code" href=href>{name}</a> }.into_any()
}

fn container_button(store: Store, key: LinkKey) -> AnyView {
    let choice = use_choice();
    let id = store.read(&[Topic::Link, Topic::Container], |s| link(s, key)?.container.clone());
    let Some(id) = id else { return "–".into_any() };
    let name = store.with(|s| container_name(s, &id));
    let href = move || choice.selection_link(&Selection::Container(id.clone()));
    view! { <a href=href>{name}</a> }.into_any()
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || store.read(&[Topic::Link, Topic::Netns], |s| shell_lines(s, key)))
}
