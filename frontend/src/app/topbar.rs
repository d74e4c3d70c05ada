//! The top bar: which host, how live, search, the host's vitals and what we cost it. All of it leads somewhere.

use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::host::HostStat;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Overlay, missing, palette};
use crate::store::finding::counts;
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
            <nav class="vitals" aria-label="Host vitals">{vitals(store)} {findings(store)}</nav>
            {cost(store)}
            {missing::mark()}
        </header>
    }
}

/// How live the picture is.
fn live() -> impl IntoView {
    let store = use_store();
    let overlay = expect_context::<Overlay>();
    let is_past = Memo::new(move |_| store.rewound().with(Option::is_some));
    let text = move || {
        store.conn.with(|conn| match conn {
            Connection::Live { .. } if is_past.get() => "the past".to_owned(),
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
            Connection::Live { .. } if is_past.get() || replays(store) => "live is-replay",
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
    let psi = Memo::new(move |_| stat.with(|s| worst_pressure(s.as_deref()?)));
    let psi_ratio = Memo::new(move |_| psi.get().map(|(_, ratio)| ratio));
    let psi_name = Signal::derive(move || psi.get().map_or("psi", |(name, _)| name));
    let memory = of(|s| Some(s.memory.used_bytes as f64 / s.memory.total_bytes.max(1) as f64));
    let memory_text = move || {
        stat.with(|s| s.as_deref().map(|s| unit::bytes_of(s.memory.used_bytes, s.memory.total_bytes)))
    };
    let load = of(|s| Some(f64::from(s.load[0])));
    let cpus = Memo::new(move |_| store.host().map_or(0, |h| h.cpus));
    let load_text = move || {
        let of = if cpus.get() > 0 { format!(" / {} cpu", cpus.get()) } else { String::new() };
        load.get().map(|load| format!("{load:.2}{of}"))
    };
    let busy = move || cpus.get() > 0 && load.get().is_some_and(|load| load > f64::from(cpus.get()));
    let containers = move || store.read(&[Topic::Container], |s| up(s).to_string());
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
            psi_name,
            "?view=host",
            "Share of the last 10 s in which some task waited for a cpu, for memory or for I/O: the worst of the three",
            percent(psi_ratio),
            over(psi_ratio, ATTENTION_RATIO),
        ),
        vital(
            "load",
            "load",
            "?view=host",
            "Load average of the last minute: tasks that run or wait; more than one for each cpu asks for attention",
            load_text,
            Signal::derive(busy),
        ),
        vital(
            "containers",
            "containers",
            "?view=containers",
            "Containers that are up, paused ones too",
            move || store.is_fresh(Topic::Container).then(containers),
            calm,
        ),
    ]
}

fn vital<F>(
    class: &str,
    name: impl Into<Signal<&'static str>>,
    href: &'static str,
    meaning: &'static str,
    text: F,
    warn: Signal<bool>,
) -> AnyView
where
    F: Fn() -> Option<String> + Send + 'static,
{
    let class = format!("vital v-{class}");
    let name = name.into();
    view! {
        <a class=class class:warn=warn href=href title=meaning>
            <span class="name">{name}</span>
            <b>{move || unit::or_unknown(text())}</b>
        </a>
    }
    .into_any()
}

/// How many findings there are that somebody should look at. Wanted for as long as the page is in sight; the agent judges every
/// few seconds.
fn findings(store: Store) -> impl IntoView {
    store.want_here(&[Topic::Finding]);
    let count = Memo::new(move |_| {
        let known = store.is_fresh(Topic::Finding);
        store.read(&[Topic::Finding], |s| known.then(|| counts(s.finding.values().map(|row| &**row))))
    });
    let figure = |n: Option<usize>| unit::or_unknown(n.map(|n| n.to_string()));
    let trouble = move || count.get().map(|[trouble, ..]| trouble);
    let attention = move || count.get().map(|[_, attention, _]| attention);
    let title = move || match count.get() {
        Some([trouble, attention, info]) => {
            format!(
                "Findings: {trouble} of trouble, {attention} that ask for attention, {info} good to know (g f)"
            )
        }
        None => "Findings: not judged yet".into(),
    };
    view! {
        <a class="vital v-findings" href="?view=findings" title=title>
            <span class="name">"findings"</span>
            <b class="trouble" class:some=move || trouble().is_some_and(|n| n > 0)>
                <i aria-hidden="true">"▲"</i>
                {move || figure(trouble())}
            </b>
            <b class="attention" class:some=move || attention().is_some_and(|n| n > 0)>
                <i aria-hidden="true">"●"</i>
                {move || figure(attention())}
            </b>
        </a>
    }
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
    let received = move || {
        // Until a rate is measured: something came already, so it is known to be little.
        let first = (store.received_bytes.get() > 0).then_some(0.0);
        unit::or_unknown(store.received_bytes_per_sec.get().or(first).map(unit::bytes_per_sec))
    };
    view! {
        <a class="cost" href=href title="What Glasshull itself costs: CPU and memory on the host, bytes to this browser">
            <span class="name">"own"</span>
            <b class="cpu">{part(|a| Some(unit::percent(f64::from(a.cpu_ratio?))))}</b>
            <b class="rss">{part(|a| Some(unit::bytes(a.rss_bytes)))}</b>
            <b class="rate">{received}</b>
        </a>
    }
}

fn up(snapshot: &glasshull_shared::snapshot::Snapshot) -> usize {
    snapshot.container.values().filter(|c| c.state.is_up()).count()
}

fn whole_percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// The resource that tasks wait for most, and how much; `None` where the kernel tells no pressure.
fn worst_pressure(stat: &HostStat) -> Option<(&'static str, f64)> {
    [("psi cpu", stat.psi_cpu), ("psi mem", stat.psi_memory), ("psi io", stat.psi_io)]
        .into_iter()
        .filter_map(|(name, psi)| Some((name, f64::from(psi?.some.avg10_ratio))))
        // The first of equals.
        .reduce(|worst, next| if next.1 > worst.1 { next } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::host::{Psi, PsiLine};

    #[test]
    fn the_worst_pressure_is_named() {
        let psi =
            |avg10_ratio| Some(Psi { some: PsiLine { avg10_ratio, ..PsiLine::default() }, ..Psi::default() });
        let mut stat = HostStat { psi_cpu: psi(0.5), psi_io: psi(0.25), ..HostStat::default() };
        assert_eq!(worst_pressure(&stat), Some(("psi cpu", 0.5)));
        stat.psi_memory = psi(0.75);
        assert_eq!(worst_pressure(&stat), Some(("psi mem", 0.75)));
        assert_eq!(worst_pressure(&HostStat::default()), None);
    }
}
