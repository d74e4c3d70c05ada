//! Containers from engines, runtimes and control groups: fills `container`, `container_stat`, `limit_stat`, `container_device_io`,
//! `engine`, `event`, and joins each process to its container in `process`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::delta::{Table, diff};
use glasshull_shared::domain::confinement::{Declared, DeviceControl};
use glasshull_shared::domain::container::{
    Container, ContainerDeviceIo, ContainerDeviceKey, ContainerKey, ContainerStat,
};
use glasshull_shared::domain::dns::Told;
use glasshull_shared::domain::event::{Event, EventKey, EventKind};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::snapshot::Snapshot;
use tokio::sync::Notify;

use super::process::ProcessPart;
use super::{Raw, keep_rows};
use crate::agent::source::Troubles;
use crate::collect;
use crate::collect::cgroup::{CgroupReader, CgroupReading, Extra};
use crate::collect::container::{EngineReading, Engines, Options};
use crate::collect::runtime::RuntimeReader;
use crate::config::Common;
use crate::model::io::name_devices;
use crate::model::join::{Joined, Known, join_containers};
use crate::model::rate;
use crate::sys::clock;
use crate::sys::root::Root;

/// Events kept for the timeline.
const EVENTS_KEPT: usize = 200;

/// Readings of containers.
pub(crate) struct ContainerPart {
    root: Root,
    mask_args: bool,
    engines: Option<Engines>,
    engine: EngineReading,
    cgroups: CgroupReader,
    runtime: RuntimeReader,
    runtime_containers: Table<ContainerKey, Container>,
    joined: Joined,
    frozen: BTreeSet<ContainerKey>,
    stat: Raw<ContainerKey, ContainerStat>,
    device_io: Raw<ContainerDeviceKey, ContainerDeviceIo>,
    happened: Table<EventKey, Event>,
    happened_sequence: u64,
}

impl ContainerPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, cgroups: CgroupReader, mask_args: bool) -> Self {
        Self {
            mask_args,
            engines: None,
            engine: EngineReading::default(),
            cgroups,
            runtime: RuntimeReader::new(root.clone()),
            runtime_containers: Table::new(),
            joined: Joined::default(),
            frozen: BTreeSet::new(),
            stat: Raw::default(),
            device_io: Raw::default(),
            happened: Table::new(),
            happened_sequence: 0,
            root,
        }
    }

    /// Gives back descriptors and connections; the events stay.
    pub(crate) fn release(&mut self) {
        let happened = (std::mem::take(&mut self.happened), self.happened_sequence);
        let cgroups = CgroupReader::new(self.root.clone());
        *self = Self::new(self.root.clone(), cgroups, self.mask_args);
        (self.happened, self.happened_sequence) = happened;
    }

    /// Connects to the engines, which work beside the tick. Needs a tokio runtime.
    pub(crate) fn prepare(&mut self, common: &Common, wake: &Arc<Notify>) {
        if self.engines.is_none() {
            self.engines = Some(Engines::start(common.engine.clone(), Arc::clone(wake), Options::default()));
        }
    }

    /// How the engines are doing.
    pub(crate) fn engines(&self) -> Option<&Engines> {
        self.engines.as_ref()
    }

    /// A host pid in each container that runs, its init where known.
    pub(crate) fn members(&self) -> &BTreeMap<ContainerKey, u32> {
        self.joined.members()
    }

    /// What engines were told about how each is confined.
    pub(crate) fn declared(&self) -> &Table<ContainerKey, Declared> {
        &self.engine.declared
    }

    /// Networks, addresses and names that engines tell of each.
    pub(crate) fn names(&self) -> &Table<ContainerKey, Told> {
        &self.engine.told
    }

    /// Which devices a process may use, as its control group tells.
    pub(crate) fn devices(&self, pid: u32) -> (DeviceControl, Vec<String>) {
        self.cgroups.devices(pid)
    }

    /// Whose are the processes, and what do runtimes leave on disk for them. `changed`: processes came, went or changed.
    /// Called at every tick all the same: what a shim is about to write is found on a quiet host too.
    pub(crate) fn take_processes(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        changed: bool,
        next: &mut Snapshot,
    ) {
        if processes.is_empty() {
            return;
        }
        let runtime = self.runtime.read(processes);
        if changed || !diff(&self.runtime_containers, &runtime).is_empty() {
            self.runtime_containers = runtime;
            self.join(processes, next);
        }
    }

    /// Takes over what the engines told, when they told anything new.
    pub(crate) fn take_engines(&mut self, processes: &Table<ProcessKey, Process>, next: &mut Snapshot) {
        let Some(engines) = &self.engines else { return };
        let reading = engines.read();
        for event in &reading.events {
            self.happened_sequence += 1;
            let row = Event {
                at: event.at,
                kind: event.kind,
                container: event.container.clone(),
                text: event.text.clone(),
            };
            self.happened.insert(EventKey { sequence: self.happened_sequence }, Arc::new(row));
        }
        while self.happened.len() > EVENTS_KEPT {
            self.happened.pop_first();
        }
        next.event.clone_from(&self.happened);
        next.engine.clone_from(&reading.engines);
        let changed = reading.generation != self.engine.generation || next.container.is_empty();
        if reading.generation != self.engine.generation {
            self.cgroups.forget_limits(); // `docker update` changes them
        }
        self.engine = reading;
        if changed {
            self.join(processes, next);
        }
    }

    /// The control groups, for who reads more of them.
    pub(crate) fn cgroups(&self) -> &CgroupReader {
        &self.cgroups
    }

    /// How often engines told something new.
    pub(crate) fn told(&self) -> u64 {
        self.engine.generation
    }

    /// Puts something that we did or saw at `at` into the events.
    pub(crate) fn note(&mut self, kind: EventKind, container: &str, at: u64, text: String) -> EventKey {
        self.tell(kind, Some(container.to_owned()), at, text)
    }

    /// Puts something into the events that need not be a container's.
    pub(crate) fn tell(
        &mut self,
        kind: EventKind,
        container: Option<String>,
        at: u64,
        text: String,
    ) -> EventKey {
        let row = Event { at, kind, container, text };
        self.happened_sequence += 1;
        let key = EventKey { sequence: self.happened_sequence };
        self.happened.insert(key, Arc::new(row));
        key
    }

    /// Joins engines, runtimes and processes into containers.
    fn join(&mut self, processes: &Table<ProcessKey, Process>, next: &mut Snapshot) {
        let known = Known {
            engines: &self.engine.engines,
            containers: &self.engine.containers,
            runtime: &self.runtime_containers,
            frozen: &self.frozen,
        };
        let mut processes = processes.clone();
        next.container = join_containers(known, &mut processes, &mut self.joined);
        next.process = processes;
        if self.mask_args {
            for row in next.container.values_mut().filter(|c| c.command.is_some()) {
                Arc::make_mut(row).command = None;
            }
        }
    }

    /// Reads the control groups of all containers that have processes. Devices are named as `next` tells them.
    pub(crate) fn read_cgroups(
        &mut self,
        processes: &ProcessPart,
        next: &mut Snapshot,
        extra: Extra,
        troubles: &mut Troubles,
    ) {
        let reading = self.cgroups.read(self.joined.members(), extra);
        let CgroupReading { mut stats, more, devices, frozen, gaps, notices } = reading;
        next.limit_stat = keep_rows(more, &next.limit_stat);
        if frozen != self.frozen {
            self.frozen = frozen;
            self.join(processes.rows(), next);
        }
        self.joined.put_counts(&mut stats);
        for (key, row) in &mut stats {
            Arc::make_mut(row).short_lived = processes.short_lived_in(&key.id);
        }
        if extra.devices {
            self.show_devices(devices, &stats, next, troubles);
        } else {
            self.device_io = Raw::default(); // the next rate is of the time after somebody looked again
        }
        let shown = std::mem::take(&mut next.container_stat);
        next.container_stat = self.stat.advance(clock::monotonic(), stats, |before, rows, nanos| {
            rate::rate_gapped(before, rows, &shown, nanos, &gaps)
        });
        match notices.into_iter().next() {
            Some(notice) => troubles.limited(collect::CGROUP, notice),
            None => troubles.none(collect::CGROUP),
        }
    }

    /// Shows block I/O by device, and says whose is not counted.
    fn show_devices(
        &mut self,
        mut devices: Table<ContainerDeviceKey, ContainerDeviceIo>,
        stats: &Table<ContainerKey, ContainerStat>,
        next: &mut Snapshot,
        troubles: &mut Troubles,
    ) {
        name_devices(&mut devices, &next.device);
        self.device_io.show(clock::monotonic(), devices, &mut next.container_device_io);
        let uncounted = stats.values().filter(|stat| stat.read_bytes.is_none()).count();
        if uncounted == 0 {
            return troubles.none(collect::CONTAINER_DEVICE_IO);
        }
        let why = if self.cgroups.counts_by_v1() {
            "cgroup v1 counts, since Linux 6.10, only what passes devices on which some control group has or had a limit \
             (docker run --device-write-bps …)"
        } else {
            "their control groups have no io.stat: the io controller is not switched on for them"
        };
        let reason = format!(
            "of {uncounted} of {} containers no I/O is counted by device: {why}; what their processes ask for is known",
            stats.len()
        );
        troubles.limited(collect::CONTAINER_DEVICE_IO, reason);
    }
}
