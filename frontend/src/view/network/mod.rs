//! The network: links, talkers and their matrix, neighbours, routes and namespaces of the host and all its containers.

mod closed;
mod link;
mod matrix;
mod neighbour;
mod netns;
mod path;
mod port;
mod route;
mod rule;
mod socket;
mod talker;
mod translation;

use glasshull_shared::domain::network::{
    ClosedSocketKey, FlowKey, LinkKey as Link, NatRuleKey, NeighbourKey, NetnsKey, PublishedPortKey,
    RouteKey, SocketKey, TranslationKey,
};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Snapshot;
use leptos::prelude::*;

use super::capture_line;
use super::sheet::{Page, Sheet, pages};
use crate::store::Selection;

static SHEETS: [&Sheet<LineKey>; 11] = [
    &link::SHEET,
    &path::SHEET,
    &talker::SHEET,
    &socket::SHEET,
    &closed::SHEET,
    &port::SHEET,
    &rule::SHEET,
    &translation::SHEET,
    &neighbour::SHEET,
    &route::SHEET,
    &netns::SHEET,
];
const NAMES: &[(&str, &str)] = &[
    ("", "Links"),
    ("paths", "Paths"),
    ("talkers", "Talkers"),
    (matrix::ID, "Matrix"),
    ("sockets", "Sockets"),
    ("closed", "Closed"),
    ("ports", "Ports"),
    ("nat", "NAT"),
    ("translations", "Translations"),
    ("neighbours", "Neighbours"),
    ("routes", "Routes"),
    ("namespaces", "Namespaces"),
];
/// Whom a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LineKey {
    Link(Link),
    Neighbour(NeighbourKey),
    Route(RouteKey),
    Netns(NetnsKey),
    Socket(SocketKey),
    Closed(ClosedSocketKey),
    Flow(FlowKey),
    Port(PublishedPortKey),
    Rule(NatRuleKey),
    Translation(TranslationKey),
}

/// The view.
pub(super) fn render() -> AnyView {
    pages("view network", NAMES, |id| {
        if id == matrix::ID {
            return matrix::page();
        }
        let page = Page::open(SHEETS.iter().find(|sheet| sheet.id == id).copied().unwrap_or(&link::SHEET));
        let capture = (id == talker::SHEET.id).then(|| capture_line(page.store));
        page.usual(NAMES, leads, capture, ()).into_any()
    })
}

/// What a line leads to: its link; a namespace to its container; a socket to its process, else to its container.
fn leads(s: &Snapshot, key: &LineKey) -> Option<Selection> {
    match key {
        LineKey::Link(key) => Some(Selection::Link(*key)),
        LineKey::Neighbour(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Route(key) if key.ifindex == 0 => None,
        LineKey::Route(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.ifindex })),
        LineKey::Socket(key) => {
            let row = s.socket.get(key)?;
            owner(row.pid.zip(row.start_time), row.container.as_ref())
        }
        LineKey::Closed(key) => {
            let row = s.closed_socket.get(key)?;
            // Who closed it may be gone too.
            let lives = |(pid, start_time)| {
                s.socket.values().any(|r| (r.pid, r.start_time) == (Some(pid), Some(start_time)))
            };
            owner(row.pid.zip(row.start_time).filter(|process| lives(*process)), row.container.as_ref())
        }
        LineKey::Flow(key) => Some(Selection::Link(Link { netns: key.netns, ifindex: key.link_ifindex })),
        LineKey::Port(key) => key.container.clone().map(Selection::Container),
        LineKey::Rule(key) => s.nat_rule.get(key)?.container.clone().map(Selection::Container),
        LineKey::Translation(key) => s.translation.get(key)?.container.clone().map(Selection::Container),
        LineKey::Netns(key) => {
            let row = s.netns.get(key)?;
            if row.host {
                Some(Selection::Host)
            } else {
                row.containers.first().cloned().map(Selection::Container)
            }
        }
    }
}

fn owner(process: Option<(u32, u64)>, container: Option<&String>) -> Option<Selection> {
    let process = process.map(|(pid, start_time)| Selection::Process(ProcessKey { pid, start_time }));
    process.or_else(|| container.cloned().map(Selection::Container))
}
