//! The map: the path of a packet from the wire through the host to the containers, left to right, with what passes.

mod cast;
mod draw;
mod export;
mod frame;
mod mark;
mod outside;
mod plan;
mod scene;
mod stack;
mod talk;
mod thing;
mod toolbar;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

use crate::store::mark::Marks;
use crate::store::network::trouble;
use crate::store::{Choice, Selection, Store, use_choice, use_store};
use cast::{By, Cast, groups};
use mark::Found;
use plan::{Plan, Who};
use scene::{BOX, BRIDGE, Cable, LABEL, STACK, Scene, WIDTH, WIRE};
use talk::{Outside, Talking};
use thing::Thing;
use window::Window;

const TOPICS: &[Topic] =
    &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::ContainerStat];
/// What is wanted besides while talk is shown: packets are captured for it.
const TALK: &[Topic] = &[Topic::Flow, Topic::FlowStat, Topic::Capture];

/// What it is told from: whose addresses are on this host, too.
const TALKED: &[Topic] = &[Topic::Flow, Topic::FlowStat, Topic::Netns, Topic::Link];

/// What the selection lights.
#[derive(Debug, Clone, PartialEq, Default)]
struct Lit {
    any: bool,
    cables: Vec<LinkKey>,
    bridges: Vec<LinkKey>,
    frames: Vec<Who>,
    /// Who talks with those.
    peers: Vec<Who>,
    bows: Vec<String>,
    /// Names of those beyond this host that they talk with.
    outside: Vec<String>,
}

/// What a plan was made for: another choice of the person is a plan of its own.
type Turn = (u32, By, BTreeSet<String>);

/// The view's parts, as signals.
#[derive(Clone, Copy)]
struct Map {
    store: Store,
    choice: Choice,
    /// Turns of "tidy up".
    anew: RwSignal<u32>,
    cast: Memo<Cast>,
    plan: Memo<(Turn, Plan)>,
    scene: Memo<Scene>,
    /// What is marked.
    found: Found,
    /// Who talks to whom is shown.
    talking: Memo<bool>,
    window: Window,
}

/// The view.
pub(super) fn render() -> AnyView {
    let map = Map::new(use_store(), use_choice());
    let Map { store, choice, scene, .. } = map;
    let lit = Memo::new(move |_| choice.selected.with(|sel| scene.with(|s| lit(s, sel.as_ref()))));
    let empty = move || scene.with(|s| s.frames.is_empty());
    view! {
        <div class="view map">
            {toolbar::toolbar(map)}
            <div class="map-scroll" tabindex="-1" node_ref=map.window.node on:scroll=move |_| map.window.look()>
                {picture(map, lit)}
                <p class="map-none" hidden=move || !empty()>{move || why_empty(store)}</p>
            </div>
        </div>
    }
    .into_any()
}

impl Map {
    fn new(store: Store, choice: Choice) -> Self {
        let (open, talk) = (choice.param("open"), choice.param("talk"));
        let talking = Memo::new(move |_| talk.with(Option::is_some));
        // Whoever looks at no talk has no packet captured.
        Effect::new(move |_| {
            if talking.get() {
                store.want_here(TALK);
            }
        });
        let cast = Memo::new(move |before: Option<&Cast>| {
            let open = open.with(|o| opened(o.as_deref()));
            store.read(&[Topic::Netns, Topic::Link, Topic::Container], |s| {
                let before = before.map(|cast| cast.by).unwrap_or_default();
                let by = choice.group.with(|g| By::of(g.as_deref(), s.netns.len(), before));
                Cast::of(s, by, &open)
            })
        });
        let anew = RwSignal::new(0_u32);
        let plan = Memo::new(move |before: Option<&(Turn, Plan)>| {
            cast.with(|cast| {
                let turn = (anew.get(), cast.by, open.with(|o| opened(o.as_deref())));
                let kept = before.filter(|(then, _)| *then == turn).map(|(_, plan)| plan.clone());
                let groups = store.with(groups);
                (turn, kept.unwrap_or_default().advance(&cast.members, &groups))
            })
        });
        let talks =
            Memo::new(
                move |_| {
                    if talking.get() { store.read(TALKED, Talking::of) } else { Talking::default() }
                },
            );
        let scene = Memo::new(move |_| {
            let draw = |cast: &Cast, plan: &Plan, talks: &Talking| {
                store.read(TOPICS, |s| scene::scene(s, cast, plan, talks))
            };
            cast.with(|cast| plan.with(|(_, plan)| talks.with(|talks| draw(cast, plan, talks))))
        });
        let found = Memo::new(move |_| store.read(&[Topic::Finding], |s| Arc::new(Marks::of(s))));
        let height = Memo::new(move |_| scene.with(|s| s.height));
        let has_frames = Memo::new(move |_| scene.with(|s| !s.frames.is_empty()));
        let window =
            Window::new(Signal::derive(move || width(talking.get())), height.into(), has_frames.into());
        Self { store, choice, anew, cast, plan, scene, found, talking, window }
    }
}

/// Ids of open bundles, from the URL.
fn opened(param: Option<&str>) -> BTreeSet<String> {
    param.into_iter().flat_map(|p| p.split(',')).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// `href` of this view with a bundle opened or closed. Reactive.
fn toggle_link(choice: Choice, id: &str) -> String {
    let mut address = choice.address();
    let mut open = opened(address.get("open"));
    if !open.remove(id) {
        open.insert(id.to_owned());
    }
    let text = open.into_iter().collect::<Vec<_>>().join(",");
    address.set("open", (!text.is_empty()).then_some(text));
    let query = address.to_query();
    if query.is_empty() { "?".into() } else { query }
}

/// Width of the picture: talk is beside the boxes.
fn width(talking: bool) -> f64 {
    if talking { WIDTH + talk::REACH } else { WIDTH }
}

fn picture(map: Map, lit: Memo<Lit>) -> AnyView {
    let Map { choice, scene, talking, found, .. } = map;
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
            viewBox=move || format!("0 0 {} {:.0}", width(talking.get()), scene.with(|s| s.height))
        >
            {heads.into_iter().map(head).collect::<Vec<_>>()}
            {stack::stack(choice, found, scene)}
            {each(map, |s| &s.bows, move |b| draw::bow(lit, b))}
            {each(map, |s| &s.cables, move |c| marked(draw::cable(choice, lit, c), mark::of_cable(found, c)))}
            {(0..3).map(|i| draw::note(Memo::new(move |_| scene.with(|s| s.notes.get(i).copied())))).collect::<Vec<_>>()}
            {outside::outside(lit, scene)}
            {each(map, |s| &s.wires, move |w| marked(draw::wire(choice, w), mark::of_wire(found, w)))}
            {each(map, |s| &s.bridges, move |b| marked(draw::bridge(choice, lit, b), mark::of_bridge(found, b)))}
            {each(map, |s| &s.frames, move |f| marked(draw::frame(choice, lit, f), mark::of_frame(found, f)))}
        </svg>
    }
    .into_any()
}

/// A thing and the mark on it.
fn marked(thing: AnyView, mark: AnyView) -> AnyView {
    view! { {thing} {mark} }.into_any()
}

/// Draws all things of one kind that can be seen; each follows the picture by its id.
fn each<T: Thing + Clone + PartialEq + Send + Sync + 'static>(
    map: Map,
    all: fn(&Scene) -> &Vec<T>,
    draw: impl Fn(Memo<Option<T>>) -> AnyView + Copy + Send + Sync + 'static,
) -> AnyView {
    let Map { scene, window, .. } = map;
    let seen = Memo::new(move |_| {
        let (top, bottom) = window.seen.get();
        let in_sight = |thing: &&T| {
            let (from, to) = thing.span();
            from.min(to) <= bottom && from.max(to) >= top
        };
        let seen = |s: &Scene| all(s).iter().filter(in_sight).map(|t| (t.id(), t.clone())).collect();
        scene.with(|s| -> BTreeMap<String, T> { seen(s) })
    });
    let ids = move || seen.with(|seen| seen.keys().cloned().collect::<Vec<_>>());
    let one = move |id: String| draw(Memo::new(move |_| seen.with(|seen| seen.get(&id).cloned())));
    view! { <For each=ids key=String::clone children=one /> }.into_any()
}

/// The path of what is selected: its frames, their cables, and the bridges these hang on.
fn lit(scene: &Scene, selected: Option<&Selection>) -> Lit {
    let mut lit = Lit::default();
    match selected {
        Some(Selection::Container(id)) => {
            let frames = scene.frames.iter().filter(|f| f.containers.contains(id));
            lit.frames = frames.map(|f| f.who.clone()).collect();
            let cables = scene.cables.iter().filter(|c| lit.frames.contains(&c.who));
            lit.cables = cables.map(|c| c.key).collect();
        }
        Some(Selection::Link(key)) => {
            // A bridge lights all that hang on it.
            let of = |c: &&Cable| draw::ends_in(c, *key) || c.bridge == Some(*key);
            for cable in scene.cables.iter().filter(of) {
                lit.cables.push(cable.key);
                lit.frames.push(cable.who.clone());
            }
        }
        Some(
            Selection::Process(_)
            | Selection::Engine(_)
            | Selection::Namespace(_)
            | Selection::Device(_)
            | Selection::Host,
        )
        | None => return lit,
    }
    lit.any = !lit.cables.is_empty() || !lit.frames.is_empty();
    for cable in &scene.cables {
        if lit.cables.contains(&cable.key) {
            lit.bridges.extend(cable.bridge);
        }
    }
    for bow in &scene.bows {
        let (a, b) = (lit.frames.contains(&bow.ends.0), lit.frames.contains(&bow.ends.1));
        if a || b {
            lit.bows.push(bow.id());
            lit.peers.extend(
                [(a, &bow.ends.1), (b, &bow.ends.0)].into_iter().filter(|p| p.0).map(|p| p.1.clone()),
            );
        }
    }
    let lit_ids: BTreeSet<&String> =
        scene.frames.iter().filter(|f| lit.frames.contains(&f.who)).flat_map(|f| &f.containers).collect();
    let talks_with = |o: &&Outside| o.with.iter().any(|id| lit_ids.contains(id));
    lit.outside = scene.outside.iter().filter(talks_with).map(|o| o.name.clone()).collect();
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
