//! The top bar: which host, how live, search, the host's vitals and what we cost it. All of it leads somewhere.

use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::host::HostStat;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Overlay, missing, palette};
use crate::store::{Connection, Store, use_choice, use_store};

/// Share of CPU time, iowait or pressure from which a vital asks for attention.
const ATTENTION_RATIO: f64 = 0.1;
/// Share of memory used from which it asks for attention.
const MEMORY_ATTENTION_RATIO: f64 = 0.9;

pub(super) fn topbar() -> impl IntoView {
    let store = use_store();
    let choice = use_choice();
    let host = move || store.host().map_or_else(|| unit::UNKNOWN.into(), |h| h.hostname.clone());
    view! {
        <header class="top">
            <a class="brand" href=move || choice.view_link(super::VIEWS.first().map_or("", |v| v.id))>"Glasshull"</a>
            <a class="vital host" href="?view=host" title="The host">
                <span class="name">"host"</span>
                <b>{host}</b>
            </a>
            {live()}
            {palette::palette()}
            <nav class="vitals" aria-label="Host vitals">{vitals(store)}</nav>
            {cost(store)}
            {missing::mark()}
        </header>
    }
}

/// How live the picture is.
fn live() -> impl IntoView {
    let store = use_store();
    let overlay = expect_context::<Overlay>();
    let text = move || {
        store.conn.with(|conn| match conn {
            Connection::Connecting => "connecting".to_owned(),
            Connection::Live { interval_nanos } => {
                let word = if replays(store) { "replay" } else { "live" };
                interval_nanos.map_or_else(|| word.into(), |n| format!("{word} {:.1} s", n as f64 / 1e9))
            }
            Connection::Stale { secs } => format!("stale {}", age(*secs)),
            Connection::Lost { secs, .. } => format!("lost {}", age(*secs)),
            Connection::Outdated { .. } => "outdated".into(),
        })
    };
    let state = move || {
        store.conn.with(|conn| match conn {
            Connection::Connecting => "live is-pending",
            Connection::Live { .. } if replays(store) => "live is-replay",
            Connection::Live { .. } => "live is-live",
            Connection::Stale { .. } => "live is-stale",
            Connection::Lost { .. } | Connection::Outdated { .. } => "live is-lost",
        })
    };
    view! {
        <button
            type="button"
            class=state
            title="Connection and sources"
            on:click=move |_| overlay.missing.set(true)
        >
            <i class="dot" aria-hidden="true"></i>
            {text}
        </button>
    }
}

fn replays(store: Store) -> bool {
    store.origin().with(|o| *o != glasshull_shared::wire::Origin::Live)
}

/// A span of seconds as short text.
pub(super) fn age(secs: u32) -> String {
    unit::duration(u64::from(secs) * 1_000_000_000)
}

/// The host's figures in the order in which one asks: what is it busy with, what does it wait for.
fn vitals(store: Store) -> impl IntoView {
    let stat = Memo::new(move |_| store.read(&[Topic::HostStat], |s| s.host_stat.get(&Single).cloned()));
    let of =
        move |f: fn(&HostStat) -> Option<f64>| Memo::new(move |_| stat.with(|s| s.as_deref().and_then(f)));
    let cpu = of(|s| Some(f64::from(s.cpu_ratio?.busy())));
    let iowait = of(|s| Some(f64::from(s.cpu_ratio?.iowait)));
    let psi = of(|s| Some(f64::from(s.psi_io?.some.avg10_ratio)));
    let memory = of(|s| Some(s.memory.used_bytes as f64 / s.memory.total_bytes.max(1) as f64));
    let memory_text =
        move || stat.with(|s| s.as_deref().map(|s| of_total(s.memory.used_bytes, s.memory.total_bytes)));
    let load = move || stat.with(|s| s.as_deref().map(|s| format!("{:.2}", s.load[0])));
    let containers = move || store.read(&[Topic::Container], |s| running(s).to_string());
    let percent = |m: Memo<Option<f64>>| move || m.get().map(whole_percent);
    let over = |m: Memo<Option<f64>>, limit: f64| Signal::derive(move || m.get().is_some_and(|v| v >= limit));
    let calm = Signal::stored(false);
    [
        vital(
            "cpu",
            "cpu",
            "?view=processes&sort=cpu_ratio:desc",
            "Share of all CPUs doing anything",
            percent(cpu),
            calm,
        ),
        vital(
            "iowait",
            "iowait",
            "?view=processes&f=state:D",
            "Share of CPU time idle while a task waited for a block device",
            percent(iowait),
            over(iowait, ATTENTION_RATIO),
        ),
        vital(
            "mem",
            "mem",
            "?view=processes&sort=rss_bytes:desc",
            "Memory used (total − available) of all",
            memory_text,
            over(memory, MEMORY_ATTENTION_RATIO),
        ),
        vital(
            "psi",
            "psi io",
            "?view=host",
            "Share of the last 10 s in which a task was stalled on I/O",
            percent(psi),
            over(psi, ATTENTION_RATIO),
        ),
        vital("load", "load", "?view=host", "Load average of the last minute", load, calm),
        vital(
            "containers",
            "containers",
            "?view=containers",
            "Running containers",
            move || store.is_fresh(Topic::Container).then(containers),
            calm,
        ),
    ]
}

fn vital<F>(
    class: &str,
    name: &'static str,
    href: &'static str,
    meaning: &'static str,
    text: F,
    warn: Signal<bool>,
) -> AnyView
where
    F: Fn() -> Option<String> + Send + 'static,
{
    let class = format!("vital v-{class}");
    view! {
        <a class=class class:warn=warn href=href title=meaning>
            <span class="name">{name}</span>
            <b>{move || unit::or_unknown(text())}</b>
        </a>
    }
    .into_any()
}

/// What we cost: the agent's CPU and memory, and what this page receives.
fn cost(store: Store) -> impl IntoView {
    let agent = Memo::new(move |_| store.read(&[Topic::Agent], |s| s.agent.get(&Single).cloned()));
    let part = move |f: fn(&AgentStat) -> Option<String>| {
        move || unit::or_unknown(agent.with(|a| a.as_deref().and_then(f)))
    };
    let href = move || match store.host().and_then(|h| h.agent_pid) {
        Some(pid) => format!("?view=processes&f=pid:{pid}"),
        None => "?view=host".into(),
    };
    let received = move || unit::or_unknown(store.received_bytes_per_sec.get().map(unit::bytes_per_sec));
    view! {
        <a class="cost" href=href title="What Glasshull itself costs: CPU and memory on the host, bytes to this browser">
            <span class="name">"own"</span>
            <b class="cpu">{part(|a| Some(unit::percent(f64::from(a.cpu_ratio?))))}</b>
            <b class="rss">{part(|a| Some(unit::bytes(a.rss_bytes)))}</b>
            <b class="rate">{received}</b>
        </a>
    }
}

fn running(snapshot: &glasshull_shared::snapshot::Snapshot) -> usize {
    use glasshull_shared::domain::container::ContainerState;
    snapshot.container.values().filter(|c| c.state == ContainerState::Running).count()
}

fn whole_percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// `9.1 / 24.0 GiB`: the unit once when it is the same.
fn of_total(used: u64, total: u64) -> String {
    let (used, total) = (unit::bytes(used), unit::bytes(total));
    match (used.split_once(' '), total.split_once(' ')) {
        (Some((number, a)), Some((_, b))) if a == b => format!("{number} / {total}"),
        _ => format!("{used} / {total}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_written_once_when_it_is_the_same() {
        assert_eq!(of_total(9 << 30, 24 << 30), "9.0 / 24.0 GiB");
        assert_eq!(of_total(512 << 20, 24 << 30), "512 MiB / 24.0 GiB");
    }
}
