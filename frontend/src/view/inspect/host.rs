//! The inspector on the host: its own processes in short.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::host::HostStat;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::{Inspect, Tab, in_the_shell};
use crate::store::lookup::{processes_of, state_of};
use crate::store::scoreboard::{count_states, counts_text};
use crate::store::shell::for_host;
use crate::store::{Selection, use_choice, use_store};
use crate::widget::facts::{Fact, Facts, live_fact, row};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Host, Topic::HostStat, Topic::Process, Topic::ProcessStat],
};

fn heading(_: Selection) -> AnyView {
    let store = use_store();
    super::heading(
        move || store.host().map_or_else(|| "host".into(), |h| h.hostname.clone()),
        move || {
            store.host().map_or_else(String::new, |h| match &h.os {
                Some(os) => format!("{os} · {}", h.kernel),
                None => h.kernel.clone(),
            })
        },
    )
}

fn overview(_: Selection) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let of = move |name: &'static str, f: fn(&HostStat) -> Fact| {
        live_fact(name, move || {
            let stat = store.read(&[Topic::HostStat], |s| s.host_stat.get(&Single).map(|h| f(h)));
            stat.unwrap_or_else(|| Fact::unknown("not told yet"))
        })
    };
    let processes = live_fact("processes", move || {
        store.read(&[Topic::Process, Topic::ProcessStat], |s| {
            let keys = processes_of(s, None);
            let counts = count_states(keys.iter().map(|k| state_of(s, *k)));
            Fact::new(format!("{}: {}", unit::count(keys.len() as u64), counts_text(&counts)))
                .title("in no container, without kernel threads")
        })
    });
    view! {
        <Facts>
            {of("cpu", |h| Fact::or(h.cpu_ratio.map(|r| unit::percent(f64::from(r.busy()))), "first sample"))}
            {of("iowait", |h| Fact::or(h.cpu_ratio.map(|r| unit::percent(f64::from(r.iowait))), "first sample"))}
            {of("memory", |h| Fact::new(unit::bytes_of(h.memory.used_bytes, h.memory.total_bytes)))}
            {of("swap", |h| match h.memory.swap_total_bytes {
                0 => Fact::new("none"),
                total => Fact::new(unit::bytes_of(h.memory.swap_used_bytes, total)),
            })}
            {of("load", |h| Fact::new(h.load.map(|l| format!("{l:.2}")).join("  ")))}
            {of("uptime", |h| Fact::new(unit::duration(h.uptime_secs.saturating_mul(1_000_000_000))))}
            {processes}
            {row("more", view! { <a href=move || choice.view_link("host")>"the Host view"</a> })}
        </Facts>
    }
    .into_any()
}

fn shell(_: Selection) -> AnyView {
    in_the_shell(for_host)
}
