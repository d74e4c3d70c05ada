//! With whom the containers talk beyond this host, below the wires that lead there: by the names that DNS told, while talk is shown.

use glasshull_shared::unit;
use leptos::prelude::*;

use super::Lit;
use super::draw::{fit, flag, length, linked_to, text};
use super::scene::{Scene, WIRE};
use super::talk::Outside;
use crate::store::flow::flows_link;

/// Those listed; the table has all.
const SHOWN: usize = 8;
/// From one to the next: two lines of text.
const PITCH: f64 = 34.0;
/// From the wires to the first.
const HEAD: f64 = 22.0;

/// Those that are listed: who moves most bytes, in order of the alphabet, so that none moves without need.
fn shown(all: &[Outside]) -> Vec<String> {
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(|o| o.name.clone()).collect();
    shown.sort_unstable();
    shown
}

/// Height of the list, with what stands over and below it.
pub(super) fn tall(all: usize) -> f64 {
    if all == 0 { 0.0 } else { HEAD + PITCH * all.min(SHOWN) as f64 + 20.0 }
}

/// The list.
pub(super) fn outside(lit: Memo<Lit>, scene: Memo<Scene>) -> AnyView {
    let top = Memo::new(move |_| scene.with(|s| s.outside_at));
    let names =
        Memo::new(move |_| scene.with(|s| shown(&s.outside).into_iter().enumerate().collect::<Vec<_>>()));
    let some = move || names.with(|names| !names.is_empty());
    let more = text(move || {
        let more = scene.with(|s| s.outside.len().saturating_sub(SHOWN));
        (more > 0).then(|| format!("and {more} more"))
    });
    let one = move |(i, name): (usize, String)| one(lit, scene, top, i, name);
    view! {
        <text class="map-detail quiet" x=WIRE.0 y=length(move || Some(top.get() + 8.0))>
            {text(move || some().then(|| "beyond this host".to_owned()))}
        </text>
        <For each=move || names.get() key=Clone::clone children=one />
        <text class="map-detail quiet" x=WIRE.0 y=length(move || Some(top.get() + HEAD + PITCH * SHOWN as f64 + 8.0))>
            {more}
        </text>
    }
    .into_any()
}

fn one(lit: Memo<Lit>, scene: Memo<Scene>, top: Memo<f64>, i: usize, name: String) -> AnyView {
    let of = {
        let name = name.clone();
        Memo::new(move |_| scene.with(|s| s.outside.iter().find(|o| o.name == name).cloned()))
    };
    let rates = move || of.with(|o| o.as_ref().map(|o| o.flow).unwrap_or_default().rates());
    let about = text(move || of.with(|o| o.as_ref().map(about)));
    let href = flows_link("elsewhere", &name);
    let place =
        text(move || Some(format!("translate({} {:.1})", WIRE.0, top.get() + HEAD + PITCH * i as f64)));
    let is_lit = {
        let name = name.clone();
        Memo::new(move |_| lit.with(|l| l.outside.contains(&name)))
    };
    let is_dim = flag(move || lit.with(|l| l.any) && !is_lit.get());
    let body = view! {
        <g class="map-outside" class:is-lit=move || is_lit.get() class:is-dim=is_dim transform=place>
            {leptos::svg::title().child(about)}
            <rect x="-4" y="-2" width=WIRE.1 height=PITCH - 4.0></rect>
            <text class="map-detail map-port" x="0" y="10">{fit(&name, 25)}</text>
            <text class="map-rx" x="0" y="23">{text(move || Some(rates().0))}</text>
            <text class="map-tx" x="80" y="23">{text(move || Some(rates().1))}</text>
        </g>
    }
    .into_any();
    linked_to(Signal::stored(href), Signal::stored(format!("flows with {name}")), body)
}

/// For hover and screen readers.
fn about(o: &Outside) -> String {
    let with = match o.with.len() {
        0 => "with the host itself".to_owned(),
        1 => "with one container".to_owned(),
        n => format!("with {n} containers"),
    };
    format!("{} {with}; {} since it was first seen", unit::printable(&o.name), unit::bytes(o.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_most_bytes_are_listed_and_keep_their_order() {
        let named = |name: &str| Outside { name: name.into(), ..Outside::default() };
        let all: Vec<Outside> = ["m", "z", "a", "y", "b", "x", "c", "w", "late"].map(named).into();
        assert_eq!(shown(&all), ["a", "b", "c", "m", "w", "x", "y", "z"]);
        assert_eq!((tall(0), tall(9)), (0.0, tall(8)));
    }
}
