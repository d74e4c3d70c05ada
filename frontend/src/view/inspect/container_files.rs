//! The files of the container under the inspector and of its image, as its engine gives them out: running, stopped or created,
//! with a shell in it or without. From the agent's `/files/`, asked when somebody opens a directory; what cannot be asked is
//! said, with what would help.

use std::sync::Arc;

use futures_util::future::abortable;
use glasshull_shared::archive::{EntryKind, Listing};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use super::container::key;
use super::file_list::{Browser, list};
use super::file_preview::file;
use super::{in_the_shell, part};
use crate::store::archive::{Failure, Fetched, Form, Place, Subject, TAB, obstacle, use_fetch};
use crate::store::{Choice, Selection, Store, use_choice, use_store};
use crate::widget::copy::CopyButton;
use crate::widget::measure::zone_offset_nanos;
use crate::widget::segments::Segments;

/// A list of ten thousand entries with the longest names is shorter.
const LIST_BYTES: usize = 32 << 20;
/// Lists kept while the tab is open: an engine reads all that lies below for each.
const KEPT: usize = 24;

/// Whether there is anything to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// Not known yet.
    Asking,
    /// Nothing to ask, and why; the second is a command that helps.
    Barred(&'static str, Option<String>),
    /// Files are not given out, in the agent's words.
    Closed(String),
    /// It can be asked.
    Open,
}

/// How far a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The engine reads.
    Asking,
    /// There it is, and when it was.
    Listed(Arc<Listing>, u64),
    /// There is none.
    Failed(Failure),
}

/// The tab.
pub(super) fn files(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let leave = store.ask(Question::Archive);
    let row = {
        let key = key.clone();
        Memo::new(move |_| {
            store.read_live(&[glasshull_shared::snapshot::Topic::Container], |s| {
                s.container.get(&key).cloned()
            })
        })
    };
    // A container that is gone keeps its last lists on the screen.
    let subject = Memo::new(move |before: Option<&Option<Subject>>| {
        let now = row.with(|row| row.as_ref().map(|row| Subject::new(&key.id, row)));
        now.unwrap_or_else(|| before.cloned().flatten())
    });
    let way = Memo::new(move |_| {
        if store.origin().with(|origin| *origin != Origin::Live) {
            return Way::Barred("A recording holds no files: they are asked of a running engine.", None);
        }
        if subject.with(Option::is_none) {
            return row.with(|row| match row {
                None => Way::Barred("The container is gone, and its files with it.", None),
                Some(_) => Way::Barred(
                    "No engine told of this container: it was found by its processes alone, and only an engine gives files \
                     out. What its first process sees is below its root:",
                    row.as_ref().and_then(|row| row.init_pid).map(|pid| format!("ls -l /proc/{pid}/root/")),
                ),
            });
        }
        match leave.get() {
            None => Way::Asking,
            Some(Answer::Control(None)) => Way::Open,
            Some(Answer::Control(Some(why)) | Answer::Failed(why)) => Way::Closed(why),
            Some(_) => Way::Asking,
        }
    });
    (move || match way.get() {
        Way::Asking => view! { <p class="files-said" role="status">"asking the agent…"</p> }.into_any(),
        Way::Barred(why, command) => barred(why, command),
        Way::Closed(why) => closed(&why, subject),
        Way::Open => untrack(|| browser(store, subject)),
    })
    .into_any()
}

fn barred(why: &'static str, command: Option<String>) -> AnyView {
    let command = command.map(told);
    view! {
        <div class="files-notice" role="status">
            <p>{why}</p>
            {command}
        </div>
    }
    .into_any()
}

/// A command to copy.
fn told(command: String) -> AnyView {
    view! {
        <p class="files-command">
            <code>{command.clone()}</code>
            <CopyButton text=Signal::stored(command) label="copy the command" />
        </p>
    }
    .into_any()
}

fn closed(why: &str, subject: Memo<Option<Subject>>) -> AnyView {
    let lines = move || {
        let root = Place::from_text(None);
        subject.with(|subject| subject.as_ref().map(|of| root.commands(of)).unwrap_or_default())
    };
    view! {
        <div class="files-notice" data-tone="attention" role="status">
            <p class="title">"Not allowed"</p>
            <p>{unit::printable(why)}"."</p>
            {told("glasshull serve --allow-files".to_owned())}
            <p class="dim">
                "Whoever can open this page could then read every file of every container and image, secrets too."
            </p>
        </div>
        {part("In the shell, where no flag is needed", in_the_shell(lines))}
    }
    .into_any()
}

/// What is asked for at this place, again after a press of a button.
fn follow(
    store: Store,
    subject: Memo<Option<Subject>>,
    place: Memo<Place>,
    again: RwSignal<u32>,
) -> RwSignal<State> {
    let (fetch, state) = (use_fetch(), RwSignal::new(State::Asking));
    let kept = StoredValue::new(Vec::<(Place, Arc<Listing>, u64)>::new());
    let pressed = StoredValue::new(0);
    Effect::new(move |_| {
        let (place, wish) = (place.get(), again.get());
        let anew = pressed.get_value() != wish;
        pressed.set_value(wish);
        let known = kept.with_value(|kept| kept.iter().find(|(at, ..)| *at == place).cloned());
        if let Some((_, listing, at)) = known.filter(|_| !anew) {
            state.set(State::Listed(listing, at));
            return;
        }
        let Some(address) = subject.with_untracked(|of| of.as_ref().map(|of| place.address(of, Form::List)))
        else {
            return;
        };
        state.set(State::Asking);
        let (work, handle) = abortable((fetch.0)(address, LIST_BYTES));
        on_cleanup(move || handle.abort());
        leptos::task::spawn_local(async move {
            let Ok(fetched) = work.await else { return };
            let listing = listed(&fetched).map(Arc::new);
            let at = store.live_tick().get_untracked().at;
            let _ = kept.try_update_value(|kept| {
                kept.retain(|(other, ..)| *other != place);
                kept.extend(listing.clone().map(|listing| (place, listing, at)));
                let over = kept.len().saturating_sub(KEPT);
                kept.drain(..over);
            });
            // The tab may be closed meanwhile.
            let _ = state.try_set(match listing {
                Some(listing) => State::Listed(listing, at),
                None => State::Failed(Failure::of(&fetched)),
            });
        });
    });
    state
}

fn listed(fetched: &Fetched) -> Option<Listing> {
    let good = fetched.status == 200 && fetched.whole && !fetched.broken;
    good.then(|| Listing::from_json(&fetched.bytes)).flatten()
}

fn browser(store: Store, subject: Memo<Option<Subject>>) -> AnyView {
    let choice = use_choice();
    let param = choice.param("path");
    let place = Memo::new(move |_| param.with(|text| Place::from_text(text.as_deref())));
    let again = RwSignal::new(0);
    let state = follow(store, subject, place, again);
    let browser = Browser::new(choice, subject, place);
    let body = move || match state.get() {
        State::Asking => asking(&place.get()),
        State::Failed(failure) => untrack(|| failed(choice, &place.get(), failure, again)),
        State::Listed(listing, at) => untrack(|| {
            let here = place.get().at(listing.path.clone());
            let head = head(browser, &here, &listing, at, again);
            let body = if listing.kind == EntryKind::Directory {
                list(browser, listing)
            } else {
                file(browser, &listing)
            };
            let lines = move || {
                subject.with(|subject| subject.as_ref().map(|of| here.commands(of)).unwrap_or_default())
            };
            view! { {head} {body} {part("In the shell", in_the_shell(lines))} }.into_any()
        }),
    };
    view! {
        <div class="files" node_ref=browser.node on:keydown=move |event| browser.key(&event) on:click=move |event| browser.clicked(&event)>
            {top(choice, subject, place)}
            {body}
        </div>
    }
    .into_any()
}

/// Whose files, where in them, and the way elsewhere.
fn top(choice: Choice, subject: Memo<Option<Subject>>, place: Memo<Place>) -> AnyView {
    let image = Memo::new(move |_| subject.with(|of| of.as_ref().and_then(|of| of.image.clone())));
    let has_image = Memo::new(move |_| image.with(Option::is_some));
    let switch = move |whose: &str| {
        choice.open_path(TAB, Place { image: whose == "image", ..place.get_untracked() }.to_text());
    };
    let whose =
        Signal::derive(move || if place.with(|p| p.image) { "image" } else { "container" }.to_owned());
    let crumbs = move || {
        let crumbs = place.with(Place::crumbs);
        let last = crumbs.len().saturating_sub(1);
        let crumb = move |(i, (name, at)): (usize, (String, Place))| {
            let current = (i == last).then_some("page");
            let stroke = (i > 1).then(|| view! { <span class="stroke" aria-hidden="true">"/"</span> });
            view! {
                <li>
                    {stroke}
                    <a href=move || choice.path_link(TAB, at.to_text()) aria-current=current>{name}</a>
                </li>
            }
        };
        crumbs.into_iter().enumerate().map(crumb).collect_view()
    };
    let path = Signal::derive(move || place.with(|place| place.path.clone()));
    view! {
        <div class="files-whose" hidden=move || !has_image.get()>
            <Segments
                label="Whose files"
                options=&[("container", "Container"), ("image", "Image")]
                value=whose
                on_choose=Callback::new(switch)
            />
            <span class="dim" hidden=move || !place.with(|p| p.image)>
                {move || image.get().map(|image| unit::printable(&image))}
            </span>
        </div>
        <div class="files-path">
            <nav aria-label="Path"><ol>{crumbs}</ol></nav>
            <CopyButton text=path label="copy the path" />
        </div>
    }
    .into_any()
}

fn asking(place: &Place) -> AnyView {
    let whose = if place.image {
        "A container is made of the image for it, never started, and removed. "
    } else {
        ""
    };
    view! {
        <p class="files-said" role="status">"Reading "<code>{unit::printable(&place.path)}</code>" …"</p>
        <p class="dim">
            {whose}
            "An engine has no list of a directory: it sends all that lies below, and the names are kept. A large tree takes its time."
        </p>
    }
    .into_any()
}

fn failed(choice: Choice, place: &Place, failure: Failure, again: RwSignal<u32>) -> AnyView {
    let up = place.parent().map(|up| {
        let name = unit::printable(&up.path);
        view! { <a class="button" href=move || choice.path_link(TAB, up.to_text())>"Up to "{name}</a> }
    });
    view! {
        <div class="files-notice" data-tone="trouble" role="alert">
            <p class="title">{failure.title}</p>
            <p>{failure.text}</p>
            <p class="dim">{failure.hint}</p>
            <p class="files-ways">
                <button type="button" class="button" on:click=move |_| again.update(|n| *n += 1)>"Try again"</button>
                {up}
            </p>
        </div>
    }
    .into_any()
}

/// What is there, of when, and what can be done with all of it.
fn head(browser: Browser, here: &Place, listing: &Listing, at: u64, again: RwSignal<u32>) -> AnyView {
    let asked = browser.place.get_untracked();
    let led = (asked.path != here.path).then(|| {
        view! {
            <p class="dim">
                "A link leads from " <code>{unit::printable(&asked.path)}</code> " to "
                <code>{unit::printable(&here.path)}</code> ", inside."
            </p>
        }
    });
    let is_directory = listing.kind == EntryKind::Directory;
    let directories = listing.entries.iter().filter(|one| one.kind == EntryKind::Directory).count();
    let count = match (is_directory, listing.entries.len()) {
        (false, _) => listing.kind.name().to_owned(),
        (true, 0) => "nothing".to_owned(),
        (true, 1) => "1 entry".to_owned(),
        (true, all) => format!("{} entries", unit::count(all as u64)),
    };
    let of_them = match directories {
        0 => String::new(),
        1 => ", 1 directory".to_owned(),
        n => format!(", {} directories", unit::count(n as u64)),
    };
    let time = unit::time_of_day(at.saturating_add_signed(zone_offset_nanos()));
    let rewound = browser.is_past.then_some(" These are the files of now, not of the moment that is shown.");
    let has_bytes = listing.entries.first().is_some_and(|entry| obstacle(entry).is_none());
    let take = match (is_directory, has_bytes) {
        (true, _) => browser.take(here, Form::Tar, "Take all as a tar"),
        (false, true) => browser.take(here, Form::File, "Download"),
        (false, false) => None,
    };
    let incomplete = listing.incomplete.as_ref().map(|why| {
        view! {
            <p class="lacking">
                "Not all is listed: " {unit::printable(why)} ". A directory further down, or its path, leads to what is missing."
            </p>
        }
    });
    view! {
        {led}
        <p class="files-said" role="status">{count} {of_them} ", read at " {time} "." {rewound}</p>
        <p class="files-ways">
            <button type="button" class="button" on:click=move |_| again.update(|n| *n += 1)>"Read again"</button>
            {take}
        </p>
        {incomplete}
    }
    .into_any()
}
