//! Who has files on the device or mount under the inspector: why it cannot be unmounted, who reads and writes there. Looked at again
//! while it is open, each time with two looks of the agent, for the rates.

use glasshull_shared::domain::file::{FileHolder, FileHolders, HeldPlace};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Question};
use leptos::prelude::*;

use super::answer::{ask_at, beat, on_the_host, said, sentences};
use crate::store::lookup::container_name;
use crate::store::{Selection, Store, use_choice, use_store};

/// Time between two questions, nanoseconds: each walks the descriptors of all processes.
const BEAT: u64 = 10_000_000_000;
/// Lines drawn at most.
const LINES: usize = 200;

/// A process as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shown {
    process: Selection,
    comm: String,
    pid: u32,
    container: Option<String>,
    what: String,
    growth: String,
    /// It keeps the very mount from being unmounted.
    holds_up: bool,
    largest: Option<String>,
    host_path: Option<String>,
}

/// The list.
pub(super) fn holders(place: HeldPlace) -> AnyView {
    let store = use_store();
    store.want_here(&[Topic::Container]);
    let read = |answer: &Answer, _: Option<&FileHolders>| {
        answer.opened(|answer| if let Answer::Holders(found) = answer { Some(found) } else { None })
    };
    let looks = ask_at(store, beat(store, BEAT), Question::Holders(place), read);
    let lines = move || {
        looks.with(|look| match look {
            Some(Ok(found)) => found.rows.iter().take(LINES).map(|row| shown(store, row)).collect(),
            Some(Err(_)) | None => Vec::new(),
        })
    };
    view! {
        {said(looks, summary)}
        <ul class="open-files holders">
            <For each=lines key=Shown::clone children=line />
        </ul>
        {sentences(looks, "held-otherwise", |found| &found.others)}
        {sentences(looks, "lacking", |found| &found.missing)}
    }
    .into_any()
}

fn summary(found: &FileHolders) -> String {
    let most = match found.rows.len() {
        0 => "No process holds anything there".to_owned(),
        1 => "1 process holds something there".to_owned(),
        n => format!("{} processes hold something there", unit::count(n as u64)),
    };
    let more = found.rows.len().saturating_sub(LINES);
    let more = if more > 0 { format!("; {} not listed", unit::count(more as u64)) } else { String::new() };
    let (processes, descriptors) = (unit::count(found.looked_at), unit::count(found.descriptors));
    format!("{most}; {processes} processes with {descriptors} descriptors looked at, again every 10 s{more}")
}

fn shown(store: Store, row: &FileHolder) -> Shown {
    let size = row.largest_bytes.map(|n| format!(", {}", unit::bytes(n))).unwrap_or_default();
    Shown {
        process: Selection::Process(row.key()),
        comm: unit::printable(&row.comm),
        pid: row.pid,
        container: row
            .container
            .as_ref()
            .map(|id| store.read(&[Topic::Container], |s| unit::printable(&container_name(s, id)))),
        what: what(row),
        growth: growth(row),
        holds_up: row.here.is_some_and(|n| n > 0),
        largest: row.largest.as_ref().map(|path| format!("{}{size}", unit::printable(path))),
        host_path: row
            .largest_host
            .as_ref()
            .filter(|path| Some(*path) != row.largest.as_ref())
            .map(|path| unit::printable(path)),
    }
}

/// What it holds, in words.
fn what(row: &FileHolder) -> String {
    let some = |n: u32, one: &str, many: &str| {
        (n > 0).then(|| format!("{} {}", unit::count(n.into()), if n == 1 { one } else { many }))
    };
    let written = if row.written > 0 {
        format!(" ({} to write)", unit::count(row.written.into()))
    } else {
        String::new()
    };
    let parts = [
        some(row.descriptors, "open file", "open files").map(|text| format!("{text}{written}")),
        some(row.nodes, "descriptor of the device itself", "descriptors of the device itself"),
        some(row.mapped, "mapped file", "mapped files"),
        row.cwd.then(|| "working directory".to_owned()),
        row.root.then(|| "root".to_owned()),
        row.exe.then(|| "program".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn growth(row: &FileHolder) -> String {
    let rate = |n: f32| unit::bytes_per_sec(f64::from(n.abs()));
    let sign = if row.size_per_sec.is_some_and(|n| n < 0.0) { "−" } else { "+" };
    let parts = [
        row.size_per_sec.filter(|n| *n != 0.0).map(|n| format!("grows {sign}{}", rate(n))),
        row.position_per_sec.filter(|n| *n > 0.0).map(|n| format!("moves {}", rate(n))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn line(row: Shown) -> impl IntoView {
    let choice = use_choice();
    let target = row.process;
    let growth = (!row.growth.is_empty()).then(|| view! { <b class="growth">{row.growth}</b> });
    let holds_up = row.holds_up.then(|| {
        view! { <span data-tone="attention" title="while it does, this mount cannot be unmounted">"on this mount"</span> }
    });
    let largest = row.largest.map(|text| {
        view! { <p class="host">"largest " <code>{text}</code></p> }
    });
    view! {
        <li>
            <p class="figures">
                <a class="path" href=move || choice.selection_link(&target)>{row.comm}</a>
                <span>{format!("pid {}", row.pid)}</span>
                <span>{row.container.unwrap_or_else(|| "host".into())}</span>
                {growth}
            </p>
            <p class="figures"><span>{row.what}</span>{holds_up}</p>
            {largest}
            {on_the_host(row.host_path)}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_in_words() {
        let row = FileHolder {
            descriptors: 5,
            written: 2,
            mapped: 1,
            cwd: true,
            size_per_sec: Some(-2e6),
            position_per_sec: Some(1e3),
            ..FileHolder::default()
        };
        assert_eq!(what(&row), "5 open files (2 to write) · 1 mapped file · working directory");
        assert_eq!(growth(&row), "grows −2.0 MB/s, moves 1.0 kB/s");
        assert_eq!(growth(&FileHolder { size_per_sec: Some(0.0), ..FileHolder::default() }), "");
        let found =
            FileHolders { rows: vec![row], looked_at: 1200, descriptors: 34_000, ..FileHolders::default() };
        let told = "1 process holds something there; 1,200 processes with 34,000 descriptors looked at, again every 10 s";
        assert_eq!(summary(&found), told);
    }
}
