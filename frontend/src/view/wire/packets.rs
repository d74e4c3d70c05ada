//! The list of packets, a line each as `tcpdump` prints them.

use std::sync::Arc;

use glasshull_shared::domain::wire::{Order, PacketRow, Way};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::Look;
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::order::{SortKey, sort_rows};
use crate::widget::table::{Cell, Column, Kind, Line, Lines, Table, TableModel, lines_of};

static COLUMNS: [Column; 9] = [
    Column::number("number", "#", 62, "counts packets of this look").ascending().narrow(40),
    Column::text("time", "Time", 122, "when the kernel saw it").kind(Kind::Code).spare(3),
    Column::text("link", "Link", 110, "link it was seen on").kind(Kind::Code).spare(2),
    Column::text("way", "Way", 44, "in by the link or out by it; one link alone does not tell").spare(2),
    Column::text("source", "From", 190, "who sent it; addresses of containers by name").narrow(90),
    Column::text("destination", "To", 190, "to whom").narrow(90),
    Column::text("protocol", "Is", 70, "protocol").spare(1),
    Column::number("length", "Bytes", 64, "bytes on the wire").spare(1),
    Column::text("info", "Says", 330, "flags, numbers and options; with payload what is recognised")
        .kind(Kind::Code)
        .narrow(110)
        .grow(),
];

/// The table. `picked`: number of the packet whose headers are shown.
pub(super) fn packets(
    look: Look,
    picked: RwSignal<Option<u32>>,
    empty: impl Fn() -> String + Copy + Send + Sync + 'static,
) -> AnyView {
    let order = RwSignal::new(("number".to_owned(), false));
    let lines: Signal<Lines<u32>> = lines_of(move || {
        let (column, descending) = order.get();
        let numbers = look.rows(|rows| {
            // As they came: no need to sort thousands ten times a second.
            if column == "number" {
                let numbers = rows.iter().map(|row| row.number);
                return if descending { numbers.rev().collect() } else { numbers.collect() };
            }
            let rows = sort_rows(rows.iter().collect(), descending, |row| sort_key(row, &column));
            rows.into_iter().map(|row| row.number).collect::<Vec<_>>()
        });
        numbers.into_iter().map(Line::row).collect()
    });
    let pick = move |number: u32| {
        picked.set(Some(number));
        look.order(&Order::Detail { number });
    };
    let model = TableModel {
        label: "Packets",
        columns: &COLUMNS,
        chosen: Signal::stored(None),
        indent: Signal::stored(0),
        lines,
        paint: Arc::new(move |line: &Line<u32>, columns: &[&'static Column]| {
            let cells = look.row(line.key, |row| columns.iter().map(|c| cell(look, row, c.id)).collect());
            cells.unwrap_or_default()
        }),
        order: Signal::derive(move || Some(order.get())),
        on_order: Callback::new(move |next| order.set(next)),
        selected: picked.into(),
        on_select: Callback::new(pick),
        on_cursor: Callback::new(move |number| {
            if picked.with_untracked(Option::is_some) {
                pick(number);
            }
        }),
        on_fold: Callback::new(|_| {}),
    };
    view! { <Table model=model empty=move || view! { <p>{empty}</p> } /> }.into_any()
}

fn sort_key(row: &PacketRow, column: &str) -> SortKey {
    let text = |text: &str| SortKey::text(Some(text));
    match column {
        "time" => SortKey::number(Some(row.at as f64)),
        "link" => SortKey::number(Some(row.ifindex.into())),
        "way" => text(way(row)),
        "source" => text(&row.source),
        "destination" => text(&row.destination),
        "protocol" => text(&row.protocol),
        "length" => SortKey::number(Some(row.length.into())),
        "info" => text(&row.info),
        _ => SortKey::Unknown,
    }
}

fn cell(look: Look, row: &PacketRow, column: &str) -> Cell {
    let end = |end: &str| match look.name_of(end) {
        Some(name) => Cell::new(unit::printable(&name)).title(end),
        None => Cell::new(end),
    };
    match column {
        "number" => Cell::new(row.number.to_string()).class("quiet"),
        "time" => Cell::new(time(row.at)),
        "link" => {
            let name = look.scene.with_untracked(|scene| scene.links.get(&row.ifindex).cloned());
            Cell::new(name.map_or_else(|| format!("#{}", row.ifindex), |name| unit::printable(&name)))
        }
        "way" => Cell::new(way(row)),
        "source" => end(&row.source),
        "destination" => end(&row.destination),
        "protocol" => Cell::new(&row.protocol).class(tone(&row.protocol)),
        "length" => Cell::new(unit::count(row.length.into())),
        "info" => Cell::new(&row.info),
        _ => Cell::default(),
    }
}

fn way(row: &PacketRow) -> &'static str {
    match row.way {
        Some(Way::In) => "in",
        Some(Way::Out) => "out",
        None => "",
    }
}

/// What was recognised stands out from what only carries.
fn tone(protocol: &str) -> &'static str {
    match protocol {
        "HTTP" | "DNS" => "strong",
        _ => "",
    }
}

/// `02:15:30.123456`, by this browser's clock zone.
pub(super) fn time(at: u64) -> String {
    let local = at.saturating_add_signed(zone_offset_nanos());
    format!("{}.{:06}", unit::time_of_day(local), at / 1_000 % 1_000_000)
}
