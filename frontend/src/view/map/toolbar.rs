//! The bar over the map: what is counted, how hundreds are bundled, whether talk is shown, and the picture as a file or table.

use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::cast::By;
use super::scene::Scene;
use super::{Map, TALK, export, talk};
use crate::widget::segments::{Segments, Toggle};

const GROUPS: &[(&str, &str)] = &[("none", "Each"), ("network", "By network"), ("project", "By project")];

pub(super) fn toolbar(map: Map) -> AnyView {
    let Map { choice, scene, plan, anew, talking, .. } = map;
    let count = move |n: fn(&Scene) -> usize, one: &'static str| {
        view! {
            <span>
                <b>{move || scene.with(|s| unit::count(n(s) as u64))}</b>
                {move || format!(" {one}{}", if scene.with(n) == 1 { "" } else { "s" })}
            </span>
        }
    };
    let by = Signal::derive(move || {
        map.cast.with(|cast| match cast.by {
            By::Each => "none".to_owned(),
            By::Network => "network".to_owned(),
            By::Project => "project".to_owned(),
        })
    });
    let untidy = move || plan.with(|(_, plan)| plan.is_untidy());
    view! {
        <div class="toolbar map-bar">
            {count(namespaces, "namespace")}
            {count(|s| s.bridges.len(), "bridge")}
            {count(|s| s.wires.len(), "wire")}
            <span class="map-key"><i class="rx"></i>"received"<i class="tx"></i>"sent, seen from the container"</span>
            <span class="map-key">
                <b data-tone="trouble">"▲"</b>
                <b data-tone="attention">"●"</b>
                "findings: a mark leads to them"
            </span>
            <span class="gap"></span>
            <Segments
                label="How many are bundled"
                options=GROUPS
                value=by
                on_choose=Callback::new(move |id: &str| choice.set_group(Some(id.to_owned())))
            />
            <Toggle
                text=Signal::stored("Talk".to_owned())
                title="Who talks to whom: captures packet headers while it is on"
                on=talking
                on_switch=Callback::new(move |on: bool| choice.set_param("talk", on.then(|| "1".to_owned())))
            />
            <button
                type="button"
                class="toggle"
                disabled=move || !untidy()
                title="Rows stay where they are while things come and go; this closes the gaps"
                on:click=move |_| anew.update(|n| *n += 1)
            >
                "Tidy up"
            </button>
            <button
                type="button"
                class="toggle"
                title="The whole map as one SVG file that opens anywhere"
                on:click=move |_| export::save(map.window)
            >
                "Save SVG"
            </button>
            <a class="map-table" href="?view=network&table=paths">"As a table"</a>
        </div>
        {move || said(map).map(|text| view! { <p class="map-said">{text}</p> })}
    }
    .into_any()
}

/// Namespaces in the picture, those in bundles too.
fn namespaces(s: &Scene) -> usize {
    let of = |f: &super::scene::Frame| match &f.bundle {
        None => 1,
        // The members of an open one are counted themselves.
        Some((_, open, count)) => {
            if *open {
                0
            } else {
                *count
            }
        }
    };
    s.frames.iter().map(of).sum()
}

/// What is to be known of the talk: that it is not known, or what of it is missing.
fn said(map: Map) -> Option<String> {
    let Map { store, scene, talking, .. } = map;
    if !talking.get() {
        return None;
    }
    let trouble = store.read(&[Topic::Source, Topic::Capture], talk::trouble);
    if trouble.is_some() {
        return trouble.map(|why| format!("Talk is not known, or not all of it: {}", unit::printable(&why)));
    }
    if !TALK.iter().all(|topic| store.is_fresh(*topic)) {
        return Some("Waiting for the first packets.".into());
    }
    let dropped = store.read(&[Topic::Capture], |s| s.capture.values().map(|row| row.dropped).sum::<u64>());
    if dropped > 0 {
        return Some(format!(
            "{} packets were dropped by the capture: talk shows less than there is.",
            unit::count(dropped)
        ));
    }
    scene
        .with(|s| s.bows.is_empty())
        .then(|| "No two containers of the picture have talked since it was turned on.".into())
}
