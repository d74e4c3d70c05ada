//! Marks of findings on the things of the map: a small sign with a number that leads to what was found. They follow the findings
//! alone and have no part in the layout.

use std::sync::Arc;

use leptos::prelude::*;

use super::draw::{flag, linked_to, text};
use super::plan::Who;
use super::scene::{BOX, BRIDGE, Bridge, Cable, Frame, LABEL, STACK, Scene, TOP, WIRE, Wire};
use crate::store::finding::sign;
use crate::store::mark::{Mark, Marks};

/// All marks; changes with the findings alone.
pub(super) type Found = Memo<Arc<Marks>>;

/// Half the height of a mark.
const HALF: f64 = 7.0;
const WIDTH: f64 = 34.0;

/// Of a frame: on the upper edge of its box, where nothing else is.
pub(super) fn of_frame(found: Found, frame: Memo<Option<Frame>>) -> AnyView {
    // Who is in a frame changes rarely, what they use each second.
    let who = Memo::new(move |_| frame.with(|f| f.as_ref().map(|f| (f.containers.clone(), netns(&f.who)))));
    let mark = Memo::new(move |_| {
        let (containers, netns) = who.get()?;
        found.with(|marks| marks.together(&containers, &netns))
    });
    let place = Memo::new(move |_| frame.with(|f| f.as_ref().map(|f| (BOX.0 + BOX.1 - 30.0, f.y))));
    draw(mark, place, WIDTH)
}

/// The namespace of a frame; those in a bundle are marked by their containers.
fn netns(who: &Who) -> Option<u64> {
    if let Who::Netns(netns) = who { Some(*netns) } else { None }
}

/// Of a cable, at either of its ends: behind its label.
pub(super) fn of_cable(found: Found, cable: Memo<Option<Cable>>) -> AnyView {
    let ends = Memo::new(move |_| {
        let ends =
            |c: &Cable| (!c.label.is_empty() && matches!(c.who, Who::Netns(_))).then_some((c.key, c.far));
        cable.with(|c| c.as_ref().and_then(ends))
    });
    let mark = Memo::new(move |_| {
        let (near, far) = ends.get()?;
        found.with(|marks| {
            let ends = [Some(near), far].into_iter().flatten().filter_map(|key| marks.links.get(&key));
            ends.fold(None, |sum: Option<Mark>, mark| Some(sum.unwrap_or_default().join(mark)))
        })
    });
    let place = Memo::new(move |_| {
        let beside = |c: &Cable| (LABEL.0 + LABEL.1 + 26.0, c.label_at.0 + c.label_at.1 / 2.0);
        cable.with(|c| c.as_ref().map(beside))
    });
    draw(mark, place, WIDTH)
}

/// Of a wire: on the upper edge of its box.
pub(super) fn of_wire(found: Found, wire: Memo<Option<Wire>>) -> AnyView {
    let key = wire.with_untracked(|w| w.as_ref().map(|w| w.key));
    let mark = Memo::new(move |_| found.with(|marks| marks.links.get(&key?).cloned()));
    let place = Memo::new(move |_| wire.with(|w| w.as_ref().map(|w| (WIRE.0 + WIRE.1 - 30.0, w.y))));
    draw(mark, place, WIDTH)
}

/// Of a bridge: at the lower end of its bar.
pub(super) fn of_bridge(found: Found, bridge: Memo<Option<Bridge>>) -> AnyView {
    let key = bridge.with_untracked(|b| b.as_ref().map(|b| b.key));
    let mark = Memo::new(move |_| found.with(|marks| marks.links.get(&key?).cloned()));
    let place = Memo::new(move |_| {
        let lower_end = |b: &Bridge| (BRIDGE.0 + BRIDGE.1 / 2.0, b.y + b.height);
        bridge.with(|b| b.as_ref().map(lower_end))
    });
    draw(mark, place, WIDTH)
}

/// Of the host's own network: what is found of the namespace itself; its links bear their own.
pub(super) fn of_stack(found: Found, scene: Memo<Scene>) -> AnyView {
    let host = Memo::new(move |_| scene.with(|s| s.host));
    let mark = Memo::new(move |_| found.with(|marks| marks.own.get(&host.get()?).cloned()));
    let place = Memo::new(move |_| Some((STACK.0 + STACK.1 - 30.0, TOP)));
    draw(mark, place, WIDTH)
}

/// Of a container on the host's network.
pub(super) fn of_chip(found: Found, id: String, place: (f64, f64)) -> AnyView {
    let mark = Memo::new(move |_| found.with(|marks| marks.containers.get(&id).cloned()));
    draw(mark, Memo::new(move |_| Some(place)), 26.0)
}

fn draw(mark: Memo<Option<Mark>>, place: Memo<Option<(f64, f64)>>, width: f64) -> AnyView {
    let some = Memo::new(move |_| mark.with(Option::is_some));
    let at = text(move || place.get().map(|(x, y)| format!("translate({x:.1} {y:.1})")));
    let sign_text = text(move || mark.with(|m| m.as_ref().map(Mark::text)));
    let about = text(move || mark.with(|m| m.as_ref().map(Mark::about)));
    let tone = text(move || mark.with(|m| m.as_ref().map(|m| sign(m.worst).1.to_owned())));
    let href = text(move || mark.with(|m| m.as_ref().map(Mark::link)));
    let is_grave = flag(move || tone.with(|tone| tone == "trouble"));
    let pill = move || {
        view! {
            <g class="map-mark" class:is-grave=is_grave>
                {leptos::svg::title().child(about)}
                <rect x=-width / 2.0 y=-HALF width=width height=2.0 * HALF rx=HALF></rect>
                <text class="map-figure" data-tone=tone y="3.5" text-anchor="middle">{sign_text}</text>
            </g>
        }
        .into_any()
    };
    let label = Signal::derive(move || about.with(|about| format!("found: {about}")));
    view! {
        <g transform=at>{move || some.get().then(|| untrack(|| linked_to(href, label, pill())))}</g>
    }
    .into_any()
}
