//! What stands where containers would: which engines were tried, what they said, and what to do.

use glasshull_shared::domain::engine::{Engine, EngineState};
use glasshull_shared::domain::source::{Source, SourceState};
use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

use crate::store::Store;
use crate::store::word;
use crate::widget::badge::Badge;
use crate::widget::copy::CopyButton;

/// Why there is no container.
pub(super) fn no_containers(store: Store) -> impl IntoView {
    move || {
        if !store.is_fresh(Topic::Container) && store.tick().get().sequence == 0 {
            return view! { <p>"Waiting for the first answer of the agent."</p> }.into_any();
        }
        store.read(&[Topic::Engine, Topic::Source, Topic::Container], |s| {
            let connected = s.engine.values().any(|e| e.state == EngineState::Connected);
            let engines = s.engine.iter().map(|(key, e)| engine(&key.endpoint, e)).collect_view();
            let sources =
                s.source.iter().filter(|(_, row)| lacks(row)).map(|(key, row)| source(&key.name, row)).collect_view();
            view! {
                <div class="why">
                    <h2>"No containers on this host"</h2>
                    {if connected { answered().into_any() } else { unanswered(s.engine.is_empty()).into_any() }}
                    <ul class="why-list">{engines}</ul>
                    {(!connected).then(elsewhere)}
                    <ul class="why-list">{sources}</ul>
                </div>
            }
            .into_any()
        })
    }
}

fn answered() -> impl IntoView {
    view! {
        <p>"The engine answers and has none. Start one, and it appears here at once:"</p>
        {line("docker run -d --name hello nginx")}
    }
}

fn unanswered(none_found: bool) -> impl IntoView {
    if none_found {
        view! {
            <p>
                "No control group looks like a container's, and no engine socket was found at " <code>"/run/docker.sock"</code>
                ", " <code>"/run/podman/podman.sock"</code> ", in " <code>"/run/user/UID"</code>
                ", nor any listening socket named " <code>"…docker.sock"</code> "."
            </p>
        }
        .into_any()
    } else {
        view! { <p>"No control group looks like a container's, and none of these engines answers:"</p> }
            .into_any()
    }
}

fn elsewhere() -> impl IntoView {
    view! {
        <p>"If an engine listens elsewhere, name its socket when starting Glasshull:"</p>
        {line("glasshull --engine unix:///path/to/docker.sock")}
        <p class="dim">
            "Glasshull itself in a container sees the host's engine only through its socket: mount it with "
            <code>"-v /run/docker.sock:/run/docker.sock"</code> "."
        </p>
    }
}

fn line(command: &'static str) -> impl IntoView {
    view! {
        <p class="why-command">
            <code>{command}</code>
            <CopyButton text=Signal::stored(command.to_owned()) label="copy the command" />
        </p>
    }
}

fn engine(endpoint: &str, row: &Engine) -> impl IntoView + use<> {
    let word = word::engine_state(row.state);
    view! {
        <li>
            <code>{endpoint.to_owned()}</code>
            <Badge shape=word.shape text=word.text tone=word.tone />
            <span>{row.reason.clone().unwrap_or_default()}</span>
        </li>
    }
}

fn source(name: &str, row: &Source) -> impl IntoView + use<> {
    let word = word::source_state(row.state);
    let text = [row.reason.clone(), row.remedy.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    view! {
        <li>
            <code>{name.to_owned()}</code>
            <Badge shape=word.shape text=word.text tone=word.tone />
            <span>{text}</span>
        </li>
    }
}

fn lacks(row: &Source) -> bool {
    match row.state {
        SourceState::Limited | SourceState::Stale | SourceState::Missing => true,
        SourceState::Ok | SourceState::Off => false,
    }
}
