//! A state in one word: colour and shape both say it, so neither is needed to read the other.

use leptos::prelude::*;

/// A word with a shape before it.
#[component]
pub fn Badge(
    /// One character that differs between states: `●`, `‖`, `■`.
    shape: &'static str,
    /// The state.
    #[prop(into)]
    text: String,
    /// `data-tone`: `fine`, `attention`, `trouble`, `special` or `quiet`.
    tone: &'static str,
    /// More, on hover.
    #[prop(optional, into)]
    title: String,
) -> impl IntoView {
    view! {
        <span class="badge" data-tone=tone title=title>
            <span class="badge-shape" aria-hidden="true">{shape}</span>
            {text}
        </span>
    }
}
