//! Disk: the stack of block devices with what passes it, and below it who reads and writes.

mod block;
mod case;
mod group;
mod mount;
mod process;
mod stack;
mod wait;

use std::sync::Arc;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::DeviceKey;
use glasshull_shared::domain::mount::MountKey;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::domain::source::Source;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::sheet::Sheet;
use super::{Parsed, filter_box};
use crate::store::filter::Query;
use crate::store::network::trouble_of;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Line, Table, TableModel};

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

type Arranged = (Arc<Vec<Line<LineKey>>>, usize);

/// The view.
pub(super) fn render() -> AnyView {
    let table = use_choice().param("table");
    let chosen = move || table.with(|t| NAMES.iter().position(|n| Some(n.0) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| untrack(|| drawn(NAMES.get(at).map_or("", |name| name.0)));
    view! {
        <div class="view disk">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

fn drawn(id: &'static str) -> AnyView {
    match SHEETS.iter().find(|sheet| sheet.id == id) {
        Some(sheet) => page(sheet),
        None => view! {
            <div class="toolbar">{tables(use_choice(), id)}</div>
            {case::card()}
            {stack::panel()}
            {wait::page()}
        }
        .into_any(),
    }
}

/// Which of the tables.
fn tables(choice: Choice, id: &'static str) -> impl IntoView {
    let choose = move |id: &str| choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
    view! { <Segments label="Table" options=NAMES value=Signal::stored(id.to_owned()) on_choose=Callback::new(choose) /> }
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet<LineKey>) -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(sheet.topics);
    store.want_here(&[Topic::HostStat]);
    let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, sheet.fields)));
    let order = Memo::new(move |_| {
        let own = (sheet.order.0.to_owned(), sheet.order.1);
        choice.sort.get().map_or(own, |s| (s.column, s.descending))
    });
    let arranged: Memo<Arranged> = Memo::new_with_compare(
        move |_| {
            let order = order.get();
            let filtered = choice.filter.with(|f| !f.trim().is_empty());
            query.with(|(query, _)| {
                store.read(sheet.topics, |s| {
                    let (keys, all) = sheet.arrange(s, filtered.then_some(query), (&order.0, order.1));
                    (Arc::new(keys.into_iter().map(Line::row).collect()), all)
                })
            })
        },
        |_, _| true,
    );
    let model = TableModel {
        label: sheet.title,
        columns: sheet.columns,
        chosen: choice.columns,
        indent: Signal::stored(0),
        lines: Memo::new_with_compare(move |_| arranged.with(|a| Arc::clone(&a.0)), |_, _| true).into(),
        paint: Arc::new(move |line: &Line<LineKey>, columns: &[&'static Column]| {
            store.with(|s| sheet.cells(s, &line.key, columns))
        }),
        order: Signal::derive(move || Some(order.get())),
        on_order: Callback::new(move |(column, descending)| {
            choice.set_sort(Some(Sort { column, descending }))
        }),
        selected: Signal::derive(move || choice.selected.get().and_then(LineKey::of)),
        on_select: Callback::new(move |key: LineKey| {
            if let Some(selection) = store.with(|s| key.selection(s)) {
                choice.select(Some(selection));
            }
        }),
        on_cursor: Callback::new(move |key: LineKey| {
            // With the inspector open it follows the cursor; closed, it stays closed.
            if choice.selected.with_untracked(Option::is_some)
                && let Some(selection) = store.with(|s| key.selection(s))
            {
                choice.move_selection(selection);
            }
        }),
        on_fold: Callback::new(|_| {}),
    };
    let with_stack = sheet.id != block::SHEET.id;
    view! {
        {toolbar(choice, sheet, query)}
        {case::card()}
        {with_stack.then(stack::panel)}
        <Table model=model empty=move || view! { <p>{move || why_empty(store, sheet, arranged)}</p> } />
        {totals(store, sheet, arranged)}
    }
    .into_any()
}

fn toolbar(choice: Choice, sheet: &'static Sheet<LineKey>, query: Memo<Parsed>) -> impl IntoView {
    view! {
        <div class="toolbar">
            {filter_box(choice, sheet.placeholder, sheet.fields, query)}
            {tables(choice, sheet.id)}
            <ColumnChooser
                all=sheet.columns
                chosen=choice.columns
                on_choose=Callback::new(move |columns| choice.set_columns(columns))
            />
        </div>
    }
}

/// Counts, how much the host waits, and what cannot be seen here.
fn totals(store: Store, sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> impl IntoView {
    let shown = move || arranged.with(|a| unit::count(a.0.len() as u64));
    let all = move || arranged.with(|a| format!(" of {} {}", unit::count(a.1 as u64), sheet.noun));
    let waits = move || store.read(&[Topic::HostStat], host_waits);
    let hidden = move || {
        let topic = sheet.topics.first().copied()?;
        store.read(&[Topic::Source], |s| lacks(s, topic)).filter(|_| arranged.with(|a| a.1 > 0))
    };
    view! {
        <p class="totals">
            <span><b>{shown}</b>{all}</span>
            <span class="disk-waits">{waits}</span>
            <span class="missed">{hidden}</span>
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

fn why_empty(store: Store, sheet: &'static Sheet<LineKey>, arranged: Memo<Arranged>) -> String {
    if arranged.with(|a| a.1 > 0) {
        return "Nothing passes the filter. Esc in its box empties it.".into();
    }
    store
        .read(&[Topic::Source], |s| trouble_of(s, *sheet.topics.first()?))
        .unwrap_or_else(|| sheet.empty.to_owned())
}
