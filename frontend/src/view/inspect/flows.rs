//! The flows of the link or container under the inspector: both ends, how much passes each way, since when; the fastest first.
//! Packets are captured for it only while this tab is open.

use std::collections::HashMap;

use glasshull_shared::domain::network::{FlowKey, FlowState};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::super::capture_line;
use super::container;
use super::network::{key, look_into};
use crate::store::address::Address;
use crate::store::flow::{End, Owners, Seen, ends, of_container, on_link, owners, top_first, wire_filter};
use crate::store::lookup::container_name;
use crate::store::network::{end_name, link};
use crate::store::{Choice, Selection, Store, use_choice, use_store};
use crate::widget::measure::zone_offset_nanos;

/// Flows listed; the view Network has all.
const LINES: usize = 60;

const TOPICS: [Topic; 7] = [
    Topic::Flow,
    Topic::FlowStat,
    Topic::Capture,
    Topic::Socket,
    Topic::Netns,
    Topic::Link,
    Topic::Container,
];

/// What one flow says, as text.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    ends: [End; 2],
    /// Protocol, state, since when.
    about: String,
    tone: &'static str,
    /// Now, bytes and packets of each direction: from the source, to the source.
    passed: [[String; 3]; 2],
    /// Where it alone is looked into.
    wire: String,
}

/// All that the tab draws.
#[derive(Debug, Clone, PartialEq, Default)]
struct Shown {
    /// Those listed, in order.
    keys: Vec<FlowKey>,
    told: HashMap<FlowKey, Told>,
    /// How many there are.
    all: usize,
    /// At which end of a pair they are seen, when it is not the one selected.
    seen_at: Option<String>,
    /// Filter of the view Network for all of them.
    filter: String,
}

/// The tab of a link.
pub(super) fn of_link(selection: Selection) -> AnyView {
    let key = key(&selection);
    let shown = move |s: &Snapshot| {
        let (at, flows) = on_link(s, key);
        let name = link(s, at).map(|row| row.name.replace('"', "")).unwrap_or_default();
        let filter = format!("netns:{} link:\"{name}\"", at.netns);
        let seen_at = (at != key).then(|| end_name(s, at));
        Shown { seen_at, filter, ..list(s, flows) }
    };
    let more = look_into(format!("{}:{}", key.netns, key.ifindex));
    view! { {draw(shown)} {more} }.into_any()
}

/// The tab of a container.
pub(super) fn of_the_container(selection: Selection) -> AnyView {
    let id = container::key(&selection).id;
    let shown = move |s: &Snapshot| {
        let filter = format!("container=\"{}\"", container_name(s, &id).replace('"', ""));
        Shown { filter, ..list(s, of_container(s, &id)) }
    };
    draw(shown)
}

fn list(s: &Snapshot, mut flows: Vec<Seen<'_>>) -> Shown {
    let all = flows.len();
    top_first(&mut flows);
    flows.truncate(LINES);
    let owners = owners(s);
    let zone = zone_offset_nanos();
    let told = flows.iter().map(|seen| (seen.0.clone(), told(&owners, *seen, zone))).collect();
    Shown { keys: flows.into_iter().map(|(key, ..)| key.clone()).collect(), told, all, ..Shown::default() }
}

fn told(owners: &Owners<'_>, (key, flow, stat): Seen<'_>, zone: i64) -> Told {
    let time = |at: u64| unit::time_of_day(at.saturating_add_signed(zone));
    let rate = |rate: Option<f32>| unit::or_unknown(rate.map(|n| unit::bytes_per_sec(f64::from(n))));
    let packets = |n: u64| format!("{} {}", unit::count(n), if n == 1 { "packet" } else { "packets" });
    let state = stat.state.map(|state| format!(" {}", state.name())).unwrap_or_default();
    let (first, last) = (time(flow.first_seen_at), time(stat.last_seen_at));
    let since = if flow.opening_seen { "opened" } else { "seen from" };
    let mut wire = Address::parse("?view=wire&go=1");
    wire.set("at", Some(format!("{}:{}", key.netns, key.link_ifindex)));
    let filter = wire_filter(key);
    wire.set("filter", (!filter.is_empty()).then_some(filter));
    Told {
        ends: ends(owners, key, flow),
        about: format!("{}{state} · {since} {first}, last {last}", key.protocol),
        tone: if stat.state == Some(FlowState::Reset) { "attention" } else { "" },
        passed: [
            [rate(stat.sent_bytes_per_sec), unit::bytes(stat.sent_bytes), packets(stat.sent_packets)],
            [
                rate(stat.received_bytes_per_sec),
                unit::bytes(stat.received_bytes),
                packets(stat.received_packets),
            ],
        ],
        wire: wire.to_query(),
    }
}

fn draw(shown: impl Fn(&Snapshot) -> Shown + Send + Sync + 'static) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(&TOPICS);
    let shown = Memo::new(move |_| store.read(&TOPICS, |s| shown(s)));
    let none = Memo::new(move |_| shown.with(|shown| shown.all == 0));
    let seen_at = move || {
        let at = shown.with(|shown| shown.seen_at.clone())?;
        Some(format!("Its other end sees the same packets: {at}."))
    };
    view! {
        {capture_line(store)}
        <p class="dim">{seen_at}</p>
        <p class="dim" hidden=move || !none.get()>{move || why_none(store)}</p>
        <ul class="flows">
            <For
                each=move || shown.with(|shown| shown.keys.clone())
                key=FlowKey::clone
                children=move |key| line(choice, shown, key)
            />
        </ul>
        {move || rest(shown)}
    }
    .into_any()
}

fn line(choice: Choice, shown: Memo<Shown>, key: FlowKey) -> impl IntoView {
    let told = Memo::new(move |_| shown.with(|shown| shown.told.get(&key).cloned()));
    let of = move |f: fn(&Told) -> String| {
        Memo::new(move |_| told.with(|told| told.as_ref().map(f).unwrap_or_default()))
    };
    let ends = Memo::new(move |_| told.with(|told| told.as_ref().map(|told| told.ends.clone())));
    let name = move |end: End| {
        let text = unit::printable(&end.name);
        let name = match end.leads_to {
            Some(to) => view! { <a href=move || choice.selection_link(&to)>{text}</a> }.into_any(),
            None => view! { <span>{text}</span> }.into_any(),
        };
        let process = end.process.map(|text| view! { " " <span class="dim">{unit::printable(&text)}</span> });
        view! { {name} {process} }
    };
    let names = move || ends.get().map(|[from, to]| view! { {name(from)} " → " {name(to)} });
    let addresses = move || ends.get().map(|[from, to]| addresses(&from, &to));
    let passed = |name: &'static str, way: fn(&Told) -> &[String; 3]| {
        let text = Memo::new(move |_| {
            told.with(|told| told.as_ref().map(|told| way(told).join(" · ")).unwrap_or_default())
        });
        view! { <span class="flow-passed"><span class="dim">{name}</span>" "{text}</span> }
    };
    view! {
        <li>
            <div>{names}</div>
            <a class="code dim" title="look into this flow alone" href=of(|told| told.wire.clone())>{addresses}</a>
            {passed("sent", |told| &told.passed[0])}
            {passed("received", |told| &told.passed[1])}
            <span class="dim" data-tone=move || told.with(|told| told.as_ref().map_or("", |told| told.tone))>
                {of(|told| told.about.clone())}
            </span>
        </li>
    }
}

/// Both ends on this link; beyond a translation also who truly stands there.
fn addresses(from: &End, to: &End) -> String {
    let end = |end: &End| match &end.truly {
        Some(truly) => format!("{} ({truly})", end.address),
        None => end.address.clone(),
    };
    if to.address.is_empty() { end(from) } else { format!("{} → {}", end(from), end(to)) }
}

fn why_none(store: Store) -> String {
    store.why_none(&TOPICS, "None of the packets seen is its own.")
}

/// How many more there are, with the way to all.
fn rest(shown: Memo<Shown>) -> Option<AnyView> {
    let (more, filter) = shown.with(|s| (s.all.saturating_sub(s.keys.len()), s.filter.clone()));
    if shown.with(|s| s.all == 0) {
        return None;
    }
    let mut all = Address::parse("?view=network&table=talkers");
    all.set("f", Some(filter));
    let text = match more {
        0 => "In the view Network".to_owned(),
        n => format!("{} more, in the view Network", unit::count(n as u64)),
    };
    Some(view! { <p><a href=all.to_query()>{text}</a></p> }.into_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::{Flow, FlowStat, LinkKey, Protocol};
    use std::sync::Arc;

    #[test]
    fn the_fastest_are_told_with_both_directions_and_the_rest_is_counted() {
        let mut s = Snapshot::default();
        for port in 1..=70_u16 {
            let key = FlowKey {
                netns: 1,
                link_ifindex: 5,
                protocol: Protocol::Tcp,
                source: format!("10.0.0.2:{port}"),
                destination: "10.0.0.3:80".into(),
            };
            let stat = FlowStat {
                sent_bytes: u64::from(port),
                sent_packets: 1,
                received_packets: 2,
                sent_bytes_per_sec: Some(f32::from(port)),
                received_bytes_per_sec: Some(0.0),
                state: Some(FlowState::Open),
                ..FlowStat::default()
            };
            s.flow.insert(key.clone(), Arc::new(Flow::default()));
            s.flow_stat.insert(key, Arc::new(stat));
        }
        let (_, flows) = on_link(&s, LinkKey { netns: 1, ifindex: 5 });
        let shown = list(&s, flows);
        assert_eq!((shown.all, shown.keys.len()), (70, LINES));
        assert_eq!(shown.keys[0].source, "10.0.0.2:70");
        let told = &shown.told[&shown.keys[0]];
        assert_eq!(told.passed[0], ["70 B/s", "70 B", "1 packet"]);
        assert_eq!(told.passed[1][2], "2 packets");
        assert!(told.about.starts_with("tcp open · seen from 00:00:00"), "{}", told.about);
        assert_eq!(addresses(&told.ends[0], &told.ends[1]), "10.0.0.2:70 → 10.0.0.3:80");
        let wire = Address::parse(&told.wire);
        assert_eq!((wire.get("at"), wire.get("go")), (Some("1:5"), Some("1")));
        assert_eq!(
            wire.get("filter"),
            Some("tcp and host 10.0.0.2 and host 10.0.0.3 and port 70 and port 80")
        );
    }
}
