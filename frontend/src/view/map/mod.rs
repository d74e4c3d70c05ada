//! The map: the path of a packet from the wire through the host to the containers, left to right, with what passes.

mod draw;
mod plan;
mod scene;

use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::network::trouble;
use crate::store::{Choice, Selection, Store, use_choice, use_store};
use plan::Plan;
use scene::{BOX, BRIDGE, Cable, LABEL, STACK, Scene, WIDTH, WIRE, groups, members};

const TOPICS: &[Topic] =
    &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::ContainerStat];

/// What the selection lights.
#[derive(Debug, Clone, PartialEq, Default)]
struct Lit {
    any: bool,
    cables: Vec<LinkKey>,
    bridges: Vec<LinkKey>,
    frames: Vec<u64>,
}

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let anew = RwSignal::new(0_u32);
    let plan = Memo::new(move |before: Option<&(u32, Plan)>| {
        let turn = anew.get();
        let kept = before.filter(|(then, _)| *then == turn).map(|(_, plan)| plan.clone()).unwrap_or_default();
        let next = store
            .read(&[Topic::Netns, Topic::Link, Topic::Container], |s| kept.advance(&members(s), &groups(s)));
        (turn, next)
    });
    let scene = Memo::new(move |_| plan.with(|(_, plan)| store.read(TOPICS, |s| scene::scene(s, plan))));
    let lit = Memo::new(move |_| choice.selected.with(|sel| scene.with(|s| lit(s, sel.as_ref()))));
    let empty = move || scene.with(|s| s.frames.is_empty());
    view! {
        <div class="view map">
            {toolbar(scene, plan, anew)}
            <div class="map-scroll" tabindex="-1">
                {picture(choice, scene, lit)}
                <p class="map-none" hidden=move || !empty()>{move || why_empty(store)}</p>
            </div>
        </div>
    }
    .into_any()
}

fn toolbar(scene: Memo<Scene>, plan: Memo<(u32, Plan)>, anew: RwSignal<u32>) -> impl IntoView {
    let count = move |n: fn(&Scene) -> usize, one: &'static str| {
        view! {
            <span>
                <b>{move || scene.with(|s| unit::count(n(s) as u64))}</b>
                {move || format!(" {one}{}", if scene.with(n) == 1 { "" } else { "s" })}
            </span>
        }
    };
    let untidy = move || plan.with(|(_, plan)| plan.is_untidy());
    view! {
        <div class="toolbar map-bar">
            {count(|s| s.frames.len(), "namespace")}
            {count(|s| s.bridges.len(), "bridge")}
            {count(|s| s.wires.len(), "wire")}
            <span class="map-key"><i class="rx"></i>"received"<i class="tx"></i>"sent, seen from the container; as thick as the logarithm of bytes/s"</span>
            <span class="gap"></span>
            <button
                type="button"
                class="toggle"
                disabled=move || !untidy()
                title="Rows stay where they are while things come and go; this closes the gaps"
                on:click=move |_| anew.update(|n| *n += 1)
            >
                "Tidy up"
            </button>
            <a class="map-table" href="?view=network&f=kind:veth">"As a table"</a>
        </div>
    }
}

fn picture(choice: Choice, scene: Memo<Scene>, lit: Memo<Lit>) -> AnyView {
    let heads = [
        (WIRE.0, "WIRE"),
        (STACK.0, "HOST STACK"),
        (BRIDGE.0, "BRIDGES"),
        (LABEL.0, "VETH PAIRS"),
        (BOX.0, "NETWORK NAMESPACES"),
    ];
    let head = |(x, text): (f64, &'static str)| view! { <text class="map-head" x=x y="22">{text}</text> };
    view! {
        <svg
            class="map-picture"
            class:has-lit=move || lit.with(|l| l.any)
            role="group"
            aria-label="Map of the host's network"
            viewBox=move || scene.with(|s| format!("0 0 {WIDTH} {:.0}", s.height))
        >
            {heads.into_iter().map(head).collect::<Vec<_>>()}
            {draw::stack(choice, scene)}
            {each(scene, |s| &s.cables, Cable::id, move |c| draw::cable(choice, lit, c))}
            {(0..3).map(|i| draw::note(Memo::new(move |_| scene.with(|s| s.notes.get(i).copied())))).collect::<Vec<_>>()}
            {each(scene, |s| &s.wires, |w| (w.key, 0), move |w| draw::wire(choice, w))}
            {each(scene, |s| &s.bridges, |b| (b.key, 0), move |b| draw::bridge(choice, lit, b))}
            {each(scene, |s| &s.frames, |f| (LinkKey { netns: f.netns, ifindex: 0 }, 0), move |f| draw::frame(choice, lit, f))}
        </svg>
    }
    .into_any()
}

/// What tells one thing from others of its kind.
type Id = (LinkKey, i64);

/// Draws all things of one kind; each follows the picture by its id.
fn each<T: Clone + PartialEq + Send + Sync + 'static>(
    scene: Memo<Scene>,
    all: fn(&Scene) -> &Vec<T>,
    id: fn(&T) -> Id,
    draw: impl Fn(Memo<Option<T>>) -> AnyView + Copy + Send + Sync + 'static,
) -> AnyView {
    let ids = move || scene.with(|s| all(s).iter().map(id).collect::<Vec<_>>());
    let one = move |of: Id| {
        draw(Memo::new(move |_| scene.with(|s| all(s).iter().find(|thing| id(thing) == of).cloned())))
    };
    view! { <For each=ids key=|id| *id children=one /> }.into_any()
}

/// The path of what is selected: its frames, their cables, and the bridges these hang on.
fn lit(scene: &Scene, selected: Option<&Selection>) -> Lit {
    let mut lit = Lit::default();
    match selected {
        Some(Selection::Container(id)) => {
            let frames = scene.frames.iter().filter(|f| f.containers.contains(id));
            lit.frames = frames.map(|f| f.netns).collect();
            let cables = scene.cables.iter().filter(|c| lit.frames.contains(&c.netns));
            lit.cables = cables.map(|c| c.key).collect();
        }
        Some(Selection::Link(key)) => {
            // A bridge lights all that hang on it.
            let of = |c: &&scene::Cable| draw::ends_in(c, *key) || c.bridge == Some(*key);
            for cable in scene.cables.iter().filter(of) {
                lit.cables.push(cable.key);
                lit.frames.push(cable.netns);
            }
        }
        Some(Selection::Process(_) | Selection::Engine(_) | Selection::Host) | None => return lit,
    }
    lit.any = !lit.cables.is_empty() || !lit.frames.is_empty();
    for cable in &scene.cables {
        if lit.cables.contains(&cable.key) {
            lit.bridges.extend(cable.bridge);
        }
    }
    let bridges = lit.bridges.clone();
    lit.cables.extend(bridges); // and the cable from the host to the bridge
    lit
}

fn why_empty(store: Store) -> String {
    if !store.is_fresh(Topic::Link) {
        return "Waiting for the links of this host.".into();
    }
    let alone = "No network namespace but the host's own: no container runs that has a network of its own.";
    store.read(&[Topic::Source], trouble).unwrap_or_else(|| alone.into())
}
