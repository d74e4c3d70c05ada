//! What the inspector shows of a selection: heading, tabs and the tables they need.

mod answer;
mod confinement;
mod container;
mod container_files;
mod container_limits;
mod container_names;
mod container_open;
mod container_ports;
mod container_sockets;
mod container_tasks;
mod device;
mod device_users;
mod engine;
mod file_list;
mod file_preview;
mod finding;
mod flows;
mod holder;
mod host;
mod link_control;
mod mount;
mod namespace;
mod network;
mod process;
mod process_detail;
mod process_files;
mod process_maps;

use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

pub use finding::findings;

use super::in_the_shell;
use crate::store::Selection;
use crate::widget::facts::Fact;
use crate::widget::measure::zone_offset_nanos;

/// One tab of the inspector.
#[derive(Clone, Copy)]
pub struct Tab {
    /// In the URL: `tab=files`.
    pub id: &'static str,
    /// As shown.
    pub title: &'static str,
    /// Draws it; called anew when the selection changes.
    pub render: fn(Selection) -> AnyView,
}

/// What the frame of the inspector needs to show a selection.
#[derive(Clone, Copy)]
pub struct Inspect {
    /// Name and one line under it.
    pub heading: fn(Selection) -> AnyView,
    /// Tabs; the first is open unless the URL says otherwise.
    pub tabs: &'static [Tab],
    /// Tables needed while it is open.
    pub topics: &'static [Topic],
}

/// What to show of a selection.
pub fn inspect(selection: &Selection) -> Inspect {
    match selection {
        Selection::Process(_) => process::INSPECT,
        Selection::Container(_) => container::INSPECT,
        Selection::Engine(_) => engine::INSPECT,
        Selection::Link(_) => network::INSPECT,
        Selection::Namespace(_) => namespace::INSPECT,
        Selection::Device(_) => device::INSPECT,
        Selection::Host => host::INSPECT,
    }
}

/// Name and one line under it.
fn heading(
    name: impl Fn() -> String + Send + Sync + 'static,
    detail: impl Fn() -> String + Send + Sync + 'static,
) -> AnyView {
    let (name, detail) = (Memo::new(move |_| name()), Memo::new(move |_| detail()));
    view! {
        <div class="heading">
            <h2 title=name>{name}</h2>
            <p class="sub" title=detail>{detail}</p>
        </div>
    }
    .into_any()
}

/// `4 min 40 s ago (20:35:39)`; the whole date on hover.
fn since(at: u64, now: u64) -> Fact {
    let local = |at: u64| at.saturating_add_signed(zone_offset_nanos());
    let ago = unit::duration(now.saturating_sub(at));
    Fact::new(format!("{ago} ago ({})", unit::since(local(at), local(now)))).title(unit::date_time(local(at)))
}

/// A part of a tab with a title of its own.
fn part(title: &'static str, body: impl IntoView + 'static) -> AnyView {
    let body = body.into_any();
    view! {
        <section class="part">
            <h3>{title}</h3>
            {body}
        </section>
    }
    .into_any()
}
