//! The search box and the list under it. It takes the focus only when asked to and gives it back.

use glasshull_shared::snapshot::Topic;
use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::html::Input;
use leptos::prelude::*;
use send_wrapper::SendWrapper;

use super::search::{Hit, Target, find};
use super::{Overlay, browser};
use crate::store::choice::Choice;
use crate::store::{Store, use_choice, use_store};
use crate::view::VIEWS;

#[derive(Clone, Copy)]
struct Palette {
    store: Store,
    choice: Choice,
    open: RwSignal<bool>,
    query: RwSignal<String>,
    /// Position of the marked hit.
    marked: RwSignal<usize>,
    hits: Memo<Vec<Hit>>,
    input: NodeRef<Input>,
    /// Had the focus before.
    before: StoredValue<Option<SendWrapper<web_sys::Element>>>,
}

pub(super) fn palette() -> impl IntoView {
    let store = use_store();
    let open = expect_context::<Overlay>().search;
    let query = RwSignal::new(String::new());
    let hits = Memo::new(move |_| {
        if !open.get() {
            return Vec::new();
        }
        query.with(|q| store.read(&[Topic::Container, Topic::Process, Topic::Finding], |s| find(s, VIEWS, q)))
    });
    let palette = Palette {
        store,
        choice: use_choice(),
        open,
        query,
        marked: RwSignal::new(0),
        hits,
        input: NodeRef::new(),
        before: StoredValue::new(None),
    };
    Effect::new(move |_| palette.follow_open());
    view! {
        <div class="search" class:is-open=open>
            <input
                node_ref=palette.input
                type="search"
                role="combobox"
                placeholder="/ search"
                title="A pid, process, container, image, finding or view"
                aria-label="Search"
                aria-autocomplete="list"
                aria-expanded=move || open.get().to_string()
                aria-controls="hits"
                aria-activedescendant=move || open.get().then(|| format!("hit-{}", palette.marked.get()))
                autocomplete="off"
                spellcheck="false"
                prop:value=query
                on:focus=move |_| open.set(true)
                on:input=move |event| {
                    query.set(event_target_value(&event));
                    palette.marked.set(0);
                    open.set(true);
                }
                on:keydown=move |event| palette.press(&event)
                on:blur=move |_| open.set(false)
            />
            {move || open.get().then(|| palette.list())}
        </div>
    }
}

impl Palette {
    /// Opened from elsewhere (a key), the box takes the focus; while it is open, processes are wanted.
    fn follow_open(&self) {
        if !self.open.get() {
            return;
        }
        self.store.want_here(&[Topic::Process, Topic::Container, Topic::Netns, Topic::Link]);
        let Some(input) = self.input.get_untracked() else { return };
        let before = document().active_element();
        if before.as_ref() != Some(&**input) {
            self.before.set_value(before.map(SendWrapper::new));
            browser::focus(Some((**input).clone()));
            input.select();
        }
    }

    fn list(self) -> impl IntoView {
        let none = move || {
            let words = self.query.with(|q| !q.trim().is_empty());
            let waiting = !self.store.is_fresh(Topic::Process);
            let text =
                if waiting { "Waiting for the list of processes" } else { "Nothing has that name here" };
            (words && self.hits.with(Vec::is_empty)).then(|| view! { <li class="dim">{text}</li> })
        };
        view! {
            <ul class="hits" id="hits" role="listbox" aria-label="Found">
                <For each=move || self.hits.get().into_iter().enumerate() key=|(i, hit)| (*i, hit.name.clone(), hit.detail.clone()) let:found>
                    {self.line(found.0, found.1)}
                </For>
                {none}
            </ul>
        }
    }

    fn line(self, i: usize, hit: Hit) -> impl IntoView {
        let target = hit.target;
        // Before the box loses the focus, which would take the list away under the mouse.
        let press = move |event: MouseEvent| {
            event.prevent_default();
            self.go(&target);
        };
        view! {
            <li
                id=format!("hit-{i}")
                role="option"
                aria-selected=move || (self.marked.get() == i).to_string()
                on:mousedown=press
            >
                <span class="kind">{hit.kind}</span>
                <b>{hit.name}</b>
                <span class="detail">{hit.detail}</span>
            </li>
        }
    }

    fn press(&self, event: &KeyboardEvent) {
        let last = self.hits.with_untracked(Vec::len).saturating_sub(1);
        match event.key().as_str() {
            "ArrowDown" => self.marked.update(|m| *m = if *m >= last { 0 } else { *m + 1 }),
            "ArrowUp" => self.marked.update(|m| *m = if *m == 0 { last } else { *m - 1 }),
            "Enter" => {
                let marked = self.marked.get_untracked();
                let target = self.hits.with_untracked(|hits| hits.get(marked).map(|h| h.target.clone()));
                if let Some(target) = target {
                    self.go(&target);
                }
            }
            "Escape" => self.close(),
            _ => return,
        }
        event.prevent_default();
    }

    fn go(&self, target: &Target) {
        match target {
            Target::View(id) => self.choice.set_view(id),
            Target::Select(selection) => self.choice.select(Some(selection.clone())),
        }
        self.query.set(String::new());
        self.close();
    }

    fn close(&self) {
        self.open.set(false);
        self.marked.set(0);
        if let Some(input) = self.input.get_untracked() {
            // A detached element has no focus to give up.
            let _ = input.blur();
        }
        let before = self.before.try_update_value(Option::take).flatten();
        browser::focus(before.map(SendWrapper::take));
    }
}
