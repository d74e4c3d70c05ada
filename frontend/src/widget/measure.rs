//! What only the browser knows: how large an element is, how large its type is, and whether a finger points at it.

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// Width and height of an element's inside, CSS pixels, followed as it changes; 0 before it is in the page.
pub fn size_of(node: NodeRef<Div>) -> (Signal<f64>, Signal<f64>) {
    let (width, height) = (RwSignal::new(0.0), RwSignal::new(0.0));
    let observer = StoredValue::new_local(None::<Observer>);
    Effect::new(move |_| {
        let Some(element) = node.get() else { return };
        let seen = element.clone();
        let measure = move || {
            width.set(f64::from(seen.client_width()));
            height.set(f64::from(seen.client_height()));
        };
        measure();
        observer.set_value(Observer::start(&element, measure));
    });
    on_cleanup(move || {
        observer.try_update_value(Option::take);
    });
    (width.into(), height.into())
}

/// A running `ResizeObserver` with the callback it needs.
struct Observer {
    observer: web_sys::ResizeObserver,
    _callback: Closure<dyn FnMut()>,
}

impl Observer {
    fn start(element: &web_sys::Element, measure: impl FnMut() + 'static) -> Option<Self> {
        let callback = Closure::<dyn FnMut()>::new(measure);
        let observer = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()).ok()?;
        observer.observe(element);
        Some(Self { observer, _callback: callback })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Whether the main pointer is a finger.
pub fn coarse_pointer() -> bool {
    matches_media("(pointer: coarse)")
}

/// Whether the page is as narrow as a phone; as in the style sheets.
pub fn narrow_page() -> bool {
    matches_media("(max-width: 700px)")
}

fn matches_media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|q| q.matches())
}

/// Size of the page's type (1 rem), CSS pixels: wide screens have larger letters.
pub fn rem_px() -> f64 {
    let root = document().document_element();
    let style = root.and_then(|root| window().get_computed_style(&root).ok().flatten());
    let size = style.and_then(|s| s.get_property_value("font-size").ok());
    size.and_then(|s| s.trim_end_matches("px").parse().ok()).unwrap_or(13.0)
}

/// What local time is ahead of UTC now, nanoseconds; 0 where no browser is (tests on the host).
pub fn zone_offset_nanos() -> i64 {
    if cfg!(not(target_arch = "wasm32")) {
        return 0;
    }
    // Minutes, counted the other way round.
    let minutes = js_sys::Date::new_0().get_timezone_offset();
    -(minutes as i64) * 60_000_000_000
}
