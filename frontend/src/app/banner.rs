//! What is said over the view: a lost connection, a recording instead of a host, notices of the agent.

use glasshull_shared::unit;
use glasshull_shared::wire::{Origin, Severity};
use leptos::prelude::*;

use super::{browser, topbar};
use crate::feed::Feed;
use crate::store::{Connection, Notice, Store, use_store};

pub(super) fn banners() -> impl IntoView {
    let store = use_store();
    // Only another kind of trouble is drawn anew; its seconds count on inside.
    let kind = Memo::new(move |_| store.conn.with(std::mem::discriminant));
    view! {
        <div class="banners" role="status">
            {move || {
                // Not `track`: a memo that is never read never runs.
                kind.get();
                connection(store)
            }}
            {move || replay(store)}
            {past(store)}
            <For each=move || store.notices.get() key=|n| n.id children=move |n| notice(store, n) />
        </div>
    }
}

fn connection(store: Store) -> Option<AnyView> {
    match store.conn.get_untracked() {
        Connection::Connecting | Connection::Live { .. } => None,
        Connection::Stale { .. } => Some(interrupted(store, false)),
        Connection::Lost { .. } => Some(interrupted(store, true)),
        Connection::Outdated { reason } => Some(outdated(reason)),
    }
}

fn interrupted(store: Store, can_retry: bool) -> AnyView {
    let feed = expect_context::<Feed>();
    let text = move || {
        store.conn.with(|conn| match conn {
            Connection::Stale { secs } => {
                format!("No reading for {}. What you see is that old.", topbar::age(*secs))
            }
            Connection::Lost { secs, retry_secs, reason } => format!(
                "Connection lost: {reason}. What you see is {} old. Next attempt in {retry_secs} s.",
                topbar::age(*secs),
            ),
            Connection::Connecting | Connection::Live { .. } | Connection::Outdated { .. } => String::new(),
        })
    };
    view! {
        <p class="banner trouble">
            <span>{text}</span>
            {can_retry.then(|| view! {
                <button type="button" on:click=move |_| feed.retry_now()>"Connect now"</button>
            })}
        </p>
    }
    .into_any()
}

fn outdated(reason: String) -> AnyView {
    view! {
        <p class="banner trouble">
            <span>"This page and the agent do not speak the same version: " {reason}</span>
            <button type="button" on:click=move |_| drop(window().location().reload())>"Reload"</button>
        </p>
    }
    .into_any()
}

fn replay(store: Store) -> Option<AnyView> {
    let Origin::Replay { recorded_at, speed } = store.origin().get() else { return None };
    let (date, time) = browser::date_and_time(recorded_at);
    let now = move || {
        let at = store.tick().get().at;
        (at > 0).then(|| {
            let (date, time) = browser::date_and_time(at);
            format!("{date} {time}")
        })
    };
    let speed = if (speed - 1.0).abs() < 0.01 { String::new() } else { format!(", {speed}× as fast") };
    Some(
        view! {
            <p class="banner replay">
                <b>"Recording"</b>
                <span>"made " {date} " " {time} {speed} ". It shows "<b>{now}</b></span>
            </p>
        }
        .into_any(),
    )
}

/// That it is not now what is seen, and the way back.
fn past(store: Store) -> impl IntoView {
    let is_past = Memo::new(move |_| store.rewound().with(Option::is_some));
    let when = move || store.rewound().get().map(|at| browser::date_and_time(at).1);
    let ago = move || {
        let at = store.rewound().get()?;
        let age = store.live_tick().get().at.saturating_sub(at);
        Some(format!("{} ago", unit::duration(age / 1_000_000_000 * 1_000_000_000)))
    };
    move || {
        is_past.get().then(|| {
            view! {
                <p class="banner past">
                    <b>"As of "{when}</b>
                    <span>{ago}": what this page received then; tables that were on no screen are not there. Reading goes on."</span>
                    <button type="button" on:click=move |_| store.rewind(None)>"Back to now"</button>
                </p>
            }
        })
    }
}

fn notice(store: Store, notice: Notice) -> impl IntoView {
    let class = match notice.severity {
        Severity::Info => "banner",
        Severity::Attention => "banner attention",
        Severity::Trouble => "banner trouble",
    };
    view! {
        <p class=class>
            <span>{notice.text}</span>
            <button type="button" on:click=move |_| store.dismiss(notice.id)>"Dismiss"</button>
        </p>
    }
}
