//! A conversation as both sides sent it: who, in which order, as text or as a dump; gaps, ends and what was recognised marked.

use glasshull_shared::domain::wire::{Chunk, Piece, Side};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::detail::close_button;
use super::packets::time;
use super::text::{dump, readable};
use crate::store::Look;
use crate::widget::segments::Segments;

const FORMS: &[(&str, &str)] = &[("text", "Text"), ("hex", "Hex")];
/// Bytes that are drawn as a dump, which takes five times the room.
const DUMPED_AT_MOST: usize = 256 << 10;

/// The pane.
pub(super) fn stream(look: Look, close: impl Fn() + Copy + Send + Sync + 'static) -> AnyView {
    let hex = RwSignal::new(false);
    let count = Memo::new(move |_| look.stream.with(|s| s.as_ref().map_or(0, |s| s.chunks.len())));
    let end = move |i: usize| {
        move || {
            let end =
                look.stream.with(|s| s.as_ref().and_then(|s| s.ends.get(i).cloned())).unwrap_or_default();
            let said = look.stream.with(|s| s.as_ref().map_or(0, |s| said(&s.chunks, i)));
            let name = look.name_of(&end).unwrap_or_else(|| end.clone());
            format!("{} · {}", unit::printable(&name), unit::bytes(said))
        }
    };
    let draw = move |at: usize| chunk(look, at, hex);
    view! {
        <section class="wire-pane" aria-label="Stream">
            <div class="wire-pane-head">
                <h2>"Stream"</h2>
                <span class="wire-end" data-side="first">{end(0)}</span>
                <span class="wire-end" data-side="second">{end(1)}</span>
                <Segments
                    label="Form"
                    options=FORMS
                    value=Signal::derive(move || if hex.get() { "hex" } else { "text" }.to_owned())
                    on_choose=Callback::new(move |form| hex.set(form == "hex"))
                />
                {close_button(close)}
            </div>
            <div class="wire-pane-body wire-stream" tabindex="0">
                <For each=move || 0..count.get() key=move |at| (*at, hex.get()) children=draw />
                <Show when=move || count.get() == 0>
                    <p class="dim">"Nothing was said yet."</p>
                </Show>
            </div>
        </section>
    }
    .into_any()
}

/// Bytes of one side that are shown.
fn said(chunks: &[Chunk], side: usize) -> u64 {
    let of_side = chunks.iter().filter(|chunk| number(chunk.side) == side);
    of_side.map(|chunk| if let Piece::Data(data) = &chunk.piece { data.len() as u64 } else { 0 }).sum()
}

fn number(side: Side) -> usize {
    match side {
        Side::First => 0,
        Side::Second => 1,
    }
}

/// One part; parts only come at the end, so a part never changes.
fn chunk(look: Look, at: usize, hex: RwSignal<bool>) -> AnyView {
    let hex = hex.get_untracked();
    let found = look.stream.with_untracked(|stream| {
        let chunks = &stream.as_ref()?.chunks;
        let chunk = chunks.get(at)?.clone();
        // Numbers of a dump count the bytes of this side alone.
        let before = if hex { said(chunks.get(..at)?, number(chunk.side)) } else { 0 };
        Some((chunk, usize::try_from(before).unwrap_or(usize::MAX)))
    });
    let Some((chunk, before)) = found else { return ().into_any() };
    let side = match chunk.side {
        Side::First => "first",
        Side::Second => "second",
    };
    let when = time(chunk.at);
    let mark = |class: &'static str, text: String| {
        view! { <p class=class data-side=side title=when.clone()>{text}</p> }.into_any()
    };
    match chunk.piece {
        Piece::Data(_) if hex && before > DUMPED_AT_MOST => ().into_any(),
        Piece::Data(data) => {
            let text = if hex { dump(&data, before) } else { readable(&data) };
            view! { <pre class="wire-said code" data-side=side title=when>{text}</pre> }.into_any()
        }
        Piece::Note(text) => mark("wire-note", text),
        Piece::Gap(lost) => mark("wire-gap", format!("{} passed unseen", unit::bytes(lost))),
        Piece::Middle => mark("wire-mark", "picked up in the middle: the beginning was not seen".into()),
        Piece::Fin => mark("wire-mark", "has sent its last byte".into()),
        Piece::Reset => mark("wire-mark", "broke the connection off".into()),
        Piece::Cut => mark("wire-gap", "more passes than is shown".into()),
    }
}
