//! Looking into a wire: choose a link or a namespace, a filter and limits; then packets as they come, their headers, and the
//! streams they carry.

mod ask;
mod detail;
mod form;
mod packets;
mod stream;
mod text;

use glasshull_shared::domain::wire::{Ended, Refusal};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use glasshull_shared::wire::Origin;
use leptos::prelude::*;

use super::in_the_shell;
use crate::store::network::wire_lines;
use crate::store::wire::Phase;
use crate::store::{Look, Store, use_choice, use_store};

use ask::Ask;

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let look = store.look;
    look.open();
    on_cleanup(move || look.close());
    // Who comes by "look into this wire" has said what to do already.
    let go = choice.param("go");
    Effect::new(move |_| {
        if go.get().is_some() {
            choice.set_param("go", None);
            if let Some(start) = Ask::of(choice).start() {
                look.start(start);
            }
        }
    });
    let picked = RwSignal::new(None);
    let ask = Memo::new(move |_| Ask::of(choice));
    let shell = move || {
        let ask = ask.get();
        store.read(&[Topic::Netns, Topic::Link, Topic::Container], |s| match ask.place {
            Some((netns, ifindex)) => wire_lines(s, netns, ifindex, &ask.filter),
            None => Vec::new(),
        })
    };
    view! {
        <div class="view wire">
            {form::form(store, choice, ask)}
            {move || (!is_replay(store)).then(|| status(look))}
            <div class="wire-seen">
                {packets::packets(look, picked, move || why_empty(store, ask))}
                {detail::pane(look, picked)}
            </div>
            <details class="wire-shell">
                <summary>"In the shell"</summary>
                {in_the_shell(shell)}
            </details>
        </div>
    }
    .into_any()
}

fn is_replay(store: Store) -> bool {
    store.origin().with(|origin| *origin != Origin::Live)
}

/// What is going on, with the limits and what was lost.
fn status(look: Look) -> AnyView {
    let phase = move || match look.phase.get() {
        Phase::Running => ("Looking", "fine"),
        Phase::Ended(why) => (ended(why), "quiet"),
        Phase::Closed => ("Connecting", "quiet"),
        Phase::Ready => ("Not looking", "quiet"),
        Phase::Refused(_) => ("Refused", "attention"),
        Phase::Lost => ("The connection broke; Start begins anew", "attention"),
    };
    let begun = move || matches!(look.phase.get(), Phase::Running | Phase::Ended(_) | Phase::Lost);
    let of = move |write: fn(Look) -> String| move || write(look);
    let lost = move |n: fn(Look) -> u64, what: &'static str, title: &'static str| {
        let tone = move || if n(look) > 0 { "attention" } else { "quiet" };
        view! { <span data-tone=tone title=title>{move || unit::count(n(look))} " " {what}</span> }
    };
    view! {
        <p class="totals wire-status" role="status">
            <b data-tone=move || phase().1>{move || phase().0}</b>
            <Show when=begun>
                <span>{of(|l| unit::count(l.stat.get().packets.into()))} " of " {of(|l| unit::count(l.scene.get().limits.packets.into()))} " packets"</span>
                <span>{of(|l| format!("{} of {}", unit::bytes(l.stat.get().bytes.into()), unit::bytes(l.scene.get().limits.bytes.into())))} " kept"</span>
                <span>{of(|l| secs(l.stat.get().elapsed_nanos))} " of " {of(|l| format!("{} s", l.scene.get().limits.secs))}</span>
                {lost(|l| l.stat.get().dropped, "dropped", "packets that passed while the kernel had no room for them")}
                {lost(|l| l.stat.get().unsent.into(), "not listed", "packets whose line this page was too slow for")}
                <span>{of(|l| if l.scene.get().payload { "with payload" } else { "headers only" }.to_owned())}</span>
            </Show>
        </p>
    }
    .into_any()
}

fn secs(nanos: u64) -> String {
    (nanos / 1_000_000_000).to_string()
}

fn ended(why: Ended) -> &'static str {
    match why {
        Ended::Stopped => "Stopped",
        Ended::Time => "Ended: time is over",
        Ended::Packets => "Ended: as many packets as asked for",
        Ended::Bytes => "Ended: as many bytes as asked for",
        Ended::Gone => "Ended: the link or namespace has gone",
    }
}

/// What to do when there are no packets.
fn why_empty(store: Store, ask: Memo<Ask>) -> String {
    let look = store.look;
    if is_replay(store) {
        return "A recording holds no packets. Start glasshull without replay to look into wires.".into();
    }
    match look.phase.get() {
        Phase::Closed => "Connecting to the agent.".into(),
        Phase::Ready if ask.with(|a| a.place.is_none()) => {
            "Choose where to look: a container, a link of the host, or all of its links.".into()
        }
        Phase::Ready => "Start shows what passes from now on.".into(),
        Phase::Running => "Nothing has passed yet.".into(),
        Phase::Ended(_) => "Nothing passed. A wider filter or more time may help.".into(),
        Phase::Lost => "The agent does not answer. Start tries again.".into(),
        Phase::Refused(why) => refused(&why),
    }
}

fn refused(why: &Refusal) -> String {
    match why {
        Refusal::Filter(_) => "The filter is wrong: see below its box.".into(),
        Refusal::Permission(why) | Refusal::Gone(why) => format!("{}.", capital(why)),
        Refusal::Payload => {
            "Payload is not allowed here. Start glasshull with --allow-payload, or look at headers only."
                .into()
        }
        Refusal::Busy => {
            "Several others look into wires already. Try again when one of them has ended.".into()
        }
        Refusal::Recording => {
            "A recording holds no packets. Start glasshull without replay to look into wires.".into()
        }
        Refusal::Failed(why) => format!("It failed: {why}."),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
