//! Findings: what somebody should know about this host, the gravest first, each rule with what it means, how it is checked by hand
//! and how it is mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::filter_box;
use crate::store::filter::Query;
use crate::store::finding::{FIELDS, counts, groups, of_group, passing, selection, sign, unseen};
use crate::store::{Store, use_choice, use_store};
use crate::widget::copy::CopyButton;
use crate::widget::measure::zone_offset_nanos;

/// The findings that pass the filter.
type Shown = Memo<Arc<BTreeSet<FindingKey>>>;

/// The view.
pub(super) fn render() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, &FIELDS)));
    let shown: Shown = Memo::new(move |_| {
        query.with(|(query, _)| store.read(&[Topic::Finding], |s| Arc::new(passing(s, query))))
    });
    let all = Memo::new(move |_| store.read(&[Topic::Finding], |s| shown.with(|shown| groups(s, shown))));
    let none = move || {
        let some = store.read(&[Topic::Finding], |s| !s.finding.is_empty());
        (some && all.with(Vec::is_empty)).then_some("Nothing passes the filter. Esc in its box empties it.")
    };
    view! {
        <div class="view findings">
            <div class="toolbar">
                {filter_box(choice, "severity:trouble  kind:container  web  rule:capab", &FIELDS, query)}
            </div>
            <div class="findings-body">
                {summary(store)}
                <For each=move || all.get() key=|group| *group children=move |group| rule(store, shown, group) />
                <p class="dim">{none}</p>
                {blind(store)}
            </div>
        </div>
    }
    .into_any()
}

/// How many, or that nothing was found and what was looked at.
fn summary(store: Store) -> impl IntoView {
    let text = move || {
        if !store.is_fresh(Topic::Finding) {
            return "Waiting for the first judgement: the agent makes one every five seconds.".to_owned();
        }
        let [trouble, attention, info] =
            store.read(&[Topic::Finding], |s| counts(s.finding.values().map(|row| &**row)));
        let rules = Rule::ALL.len();
        if trouble + attention + info == 0 {
            return format!("Nothing found. {rules} rules were looked at, every five seconds.");
        }
        format!(
            "{trouble} of trouble, {attention} that ask for attention, {info} good to know; by {rules} rules, looked at every five seconds."
        )
    };
    view! { <p class="findings-summary">{text}</p> }
}

/// A rule and whom it was met by.
fn rule(store: Store, shown: Shown, (severity, rule): (Severity, Rule)) -> impl IntoView {
    let choice = use_choice();
    let text = rule.text();
    let (shape, tone) = sign(severity);
    let rows = Memo::new(move |_| {
        let mut rows = store.read(&[Topic::Finding], |s| of_group(s, (severity, rule)));
        shown.with(|shown| rows.retain(|(key, _)| shown.contains(key)));
        rows
    });
    let asked = choice.param("rule");
    let is_asked = move || asked.with(|asked| asked.as_deref() == Some(text.name));
    // What is merely good to know opens when it is asked for.
    let open = move || severity > Severity::Info || is_asked();
    let count = move || rows.with(|rows| (rows.len() > 1).then(|| format!("{} ×", rows.len())));
    view! {
        <details class="finding-rule" class:is-asked=is_asked open=open data-rule=text.name data-severity=severity.name()>
            <summary>
                <span class="badge" data-tone=tone>
                    <span class="badge-shape" aria-hidden="true">{shape}</span>
                    {severity.name()}
                </span>
                <b>{text.title}</b>
                <span class="finding-count">{count}</span>
                <span class="finding-names">{move || rows.with(|rows| names(rows))}</span>
            </summary>
            <p class="finding-meaning">{text.meaning}</p>
            <div class="finding-rows">{move || rows.get().into_iter().map(|row| finding(store, row)).collect_view()}</div>
        </details>
    }
}

/// Names of the first few, for a rule that is closed.
fn names(rows: &[(FindingKey, Finding)]) -> String {
    let names: Vec<&str> = rows.iter().take(6).map(|(_, row)| row.name.as_str()).collect();
    let more = if rows.len() > 6 { "…" } else { "" };
    format!("{}{more}", names.join(", "))
}

fn finding(store: Store, (key, row): (FindingKey, Finding)) -> impl IntoView {
    let choice = use_choice();
    let name = match selection(&key.subject) {
        Some(selection) => {
            let name = row.name.clone();
            view! { <a href=move || choice.selection_link(&selection)>{name}</a> }.into_any()
        }
        None => view! { <b>{row.name.clone()}</b> }.into_any(),
    };
    let (check, mend, raised_at) = (row.check(key.rule), row.mend(key.rule), row.raised_at);
    let since = move || {
        let now = store.tick().get().at;
        let local = |at: u64| at.saturating_add_signed(zone_offset_nanos());
        format!("seen since {}", unit::since(local(raised_at), local(now)))
    };
    let facts = row.evidence.into_iter().map(|one| {
        view! {
            <tr>
                <th scope="row">{one.label}</th>
                <td>{one.value}</td>
                <td class="finding-source">{one.source}</td>
            </tr>
        }
    });
    view! {
        <article class="finding">
            <h3>
                <span class="finding-kind">{key.subject.kind()}</span>
                {name}
                <span class="finding-since">{since}</span>
            </h3>
            <table class="finding-evidence">
                <tbody>{facts.collect_view()}</tbody>
            </table>
            <p class="finding-check">
                <span class="finding-word">"check"</span>
                <code>{check.clone()}</code>
                <CopyButton text=Signal::stored(check) label="copy the command" />
            </p>
            <p class="finding-mend">
                <span class="finding-word">"mend"</span>
                <span>{mend}</span>
            </p>
        </article>
    }
}

/// What could not be judged for lack of something.
fn blind(store: Store) -> impl IntoView {
    move || {
        let lacking = store.read(&[Topic::Source], unseen);
        (!lacking.is_empty()).then(|| {
            let row = |(name, why, rules): (String, String, Vec<&'static str>)| {
                view! {
                    <li>
                        <code>{name}</code>
                        <span>{unit::printable(&why)}</span>
                        <span class="dim">{format!("So this may be so unseen: {}.", rules.join("; "))}</span>
                    </li>
                }
            };
            view! {
                <section class="findings-blind">
                    <h2>"Not seen whole"</h2>
                    <ul>{lacking.into_iter().map(row).collect_view()}</ul>
                </section>
            }
        })
    }
}
