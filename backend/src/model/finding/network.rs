//! Rules about the network.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::finding::{Evidence, Severity, Subject};
use glasshull_shared::domain::namespace::HolderKind;
use glasshull_shared::domain::network::{Link, LinkKey, NeighbourKey, NeighbourState, Netns, NetnsKey};
use glasshull_shared::domain::source::{SourceKey, SourceState};
use glasshull_shared::shell::quote;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit::printable;

use super::{Draft, Facts, evidence};

/// Fewer lost packets a minute are usual: frames of protocols that nobody listens to.
const DROPS: u64 = 10;

fn container_name(s: &Snapshot, id: &str) -> String {
    let row = s.container.get(&ContainerKey { id: id.to_owned() });
    row.map_or_else(|| id.chars().take(12).collect(), |row| printable(&row.name))
}

/// What people call a network namespace.
fn netns_name(s: &Snapshot, netns: u64) -> String {
    match s.netns.get(&NetnsKey { netns }) {
        Some(row) if row.host => "host".into(),
        Some(row) => match (row.containers.first(), &row.name) {
            (Some(id), _) => container_name(s, id),
            (None, Some(name)) => printable(name),
            (None, None) => format!("netns {netns}"),
        },
        None => format!("netns {netns}"),
    }
}

/// What a command line begins with to be in a namespace.
fn enter(row: &Netns) -> Option<String> {
    match (row.host, &row.name, row.pid) {
        (true, ..) => Some(String::new()),
        (false, _, Some(pid)) => Some(format!("nsenter -t {pid} -n ")),
        (false, Some(name), None) => Some(format!("ip netns exec {} ", quote(name))),
        (false, None, None) => None,
    }
}

pub(super) fn of_netns(facts: &Facts<'_>, netns: u64, severity: Severity, told: Vec<Evidence>) -> Draft {
    let subject = Subject::Namespace { kind: "net".into(), inode: netns };
    let draft = Draft::new(subject, netns_name(facts.snapshot, netns), severity, told);
    entered(facts, netns, draft).blank("inode", netns.to_string())
}

fn of_link(facts: &Facts<'_>, key: LinkKey, severity: Severity, told: Vec<Evidence>) -> Option<Draft> {
    let row = facts.snapshot.link.get(&key)?;
    let name = format!("{} in {}", printable(&row.name), netns_name(facts.snapshot, key.netns));
    let mut draft = Draft::new(Subject::Link(key), name, severity, told);
    draft.container.clone_from(&row.container);
    Some(entered(facts, key.netns, draft).blank("link", quote(&row.name)))
}

fn entered(facts: &Facts<'_>, netns: u64, draft: Draft) -> Draft {
    let row = facts.snapshot.netns.get(&NetnsKey { netns });
    match row.and_then(|row| enter(row)) {
        Some(words) => draft.blank("enter", words),
        None => draft,
    }
}

/// A bridge with container ports in a namespace that forwards nothing.
pub(super) fn forwarding_off(facts: &Facts<'_>) -> Vec<Draft> {
    let s = facts.snapshot;
    let still = s.netns.iter().filter(|(_, row)| row.ip_forward == Some(false));
    let rows = still.filter_map(|(key, _)| {
        let here = LinkKey { netns: key.netns, ifindex: 0 }..=LinkKey { netns: key.netns, ifindex: u32::MAX };
        let of_containers = |row: &&Link| row.container.is_some();
        let masters: BTreeSet<u32> = s
            .link
            .range(here.clone())
            .map(|(_, row)| &**row)
            .filter(of_containers)
            .filter_map(|row| row.master)
            .collect();
        let bridges = s.link.range(here).filter(|(link, row)| {
            row.kind == "bridge" && !row.addresses.is_empty() && masters.contains(&link.ifindex)
        });
        let names: Vec<String> = bridges.map(|(_, row)| printable(&row.name)).collect();
        if names.is_empty() {
            return None;
        }
        let told = vec![
            evidence("net.ipv4.ip_forward", "0", "/proc/sys/net/ipv4/ip_forward"),
            evidence("bridges of containers", names.join(", "), "RTM_GETLINK"),
        ];
        Some(of_netns(facts, key.netns, Severity::Trouble, told))
    });
    rows.collect()
}

/// A gateway that does not answer, a MAC that changed, a MAC that answers for two containers.
pub(super) fn neighbour_trouble(facts: &Facts<'_>) -> Vec<Draft> {
    let s = facts.snapshot;
    let gateways: BTreeSet<(u64, &str)> =
        s.route.keys().filter_map(|key| Some((key.netns, key.gateway.as_deref()?))).collect();
    let owners = owners(s);
    let mut of_mac: BTreeMap<(LinkKey, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut told: BTreeMap<LinkKey, Vec<Evidence>> = BTreeMap::new();
    for (key, row) in &s.neighbour {
        let link = link_of(key);
        let address = printable(&key.address);
        if row.state == NeighbourState::Failed && gateways.contains(&(key.netns, key.address.as_str())) {
            let one = evidence(format!("gateway {address}"), "FAILED: nobody answers", "RTM_GETNEIGH");
            told.entry(link).or_default().push(one);
        }
        let Some(mac) = &row.mac else { continue };
        if let Some(before) = &row.mac_before {
            let one = evidence(format!("{address} changed"), format!("{before} → {mac}"), "RTM_GETNEIGH");
            told.entry(link).or_default().push(one);
        }
        let ids = of_mac.entry((link, mac)).or_default();
        ids.extend(row.container.as_deref());
        let of_address = bridge_of(s, link).and_then(|bridge| owners.get(&(bridge, key.address.as_str())));
        ids.extend(of_address.into_iter().flatten());
    }
    for ((link, mac), ids) in of_mac.into_iter().filter(|(_, ids)| ids.len() > 1) {
        let names: Vec<String> = ids.into_iter().map(|id| container_name(s, id)).collect();
        let one = evidence(format!("{mac} answers for"), names.join(", "), "RTM_GETNEIGH, RTM_GETADDR");
        told.entry(link).or_default().push(one);
    }
    told.into_iter().filter_map(|(link, told)| of_link(facts, link, Severity::Attention, told)).collect()
}

/// The bridge that a link is, or that it or its other end is a port of: who is on the same hears the same.
fn bridge_of(s: &Snapshot, key: LinkKey) -> Option<LinkKey> {
    let row = s.link.get(&key)?;
    if row.kind == "bridge" {
        return Some(key);
    }
    let master = |key: LinkKey, row: &Link| row.master.map(|ifindex| LinkKey { ifindex, ..key });
    let across = || {
        let peer = LinkKey { netns: row.peer_netns?, ifindex: row.peer_ifindex? };
        master(peer, s.link.get(&peer)?)
    };
    master(key, row).or_else(across)
}

/// Whose an address is on a bridge. Containers that share a namespace have one address between them, which is the first
/// one's; those on an ipvlan share a MAC as they should.
fn owners(s: &Snapshot) -> BTreeMap<(LinkKey, &str), BTreeSet<&str>> {
    let mut owners: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for (key, row) in s.link.iter().filter(|(_, row)| row.kind != "ipvlan") {
        let Some((id, bridge)) = row.container.as_deref().zip(bridge_of(s, *key)) else { continue };
        for address in &row.addresses {
            let address = address.split('/').next().unwrap_or_default();
            owners.entry((bridge, address)).or_default().insert(id);
        }
    }
    owners
}

fn link_of(key: &NeighbourKey) -> LinkKey {
    LinkKey { netns: key.netns, ifindex: key.ifindex }
}

/// Lost within the last minute, not since boot.
pub(super) fn link_loses(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = facts.snapshot.link.keys().filter_map(|key| {
        let grown = facts.watch.losses.growth(key)?;
        let names = ["received and dropped", "received broken", "dropped before sending", "not sent"];
        let [rx_dropped, rx_errors, tx_dropped, tx_errors] = grown;
        if rx_errors + tx_errors == 0 && rx_dropped + tx_dropped < DROPS {
            return None;
        }
        let some = names.into_iter().zip(grown).filter(|(_, packets)| *packets > 0);
        let told = some.map(|(name, packets)| {
            let (bound, source) = (magnitude(packets), "IFLA_STATS64 over the last minute");
            evidence(name, format!("{bound} packets"), source)
        });
        of_link(facts, *key, Severity::Attention, told.collect())
    });
    rows.collect()
}

/// A figure that moves at each look would be a new row at each look.
pub(super) fn magnitude(n: u64) -> &'static str {
    match n {
        0..10 => "some",
        10..100 => "tens of",
        100..1000 => "hundreds of",
        1000..1_000_000 => "thousands of",
        _ => "millions of",
    }
}

/// Ports with a dead hop, by container; those of nobody by namespace.
pub(super) fn stale_dnat(facts: &Facts<'_>) -> Vec<Draft> {
    let s = facts.snapshot;
    let mut told: BTreeMap<(u64, Option<&str>), Vec<Evidence>> = BTreeMap::new();
    for (key, row) in &s.published_port {
        let Some(why) = &row.dead else { continue };
        let what = format!("{}:{}/{}", printable(&key.host_address), key.host_port, key.protocol);
        let one = evidence(what, printable(why), "published_port table");
        told.entry((key.netns, key.container.as_deref())).or_default().push(one);
    }
    let draft = |((netns, id), told): ((u64, Option<&str>), Vec<Evidence>)| match id {
        Some(id) => {
            let key = ContainerKey { id: id.to_owned() };
            entered(facts, netns, Draft::of_container(facts, &key, Severity::Attention, told))
        }
        None => of_netns(facts, netns, Severity::Attention, told),
    };
    told.into_iter().map(draft).collect()
}

/// Nobody is in it, yet something was left that keeps it. Where processes are hidden from us that cannot be said; one that
/// only leads to others (a parent, an owner) is no remains.
pub(super) fn empty_namespace(facts: &Facts<'_>) -> Vec<Draft> {
    let source = facts.snapshot.source.get(&SourceKey { name: "namespace".into() });
    if source.is_none_or(|row| row.state != SourceState::Ok) {
        return Vec::new();
    }
    let left = |by: HolderKind| match by {
        HolderKind::BindMount | HolderKind::Descriptor | HolderKind::Socket => true,
        HolderKind::Process | HolderKind::Thread | HolderKind::Namespace => false,
    };
    let rows = facts.snapshot.namespace.iter().filter_map(|(key, row)| {
        let held = row.held_by.iter().all(|one| left(one.by)) && !row.held_by.is_empty();
        if row.pids > 0 || row.host != Some(false) || !held {
            return None;
        }
        let kind = key.kind.name();
        let mut told = vec![evidence("processes", "none", format!("/proc/*/ns/{kind}"))];
        told.extend(row.held_by.iter().map(|one| {
            let by = one.pid.map(|pid| format!(" of pid {pid}")).unwrap_or_default();
            evidence(
                one.by.name(),
                format!("{}{by}", printable(&one.detail)),
                match one.by {
                    HolderKind::BindMount => "nsfs in /proc/PID/mountinfo",
                    HolderKind::Descriptor => "/proc/PID/fd",
                    HolderKind::Socket => "SIOCGSKNS",
                    HolderKind::Process | HolderKind::Thread | HolderKind::Namespace => "/proc/PID/ns",
                },
            )
        }));
        let subject = Subject::Namespace { kind: kind.into(), inode: key.inode };
        let name =
            row.name.as_ref().map_or_else(|| format!("{kind}:[{}]", key.inode), |name| printable(name));
        let draft = Draft::new(subject, name, Severity::Info, told);
        Some(draft.blank("kind", kind).blank("inode", key.inode.to_string()))
    });
    rows.collect()
}
