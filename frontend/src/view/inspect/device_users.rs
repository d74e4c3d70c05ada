//! Who uses a block device, and which devices a container uses, as control groups count it: a tab of a device's inspector, a part
//! of a container's.

use std::sync::Arc;

use glasshull_shared::domain::container::{ContainerDeviceIo, ContainerKey};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::uses;
use crate::store::device::{UseOf, devices_of, used, users_of};
use crate::store::network::trouble_of;
use crate::store::{Selection, Store, use_choice, use_store};
use crate::widget::facts::{Fact, Facts, live_fact};

const TOPICS: [Topic; 4] =
    [Topic::ContainerDeviceIo, Topic::Container, Topic::ContainerStat, Topic::ContainerIo];

/// The tab of a device.
pub(super) fn users(selection: Selection) -> AnyView {
    let store = use_store();
    store.want_here(&TOPICS[..3]);
    let key = StoredValue::new(selection.device());
    let lines = Memo::new(move |_| {
        let of = |store: Store| {
            store.read(&TOPICS[..2], |s| key.with_value(|key| key.as_ref().map(|key| users_of(s, key))))
        };
        of(store).unwrap_or_default()
    });
    let quiet = move || {
        "No control group of a container counts anything at it. They count whole disks and volumes: of a partition ask its disk."
            .to_owned()
    };
    table("container", lines, store, quiet)
}

/// The part of a container.
pub(super) fn devices(store: Store, key: ContainerKey) -> AnyView {
    store.want_here(&TOPICS);
    let lines = {
        let id = key.id.clone();
        Memo::new(move |_| store.read(&[Topic::ContainerDeviceIo, Topic::Container], |s| devices_of(s, &id)))
    };
    let quiet = {
        let key = key.clone();
        move || match uses(store, &key).and_then(|stat| stat.read_bytes) {
            Some(_) => "Nothing has passed a block device for it.".to_owned(),
            None => "Its control group counts no block I/O.".to_owned(),
        }
    };
    let summed = live_fact("its processes", move || {
        let io = store.read(&[Topic::ContainerIo], |s| s.container_io.get(&key).cloned());
        let rate = |n: Option<f32>| n.map(|n| unit::bytes_per_sec(f64::from(n)));
        let text = io.and_then(|io| {
            Some(format!("r {} · w {}", rate(io.read_bytes_per_sec)?, rate(io.write_bytes_per_sec)?))
        });
        Fact::or(text, "known after the second look, and with the right to see them")
            .title("added up, whatever the device: /proc/PID/io; also what its control group does not count")
    });
    view! {
        {table("device", lines, store, quiet)}
        <Facts>{summed}</Facts>
    }
    .into_any()
}

/// A line each; `quiet` says why there is none where the source does not.
fn table(
    first: &'static str,
    lines: Memo<Vec<UseOf>>,
    store: Store,
    quiet: impl Fn() -> String + Send + Sync + 'static,
) -> AnyView {
    let head = |class: &'static str, text: &'static str| view! { <th scope="col" class=class>{text}</th> };
    let why = move || match store.read(&[Topic::Source], |s| trouble_of(s, Topic::ContainerDeviceIo)) {
        Some(reason) => format!("{} {}", quiet(), sentence(&reason)),
        None if store.is_fresh(Topic::ContainerDeviceIo) => quiet(),
        None => "Reading…".to_owned(),
    };
    view! {
        <table class="plain device-users" hidden=move || lines.with(Vec::is_empty)>
            <thead>
                <tr>
                    {head("", first)} {head("number rx", "read")} {head("number tx", "written")} {head("number", "r/s")}
                    {head("number", "w/s")} {head("number", "in all")}
                </tr>
            </thead>
            <tbody>{move || lines.get().into_iter().map(line).collect_view()}</tbody>
        </table>
        <p class="dim" hidden=move || !lines.with(Vec::is_empty)>{why}</p>
    }
    .into_any()
}

/// Begun with a capital and ended with a stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn line(of: UseOf) -> impl IntoView {
    let choice = use_choice();
    let row: &Arc<ContainerDeviceIo> = &of.row;
    let bytes = |rate: Option<f32>| unit::or_unknown(rate.map(|rate| unit::bytes_per_sec(f64::from(rate))));
    let each = |rate: Option<f32>| unit::or_unknown(rate.map(|rate| unit::per_sec(f64::from(rate))));
    let total =
        row.read_bytes.zip(row.write_bytes).map(|(read, written)| unit::bytes(read.saturating_add(written)));
    let name = unit::printable(&of.name);
    let name = match of.to {
        Some(to) => view! { <a href=move || choice.selection_link(&to)>{name}</a> }.into_any(),
        None => name.into_any(),
    };
    view! {
        <tr title=used(row)>
            <td>{name}</td>
            <td class="number">{bytes(row.read_bytes_per_sec)}</td>
            <td class="number">{bytes(row.write_bytes_per_sec)}</td>
            <td class="number">{each(row.reads_per_sec)}</td>
            <td class="number">{each(row.writes_per_sec)}</td>
            <td class="number">{unit::or_unknown(total)}</td>
        </tr>
    }
}
