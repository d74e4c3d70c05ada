//! The frame of the page: top bar, rail, inspector, timeline and what is said over them. Menus are built from `VIEWS`.

mod banner;
mod browser;
mod help;
mod inspector;
mod keyboard;
mod mark;
mod missing;
mod palette;
mod rail;
mod search;
mod timeline;
mod topbar;

use leptos::prelude::*;

use crate::feed::{self, FRAME_TOPICS};
use crate::store::choice::Choice;
use crate::store::{self, Connection, Store, use_choice, use_store};
use crate::view::{VIEWS, View};
use crate::widget::later::{drawn, fetch_ahead};

/// What is open over the page. Cheap to copy; known to all parts of the frame by context.
#[derive(Clone, Copy)]
struct Overlay {
    /// The list of keys.
    help: RwSignal<bool>,
    /// The list of what is missing here.
    missing: RwSignal<bool>,
    /// The search box has the focus.
    search: RwSignal<bool>,
}

/// Puts the app into the page.
pub fn start() {
    leptos::mount::mount_to_body(frame);
}

fn frame() -> impl IntoView {
    let ids = VIEWS.iter().map(|v| v.id).collect();
    let choice = Choice::new(ids, browser::here(), browser::write_address);
    let store = store::provide(choice);
    store.want_here(FRAME_TOPICS);
    let overlay =
        Overlay { help: RwSignal::new(false), missing: RwSignal::new(false), search: RwSignal::new(false) };
    provide_context(overlay);
    let feed = feed::start(store);
    window_event_listener_untyped("visibilitychange", move |_| feed.set_hidden(document().hidden()));
    window_event_listener(leptos::ev::online, move |_| feed.retry_now());
    browser::follow_address(choice);
    browser::follow_theme(choice);
    keyboard::listen(store, choice, overlay);
    follow_title(store, choice);
    fetch_ahead(VIEWS.iter().filter_map(|view| view.render.fetch()).chain(inspector::OPENED.fetch()));
    view! {
        <div class="frame" class:has-inspector=move || choice.selected.with(Option::is_some)>
            <a class="skip" href="#main">"Skip to content"</a>
            {topbar::topbar()}
            {rail::rail()}
            <div class="middle">
                {banner::banners()}
                <main id="main" tabindex="-1" class:is-old=is_old>
                    {screen}
                </main>
            </div>
            {inspector::inspector()}
            {timeline::timeline()}
            {help::help()}
            {missing::missing()}
        </div>
    }
}

/// The view chosen; the tables it needs are wanted as long as it is drawn.
fn screen() -> impl IntoView {
    let (store, choice) = (use_store(), use_choice());
    let draw = move |id: &'static str| {
        let view = view_of(id)?;
        store.want_here(view.topics);
        // Drawn once: what changes inside is the view's own affair.
        Some(untrack(|| drawn(view.render, (), view.title)))
    };
    // Keyed, so that each view begins with elements of its own: left to itself leptos makes one view from the elements of
    // the other, and the rows that a table's painter put there would stay.
    view! { <For each=move || [choice.view.get()] key=|id| *id children=draw /> }
}

fn view_of(id: &str) -> Option<&'static View> {
    VIEWS.iter().find(|v| v.id == id)
}

/// Whether what is shown is no longer what is.
fn is_old() -> bool {
    use_store().conn.with(|conn| match conn {
        Connection::Connecting | Connection::Live { .. } => false,
        Connection::Stale { .. } | Connection::Lost { .. } | Connection::Outdated { .. } => true,
    })
}

fn follow_title(store: Store, choice: Choice) {
    Effect::new(move |_| {
        let view = view_of(choice.view.get()).map_or("", |v| v.title);
        let host = store.host().map(|h| h.hostname.clone()).filter(|name| !name.is_empty());
        document().set_title(&match host {
            Some(host) => format!("{host} · {view} · Glasshull"),
            None => format!("{view} · Glasshull"),
        });
    });
}
