//! The rail: one link per view, and below them theme and keys. On a phone it is the bar at the bottom.

use leptos::prelude::*;

use super::{Overlay, browser};
use crate::store::{Theme, use_choice};
use crate::view::{VIEWS, View};

pub(super) fn rail() -> impl IntoView {
    let choice = use_choice();
    let overlay = expect_context::<Overlay>();
    let theme = move || match choice.theme.get() {
        Theme::Auto => "Theme: auto",
        Theme::Dark => "Theme: dark",
        Theme::Light => "Theme: light",
    };
    view! {
        <nav class="rail" aria-label="Views">
            {VIEWS.iter().map(item).collect::<Vec<_>>()}
            <span class="gap"></span>
            <button type="button" title="Colours: as the system, dark, light (t)" on:click=move |_| browser::next_theme(choice)>
                {theme}
            </button>
            <button type="button" title="Keys (?)" on:click=move |_| overlay.help.set(true)>"Keys"</button>
        </nav>
    }
}

fn item(view: &'static View) -> impl IntoView {
    let choice = use_choice();
    let current = move || (choice.view.get() == view.id).then_some("page");
    let title = format!("{} (g {})", view.title, view.key);
    let node = NodeRef::<leptos::html::A>::new();
    // On a phone the bar holds more than is seen of it.
    Effect::new(move |_| {
        if let Some(node) = node.get().filter(|_| current().is_some()) {
            browser::bring_into_sight(&node);
        }
    });
    view! {
        <a node_ref=node href=move || choice.view_link(view.id) aria-current=current title=title aria-label=view.title>
            {view.short}
        </a>
    }
}
