//! The inspector's frame: heading, tabs and closing; what is inside comes from `view::inspect`. A sheet on a phone.
//! All of it but its place comes later.

use leptos::prelude::*;

use crate::feed::archive::FETCH;
use crate::store::{Selection, use_choice, use_store};
use crate::view::inspect::{Inspect, Tab, findings, inspect};
use crate::widget::later::{Load, drawn, later};

/// What is drawn of a selection.
pub(super) const OPENED: Load<Selection> = later!(view, Selection, selection => opened(selection));

pub(super) fn inspector() -> impl IntoView {
    let choice = use_choice();
    let inside = |selection| untrack(|| drawn(OPENED, selection, "The inspector"));
    move || {
        let inside = choice.selected.get().map(inside)?;
        Some(view! { <aside class="inspector" aria-label="Inspector">{inside}</aside> })
    }
}

/// Drawn anew for each selection; the tables it needs are wanted until then.
fn opened(selection: Selection) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let Inspect { heading, tabs, topics } = inspect(&selection);
    store.want_here(topics);
    provide_context(FETCH);
    let open = Memo::new(move |_| {
        let wanted = choice.tab.get();
        tabs.iter().position(|t| Some(t.id) == wanted.as_deref()).unwrap_or(0)
    });
    let body = {
        let selection = selection.clone();
        move || {
            let at = open.get();
            // What somebody should know of the thing stands before all else.
            let found = (at == 0).then(|| untrack(|| findings(selection.clone())));
            let tab = tabs.get(at).map(|tab| untrack(|| (tab.render)(selection.clone())));
            (found, tab)
        }
    };
    view! {
        <div class="head">
            {heading(selection)}
            <button
                type="button"
                class="close"
                title="Close (Esc)"
                aria-label="Close the inspector"
                on:click=move |_| choice.select(None)
            >
                "×"
            </button>
        </div>
        <div class="tabs" role="tablist" class:is-single={tabs.len() < 2}>
            {tabs.iter().enumerate().map(|(i, tab)| tab_button(tabs, i, tab, open)).collect::<Vec<_>>()}
        </div>
        <div class="body" role="tabpanel" tabindex="0">{body}</div>
    }
    .into_any()
}

fn tab_button(tabs: &'static [Tab], i: usize, tab: &'static Tab, open: Memo<usize>) -> impl IntoView {
    let choice = use_choice();
    let node = NodeRef::<leptos::html::Button>::new();
    let is_open = move || open.get() == i;
    let show = move |i: usize| {
        // The first tab is what the URL means without naming one.
        choice.set_tab(tabs.get(i).filter(|_| i > 0).map(|t| t.id.to_owned()));
    };
    let keys = move |event: leptos::ev::KeyboardEvent| {
        let next = match event.key().as_str() {
            "ArrowRight" => (i + 1) % tabs.len(),
            "ArrowLeft" => (i + tabs.len() - 1) % tabs.len(),
            _ => return,
        };
        event.prevent_default();
        show(next);
        let sibling = node
            .get_untracked()
            .and_then(|n| n.parent_element())
            .and_then(|list| list.children().item(u32::try_from(next).unwrap_or(0)));
        super::browser::focus(sibling);
    };
    view! {
        <button
            node_ref=node
            type="button"
            role="tab"
            aria-selected=move || is_open().to_string()
            tabindex=move || if is_open() { "0" } else { "-1" }
            on:click=move |_| show(i)
            on:keydown=keys
        >
            {tab.title}
        </button>
    }
}
