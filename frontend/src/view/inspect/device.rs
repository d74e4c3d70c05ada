//! The inspector on a block device: what it is, what it lies on, what passes it, and where it is mounted.

use std::sync::Arc;

use glasshull_shared::domain::device::{Device, DeviceKey, DeviceStat};
use glasshull_shared::domain::file::HeldPlace;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::device_users::users;
use super::holder::holders;
use super::{Inspect, Tab, in_the_shell, part};
use crate::store::device::{holds, mounts_on, of_name, shell_lines, title, upon};
use crate::store::lookup::container_name;
use crate::store::{Selection, Store, use_choice, use_store};
use crate::widget::facts::{Fact, Facts, live_fact, row};

pub(super) const INSPECT: Inspect = Inspect {
    heading,
    tabs: &[
        Tab { id: "overview", title: "Overview", render: overview },
        Tab { id: "users", title: "Containers", render: users },
        Tab { id: "mounts", title: "Mounts", render: mounts },
        Tab { id: "files", title: "Who has files", render: files },
        Tab { id: "shell", title: "In the shell", render: shell },
    ],
    topics: &[Topic::Device, Topic::DeviceStat],
};

const GONE: &str = "the device is gone";
/// Mounts listed at most.
const MOUNTS: usize = 200;

/// Name and value of one figure: of reads, writes, discards and flushes.
type Figure = (&'static str, [fn(&DeviceStat) -> Option<String>; 4]);

const FIGURES: [Figure; 6] = [
    (
        "per second",
        [
            |s| per_sec(s.reads_per_sec),
            |s| per_sec(s.writes_per_sec),
            |s| per_sec(s.discards_per_sec),
            |s| per_sec(s.flushes_per_sec),
        ],
    ),
    (
        "bytes/s",
        [
            |s| bytes_per_sec(s.read_bytes_per_sec),
            |s| bytes_per_sec(s.write_bytes_per_sec),
            |s| bytes_per_sec(s.discard_bytes_per_sec),
            |_| None,
        ],
    ),
    (
        "await",
        [
            |s| wait(s.read_await_secs),
            |s| wait(s.write_await_secs),
            |s| wait(s.discard_await_secs),
            |s| wait(s.flush_await_secs),
        ],
    ),
    ("size", [|s| size(s.read_request_bytes), |s| size(s.write_request_bytes), |_| None, |_| None]),
    (
        "merged/s",
        [|s| per_sec(s.read_merges_per_sec), |s| per_sec(s.write_merges_per_sec), |_| None, |_| None],
    ),
    (
        "in all",
        [
            |s| Some(unit::bytes(s.read_bytes)),
            |s| Some(unit::bytes(s.write_bytes)),
            |s| s.discard_bytes.map(unit::bytes),
            |s| s.flushes.map(unit::count),
        ],
    ),
];

fn per_sec(n: Option<f32>) -> Option<String> {
    n.map(|n| unit::per_sec(f64::from(n)))
}

fn bytes_per_sec(n: Option<f32>) -> Option<String> {
    n.map(|n| unit::bytes_per_sec(f64::from(n)))
}

fn wait(secs: Option<f32>) -> Option<String> {
    secs.map(unit::latency_secs)
}

fn size(bytes: Option<f32>) -> Option<String> {
    bytes.map(|bytes| unit::bytes(bytes as u64))
}

/// Which device; copied into all that follows it.
type Of = StoredValue<DeviceKey>;

fn key(selection: &Selection) -> Of {
    StoredValue::new(selection.device().unwrap_or(DeviceKey { major_minor: String::new() }))
}

fn who(store: Store, key: Of) -> Option<Arc<Device>> {
    key.with_value(|key| store.read(&[Topic::Device], |s| s.device.get(key).cloned()))
}

fn stat_of(store: Store, key: Of) -> Option<Arc<DeviceStat>> {
    key.with_value(|key| store.read(&[Topic::DeviceStat], |s| s.device_stat.get(key).cloned()))
}

fn number_of(key: Of) -> String {
    key.with_value(|key| key.major_minor.clone())
}

fn heading(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    super::heading(
        move || {
            who(store, key).map_or_else(|| format!("device {}", number_of(key)), |row| title(&row).to_owned())
        },
        move || match who(store, key) {
            Some(row) => format!("{} {}", row.kind.name(), holds(&row)),
            None => "gone".into(),
        },
    )
}

fn overview(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let of = move |name: &'static str, f: fn(&Device) -> Fact| {
        live_fact(name, move || who(store, key).map_or_else(|| Fact::unknown(GONE), |row| f(&row)))
    };
    let now = move |name: &'static str, f: fn(&DeviceStat) -> Option<String>| {
        live_fact(name, move || {
            Fact::or(stat_of(store, key).and_then(|stat| f(&stat)), "known after the second look")
        })
    };
    view! {
        {part("Now", view! {
            <Facts>
                {now("busy", |s| s.utilization_ratio.map(|share| unit::percent(share.into())))}
                {now("queue", |s| s.queue_length.map(|mean| format!("{mean:.2} requests on average")))}
                {now("on their way", |s| Some(unit::count(s.in_flight)))}
            </Facts>
        })}
        {figures(store, key)}
        <p class="device-note">
            "Busy is the time at least one request was on its way. A device that serves many at once may do more at 100 %: look whether waits rise with the queue."
        </p>
        {part("Stack", view! {
            <Facts>
                {row("lies on", below(store, key))}
                {row("carries", above(store, key))}
            </Facts>
        })}
        {part("Device", view! {
            <Facts>
                {of("name", |r| Fact::new(format!("/dev/{}", r.name)))}
                {live_fact("number", move || Fact::new(number_of(key)))}
                {of("size", |r| Fact::or(r.size_bytes.map(unit::bytes), "not told")
                    .title(r.size_bytes.map(|n| format!("{} bytes", unit::count(n))).unwrap_or_default()))}
                {of("holds", |r| Fact::or(r.content.clone(), "udev did not say: it does not run, or nothing was found"))}
                {of("label", |r| Fact::or(r.label.clone(), "none, or udev does not run"))}
                {of("UUID", |r| Fact::or(r.uuid.clone(), "none, or udev does not run"))}
                {of("model", |r| Fact::or(r.model.clone(), "a virtual device without one"))}
                {of("file", |r| Fact::or(r.backing_file.clone(), "no loop device"))}
                {of("made by", |r| Fact::or(r.dm_uuid.clone(), "no device-mapper device"))}
                {of("scheduler", |r| Fact::or(r.scheduler.clone(), "requests pass unsorted"))}
                {of("turns", |r| Fact::or(r.rotational.map(yes), "not told").title("as the device says of itself"))}
                {of("read-only", |r| Fact::or(r.read_only.map(yes), "not told"))}
            </Facts>
        })}
    }
    .into_any()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Reads, writes, discards and flushes side by side.
fn figures(store: Store, key: Of) -> AnyView {
    let stat = Memo::new(move |_| stat_of(store, key));
    let line = |(name, cells): Figure| {
        let cell = |f: fn(&DeviceStat) -> Option<String>| {
            let text = move || stat.with(|s| s.as_deref().and_then(f)).unwrap_or_default();
            view! { <td>{text}</td> }
        };
        view! { <tr><th scope="row">{name}</th>{cells.map(cell)}</tr> }
    };
    let body = view! {
        <table class="counters">
            <thead>
                <tr>
                    <th></th>
                    <th scope="col" class="rx">"reads"</th>
                    <th scope="col" class="tx">"writes"</th>
                    <th scope="col">"discards"</th>
                    <th scope="col">"flushes"</th>
                </tr>
            </thead>
            <tbody>{FIGURES.into_iter().map(line).collect::<Vec<_>>()}</tbody>
        </table>
    };
    part("What passes, as iostat -x", body)
}

/// What it lies on.
fn below(store: Store, key: Of) -> impl IntoView {
    let parents = Memo::new(move |_| {
        let names = who(store, key).map(|row| row.parents.clone()).unwrap_or_default();
        let to = |name: String| (store.with(|s| of_name(s, &name)), name);
        names.into_iter().map(to).collect::<Vec<_>>()
    });
    move || match parents.get() {
        none if none.is_empty() => "nothing: the bottom".into_any(),
        names => names.into_iter().map(|(key, name)| device_link(key, name)).collect_view().into_any(),
    }
}

/// What lies on it.
fn above(store: Store, key: Of) -> impl IntoView {
    let names = Memo::new(move |_| {
        let name = who(store, key).map(|row| row.name.clone()).unwrap_or_default();
        store.read(&[Topic::Device], |s| upon(s, &name))
    });
    move || match names.get() {
        none if none.is_empty() => "no other device".into_any(),
        names => names.into_iter().map(|(key, name)| device_link(Some(key), name)).collect_view().into_any(),
    }
}

fn device_link(key: Option<DeviceKey>, name: String) -> AnyView {
    let choice = use_choice();
    match key {
        Some(key) => {
            let href = move || choice.selection_link(&Selection::Device(key.clone()));
            view! { <a class="code device-link" href=href>{name}</a> }.into_any()
        }
        None => view! { <code class="device-link">{name}</code> }.into_any(),
    }
}

/// Where its file system is mounted, on the host and in containers.
fn mounts(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    let topics = &[Topic::Mount, Topic::Container];
    store.want_here(topics);
    let lines = Memo::new(move |_| {
        store.read(topics, |s| {
            let whose = |id: &Option<String>, host: bool| match id {
                Some(id) => container_name(s, id),
                None if host => "host".to_owned(),
                None => "another namespace".to_owned(),
            };
            let line = |row: &glasshull_shared::domain::mount::Mount| {
                (
                    whose(&row.container, row.host),
                    row.mountpoint.clone(),
                    row.root.clone(),
                    row.options.clone(),
                )
            };
            key.with_value(|key| mounts_on(s, key)).into_iter().map(line).take(MOUNTS).collect::<Vec<_>>()
        })
    });
    let line = |(whose, at, root, options): (String, String, String, String)| {
        let part = if root == "/" { String::new() } else { root };
        view! {
            <tr title=options>
                <td>{unit::printable(&whose)}</td>
                <td><code>{at}</code></td>
                <td><code>{part}</code></td>
            </tr>
        }
    };
    let empty = move || {
        if store.is_fresh(Topic::Mount) {
            "Not mounted as itself: what lies on it may be, or nothing is."
        } else {
            "Reading…"
        }
    };
    view! {
        <table class="plain device-mounts">
            <thead><tr><th>"in"</th><th>"at"</th><th>"part"</th></tr></thead>
            <tbody>{move || lines.get().into_iter().map(line).collect_view()}</tbody>
        </table>
        {move || lines.with(Vec::is_empty).then(|| view! { <p>{empty}</p> })}
    }
    .into_any()
}

/// Who has files on the file system on it, and who has the device itself open.
fn files(selection: Selection) -> AnyView {
    let device = number_of(key(&selection));
    view! {
        <p class="device-note">
            "Processes with files on the file system of this very device, and those that have the device itself open. Partitions and volumes on it have a list of their own."
        </p>
        {holders(HeldPlace { device, mount: None })}
    }
    .into_any()
}

fn shell(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    in_the_shell(move || {
        who(store, key).map(|row| key.with_value(|key| shell_lines(key, &row))).unwrap_or_default()
    })
}
