//! The sockets of the container under the inspector: who listens, who is connected, what was closed lately.

use glasshull_shared::domain::network::{Socket, SocketKey, SocketState};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::key;
use super::part;
use crate::store::socket::{closed_of, of_container, process_text, tone};
use crate::store::{Selection, Store, use_store};
use crate::widget::measure::zone_offset_nanos;

/// Lines of each part; the view Network has all.
const LINES: usize = 100;

const TOPICS: [Topic; 4] = [Topic::Socket, Topic::SocketStat, Topic::ClosedSocket, Topic::Netns];

/// The tab.
pub(super) fn sockets(selection: Selection) -> AnyView {
    let (store, id) = (use_store(), key(&selection).id);
    // Only while this tab is open: the agent listens in its namespace for it.
    store.want_here(&TOPICS);
    let all = {
        let id = id.clone();
        Memo::new(move |_| store.read(&[Topic::Socket, Topic::Netns], |s| of_container(s, &id)))
    };
    let waits = |row: &Socket| matches!(row.state, SocketState::Listen | SocketState::Unconnected);
    let some = move |waiting: bool| {
        move || {
            all.with(|keys| {
                let row = |key: &&SocketKey| store.with(|s| s.socket.get(*key).map(|row| waits(row)));
                keys.iter().filter(|key| row(key) == Some(waiting)).copied().collect::<Vec<_>>()
            })
        }
    };
    view! {
        {part("Listening", open(store, some(true), "Nothing listens."))}
        {part("Connected", open(store, some(false), "It has no connection now."))}
        {part("Closed lately", closed(store, id))}
    }
    .into_any()
}

fn open(
    store: Store,
    keys: impl Fn() -> Vec<SocketKey> + Send + Sync + 'static,
    none: &'static str,
) -> impl IntoView {
    let keys = Memo::new(move |_| keys());
    let shown = move || keys.with(|keys| keys.iter().take(LINES).copied().collect::<Vec<_>>());
    let line = move |key: SocketKey| {
        let of = move |f: fn(&Socket) -> String| {
            move || store.read(&[Topic::Socket], |s| s.socket.get(&key).map(|row| f(row)).unwrap_or_default())
        };
        let state_tone = move || {
            store
                .read(&[Topic::Socket], |s| s.socket.get(&key).map(|row| tone(row.state)).unwrap_or_default())
        };
        let rtt = move || {
            let rtt = store.read(&[Topic::SocketStat], |s| s.socket_stat.get(&key)?.rtt_nanos);
            rtt.map(unit::latency).unwrap_or_default()
        };
        view! {
            <tr>
                <td>{of(|row| row.protocol.name().to_owned())}</td>
                <td class="code" data-tone=state_tone>{of(|row| row.state.name().to_owned())}</td>
                <td class="code end">{of(ends)}</td>
                <td>{of(|row| process_text(row.comm.as_deref(), row.pid).unwrap_or_default())}</td>
                <td class="number">{rtt}</td>
            </tr>
        }
    };
    let more = move || more(keys.with(Vec::len), none);
    view! {
        <table class="plain sockets">
            <tbody>
                <For each=shown key=|key| *key let:key>{line(key)}</For>
            </tbody>
        </table>
        <p class="dim" hidden=move || more().is_empty()>{more}</p>
    }
}

/// Both ends in one cell: the inspector is narrow.
fn ends(row: &Socket) -> String {
    match &row.remote {
        Some(remote) => format!("{} → {remote}", row.local),
        None => row.local.clone(),
    }
}

fn more(all: usize, none: &str) -> String {
    match all {
        0 => none.to_owned(),
        n if n > LINES => format!("and {} more, in the view Network", unit::count((n - LINES) as u64)),
        _ => String::new(),
    }
}

fn closed(store: Store, id: String) -> impl IntoView {
    let rows = Memo::new(move |_| {
        store.read(&[Topic::ClosedSocket, Topic::Netns], |s| {
            let mut all = 0;
            let mut rows = Vec::new();
            for (key, row) in closed_of(s, &id) {
                all += 1;
                if rows.len() < LINES {
                    let at = row.closed_at.saturating_add_signed(zone_offset_nanos());
                    let size = |bytes: Option<u64>| unit::or_unknown(bytes.map(unit::bytes));
                    rows.push((
                        key.sequence,
                        unit::time_of_day(at),
                        format!("{} → {}", row.local, row.remote),
                        size(row.received_bytes),
                        size(row.sent_bytes),
                    ));
                }
            }
            (rows, all)
        })
    });
    let more = move || more(rows.with(|rows| rows.1), "None has ended since you look here.");
    view! {
        <table class="plain sockets">
            <thead hidden=move || rows.with(|rows| rows.1 == 0)>
                <tr>
                    <th>"ended"</th>
                    <th>"ends"</th>
                    <th class="number">"received"</th>
                    <th class="number">"sent"</th>
                </tr>
            </thead>
            <tbody>
                <For each=move || rows.get().0 key=|row| row.clone() let:row>
                    <tr>
                        <td class="code">{row.1}</td>
                        <td class="code end">{row.2}</td>
                        <td class="number">{row.3}</td>
                        <td class="number">{row.4}</td>
                    </tr>
                </For>
            </tbody>
        </table>
        <p class="dim" hidden=move || more().is_empty()>{more}</p>
    }
}
