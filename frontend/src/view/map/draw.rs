//! The parts of the picture as SVG. What changes each second (rates, measures) changes attributes; elements stay.

use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::cast::bundle_id;
use super::plan::Who;
use super::scene::{self, BOX, BRIDGE, Bridge, Cable, Frame, LABEL, LABEL_TALL, TALL, WIRE, Wire};
use super::talk::Bow;
use super::thing::Thing as _;
use super::{Lit, toggle_link};
use crate::store::{Choice, Selection};
use crate::widget::meter::tone_of_fill;

/// Names of bridges stand no lower on their bars: those of hundreds are longer than a screen.
const TITLE_AT: f64 = 160.0;
/// Letters of 12 units that fit into a box beside its measures.
const TITLE_CHARS: usize = 22;

/// Text that follows the tables. One type for all of them: each closure of its own would bring its own copy of leptos's
/// machinery into the app.
pub(super) fn text(f: impl Fn() -> Option<String> + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(move || f().unwrap_or_default())
}

/// The same for lengths, which must never be empty.
pub(super) fn length(f: impl Fn() -> Option<f64> + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(move || format!("{:.1}", f().unwrap_or_default()))
}

/// The same for what is so or not.
pub(super) fn flag(f: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    Signal::derive(f)
}

/// At most so many characters.
pub(super) fn fit(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return unit::printable(text);
    }
    let short: String = text.chars().take(chars.saturating_sub(1)).collect();
    unit::printable(&format!("{short}…"))
}

/// A link inside the picture: goes by mouse, keyboard and "open in a new tab".
pub(super) fn linked(choice: Choice, to: Selection, label: String, body: AnyView) -> AnyView {
    to_there(text(move || Some(choice.selection_link(&to))), label, body)
}

fn to_there(href: Signal<String>, label: String, body: AnyView) -> AnyView {
    linked_to(href, Signal::stored(label), body)
}

/// The same, anywhere in the app.
pub(super) fn linked_to(href: Signal<String>, label: Signal<String>, body: AnyView) -> AnyView {
    // In `view!` an `a` of its own would be HTML's.
    leptos::svg::a().attr("href", href).attr("aria-label", label).child(body).into_any()
}

pub(super) fn wire(choice: Choice, wire: Memo<Option<Wire>>) -> AnyView {
    let get = move || wire.get();
    let Some(first) = wire.get_untracked() else { return ().into_any() };
    let key = first.key;
    let rates = move || get().map(|w| w.flow.rates());
    let place = text(move || get().map(|w| format!("translate({} {})", WIRE.0, w.y)));
    let down = flag(move || get().is_some_and(|w| !w.up));
    let body = view! {
        <g class="map-box map-wire" class:is-down=down transform=place>
            <rect width=WIRE.1 height=TALL></rect>
            <text class="map-name" x="10" y="19">{fit(&first.name, 15)}</text>
            <text class="map-detail" x="10" y="34">{text(move || get().map(|w| fit(&w.detail, 20)))}</text>
            <text class="map-rx" x="10" y="49">{text(move || rates().map(|r| r.0))}</text>
            <text class="map-tx" x="80" y="49">{text(move || rates().map(|r| r.1))}</text>
        </g>
    }
    .into_any();
    linked(choice, Selection::Link(key), format!("wire {}", first.name), body)
}

pub(super) fn bridge(choice: Choice, lit: Memo<Lit>, bridge: Memo<Option<Bridge>>) -> AnyView {
    let Some(first) = bridge.get_untracked() else { return ().into_any() };
    let key = first.key;
    let get = move || bridge.get();
    let middle = text(move || {
        get().map(|b| {
            format!("translate({} {}) rotate(-90)", BRIDGE.1 / 2.0 + 4.5, (b.height / 2.0).min(TITLE_AT))
        })
    });
    // Beside the bar, where a long name would not fit on it.
    let title = text(move || get().map(|b| fit(&b.title, ((b.height / 2.0).min(TITLE_AT) / 3.75) as usize)));
    let place = text(move || get().map(|b| format!("translate({} {})", BRIDGE.0, b.y)));
    let is_lit = flag(move || lit.with(|l| l.bridges.contains(&key)));
    let body = view! {
        <g
            class="map-bridge"
            class:is-lit=is_lit
            transform=place
        >
            <text class="map-detail" x="0" y="-6">{text(move || get().map(|b| fit(&b.detail, 34)))}</text>
            <rect width=BRIDGE.1 height=length(move || get().map(|b| b.height))></rect>
            <text class="map-name" text-anchor="middle" transform=middle>{title}</text>
        </g>
    }
    .into_any();
    linked(choice, Selection::Link(key), format!("bridge {}", first.title), body)
}

pub(super) fn cable(choice: Choice, lit: Memo<Lit>, cable: Memo<Option<Cable>>) -> AnyView {
    let Some(first) = cable.get_untracked() else { return ().into_any() };
    let (key, labelled) = (first.key, !first.label.is_empty());
    let get = move || cable.get();
    let strand = move |class: &'static str, shift: f64, rate: fn(&Cable) -> Option<f32>| {
        let path = text(move || get().map(|c| c.path(shift)));
        let width = length(move || get().map(|c| scene::thickness(rate(&c)).max(0.6)));
        let idle = flag(move || get().is_none_or(|c| scene::thickness(rate(&c)) == 0.0));
        let pace = text(move || get().map(|c| format!("{:.2}s", scene::pace(rate(&c)))));
        view! {
            <path class=class class:is-idle=idle d=path stroke-width=width style:animation-duration=pace></path>
        }
        .into_any()
    };
    let (is_lit, is_dim) = (
        flag(move || lit.with(|l| l.cables.contains(&key))),
        flag(move || lit.with(|l| l.any && !l.cables.contains(&key))),
    );
    let lost = flag(move || get().is_some_and(|c| c.flow.lost > 0));
    let down = flag(move || get().is_some_and(|c| !c.up));
    let body = view! {
        <g
            class="map-cable"
            class:is-lit=is_lit
            class:is-dim=is_dim
            class:is-down=down
        >
            <path class="map-grip" d=text(move || get().map(|c| c.path(0.0)))></path>
            {strand("map-strand rx", -2.5, |c| c.flow.rx)}
            {strand("map-strand tx", 2.5, |c| c.flow.tx)}
            {if labelled { label(cable, lost) } else { loss(cable) }}
        </g>
    }
    .into_any();
    let about = format!("cable {} {}", first.kind, first.label);
    match first.who {
        Who::Netns(_) => linked(choice, Selection::Link(key), about, body),
        // It stands for many: where it leads is the bundle.
        Who::Bundle(group, name) => {
            to_there(text(move || Some(toggle_link(choice, &bundle_id(group, &name)))), about, body)
        }
    }
}

/// On cables without a label: packets lost since the link was made.
fn loss(cable: Memo<Option<Cable>>) -> AnyView {
    let get = move || cable.get().filter(|c| c.flow.lost > 0);
    let place = text(move || {
        get().map(|c| format!("translate({:.0} {:.1})", (c.from.0 + c.to.0) / 2.0, c.to.1 - 8.0))
    });
    let count = text(move || get().map(|c| format!("✕{}", unit::count(c.flow.lost))));
    view! { <text class="map-loss" text-anchor="middle" transform=place>{count}</text> }.into_any()
}

fn label(cable: Memo<Option<Cable>>, lost: Signal<bool>) -> AnyView {
    let get = move || cable.get();
    let place = text(move || get().map(|c| format!("translate({} {:.1})", LABEL.0, c.label_at.0)));
    let height = length(move || get().map(|c| c.label_at.1));
    let alone = flag(move || get().is_some_and(|c| c.label_at.1 < LABEL_TALL));
    let name = text(move || {
        get().map(|c| {
            let kind = if c.kind == "veth" { String::new() } else { format!("{} ", c.kind) };
            let lost =
                if c.flow.lost > 0 { format!(" ✕{}", unit::count(c.flow.lost)) } else { String::new() };
            fit(&format!("{kind}{}{lost}", c.label), 21)
        })
    });
    view! {
        <g class="map-label" class:has-lost=lost class:is-alone=alone transform=place>
            <rect width=LABEL.1 height=height></rect>
            <text class="map-detail" text-anchor="middle" x=LABEL.1 / 2.0 y="11">
                {name}
            </text>
            <text class="map-rx" x="5" y="22">{text(move || get().map(|c| c.flow.rates().0))}</text>
            <text class="map-tx" x=LABEL.1 - 5.0 y="22" text-anchor="end">{text(move || get().map(|c| c.flow.rates().1))}</text>
        </g>
    }
    .into_any()
}

pub(super) fn frame(choice: Choice, lit: Memo<Lit>, frame: Memo<Option<Frame>>) -> AnyView {
    let Some(first) = frame.get_untracked() else { return ().into_any() };
    let who = StoredValue::new(first.who.clone());
    let get = move || frame.get();
    let target = first.containers.first().cloned().map(Selection::Container);
    let place = text(move || get().map(|f| format!("translate({} {})", BOX.0, f.y)));
    let cpu = move || get().and_then(|f| f.cpu);
    let memory = move || get().and_then(|f| f.memory);
    let inside = text(move || get().map(|f| inside(&f)));
    let alone = flag(move || get().is_none_or(|f| f.containers.len() < 2 || f.bundle.is_some()));
    let about = text(move || get().map(|f| about(&f)));
    let title = text(move || get().map(|f| title(&f)));
    let among = move |of: fn(&Lit) -> &Vec<Who>| {
        flag(move || lit.with(|l| l.any && who.with_value(|who| of(l).contains(who))))
    };
    let (is_lit, is_peer) = (among(|l| &l.frames), among(|l| &l.peers));
    let is_dim = flag(move || lit.with(|l| l.any) && !is_lit.get() && !is_peer.get());
    let is_empty = flag(move || get().is_some_and(|f| f.containers.is_empty() && f.bundle.is_none()));
    let is_bundle = first.bundle.is_some();
    let body = view! {
        <g
            class="map-box map-frame"
            class:map-bundle=is_bundle
            class:is-lit=is_lit
            class:is-peer=is_peer
            class:is-dim=is_dim
            class:is-empty=is_empty
            transform=place
        >
            {leptos::svg::title().child(about)}
            <rect width=BOX.1 height=TALL></rect>
            <rect class="map-shared" class:is-hidden=alone x="3" y="3" width=BOX.1 - 6.0 height=TALL - 6.0></rect>
            <text class="map-name" x="12" y="21">{title}</text>
            <text class="map-detail" x="12" y="37">{text(move || get().map(|f| fit(&f.detail, 30)))}</text>
            <text class="map-detail" x="12" y="50">{inside}</text>
            {measure("cpu", 14.0, Signal::derive(move || cpu().map(|(used, of_limit)| {
                let text = unit::percent(f64::from(used));
                // A bundle's share of one core says nothing.
                let part = of_limit.unwrap_or(if is_bundle { 0.0 } else { used });
                (text, part.min(1.0), of_limit.is_some())
            })))}
            {measure("mem", 36.0, Signal::derive(move || memory().map(|(used, of_limit)| {
                (unit::bytes(used), of_limit.unwrap_or(0.0).min(1.0), of_limit.is_some())
            })))}
        </g>
    }
    .into_any();
    match (first.bundle, target) {
        (Some((id, _, count)), _) => {
            let label = format!("{}: {count} namespaces", unit::printable(&first.title));
            to_there(text(move || Some(toggle_link(choice, &id))), label, body)
        }
        (None, Some(target)) => linked(choice, target, first.title, body),
        (None, None) => body,
    }
}

/// Name of a frame; of a bundle with the sign of what a click does.
fn title(f: &Frame) -> String {
    match &f.bundle {
        Some((_, open, _)) => format!("{} {}", if *open { "▾" } else { "▸" }, fit(&f.title, TITLE_CHARS - 2)),
        None => fit(&f.title, TITLE_CHARS),
    }
}

/// `172.18.0.2 +1 · 3 processes`.
fn inside(f: &Frame) -> String {
    let processes = format!("{} {}", f.processes, if f.processes == 1 { "process" } else { "processes" });
    let address = f.address.as_ref().map(|(first, more)| match more {
        0 => first.clone(),
        more => format!("{first} +{more}"),
    });
    fit(&address.into_iter().chain([processes]).collect::<Vec<_>>().join(" · "), 36)
}

/// For hover.
fn about(f: &Frame) -> String {
    match &f.who {
        Who::Netns(netns) => format!("{} · network namespace {netns}", unit::printable(&f.detail)),
        Who::Bundle(..) => format!(
            "{} network namespaces: {}…",
            f.bundle.as_ref().map_or(0, |b| b.2),
            unit::printable(&f.detail)
        ),
    }
}

/// Who talks to whom.
pub(super) fn bow(lit: Memo<Lit>, bow: Memo<Option<Bow>>) -> AnyView {
    let Some(first) = bow.get_untracked() else { return ().into_any() };
    let id = StoredValue::new(first.id());
    let get = move || bow.get();
    let path = text(move || get().map(|b| b.path()));
    let about = text(move || get().map(|b| b.about()));
    let width = length(move || get().map(|b| (scene::thickness(b.rate()) * 0.6).max(0.8)));
    let idle = flag(move || get().is_none_or(|b| scene::thickness(b.rate()) == 0.0));
    let upwards = flag(move || get().is_some_and(|b| b.rates.1 > b.rates.0));
    let pace = text(move || get().map(|b| format!("{:.2}s", scene::pace(b.rate()))));
    let is_lit = flag(move || lit.with(|l| id.with_value(|id| l.bows.contains(id))));
    let is_dim = flag(move || lit.with(|l| l.any) && !is_lit.get());
    view! {
        <g class="map-bow" class:is-lit=is_lit class:is-dim=is_dim>
            {leptos::svg::title().child(about)}
            <path class="map-grip" d=path></path>
            <path
                class="map-strand"
                class:is-idle=idle
                class:is-upwards=upwards
                d=path
                stroke-width=width
                style:animation-duration=pace
            ></path>
        </g>
    }
    .into_any()
}

/// Text, filled part and whether there is a limit.
fn measure(name: &'static str, y: f64, of: Signal<Option<(String, f32, bool)>>) -> AnyView {
    // A bar needs something to be a part of: a limit, or a core.
    let bare = flag(move || of.get().is_none_or(|(_, part, limited)| !limited && part <= 0.0));
    let width = length(move || of.get().map(|(_, part, _)| f64::from(part) * 84.0));
    let tone = text(move || {
        of.get().filter(|(_, _, limited)| *limited).map(|(_, part, _)| tone_of_fill(part).to_owned())
    });
    let figure = text(move || Some(unit::or_unknown(of.get().map(|o| o.0))));
    view! {
        <g class="map-measure" transform=format!("translate(232 {y})")>
            <text class="map-detail quiet" x="0" y="9">{name}</text>
            <rect class="map-track" class:is-hidden=bare x="32" y="2" width="84" height="7"></rect>
            <rect class="map-fill" data-tone=tone x="32" y="2" width=width height="7"></rect>
            <text class="map-figure" x="200" y="9" text-anchor="end">{figure}</text>
        </g>
    }
    .into_any()
}

/// What those hang on that hang on no bridge.
pub(super) fn note(note: Memo<Option<(f64, &'static str)>>) -> AnyView {
    let y = length(move || note.get().map(|(y, _)| y + TALL / 2.0 + 4.0));
    view! {
        <text class="map-detail quiet" x=LABEL.0 + LABEL.1 y=y text-anchor="end">
            {text(move || note.get().map(|(_, text)| text.to_owned()))}
        </text>
    }
    .into_any()
}

/// Whether a cable ends in this link, at either side.
pub(super) fn ends_in(cable: &Cable, key: LinkKey) -> bool {
    cable.key == key || cable.far == Some(key)
}
