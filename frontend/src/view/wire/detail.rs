//! Beneath the list: all headers of the packet chosen, its bytes, and the stream it belongs to.

use glasshull_shared::domain::wire::{Layer, Order, PacketDetail};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::stream;
use super::text::dump;
use crate::store::Look;

/// Bytes of one packet that are drawn.
const DRAWN_AT_MOST: usize = 8 << 10;

/// What the pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shown {
    Nothing,
    Packet,
    Stream,
}

/// The pane; nothing until a packet is chosen.
pub(super) fn pane(look: Look, picked: RwSignal<Option<u32>>) -> AnyView {
    let following = RwSignal::new(false);
    let shown = Memo::new(move |_| match (picked.get(), following.get()) {
        (_, true) => Shown::Stream,
        (Some(_), false) => Shown::Packet,
        (None, false) => Shown::Nothing,
    });
    // A new look has other packets.
    Effect::new(move |before: Option<u64>| {
        let session = look.session.get();
        if before.is_some_and(|before| before != session) {
            picked.set(None);
            following.set(false);
        }
        session
    });
    let close = move || {
        if following.get_untracked() {
            following.set(false);
            look.order(&Order::Unfollow);
            look.stream.set(None);
        } else {
            picked.set(None);
        }
    };
    view! {
        <For each=move || [shown.get()] key=|shown| *shown children=move |shown| match shown {
            Shown::Nothing => ().into_any(),
            Shown::Packet => packet(look, picked, following, close),
            Shown::Stream => stream::stream(look, close),
        } />
    }
    .into_any()
}

fn packet(
    look: Look,
    picked: RwSignal<Option<u32>>,
    following: RwSignal<bool>,
    close: impl Fn() + Copy + Send + Sync + 'static,
) -> AnyView {
    let conversation = move || picked.get().and_then(|n| look.row(n, |row| row.conversation).flatten());
    let follow = move |_| {
        if let Some(conversation) = conversation() {
            look.stream.set(None);
            look.order(&Order::Follow { conversation });
            following.set(true);
        }
    };
    let payload = move || look.scene.with(|scene| scene.payload);
    let why = move || if payload() { "" } else { "headers only: there is no payload to follow" };
    // The answer for another packet is on its way.
    let detail = Memo::new(move |_| look.detail.get().filter(|detail| Some(detail.number) == picked.get()));
    view! {
        <section class="wire-pane" aria-label="Packet">
            <div class="wire-pane-head">
                <h2>{move || picked.get().map(|n| format!("Packet {n}"))}</h2>
                <span class="dim">{move || detail.with(|d| d.as_ref().map(|d| format!("{} bytes on the wire", unit::count(d.length.into()))))}</span>
                <button type="button" disabled=move || conversation().is_none() || !payload() title=why on:click=follow>
                    "Follow the stream"
                </button>
                {close_button(close)}
            </div>
            <div class="wire-pane-body">
                {move || detail.get().map(headers)}
            </div>
        </section>
    }
    .into_any()
}

/// A cross that closes the pane.
pub(super) fn close_button(close: impl Fn() + Copy + Send + Sync + 'static) -> AnyView {
    view! {
        <button type="button" class="close" aria-label="Close" title="Close" on:click=move |_| close()>"×"</button>
    }
    .into_any()
}

fn headers(detail: PacketDetail) -> AnyView {
    let bytes = detail.bytes.map(|bytes| {
        let drawn = bytes.get(..DRAWN_AT_MOST).unwrap_or(&bytes);
        let rest = bytes.len() - drawn.len();
        let rest =
            (rest > 0).then(|| view! { <p class="dim">{format!("{} more", unit::bytes(rest as u64))}</p> });
        view! {
            <section class="wire-layer wire-bytes">
                <h3>"Bytes"</h3>
                <pre class="code">{dump(drawn, 0)}</pre>
                {rest}
            </section>
        }
    });
    view! {
        {detail.layers.into_iter().map(layer).collect::<Vec<_>>()}
        {bytes}
    }
    .into_any()
}

fn layer(layer: Layer) -> AnyView {
    let field = |(name, value): (String, String)| view! { <dt>{name}</dt> <dd class="code">{value}</dd> };
    view! {
        <section class="wire-layer">
            <h3>{layer.name}</h3>
            <dl>{layer.fields.into_iter().map(field).collect::<Vec<_>>()}</dl>
        </section>
    }
    .into_any()
}
