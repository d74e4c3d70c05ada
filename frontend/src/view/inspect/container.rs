//! The inspector on a container.

use std::sync::Arc;

use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat};
use glasshull_shared::domain::host::{CgroupMode, Psi};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::confinement::confinement;
use super::container_files::files;
use super::container_limits::limits;
use super::container_names::names;
use super::container_open::open_files;
use super::container_ports::ports;
use super::container_sockets::sockets;
use super::container_tasks::{init, processes, scoreboard};
use super::flows::of_the_container;
use super::mount::mounts;
use super::namespace::isolation;
use super::network::look_into;
use super::{Inspect, Tab, in_the_shell, part};
use crate::store::archive::{self, Place};
use crate::store::lookup::container_name;
use crate::store::shell::for_container;
use crate::store::{Selection, Store, use_choice, use_store, word};
use crate::widget::facts::{Fact, Facts, fact, live_fact, row};
use crate::widget::meter::tone_of_fill;

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "processes", title: "Processes", render: processes },
        Tab { id: "limits", title: "Limits", render: limits },
        Tab { id: "sockets", title: "Sockets", render: sockets },
        Tab { id: "flows", title: "Flows", render: of_the_container },
        Tab { id: "names", title: "Names", render: names },
        Tab { id: "ports", title: "Ports", render: ports },
        Tab { id: "confinement", title: "Confinement", render: confinement },
        Tab { id: archive::TAB, title: "Files", render: files },
        Tab { id: "open", title: "Open files", render: open_files },
        Tab { id: "mounts", title: "Mounts", render: mounts },
        Tab { id: "isolation", title: "Isolation", render: isolation },
        Tab { id: "labels", title: "Labels", render: labels },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Container, Topic::ContainerStat, Topic::Process, Topic::ProcessStat, Topic::Netns],
};

const GONE: &str = "the container is gone";
const NO_FILE: &str = "its control group does not tell, or it does not run";
const FIRST: &str = "first sample: a rate needs two";
const NOT_TOLD: &str = "no engine told";

pub(super) fn key(selection: &Selection) -> ContainerKey {
    selection.container().unwrap_or(ContainerKey { id: String::new() })
}

pub(super) fn who(store: Store, key: &ContainerKey) -> Option<Arc<Container>> {
    store.read(&[Topic::Container], |s| s.container.get(key).cloned())
}

pub(super) fn uses(store: Store, key: &ContainerKey) -> Option<Arc<ContainerStat>> {
    store.read(&[Topic::ContainerStat], |s| s.container_stat.get(key).cloned())
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let id = key.id.clone();
    let name = move || store.read(&[Topic::Container], |s| container_name(s, &id));
    super::heading(name, move || {
        let now = store.tick().get().at;
        let Some(row) = who(store, &key) else { return format!("{} · gone", unit::short_id(&key.id)) };
        let up = row.started_at.filter(|_| row.finished_at.is_none_or(|f| f < row.started_at.unwrap_or(0)));
        let up = up.map(|at| format!("up {}", unit::duration(now.saturating_sub(at))));
        let state = word::container_state(&row);
        let state = if state.tone == "fine" { up } else { Some(state.line()) };
        let parts = [row.image.clone(), state, Some(unit::short_id(&key.id).to_owned())];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    })
}

fn overview(selection: Selection) -> AnyView {
    let (store, choice, key) = (use_store(), use_choice(), key(&selection));
    let facts = [state_facts(store, key.clone()), usage_facts(store, key.clone())];
    let init = row("init pid", init(store, choice, key.clone()));
    let rest = [identity_facts(store, key.clone()), fact("id", Fact::new(key.id.clone()))];
    view! {
        <Facts>{facts} {init} {rest}</Facts>
        {wires(store, key.id.clone())}
        {part("Scoreboard", scoreboard(store, choice, key.id))}
    }
    .into_any()
}

/// The way to the packets of its namespace; none while it has none of its own that is known.
fn wires(store: Store, id: String) -> AnyView {
    let netns = Memo::new(move |_| {
        store.read(&[Topic::Netns], |s| {
            let own = s.netns.iter().find(|(_, row)| !row.host && row.containers.contains(&id));
            own.map(|(key, _)| key.netns)
        })
    });
    view! { {move || netns.get().map(|netns| look_into(netns.to_string()))} }.into_any()
}

/// Makes facts of the row that says who it is.
fn of_row(store: Store, key: ContainerKey) -> impl Fn(&'static str, fn(&Container) -> Fact) -> AnyView {
    move |name, f| {
        let key = key.clone();
        live_fact(name, move || who(store, &key).map_or_else(|| Fact::unknown(GONE), |r| f(&r)))
    }
}

fn state_facts(store: Store, key: ContainerKey) -> AnyView {
    let is = of_row(store, key);
    [
        is("state", |r| {
            let word = word::container_state(r);
            Fact::new(word.line())
                .tone(word.tone)
                .title(r.exit_code.and_then(word::exit_meaning).unwrap_or(""))
        }),
        is("health", |r| match word::health(r.health) {
            Some(w) => Fact::new(w.line()).tone(w.tone),
            None => Fact::new("no check"),
        }),
    ]
    .into_any()
}

fn usage_facts(store: Store, key: ContainerKey) -> AnyView {
    let has = move |name: &'static str, f: fn(&ContainerStat) -> Fact| {
        let key = key.clone();
        live_fact(name, move || uses(store, &key).map_or_else(|| Fact::unknown(NO_FILE), |r| f(&r)))
    };
    [
        has("cpu", cpu),
        has("throttled", throttled),
        has("memory", memory),
        has("oom kills", |s| {
            let tone = if s.oom_kills.is_some_and(|n| n > 0) { "trouble" } else { "" };
            s.oom_kills.map_or_else(|| Fact::unknown(NO_FILE), |n| Fact::new(unit::count(n)).tone(tone))
        }),
        has("tasks", |s| {
            let limit = s
                .pids_limit
                .map_or_else(|| ", no limit".into(), |l| format!(" of {}", unit::count(l.into())));
            Fact::or(s.pids.map(|n| format!("{n}{limit}")), NO_FILE)
        }),
        has("disk", disk),
        has("pressure", pressure),
    ]
    .into_any()
}

fn identity_facts(store: Store, key: ContainerKey) -> AnyView {
    let is = of_row(store, key.clone());
    let image = row("image", image(store, key.clone()));
    let started = live_fact("started", move || {
        let at = who(store, &key).and_then(|r| r.started_at);
        at.map_or_else(
            || Fact::unknown("never, or no engine told"),
            |at| super::since(at, store.tick().get().at),
        )
    });
    [
        is("cgroup", |r| Fact::or(r.cgroup.clone(), "it does not run, or is hidden")),
        is("networks", |r| Fact::or(networks(r), NOT_TOLD)),
        is("ports", |r| match r.ports.as_slice() {
            [] => Fact::new("none"),
            ports => Fact::new(ports.iter().map(word::port).collect::<Vec<_>>().join("  ")),
        }),
        image,
        is("command", |r| Fact::or(r.command.clone(), "masked, or no engine told")),
        started,
        is("restarts", |r| Fact::or(r.restart_count.map(|n| n.to_string()), NOT_TOLD)),
        is("runtime", |r| Fact::new(r.runtime.name()).title(known_from(r))),
        is("project", |r| match (&r.compose_project, &r.compose_service) {
            (Some(project), Some(service)) => Fact::new(unit::printable(&format!("{project} / {service}"))),
            (Some(project), None) => Fact::new(unit::printable(project)),
            (None, _) => Fact::new("none"),
        }),
    ]
    .into_any()
}

/// The image, with the way to its files where an engine can be asked for them.
fn image(store: Store, key: ContainerKey) -> AnyView {
    let choice = use_choice();
    let row =
        Memo::new(move |_| who(store, &key).map(|r| (r.image.clone(), archive::Subject::new(&key.id, &r))));
    (move || {
        let (image, subject) = row.get().unwrap_or_default();
        let Some(image) = image else {
            return view! { <span data-tone="unknown" title=NOT_TOLD>{unit::UNKNOWN}</span> }.into_any();
        };
        let at_root = Place { image: true, path: "/".into() };
        let link = subject.filter(|subject| subject.image.is_some()).map(|_| {
            let href = move || choice.path_link(archive::TAB, at_root.to_text());
            view! { " "<a class="to-files" href=href>"files of the image"</a> }
        });
        view! { {unit::printable(&image)} {link} }.into_any()
    })
    .into_any()
}

fn cpu(uses: &ContainerStat) -> Fact {
    let Some(ratio) = uses.cpu_ratio else {
        return Fact::unknown(if uses.cpu_nanos.is_some() { FIRST } else { NO_FILE });
    };
    let share = unit::percent(f64::from(ratio));
    match uses.cpu_limit_cores {
        Some(cores) => Fact::new(format!("{share} of {} allowed", unit::percent(f64::from(cores))))
            .title(format!("share of one core; the limit is {cores:.2} cores"))
            .tone(uses.cpu_fill().map_or("", tone_of_fill)),
        None => Fact::new(format!("{share}, no limit")).title("share of one core"),
    }
}

fn throttled(uses: &ContainerStat) -> Fact {
    if uses.cpu_limit_cores.is_none() {
        return Fact::new("– (no cpu limit)");
    }
    let Some(periods) = uses.cpu_throttled_periods else { return Fact::unknown(NO_FILE) };
    let now = uses.cpu_throttled_ratio.unwrap_or(0.0);
    let held = uses.cpu_throttled_nanos.map(unit::duration).unwrap_or_default();
    Fact::new(format!("{} of its periods now", unit::percent(f64::from(now))))
        .title(format!("{} periods and {held} since it was started", unit::count(periods)))
        .tone(if now > 0.0 { "trouble" } else { "" })
}

fn memory(uses: &ContainerStat) -> Fact {
    let Some(bytes) = uses.memory_bytes else { return Fact::unknown(NO_FILE) };
    let cached =
        uses.memory_usage_bytes.map(|u| format!("{} with page cache", unit::bytes(u))).unwrap_or_default();
    match uses.memory_limit_bytes {
        Some(limit) => Fact::new(unit::bytes_of(bytes, limit))
            .title(format!("working set of limit; {cached}"))
            .tone(uses.memory_fill().map_or("", tone_of_fill)),
        None => {
            Fact::new(format!("{}, no limit", unit::bytes(bytes))).title(format!("working set; {cached}"))
        }
    }
}

fn disk(uses: &ContainerStat) -> Fact {
    let (Some(read), Some(write)) = (uses.read_bytes_per_sec, uses.write_bytes_per_sec) else {
        return Fact::unknown(NO_FILE);
    };
    let total = |bytes: Option<u64>| unit::or_unknown(bytes.map(unit::bytes));
    let rate = |r: f32| unit::bytes_per_sec(f64::from(r));
    Fact::new(format!("r {} · w {}", rate(read), rate(write))).title(format!(
        "{} read, {} written since it was started",
        total(uses.read_bytes),
        total(uses.write_bytes)
    ))
}

fn pressure(uses: &ContainerStat) -> Fact {
    let figure = |psi: Option<Psi>| {
        psi.map_or_else(|| unit::UNKNOWN.into(), |p| unit::percent_figure(f64::from(p.some.avg10_ratio)))
    };
    if uses.psi_cpu.is_none() && uses.psi_memory.is_none() && uses.psi_io.is_none() {
        return Fact::unknown("pressure is told by control groups v2 only");
    }
    let (cpu, memory, io) = (figure(uses.psi_cpu), figure(uses.psi_memory), figure(uses.psi_io));
    Fact::new(format!("cpu {cpu} · mem {memory} · io {io} % of 10 s"))
        .title("share of the last 10 s in which some task waited")
}

fn networks(row: &Container) -> Option<String> {
    let of = |(name, address): &(String, String)| {
        if address.is_empty() { name.clone() } else { format!("{name} {address}") }
    };
    let list = row.networks.iter().map(of).collect::<Vec<_>>().join("  ");
    if list.is_empty() { row.network_mode.clone() } else { Some(list) }
}

fn known_from(row: &Container) -> String {
    use glasshull_shared::domain::container::KnownFrom;
    let name = |k: &KnownFrom| match k {
        KnownFrom::Engine => "its engine",
        KnownFrom::Cgroup => "a process's control group",
        KnownFrom::Shim => "its shim's command line",
        KnownFrom::State => "the runtime's state on disk",
    };
    format!("known from {}", row.known_from.iter().map(name).collect::<Vec<_>>().join(", "))
}

fn labels(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let rows = Memo::new(move |_| who(store, &key).map(|r| r.labels.clone()).unwrap_or_default());
    let entry = |(name, value): (String, String)| {
        let value = unit::printable(&value);
        let cut: String = value.chars().take(600).collect();
        view! { <li><code>{unit::printable(&name)}</code><span title=cut>{value}</span></li> }
    };
    view! {
        <ul class="labels">{move || rows.get().into_iter().map(entry).collect_view()}</ul>
        <p class="dim" hidden=move || rows.with(|r| !r.is_empty())>"It has no labels."</p>
    }
    .into_any()
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || {
        let mode = store.host().map_or(CgroupMode::Unknown, |h| h.cgroup_mode);
        who(store, &key).map(|row| for_container(&key.id, &row, mode)).unwrap_or_default()
    })
}
