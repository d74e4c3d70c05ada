//! Where everything comes from: engines and sources, what they lack and how to mend it.

use glasshull_shared::domain::engine::Engine;
use glasshull_shared::domain::source::Source;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::{Selection, Store, use_choice, word};
use crate::widget::badge::Badge;

pub(super) fn engines(store: Store) -> impl IntoView {
    move || {
        store.read(&[Topic::Engine], |s| {
            if s.engine.is_empty() {
                return view! {
                    <p>
                        "No engine socket was found. Containers are known from control groups and from the runtimes' \
                         state. Name a socket with " <code>"--engine unix:///path"</code> "."
                    </p>
                }
                .into_any();
            }
            let rows = s.engine.iter().map(|(key, row)| engine(key.endpoint.clone(), row)).collect_view();
            view! {
                <table class="plain">
                    <thead>
                        <tr>
                            <th>"endpoint"</th>
                            <th>"state"</th>
                            <th>"product"</th>
                            <th>"API"</th>
                            <th class="number">"containers"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            }
            .into_any()
        })
    }
}

fn engine(endpoint: String, row: &Engine) -> impl IntoView + use<> {
    let choice = use_choice();
    let target = Selection::Engine(endpoint.clone());
    let word = word::engine_state(row.state);
    let product =
        [row.product.clone(), row.version.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let reason = row.reason.clone();
    view! {
        <tr>
            <td class="code"><a href=move || choice.selection_link(&target)>{endpoint}</a></td>
            <td><Badge shape=word.shape text=word.text tone=word.tone /></td>
            <td>{product}</td>
            <td class="code">{unit::or_unknown(row.api_version.clone())}</td>
            <td class="number">{row.containers}</td>
        </tr>
        {reason.map(|reason| view! { <tr class="reason"><td colspan="5">{reason}</td></tr> })}
    }
}

pub(super) fn sources(store: Store) -> impl IntoView {
    let rows = move || {
        store.read(&[Topic::Source], |s| {
            s.source.iter().map(|(key, row)| source(key.name.clone(), row)).collect_view()
        })
    };
    view! {
        <table class="plain sources">
            <thead>
                <tr>
                    <th>"source"</th>
                    <th>"state"</th>
                    <th>"fills"</th>
                    <th>"what is wrong, and what to do"</th>
                    <th>"can miss even when it works"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

fn source(name: String, row: &Source) -> impl IntoView + use<> {
    let word = word::source_state(row.state);
    let capability = row.capability.clone().map(|c| format!("{c} would show the rest."));
    let wrong: Vec<String> =
        [row.reason.clone(), capability, row.remedy.clone()].into_iter().flatten().collect();
    view! {
        <tr>
            <td class="code">{name}</td>
            <td><Badge shape=word.shape text=word.text tone=word.tone /></td>
            <td class="code">{row.tables.join(", ")}</td>
            <td>{wrong.into_iter().map(|line| view! { <p>{line}</p> }).collect_view()}</td>
            <td class="dim">{row.misses.clone().unwrap_or_default()}</td>
        </tr>
    }
}
