//! What the frame needs of the browser itself: address bar, links, stored theme, wall clock. Thin and without state.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::store::choice::{Choice, Step};
use crate::store::{Theme, address::Address};

/// Under this name the theme is remembered.
const THEME: &str = "glasshull.theme";

/// What the address bar says, and the remembered theme where it says none.
pub(super) fn here() -> Address {
    let mut address = Address::parse(&window().location().search().unwrap_or_default());
    if address.get("theme").is_none() {
        address.set("theme", stored_theme().map(|theme| theme.name().to_owned()));
    }
    address
}

/// Puts an address into the address bar.
pub(super) fn write_address(address: &Address, step: Step) {
    let query = address.to_query();
    // An empty string would leave the query as it is.
    let url = if query.is_empty() { window().location().pathname().unwrap_or_default() } else { query };
    let null = wasm_bindgen::JsValue::NULL;
    if let Ok(history) = window().history() {
        // Browsers refuse more than some hundred changes in half a minute; the page itself is right even then.
        let _ = match step {
            Step::Push => history.push_state_with_url(&null, "", Some(&url)),
            Step::Replace => history.replace_state_with_url(&null, "", Some(&url)),
        };
    }
}

/// Back and Forward, and links of the page itself, change the choice instead of loading the page anew.
pub(super) fn follow_address(choice: Choice) {
    window_event_listener(ev::popstate, move |_| {
        choice.load(here());
    });
    window_event_listener(ev::click, move |event| {
        let elsewhere = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
        if event.default_prevented() || event.button() != 0 || elsewhere {
            return;
        }
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let link = target.and_then(|t| t.closest("a[href^='?']").ok().flatten());
        if let Some(href) = link.and_then(|a| a.get_attribute("href")) {
            event.prevent_default();
            choice.follow(Address::parse(&href));
        }
    });
}

/// Draws the page in the theme chosen.
pub(super) fn follow_theme(choice: Choice) {
    Effect::new(move |_| {
        let Some(root) = document().document_element() else { return };
        // The attribute is missing for `auto`: the style sheet then asks the system.
        let _ = match choice.theme.get() {
            Theme::Auto => root.remove_attribute("data-theme"),
            theme @ (Theme::Dark | Theme::Light) => root.set_attribute("data-theme", theme.name()),
        };
    });
}

/// Goes to the next theme and remembers it in this browser.
pub(super) fn next_theme(choice: Choice) {
    let theme = choice.theme.get_untracked().next();
    choice.set_theme(theme);
    if let Ok(Some(storage)) = window().local_storage() {
        // Storage may be full or forbidden; then the URL alone remembers.
        let _ = storage.set_item(THEME, theme.name());
    }
}

/// The theme remembered; `None` when it is the system's.
fn stored_theme() -> Option<Theme> {
    let name = window().local_storage().ok()??.get_item(THEME).ok()??;
    Theme::from_name(&name).filter(|theme| *theme != Theme::Auto)
}

/// An instant as `2026-11-22` and `14:31:20` in the browser's time zone.
pub(super) fn date_and_time(nanos: u64) -> (String, String) {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(nanos as f64 / 1e6));
    (
        format!("{:04}-{:02}-{:02}", date.get_full_year(), date.get_month() + 1, date.get_date()),
        format!("{:02}:{:02}:{:02}", date.get_hours(), date.get_minutes(), date.get_seconds()),
    )
}

/// Whether typed letters go into the element an event came from.
pub(super) fn is_typing(event: &web_sys::Event) -> bool {
    event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok()).is_some_and(|e| {
        matches!(e.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT") || e.has_attribute("contenteditable")
    })
}

/// Gives an element the focus, if it can take it.
pub(super) fn focus(element: Option<web_sys::Element>) {
    if let Some(element) = element.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
        // Only a detached element fails, and then there is nothing to focus.
        let _ = element.focus();
    }
}

/// Scrolls what holds it as little as shows it whole.
pub(super) fn bring_into_sight(element: &web_sys::Element) {
    let options = web_sys::ScrollIntoViewOptions::new();
    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
    options.set_inline(web_sys::ScrollLogicalPosition::Nearest);
    element.scroll_into_view_with_scroll_into_view_options(&options);
}
