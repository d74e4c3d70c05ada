//! The inspector on a process.

use std::sync::Arc;

use glasshull_shared::domain::process::{Process, ProcessDetail, ProcessKey, ProcessStat, ProcessState};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use super::confinement::of_process;
use super::mount::mounts_of_process;
use super::process_detail::{file_facts, memory_facts, namespaces_table};
use super::process_files::files;
use super::process_maps::maps;
use super::{Inspect, Tab, in_the_shell, part};
use crate::store::lookup::{ancestors, container, container_name, state_of};
use crate::store::shell::for_process;
use crate::store::{Selection, Store, use_choice, use_store, word};
use crate::widget::facts::{Fact, Facts, live_fact, row};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "files", title: "Files", render: files },
        Tab { id: "memory", title: "Memory", render: memory },
        Tab { id: "namespaces", title: "Namespaces", render: namespaces },
        Tab { id: "confinement", title: "Confinement", render: confinement },
        Tab { id: "mounts", title: "Mounts", render: mounts },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Process, Topic::ProcessStat, Topic::Container],
};

const GONE: &str = "the process has ended";
const FIRST: &str = "first sample: a rate needs two";
const NO_IO: &str = "not permitted (CAP_SYS_PTRACE would show it), or the first sample";

type Rows = (Arc<Process>, Option<Arc<ProcessStat>>);

fn key(selection: &Selection) -> ProcessKey {
    selection.process().unwrap_or(ProcessKey { pid: 0, start_time: 0 })
}

fn rows(store: Store, key: ProcessKey) -> Option<Rows> {
    store.read(&[Topic::Process, Topic::ProcessStat], |s| {
        Some((s.process.get(&key)?.clone(), s.process_stat.get(&key).cloned()))
    })
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    super::heading(
        move || rows(store, key).map_or_else(|| format!("pid {}", key.pid), |(who, _)| who.comm.clone()),
        move || match rows(store, key) {
            None => format!("pid {} · ended", key.pid),
            Some((who, does)) => {
                let state = does.map_or_else(String::new, |d| format!(" · {}", d.state.meaning()));
                let owner = who.container.as_ref();
                let owner = owner.map(|id| store.with(|s| format!("container {}", container_name(s, id))));
                let owner =
                    owner.unwrap_or_else(|| if who.kernel_thread { "kernel".into() } else { "host".into() });
                format!("pid {}{state} · {owner}", key.pid)
            }
        },
    )
}

/// The answer to the question about this process, asked once when the tab is opened.
fn ask(store: Store, key: ProcessKey) -> Memo<Option<Result<Arc<ProcessDetail>, String>>> {
    let answer = store.ask(Question::Process(key));
    Memo::new(move |_| {
        answer.with(|a| {
            let detail =
                a.as_ref()?.opened(|a| if let Answer::Process(detail) = a { Some(detail) } else { None });
            detail.map(|detail| detail.map(Arc::new))
        })
    })
}

/// Draws what needs the answer, and until then that it is awaited.
fn answered(
    store: Store,
    key: ProcessKey,
    draw: impl Fn(&ProcessDetail) -> AnyView + Send + Sync + 'static,
) -> impl IntoView {
    let asked = RwSignal::new(0u32);
    // Asked again, a zombie and a recording say the same: they have no more.
    let mute = Memo::new(move |_| {
        store.origin().with(|o| *o != Origin::Live)
            || store.read(&[Topic::ProcessStat], |s| state_of(s, key) == ProcessState::Z)
    });
    let answer = Memo::new(move |_| {
        asked.track();
        untrack(|| ask(store, key))
    });
    let body = move || match answer.get().get() {
        None => view! { <p class="dim">"asking the agent…"</p> }.into_any(),
        Some(Err(why)) => {
            let class = if mute.get() { "dim" } else { "bad" };
            view! { <p class=class>{why}</p> }.into_any()
        }
        Some(Ok(detail)) => {
            let missing = detail.missing.iter().map(|m| view! { <li>{m.clone()}</li> }).collect_view();
            view! {
                {draw(&detail)}
                <ul class="lacking">{missing}</ul>
            }
            .into_any()
        }
    };
    view! {
        {body}
        <button type="button" class="again" hidden=mute on:click=move |_| asked.update(|n| *n += 1)>"read again"</button>
    }
}

fn overview(selection: Selection) -> AnyView {
    let (store, choice, key) = (use_store(), use_choice(), key(&selection));
    let who = move |name: &'static str, f: fn(&Process, ProcessKey) -> Fact| {
        live_fact(name, move || rows(store, key).map_or_else(|| Fact::unknown(GONE), |(who, _)| f(&who, key)))
    };
    let does = move |name: &'static str, f: fn(&ProcessStat) -> Fact| {
        live_fact(name, move || match rows(store, key) {
            Some((_, Some(does))) => f(&does),
            Some((_, None)) => Fact::unknown("not read yet"),
            None => Fact::unknown(GONE),
        })
    };
    let home = move || {
        let id = rows(store, key)?.0.container.clone()?;
        let name = store.read(&[Topic::Container], |s| container_name(s, &id));
        Some(view! { <a href=move || choice.selection_link(&Selection::Container(id.clone()))>{name}</a> })
    };
    let home = move || home().map_or_else(|| "host".into_any(), IntoAny::into_any);
    view! {
        <Facts>
            {who("pid", pids)}
            {does("state", state)}
            {row("container", home)}
            {row("parents", parents(store, key))}
            {who("user", user)}
            {does("cpu", |d| Fact::or(d.cpu_ratio.map(|r| unit::percent(f64::from(r))), FIRST)
                .title(format!("of one core; {} since start", unit::cpu_time(d.cpu_nanos))))}
            {does("cpu time", |d| Fact::new(unit::cpu_time(d.cpu_nanos)))}
            {does("memory", |d| Fact::new(format!("{} resident", unit::bytes(d.rss_bytes)))
                .title(format!("{} virtual", unit::bytes(d.virtual_bytes))))}
            {does("threads", |d| Fact::new(d.threads.to_string()))}
            {does("priority", |d| Fact::new(format!("PR {}  NI {}", d.priority, d.nice)))}
            {does("disk", disk)}
            {live_fact("started", move || started(store, key))}
            {who("tty", |w, _| Fact::or(w.tty.clone(), "no controlling terminal"))}
            {who("command", |w, _| match &w.cmdline {
                Some(line) if !line.is_empty() => Fact::new(line.chars().take(600).collect::<String>()),
                Some(_) => Fact::new(format!("[{}]", w.comm)),
                None => Fact::unknown("masked, or not readable"),
            })}
            {who("cgroup", |w, _| Fact::or(w.cgroup.clone(), "/proc/PID/cgroup could not be read"))}
        </Facts>
        {part("Binary and directories", answered(store, key, file_facts))}
    }
    .into_any()
}

fn pids(who: &Process, key: ProcessKey) -> Fact {
    match who.pid_in_ns.filter(|inside| *inside != key.pid || who.container.is_some()) {
        Some(inside) => {
            Fact::new(format!("{} → {inside} inside", key.pid)).title("on the host → in its pid namespace")
        }
        None => Fact::new(key.pid.to_string()),
    }
}

fn state(does: &ProcessStat) -> Fact {
    let mut text = format!("{} {}", word::letter(does.state), does.state.meaning());
    if let Some(channel) = &does.wait_channel {
        text.push_str(&format!(" in {channel}"));
    }
    let tone = word::process_tone(does.state);
    Fact::new(text).tone(if does.state == ProcessState::S { "" } else { tone })
}

fn user(who: &Process, _: ProcessKey) -> Fact {
    let real =
        who.uid.filter(|uid| Some(*uid) != who.euid).map(|uid| format!(", really {uid}")).unwrap_or_default();
    match (&who.user, who.euid.or(who.uid)) {
        (Some(user), Some(uid)) => Fact::new(format!("{user} (uid {uid}{real})")),
        (Some(user), None) => Fact::new(user),
        (None, Some(uid)) => Fact::new(format!("uid {uid}{real}")).title("no passwd names this uid"),
        (None, None) => Fact::unknown("/proc/PID/status could not be read"),
    }
}

fn disk(does: &ProcessStat) -> Fact {
    match (does.read_bytes_per_sec, does.write_bytes_per_sec) {
        (Some(read), Some(write)) => {
            let total = |bytes: Option<u64>| unit::or_unknown(bytes.map(unit::bytes));
            let rate = |r: f32| unit::bytes_per_sec(f64::from(r));
            Fact::new(format!("r {} · w {}", rate(read), rate(write))).title(format!(
                "{} read, {} written since start",
                total(does.read_bytes),
                total(does.write_bytes)
            ))
        }
        (_, _) => Fact::unknown(NO_IO),
    }
}

fn started(store: Store, key: ProcessKey) -> Fact {
    let now = store.tick().get().at;
    let Some((who, _)) = rows(store, key) else { return Fact::unknown(GONE) };
    super::since(who.started_at, now)
}

/// Links to the ancestors, nearest first.
fn parents(store: Store, key: ProcessKey) -> impl IntoView {
    let choice = use_choice();
    let chain = Memo::new(move |_| {
        store.read(&[Topic::Process], |s| {
            ancestors(s, key).into_iter().map(|(key, row)| (key, row.comm.clone())).collect::<Vec<_>>()
        })
    });
    let link = move |(key, comm): (ProcessKey, String)| {
        let target = Selection::Process(key);
        view! {
            <span class="parent">
                <a href=move || choice.selection_link(&target)>{comm}</a>" "<span class="dim">{key.pid}</span>
            </span>
        }
    };
    move || match chain.get() {
        chain if chain.is_empty() => "–".into_any(),
        chain => chain.into_iter().map(link).collect_view().into_any(),
    }
}

fn memory(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let of = move |name: &'static str, f: fn(&ProcessStat) -> Fact| {
        live_fact(name, move || match rows(store, key) {
            Some((_, Some(does))) => f(&does),
            Some((_, None)) | None => Fact::unknown(GONE),
        })
    };
    view! {
        <Facts>
            {of("resident", |d| Fact::new(unit::bytes(d.rss_bytes)).title("/proc/PID/stat field 24"))}
            {of("virtual", |d| Fact::new(unit::bytes(d.virtual_bytes)).title("/proc/PID/stat field 23"))}
        </Facts>
        {part("Exactly, read on demand", answered(store, key, memory_facts))}
        {maps(&selection)}
    }
    .into_any()
}

fn namespaces(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    answered(store, key, namespaces_table).into_any()
}

fn confinement(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    answered(store, key, of_process).into_any()
}

fn mounts(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    store.want_here(&[Topic::Mount, Topic::Source]);
    let container = rows(store, key).and_then(|(who, _)| who.container.clone());
    answered(store, key, move |detail| mounts_of_process(store, detail, container.as_deref())).into_any()
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || {
        let Some((who, does)) = rows(store, key) else { return Vec::new() };
        store.read(&[Topic::Container], |s| {
            let home = who.container.as_deref().and_then(|id| Some((id, container(s, id)?)));
            for_process(key, &who, does.as_deref(), home)
        })
    })
}
