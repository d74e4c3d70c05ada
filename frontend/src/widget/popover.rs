//! A button that opens a small panel beside it; it closes by itself when the focus leaves or Escape is pressed.

use leptos::html::Details;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// A panel under a button.
#[component]
pub fn Popover(
    /// On the button.
    #[prop(into)]
    label: String,
    /// Class of the panel.
    #[prop(into)]
    class: String,
    /// In the panel.
    children: Children,
) -> impl IntoView {
    let details = NodeRef::<Details>::new();
    let close = move || {
        if let Some(element) = details.get_untracked() {
            element.set_open(false);
        }
    };
    let leave = move |event: web_sys::FocusEvent| {
        let to = event.related_target().and_then(|t| t.dyn_into::<web_sys::Node>().ok());
        let inside =
            details.get_untracked().is_some_and(|d| to.as_ref().is_some_and(|t| d.contains(Some(t))));
        // Without a target the page itself took the click: inside the panel that is no reason to close.
        if to.is_some() && !inside {
            close();
        }
    };
    let key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" && details.get_untracked().is_some_and(|d| d.open()) {
            event.stop_propagation();
            close();
        }
    };
    let outside = window_event_listener(leptos::ev::pointerdown, move |event| {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Node>().ok());
        let inside =
            details.get_untracked().is_some_and(|d| target.as_ref().is_some_and(|t| d.contains(Some(t))));
        if !inside {
            close();
        }
    });
    on_cleanup(move || outside.remove());
    view! {
        <details class="popover" node_ref=details on:focusout=leave on:keydown=key>
            <summary class="button">{label}</summary>
            <div class=format!("popover-panel {class}")>{children()}</div>
        </details>
    }
}
