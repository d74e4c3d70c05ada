//! The memory of the process under the inspector, region by region or by file: sorted by what it costs, with files on the host. Read
//! when the tab is opened and when a person wants it again: the kernel walks page tables for it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use glasshull_shared::domain::process::{MapKind, MemoryMap, MemoryMaps, MemorySum, ProcessKey};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use super::answer::{ask_at, on_the_host, said, sentences};
use super::part;
use crate::store::{Selection, use_store};
use crate::widget::segments::Toggle;

/// Lines drawn at most; a filter shows others.
const LINES: usize = 200;

/// What lines are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rss,
    Pss,
    Swap,
    Size,
}

const ORDERS: [(By, &str, &str); 4] = [
    (By::Rss, "Rss", "in memory, also when others have it mapped too"),
    (By::Pss, "Pss", "in memory, shared pages divided by the number of their users"),
    (By::Swap, "swap", "in swap"),
    (By::Size, "size", "addresses reserved: nothing need be there"),
];

/// One region, or all of one file, as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shown {
    path: String,
    /// Address and rights of a region, how many of a file.
    what: String,
    /// Rss, Pss, swap, size, in the order of [`ORDERS`].
    figures: [Option<u64>; 4],
    deleted: bool,
    host_path: Option<String>,
}

/// The part of the tab.
pub(super) fn maps(selection: &Selection) -> AnyView {
    let store = use_store();
    let key = selection.process().unwrap_or(ProcessKey { pid: 0, start_time: 0 });
    let asked = RwSignal::new(0u32);
    let read = |answer: &Answer, _: Option<&MemoryMaps>| {
        answer.opened(|answer| if let Answer::Maps(maps) = answer { Some(maps) } else { None })
    };
    let reading = ask_at(store, asked, Question::Maps(key), read);
    let (filter, by_file, by) = (RwSignal::new(String::new()), RwSignal::new(false), RwSignal::new(By::Rss));
    let all = Memo::new(move |_| {
        reading.with(|reading| match reading {
            Some(Ok(maps)) => shown(maps, by_file.get(), &filter.get(), by.get()),
            Some(Err(_)) | None => Vec::new(),
        })
    });
    let some = move || reading.with(|reading| matches!(reading, Some(Ok(maps)) if !maps.rows.is_empty()));
    let replayed = move || store.origin().with(|origin| *origin != Origin::Live);
    let lines = move || all.with(|all| all.iter().take(LINES).cloned().collect::<Vec<_>>());
    let more = move || all.with(|all| all.len().saturating_sub(LINES));
    let body = view! {
        {said(reading, summary)}
        <div class="map-tools" hidden=move || !some()>
            <input
                type="search"
                aria-label="only regions with these words"
                placeholder="libc  heap  rwxp  deleted"
                prop:value=move || filter.get()
                on:input=move |event| filter.set(event_target_value(&event))
            />
            <Toggle
                text=Signal::stored("by file".to_owned())
                title="adds up the regions of each file"
                on=Signal::from(by_file)
                on_switch=Callback::new(move |on| by_file.set(on))
            />
        </div>
        <table class="plain memory-maps" hidden=move || !some()>
            <thead><tr>{ORDERS.map(|order| head(order, by))}</tr></thead>
            <For each=lines key=Shown::clone children=line />
        </table>
        <p class="dim" hidden=move || !some() || all.with(|all| !all.is_empty())>"No region has these words."</p>
        <p class="dim" hidden=move || more() == 0>
            {move || format!("and {} more: say which in the box above", unit::count(more() as u64))}
        </p>
        {sentences(reading, "lacking", |maps| &maps.missing)}
        <button type="button" class="again" hidden=replayed on:click=move |_| asked.update(|n| *n += 1)>
            "read the regions again"
        </button>
    };
    part("Region by region, as pmap -X", body)
}

fn summary(maps: &MemoryMaps) -> String {
    let all = maps.all;
    let Some(regions) = all.regions else { return String::new() };
    let bytes = |n: Option<u64>| unit::or_unknown(n.map(unit::bytes));
    format!(
        "{} regions, {} of addresses; Rss {}, Pss {}, swap {}",
        unit::count(regions),
        bytes(all.size_bytes),
        bytes(all.rss_bytes),
        bytes(all.pss_bytes),
        bytes(all.swap_bytes)
    )
}

/// Those that have all words, most first.
fn shown(maps: &MemoryMaps, by_file: bool, filter: &str, by: By) -> Vec<Shown> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let has = |one: &Shown| {
        let place = one.host_path.as_deref().unwrap_or_default();
        let gone = if one.deleted { "deleted" } else { "" };
        let text = format!("{} {} {place} {gone}", one.path, one.what).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let all = if by_file { files(maps) } else { maps.rows.iter().map(region).collect() };
    let mut all: Vec<Shown> = all.into_iter().filter(has).collect();
    let at = ORDERS.iter().position(|(order, ..)| *order == by).unwrap_or_default();
    all.sort_by_key(|one| Reverse((one.figures.get(at).copied().flatten(), one.figures)));
    all
}

fn region(row: &MemoryMap) -> Shown {
    let more = [
        (row.offset_bytes > 0).then(|| format!("from {}", unit::bytes(row.offset_bytes))),
        row.private_dirty_bytes.filter(|n| *n > 0).map(|n| format!("changed {}", unit::bytes(n))),
        row.huge_bytes.filter(|n| *n > 0).map(|n| format!("huge {}", unit::bytes(n))),
        row.locked_bytes.filter(|n| *n > 0).map(|n| format!("locked {}", unit::bytes(n))),
    ];
    let more: String = more.into_iter().flatten().map(|text| format!(" · {text}")).collect();
    Shown {
        path: path(row),
        what: format!("{:x}-{:x} {} {}{more}", row.start, row.end, row.permissions, row.kind.name()),
        figures: [row.rss_bytes, row.pss_bytes, row.swap_bytes, Some(row.size_bytes)],
        deleted: row.deleted == Some(true),
        host_path: host_path(row),
    }
}

/// Regions of the same file together; of what is none, by its kind and name.
fn files(maps: &MemoryMaps) -> Vec<Shown> {
    let mut groups: BTreeMap<_, Vec<&MemoryMap>> = BTreeMap::new();
    for row in &maps.rows {
        groups.entry((row.kind, &row.device, row.inode, &row.path)).or_default().push(row);
    }
    let group = |rows: Vec<&MemoryMap>| {
        let first = rows.first()?;
        let sum = MemorySum::of(rows.iter().copied());
        let changed =
            sum.private_dirty_bytes.filter(|n| *n > 0).map(|n| format!(" · changed {}", unit::bytes(n)));
        let s = if rows.len() == 1 { "" } else { "s" };
        Some(Shown {
            path: path(first),
            what: format!(
                "{} region{s} {}{}",
                unit::count(rows.len() as u64),
                first.kind.name(),
                changed.unwrap_or_default()
            ),
            figures: [sum.rss_bytes, sum.pss_bytes, sum.swap_bytes, sum.size_bytes],
            deleted: first.deleted == Some(true),
            host_path: rows.iter().find_map(|row| host_path(row)),
        })
    };
    groups.into_values().filter_map(group).collect()
}

fn path(row: &MemoryMap) -> String {
    match (row.path.is_empty(), row.kind) {
        (true, MapKind::Anonymous) => "anonymous".into(),
        (true, kind) => kind.name().into(),
        (false, _) => unit::printable(&row.path),
    }
}

fn host_path(row: &MemoryMap) -> Option<String> {
    row.host_path.as_ref().filter(|path| **path != row.path).map(|path| unit::printable(path))
}

fn head((order, name, title): (By, &'static str, &'static str), by: RwSignal<By>) -> impl IntoView {
    let sorted = move || if by.get() == order { "descending" } else { "none" };
    view! {
        <th class="number" aria-sort=sorted>
            <button type="button" title=title on:click=move |_| by.set(order)>{name}</button>
        </th>
    }
}

fn line(row: Shown) -> impl IntoView {
    let mark = row.deleted.then(
        || view! { <p class="mark" data-tone="trouble">"deleted: it still runs or reads the old file"</p> },
    );
    let cell = |n: Option<u64>| {
        let quiet = n.is_none_or(|n| n == 0);
        view! { <td class="number" class:dim=quiet>{unit::or_unknown(n.map(unit::bytes))}</td> }
    };
    view! {
        <tbody>
            <tr>
                <td colspan="4">
                    <code class="path">{row.path}</code>
                    <p class="what">{row.what}</p>
                    {mark}
                    {on_the_host(row.host_path)}
                </td>
            </tr>
            <tr class="sums">{row.figures.map(cell)}</tr>
        </tbody>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(start: u64, path: &str, rss: u64, size: u64) -> MemoryMap {
        let kind = if path.is_empty() { MapKind::Anonymous } else { MapKind::File };
        MemoryMap {
            start,
            end: start + size,
            size_bytes: size,
            permissions: "r-xp".into(),
            inode: (!path.is_empty()).then_some(7),
            path: path.into(),
            kind,
            rss_bytes: Some(rss),
            ..MemoryMap::default()
        }
    }

    fn maps() -> MemoryMaps {
        let gone =
            MemoryMap { deleted: Some(true), inode: Some(9), ..row(0x9000, "/tmp/old.so", 1 << 20, 4 << 20) };
        let rows = vec![
            row(0x1000, "/lib/libc.so.6", 300 << 10, 1 << 20),
            row(0x5000, "/lib/libc.so.6", 100 << 10, 2 << 20),
            gone,
            row(0xa000, "", 350 << 10, 1 << 30),
        ];
        MemoryMaps { all: MemorySum::of(&rows), rows, ..MemoryMaps::default() }
    }

    fn paths(all: &[Shown]) -> Vec<(&str, Option<u64>)> {
        all.iter().map(|one| (one.path.as_str(), one.figures[0].map(|n| n >> 10))).collect()
    }

    #[test]
    fn regions_are_sorted_by_what_is_chosen_and_added_up_by_file() {
        let (maps, libc) = (maps(), "/lib/libc.so.6");
        let all = shown(&maps, false, "", By::Rss);
        let told =
            [("/tmp/old.so", Some(1024)), ("anonymous", Some(350)), (libc, Some(300)), (libc, Some(100))];
        assert_eq!(paths(&all), told);
        let by_file = shown(&maps, true, "", By::Rss);
        assert_eq!(
            paths(&by_file),
            [("/tmp/old.so", Some(1024)), (libc, Some(400)), ("anonymous", Some(350))]
        );
        assert!(by_file.iter().any(|one| one.what == "2 regions file"), "{by_file:?}");
        assert_eq!(shown(&maps, false, "", By::Size).first().map(|one| one.path.as_str()), Some("anonymous"));
        assert_eq!(summary(&maps), "4 regions, 1.0 GiB of addresses; Rss 1.7 MiB, Pss –, swap –");
    }

    #[test]
    fn a_filter_takes_words_of_path_rights_kind_and_fate() {
        let maps = maps();
        let found = |filter| shown(&maps, false, filter, By::Rss).len();
        assert_eq!(
            [found("LIBC"), found("libc 5000-"), found("deleted"), found("r-xp"), found("heap")],
            [2, 1, 1, 4, 0]
        );
    }
}
