//! "What is missing here": a mark in the top bar, and behind it each engine and source with what it lacks and what to do.

use std::sync::Arc;

use glasshull_shared::domain::engine::{Engine, EngineState};
use glasshull_shared::domain::host::Host;
use glasshull_shared::domain::source::{Source, SourceState};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::help::dialog;
use super::{Overlay, topbar};
use crate::store::{Connection, Store, use_store};

/// The mark: there only when something is missing.
pub(super) fn mark() -> impl IntoView {
    let store = use_store();
    let overlay = expect_context::<Overlay>();
    let count = Memo::new(move |_| store.read(&[Topic::Source, Topic::Engine], problems));
    move || {
        let count = count.get();
        (count > 0).then(|| {
            view! {
                <button type="button" class="mark" title="What is missing here" on:click=move |_| overlay.missing.set(true)>
                    <span aria-hidden="true">"▲ "</span>
                    {count}
                    <span class="word">" limited"</span>
                </button>
            }
        })
    }
}

/// The list behind the mark.
pub(super) fn missing() -> impl IntoView {
    let store = use_store();
    let overlay = expect_context::<Overlay>();
    dialog("What is missing here", overlay.missing, move || {
        view! {
            <div class="missing">
                // Nothing is drawn while nobody looks.
                {move || overlay.missing.get().then(|| list(store))}
            </div>
        }
        .into_any()
    })
}

fn list(store: Store) -> impl IntoView {
    let connection = move || {
        store.conn.with(|conn| match conn {
            Connection::Connecting => "being made".to_owned(),
            Connection::Live { interval_nanos: Some(nanos) } => {
                format!("live, a reading each {}", unit::duration(*nanos))
            }
            Connection::Live { interval_nanos: None } => "live".into(),
            Connection::Stale { secs } => format!("open, but silent for {}", topbar::age(*secs)),
            Connection::Lost { reason, .. } => format!("lost: {reason}"),
            Connection::Outdated { reason } => reason.clone(),
        })
    };
    view! {
        <p>"Connection to the agent: " {connection}</p>
        {move || store.host().map(|host| rights(&host))}
        <h3>"Engines"</h3>
        {move || store.read(&[Topic::Engine], |s| {
            let none = s.engine.is_empty().then(|| view! {
                <p class="dim">"No engine socket was found; containers are known from cgroups and runtime state."</p>
            });
            let of = |down: bool| s.engine.iter().filter(move |(_, e)| is_down(e) == down);
            (none, of(true).chain(of(false)).map(|(key, e)| engine(&key.endpoint, e)).collect::<Vec<_>>())
        })}
        <h3>"Sources"</h3>
        {move || {
            let now = store.now_nanos();
            store.read(&[Topic::Source], |s| {
                let of = |problem: bool| s.source.iter().filter(move |(_, row)| lacks(row) == problem);
                of(true).chain(of(false)).map(|(key, row)| source(&key.name, row, now)).collect::<Vec<_>>()
            })
        }}
    }
}

/// What the agent may do on this host.
fn rights(host: &Host) -> impl IntoView + use<> {
    let capabilities =
        if host.capabilities.is_empty() { "none".to_owned() } else { host.capabilities.join(" ") };
    view! { <p>"Its capabilities: " <code>{capabilities}</code></p> }
}

fn engine(endpoint: &str, engine: &Arc<Engine>) -> impl IntoView + use<> {
    let state = match engine.state {
        EngineState::Connecting => "connecting",
        EngineState::Connected => "connected",
        EngineState::Hanging => "hanging",
        EngineState::Failed => "failed",
    };
    let product = [&engine.product, &engine.version].map(|t| t.clone().unwrap_or_default()).join(" ");
    let about = match (engine.state, product.trim()) {
        (EngineState::Connected, product) => format!("{product}, {} containers", engine.containers),
        (_, product) => product.to_owned(),
    };
    entry(
        endpoint.to_owned(),
        state,
        is_down(engine),
        &[Some(about).filter(|a| !a.is_empty()), engine.reason.clone()],
    )
}

fn source(name: &str, source: &Arc<Source>, now: u64) -> impl IntoView + use<> {
    let state = match source.state {
        SourceState::Off => "off: nobody looks at its tables",
        SourceState::Ok => "complete",
        SourceState::Limited => "limited",
        SourceState::Stale => "stale",
        SourceState::Missing => "missing",
    };
    let age = match (source.state, source.collected_at) {
        (SourceState::Stale, Some(at)) => {
            Some(format!("last reading {} ago", unit::duration(now.saturating_sub(at))))
        }
        _ => None,
    };
    let lines = [
        source.reason.clone(),
        age,
        source.capability.as_ref().map(|c| format!("Needs {c}.")),
        source.remedy.clone(),
        source.misses.as_ref().map(|m| format!("Even so it misses: {m}")),
    ];
    entry(name.to_owned(), state, lacks(source), &lines)
}

fn entry(
    name: String,
    state: &'static str,
    is_problem: bool,
    lines: &[Option<String>],
) -> impl IntoView + use<> {
    let lines: Vec<_> = lines.iter().flatten().map(|line| view! { <p>{line.clone()}</p> }).collect();
    view! {
        <div class="entry" class:warn=is_problem>
            <b>{name}</b>
            <span class="state">{state}</span>
            {lines}
        </div>
    }
}

fn problems(snapshot: &Snapshot) -> usize {
    snapshot.engine.values().filter(|e| is_down(e)).count()
        + snapshot.source.values().filter(|s| lacks(s)).count()
}

fn is_down(engine: &Engine) -> bool {
    match engine.state {
        EngineState::Connecting | EngineState::Connected => false,
        EngineState::Hanging | EngineState::Failed => true,
    }
}

fn lacks(source: &Source) -> bool {
    match source.state {
        SourceState::Off | SourceState::Ok => false,
        SourceState::Limited | SourceState::Stale | SourceState::Missing => true,
    }
}
