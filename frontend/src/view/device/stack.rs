//! The stack of block devices above the table of who is at them: one line each, with the load of the last interval and how it
//! went since the view was opened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use glasshull_shared::domain::device::{Device, DeviceKey, DeviceStat};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::device::{StackLine, holds, stack, title};
use crate::store::network::trouble_of;
use crate::store::{Selection, Store, use_choice, use_store};
use crate::widget::meter::{Measure, Meter};
use crate::widget::sparkline::{Sparkline, path};

/// Samples kept of each: two minutes at one per second.
const SAMPLES: usize = 120;
/// Busy for that share of the time a disk that serves one request after the other has nothing left.
const BUSY: f32 = 0.9;

/// Shares of time busy, oldest first.
type Past = RwSignal<BTreeMap<DeviceKey, VecDeque<Option<f32>>>>;

/// The panel.
pub(super) fn panel() -> AnyView {
    let store = use_store();
    store.want_here(&[Topic::Device, Topic::DeviceStat]);
    let lines = Memo::new(move |_| store.read(&[Topic::Device], stack));
    let past = watch(store);
    let why = move || {
        let told = store.read(&[Topic::Source], |s| trouble_of(s, Topic::Device));
        let reads = if store.is_fresh(Topic::Device) { "No block device." } else { "Reading…" };
        told.unwrap_or_else(|| reads.to_owned())
    };
    let head = |class: &'static str, text: &'static str, title: &'static str| {
        view! { <th scope="col" class=class title=title>{text}</th> }
    };
    view! {
        <section class="device-stack" aria-label="Stack of block devices">
            <table class="plain">
                <thead>
                    <tr>
                        {head("", "device", "what lies on what: slaves and partitions in /sys")}
                        {head("wide", "holds", "file system and label as udev found them, file of a loop device, model")}
                        {head("number wide", "size", "its size")}
                        {head("number mid", "r/s", "reads that finished per second")}
                        {head("number mid", "w/s", "writes that finished per second")}
                        {head("number", "read", "bytes read per second")}
                        {head("number", "written", "bytes written per second")}
                        {head("number wide", "r wait", "r_await: how long a read took on average, waiting included")}
                        {head("number mid", "w wait", "w_await: how long a write took on average, waiting included")}
                        {head("number wide", "queue", "aqu-sz: requests on their way on average")}
                        {head("number", "busy", "%util: how long at least one request was on its way. What serves many at once (SSD, RAID, a cloud's disk) may do more at 100 %")}
                        {head("device-bar", "", "")}
                        {head("device-past mid", "last 2 min", "busy, 0 to 100 %, since this view was opened")}
                    </tr>
                </thead>
                <tbody>
                    <For each=move || lines.get() key=StackLine::clone children=move |line| device(store, past, line) />
                </tbody>
            </table>
            {move || lines.with(Vec::is_empty).then(|| view! { <p class="device-none">{why}</p> })}
        </section>
    }
    .into_any()
}

/// Takes a sample at each tick that measured.
fn watch(store: Store) -> Past {
    let past = Past::default();
    Effect::new(move |_| {
        store.track(Topic::DeviceStat);
        // A moment of the past that is gone back to is no new sample.
        if store.rewound().get_untracked().is_some() {
            return;
        }
        past.update(|past| {
            store.with(|s| {
                past.retain(|key, _| s.device_stat.contains_key(key));
                for (key, stat) in &s.device_stat {
                    let ring = past.entry(key.clone()).or_default();
                    if ring.len() == SAMPLES {
                        ring.pop_front();
                    }
                    ring.push_back(stat.utilization_ratio);
                }
            });
        });
    });
    past
}

fn device(store: Store, past: Past, line: StackLine) -> impl IntoView {
    let choice = use_choice();
    let key = StoredValue::new(line.key.clone());
    let row = Memo::new(move |_| {
        key.with_value(|key| store.read(&[Topic::Device], |s| s.device.get(key).cloned()))
    });
    let stat =
        Memo::new(move |_| key.with_value(|key| store.read(&[Topic::DeviceStat], |s| stat_of(s, key))));
    let name = move || row.with(|row| row.as_deref().map(|row| title(row).to_owned()));
    let about =
        move || row.with(|row| row.as_deref().map(|row| format!("/dev/{}, {}", row.name, row.kind.name())));
    let of = move |f: fn(&Device) -> String| move || row.with(|row| row.as_deref().map(f));
    let selection = Selection::Device(line.key);
    let is_selected = {
        let selection = selection.clone();
        move || choice.selected.with(|one| one.as_ref() == Some(&selection))
    };
    let href = move || choice.selection_link(&selection);
    let figure =
        move |class: &'static str, value: fn(&DeviceStat) -> Option<f32>, write: fn(f64) -> String| {
            let now = Memo::new(move |_| stat.with(|stat| stat.as_deref().and_then(value)));
            let text = move || unit::or_unknown(now.get().map(|n| write(f64::from(n))));
            let tone = move || match now.get() {
                None => "unknown",
                Some(n) if n > 0.0 => "",
                Some(_) => "quiet",
            };
            view! { <td class=class data-tone=tone>{text}</td> }
        };
    let busy = move || stat.with(|stat| stat.as_deref().and_then(|stat| stat.utilization_ratio));
    let measure = move || {
        busy().map(|ratio| Measure { ratio, mark: None, tone: if ratio > BUSY { "attention" } else { "" } })
    };
    let went = move || {
        past.with(|past| {
            let points =
                key.with_value(|key| past.get(key).map(|ring| ring.iter().copied().collect::<Vec<_>>()));
            path(points.unwrap_or_default().into_iter(), SAMPLES, 1.0)
        })
    };
    view! {
        <tr aria-current=move || is_selected().then_some("true")>
            <th scope="row" title=about>
                <span class="branch" aria-hidden="true">{line.branch}</span>
                <a href=href>{name}</a>
            </th>
            <td class="wide device-holds" title=of(holds)>{of(holds)}</td>
            <td class="number wide">{of(|row| unit::or_unknown(row.size_bytes.map(unit::bytes)))}</td>
            {figure("number mid", |s| s.reads_per_sec, unit::per_sec)}
            {figure("number mid", |s| s.writes_per_sec, unit::per_sec)}
            {figure("number rx", |s| s.read_bytes_per_sec, unit::bytes_per_sec)}
            {figure("number tx", |s| s.write_bytes_per_sec, unit::bytes_per_sec)}
            {figure("number wide", |s| s.read_await_secs, unit::latency_secs)}
            {figure("number mid", |s| s.write_await_secs, unit::latency_secs)}
            {figure("number wide", |s| s.queue_length, |n| format!("{n:.1}"))}
            {figure("number", |s| s.utilization_ratio, unit::percent)}
            <td class="device-bar"><Meter measure=Signal::derive(measure) label="busy" /></td>
            <td class="device-past mid"><Sparkline d=Signal::derive(went) label="busy, last two minutes" /></td>
        </tr>
    }
}

fn stat_of(snapshot: &Snapshot, key: &DeviceKey) -> Option<Arc<DeviceStat>> {
    snapshot.device_stat.get(key).cloned()
}
