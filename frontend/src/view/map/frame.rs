//! What stands in the frames of the map: who is in a namespace, or in a bundle of them, and what they use. Pure.

use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::domain::network::{Netns, NetnsKey};
use glasshull_shared::snapshot::Snapshot;

use super::cast::{Bundle, bundle_id, links_of};
use super::plan::{Group, Who};
use super::scene::Frame;
use crate::store::lookup::container_name;
use crate::store::network::netns_name;

/// Containers named on a bundle.
const NAMED: usize = 8;

/// The frame of a network namespace.
pub(super) fn frame(s: &Snapshot, netns: u64, row: &Netns, y: f64) -> Frame {
    let of = |id: &String| ContainerKey { id: id.clone() };
    let who: Vec<_> = row.containers.iter().filter_map(|id| s.container.get(&of(id))).collect();
    let detail = match (who.as_slice(), row.hidden.as_ref()) {
        (_, Some(why)) => why.clone(),
        ([], _) => row.pid.map_or_else(|| "no process".to_owned(), |pid| format!("pid {pid}")),
        ([one], _) => one.image.clone().unwrap_or_default(),
        (several, _) => several.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let (cpu, memory) = uses(s, &row.containers);
    Frame {
        who: Who::Netns(netns),
        bundle: None,
        y,
        title: netns_name(s, netns),
        detail,
        containers: row.containers.clone(),
        members: Vec::new(),
        cpu,
        memory,
        processes: row.processes,
        address: address(s, netns),
    }
}

/// The address others reach a namespace by: the first one of its links, without those that mean something on a link alone (`fe80::`).
fn address(s: &Snapshot, netns: u64) -> Option<(String, usize)> {
    let links = links_of(s, netns).filter(|(_, row)| row.kind != "loopback");
    let all: Vec<&str> = links
        .flat_map(|(_, row)| &row.addresses)
        .map(|address| address.split('/').next().unwrap_or_default())
        .filter(|address| !address.starts_with("fe80:"))
        .collect();
    let (first, rest) = all.split_first()?;
    Some(((*first).to_owned(), rest.len()))
}

/// What containers use together: share of one core and of what they may use, bytes and share of the limit.
type Uses = (Option<(f32, Option<f32>)>, Option<(u64, Option<f32>)>);

fn uses(s: &Snapshot, ids: &[String]) -> Uses {
    let uses: Vec<_> =
        ids.iter().filter_map(|id| s.container_stat.get(&ContainerKey { id: id.clone() })).collect();
    let sum = |f: fn(&ContainerStat) -> Option<f32>| uses.iter().filter_map(|u| f(u)).reduce(|a, b| a + b);
    let limit = sum(|u| u.cpu_limit_cores).filter(|_| uses.iter().all(|u| u.cpu_limit_cores.is_some()));
    let cpu = sum(|u| u.cpu_ratio).map(|used| (used, limit.map(|cores| used / cores.max(0.001))));
    let memory = uses.iter().filter_map(|u| u.memory_bytes).reduce(|a, b| a + b).map(|used| {
        let limits: Option<u64> = uses.iter().map(|u| u.memory_limit_bytes).sum();
        (used, limits.filter(|limit| *limit > 0).map(|limit| (used as f64 / limit as f64) as f32))
    });
    (cpu, memory)
}

/// The frame of a bundle: what its members use together.
pub(super) fn bundle_frame(s: &Snapshot, (group, name): (Group, &str), bundle: &Bundle, y: f64) -> Frame {
    let rows: Vec<_> = bundle.members.iter().filter_map(|n| s.netns.get(&NetnsKey { netns: *n })).collect();
    let containers: Vec<String> = rows.iter().flat_map(|row| row.containers.iter().cloned()).collect();
    let (cpu, memory) = uses(s, &containers);
    let named: Vec<String> = containers.iter().take(NAMED).map(|id| container_name(s, id)).collect();
    let of_group = match group {
        Group::Bridge(_) => "on this bridge",
        Group::Host => "at the host itself",
        Group::Rides(_) => "on this link",
        Group::Others => "among themselves",
        Group::Nothing => "without a link",
    };
    let count = bundle.members.len();
    let title = if name.is_empty() { format!("{count} {of_group}") } else { format!("{name} · {count}") };
    Frame {
        who: Who::Bundle(group, name.to_owned()),
        bundle: Some((bundle_id(group, name), bundle.open, count)),
        y,
        title,
        detail: named.join(", "),
        containers,
        members: bundle.members.clone(),
        cpu,
        memory,
        processes: rows.iter().map(|row| row.processes).sum(),
        address: None,
    }
}
