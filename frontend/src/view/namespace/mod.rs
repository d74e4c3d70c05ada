//! Namespaces: a matrix of how far each container is apart from the host, and all namespaces there are with what keeps them
//! alive.

mod all;
mod matrix;

use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::snapshot::Snapshot;
use leptos::prelude::*;

use super::sheet::{Page, Sheet, pages};
use crate::store::Selection;
use crate::store::lookup::process_of_pid;
use crate::store::namespace::{Subject, meaning};

static SHEETS: [&Sheet<LineKey>; 2] = [&matrix::SHEET, &all::SHEET];
const NAMES: &[(&str, &str)] = &[("", "Matrix"), ("all", "All namespaces")];

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Subject(Subject),
    Namespace(NamespaceKey),
}

/// The view.
pub(super) fn render() -> AnyView {
    pages("view namespace", NAMES, |id| {
        let sheet = SHEETS.iter().find(|sheet| sheet.id == id).copied().unwrap_or(&matrix::SHEET);
        view! {
            {Page::open(sheet).usual(NAMES, leads, (), ())}
            {sheet.id.is_empty().then(legend)}
        }
        .into_any()
    })
}

fn leads(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    match key {
        LineKey::Subject(subject) => match &subject.container {
            Some(id) => Some(Selection::Container(id.clone())),
            None => process_of_pid(s, subject.group?).map(|(key, _)| Selection::Process(key)),
        },
        LineKey::Namespace(key) => Some(Selection::Namespace(*key)),
    }
}

/// What each column of the matrix isolates, how it is switched off, and what that costs.
fn legend() -> impl IntoView {
    let kind = |kind: NamespaceKind| {
        let told = meaning(kind);
        view! {
            <tr>
                <th scope="row"><code>{kind.name()}</code></th>
                <td>{told.isolates}</td>
                <td><code>{told.flag}</code></td>
                <td>{told.cost}</td>
            </tr>
        }
    };
    view! {
        <details class="ns-legend">
            <summary>"What the columns mean: ● own, ○ the host's, ◐ shared, the same letter is the same namespace"</summary>
            <table class="plain">
                <thead>
                    <tr>
                        <th>"kind"</th>
                        <th>"keeps apart"</th>
                        <th>"switched off by"</th>
                        <th>"and then"</th>
                    </tr>
                </thead>
                <tbody>{NamespaceKind::ALL.map(kind).collect_view()}</tbody>
            </table>
        </details>
    }
}
