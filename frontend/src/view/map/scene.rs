//! What the map draws, with places in user units of its picture: tables and a plan in, texts and coordinates out. Pure.

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::network::{Link, LinkKey, LinkStat, Netns};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::plan::{Group, Member, Plan};
use crate::store::lookup::container_name;
use crate::store::network::{link, netns_name, other_end};

/// Columns, from left to right.
pub(super) const WIDTH: f64 = 1240.0;
pub(super) const WIRE: (f64, f64) = (10.0, 150.0);
pub(super) const STACK: (f64, f64) = (210.0, 160.0);
pub(super) const BRIDGE: (f64, f64) = (440.0, 26.0);
pub(super) const LABEL: (f64, f64) = (560.0, 140.0);
pub(super) const BOX: (f64, f64) = (790.0, 440.0);
/// Under the headings of the columns.
pub(super) const TOP: f64 = 58.0;
/// From one row to the next, and the height of what stands in one.
const PITCH: f64 = 78.0;
pub(super) const TALL: f64 = 56.0;
/// Wires stand closer.
const WIRE_PITCH: f64 = 66.0;

/// A rate in both directions, seen from the container's (or the wire's own) end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Flow {
    pub(super) rx: Option<f32>,
    pub(super) tx: Option<f32>,
    /// Packets lost or broken since the link was made.
    pub(super) lost: u64,
}

/// A cable between two things.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cable {
    /// The end that it is about: the container's, a bridge's, a wire's.
    pub(super) key: LinkKey,
    /// Host's end, when it has one: selecting it means this cable too.
    pub(super) far: Option<LinkKey>,
    /// Namespace at its right end.
    pub(super) netns: u64,
    /// Bridge at its left end.
    pub(super) bridge: Option<LinkKey>,
    /// From left to right.
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
    /// Name on it; empty for the short ones.
    pub(super) label: String,
    pub(super) kind: String,
    pub(super) up: bool,
    pub(super) flow: Flow,
}

/// A network interface of the host that leads out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wire {
    pub(super) key: LinkKey,
    pub(super) y: f64,
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) up: bool,
    pub(super) flow: Flow,
}

/// A bridge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bridge {
    pub(super) key: LinkKey,
    pub(super) y: f64,
    pub(super) height: f64,
    /// Network's name, else the link's.
    pub(super) title: String,
    pub(super) detail: String,
}

/// A network namespace with who is in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    pub(super) netns: u64,
    pub(super) y: f64,
    pub(super) title: String,
    pub(super) detail: String,
    /// Containers in it, owner first.
    pub(super) containers: Vec<String>,
    /// Share of one core, and of what it may use when that is limited.
    pub(super) cpu: Option<(f32, Option<f32>)>,
    /// Bytes, and share of the limit.
    pub(super) memory: Option<(u64, Option<f32>)>,
    pub(super) processes: u32,
}

/// The whole picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scene {
    pub(super) height: f64,
    pub(super) wires: Vec<Wire>,
    pub(super) bridges: Vec<Bridge>,
    pub(super) frames: Vec<Frame>,
    pub(super) cables: Vec<Cable>,
    /// Containers that use the host's own network: id and name.
    pub(super) on_host: Vec<(String, String)>,
    pub(super) forwards: Option<bool>,
    /// Beside the first row of each group without bridge: what it is.
    pub(super) notes: Vec<(f64, &'static str)>,
}

/// Kinds of links through which packets leave the host.
const OUTWARD: [&str; 8] = ["physical", "bond", "vlan", "wireguard", "vxlan", "tun", "gre", "ipip"];

/// The host's own namespace.
fn host(s: &Snapshot) -> Option<(u64, &Netns)> {
    s.netns.iter().find(|(_, row)| row.host).map(|(key, row)| (key.netns, &**row))
}

/// Links of a namespace, in the order of their numbers.
fn links_of(s: &Snapshot, netns: u64) -> impl Iterator<Item = (LinkKey, &Link)> {
    let range = LinkKey { netns, ifindex: 0 }..=LinkKey { netns, ifindex: u32::MAX };
    s.link.range(range).map(|(key, row)| (*key, &**row))
}

/// What a link of a namespace hangs on.
fn group_of(s: &Snapshot, host: u64, row: &Link) -> Group {
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
pub(super) fn members(s: &Snapshot) -> Vec<Member> {
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
        Member { netns, group, order: (of_group.unwrap_or_default(), name) }
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

fn row_y(row: usize) -> f64 {
    TOP + row as f64 * PITCH
}

fn flow(stat: Option<&LinkStat>) -> Flow {
    stat.map_or_else(Flow::default, |stat| Flow {
        rx: stat.rx_bytes_per_sec,
        tx: stat.tx_bytes_per_sec,
        lost: stat.rx_dropped + stat.tx_dropped + stat.rx_errors + stat.tx_errors,
    })
}

fn stat(s: &Snapshot, key: LinkKey) -> Option<&LinkStat> {
    s.link_stat.get(&key).map(|stat| &**stat)
}

/// The picture of these tables by this plan.
pub(super) fn scene(s: &Snapshot, plan: &Plan) -> Scene {
    let Some((host, host_row)) = host(s) else { return Scene::default() };
    let bridges = bridges(s, host, plan);
    let wires = wires(s, host);
    let mut scene = Scene {
        height: (row_y(plan.rows())).max(TOP + wires.len() as f64 * WIRE_PITCH).max(420.0) + 20.0,
        forwards: host_row.ip_forward,
        on_host: host_row.containers.iter().map(|id| (id.clone(), container_name(s, id))).collect(),
        ..Scene::default()
    };
    for wire in &wires {
        let y = wire.y + TALL / 2.0;
        scene.cables.push(Cable {
            from: (WIRE.0 + WIRE.1, y),
            to: (STACK.0, y),
            up: wire.up,
            flow: wire.flow,
            ..bare(wire.key, host)
        });
    }
    for bridge in &bridges {
        let y = bridge.y + bridge.height / 2.0;
        let up = link(s, bridge.key).is_some_and(|row| row.up);
        scene.cables.push(Cable {
            bridge: Some(bridge.key),
            from: (STACK.0 + STACK.1, y),
            to: (BRIDGE.0, y),
            up,
            flow: flow(stat(s, bridge.key)),
            ..bare(bridge.key, host)
        });
    }
    for (key, row) in s.netns.iter().filter(|(_, row)| !row.host) {
        let Some(at) = plan.row(key.netns) else { continue };
        let frame = frame(s, key.netns, row, row_y(at));
        scene.cables.extend(cables(s, host, &frame, &bridges));
        scene.frames.push(frame);
    }
    let named = [
        (Group::Host, "veth to the host itself"),
        (Group::Others, "among themselves"),
        (Group::Nothing, "no link but lo"),
    ];
    let note = |(group, text)| plan.span(group).map(|(first, _)| (row_y(first), text));
    scene.notes = named.into_iter().filter_map(note).collect();
    (scene.wires, scene.bridges) = (wires, bridges);
    scene
}

fn bare(key: LinkKey, netns: u64) -> Cable {
    Cable {
        key,
        far: None,
        netns,
        bridge: None,
        from: (0.0, 0.0),
        to: (0.0, 0.0),
        label: String::new(),
        kind: String::new(),
        up: true,
        flow: Flow::default(),
    }
}

fn wires(s: &Snapshot, host: u64) -> Vec<Wire> {
    let outward = |row: &Link| OUTWARD.contains(&row.kind.as_str()) && row.master.is_none();
    let rows = links_of(s, host).filter(|(_, row)| outward(row));
    let wire = |(i, (key, row)): (usize, (LinkKey, &Link))| Wire {
        key,
        y: TOP + i as f64 * WIRE_PITCH,
        name: row.name.clone(),
        detail: row.addresses.first().cloned().unwrap_or_else(|| row.kind.clone()),
        up: row.up,
        flow: flow(stat(s, key)),
    };
    rows.enumerate().map(wire).collect()
}

fn bridges(s: &Snapshot, host: u64, plan: &Plan) -> Vec<Bridge> {
    let rows = links_of(s, host).filter(|(_, row)| row.kind == "bridge");
    let bridge = |(key, row): (LinkKey, &Link)| {
        // A bridge that nobody hangs on takes no row: the table shows it.
        let (first, rows) = plan.span(Group::Bridge(key.ifindex))?;
        let title = row.network.clone().unwrap_or_else(|| row.name.clone());
        let address = row.addresses.first().cloned().unwrap_or_default();
        let detail = if row.network.is_some() { format!("{} {address}", row.name) } else { address };
        Some(Bridge { key, y: row_y(first), height: rows as f64 * PITCH - (PITCH - TALL), title, detail })
    };
    rows.filter_map(bridge).collect()
}

fn frame(s: &Snapshot, netns: u64, row: &Netns, y: f64) -> Frame {
    let of = |id: &String| ContainerKey { id: id.clone() };
    let who: Vec<_> = row.containers.iter().filter_map(|id| s.container.get(&of(id))).collect();
    let uses: Vec<_> = row.containers.iter().filter_map(|id| s.container_stat.get(&of(id))).collect();
    let detail = match (who.as_slice(), row.hidden.as_ref()) {
        (_, Some(why)) => why.clone(),
        ([], _) => row.pid.map_or_else(|| "no process".to_owned(), |pid| format!("pid {pid}")),
        ([one], _) => one.image.clone().unwrap_or_default(),
        (several, _) => several.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let sum = |f: fn(&glasshull_shared::domain::container::ContainerStat) -> Option<f32>| {
        uses.iter().filter_map(|u| f(u)).reduce(|a, b| a + b)
    };
    let limit = sum(|u| u.cpu_limit_cores).filter(|_| uses.iter().all(|u| u.cpu_limit_cores.is_some()));
    let cpu = sum(|u| u.cpu_ratio).map(|used| (used, limit.map(|cores| used / cores.max(0.001))));
    let memory = uses.iter().filter_map(|u| u.memory_bytes).reduce(|a, b| a + b).map(|used| {
        let limits: Option<u64> = uses.iter().map(|u| u.memory_limit_bytes).sum();
        (used, limits.filter(|limit| *limit > 0).map(|limit| (used as f64 / limit as f64) as f32))
    });
    Frame {
        netns,
        y,
        title: netns_name(s, netns),
        detail,
        containers: row.containers.clone(),
        cpu,
        memory,
        processes: row.processes,
    }
}

/// The cables of a frame: one per link but lo, spread over its height.
fn cables(s: &Snapshot, host: u64, frame: &Frame, bridges: &[Bridge]) -> Vec<Cable> {
    let links: Vec<_> = links_of(s, frame.netns).filter(|(_, row)| row.kind != "loopback").collect();
    let step = TALL / (links.len() + 1) as f64;
    let cable = |(i, (key, row)): (usize, &(LinkKey, &Link))| {
        let y = frame.y + step * (i + 1) as f64;
        let far = other_end(row);
        let far_row = far.and_then(|far| link(s, far));
        let bridge = match group_of(s, host, row) {
            Group::Bridge(ifindex) => Some(LinkKey { netns: host, ifindex }),
            Group::Host | Group::Rides(_) | Group::Others | Group::Nothing => None,
        };
        let from = match bridges.iter().find(|b| Some(b.key) == bridge) {
            Some(b) => (BRIDGE.0 + BRIDGE.1, y.clamp(b.y + 6.0, b.y + b.height - 6.0)),
            None if far.is_some_and(|far| far.netns == host) => (STACK.0 + STACK.1, y),
            None => (LABEL.0, y),
        };
        Cable {
            far,
            bridge,
            from,
            to: (BOX.0, y),
            label: far_row.filter(|_| row.peer_netns == Some(host)).map_or(&row.name, |r| &r.name).clone(),
            kind: row.kind.clone(),
            up: row.up,
            flow: flow(stat(s, *key)),
            ..bare(*key, frame.netns)
        }
    };
    links.iter().enumerate().map(cable).collect()
}

impl Flow {
    /// `↓ 412 kB/s` and `↑ 3.1 MB/s`.
    pub(super) fn rates(&self) -> (String, String) {
        let text = |rate: Option<f32>| unit::or_unknown(rate.map(|r| unit::bytes_per_sec(f64::from(r))));
        (format!("↓ {}", text(self.rx)), format!("↑ {}", text(self.tx)))
    }
}

impl Cable {
    /// What tells it from others: one link may be at the right end of one and in the middle of another.
    pub(super) fn id(&self) -> (LinkKey, i64) {
        (self.key, self.to.0 as i64)
    }

    /// From left to right, shifted by some units down: two strands lie side by side.
    pub(super) fn path(&self, shift: f64) -> String {
        let ((x0, y0), (x1, y1)) = (self.from, self.to);
        let (y0, y1) = (y0 + shift, y1 + shift);
        if (y0 - y1).abs() < 0.5 {
            return format!("M{x0:.0} {y0:.1}H{x1:.0}");
        }
        // Level where the label is, then down or up to the other end.
        let (a, b) = (x0 + 20.0, LABEL.0 - 10.0);
        format!("M{x0:.0} {y0:.1}C{b:.0} {y0:.1} {a:.0} {y1:.1} {b:.0} {y1:.1}H{x1:.0}")
    }
}

/// Width of a strand: the logarithm of its bytes per second. 0: nothing passes.
pub(super) fn thickness(rate: Option<f32>) -> f64 {
    match rate {
        Some(rate) if rate >= 1.0 => (1.0 + f64::from(rate).log10() * 0.55).min(6.0),
        Some(_) | None => 0.0,
    }
}

/// Seconds a dash takes for its own length: a tenfold rate is some 1.6 times as fast.
pub(super) fn pace(rate: Option<f32>) -> f64 {
    let tens = f64::from(rate.unwrap_or(0.0).max(1.0)).log10();
    2.4 / 1.6_f64.powf(tens)
}

#[cfg(test)]
#[path = "scene_test.rs"]
mod tests;
