//! The list of keys, made from the views and what the frame and its tables understand.

use leptos::html::Dialog;
use leptos::prelude::*;

use super::Overlay;
use crate::view::VIEWS;

/// Keys beside those of the views, as `keyboard`, `palette` and tables handle them.
const KEYS: &[(&str, &str)] = &[
    ("/  or  Ctrl K", "search processes, containers, views"),
    ("j  k  ↓  ↑", "next and previous row"),
    ("Enter", "open the row in the inspector"),
    ("PgUp  PgDn  Home  End", "by screens; first and last row"),
    ("←  →", "close and open a branch; neighbouring tab or letter; a moment of the timeline"),
    ("Enter  Esc", "on the timeline: every view as it was at that moment; back to now"),
    ("o  O", "sort by the next column; turn the order round"),
    ("y  Y", "copy the row; copy the cell under the pointer"),
    ("Esc", "close what is open: search, list, inspector; come back from the past"),
    ("t", "colours: as the system, dark, light"),
    ("?", "this list"),
];

pub(super) fn help() -> impl IntoView {
    let overlay = expect_context::<Overlay>();
    let views = VIEWS.iter().map(|v| row(format!("g  {}", v.key), v.title)).collect::<Vec<_>>();
    let others = KEYS.iter().map(|(keys, meaning)| row((*keys).to_owned(), meaning)).collect::<Vec<_>>();
    dialog("Keys", overlay.help, move || view! { <dl class="keys">{views}{others}</dl> }.into_any())
}

fn row(keys: String, meaning: &'static str) -> impl IntoView {
    view! {
        <dt>
            <kbd>{keys}</kbd>
        </dt>
        <dd>{meaning}</dd>
    }
}

/// A window over the page that takes the focus while it is open and gives it back.
pub(super) fn dialog(
    title: &'static str,
    open: RwSignal<bool>,
    content: impl FnOnce() -> AnyView,
) -> impl IntoView {
    let node = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        // The browser refuses only what is so already.
        match (open.get(), dialog.open()) {
            (true, false) => drop(dialog.show_modal()),
            (false, true) => dialog.close(),
            (true, true) | (false, false) => {}
        }
    });
    view! {
        <dialog node_ref=node aria-label=title on:close=move |_| open.set(false)>
            <div class="head">
                <h2>{title}</h2>
                <button type="button" class="close" aria-label="Close" on:click=move |_| open.set(false)>
                    "×"
                </button>
            </div>
            {content()}
        </dialog>
    }
}
