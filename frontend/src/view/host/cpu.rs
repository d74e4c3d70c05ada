//! Processor time by mode: all cores together, each core, and the last 15 minutes.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::host::{CpuKey, CpuRatios, HostStat};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::Store;
use crate::store::history::{HOST_SAMPLES, HostSample};
use crate::widget::meter::Stack;
use crate::widget::sparkline::{Sparkline, path};

/// Points of a line: more than that cannot be told apart.
const POINTS: usize = 300;

/// Class, share and name of each mode, in the order `top` prints them.
fn parts(ratios: CpuRatios) -> Vec<(&'static str, f32, &'static str)> {
    vec![
        ("user", ratios.user, "user"),
        ("nice", ratios.nice, "nice"),
        ("system", ratios.system, "system"),
        ("iowait", ratios.iowait, "iowait"),
        ("irq", ratios.irq, "irq"),
        ("softirq", ratios.softirq, "softirq"),
        ("steal", ratios.steal, "steal"),
        ("guest", ratios.guest, "guest"),
    ]
}

pub(super) fn panel(store: Store) -> impl IntoView {
    let all = Memo::new(move |_| {
        store
            .read(&[Topic::HostStat], |s| s.host_stat.get(&Single).and_then(|h| h.cpu_ratio))
            .unwrap_or_default()
    });
    let known = Memo::new(move |_| {
        store.read(&[Topic::HostStat], |s| s.host_stat.get(&Single).is_some_and(|h| h.cpu_ratio.is_some()))
    });
    let mode = move |i: usize| {
        let share = move || parts(all.get()).get(i).map_or((0.0, ""), |p| (p.1, p.2));
        let class = parts(CpuRatios::default()).get(i).map_or("", |p| p.0);
        let text =
            move || if known.get() { unit::percent(f64::from(share().0)) } else { unit::UNKNOWN.into() };
        view! {
            <li>
                <span class=format!("key {class}") aria-hidden="true"></span>
                <span>{move || share().1}</span>
                <b>{text}</b>
            </li>
        }
    };
    view! {
        <div class="cpu-all">
            <span class="cpu-busy">
                <b>{move || if known.get() { unit::percent(f64::from(all.get().busy())) } else { unit::UNKNOWN.into() }}</b>
                " busy"
            </span>
            <Stack parts=Signal::derive(move || parts(all.get())) label="cpu time of all cores by mode" />
        </div>
        <ul class="modes">{(0..8).map(mode).collect_view()}</ul>
        {history(store)}
        {cores(store)}
    }
}

fn cores(store: Store) -> impl IntoView {
    let keys = move || store.read(&[Topic::Cpu], |s| s.cpu.keys().copied().collect::<Vec<_>>());
    let core = move |key: CpuKey| {
        let ratio = Memo::new(move |_| store.read(&[Topic::Cpu], |s| s.cpu.get(&key).and_then(|c| c.ratio)));
        let text =
            move || ratio.get().map_or_else(|| unit::UNKNOWN.into(), |r| unit::percent(f64::from(r.busy())));
        view! {
            <li>
                <span class="core-name">{format!("cpu{}", key.cpu)}</span>
                <Stack parts=Signal::derive(move || parts(ratio.get().unwrap_or_default())) label="cpu time by mode" />
                <b>{text}</b>
            </li>
        }
    };
    view! {
        <ul class="cores">
            <For each=keys key=|k| *k let:key>{core(key)}</For>
        </ul>
    }
}

/// Lines of the last 15 minutes.
fn history(store: Store) -> impl IntoView {
    let line = move |name: &'static str, class: &'static str, value: fn(&HostSample) -> Option<f32>| {
        let d = move || {
            store.track(Topic::HostStat);
            store.history(|h| {
                // Mean of some samples for each point.
                let step = HOST_SAMPLES / POINTS;
                let samples: Vec<Option<f32>> = h.host().iter().map(value).collect();
                let points = samples.rchunks(step).rev().map(|chunk| {
                    let known: Vec<f32> = chunk.iter().copied().flatten().collect();
                    (!known.is_empty()).then(|| known.iter().sum::<f32>() / known.len() as f32)
                });
                path(points.collect::<Vec<_>>().into_iter(), POINTS, 1.0)
            })
        };
        view! {
            <li class=format!("chart-line {class}")>
                <span class="chart-name">{name}</span>
                <Sparkline d=Signal::derive(d) label=Signal::stored(format!("{name}, last 15 minutes, 0 to 100 %")) />
            </li>
        }
    };
    let memory = |s: &HostSample| {
        (s.memory_total_bytes > 0).then(|| s.memory_used_bytes as f32 / s.memory_total_bytes as f32)
    };
    view! {
        <ul class="charts" aria-label="The last 15 minutes">
            {line("cpu busy", "busy", |s| s.busy_ratio)}
            {line("iowait", "iowait", |s| s.iowait_ratio)}
            {line("memory", "memory", memory)}
            {line("psi io", "psi", |s| s.psi_io_ratio)}
        </ul>
        <p class="charts-foot">"last 15 minutes, 0 to 100 %"</p>
    }
}

/// Reads one value of the host's row; `None` before the first tick.
pub(super) fn of_host<T>(store: Store, f: impl FnOnce(&HostStat) -> T) -> Option<T> {
    store.read(&[Topic::HostStat], |s| s.host_stat.get(&Single).map(|h| f(h)))
}
