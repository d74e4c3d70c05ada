//! Who stands in the picture: each network namespace by itself, or hundreds of them in bundles by network or by compose
//! project, which open on demand. Pure.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::network::{Link, LinkKey, Netns};
use glasshull_shared::snapshot::Snapshot;

use super::plan::{Group, Member, Who};
use crate::store::network::{link, netns_name, other_end};

/// Over this many namespaces they are bundled, unless the person wants each.
const MANY: usize = 100;
/// Bundled by themselves, they stay so until this few are left: nothing flickers around the bound.
const FEW_AGAIN: usize = 80;
/// A bundle has at least so many: fewer take no more room by themselves.
const BUNDLE_FROM: usize = 3;

/// What bundles have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum By {
    /// Nothing: each stands by itself.
    #[default]
    Each,
    /// The network they hang on.
    Network,
    /// Compose project, within a network.
    Project,
}

impl By {
    /// What the person chose, and without a choice what suits so many. `before`: what it was.
    pub(super) fn of(chosen: Option<&str>, namespaces: usize, before: Self) -> Self {
        match chosen {
            Some("network") => Self::Network,
            Some("project") => Self::Project,
            Some("none") => Self::Each,
            Some(_) | None if namespaces > MANY => Self::Network,
            Some(_) | None if namespaces > FEW_AGAIN && before == Self::Network => before,
            Some(_) | None => Self::Each,
        }
    }
}

/// Several namespaces in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) members: Vec<u64>,
    /// Its members stand below it.
    pub(super) open: bool,
}

/// Everybody in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cast {
    pub(super) by: By,
    pub(super) members: Vec<Member>,
    pub(super) bundles: BTreeMap<(Group, String), Bundle>,
}

impl Cast {
    /// Who is to be drawn. `open`: ids of the bundles that are open ([`bundle_id`]).
    pub(super) fn of(s: &Snapshot, by: By, open: &BTreeSet<String>) -> Self {
        let mut of: BTreeMap<(Group, String), Vec<Member>> = BTreeMap::new();
        for member in members(s) {
            let common = match (by, &member.who) {
                (By::Project, Who::Netns(netns)) => project(s, *netns),
                (By::Each | By::Network, _) | (_, Who::Bundle(..)) => String::new(),
            };
            of.entry((member.group, common)).or_default().push(member);
        }
        let mut cast = Self { by, ..Self::default() };
        for ((group, name), mut all) in of {
            for member in &mut all {
                member.order.1 = format!("{name}\0{}", member.order.1);
            }
            if by == By::Each || all.len() < BUNDLE_FROM {
                cast.members.extend(all);
                continue;
            }
            let open = open.contains(&bundle_id(group, &name));
            // Before its members, and after what ends before its name.
            let order = (all.first().map(|m| m.order.0.clone()).unwrap_or_default(), format!("{name}\0"));
            cast.members.push(Member { who: Who::Bundle(group, name.clone()), group, order });
            let members = all.iter().filter_map(|m| if let Who::Netns(n) = m.who { Some(n) } else { None });
            cast.bundles.insert((group, name), Bundle { members: members.collect(), open });
            if open {
                cast.members.extend(all);
            }
        }
        cast
    }
}

/// A bundle in the URL: `b12` (all on the bridge with ifindex 12), `b12.shop` (those of a project).
pub(super) fn bundle_id(group: Group, name: &str) -> String {
    let group = match group {
        Group::Bridge(ifindex) => format!("b{ifindex}"),
        Group::Host => "h".into(),
        Group::Rides(ifindex) => format!("r{ifindex}"),
        Group::Others => "o".into(),
        Group::Nothing => "n".into(),
    };
    if name.is_empty() { group } else { format!("{group}.{}", name.replace(',', "")) }
}

/// Compose project of the owner of a namespace; empty without one.
fn project(s: &Snapshot, netns: u64) -> String {
    let row = s.netns.get(&glasshull_shared::domain::network::NetnsKey { netns });
    let owner = row.and_then(|row| row.containers.first());
    let owner = owner.and_then(|id| s.container.get(&ContainerKey { id: id.clone() }));
    owner.and_then(|c| c.compose_project.clone()).unwrap_or_default()
}

/// The host's own namespace.
pub(super) fn host(s: &Snapshot) -> Option<(u64, &Netns)> {
    s.netns.iter().find(|(_, row)| row.host).map(|(key, row)| (key.netns, &**row))
}

/// Links of a namespace, in the order of their numbers.
pub(super) fn links_of(s: &Snapshot, netns: u64) -> impl Iterator<Item = (LinkKey, &Link)> {
    let range = LinkKey { netns, ifindex: 0 }..=LinkKey { netns, ifindex: u32::MAX };
    s.link.range(range).map(|(key, row)| (*key, &**row))
}

/// What a link of a namespace hangs on.
pub(super) fn group_of(s: &Snapshot, host: u64, row: &Link) -> Group {
    let Some(end) = other_end(row) else { return Group::Nothing };
    if end.netns != host {
        return Group::Others;
    }
    if row.peer_netns.is_none() {
        return match link(s, end) {
            Some(lower) if lower.kind == "bridge" => Group::Bridge(end.ifindex),
            Some(_) | None => Group::Rides(end.ifindex),
        };
    }
    link(s, end).and_then(|far| far.master).map_or(Group::Host, Group::Bridge)
}

/// Everybody who wants a row, with the group of its first cable.
fn members(s: &Snapshot) -> Vec<Member> {
    let Some((host, _)) = host(s) else { return Vec::new() };
    let member = |netns: u64| {
        let groups =
            links_of(s, netns).filter(|(_, row)| row.kind != "loopback").map(|(_, r)| group_of(s, host, r));
        let group = groups.min().unwrap_or(Group::Nothing);
        let of_group = match group {
            Group::Bridge(ifindex) | Group::Rides(ifindex) => {
                let row = link(s, LinkKey { netns: host, ifindex });
                row.map(|row| row.network.clone().unwrap_or_else(|| row.name.clone()))
            }
            Group::Host | Group::Others | Group::Nothing => None,
        };
        let name = netns_name(s, netns).to_lowercase();
        Member { who: Who::Netns(netns), group, order: (of_group.unwrap_or_default(), name) }
    };
    s.netns.iter().filter(|(_, row)| !row.host).map(|(key, _)| member(key.netns)).collect()
}

/// Bridges that have a port: drawn also when all who hang on them stand elsewhere.
pub(super) fn groups(s: &Snapshot) -> Vec<Group> {
    let Some((host, _)) = host(s) else { return Vec::new() };
    let ports: Vec<u32> = links_of(s, host).filter_map(|(_, row)| row.master).collect();
    let bridges = links_of(s, host).filter(|(key, row)| row.kind == "bridge" && ports.contains(&key.ifindex));
    bridges.map(|(key, _)| Group::Bridge(key.ifindex)).collect()
}

#[cfg(test)]
#[path = "cast_test.rs"]
mod tests;
