//! One block of the scoreboard, and what is said about the letter pointed at.

use std::sync::Arc;

use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::lookup::container_name;
use crate::store::scoreboard::{Owner, Task, state};
use crate::store::word;
use crate::store::{Choice, Selection, Store};
use crate::widget::letters::{Letters, Pointed};

use super::board::{Block, Board, wait_channel};
use super::fit::Fit;

/// Whom a person points at, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tip {
    task: Task,
    place: Pointed,
}

/// The block of an owner.
pub(super) fn block(
    choice: Choice,
    board: Memo<Board>,
    fit: Memo<Fit>,
    tip: RwSignal<Option<Tip>>,
    owner: Owner,
) -> impl IntoView {
    let host = owner.is_none();
    let id = owner.clone();
    // Compared as a whole: a block nothing happened in is not touched.
    let mine = Memo::new(move |_| board.with(|b| b.blocks.get(&id).cloned()));
    let part = move |f: fn(&Block) -> String| move || mine.with(|b| b.as_ref().map(f).unwrap_or_default());
    let task_at = move |at: usize| mine.with_untracked(|b| b.as_ref()?.places.get(at).copied().flatten());
    let selected = Memo::new(move |_| {
        let process = choice.selected.with(|s| s.as_ref().and_then(Selection::process))?;
        mine.with(|b| b.as_ref()?.places.iter().position(|p| p.is_some_and(|t| t.process == process)))
    });
    let on_point = Callback::new(move |place: Option<Pointed>| {
        tip.set(place.and_then(|place| Some(Tip { task: task_at(place.at)?, place })));
    });
    let on_pick = Callback::new(move |at: usize| {
        if let Some(task) = task_at(at) {
            tip.set(None);
            choice.select(Some(Selection::Process(task.process)));
        }
    });
    let target = owner.map_or(Selection::Host, Selection::Container);
    let chosen = {
        let target = target.clone();
        move || choice.selected.with(|s| s.as_ref() == Some(&target))
    };
    let link = move || choice.selection_link(&target);
    let waits = part(|b| b.waits.clone());
    view! {
        <section
            class="block"
            class:host=host
            class:selected=chosen
            style:--span=move || fit.get().span(mine.with(|b| b.as_ref().map_or(0, |b| b.glyphs.len()))).to_string()
            data-tone=move || mine.with(|b| b.as_ref().map_or("", |b| b.tone))
        >
            <header>
                <h3><a href=link title=part(|b| b.name.clone())>{part(|b| b.name.clone())}</a></h3>
                <span class="block-state" data-tone="attention">{part(|b| b.state.clone())}</span>
                <span class="block-summary">{part(|b| b.summary.clone())}</span>
            </header>
            <p class="block-image" title=part(|b| b.image.clone()) hidden=move || mine.with(|b| b.as_ref().is_none_or(|b| b.image.is_empty()))>
                {part(|b| b.image.clone())}
            </p>
            <Letters
                glyphs=Signal::derive(move || mine.with(|b| b.as_ref().map_or_else(Arc::default, |b| b.glyphs.clone())))
                label=Signal::derive(part(|b| format!("{}: {}", b.name, b.summary)))
                selected=selected
                on_point=on_point
                on_pick=on_pick
            />
            <p class="block-more" hidden=move || mine.with(|b| b.as_ref().is_none_or(|b| b.more_open == 0))>
                {part(|b| format!("+{} open slots", unit::count(b.more_open as u64)))}
            </p>
            <p class="block-waits" hidden=move || mine.with(|b| b.as_ref().is_none_or(|b| b.waits.is_empty()))>
                "D in "<code>{waits}</code>
            </p>
        </section>
    }
}

/// The line beside the letter pointed at; it follows the tables while one points.
pub(super) fn tip_line(store: Store, tip: RwSignal<Option<Tip>>) -> impl IntoView {
    let text = move || {
        store.tick().track();
        tip.get().map(|t| describe(store, &t.task)).unwrap_or_default()
    };
    let place = move || tip.get().map(|t| t.place);
    // Near the right edge it opens to the left.
    let far = move || {
        let width = window().inner_width().ok().and_then(|w| w.as_f64()).unwrap_or(f64::MAX);
        place().is_some_and(|p| p.x > width * 0.6)
    };
    view! {
        <div
            class="tip"
            class:far=far
            role="status"
            hidden=move || tip.with(Option::is_none)
            style:left=move || format!("{:.0}px", place().map_or(0.0, |p| p.x))
            style:top=move || format!("{:.0}px", place().map_or(0.0, |p| p.y + 6.0))
        >
            {text}
        </div>
    }
}

fn describe(store: Store, task: &Task) -> String {
    store.with(|s| {
        let Some(who) = s.process.get(&task.process) else {
            return format!("pid {} has ended", task.process.pid);
        };
        let state = state(s, task);
        let mut text = match task.tid {
            Some(tid) if tid != task.process.pid => {
                format!("tid {tid} of pid {} {}", task.process.pid, who.comm)
            }
            Some(_) | None => format!("pid {} {}", task.process.pid, who.comm),
        };
        text.push_str(&format!("  {} {}", word::letter(state), state.meaning()));
        if let Some(channel) = wait_channel(s, task) {
            text.push_str(&format!(" in {channel}"));
        }
        if let Some(ratio) = s.process_stat.get(&task.process).and_then(|d| d.cpu_ratio) {
            text.push_str(&format!("  cpu {}", unit::percent(f64::from(ratio))));
        }
        if let Some(id) = &who.container {
            text.push_str(&format!("  {}", container_name(s, id)));
        }
        text
    })
}
