//! The scoreboard: a letter per process, a block per container and one for the host's own, a key at the foot.

mod block;
mod board;
mod fit;

use glasshull_shared::domain::process::ProcessState;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::html::Div;
use leptos::prelude::*;

use crate::store::scoreboard::Owner;
use crate::store::word;
use crate::store::{Choice, Sort, Store, use_choice, use_store};
use crate::widget::measure::{rem_px, size_of};
use crate::widget::segments::{Segments, Toggle};

use block::{Tip, block, tip_line};
use board::{Board, Shown, board};
use fit::{Content, Fit, Sizes, fit};

const TOPICS: &[Topic] =
    &[Topic::Process, Topic::ProcessStat, Topic::Thread, Topic::Container, Topic::ContainerStat];
const ORDERS: &[(&str, &str)] = &[("", "By name"), ("trouble", "By trouble")];

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let shown = shown(choice);
    Effect::new(move |_| {
        if shown.get().threads {
            store.want_here(&[Topic::Thread]);
        }
    });
    let board = Memo::new(move |before: Option<&Board>| {
        let shown = shown.get();
        store.read(TOPICS, |s| board(s, shown, before, store.tick().get_untracked().sequence))
    });
    let tip = RwSignal::new(None::<Tip>);
    view! {
        <div class="view scoreboard">
            {header(choice, board)}
            {grid(store, choice, board, tip)}
            {key(board)}
            {tip_line(store, tip)}
        </div>
    }
    .into_any()
}

fn shown(choice: Choice) -> Memo<Shown> {
    let (threads, kernel) = (choice.param("threads"), choice.param("kernel"));
    Memo::new(move |_| Shown {
        threads: threads.with(Option::is_some),
        kernel: kernel.with(Option::is_some),
        by_trouble: choice.sort.with(|s| s.as_ref().is_some_and(|s| s.column == "trouble")),
    })
}

fn header(choice: Choice, board: Memo<Board>) -> impl IntoView {
    let (threads, kernel) = (choice.param("threads"), choice.param("kernel"));
    let containers = move || board.with(|b| unit::count(b.order.len() as u64));
    let letters = move || board.with(|b| unit::count(b.counts.iter().map(|(_, n)| *n as u64).sum()));
    let noun = move || if threads.with(Option::is_some) { "threads" } else { "processes" };
    let of_state = move |wanted: ProcessState| {
        board.with(|b| {
            let all = b.counts.iter().find(|(s, _)| *s == wanted).map_or(0, |(_, n)| *n);
            // Frozen tasks wait for their engine, not for a disk.
            if wanted == ProcessState::D { all - b.frozen.min(all) } else { all }
        })
    };
    let sum = move |state: ProcessState, one: &'static str, many: &'static str| {
        let noun = move || if of_state(state) == 1 { one } else { many };
        let tone = move || if of_state(state) > 0 { word::process_tone(state) } else { "" };
        view! {
            <span data-tone=tone><b>{move || of_state(state)}</b>" "{noun}</span>
        }
    };
    let stopped = move || board.with(|b| b.stopped);
    let frozen = move || board.with(|b| b.frozen);
    view! {
        <header class="toolbar board-head">
            <p class="board-sums" class:unread=move || board.with(|b| b.blocks.is_empty())>
                <span><b>{containers}</b>" containers up"</span>
                <span><b>{letters}</b>" "{noun}</span>
                {sum(ProcessState::D, "waiting", "waiting")}
                {sum(ProcessState::Z, "zombie", "zombies")}
                <span hidden=move || frozen() == 0 data-tone="attention"><b>{frozen}</b>" frozen"</span>
                <span hidden=move || stopped() == 0><b>{stopped}</b>" stopped, not drawn"</span>
            </p>
            <Segments
                label="Order of the blocks"
                options=ORDERS
                value=Signal::derive(move || choice.sort.get().map(|s| s.column).unwrap_or_default())
                on_choose=Callback::new(move |id: &str| {
                    choice.set_sort((!id.is_empty()).then(|| Sort { column: id.to_owned(), descending: true }));
                })
            />
            <Toggle
                text="Threads"
                title="A letter for each thread of processes that have several"
                on=Signal::derive(move || threads.with(Option::is_some))
                on_switch=Callback::new(move |on: bool| choice.set_param("threads", on.then(|| "1".to_owned())))
            />
            <Toggle
                text=Signal::derive(move || format!("{} kernel threads", board.with(|b| b.kernel)))
                title="Show the kernel's own threads in the host's block"
                on=Signal::derive(move || kernel.with(Option::is_some))
                on_switch=Callback::new(move |on: bool| choice.set_param("kernel", on.then(|| "1".to_owned())))
            />
        </header>
    }
}

fn grid(store: Store, choice: Choice, board: Memo<Board>, tip: RwSignal<Option<Tip>>) -> impl IntoView {
    let field = NodeRef::<Div>::new();
    let (width, height) = size_of(field);
    let sizes = Memo::new(move |_| {
        board.with(|b| {
            let content = |owner| {
                let block = b.blocks.get(owner)?;
                let notes = usize::from(!block.waits.is_empty())
                    + usize::from(block.more_open > 0)
                    + usize::from(!block.image.is_empty());
                Some(Content { letters: block.glyphs.len(), notes })
            };
            Sizes { blocks: b.order.iter().filter_map(content).collect(), host: content(&None) }
        })
    });
    let fitted = Memo::new(move |before: Option<&Fit>| {
        // Padding of the field; clientWidth is without the scroll bar.
        let (width, height) = (width.get() - 24.0, height.get() - 14.0);
        sizes.with(|sizes| fit((width.max(1.0), height.max(1.0)), rem_px(), sizes, before.copied()))
    });
    let owners = move || board.with(|b| b.order.clone());
    let has_host = Memo::new(move |_| board.with(|b| b.blocks.contains_key(&None)));
    let empty = move || board.with(|b| b.blocks.is_empty());
    view! {
        <div
            class="board"
            node_ref=field
            style:--letter=move || format!("{}px", fitted.get().letter)
            style:--heading=move || format!("{:.1}px", fitted.get().heading)
            style:--blocks=move || fitted.get().columns.to_string()
        >
            <div class="board-grid">
                <For each=owners key=Owner::clone let:owner>{block(choice, board, fitted, tip, owner)}</For>
                {move || has_host.get().then(|| block(choice, board, fitted, tip, None))}
            </div>
            <p class="board-empty" hidden=move || !empty()>
                {move || if store.is_fresh(Topic::Process) {
                    "No process is seen: /proc is not the host's, or is mounted with hidepid."
                } else {
                    "Waiting for the first reading of /proc."
                }}
            </p>
        </div>
    }
}

/// The key with totals; states of kernel threads only when they are there.
fn key(board: Memo<Board>) -> impl IntoView {
    let entry = move |state: ProcessState| {
        let count = move || board.with(|b| b.counts.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n));
        let rare =
            matches!(state, ProcessState::Traced | ProcessState::X | ProcessState::P | ProcessState::I);
        view! {
            <li hidden=move || rare && count() == 0 class:none=move || count() == 0>
                <i data-tone=word::process_tone(state)>{word::letter(state)}</i>
                {state.meaning()}
                <b>{move || unit::count(count() as u64)}</b>
            </li>
        }
    };
    view! {
        <footer class="board-key">
            <ul>
                {ProcessState::ALL.into_iter().map(entry).collect_view()}
                <li><i data-tone="open">"·"</i>"open slot up to pids.max"</li>
            </ul>
        </footer>
    }
}
