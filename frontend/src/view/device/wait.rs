//! Who waits uninterruptibly: a strip of the last minutes per process that was in D, with what it waited in, also when it has
//! ended since.

use std::fmt::Write as _;
use std::sync::Arc;

use glasshull_shared::domain::container::ContainerState;
use glasshull_shared::domain::process::{ABSENT, LOOKS_PER_SEC, ProcessKey, STRIP_SECS, Waiter};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::lookup::{container, container_name};
use crate::store::network::trouble_of;
use crate::store::{Selection, Store, use_choice, use_store};

const TOPICS: [Topic; 2] = [Topic::Waiter, Topic::Container];
/// Strips drawn at most: those that waited last.
const DRAWN: usize = 100;

/// The page.
pub(super) fn page() -> AnyView {
    let store = use_store();
    store.want_here(&TOPICS);
    let keys = Memo::new(move |_| store.read(&[Topic::Waiter, Topic::Container], order));
    let empty = move || {
        let told = store.read(&[Topic::Source], |s| trouble_of(s, Topic::Waiter));
        let quiet = "Nobody has waited uninterruptibly (state D) since this was opened. It is looked at five times a second.";
        let reads = if store.is_fresh(Topic::Waiter) { quiet } else { "Reading…" };
        told.unwrap_or_else(|| reads.to_owned())
    };
    let total = move || {
        let (now, frozen, all) = store.read(&[Topic::Waiter, Topic::Container], |s| {
            let count = |is: &dyn Fn(&Waiter) -> bool| s.waiter.values().filter(|row| is(row)).count() as u64;
            (count(&|row| row.waits), count(&|row| is_frozen(s, row)), s.waiter.len() as u64)
        });
        let frozen =
            if frozen > 0 { format!(" ({} of them frozen)", unit::count(frozen)) } else { String::new() };
        let (now, all, mins) = (unit::count(now), unit::count(all), STRIP_SECS / 60);
        format!("{now} wait now{frozen}, {all} did in the last {mins} min")
    };
    view! {
        <div class="waiters" tabindex="0" role="region" aria-label="Who waits">
            <ul>
                <For each=move || keys.get() key=|key| *key children=move |key| waiter(store, key) />
            </ul>
            {move || keys.with(Vec::is_empty).then(|| view! { <p class="dim">{empty}</p> })}
        </div>
        <p class="totals">
            <span>{total}</span>
            <span class="dim">"one bar a second, as high as the share of five looks that found it in D"</span>
        </p>
    }
    .into_any()
}

/// Whether it waits for nothing but that its container goes on.
fn is_frozen(s: &Snapshot, row: &Waiter) -> bool {
    let container = row.container.as_deref().and_then(|id| container(s, id));
    row.waits && container.is_some_and(|container| container.state == ContainerState::Paused)
}

/// Those that waited last first, the frozen behind all others.
fn order(s: &Snapshot) -> Vec<ProcessKey> {
    let last =
        |row: &Waiter| row.since_secs + row.strip.iter().rposition(|cell| waited(*cell)).unwrap_or(0) as u64;
    let place = |row: &Waiter| (is_frozen(s, row), std::cmp::Reverse(last(row)));
    let mut keys: Vec<_> = s.waiter.iter().map(|(key, row)| (place(row), *key)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| key).take(DRAWN).collect()
}

fn waited(cell: u8) -> bool {
    cell != ABSENT && cell > 0
}

fn waiter(store: Store, key: ProcessKey) -> impl IntoView {
    let choice = use_choice();
    let row = Memo::new(move |_| store.read(&[Topic::Waiter], |s| s.waiter.get(&key).cloned()));
    let of =
        move |f: fn(&Waiter) -> String| move || row.with(|row| row.as_deref().map(f).unwrap_or_default());
    let whose = move || {
        let id = row.with(|row| row.as_deref().and_then(|row| row.container.clone()));
        id.map_or_else(|| "host".to_owned(), |id| unit::printable(&store.with(|s| container_name(s, &id))))
    };
    let bars = Memo::new(move |_| {
        let now = store.tick().get().at / 1_000_000_000;
        row.with(|row| row.as_deref().map(|row| drawn(row, now)).unwrap_or_default())
    });
    let (waits, there) = (move || bars.with(|bars| bars.0.clone()), move || bars.with(|bars| bars.1.clone()));
    let frozen = Memo::new(move |_| {
        row.with(|row| {
            let row = row.as_deref()?;
            Some(store.read(&[Topic::Container], |s| is_frozen(s, row)))
        })
        .unwrap_or_default()
    });
    let tone = move || {
        let waits = row.with(|row| row.as_deref().is_some_and(|row| row.waits));
        (waits && !frozen.get()).then_some("trouble")
    };
    let state = move || {
        let frozen = frozen.get();
        row.with(|row| row.as_deref().map(|row| state(row, frozen)).unwrap_or_default())
    };
    let stack = move || {
        row.with(|row| {
            let row: &Arc<Waiter> = row.as_ref()?;
            (!row.stack.is_empty())
                .then(|| view! { <p class="stack-frames"><code>{row.stack.join(" ← ")}</code></p> })
        })
    };
    let href = move || choice.selection_link(&Selection::Process(key));
    view! {
        <li>
            <p class="who">
                <a href=href><b data-tone=tone>{of(|row| unit::printable(&row.comm))}</b>" "{key.pid}</a>
                <span>{whose}</span>
                <span class="dim">{state}</span>
                <code>{of(channels)}</code>
            </p>
            <svg viewBox=format!("0 0 {STRIP_SECS} 10") preserveAspectRatio="none" role="img" aria-label="in D, last minutes">
                <path class="there" d=there></path>
                <path class="waits" d=waits></path>
            </svg>
            {stack}
        </li>
    }
}

fn state(row: &Waiter, frozen: bool) -> String {
    let looks = row.strip.iter().filter(|cell| waited(**cell)).map(|cell| u32::from(*cell)).sum::<u32>();
    let secs = f64::from(looks) / f64::from(LOOKS_PER_SEC);
    let now = match (row.ended, row.waits) {
        (true, _) => "ended",
        (false, true) if frozen => "frozen: its container is paused",
        (false, true) => "waits now",
        (false, false) => "goes on",
    };
    format!("{now}, {secs:.1} s in D of {} s", row.strip.len())
}

fn channels(row: &Waiter) -> String {
    let all: u32 = row.channels.iter().map(|(_, looks)| looks).sum();
    let one = |(name, looks): &(String, u32)| {
        let share = if *looks == all { String::new() } else { format!(" {} %", looks * 100 / all.max(1)) };
        format!("{}{share}", unit::printable(name))
    };
    row.channels.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Paths of where it waited and where it was there, the newest second at the right edge.
fn drawn(row: &Waiter, now: u64) -> (String, String) {
    let (mut waits, mut there) = (String::new(), String::new());
    for (i, cell) in row.strip.iter().enumerate() {
        let age = now.saturating_sub(row.since_secs + i as u64);
        let Some(x) = (STRIP_SECS as u64).checked_sub(age + 1) else { continue };
        if waited(*cell) {
            let high = f32::from(*cell) / f32::from(LOOKS_PER_SEC) * 9.0;
            let _ = write!(waits, "M{x} 9v-{high:.1}h1v{high:.1}z");
        }
        if *cell != ABSENT {
            let _ = write!(there, "M{x} 9h1v1h-1z");
        }
    }
    (waits, there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::{Container, ContainerKey};

    fn row(since_secs: u64, strip: &[u8]) -> Waiter {
        Waiter { since_secs, strip: strip.to_vec(), ..Waiter::default() }
    }

    #[test]
    fn the_newest_second_is_at_the_right_and_what_was_not_there_is_not_drawn() {
        let (waits, there) = drawn(&row(100, &[5, 0, ABSENT]), 102);
        assert_eq!(waits, format!("M{} 9v-9.0h1v9.0z", STRIP_SECS - 3));
        assert_eq!(there, format!("M{} 9h1v1h-1zM{} 9h1v1h-1z", STRIP_SECS - 3, STRIP_SECS - 2));
        assert_eq!(drawn(&row(100, &[5]), 100 + STRIP_SECS as u64), (String::new(), String::new()));
    }

    #[test]
    fn who_waited_last_stands_first() {
        let mut s = Snapshot::default();
        for (pid, strip) in [(1, &[5, 0, 0][..]), (2, &[0, 0, 1]), (3, &[0, 5, ABSENT])] {
            s.waiter.insert(ProcessKey { pid, start_time: 1 }, Arc::new(row(100, strip)));
        }
        assert_eq!(order(&s).iter().map(|key| key.pid).collect::<Vec<_>>(), [2, 3, 1]);
        assert_eq!(state(&row(100, &[5, 5, ABSENT]), false), "goes on, 2.0 s in D of 3 s");
    }

    #[test]
    fn the_processes_of_a_paused_container_stand_behind_those_that_wait_for_something() {
        let mut s = Snapshot::default();
        for (pid, container, strip) in
            [(1, "paused", &[0, 5][..]), (2, "runs", &[5, 0]), (3, "gone", &[4, 0])]
        {
            let waiter = Waiter { container: Some(container.into()), waits: true, ..row(100, strip) };
            s.waiter.insert(ProcessKey { pid, start_time: 1 }, Arc::new(waiter));
        }
        for (id, state) in [("paused", ContainerState::Paused), ("runs", ContainerState::Running)] {
            let row = Container { state, ..Container::default() };
            s.container.insert(ContainerKey { id: id.into() }, Arc::new(row));
        }
        assert_eq!(order(&s).iter().map(|key| key.pid).collect::<Vec<_>>(), [2, 3, 1]);
        let waiter = Waiter { waits: true, ..row(100, &[5]) };
        assert_eq!(state(&waiter, true), "frozen: its container is paused, 1.0 s in D of 1 s");
    }
}
