//! The tasks of the container under the inspector: its init process, a small scoreboard, and the list.

use std::sync::Arc;

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::process::{ProcessKey, ProcessStat, ProcessState};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::{key, uses, who};
use crate::store::lookup::{process_of_pid, processes_of, state_of};
use crate::store::scoreboard::{count_states, counts_text, open_slots};
use crate::store::{Choice, Selection, Store, use_choice, use_store, word};
use crate::widget::letters::{Glyph, Letters, Pointed};

/// Letters of the small scoreboard before the rest is only counted.
const LETTERS: usize = 400;

/// `29987 → 1 inside`, a link to the process where it is seen.
pub(super) fn init(store: Store, choice: Choice, key: ContainerKey) -> impl IntoView {
    let found = Memo::new(move |_| {
        let pid = who(store, &key)?.init_pid?;
        let seen = store.read(&[Topic::Process], |s| process_of_pid(s, pid).map(|(k, p)| (k, p.pid_in_ns)));
        Some((pid, seen))
    });
    move || match found.get() {
        None => {
            view! { <span data-tone="unknown" title="it does not run, or nobody told">"–"</span> }.into_any()
        }
        Some((pid, None)) => pid.to_string().into_any(),
        Some((pid, Some((key, inside)))) => {
            let inside = inside.map(|n| format!(" → {n} inside")).unwrap_or_default();
            let target = Selection::Process(key);
            view! { <a href=move || choice.selection_link(&target)>{pid}</a>{inside} }.into_any()
        }
    }
}

/// Letters of its processes in the order of their start, then open slots.
pub(super) fn scoreboard(store: Store, choice: Choice, id: String) -> impl IntoView {
    let topics = &[Topic::Process, Topic::ProcessStat, Topic::ContainerStat];
    let keys = {
        let id = id.clone();
        Memo::new(move |_| store.read(topics, |s| processes_of(s, Some(&id))))
    };
    let stat = move || uses(store, &ContainerKey { id: id.clone() });
    let states = Memo::new(move |_| {
        keys.with(|keys| store.read(topics, |s| keys.iter().map(|k| state_of(s, *k)).collect::<Vec<_>>()))
    });
    let glyphs = move || {
        let mut glyphs: Vec<Glyph> = states.with(|states| {
            states
                .iter()
                .take(LETTERS)
                .map(|s| Glyph::new(word::letter(*s), word::process_tone(*s)))
                .collect()
        });
        let (used, limit) = stat().map_or((0, None), |s| (s.pids.unwrap_or(0) as usize, s.pids_limit));
        glyphs.extend(std::iter::repeat_n(Glyph::open(), open_slots(used, limit).0));
        Arc::new(glyphs)
    };
    let counts = move || {
        let text = states.with(|s| counts_text(&count_states(s.iter().copied())));
        if text.is_empty() { "no process is seen".into() } else { text }
    };
    let at = move |i: usize| keys.with_untracked(|k| k.get(i).copied());
    let pointed = RwSignal::new(None::<ProcessKey>);
    let told = move || {
        let Some(key) = pointed.get() else { return counts() };
        store.with(|s| {
            let comm = s.process.get(&key).map(|p| p.comm.clone()).unwrap_or_default();
            format!("pid {} {comm} {}", key.pid, state_of(s, key).meaning())
        })
    };
    view! {
        <Letters
            glyphs=Signal::derive(glyphs)
            label=Signal::derive(counts)
            selected=Signal::stored(None)
            on_point=Callback::new(move |p: Option<Pointed>| {
                pointed.set(p.and_then(|p| at(p.at)));
            })
            on_pick=Callback::new(move |i| {
                if let Some(key) = at(i) {
                    choice.select(Some(Selection::Process(key)));
                }
            })
        />
        <p class="told">{told}</p>
    }
}

/// The list of its processes.
pub(super) fn processes(selection: Selection) -> AnyView {
    let (store, choice, key) = (use_store(), use_choice(), key(&selection));
    let keys = Memo::new(move |_| store.read(&[Topic::Process], |s| processes_of(s, Some(&key.id))));
    let entry = move |key: ProcessKey| {
        let of = move |f: fn(&ProcessStat) -> String| {
            move || {
                store.read(&[Topic::ProcessStat], |s| {
                    s.process_stat.get(&key).map(|d| f(d)).unwrap_or_default()
                })
            }
        };
        let tone = move || {
            let state = store.read(&[Topic::ProcessStat], |s| state_of(s, key));
            if state == ProcessState::S { "" } else { word::process_tone(state) }
        };
        let name = store.with(|s| s.process.get(&key).map(|p| p.comm.clone()).unwrap_or_default());
        let inside = store.with(|s| s.process.get(&key).and_then(|p| p.pid_in_ns).map(|n| n.to_string()));
        let target = Selection::Process(key);
        view! {
            <tr>
                <td class="code" data-tone=tone>{of(|d| word::letter(d.state).to_owned())}</td>
                <td class="number">{key.pid}</td>
                <td class="number dim">{unit::or_unknown(inside)}</td>
                <td><a href=move || choice.selection_link(&target)>{name}</a></td>
                <td class="number">
                    {of(|d| d.cpu_ratio.map_or_else(|| unit::UNKNOWN.into(), |r| unit::percent_figure(f64::from(r))))}
                </td>
                <td class="number">{of(|d| unit::bytes(d.rss_bytes))}</td>
            </tr>
        }
    };
    view! {
        <table class="plain">
            <thead>
                <tr>
                    <th>"S"</th>
                    <th class="number">"pid"</th>
                    <th class="number">"pid inside"</th>
                    <th>"name"</th>
                    <th class="number">"cpu %"</th>
                    <th class="number">"rss"</th>
                </tr>
            </thead>
            <tbody>
                <For each=move || keys.get() key=|k| *k let:key>{entry(key)}</For>
            </tbody>
        </table>
        <p class="dim" hidden=move || keys.with(|k| !k.is_empty())>"No process of it is seen."</p>
    }
    .into_any()
}
