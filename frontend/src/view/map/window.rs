//! Which part of the picture can be seen: of a map of hundreds of rows only those on the screen and a screen around them are
//! drawn. A shorter one is drawn whole: search on the page and screen readers find everybody.

use leptos::html::Div;
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::scene::LABEL;
use crate::widget::measure::narrow_page;

/// What is seen moves in steps of this many units, so that a turn of the wheel rarely changes what is drawn.
const STEP: f64 = 400.0;
/// Pictures up to this height, in units, are drawn whole: some sixty rows.
const WHOLE: f64 = 4_800.0;

/// What stands at the left edge of a phone at first: cables with their labels, then who hangs on them.
const NAMES: f64 = LABEL.0 - 6.0;

/// The part in sight. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// The element that scrolls.
    pub(super) node: NodeRef<Div>,
    /// From top to bottom, in units of the picture.
    pub(super) seen: RwSignal<(f64, f64)>,
    /// All of it is drawn, for who wants the whole.
    whole: RwSignal<bool>,
    /// Of the picture, in its units.
    width: Signal<f64>,
    height: Signal<f64>,
}

impl Window {
    /// `width` and `height` of the picture in its units; whether any namespace is in it.
    pub(super) fn new(width: Signal<f64>, height: Signal<f64>, has_frames: Signal<bool>) -> Self {
        let (node, whole) = (NodeRef::new(), RwSignal::new(false));
        // Until the page is laid out.
        let seen = RwSignal::new((0.0, WHOLE));
        let window = Self { node, seen, whole, width, height };
        Effect::new(move |_| {
            width.track();
            height.track();
            window.whole.track();
            window.look();
        });
        window.follow_size();
        window.begin_readable(has_frames);
        window
    }

    /// On a phone the picture is wider than the page, so that it can be read: it begins where names are, once there are any.
    fn begin_readable(self, has_frames: Signal<bool>) {
        let begun = StoredValue::new(false);
        Effect::new(move |_| {
            let (width, has_frames) = (self.width.get(), has_frames.get());
            let Some(node) = self.node.get() else { return };
            if begun.get_value() || !has_frames || !narrow_page() {
                return;
            }
            begun.set_value(true);
            // By the next frame it has its size.
            request_animation_frame(move || {
                let scale = f64::from(node.scroll_width()) / width.max(1.0);
                node.set_scroll_left((NAMES * scale) as i32);
            });
        });
    }

    /// Draws all of it, or again only what is seen.
    pub(super) fn set_whole(self, whole: bool) {
        self.whole.set(whole);
        self.look();
    }

    /// Looks again what can be seen.
    pub(super) fn look(self) {
        let Some(node) = self.node.get_untracked() else { return };
        let seen = if self.whole.get_untracked() || self.height.get_untracked() <= WHOLE {
            (0.0, f64::MAX)
        } else {
            let (top, height) = (f64::from(node.scroll_top()), f64::from(node.client_height()));
            // The picture is as wide as its frame, or wider where it scrolls sideways.
            let across = f64::from(node.scroll_width().max(1));
            sight(top, height, across / self.width.get_untracked())
        };
        self.seen.maybe_update(|before| {
            let changed = *before != seen;
            *before = seen;
            changed
        });
    }

    fn follow_size(self) {
        let looks = Closure::<dyn FnMut()>::new(move || self.look());
        let Ok(observer) = web_sys::ResizeObserver::new(looks.as_ref().unchecked_ref()) else { return };
        let held = StoredValue::new(SendWrapper::new((observer, looks)));
        Effect::new(move |_| {
            if let Some(node) = self.node.get() {
                held.with_value(|held| held.0.observe(&node));
            }
        });
        on_cleanup(move || {
            held.try_update_value(|held| held.0.disconnect());
        });
    }
}

/// What is drawn, in units: what can be seen and about a screen around it. `scale`: pixels per unit.
fn sight(top: f64, height: f64, scale: f64) -> (f64, f64) {
    let scale = scale.max(0.01);
    let (from, to) = (top / scale - STEP, (top + height) / scale + STEP);
    ((from / STEP).floor() * STEP, (to / STEP).ceil() * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_drawn_than_seen_and_small_turns_change_nothing() {
        for top in [0.0, 37.0, 4_000.0, 77_777.0] {
            let (from, to) = sight(top, 800.0, 0.8);
            assert!(from <= top / 0.8 - STEP && to >= (top + 800.0) / 0.8 + STEP);
            assert!(to - from < 800.0 / 0.8 + 4.0 * STEP);
        }
        assert_eq!(sight(4_000.0, 800.0, 1.0), sight(4_010.0, 790.0, 1.0));
        assert_eq!(sight(0.0, 0.0, 0.0), (-STEP, STEP));
    }
}
