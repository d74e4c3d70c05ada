//! What confines containers: fills `confinement`.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::{Declared, Effective};
use glasshull_shared::domain::container::{ContainerKey, Runtime};
use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::snapshot::Snapshot;

use super::container::ContainerPart;
use crate::agent::source::Troubles;
use crate::collect;
use crate::collect::confinement::ConfinementReader;
use crate::model::confinement::{Known, join_confinement};
use crate::sys::root::Root;

/// Readings of what confines containers.
pub(crate) struct ConfinementPart {
    root: Root,
    reader: ConfinementReader,
    joined: Joined,
}

/// What the last join went by: while it stays, so do the rows.
#[derive(Default, PartialEq)]
struct Joined {
    runtimes: Vec<(ContainerKey, Runtime)>,
    effective: BTreeMap<ContainerKey, (u32, Arc<Effective>)>,
    declared: Table<ContainerKey, Declared>,
    mounts: Table<MountKey, Mount>,
}

impl ConfinementPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { reader: ConfinementReader::new(root.clone()), root, joined: Joined::default() }
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone());
    }

    /// Reads the inits of all containers; `next` must have its containers and mounts joined already.
    pub(crate) fn read(&mut self, container: &ContainerPart, next: &mut Snapshot, troubles: &mut Troubles) {
        let inits = inits(container.members(), &next.process);
        let held = self.reader.read(&inits, &|pid| container.devices(pid));
        let missed = inits.len().saturating_sub(held.len());
        let effective = held.into_iter().filter_map(|(key, row)| {
            let pid = inits.get(&key)?.0.pid;
            Some((key, (pid, row)))
        });
        let joined = Joined {
            runtimes: next.container.iter().map(|(key, row)| (key.clone(), row.runtime)).collect(),
            effective: effective.collect(),
            declared: container.declared().clone(),
            mounts: next.mount.clone(),
        };
        let nothing = joined.effective.is_empty();
        if joined != self.joined {
            let known = Known {
                containers: &next.container,
                declared: &joined.declared,
                effective: &joined.effective,
                mounts: Some(&joined.mounts),
            };
            next.confinement = join_confinement(known, &next.confinement);
            self.joined = joined;
        }
        // One that ends while it is read is normal; `hidepid` hides those of others for good.
        if missed > 0 && nothing {
            troubles.limited(collect::CONFINEMENT, format!("status of {missed} containers cannot be read"));
        } else {
            troubles.none(collect::CONFINEMENT);
        }
    }
}

/// The process of each container that stands for it.
pub(super) fn inits(
    members: &BTreeMap<ContainerKey, u32>,
    processes: &Table<ProcessKey, Process>,
) -> BTreeMap<ContainerKey, (ProcessKey, Arc<Process>)> {
    let found = members.iter().filter_map(|(key, pid)| {
        let of_pid = ProcessKey { pid: *pid, start_time: 0 }..=ProcessKey { pid: *pid, start_time: u64::MAX };
        let (process, row) = processes.range(of_pid).next()?;
        Some((key.clone(), (*process, Arc::clone(row))))
    });
    found.collect()
}
