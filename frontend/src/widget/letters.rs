//! Letters side by side, each standing for something one can point at and pick: the body of a scoreboard.
//!
//! Only letters that changed are touched; there is one element per letter and no listener on any of them.

use std::sync::Arc;

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};

/// One letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    /// The letter.
    pub text: &'static str,
    /// `data-tone`.
    pub tone: &'static str,
}

impl Glyph {
    /// A letter.
    pub fn new(text: &'static str, tone: &'static str) -> Self {
        Self { text, tone }
    }

    /// A place that is open.
    pub fn open() -> Self {
        Self { text: "·", tone: "open" }
    }

    /// A place left empty until somebody takes it.
    pub fn hole() -> Self {
        Self { text: "", tone: "open" }
    }
}

/// The letter pointed at: its number, and the middle of its lower edge in the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointed {
    /// Place among the letters.
    pub at: usize,
    /// CSS pixels from the left of the window.
    pub x: f64,
    /// CSS pixels from the top of the window.
    pub y: f64,
}

/// The letters.
#[component]
pub fn Letters(
    /// In their order.
    #[prop(into)]
    glyphs: Signal<Arc<Vec<Glyph>>>,
    /// For screen readers.
    #[prop(into)]
    label: Signal<String>,
    /// Number of the one selected.
    #[prop(into)]
    selected: Signal<Option<usize>>,
    /// A person points at a letter, or no longer at any.
    on_point: Callback<Option<Pointed>>,
    /// A person picked a letter.
    on_pick: Callback<usize>,
) -> impl IntoView {
    let node = NodeRef::<Div>::new();
    let cursor = RwSignal::new(None::<usize>);
    Effect::new(move |before: Option<Arc<Vec<Glyph>>>| {
        let now = glyphs.get();
        if let Some(element) = node.get() {
            paint(&element, before.as_deref().map_or(&[], |b| b), &now);
        }
        now
    });
    mark(node, glyphs, selected, "selected");
    mark(node, glyphs, cursor.into(), "cursor");
    let point = move |element: Option<Element>| on_point.run(element.as_ref().and_then(pointed));
    let move_to = move |at: usize| {
        cursor.set(Some(at));
        point(node.get_untracked().and_then(|n| n.children().item(u32::try_from(at).ok()?)));
    };
    let key = move |event: KeyboardEvent| {
        let last = glyphs.with_untracked(|g| g.len()).saturating_sub(1);
        let at = cursor.get_untracked();
        match event.key().as_str() {
            "ArrowRight" => move_to(at.map_or(0, |a| (a + 1).min(last))),
            "ArrowLeft" => move_to(at.map_or(last, |a| a.saturating_sub(1))),
            "Enter" => at.into_iter().for_each(|a| on_pick.run(a)),
            _ => return,
        }
        event.prevent_default();
    };
    let leave = move || {
        cursor.set(None);
        on_point.run(None);
    };
    view! {
        <div
            class="letters"
            role="group"
            tabindex="0"
            aria-label=label
            node_ref=node
            on:pointerover=move |event| point(letter_of(event.target()))
            on:pointerleave=move |_| on_point.run(None)
            on:click=move |event| {
                letter_of(event.target()).as_ref().and_then(place_of).into_iter().for_each(|at| on_pick.run(at));
            }
            on:keydown=key
            on:blur=move |_| leave()
        ></div>
    }
}

/// Keeps one class on one letter.
fn mark(node: NodeRef<Div>, glyphs: Signal<Arc<Vec<Glyph>>>, at: Signal<Option<usize>>, class: &'static str) {
    Effect::new(move |before: Option<Option<Element>>| {
        // A letter may be made only now.
        glyphs.track();
        let now = at.get().and_then(|at| node.get()?.children().item(u32::try_from(at).ok()?));
        let before = before.flatten();
        if before != now {
            if let Some(element) = before {
                let _ = element.class_list().remove_1(class);
            }
            if let Some(element) = &now {
                let _ = element.class_list().add_1(class);
            }
        }
        now
    });
}

fn paint(parent: &Element, before: &[Glyph], now: &[Glyph]) {
    let Some(document) = parent.owner_document() else { return };
    let children = parent.children();
    for (i, glyph) in now.iter().enumerate() {
        let was = before.get(i);
        if was == Some(glyph) {
            continue;
        }
        let element = match was.and_then(|_| children.item(u32::try_from(i).ok()?)) {
            Some(element) => element,
            None => {
                let Ok(element) = document.create_element("i") else { return };
                let _ = parent.append_child(&element);
                element
            }
        };
        if was.map(|w| w.text) != Some(glyph.text) {
            element.set_text_content(Some(glyph.text));
        }
        let _ = element.set_attribute("data-tone", glyph.tone);
    }
    for _ in now.len()..before.len() {
        if let Some(element) = parent.last_element_child() {
            element.remove();
        }
    }
}

fn letter_of(target: Option<web_sys::EventTarget>) -> Option<Element> {
    target?.dyn_into::<Element>().ok().filter(|e| e.tag_name().eq_ignore_ascii_case("i"))
}

fn place_of(element: &Element) -> Option<usize> {
    let children = element.parent_element()?.children();
    (0..children.length()).find(|i| children.item(*i).as_ref() == Some(element)).map(|i| i as usize)
}

fn pointed(element: &Element) -> Option<Pointed> {
    let rect = element.get_bounding_client_rect();
    Some(Pointed { at: place_of(element)?, x: rect.left() + rect.width() / 2.0, y: rect.bottom() })
}
