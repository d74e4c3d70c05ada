//! The host itself on the map: what routes, who uses its network, and which of its ports lead into containers.

use leptos::prelude::*;

use super::draw::{fit, length, linked, text};
use super::mark::{self, Found};
use super::scene::{STACK, Scene, TOP};
use crate::store::{Choice, Selection};

/// Published ports listed; the table has all.
const PORTS: usize = 10;

/// The host itself: what routes, and who uses its network.
pub(super) fn stack(choice: Choice, found: Found, scene: Memo<Scene>) -> AnyView {
    let height = length(move || Some(scene.with(|s| (s.height - TOP - 20.0).max(0.0))));
    let forwards = move || {
        scene.with(|s| match s.forwards {
            Some(true) => ("ip_forward 1", "fine"),
            Some(false) => ("ip_forward 0", "attention"),
            None => ("ip_forward –", "quiet"),
        })
    };
    let on_host = move || scene.with(|s| s.on_host.clone()).into_iter().enumerate();
    let chip = move |(i, (id, name)): (usize, (String, String))| {
        let label = format!("{name}, on the host's network");
        let body = view! {
            <g class="map-chip" transform=format!("translate(10 {})", 84 + i * 24)>
                <rect width=STACK.1 - 20.0 height="20"></rect>
                <text class="map-detail" x="8" y="14">{fit(&name, 19)}</text>
            </g>
        }
        .into_any();
        let mark = mark::of_chip(found, id.clone(), (STACK.1 - 24.0, 84.0 + 24.0 * i as f64 + 10.0));
        view! { {linked(choice, Selection::Container(id), label, body)} {mark} }
    };
    view! {
        <g class="map-box map-stack" transform=format!("translate({} {TOP})", STACK.0)>
            <rect width=STACK.1 height=height></rect>
            <text class="map-detail quiet" x="10" y="20">"routing"</text>
            <text class="map-figure" data-tone=text(move || Some(forwards().1.to_owned())) x="10" y="36">{text(move || Some(forwards().0.to_owned()))}</text>
            <text class="map-detail quiet" x="10" y="68">
                {text(move || {
                    let nobody = scene.with(|s| s.on_host.is_empty());
                    Some(if nobody { "nobody on host network" } else { "on host network" }.to_owned())
                })}
            </text>
            <For each=on_host key=|(i, (id, _))| (*i, id.clone()) children=chip />
            {published(choice, scene)}
        </g>
        {mark::of_stack(found, scene)}
    }
    .into_any()
}

/// Ports of the host that lead into containers, below who is on the host's network.
fn published(choice: Choice, scene: Memo<Scene>) -> AnyView {
    let top = move || 84 + 24 * scene.with(|s| s.on_host.len().max(1));
    let ports = move || scene.with(|s| s.published.clone()).into_iter().take(PORTS).enumerate();
    let port = move |(i, (id, shown)): (usize, (String, String))| {
        let y = length(move || Some((top() + 36 + i * 17) as f64));
        let label = format!("published port {shown}");
        let body = view! { <text class="map-detail map-port" x="10" y=y>{fit(&shown, 24)}</text> }.into_any();
        linked(choice, Selection::Container(id), label, body)
    };
    let more = text(move || {
        let more = scene.with(|s| s.published.len().saturating_sub(PORTS));
        (more > 0).then(|| format!("and {more} more"))
    });
    let some = move || scene.with(|s| !s.published.is_empty());
    view! {
        <text class="map-detail quiet" x="10" y=length(move || Some((top() + 18) as f64))>
            {text(move || some().then(|| "published ports".to_owned()))}
        </text>
        <For each=ports key=|(i, port)| (*i, port.clone()) children=port />
        <text class="map-detail quiet" x="10" y=length(move || Some((top() + 36 + PORTS * 17) as f64))>{more}</text>
    }
    .into_any()
}
