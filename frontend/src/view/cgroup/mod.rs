//! Limits: what each container may use and uses, the tree of control groups with its freezers, and whom the kernel killed for
//! memory.

mod kill;
mod limit;
mod tree;

use glasshull_shared::domain::cgroup::{CgroupKey, OomKillKey};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::snapshot::Snapshot;
use leptos::prelude::*;

use super::sheet::{Page, Sheet, pages};
use crate::store::Selection;
use crate::store::network::trouble_of;

static SHEETS: [&Sheet<LineKey>; 3] = [&limit::SHEET, &tree::SHEET, &kill::SHEET];
const NAMES: &[(&str, &str)] = &[("", "Containers"), ("tree", "Tree"), ("kills", "OOM kills")];

/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Container(String),
    Group(String),
    Kill(OomKillKey),
}

/// The view.
pub(super) fn render() -> AnyView {
    pages("view limits", NAMES, |id| {
        let page = Page::open(SHEETS.iter().find(|sheet| sheet.id == id).copied().unwrap_or(&limit::SHEET));
        page.usual(NAMES, leads, (), page.missed(trouble_of)).into_any()
    })
}

/// What a line leads to.
fn leads(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    let id = match key {
        LineKey::Container(id) => Some(id.clone()),
        LineKey::Group(path) => s.cgroup.get(&CgroupKey { path: path.clone() })?.container.clone(),
        LineKey::Kill(key) => s.oom_kill.get(key)?.container.clone(),
    };
    id.filter(|id| s.container.contains_key(&ContainerKey { id: id.clone() })).map(Selection::Container)
}
