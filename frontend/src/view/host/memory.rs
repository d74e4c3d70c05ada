//! Memory and swap as `free` prints them, and pressure as `/proc/pressure` tells it.

use glasshull_shared::domain::host::{HostStat, Memory, Psi};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::cpu::of_host;
use crate::store::Store;
use crate::widget::meter::{Measure, Meter, tone_of_fill};

const MEMORY: [&str; 6] = ["total", "used", "free", "shared", "buff/cache", "available"];

/// The line `Mem:` of `free`.
fn memory_cells(m: Memory) -> [u64; 6] {
    [m.total_bytes, m.used_bytes, m.free_bytes, m.shared_bytes, m.buff_cache_bytes, m.available_bytes]
}

/// The line `Swap:` of `free`; it has three figures only.
fn swap_cells(m: Memory) -> [u64; 3] {
    [m.swap_total_bytes, m.swap_used_bytes, m.swap_total_bytes.saturating_sub(m.swap_used_bytes)]
}

pub(super) fn memory(store: Store) -> impl IntoView {
    let now = Memo::new(move |_| of_host(store, |h| h.memory));
    let cell = move |value: fn(Memory) -> u64| {
        let text = move || now.get().map_or_else(|| unit::UNKNOWN.into(), |m| unit::bytes(value(m)));
        let exact = move || now.get().map(|m| format!("{} bytes", unit::count(value(m)))).unwrap_or_default();
        view! { <td class="number" title=exact>{text}</td> }
    };
    let share = |used: u64, total: u64| (total > 0).then(|| used as f32 / total as f32);
    let measure =
        |ratio: Option<f32>| ratio.map(|ratio| Measure { ratio, mark: None, tone: tone_of_fill(ratio) });
    let used = move || measure(now.get().and_then(|m| share(m.used_bytes, m.total_bytes)));
    let swapped = move || measure(now.get().and_then(|m| share(m.swap_used_bytes, m.swap_total_bytes)));
    view! {
        <table class="plain free">
            <thead>
                <tr>
                    <th></th>
                    {MEMORY.map(|name| view! { <th class="number">{name}</th> })}
                </tr>
            </thead>
            <tbody>
                <tr>
                    <th>"Mem:"</th>
                    {cell(|m| memory_cells(m)[0])}
                    {cell(|m| memory_cells(m)[1])}
                    {cell(|m| memory_cells(m)[2])}
                    {cell(|m| memory_cells(m)[3])}
                    {cell(|m| memory_cells(m)[4])}
                    {cell(|m| memory_cells(m)[5])}
                </tr>
                <tr>
                    <th>"Swap:"</th>
                    {cell(|m| swap_cells(m)[0])}
                    {cell(|m| swap_cells(m)[1])}
                    {cell(|m| swap_cells(m)[2])}
                    <td colspan="3"></td>
                </tr>
            </tbody>
        </table>
        <div class="memory-bars">
            <span>"memory"</span>
            <Meter measure=Signal::derive(used) label="memory used" />
            <span>"swap"</span>
            <Meter measure=Signal::derive(swapped) label="swap used" />
            <span hidden=move || swapped().is_some() || now.get().is_none()>"none configured"</span>
        </div>
    }
}

pub(super) fn pressure(store: Store) -> impl IntoView {
    let row = move |name: &'static str, has_full: bool, psi: fn(&HostStat) -> Option<Psi>| {
        let now = Memo::new(move |_| of_host(store, psi).flatten());
        let cell = move |full: bool, i: usize| {
            let ratio = move || {
                let psi = now.get()?;
                let line = if full { psi.full.filter(|_| has_full)? } else { psi.some };
                [line.avg10_ratio, line.avg60_ratio, line.avg300_ratio].get(i).copied()
            };
            let text =
                move || ratio().map_or_else(|| unit::UNKNOWN.into(), |r| unit::percent_figure(f64::from(r)));
            let tone = move || match ratio() {
                Some(r) if r >= 0.4 => "trouble",
                Some(r) if r >= 0.1 => "attention",
                Some(r) if r < 0.0005 => "quiet",
                Some(_) => "",
                None => "unknown",
            };
            let why = move || match (now.get(), ratio()) {
                (None, _) => "the kernel has pressure information off or lacks it (psi=1)",
                (Some(_), None) if !has_full => {
                    "of a whole host this is 0 by definition: some task has the cpu"
                }
                (Some(_), None) => "the kernel tells no full line for this",
                (Some(_), Some(_)) => "",
            };
            view! { <td class="number" data-tone=tone title=why>{text}</td> }
        };
        let total =
            move || now.get().map_or_else(|| unit::UNKNOWN.into(), |p| unit::duration(p.some.total_nanos));
        view! {
            <tr>
                <th>{name}</th>
                {(0..3).map(|i| cell(false, i)).collect_view()}
                {(0..3).map(|i| cell(true, i)).collect_view()}
                <td class="number" title="stalled since boot">{total}</td>
            </tr>
        }
    };
    view! {
        <table class="plain">
            <thead>
                <tr>
                    <th rowspan="2">"% stalled"</th>
                    <th colspan="3" class="span">"some"</th>
                    <th colspan="3" class="span">"full"</th>
                    <th rowspan="2" class="number">"total"</th>
                </tr>
                <tr>
                    {["10 s", "60 s", "300 s", "10 s", "60 s", "300 s"].map(|t| view! { <th class="number">{t}</th> })}
                </tr>
            </thead>
            <tbody>
                {row("cpu", false, |h| h.psi_cpu)}
                {row("memory", true, |h| h.psi_memory)}
                {row("io", true, |h| h.psi_io)}
            </tbody>
        </table>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_stand_as_free_prints_them() {
        let m = Memory {
            total_bytes: 100,
            free_bytes: 20,
            available_bytes: 60,
            used_bytes: 40,
            shared_bytes: 5,
            buff_cache_bytes: 45,
            swap_total_bytes: 10,
            swap_used_bytes: 4,
        };
        assert_eq!(memory_cells(m), [100, 40, 20, 5, 45, 60]);
        assert_eq!(swap_cells(m), [10, 4, 6]);
        assert_eq!(MEMORY.len(), memory_cells(m).len());
    }
}
