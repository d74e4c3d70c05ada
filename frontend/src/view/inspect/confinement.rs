//! What confines the container or process under the inspector: where it is not as declared, capabilities in groups, both
//! sides beside each other, limits.

use glasshull_shared::domain::confinement::{Confinement, Declared, Effective};
use glasshull_shared::domain::process::ProcessDetail;
use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

use super::container::key;
use super::part;
use crate::store::confinement::{
    CapGroup, Line, capability_counts, capability_groups, confinement as row_of, difference_line,
    limit_lines, lines, mode_lines,
};
use crate::store::network::trouble_of;
use crate::store::{Selection, use_store};

/// The tab of a container.
pub(super) fn confinement(selection: Selection) -> AnyView {
    let (store, id) = (use_store(), key(&selection).id);
    store.want_here(&[Topic::Confinement, Topic::Source]);
    // Rows stay the same allocation while nothing changes: what is drawn stays too.
    let row = Memo::new(move |_| store.read(&[Topic::Confinement], |s| row_of(s, &id).cloned()));
    let trouble = Memo::new(move |_| store.read(&[Topic::Source], |s| trouble_of(s, Topic::Confinement)));
    view! {
        {move || match row.get() {
            Some(row) => of_container(&row),
            None => view! { <p class="dim">"not read yet"</p> }.into_any(),
        }}
        <p class="lacking" hidden=move || trouble.with(Option::is_none)>{move || trouble.get().unwrap_or_default()}</p>
    }
    .into_any()
}

fn of_container(row: &Confinement) -> AnyView {
    let (held, told) = (row.effective.as_ref(), row.declared.as_ref());
    let modes = told.map(|told| part("Namespaces it was to have", pairs(mode_lines(told), &HEADINGS[..2])));
    view! {
        {part("Differences", differences(row))}
        {held.map(capabilities)}
        {part("Declared and effective", pairs(lines(held, told), &HEADINGS))}
        {modes}
        {held.map(|held| part("Limits", limits(held, told)))}
        {held.filter(|held| !held.devices.is_empty()).map(|held| part("Devices", list(&held.devices)))}
        {told.and_then(|told| told.masked_paths.as_ref()).map(|paths| part("Masked paths", list(paths)))}
    }
    .into_any()
}

/// The tab of a process: nobody declared anything for it alone.
pub(super) fn of_process(detail: &ProcessDetail) -> AnyView {
    let Some(held) = &detail.confinement else {
        return view! { <p class="dim">"/proc/PID/status could not be read"</p> }.into_any();
    };
    view! {
        {capabilities(held)}
        {part("Effective", facts(lines(Some(held), None)))}
        {part("Limits", limits(held, None))}
        {(!held.devices.is_empty()).then(|| part("Devices", list(&held.devices)))}
    }
    .into_any()
}

const HEADINGS: [&str; 3] = ["", "declared", "effective"];

fn differences(row: &Confinement) -> AnyView {
    let why = match (&row.effective, &row.declared) {
        (_, None) => "Nothing to compare with: no engine told what was declared.",
        (None, Some(_)) => "Nothing to compare with: it does not run, or its status cannot be read.",
        (Some(_), Some(_)) if row.differences.is_empty() => "● none: as declared",
        (Some(_), Some(_)) => return pairs(row.differences.iter().map(difference_line).collect(), &HEADINGS),
    };
    let tone = if why.starts_with('●') { "fine" } else { "" };
    view! { <p class="verdict" data-tone=tone>{why}</p> }.into_any()
}

/// Declared beside effective.
fn pairs(lines: Vec<Line>, headings: &[&'static str]) -> AnyView {
    let both = headings.len() > 2;
    let cell = |side: Option<String>, tone: &'static str| match side {
        Some(text) => view! { <td class="code" data-tone=tone>{text}</td> }.into_any(),
        None => view! { <td data-tone="unknown" title="not told">"–"</td> }.into_any(),
    };
    let row = move |line: Line| {
        view! {
            <tr title=line.title>
                <td>{line.what}</td>
                {cell(line.declared, if both { "" } else { line.tone })}
                {both.then(|| cell(line.effective, line.tone))}
            </tr>
        }
    };
    view! {
        <table class="plain confined">
            <thead><tr>{headings.iter().map(|text| view! { <th>{*text}</th> }).collect_view()}</tr></thead>
            <tbody>{lines.into_iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// One side alone.
fn facts(lines: Vec<Line>) -> AnyView {
    let known = lines.into_iter().filter(|line| line.effective.is_some());
    let row = |line: Line| {
        view! {
            <tr title=line.title>
                <td>{line.what}</td>
                <td class="code" data-tone=line.tone>{line.effective}</td>
            </tr>
        }
    };
    view! { <table class="plain confined"><tbody>{known.map(row).collect_view()}</tbody></table> }.into_any()
}

fn capabilities(held: &Effective) -> AnyView {
    let Some(caps) = &held.capabilities else {
        return part("Capabilities", view! { <p class="dim">"/proc/PID/status does not tell"</p> });
    };
    let group = |group: CapGroup| {
        let name = |name: String| {
            view! { <li data-tone=group.tone>{group.mark}{name}</li> }
        };
        view! {
            <dt title=group.meaning>{group.title}</dt>
            <dd><ul class="caps">{group.names.into_iter().map(name).collect_view()}</ul></dd>
        }
    };
    let groups = capability_groups(caps, held.host_users).into_iter().map(group).collect_view();
    part(
        "Capabilities",
        view! {
            <p class="dim counts">{capability_counts(caps)}</p>
            <dl class="cap-groups">{groups}</dl>
        },
    )
}

fn limits(held: &Effective, told: Option<&Declared>) -> AnyView {
    let all = limit_lines(held, told);
    let declared = all.iter().any(|line| !line.declared.is_empty());
    let rows = all.into_iter().map(move |line| {
        view! {
            <tr>
                <td class="code">{line.name}</td>
                <td class="number">{line.soft}</td>
                <td class="number">{line.hard}</td>
                {declared.then(|| view! { <td class="number">{line.declared}</td> })}
            </tr>
        }
    });
    view! {
        <table class="plain">
            <thead>
                <tr>
                    <th>"limit"</th>
                    <th class="number">"soft"</th>
                    <th class="number">"hard"</th>
                    {declared.then(|| view! { <th class="number">"declared"</th> })}
                </tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

fn list(entries: &[String]) -> AnyView {
    let entries = entries.iter().map(|entry| view! { <li><code>{entry.clone()}</code></li> }).collect_view();
    view! { <ul class="lines">{entries}</ul> }.into_any()
}
