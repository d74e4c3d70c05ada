//! The timeline: what the host did in the last 15 minutes, with marks of what happened. Pointing at a moment shows its
//! values; arrow keys do the same. A click, dragging or Enter takes every view back to it.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::browser;
use super::mark::{BAR_NANOS, BARS, Bar, Mark, bar_of, bars, look, marks, paths};
use crate::store::{Selection, Store, use_choice, use_store};

#[derive(Clone, Copy)]
struct Timeline {
    store: Store,
    /// The newest bar: changes every few seconds, so that marks and bars move rarely and in whole steps.
    last: Memo<u64>,
    bars: Memo<Vec<Bar>>,
    /// The bar pointed at, by its number; `None` = now.
    pointed: RwSignal<Option<u64>>,
}

pub(super) fn timeline() -> impl IntoView {
    let store = use_store();
    let last = Memo::new(move |_| bar_of(store.live_tick().get().at));
    let timeline = Timeline {
        store,
        last,
        bars: Memo::new(move |_| {
            store.track(Topic::HostStat);
            store.history(|h| bars(h.host().iter(), last.get()))
        }),
        pointed: RwSignal::new(None),
    };
    view! {
        <footer class="timeline" aria-label="Timeline">
            {timeline.readout()}
            {timeline.chart()}
        </footer>
    }
}

impl Timeline {
    /// Time and values of the moment pointed at, else of now.
    fn readout(self) -> impl IntoView {
        let title = move || match (self.pointed.get(), self.store.rewound().get()) {
            (Some(_), _) => "at",
            (None, Some(_)) => "as of",
            (None, None) => "last 15 min",
        };
        let time = move || {
            let at = self.pointed.get().map_or_else(|| self.store.tick().get().at, |bar| bar * BAR_NANOS);
            if at == 0 { unit::UNKNOWN.to_owned() } else { browser::date_and_time(at).1 }
        };
        let values = Memo::new(move |_| match self.pointed.get() {
            Some(bar) => {
                let position = (bar + BARS).checked_sub(self.last.get() + 1);
                self.bars
                    .with(|bars| position.and_then(|i| bars.get(i as usize).copied()))
                    .unwrap_or_default()
            }
            // The newest reading, as the top bar shows it.
            None => self
                .store
                .read(&[Topic::HostStat], |s| s.host_stat.get(&Single).map(|h| Bar::now(h)))
                .unwrap_or_default(),
        });
        let percent = |ratio: Option<f32>| unit::or_unknown(ratio.map(|r| format!("{:.0} %", r * 100.0)));
        view! {
            <div class="readout">
                <span class="title">{title}</span>
                <b class="time">{time}</b>
                <span class="values">
                    <i class="k-busy"></i>
                    "cpu "
                    <b>{move || percent(values.get().busy_ratio)}</b>
                    <i class="k-iowait"></i>
                    "iowait "
                    <b>{move || percent(values.get().iowait_ratio)}</b>
                    <span class="k-mem">"mem " <b>{move || percent(values.get().memory_ratio)}</b></span>
                </span>
            </div>
        }
    }

    fn chart(self) -> impl IntoView {
        let shapes = Memo::new(move |_| self.bars.with(|b| paths(b)));
        let found = Memo::new(move |_| {
            self.store.read_live(&[Topic::Event], |s| marks(s.event.values().map(|e| &**e), self.last.get()))
        });
        let shown = move || {
            let bar = bar_of(self.store.rewound().get()?);
            Some(view! { <i class="cursor shown" style:left=move || self.left(bar)></i> })
        };
        let cursor = move || {
            self.pointed.get().map(|bar| {
                view! { <i class="cursor" style:left=move || self.left(bar)></i> }
            })
        };
        view! {
            <div
                class="chart"
                tabindex="0"
                role="group"
                aria-label="CPU and iowait of the last 15 minutes; arrow keys read them, Enter goes back to a moment, Escape returns"
                title="Click or drag: every view as it was then"
                on:pointerdown=move |event| self.press_pointer(&event)
                on:pointermove=move |event| self.point(&event)
                on:pointerleave=move |_| self.pointed.set(None)
                on:blur=move |_| self.pointed.set(None)
                on:keydown=move |event| self.press(&event)
            >
                <svg viewBox=format!("0 0 {BARS} 100") preserveAspectRatio="none" aria-hidden="true">
                    <path class="busy" d=move || shapes.with(|s| s.0.clone())></path>
                    <path class="iowait" d=move || shapes.with(|s| s.1.clone())></path>
                </svg>
                <div class="ticks" aria-hidden="true">
                    {["−15 min", "−10", "−5", "now"].map(|text| view! { <i>{text}</i> })}
                </div>
                {shown}
                {cursor}
                <For
                    each=move || found.get()
                    key=|m| (m.bar, m.labelled, m.text.clone())
                    children=move |m| self.mark(m)
                />
            </div>
        }
    }

    fn mark(self, mark: Mark) -> impl IntoView {
        let (sign, class) = look(mark.kind);
        let choice = use_choice();
        let container = mark.container.map(Selection::Container);
        let href = move || container.as_ref().map(|selection| choice.selection_link(selection));
        let (_, time) = browser::date_and_time(mark.at);
        let beside = match (mark.labelled, mark.count) {
            (true, _) => Some(mark.text.clone()),
            (false, 1) => None,
            (false, n) => Some(format!("×{n}")),
        };
        view! {
            <a
                class=format!("event {class}")
                href=href
                title=format!("{time} {}", mark.text)
                style:left=move || self.left(mark.bar)
            >
                {sign}
                {beside.map(|text| view! { <span>{text}</span> })}
            </a>
        }
    }

    /// Where a bar stands, as a share of the width.
    fn left(self, bar: u64) -> String {
        let from_right = self.last.get().saturating_sub(bar) as f64 + 0.6;
        format!("{:.3}%", (1.0 - from_right / BARS as f64) * 100.0)
    }

    fn point(self, event: &web_sys::PointerEvent) {
        let Some(chart) = event.current_target().and_then(|t| t.dyn_into::<web_sys::Element>().ok()) else {
            return;
        };
        let bounds = chart.get_bounding_client_rect();
        let share = (f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0);
        let position = (share.clamp(0.0, 1.0) * BARS as f64).min(BARS as f64 - 1.0) as u64;
        let bar = (self.last.get_untracked() + 1 + position).saturating_sub(BARS);
        if self.pointed.get_untracked() != Some(bar) {
            self.pointed.set(Some(bar));
            if event.buttons() & 1 == 1 {
                self.go(bar);
            }
        }
    }

    /// Goes back to where the pointer is; a sign there is a link and wants its own click.
    fn press_pointer(self, event: &web_sys::PointerEvent) {
        if event.button() == 0 && !is_sign(event) {
            self.pointed.set(None);
            self.point(event);
            if let Some(bar) = self.pointed.get_untracked() {
                self.go(bar);
            }
        }
    }

    /// Shows a moment in every view; the newest is now.
    fn go(self, bar: u64) {
        let at = (bar < self.last.get_untracked()).then_some(bar * BAR_NANOS + BAR_NANOS / 2);
        if at.is_some() || self.store.rewound().with_untracked(Option::is_some) {
            self.store.rewind(at);
        }
    }

    fn press(self, event: &KeyboardEvent) {
        let last = self.last.get_untracked();
        let now = self.pointed.get_untracked();
        let shown = self.store.rewound().get_untracked().map(bar_of);
        let bar = now.or(shown).unwrap_or(last);
        let next = match event.key().as_str() {
            "ArrowLeft" => Some(bar.saturating_sub(1).max((last + 1).saturating_sub(BARS))),
            "ArrowRight" => (bar < last).then_some(bar + 1),
            "Home" => Some((last + 1).saturating_sub(BARS)),
            "End" => None,
            "Escape" if now.is_some() => None,
            "Escape" if self.store.rewound().with_untracked(Option::is_some) => {
                self.store.rewind(None);
                None
            }
            // A sign with the focus is a link.
            "Enter" if is_sign(event) => return,
            "Enter" => {
                self.go(bar);
                now
            }
            _ => return,
        };
        event.prevent_default();
        self.pointed.set(next);
    }
}

/// Whether an event is about a sign, which leads elsewhere.
fn is_sign(event: &web_sys::Event) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|element| element.closest("a").is_ok_and(|a| a.is_some()))
}
