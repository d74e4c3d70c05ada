//! The inspector on a container engine.

use std::sync::Arc;

use glasshull_shared::domain::engine::{Engine, EngineKey};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Inspect, Tab, in_the_shell};
use crate::store::shell::for_engine;
use crate::store::{Selection, Store, use_store, word};
use crate::widget::facts::{Fact, Facts, live_fact};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Engine],
};

fn row(store: Store, key: &EngineKey) -> Option<Arc<Engine>> {
    store.read(&[Topic::Engine], |s| s.engine.get(key).cloned())
}

fn key(selection: &Selection) -> EngineKey {
    selection.engine().unwrap_or(EngineKey { endpoint: String::new() })
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let endpoint = key.endpoint.clone();
    super::heading(
        move || {
            let row = row(store, &key);
            let product = row.and_then(|r| Some(format!("{} {}", r.product.clone()?, r.version.clone()?)));
            product.unwrap_or_else(|| "Engine".into())
        },
        move || endpoint.clone(),
    )
}

fn overview(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let of = move |name: &'static str, f: fn(&Engine) -> Fact| {
        let key = key.clone();
        live_fact(name, move || {
            row(store, &key).map_or_else(|| Fact::unknown("this engine is gone"), |r| f(&r))
        })
    };
    let ago = move |row: &Engine| {
        let age = row.answered_at.map(|at| unit::duration(store.now_nanos().saturating_sub(at)));
        Fact::or(age.map(|a| format!("{a} ago")), "it never answered")
    };
    let answered = {
        let key = self::key(&selection);
        live_fact("answered", move || {
            store.tick().track();
            row(store, &key).map_or_else(|| Fact::unknown("this engine is gone"), |r| ago(&r))
        })
    };
    view! {
        <Facts>
            {of("state", |r| {
                let word = word::engine_state(r.state);
                Fact::new(word.line()).tone(word.tone)
            })}
            {of("reason", |r| Fact::new(r.reason.clone().unwrap_or_default()))}
            {of("product", |r| Fact::or(r.product.clone(), "no answer yet"))}
            {of("version", |r| Fact::or(r.version.clone(), "no answer yet"))}
            {of("API", |r| Fact::or(r.api_version.clone(), "no answer yet"))}
            {of("containers", |r| Fact::new(unit::count(r.containers.into())))}
            {answered}
        </Facts>
    }
    .into_any()
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || {
        let podman = row(store, &key).is_some_and(|r| r.product.as_deref() == Some("podman"));
        for_engine(&key.endpoint, podman)
    })
}
