//! What the processes of the container under the inspector hold open, each as its own tab tells it; asked only of those unfolded.

use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::key;
use super::process_files::files;
use crate::store::lookup::processes_of;
use crate::store::{Choice, Selection, Store, use_choice, use_store};

/// Processes that are unfolded at first.
const UNFOLDED: usize = 3;
/// Processes listed; the view Processes has all.
const LISTED: usize = 100;

/// The tab.
pub(super) fn open_files(selection: Selection) -> AnyView {
    let (store, choice, id) = (use_store(), use_choice(), key(&selection).id);
    let keys = Memo::new(move |_| store.read(&[Topic::Process], |s| processes_of(s, Some(&id))));
    // Who was among the first when the tab was opened stays unfolded, whoever comes and goes.
    let first: Vec<ProcessKey> = keys.with_untracked(|keys| keys.iter().take(UNFOLDED).copied().collect());
    let shown = move || keys.with(|keys| keys.iter().take(LISTED).copied().collect::<Vec<_>>());
    let said = move || {
        let count = keys.with(Vec::len);
        match (count, count.saturating_sub(LISTED)) {
            (0, _) => "No process of it runs: nobody holds a file open.".to_owned(),
            (n, 0) if n > UNFOLDED => "Unfold a process to see what it holds open.".to_owned(),
            (_, 0) => String::new(),
            (_, more) => format!("{} more processes are not listed here.", unit::count(more as u64)),
        }
    };
    let one = move |key: ProcessKey| process(store, choice, key, first.contains(&key));
    view! {
        <p class="files-said">{said}</p>
        <For each=shown key=|key| *key children=one />
    }
    .into_any()
}

fn process(store: Store, choice: Choice, key: ProcessKey, unfolded: bool) -> AnyView {
    let unfold = RwSignal::new(unfolded);
    // Told also when nothing changes: as it is put in.
    let open = Memo::new(move |_| unfold.get());
    let name = move || {
        let comm =
            |key: &ProcessKey| store.read(&[Topic::Process], |s| Some(s.process.get(key)?.comm.clone()));
        format!("{} {}", comm(&key).map(|comm| unit::printable(&comm)).unwrap_or_default(), key.pid)
    };
    let toggle = move |event: leptos::ev::Event| {
        unfold.set(event_target::<web_sys::HtmlDetailsElement>(&event).open());
    };
    let to = Selection::Process(key);
    let href = move || choice.selection_link(&to);
    view! {
        <details class="open-of" open=unfolded on:toggle=toggle>
            <summary>{name}" "<a href=href>"inspect"</a></summary>
            {move || open.get().then(|| files(Selection::Process(key)))}
        </details>
    }
    .into_any()
}
