//! What a person does to a table: keys, clicks, pointing, scrolling.

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, MouseEvent};

use super::head::{Order, next_order};
use super::keys::{Action, action, target};
use super::model::{Column, Key};
use super::order::hold_order;
use super::painter::Painter;
use super::window::reveal;
use super::{HOLD_MS, Lines, TableModel};
use crate::widget::copy::copy_text;

/// How long the status line says what was done.
const TOLD_FOR: Duration = Duration::from_secs(2);

/// State of one table; cheap to copy.
pub(super) struct Pilot<K: Key> {
    /// Lines as shown: the view's, or in the order held.
    pub(super) lines: Memo<Lines<K>>,
    pub(super) painter: StoredValue<Option<Painter<K>>, LocalStorage>,
    pub(super) cursor: RwSignal<Option<K>>,
    pub(super) scroll: RwSignal<f64>,
    pub(super) held: RwSignal<bool>,
    /// Last thing done, for the status line.
    pub(super) told: RwSignal<String>,
    pub(super) row_px: f64,
    pub(super) on_order: Callback<Order>,
    scroller: StoredValue<Option<HtmlElement>, LocalStorage>,
    pointed_at: StoredValue<f64>,
    shown: Memo<Vec<&'static Column>>,
    order: Signal<Option<Order>>,
    on_select: Callback<K>,
    on_cursor: Callback<K>,
    on_fold: Callback<(K, bool)>,
}

impl<K: Key> Clone for Pilot<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key> Copy for Pilot<K> {}

impl<K: Key> Pilot<K> {
    pub(super) fn new(model: &TableModel<K>, shown: Memo<Vec<&'static Column>>, row_px: f64) -> Self {
        let (source, held) = (model.lines, RwSignal::new(false));
        let (pointed_at, on_order) = (StoredValue::new(0.0), model.on_order);
        let lines = Memo::new_with_compare(
            move |before: Option<&Lines<K>>| {
                let now = source.get();
                match before {
                    Some(before) if held.get() => Arc::new(hold_order(before, &now)),
                    Some(_) | None => now,
                }
            },
            |a, b| !a.zip(b).is_some_and(|(a, b)| Arc::ptr_eq(a, b)),
        );
        Effect::new(move |_| {
            source.track();
            if held.get_untracked() && now_ms() - pointed_at.get_value() > HOLD_MS {
                held.set(false);
            }
        });
        Self {
            lines,
            painter: StoredValue::new_local(None),
            cursor: RwSignal::new(None),
            scroll: RwSignal::new(0.0),
            held,
            told: RwSignal::new(String::new()),
            row_px,
            on_order: Callback::new(move |order| {
                held.set(false);
                on_order.run(order);
            }),
            scroller: StoredValue::new_local(None),
            pointed_at,
            shown,
            order: model.order,
            on_select: model.on_select,
            on_cursor: model.on_cursor,
            on_fold: model.on_fold,
        }
    }

    /// The scrolling element is in the page.
    pub(super) fn attach(self, element: impl Into<HtmlElement>) {
        let element = element.into();
        // Keys work at once unless the person is somewhere else already.
        let idle = document().active_element().is_none_or(|e| e.tag_name() == "BODY");
        if let Some(grid) = element.parent_element().filter(|_| idle) {
            let _ = grid.dyn_ref::<HtmlElement>().map(HtmlElement::focus);
        }
        self.scroller.set_value(Some(element));
    }

    pub(super) fn scrolled(self) {
        if let Some(top) = self.scroller.with_value(|s| s.as_ref().map(|e| e.scroll_top())) {
            self.scroll.set(f64::from(top));
        }
    }

    pub(super) fn pointed(self) {
        self.pointed_at.set_value(now_ms());
        if !self.held.get_untracked() {
            self.held.set(true);
        }
    }

    pub(super) fn left(self) {
        self.held.set(false);
    }

    /// Place of the cursor among the lines; reactive.
    pub(super) fn cursor_line(self) -> Option<usize> {
        let cursor = self.cursor.get()?;
        self.lines.with(|lines| lines.iter().position(|l| l.key == cursor))
    }

    pub(super) fn click(self, event: &MouseEvent) {
        let Some(element) = event.target().and_then(|t| t.dyn_into::<Element>().ok()) else { return };
        // A click that ends the marking of text is no choice.
        let marked = window().get_selection().ok().flatten().is_some_and(|s| !s.is_collapsed());
        let Some(slot) = slot_of(&element).filter(|_| !marked) else { return };
        let line = self.painter.with_value(|p| p.as_ref().and_then(|p| p.line(slot).cloned()));
        let Some(line) = line else { return };
        self.cursor.set(Some(line.key.clone()));
        let on_fold = element.class_list().contains("table-fold") || line.group;
        match line.open.filter(|_| on_fold) {
            Some(open) => self.on_fold.run((line.key, !open)),
            None => self.on_select.run(line.key),
        }
    }

    pub(super) fn key(self, event: &KeyboardEvent) {
        if event.ctrl_key() || event.alt_key() || event.meta_key() {
            return;
        }
        let on_button = event
            .target()
            .and_then(|t| t.dyn_into::<Element>().ok())
            .is_some_and(|e| matches!(e.tag_name().as_str(), "BUTTON" | "INPUT" | "A" | "SUMMARY"));
        let Some(action) = action(&event.key()).filter(|a| !(on_button && *a == Action::Select)) else {
            return;
        };
        event.prevent_default();
        event.stop_propagation();
        self.act(action);
    }

    fn act(self, action: Action) {
        match action {
            Action::By(_) | Action::Pages(_) | Action::First | Action::Last => self.go(action),
            Action::Select | Action::Open | Action::Close => self.here(action),
            Action::NextOrder => {
                let next =
                    self.shown.with_untracked(|c| self.order.with_untracked(|o| next_order(o.as_ref(), c)));
                if let Some(order) = next {
                    self.on_order.run(order);
                }
            }
            Action::TurnOrder => {
                if let Some((column, descending)) = self.order.get_untracked() {
                    self.on_order.run((column, !descending));
                }
            }
            Action::CopyRow => self.copy_row(),
            Action::CopyCell => self.copy_cell(),
        }
    }

    fn go(self, action: Action) {
        let lines = self.lines.get_untracked();
        let now = self.cursor.with_untracked(|c| lines.iter().position(|l| Some(&l.key) == c.as_ref()));
        let view = self.scroller.with_value(|s| s.as_ref().map(|e| (e.scroll_top(), e.client_height())));
        let (top, height) = view.map_or((0.0, 0.0), |(t, h)| (f64::from(t), f64::from(h) - self.row_px));
        let page = (height / self.row_px).max(1.0) as usize;
        let Some(at) = target(action, now, lines.len(), page) else { return };
        if let Some(line) = lines.get(at) {
            self.cursor.set(Some(line.key.clone()));
            self.on_cursor.run(line.key.clone());
        }
        if let Some(to) = reveal(at, top, height, self.row_px) {
            self.scroller.with_value(|s| s.iter().for_each(|e| e.set_scroll_top(to.round() as i32)));
        }
    }

    /// What concerns the line under the cursor.
    fn here(self, action: Action) {
        let Some(key) = self.cursor.get_untracked() else { return };
        let line = self.lines.with_untracked(|lines| lines.iter().find(|l| l.key == key).cloned());
        match (action, line) {
            (Action::Select, Some(line)) => match line.open.filter(|_| line.group) {
                Some(open) => self.on_fold.run((key, !open)),
                None => self.on_select.run(key),
            },
            (Action::Open, Some(line)) if line.open == Some(false) => self.on_fold.run((key, true)),
            (Action::Close, Some(line)) if line.open == Some(true) => self.on_fold.run((key, false)),
            (_, Some(_) | None) => {}
        }
    }

    fn copy_row(self) {
        let Some(at) = untrack(|| self.cursor_line()) else { return };
        let texts = self.painter.with_value(|p| p.as_ref().map(|p| p.texts(at % p.slots().max(1))));
        if let Some(texts) = texts.filter(|t| !t.is_empty()) {
            copy_text(&texts.join("\t"));
            self.tell("row copied");
        }
    }

    fn copy_cell(self) {
        let body = self.scroller.with_value(|s| s.clone());
        let hovered = body.and_then(|b| b.query_selector(".table-cell:hover .table-text").ok().flatten());
        if let Some(text) = hovered.and_then(|e| e.text_content()) {
            copy_text(&text);
            self.tell("cell copied");
        }
    }

    fn tell(self, what: &str) {
        self.told.set(what.into());
        let told = self.told;
        let forget = move || {
            // The table may be gone by then.
            let _ = told.try_set(String::new());
        };
        set_timeout(forget, TOLD_FOR);
    }
}

fn slot_of(element: &Element) -> Option<usize> {
    element.closest("[data-slot]").ok()??.get_attribute("data-slot")?.parse().ok()
}

fn now_ms() -> f64 {
    window().performance().map_or(0.0, |p| p.now())
}
