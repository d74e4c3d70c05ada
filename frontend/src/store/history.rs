//! Samples of the last minutes for sparklines and the timeline, taken from the mirror at each measured tick.

use std::collections::{BTreeMap, VecDeque};

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::wire::TickHead;

/// Samples kept of the host: 15 minutes at one per second.
pub const HOST_SAMPLES: usize = 900;
/// Samples kept of each container: 2 minutes at one per second.
pub const CONTAINER_SAMPLES: usize = 120;

/// The host at one tick.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostSample {
    /// Instant of the tick, nanoseconds since the epoch.
    pub at: u64,
    /// Share of all CPUs doing anything, 0..1; `None` on the agent's first sample.
    pub busy_ratio: Option<f32>,
    /// Share of all CPUs idle while a task waited for a block device, 0..1; `None` as above.
    pub iowait_ratio: Option<f32>,
    /// `MemTotal` − `MemAvailable`, bytes.
    pub memory_used_bytes: u64,
    /// `MemTotal`, bytes.
    pub memory_total_bytes: u64,
    /// Some task stalled on I/O, mean of 10 s, 0..1; `None` without PSI.
    pub psi_io_ratio: Option<f32>,
}

/// A container at one tick.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ContainerSample {
    /// Instant of the tick, nanoseconds since the epoch.
    pub at: u64,
    /// Share of one core; `None` when unknown.
    pub cpu_ratio: Option<f32>,
    /// Working set, bytes; `None` when unknown.
    pub memory_bytes: Option<u64>,
}

/// Rings of samples, oldest first.
#[derive(Debug, Default)]
pub struct History {
    host: VecDeque<HostSample>,
    containers: BTreeMap<ContainerKey, VecDeque<ContainerSample>>,
}

impl History {
    /// The host's samples, oldest first.
    pub fn host(&self) -> &VecDeque<HostSample> {
        &self.host
    }

    /// A container's samples, oldest first; empty when none were taken. Taken only while its statistics are watched.
    pub fn container(&self, key: &ContainerKey) -> impl DoubleEndedIterator<Item = &ContainerSample> + Clone {
        self.containers.get(key).into_iter().flatten()
    }

    /// Takes samples of a tick. Ticks caused by an event carry no new measurement and are left out.
    pub(super) fn sample(&mut self, head: &TickHead, now: &Snapshot, is_fresh: impl Fn(Topic) -> bool) {
        if head.interval_nanos.is_none() {
            return;
        }
        if is_fresh(Topic::HostStat) {
            self.sample_host(head.at, now);
        }
        if is_fresh(Topic::ContainerStat) {
            self.sample_containers(head.at, now);
        }
    }

    fn sample_host(&mut self, at: u64, now: &Snapshot) {
        let Some(stat) = now.host_stat.get(&Single) else { return };
        // A replay that starts over goes back in time: what came after is not the past of it.
        while self.host.back().is_some_and(|last| last.at >= at) {
            self.host.pop_back();
        }
        if self.host.len() == HOST_SAMPLES {
            self.host.pop_front();
        }
        self.host.push_back(HostSample {
            at,
            busy_ratio: stat.cpu_ratio.map(|r| r.busy()),
            iowait_ratio: stat.cpu_ratio.map(|r| r.iowait),
            memory_used_bytes: stat.memory.used_bytes,
            memory_total_bytes: stat.memory.total_bytes,
            psi_io_ratio: stat.psi_io.map(|p| p.some.avg10_ratio),
        });
    }

    fn sample_containers(&mut self, at: u64, now: &Snapshot) {
        self.containers.retain(|key, _| now.container_stat.contains_key(key));
        for (key, stat) in &now.container_stat {
            let ring = match self.containers.get_mut(key) {
                Some(ring) => ring,
                None => self.containers.entry(key.clone()).or_default(),
            };
            while ring.back().is_some_and(|last| last.at >= at) {
                ring.pop_back();
            }
            if ring.len() == CONTAINER_SAMPLES {
                ring.pop_front();
            }
            ring.push_back(ContainerSample {
                at,
                cpu_ratio: stat.cpu_ratio,
                memory_bytes: stat.memory_bytes,
            });
        }
    }
}
