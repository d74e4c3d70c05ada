//! The mounts of the container or process under the inspector: what of the host is mounted in, and all of them as a tree.

use glasshull_shared::domain::file::HeldPlace;
use glasshull_shared::domain::process::ProcessDetail;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::key;
use super::holder::holders;
use super::part;
use crate::store::mount::{MountLine, Whose, from_host, tree};
use crate::store::network::trouble_of;
use crate::store::{Selection, Store, use_store};

/// Indentation ends here: the inspector is narrow.
const DEEPEST: usize = 6;

/// The tab of a container.
pub(super) fn mounts(selection: Selection) -> AnyView {
    let (store, id) = (use_store(), key(&selection).id);
    store.want_here(&[Topic::Mount, Topic::Source]);
    let hosts = {
        let id = id.clone();
        Memo::new(move |_| store.read(&[Topic::Mount], |s| from_host(s, &id)))
    };
    let none = move || hosts.with(Vec::is_empty);
    view! {
        {part("Of the host", view! {
            <ul class="mounts">{lines(move || hosts.get())}</ul>
            <p class="dim" hidden=move || !none()>"No path of the host and no volume is mounted in."</p>
        })}
        {all(store, move |s| tree(s, Whose::Container(&id)))}
    }
    .into_any()
}

/// The tab of a process: those of its namespace, by whatever that is known.
pub(super) fn mounts_of_process(store: Store, detail: &ProcessDetail, container: Option<&str>) -> AnyView {
    let inode = detail.namespaces.iter().find(|link| link.kind == "mnt").map(|link| link.inode);
    let container = container.map(str::to_owned);
    all(store, move |s| {
        let found =
            inode.map(|inode| tree(s, Whose::Namespace(inode))).filter(|(lines, _)| !lines.is_empty());
        found.unwrap_or_else(|| match &container {
            Some(id) => tree(s, Whose::Container(id)),
            None => tree(s, Whose::Host),
        })
    })
}

fn all(store: Store, read: impl Fn(&Snapshot) -> (Vec<MountLine>, usize) + Send + Sync + 'static) -> AnyView {
    let found = Memo::new(move |_| store.read(&[Topic::Mount], |s| read(s)));
    let trouble = Memo::new(move |_| store.read(&[Topic::Source], |s| trouble_of(s, Topic::Mount)));
    let said = move || match found.with(|(lines, more)| (lines.len(), *more)) {
        (0, _) => "It does not run, or its mounts cannot be read.".to_owned(),
        (_, 0) => String::new(),
        (_, more) => format!("and {} more", unit::count(more as u64)),
    };
    view! {
        {part("All mounts", view! {
            <ul class="mounts tree">{lines(move || found.with(|(lines, _)| lines.clone()))}</ul>
            <p class="dim" hidden=move || said().is_empty()>{said}</p>
        })}
        <p class="lacking" hidden=move || trouble.with(Option::is_none)>{move || trouble.get().unwrap_or_default()}</p>
    }
    .into_any()
}

fn lines(all: impl Fn() -> Vec<MountLine> + Send + Sync + 'static) -> impl IntoView {
    view! {
        <For each=all key=|line| line.clone() let:line>
            {mount(line)}
        </For>
    }
}

fn mount(line: MountLine) -> impl IntoView {
    let access = if line.writable { "writable" } else { "read-only" };
    let depth = line.depth.min(DEEPEST);
    let options = format!("mount · file system: {}", line.options);
    let from = (!line.host_path.is_empty()).then(|| {
        view! { <p class="from" title="the same on the host">"host " <code>{line.host_path.clone()}</code></p> }
    });
    let hidden = line.overmounted.then(|| {
        view! { <span class="hidden" title="another mount lies over it: nobody can reach it">"▼ beneath another mount"</span> }
    });
    view! {
        <li class:overmounted=line.overmounted data-depth=depth>
            <p class="point">
                <code>{line.mountpoint.clone()}</code>
                <span class="marks">
                    {hidden}
                    <span data-tone=line.tone>{line.origin}</span>
                    <span class:dim=!line.writable>{access}</span>
                </span>
            </p>
            <p class="what" title=options.clone()><code>{line.what.clone()}</code>" "<span>{line.propagation.clone()}</span></p>
            <p class="options" title=options><code>{line.options.clone()}</code></p>
            {from}
            {(!line.layers.is_empty()).then(|| layers(&line))}
            {holders_of(&line)}
        </li>
    }
}

/// Who has files on it: looked at only while it is unfolded.
fn holders_of(line: &MountLine) -> impl IntoView + use<> {
    let place = HeldPlace { device: line.device.clone(), mount: Some(line.mount.into()) };
    let open = RwSignal::new(false);
    let list = move || open.get().then(|| holders(place.clone()));
    view! {
        <div class="holders-of">
            <button
                type="button"
                class="fold"
                aria-expanded=move || if open.get() { "true" } else { "false" }
                on:click=move |_| open.update(|open| *open = !*open)
            >
                "who has files there"
            </button>
            {list}
        </div>
    }
}

fn layers(line: &MountLine) -> impl IntoView + use<> {
    let layer = |(name, dir): &(&'static str, String)| {
        view! { <li><span class="dim">{*name}</span>" "<code>{dir.clone()}</code></li> }
    };
    let count = line.layers.iter().filter(|(name, _)| *name != "work").count();
    view! {
        <details class="layers">
            <summary>{format!("{count} layers, topmost first")}</summary>
            <ul class="lines">{line.layers.iter().map(layer).collect_view()}</ul>
        </details>
    }
}
