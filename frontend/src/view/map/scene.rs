//! What the map draws, with places in user units of its picture: tables and a plan in, texts and coordinates out. Pure.

use std::collections::BTreeSet;

use glasshull_shared::domain::container::ContainerState;
use glasshull_shared::domain::network::{Link, LinkKey, LinkStat, NetnsKey};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::cast::{Bundle, Cast, group_of, host, links_of};
use super::frame::{bundle_frame, frame};
use super::outside;
use super::plan::{Group, Plan, Who};
use super::talk::{self, Bow, Outside, Talking};
use crate::store::lookup::container_name;
use crate::store::network::{link, other_end};

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
/// Height of a label with rates, and of one with its name alone.
pub(super) const LABEL_TALL: f64 = 26.0;
const LABEL_LINE: f64 = 13.0;
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
    /// Who stands at its right end.
    pub(super) who: Who,
    /// Bridge at its left end.
    pub(super) bridge: Option<LinkKey>,
    /// From left to right.
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
    /// Name on it; empty for the short ones.
    pub(super) label: String,
    /// Top and height of its label: where many leave one frame there is room for a line each.
    pub(super) label_at: (f64, f64),
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

/// A network namespace with who is in it, or a bundle of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    pub(super) who: Who,
    /// Of a bundle: its id in the URL, whether it is open, and how many are in it.
    pub(super) bundle: Option<(String, bool, usize)>,
    pub(super) y: f64,
    pub(super) title: String,
    pub(super) detail: String,
    /// Containers in it, owner first.
    pub(super) containers: Vec<String>,
    /// Of a bundle: the namespaces in it.
    pub(super) members: Vec<u64>,
    /// Share of one core, and of what it may use when that is limited.
    pub(super) cpu: Option<(f32, Option<f32>)>,
    /// Bytes, and share of the limit.
    pub(super) memory: Option<(u64, Option<f32>)>,
    pub(super) processes: u32,
    /// Its first address, and how many more it has; `None` in bundles.
    pub(super) address: Option<(String, usize)>,
}

/// The whole picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scene {
    pub(super) height: f64,
    /// The host's own network namespace.
    pub(super) host: Option<u64>,
    pub(super) wires: Vec<Wire>,
    pub(super) bridges: Vec<Bridge>,
    pub(super) frames: Vec<Frame>,
    pub(super) cables: Vec<Cable>,
    /// Who talks to whom; empty unless wanted.
    pub(super) bows: Vec<Bow>,
    /// Who is talked with beyond this host, most bytes first, and the top of their list; none unless wanted.
    pub(super) outside: Vec<Outside>,
    pub(super) outside_at: f64,
    /// Containers that use the host's own network: id and name.
    pub(super) on_host: Vec<(String, String)>,
    /// Ports of the host that lead into a container: its id, and `8080→web:80`.
    pub(super) published: Vec<(String, String)>,
    pub(super) forwards: Option<bool>,
    /// Beside the first row of each group without bridge: what it is.
    pub(super) notes: Vec<(f64, &'static str)>,
}

/// Kinds of links through which packets leave the host.
const OUTWARD: [&str; 8] = ["physical", "bond", "vlan", "wireguard", "vxlan", "tun", "gre", "ipip"];

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

/// Two rates together; of one that is not known yet nothing is added.
pub(super) fn plus(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    a.map_or(b, |a| Some(a + b.unwrap_or_default()))
}

fn stat(s: &Snapshot, key: LinkKey) -> Option<&LinkStat> {
    s.link_stat.get(&key).map(|stat| &**stat)
}

/// The picture of these tables by this plan.
pub(super) fn scene(s: &Snapshot, cast: &Cast, plan: &Plan, talking: &Talking) -> Scene {
    let Some((host, host_row)) = host(s) else { return Scene::default() };
    let bridges = bridges(s, host, plan);
    let wires = wires(s, host);
    let below_wires = TOP + wires.len() as f64 * WIRE_PITCH;
    let mut scene = Scene {
        height: (row_y(plan.rows())).max(below_wires + outside::tall(talking.beyond.len())).max(420.0) + 20.0,
        outside: talking.beyond.clone(),
        outside_at: below_wires,
        host: Some(host),
        forwards: host_row.ip_forward,
        published: published(s),
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
            ..bare(wire.key, Who::Netns(host))
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
            ..bare(bridge.key, Who::Netns(host))
        });
    }
    for member in &cast.members {
        let Some(at) = plan.row(&member.who) else { continue };
        match &member.who {
            Who::Netns(netns) => {
                let Some(row) = s.netns.get(&NetnsKey { netns: *netns }) else { continue };
                let frame = frame(s, *netns, row, row_y(at));
                scene.cables.extend(cables(s, host, *netns, &frame, &bridges));
                scene.frames.push(frame);
            }
            Who::Bundle(group, name) => {
                let Some(bundle) = cast.bundles.get(&(*group, name.clone())) else { continue };
                let frame = bundle_frame(s, (*group, name), bundle, row_y(at));
                scene.cables.extend(bundle_cable(s, host, bundle, &frame, &bridges));
                scene.frames.push(frame);
            }
        }
    }
    scene.bows = talk::bows(&talking.within, &scene.frames);
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

/// Published ports of all containers that run, in the order of the ports.
fn published(s: &Snapshot) -> Vec<(String, String)> {
    let mut all = BTreeSet::new();
    for (key, row) in s.container.iter().filter(|(_, row)| row.state == ContainerState::Running) {
        // The same port on IPv4 and IPv6 is one.
        for port in row.ports.iter().filter_map(|p| Some((p.host_port?, p.container_port))) {
            all.insert((port, key.id.clone()));
        }
    }
    let text = |((host, inside), id): ((u16, u16), String)| {
        let shown = format!("{host}→{}:{inside}", container_name(s, &id));
        (id, shown)
    };
    all.into_iter().map(text).collect()
}

fn bare(key: LinkKey, who: Who) -> Cable {
    Cable {
        key,
        far: None,
        who,
        bridge: None,
        from: (0.0, 0.0),
        to: (0.0, 0.0),
        label: String::new(),
        label_at: (0.0, 0.0),
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

/// The cable of a closed bundle: what passes over all of its members' together. Those of an open one have their own.
fn bundle_cable(
    s: &Snapshot,
    host: u64,
    bundle: &Bundle,
    frame: &Frame,
    bridges: &[Bridge],
) -> Option<Cable> {
    if bundle.open {
        return None;
    }
    let links = bundle.members.iter().flat_map(|netns| links_of(s, *netns));
    let links: Vec<_> = links.filter(|(_, row)| row.kind != "loopback").collect();
    let (key, first) = links.first()?;
    let mut sum = Flow::default();
    for (key, _) in &links {
        let one = flow(stat(s, *key));
        (sum.rx, sum.tx, sum.lost) = (plus(sum.rx, one.rx), plus(sum.tx, one.tx), sum.lost + one.lost);
    }
    let y = frame.y + TALL / 2.0;
    let (from, bridge) = left_end(s, host, first, bridges, y);
    Some(Cable {
        bridge,
        from,
        to: (BOX.0, y),
        label: format!("{} links", unit::count(links.len() as u64)),
        label_at: label_place(frame, 0, 1),
        kind: first.kind.clone(),
        up: links.iter().any(|(_, row)| row.up),
        flow: sum,
        ..bare(*key, frame.who.clone())
    })
}

/// Where a cable begins, and at which bridge.
fn left_end(
    s: &Snapshot,
    host: u64,
    row: &Link,
    bridges: &[Bridge],
    y: f64,
) -> ((f64, f64), Option<LinkKey>) {
    let bridge = match group_of(s, host, row) {
        Group::Bridge(ifindex) => Some(LinkKey { netns: host, ifindex }),
        Group::Host | Group::Rides(_) | Group::Others | Group::Nothing => None,
    };
    let from = match bridges.iter().find(|b| Some(b.key) == bridge) {
        Some(b) => (BRIDGE.0 + BRIDGE.1, y.clamp(b.y + 6.0, b.y + b.height - 6.0)),
        None if other_end(row).is_some_and(|far| far.netns == host) => (STACK.0 + STACK.1, y),
        None => (LABEL.0, y),
    };
    (from, bridge)
}

/// The cables of a frame: one per link but lo, spread over its height.
fn cables(s: &Snapshot, host: u64, netns: u64, frame: &Frame, bridges: &[Bridge]) -> Vec<Cable> {
    let links: Vec<_> = links_of(s, netns).filter(|(_, row)| row.kind != "loopback").collect();
    let step = TALL / (links.len() + 1) as f64;
    let cable = |(i, (key, row)): (usize, &(LinkKey, &Link))| {
        let y = frame.y + step * (i + 1) as f64;
        let far = other_end(row);
        let far_row = far.and_then(|far| link(s, far));
        let (from, bridge) = left_end(s, host, row, bridges, y);
        Cable {
            far,
            bridge,
            from,
            to: (BOX.0, y),
            label_at: label_place(frame, i, links.len()),
            label: far_row.filter(|_| row.peer_netns == Some(host)).map_or(&row.name, |r| &r.name).clone(),
            kind: row.kind.clone(),
            up: row.up,
            flow: flow(stat(s, *key)),
            ..bare(*key, frame.who.clone())
        }
    };
    links.iter().enumerate().map(cable).collect()
}

/// Top and height of the label of one of so many cables of a frame. Three and more take the space between frames, too.
fn label_place(frame: &Frame, i: usize, of: usize) -> (f64, f64) {
    let pitch = if of < 3 { LABEL_TALL + 3.0 } else { (PITCH - 4.0) / of as f64 };
    let tall = if of < 3 { LABEL_TALL } else { LABEL_LINE.min(pitch) };
    let middle = frame.y + TALL / 2.0 + pitch * (i as f64 - (of - 1) as f64 / 2.0);
    (middle - tall / 2.0, tall)
}

impl Flow {
    /// `↓ 412 kB/s` and `↑ 3.1 MB/s`.
    pub(super) fn rates(&self) -> (String, String) {
        let text = |rate: Option<f32>| unit::or_unknown(rate.map(|r| unit::bytes_per_sec(f64::from(r))));
        (format!("↓ {}", text(self.rx)), format!("↑ {}", text(self.tx)))
    }
}

impl Cable {
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
