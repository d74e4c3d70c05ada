//! Copying text: a function and a button.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

/// Puts text into the clipboard. Pages served over plain HTTP from another host have no clipboard interface; there the
/// old command does it.
pub fn copy_text(text: &str) {
    let navigator = window().navigator();
    let modern =
        js_sys::Reflect::get(&navigator, &JsValue::from_str("clipboard")).is_ok_and(|c| c.is_object());
    if modern {
        // Refused only when the person refused; nothing to add then.
        drop(navigator.clipboard().write_text(text));
    } else {
        let _ = copy_by_command(text);
    }
}

fn copy_by_command(text: &str) -> Result<(), JsValue> {
    let document = document();
    let Some(body) = document.body() else { return Ok(()) };
    let focused = document.active_element();
    let area: web_sys::HtmlTextAreaElement = document.create_element("textarea")?.unchecked_into();
    area.set_value(text);
    area.set_class_name("copy-source");
    body.append_child(&area)?;
    area.select();
    document.unchecked_ref::<web_sys::HtmlDocument>().exec_command("copy")?;
    area.remove();
    if let Some(element) = focused.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
        element.focus()?;
    }
    Ok(())
}

/// A small button that copies a text and says so.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What it is, for screen readers and hover: "copy the command".
    label: &'static str,
) -> impl IntoView {
    let done = RwSignal::new(false);
    let copy = move |_| {
        copy_text(&text.get_untracked());
        done.set(true);
        let undo = move || {
            // The button may be gone by then.
            let _ = done.try_set(false);
        };
        set_timeout(undo, Duration::from_millis(1_200));
    };
    view! {
        <button type="button" class="copy" class:done=move || done.get() title=label aria-label=label on:click=copy>
            // Its usual word comes from the style sheet: it is no part of the text it stands beside.
            <span aria-live="polite">{move || if done.get() { "copied" } else { "" }}</span>
        </button>
    }
}
