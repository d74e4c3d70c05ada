//! The inspector on a namespace: who is in it, what keeps it alive, what is inside and outside. And the tab of a container
//! that tells how far it is apart from the host.

use std::sync::Arc;

use glasshull_shared::domain::namespace::{Namespace, NamespaceKey, NamespaceKind};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::key as container_key;
use super::{Inspect, Tab, in_the_shell, part};
use crate::store::lookup::{container_name, process_of_pid};
use crate::store::namespace::{Subject, cell, holder_line, meaning, range_line, shell_lines, whose};
use crate::store::network::trouble_of;
use crate::store::{Selection, Store, use_choice, use_store};
use crate::widget::facts::{Fact, Facts, live_fact, row};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Namespace, Topic::Container, Topic::Process],
};

const GONE: &str = "the namespace is gone";

fn key(selection: &Selection) -> NamespaceKey {
    selection.namespace().unwrap_or(NamespaceKey { kind: NamespaceKind::Net, inode: 0 })
}

fn what(store: Store, key: NamespaceKey) -> Option<Arc<Namespace>> {
    store.read(&[Topic::Namespace], |s| s.namespace.get(&key).cloned())
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let name = move || format!("{}:[{}]", key.kind.name(), key.inode);
    super::heading(name, move || {
        let Some(row) = what(store, key) else { return "gone".into() };
        let whose = store.read(&[Topic::Container, Topic::Process], |s| whose(s, &row));
        let processes = match row.pids {
            0 => "no process in it".to_owned(),
            1 => "1 process".to_owned(),
            n => format!("{} processes", unit::count(u64::from(n))),
        };
        if whose.is_empty() { processes } else { format!("{whose} · {processes}") }
    })
}

fn overview(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let row_of = Memo::new(move |_| what(store, key));
    let of = move |name: &'static str, f: fn(&Namespace) -> Fact| {
        live_fact(name, move || row_of.get().map_or_else(|| Fact::unknown(GONE), |row| f(&row)))
    };
    let told = meaning(key.kind);
    let nests = matches!(key.kind, NamespaceKind::Pid | NamespaceKind::User);
    let above = move || {
        let inode = row_of.get()?.parent?;
        Some(NamespaceKey { kind: key.kind, inode })
    };
    let owner = move || {
        let inode = row_of.get()?.owner?;
        Some(NamespaceKey { kind: NamespaceKind::User, inode })
    };
    view! {
        {part("What it keeps apart", view! {
            <p>{told.isolates}</p>
            <p class="dim">{told.flag}": "{told.cost}"."</p>
        })}
        {part("Namespace", view! {
            <Facts>
                {of("the host's", |row| match row.host {
                    Some(true) => Fact::new("yes: the one the host booted with"),
                    Some(false) => Fact::new("no"),
                    None => Fact::unknown("which one the host booted with cannot be told from here"),
                })}
                {of("name", |row| Fact::or(row.name.clone(), "it has no name of ip netns"))}
                {nests.then(|| row("nested in", move || link(above())))}
                {row("owned by", move || link(owner()))}
                {(key.kind == NamespaceKind::User).then(|| of("made by", |row| {
                    Fact::or(row.creator_uid.map(|uid| format!("uid {uid}")), "it cannot be asked")
                }))}
            </Facts>
        })}
        {inside(key.kind, row_of)}
        {part("Kept alive by", holders(store, row_of))}
        {part("Processes", members(store, row_of))}
        {part("Containers", containers(store, row_of))}
    }
    .into_any()
}

/// What only some kinds have.
fn inside(kind: NamespaceKind, row: Memo<Option<Arc<Namespace>>>) -> Option<AnyView> {
    let fact = move |name: &'static str, f: fn(&Namespace) -> Fact| {
        live_fact(name, move || row.get().map_or_else(|| Fact::unknown(GONE), |row| f(&row)))
    };
    let lines = |ranges: &[glasshull_shared::domain::namespace::IdRange]| {
        let all: Vec<String> = ranges.iter().map(|range| range_line(*range)).collect();
        Fact::or((!all.is_empty()).then(|| all.join("; ")), "none is set, or it cannot be read")
    };
    let seconds = |nanos: Option<i64>| {
        Fact::or(nanos.map(|nanos| format!("{:+.3} s", nanos as f64 / 1e9)), "it cannot be read")
    };
    let facts = match kind {
        NamespaceKind::Uts => vec![fact("host name", |row| {
            Fact::or(row.hostname.clone(), "it cannot be entered: CAP_SYS_ADMIN")
        })],
        NamespaceKind::User => vec![
            fact("root inside", |row| match row.root_uid() {
                Some(0) => Fact::new("is root on the host").tone("attention"),
                Some(uid) => Fact::new(format!("is uid {uid} on the host")).tone("fine"),
                None => Fact::unknown("root is not mapped, or the map cannot be read"),
            }),
            row_fact("uids", row, move |row| lines(&row.uid_map)),
            row_fact("gids", row, move |row| lines(&row.gid_map)),
        ],
        NamespaceKind::Time => vec![
            row_fact("monotonic", row, move |row| seconds(row.monotonic_offset_nanos)),
            row_fact("boot", row, move |row| seconds(row.boottime_offset_nanos)),
        ],
        NamespaceKind::Cgroup => vec![fact("begins at", |row| {
            Fact::or(row.cgroup_root.clone(), "the host's begins at /, or no mount of it tells")
        })],
        NamespaceKind::Mnt | NamespaceKind::Ipc | NamespaceKind::Pid | NamespaceKind::Net => return None,
    };
    Some(part("Inside and outside", view! { <Facts>{facts}</Facts> }))
}

fn row_fact(
    name: &'static str,
    row: Memo<Option<Arc<Namespace>>>,
    f: impl Fn(&Namespace) -> Fact + Send + Sync + 'static,
) -> AnyView {
    live_fact(name, move || row.get().map_or_else(|| Fact::unknown(GONE), |row| f(&row)))
}

/// A button that leads to another namespace.
fn link(key: Option<NamespaceKey>) -> AnyView {
    let choice = use_choice();
    match key {
        Some(key) => view! {
            <button class="link" on:click=move |_| choice.select(Some(Selection::Namespace(key)))>
                {format!("{}:[{}]", key.kind.name(), key.inode)}
            </button>
        }
        .into_any(),
        None => {
            view! { <span data-tone="unknown" title="nothing above it may be seen">"–"</span> }.into_any()
        }
    }
}

fn holders(store: Store, row: Memo<Option<Arc<Namespace>>>) -> impl IntoView {
    move || {
        let row = row.get()?;
        let mut lines: Vec<(String, String)> = Vec::new();
        if row.pids > 0 {
            lines.push(("processes".into(), unit::count(u64::from(row.pids))));
        }
        store.with(|s| {
            lines.extend(row.held_by.iter().map(|one| (one.by.name().to_owned(), holder_line(s, one))));
        });
        if lines.is_empty() {
            let why = "Nothing that can be seen: a descriptor on its way through a socket, or what a permission hides.";
            return Some(view! { <p class="dim">{why}</p> }.into_any());
        }
        let line = |(by, what): (String, String)| {
            view! { <li><span class="dim">{by}</span>" "<code>{what}</code></li> }
        };
        Some(view! { <ul class="lines">{lines.into_iter().map(line).collect_view()}</ul> }.into_any())
    }
}

fn members(store: Store, row: Memo<Option<Arc<Namespace>>>) -> impl IntoView {
    let choice = use_choice();
    move || {
        let row = row.get()?;
        if row.members.is_empty() {
            return Some(view! { <p class="dim">"None: see what keeps it alive."</p> }.into_any());
        }
        let line = |pid: &u32| {
            let found = store
                .with(|s| process_of_pid(s, *pid).map(|(key, row)| (key, row.comm.clone(), row.pid_in_ns)));
            let pid = *pid;
            match found {
                Some((key, comm, inside)) => {
                    let inside =
                        inside.filter(|inside| *inside != pid).map(|inside| format!(" · {inside} inside"));
                    view! {
                        <li>
                            <button class="link" on:click=move |_| choice.select(Some(Selection::Process(key)))>
                                {pid} " " {comm}
                            </button>
                            <span class="dim">{inside}</span>
                        </li>
                    }
                    .into_any()
                }
                None => view! { <li>{pid}</li> }.into_any(),
            }
        };
        let more = usize::try_from(row.pids).unwrap_or(0).saturating_sub(row.members.len());
        let more = (more > 0)
            .then(|| view! { <p class="dim">{format!("and {} younger ones", unit::count(more as u64))}</p> });
        Some(view! { <ul class="lines">{row.members.iter().map(line).collect_view()}</ul> {more} }.into_any())
    }
}

fn containers(store: Store, row: Memo<Option<Arc<Namespace>>>) -> impl IntoView {
    let choice = use_choice();
    move || {
        let row = row.get()?;
        if row.containers.is_empty() {
            let why = if row.host == Some(true) {
                "Those without one of their own are in it: see the matrix."
            } else {
                "None."
            };
            return Some(view! { <p class="dim">{why}</p> }.into_any());
        }
        let line = |id: &String| {
            let name = store.with(|s| container_name(s, id));
            let id = id.clone();
            view! {
                <li>
                    <button class="link" on:click=move |_| choice.select(Some(Selection::Container(id.clone())))>{name}</button>
                </li>
            }
        };
        Some(view! { <ul class="lines">{row.containers.iter().map(line).collect_view()}</ul> }.into_any())
    }
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || store.read(&[Topic::Namespace], |s| shell_lines(s, key)))
}

/// The tab of a container: kind by kind its own, the host's, or shared with whom.
pub(super) fn isolation(selection: Selection) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(&[Topic::Isolation, Topic::Source]);
    let subject = Subject { container: Some(container_key(&selection).id), group: None };
    let cells = Memo::new(move |_| {
        store.read(&[Topic::Isolation, Topic::Container], |s| {
            NamespaceKind::ALL.map(|kind| (kind, cell(s, &subject, kind)))
        })
    });
    let trouble = Memo::new(move |_| store.read(&[Topic::Source], |s| trouble_of(s, Topic::Isolation)));
    let row = move |(kind, cell): (NamespaceKind, Option<crate::store::namespace::CellWord>)| {
        let told = meaning(kind);
        let word = match cell {
            Some(cell) => {
                let key = cell.key;
                view! {
                    <button class="link" data-tone=cell.tone title=cell.title.clone() on:click=move |_| choice.select(Some(Selection::Namespace(key)))>
                        {cell.text}
                    </button>
                    <span class="dim">{cell.title}</span>
                }
                .into_any()
            }
            None => view! { <span data-tone="unknown" title="it does not run, or that is hidden">"–"</span> }
                .into_any(),
        };
        view! {
            <li>
                <p class="ns-kind"><code>{kind.name()}</code> {word}</p>
                <p class="dim">{told.isolates}</p>
            </li>
        }
    };
    view! {
        {part("Namespaces", view! {
            <ul class="lines isolation">{move || cells.get().into_iter().map(row).collect_view()}</ul>
        })}
        <p class="lacking" hidden=move || trouble.with(Option::is_none)>{move || trouble.get().unwrap_or_default()}</p>
    }
    .into_any()
}
