//! A made host for the map: a recording of any number of containers on several networks whose counters move. Nothing of it is
//! measured; it is what frames per second are measured on, without a lab of that size.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat, ContainerState};
use glasshull_shared::domain::host::{Host, HostStat};
use glasshull_shared::domain::network::{
    Capture, Flow, FlowKey, Link, LinkKey, LinkStat, Netns, NetnsKey, OperState, Protocol,
};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::wire::{Hello, Origin, ServerMessage, TableFrame, TickHead, encode, encode_tick};

/// Containers of one network.
const PER_NETWORK: u32 = 50;
/// Seconds recorded; the recording begins again after them.
const SECONDS: u64 = 30;
const SECOND: u64 = 1_000_000_000;
/// Begin of the recording, nanoseconds since the epoch.
const BEGUN: u64 = 1_760_000_000 * SECOND;
const HOST: u64 = 4_026_531_840;

/// Writes the recording: see `backend/src/serve/recording.rs` for its layout.
///
/// # Errors
/// When the file cannot be written.
pub fn record(file: &Path, containers: u32) -> Result<()> {
    let out = File::create(file).with_context(|| format!("make {}", file.display()))?;
    let mut out = BufWriter::new(out);
    out.write_all(b"GLASSREC")?;
    out.write_all(&1_u32.to_le_bytes())?;
    let hello = Hello {
        agent_version: env!("CARGO_PKG_VERSION").into(),
        instance: 1,
        origin: Origin::Live,
        interval_nanos: SECOND,
    };
    segment(&mut out, &encode(&ServerMessage::Hello(hello))?)?;
    let mut now = still(containers);
    let mut before = Snapshot::default();
    for second in 0..SECONDS {
        advance(&mut now, second);
        let head = TickHead {
            sequence: second + 1,
            at: BEGUN + second * SECOND,
            interval_nanos: (second > 0).then_some(SECOND),
            missed: 0,
        };
        let mut tables = Vec::new();
        for topic in Topic::ALL {
            let bytes = if second == 0 {
                Some(now.encode_full(*topic)?).filter(|_| now.len(*topic) > 0)
            } else {
                now.encode_delta(&before, *topic)?
            };
            tables.extend(bytes.map(|bytes| (*topic, bytes)));
        }
        let full = second == 0;
        let frames: Vec<_> =
            tables.iter().map(|(topic, bytes)| TableFrame { topic: *topic, full, bytes }).collect();
        segment(&mut out, &encode_tick(&head, &frames)?)?;
        before = now.clone();
    }
    out.flush().context("write the recording")
}

fn segment(out: &mut impl std::io::Write, frame: &[u8]) -> Result<()> {
    out.write_all(&u32::try_from(frame.len())?.to_le_bytes())?;
    out.write_all(&crc32fast::hash(frame).to_le_bytes())?;
    out.write_all(frame)?;
    Ok(())
}

fn key(netns: u64, ifindex: u32) -> LinkKey {
    LinkKey { netns, ifindex }
}

/// Everything but the counters.
fn still(containers: u32) -> Snapshot {
    let mut s = Snapshot::default();
    let host = Host { hostname: "made".into(), ..Host::default() };
    s.host.insert(Single, Arc::new(host));
    s.host_stat.insert(Single, Arc::new(HostStat::default()));
    let row = Netns { host: true, ip_forward: Some(true), processes: 100, ..Netns::default() };
    s.netns.insert(NetnsKey { netns: HOST }, Arc::new(row));
    let eth0 = Link { name: "eth0".into(), kind: "physical".into(), ..up() };
    s.link.insert(key(HOST, 2), Arc::new(eth0));
    for n in 0..containers {
        let (network, bridge) = (n / PER_NETWORK, 10 + n / PER_NETWORK);
        let name = format!("net-{network}");
        let row = Link {
            name: format!("br-{network}"),
            kind: "bridge".into(),
            network: Some(name.clone()),
            ..up()
        };
        s.link.insert(key(HOST, bridge), Arc::new(row));
        let (id, netns, port) = (format!("{n:064x}"), HOST + 1 + u64::from(n), 1000 + n);
        let row = Container {
            name: format!("app-{n}"),
            image: Some("made:1".into()),
            state: ContainerState::Running,
            compose_project: Some(format!("project-{}", n % 7)),
            ..Container::default()
        };
        s.container.insert(ContainerKey { id: id.clone() }, Arc::new(row));
        let row = Netns { containers: vec![id.clone()], processes: 5, ..Netns::default() };
        s.netns.insert(NetnsKey { netns }, Arc::new(row));
        let end = |name: String, (peer_netns, peer_ifindex), master| Link {
            name,
            kind: "veth".into(),
            master,
            peer_netns: Some(peer_netns),
            peer_ifindex: Some(peer_ifindex),
            container: Some(id.clone()),
            network: Some(format!("net-{network}")),
            ..up()
        };
        s.link.insert(key(netns, 2), Arc::new(end("eth0".into(), (HOST, port), None)));
        s.link.insert(key(HOST, port), Arc::new(end(format!("veth{n:05}"), (netns, 2), Some(bridge))));
    }
    talk(&mut s, containers);
    s
}

/// Every third container talks with the next one and with one far away; each is seen on the veths of both.
fn talk(s: &mut Snapshot, containers: u32) {
    s.capture.insert(Single, Arc::new(Capture { since_at: BEGUN, ..Capture::default() }));
    let id = |n: u32| Some(format!("{n:064x}"));
    let address = |n: u32| format!("10.{}.{}.{}", n / PER_NETWORK, n % PER_NETWORK, 2);
    for (from, to) in (0..containers).step_by(3).flat_map(|n| [(n, n + 1), (n, (n * 7 + 11) % containers)]) {
        if to >= containers || from == to {
            continue;
        }
        for port in [1000 + from, 1000 + to] {
            let key = FlowKey {
                netns: HOST,
                link_ifindex: port,
                protocol: Protocol::Tcp,
                source: format!("{}:40000", address(from)),
                destination: format!("{}:80", address(to)),
            };
            let row = Flow {
                source_container: id(from),
                destination_container: id(to),
                first_seen_at: BEGUN,
                ..Flow::default()
            };
            s.flow.insert(key.clone(), Arc::new(row));
            s.flow_stat.insert(key, Arc::default());
        }
    }
}

fn up() -> Link {
    Link { up: true, state: OperState::Up, mtu: 1500, ..Link::default() }
}

/// Moves every counter of links and containers: the busiest host a map can show.
fn advance(s: &mut Snapshot, second: u64) {
    for key in s.link.keys() {
        // Between some hundred bytes and some megabytes per second, another rate each second.
        let turn =
            u64::from(key.ifindex).wrapping_mul(2_654_435_761).wrapping_add(second * 977 + key.netns) % 1000;
        let rate = 200 + turn * turn * 7;
        let before = s.link_stat.get(key).map(|row| (row.rx_bytes, row.tx_bytes)).unwrap_or_default();
        let row = LinkStat {
            rx_bytes: before.0 + rate,
            tx_bytes: before.1 + rate / 3,
            rx_bytes_per_sec: (second > 0).then_some(rate as f32),
            tx_bytes_per_sec: (second > 0).then_some(rate as f32 / 3.0),
            ..LinkStat::default()
        };
        s.link_stat.insert(*key, Arc::new(row));
    }
    for (key, row) in &mut s.flow_stat {
        let rate = 100 + u64::from(key.link_ifindex).wrapping_mul(second * 31 + 977) % 1_000_000;
        let row = Arc::make_mut(row);
        (row.sent_bytes, row.received_bytes) = (row.sent_bytes + rate, row.received_bytes + rate * 4);
        (row.sent_bytes_per_sec, row.received_bytes_per_sec) = (Some(rate as f32), Some(rate as f32 * 4.0));
    }
    for (n, key) in (0_u64..).zip(s.container.keys()) {
        let share = ((n * 31 + second * 17) % 100) as f32 / 100.0;
        let row = ContainerStat {
            cpu_ratio: Some(share),
            memory_bytes: Some((n + 1) << 20),
            ..ContainerStat::default()
        };
        s.container_stat.insert(key.clone(), Arc::new(row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::Follower;

    #[test]
    fn the_recording_is_one_and_its_counters_move() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("made.ghrec");
        record(&file, 60).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(&bytes[..12], b"GLASSREC\x01\0\0\0");
        let (mut rest, mut follower) = (&bytes[12..], Follower::default());
        let mut sums = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            follower.take(&after[..length]).unwrap();
            sums.push(follower.snapshot.link_stat.values().map(|row| row.rx_bytes).sum::<u64>());
            rest = &after[length..];
        }
        assert_eq!((follower.ticks, follower.holes), (SECONDS, 0));
        assert_eq!(follower.snapshot.container.len(), 60);
        // Two networks, one wire, a pair for each container.
        assert_eq!(follower.snapshot.link.len(), 123);
        assert!(sums.windows(2).all(|pair| pair[0] < pair[1]), "{sums:?}");
    }
}
