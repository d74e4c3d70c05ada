//! Where to look, for what, and how long; start and stop; the same as a file.

use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::wire::{Limits, Order, Refusal};
use glasshull_shared::snapshot::{Snapshot, Topic};
use leptos::prelude::*;

use super::ask::Ask;
use crate::store::network::{end_name, netns_name};
use crate::store::wire::Phase;
use crate::store::{Choice, Store};
use crate::widget::segments::Toggle;

/// A place to look at: its value in the URL and its name.
type Place = (String, String);

/// Places under a heading.
type Group = (&'static str, Vec<Place>);

/// The form.
pub(super) fn form(store: Store, choice: Choice, ask: Memo<Ask>) -> AnyView {
    let look = store.look;
    let running = move || look.phase.get() == Phase::Running;
    let press = move |_| {
        if look.phase.get_untracked() == Phase::Running {
            look.order(&Order::Stop);
        } else if let Some(start) = ask.get_untracked().start() {
            look.start(start);
        }
    };
    let nowhere = move || ask.with(|a| a.place.is_none()) || super::is_replay(store);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        press(());
    };
    view! {
        <form class="toolbar wire-form" on:submit=submit>
            {place(store, choice)}
            {filter(store, choice, ask)}
            <fieldset class="wire-limits" aria-label="Limits">
                {limit(choice, "secs", "s", "ends after this time, seconds", Limits::MOST.secs, move || ask.with(|a| a.limits.secs))}
                {limit(choice, "packets", "packets", "ends after so many packets", Limits::MOST.packets, move || ask.with(|a| a.limits.packets))}
                {limit(choice, "kib", "KiB", "ends when so much is kept of them", Limits::MOST.bytes >> 10, move || ask.with(|a| a.limits.bytes >> 10))}
            </fieldset>
            {payload(store, choice, ask)}
            <button type="submit" class="wire-go" disabled=nowhere>
                {move || if running() { "Stop" } else { "Start" }}
            </button>
            <a
                class="wire-file"
                download=""
                title="from now on, with these limits, as a pcapng file for Wireshark"
                aria-disabled=move || nowhere().then_some("true")
                href=move || ask.with(Ask::file).filter(|_| !nowhere())
            >
                "Download"
            </a>
        </form>
    }
    .into_any()
}

fn place(store: Store, choice: Choice) -> AnyView {
    let at = choice.param("at");
    let groups = Memo::new(move |_| store.read(&[Topic::Netns, Topic::Link, Topic::Container], places));
    let option = move |(value, name): Place| {
        let own = value.clone();
        let selected = move || at.with(|at| at.as_deref() == Some(own.as_str()));
        view! { <option value=value selected=selected>{name}</option> }
    };
    let group = move |(title, places): Group| {
        view! { <optgroup label=title>{places.into_iter().map(option).collect::<Vec<_>>()}</optgroup> }
    };
    view! {
        <select
            class="wire-place"
            aria-label="Where"
            on:change=move |event| choice.set_param("at", Some(event_target_value(&event)))
        >
            <option value="" selected=move || at.with(Option::is_none)>"Where …"</option>
            {move || groups.get().into_iter().map(group).collect::<Vec<_>>()}
        </select>
    }
    .into_any()
}

/// All places by what they are: whole namespaces, links of the host, links inside.
fn places(s: &Snapshot) -> Vec<Group> {
    let is_host = |netns| s.netns.iter().any(|(key, row)| key.netns == netns && row.host);
    let mut whole: Vec<Place> = s
        .netns
        .keys()
        .map(|key| (key.netns.to_string(), format!("{}: all links", netns_name(s, key.netns))))
        .collect();
    whole.sort_by_cached_key(|(_, name)| name.to_lowercase());
    let link = |key: &LinkKey| {
        let row = s.link.get(key)?;
        let other = crate::store::network::other_end(row).filter(|_| is_host(key.netns));
        let name = match other {
            Some(other) => format!("{} ⇄ {}", row.name, end_name(s, other)),
            None => end_name(s, *key),
        };
        Some((format!("{}:{}", key.netns, key.ifindex), name))
    };
    let (outside, inside): (Vec<_>, Vec<_>) = s.link.keys().partition(|key| is_host(key.netns));
    let mut outside: Vec<Place> = outside.into_iter().filter_map(link).collect();
    let mut inside: Vec<Place> = inside.into_iter().filter_map(link).collect();
    outside.sort();
    inside.sort_by(|a, b| a.1.cmp(&b.1));
    outside.sort_by(|a, b| a.1.cmp(&b.1));
    vec![("Namespaces", whole), ("Links of the host", outside), ("Links in namespaces", inside)]
}

fn filter(store: Store, choice: Choice, ask: Memo<Ask>) -> AnyView {
    let look = store.look;
    let wrong = Memo::new(move |_| match look.phase.get() {
        Phase::Refused(Refusal::Filter(why)) => Some(why),
        Phase::Refused(_) | Phase::Closed | Phase::Ready | Phase::Running | Phase::Ended(_) | Phase::Lost => {
            None
        }
    });
    let is_wrong = move || wrong.with(Option::is_some);
    view! {
        <div class="filter wire-filter" class:wrong=is_wrong>
            <input
                id="filter"
                class="filter-text"
                type="search"
                spellcheck="false"
                autocomplete="off"
                maxlength="2000"
                aria-label="BPF filter"
                aria-invalid=move || is_wrong().to_string()
                title="as tcpdump takes it: pcap-filter(7)"
                placeholder="everything, or: tcp port 80 and host 172.18.0.2"
                prop:value=move || ask.with(|a| a.filter.clone())
                on:input=move |event| choice.set_param("filter", Some(event_target_value(&event)))
            />
            <p class="filter-problems" role="status" hidden=move || !is_wrong()>{wrong}</p>
        </div>
    }
    .into_any()
}

fn limit(
    choice: Choice,
    name: &'static str,
    unit: &'static str,
    title: &'static str,
    most: u32,
    now: impl Fn() -> u32 + Send + Sync + 'static,
) -> AnyView {
    let title = format!("{title}; at most {most}");
    view! {
        <label class="wire-limit" title=title>
            <input
                type="number"
                inputmode="numeric"
                min="1"
                max=most
                prop:value=move || now().to_string()
                on:change=move |event| choice.set_param(name, Some(event_target_value(&event)))
            />
            {unit}
        </label>
    }
    .into_any()
}

fn payload(store: Store, choice: Choice, ask: Memo<Ask>) -> AnyView {
    let allowed = store.look.payload_allowed;
    view! {
        <Show
            when=move || allowed.get() != Some(false)
            fallback=|| {
                view! {
                    <span class="wire-headers" title="What packets carry is not shown. glasshull --allow-payload would let you see it.">
                        "headers only"<span class="wide">" (payload: "<code>"--allow-payload"</code>")"</span>
                    </span>
                }
            }
        >
            <Toggle
                text="payload"
                title="also what packets carry: bytes, streams, names asked for"
                on=Signal::derive(move || ask.with(|a| a.payload))
                on_switch=Callback::new(move |on: bool| choice.set_param("payload", on.then(|| "1".to_owned())))
            />
        </Show>
    }
    .into_any()
}
