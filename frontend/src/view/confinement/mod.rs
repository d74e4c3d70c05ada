//! What confines each container, and what is mounted where: two tables over all containers at once. The inspector tells the
//! rest of one.

mod container;
mod mount;

use glasshull_shared::domain::mount::MountKey;
use glasshull_shared::snapshot::Snapshot;
use leptos::prelude::*;

use super::sheet::{Page, Sheet};
use crate::store::{Selection, use_choice};
use crate::widget::table::Table;

static SHEETS: [&Sheet<LineKey>; 2] = [&container::SHEET, &mount::SHEET];
const NAMES: &[(&str, &str)] = &[("", "Containers"), ("mounts", "Mounts")];

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Container(String),
    Mount(MountKey),
}

/// The view.
pub(super) fn render() -> AnyView {
    let choice = use_choice();
    let table = choice.param("table");
    let chosen = move || table.with(|t| SHEETS.iter().position(|s| Some(s.id) == t.as_deref()).unwrap_or(0));
    let draw = |at: usize| untrack(|| page(SHEETS.get(at).copied().unwrap_or(&container::SHEET)));
    view! {
        <div class="view confinement">
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// One table with what belongs to it.
fn page(sheet: &'static Sheet<LineKey>) -> AnyView {
    let page = Page::open(sheet);
    // Several mounts lead to the same container.
    let picked = RwSignal::new(None::<LineKey>);
    let model = page.model(leads, page.chosen(leads, picked), picked);
    view! {
        {page.toolbar(NAMES, sheet.id, true, ())}
        <Table model=model empty=move || view! { <p>{move || page.why_empty()}</p> } />
        {page.totals()}
    }
    .into_any()
}

fn leads(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    let id = match key {
        LineKey::Container(id) => Some(id.clone()),
        LineKey::Mount(key) => s.mount.get(key).and_then(|row| row.container.clone()),
    };
    id.map(Selection::Container)
}
