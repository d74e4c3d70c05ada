//! What confines each container, and what is mounted where: two tables over all containers at once. The inspector tells the
//! rest of one.

mod container;
mod mount;

use glasshull_shared::domain::mount::MountKey;
use glasshull_shared::snapshot::Snapshot;
use leptos::prelude::*;

use super::sheet::{Page, Sheet, pages};
use crate::store::Selection;

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
    pages("view confinement", NAMES, |id| {
        let sheet = SHEETS.iter().find(|sheet| sheet.id == id).copied().unwrap_or(&container::SHEET);
        Page::open(sheet).usual(NAMES, leads, (), ()).into_any()
    })
}

fn leads(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    let id = match key {
        LineKey::Container(id) => Some(id.clone()),
        LineKey::Mount(key) => s.mount.get(key).and_then(|row| row.container.clone()),
    };
    id.map(Selection::Container)
}
