//! Keys that work everywhere. Tables and lists handle their own first and mark the event as handled.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use super::{Overlay, browser};
use crate::store::Store;
use crate::store::choice::Choice;
use crate::view::VIEWS;

/// After `g` the letter of a view is awaited this long, milliseconds.
const CHORD_MILLIS: f64 = 1_500.0;

pub(super) fn listen(store: Store, choice: Choice, overlay: Overlay) {
    let chord_at = StoredValue::new(f64::MIN);
    window_event_listener(leptos::ev::keydown, move |event| press(&event, store, choice, overlay, chord_at));
}

fn press(event: &KeyboardEvent, store: Store, choice: Choice, overlay: Overlay, chord_at: StoredValue<f64>) {
    let key = event.key();
    let command = event.ctrl_key() || event.meta_key();
    if command && key.eq_ignore_ascii_case("k") {
        event.prevent_default();
        overlay.search.set(true);
        return;
    }
    let in_dialog = overlay.help.get_untracked() || overlay.missing.get_untracked();
    if event.default_prevented() || command || event.alt_key() || in_dialog || browser::is_typing(event) {
        return;
    }
    let chord = event.time_stamp() - chord_at.get_value() < CHORD_MILLIS;
    chord_at.set_value(f64::MIN);
    let view = VIEWS.iter().find(|v| chord && key.chars().eq([v.key]));
    match (key.as_str(), view) {
        (_, Some(view)) => choice.set_view(view.id),
        ("g", None) => chord_at.set_value(event.time_stamp()),
        ("/", None) => overlay.search.set(true),
        ("?", None) => overlay.help.set(true),
        ("t", None) => browser::next_theme(choice),
        ("Escape", None) if choice.selected.with_untracked(Option::is_some) => choice.select(None),
        ("Escape", None) if store.rewound().with_untracked(Option::is_some) => store.rewind(None),
        _ => return,
    }
    event.prevent_default();
}
