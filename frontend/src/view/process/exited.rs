//! What lived too short for a tick: a count per second, and on demand the latest processes that ended.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::process::ExitedProcess;
use glasshull_shared::domain::source::SourceKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::lookup::container_name;
use crate::store::{Store, use_choice, use_store};
use crate::widget::measure::zone_offset_nanos;

/// Latest ends shown.
const SHOWN: usize = 60;

/// The strip under the table.
pub(super) fn strip() -> impl IntoView {
    let (store, choice) = (use_store(), use_choice());
    store.want_here(&[Topic::HostStat, Topic::Source]);
    let open = choice.param("ended");
    let is_open = move || open.with(Option::is_some);
    let switch = move |_| choice.set_param("ended", (!is_open()).then(|| "1".to_owned()));
    view! {
        <section class="exited" class:open=is_open>
            <button type="button" class="exited-head" aria-expanded=move || is_open().to_string() on:click=switch>
                <span class="fold" aria-hidden="true">{move || if is_open() { "▾" } else { "▸" }}</span>
                <span>"Short-lived"</span>
                <span class="exited-figures">{move || figures(store)}</span>
            </button>
            {move || is_open().then(|| list(store))}
        </section>
    }
}

fn figures(store: Store) -> String {
    store.read(&[Topic::HostStat, Topic::Source], |s| {
        let stat = s.host_stat.get(&Single);
        let rate = |f: Option<f32>| f.map_or_else(|| unit::UNKNOWN.into(), |n| unit::per_sec(f64::from(n)));
        match stat.and_then(|h| h.short_lived.map(|n| (n, h))) {
            Some((total, h)) => format!(
                "{} between two ticks, {} since watching began · {} forks",
                rate(h.short_lived_per_sec),
                unit::count(total),
                rate(h.forks_per_sec)
            ),
            None => why_unseen(s),
        }
    })
}

fn why_unseen(snapshot: &Snapshot) -> String {
    let source = snapshot.source.get(&SourceKey { name: "process_events".into() });
    let part = |text: Option<&String>| text.map(|t| format!(" {t}")).unwrap_or_default();
    match source {
        Some(s) if s.reason.is_some() => {
            format!("not seen:{}{}", part(s.reason.as_ref()), part(s.remedy.as_ref()))
        }
        Some(_) | None => "not seen yet".into(),
    }
}

fn list(store: Store) -> impl IntoView {
    store.want_here(&[Topic::ExitedProcess]);
    let rows = move || {
        store.read(&[Topic::ExitedProcess, Topic::Container], |s| {
            let latest = s.exited_process.iter().rev().take(SHOWN);
            latest.map(|(_, row)| entry(s, row)).collect_view()
        })
    };
    let none = move || {
        store.read(&[Topic::ExitedProcess], |s| s.exited_process.is_empty()).then(|| {
            view! { <p class="exited-none">"No process has ended since watching began."</p> }
        })
    };
    view! {
        <div class="exited-list" tabindex="0" aria-label="Processes that ended, latest first">
            <table>
                <thead>
                    <tr>
                        <th>"ended"</th>
                        <th class="number">"pid"</th>
                        <th class="number">"lived"</th>
                        <th>"end"</th>
                        <th>"container"</th>
                        <th>"command"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            {none}
        </div>
    }
}

fn entry(snapshot: &Snapshot, row: &ExitedProcess) -> impl IntoView + use<> {
    let at = unit::time_of_day(row.exited_at.saturating_add_signed(zone_offset_nanos()));
    let (end, bad) = end(row);
    let container = row.container.as_deref().map_or_else(|| "host".into(), |id| container_name(snapshot, id));
    let command = row.cmdline.clone().or_else(|| row.comm.clone());
    let command = command.unwrap_or_else(|| "gone before it could be read".into());
    let full: String = command.chars().take(600).collect();
    let lived = unit::or_unknown(row.lifetime_nanos.map(unit::duration));
    view! {
        <tr class:short=row.short_lived>
            <td>{at}</td>
            <td class="number">{row.pid}</td>
            <td class="number" title=if row.short_lived { "no table ever showed it" } else { "" }>{lived}</td>
            <td class:bad=bad>{end}</td>
            <td>{container}</td>
            <td class="code" title=full>{command}</td>
        </tr>
    }
}

/// How it ended, and whether that is bad.
fn end(row: &ExitedProcess) -> (String, bool) {
    match (row.signal, row.exit_code) {
        (Some(signal), _) => (format!("signal {signal}"), true),
        (None, Some(0)) => ("0".into(), false),
        (None, Some(code)) => (format!("exit {code}"), true),
        (None, None) => (unit::UNKNOWN.into(), false),
    }
}
