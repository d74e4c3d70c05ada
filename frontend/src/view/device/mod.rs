//! Disk: the stack of block devices with what passes it, and below it who reads and writes.

mod block;
mod case;
mod group;
mod mount;
mod process;
mod stack;
mod wait;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::DeviceKey;
use glasshull_shared::domain::mount::MountKey;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::domain::source::Source;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::sheet::{Page, Sheet, pages, tables};
use crate::store::{Selection, use_choice};
use crate::widget::table::Table;

static SHEETS: [&Sheet<LineKey>; 4] = [&process::SHEET, &group::SHEET, &mount::SHEET, &block::SHEET];
const NAMES: &[(&str, &str)] = &[
    ("", "Processes"),
    ("containers", "Containers"),
    ("waits", "Who waits"),
    ("mounts", "File systems"),
    ("devices", "Devices"),
];

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Device(DeviceKey),
    Process(ProcessKey),
    Container(String),
    Mount(MountKey),
}

impl LineKey {
    /// What the inspector shows of it: of a mount its container, else the device it is on, if there is one.
    fn selection(&self, s: &Snapshot) -> Option<Selection> {
        match self {
            Self::Device(key) => Some(Selection::Device(key.clone())),
            Self::Process(key) => Some(Selection::Process(*key)),
            Self::Container(id) => Some(Selection::Container(id.clone())),
            Self::Mount(key) => {
                let row = s.mount.get(key)?;
                let device = DeviceKey { major_minor: row.device.clone() };
                match &row.container {
                    Some(id) => Some(Selection::Container(id.clone())),
                    None => s.device.contains_key(&device).then_some(Selection::Device(device)),
                }
            }
        }
    }

    fn of(selection: Selection) -> Option<Self> {
        match selection {
            Selection::Device(key) => Some(Self::Device(key)),
            Selection::Process(key) => Some(Self::Process(key)),
            Selection::Container(id) => Some(Self::Container(id)),
            Selection::Engine(_) | Selection::Link(_) | Selection::Namespace(_) | Selection::Host => None,
        }
    }
}

/// The view.
pub(super) fn render() -> AnyView {
    pages("view disk", NAMES, drawn)
}

fn drawn(id: &'static str) -> AnyView {
    match SHEETS.iter().find(|sheet| sheet.id == id) {
        Some(sheet) => page(sheet),
        None => view! {
            <div class="toolbar">{tables(use_choice(), NAMES, id)}</div>
            {case::card()}
            {stack::panel()}
            {wait::page()}
        }
        .into_any(),
    }
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet<LineKey>) -> AnyView {
    let page = Page::open(sheet);
    let Page { store, choice, .. } = page;
    store.want_here(&[Topic::HostStat]);
    let selected = Signal::derive(move || choice.selected.get().and_then(LineKey::of));
    let model = page.model(|s, key| key.selection(s), selected, RwSignal::new(None));
    let with_stack = sheet.id != block::SHEET.id;
    view! {
        {page.toolbar(NAMES, sheet.id, true, ())}
        {case::card()}
        {with_stack.then(stack::panel)}
        <Table model=model empty=move || view! { <p>{move || page.why_empty()}</p> } />
        {totals(page)}
    }
    .into_any()
}

/// Counts, how much the host waits, and what cannot be seen here.
fn totals(page: Page<LineKey>) -> impl IntoView {
    let store = page.store;
    let waits = move || store.read(&[Topic::HostStat], host_waits);
    view! {
        <p class="totals">
            {page.count()}
            <span class="disk-waits">{waits}</span>
            {page.missed(lacks)}
        </p>
    }
}

/// What the source of a table lacks, and what to do about it.
fn lacks(s: &Snapshot, topic: Topic) -> Option<String> {
    let fills = |row: &Source| row.tables.iter().any(|table| table == topic.name());
    let row = s.source.values().find(|row| fills(row) && row.reason.is_some())?;
    let told: Vec<&str> = [&row.reason, &row.remedy].into_iter().flatten().map(String::as_str).collect();
    Some(told.join(": "))
}

fn host_waits(s: &Snapshot) -> Option<String> {
    let host = s.host_stat.get(&Single)?;
    let iowait = host.cpu_ratio.map(|cpu| format!("iowait {}", unit::percent(cpu.iowait.into())));
    let pressure =
        host.psi_io.map(|psi| format!("I/O pressure {}", unit::percent(psi.some.avg10_ratio.into())));
    let told: Vec<String> = iowait.into_iter().chain(pressure).collect();
    (!told.is_empty()).then(|| format!("the host: {}", told.join(", ")))
}
