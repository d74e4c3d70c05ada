//! Mounts: fills `mount`, and by way of its part `mount_use`.

use std::collections::BTreeSet;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::Declared;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, TopicSet};

use super::confinement::inits;
use super::container::ContainerPart;
use super::keep_rows;
use super::mount_use::MountUsePart;
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::mount::{MountReader, MountReading};
use crate::model::mount::join_mounts;
use crate::sys::root::Root;

/// Readings of mounts.
pub(crate) struct MountPart {
    root: Root,
    /// CAP_SYS_PTRACE: what is hidden all the same holds more than we do.
    sees_all: bool,
    reader: Option<MountReader>,
    joined: Joined,
    /// Another one whenever the table has been made anew.
    generation: u64,
    /// How full they are.
    pub(crate) usage: MountUsePart,
}

/// What the last join went by.
#[derive(Default)]
struct Joined {
    /// Which process is in which container.
    whose: Vec<(ProcessKey, Option<String>)>,
    declared: Table<ContainerKey, Declared>,
}

impl MountPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, sees_all: bool) -> Self {
        let usage = MountUsePart::new(root.clone());
        Self { root, sees_all, reader: None, joined: Joined::default(), generation: 0, usage }
    }

    /// Forgets what was read and holds no descriptor any more.
    pub(crate) fn release(&mut self) {
        (self.reader, self.joined) = (None, Joined::default());
        self.usage.release();
    }

    /// Reads the namespaces in which something changed, and how full they are when somebody wants it; `next` must have its
    /// processes and containers joined already. `now` is monotonic.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        container: &ContainerPart,
        next: &mut Snapshot,
        (demand, now): (TopicSet, u64),
        troubles: &mut Troubles,
    ) {
        self.read_mounts(processes, container, next, troubles);
        match &self.reader {
            Some(reader) if collect::MOUNT_USE.needed(demand) => {
                self.usage.read((reader, self.generation), next, now, troubles);
            }
            Some(_) | None => self.usage.release(),
        }
    }

    fn read_mounts(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        container: &ContainerPart,
        next: &mut Snapshot,
        troubles: &mut Troubles,
    ) {
        let preferred: BTreeSet<ProcessKey> =
            inits(container.members(), &next.process).into_values().map(|(process, _)| process).collect();
        let reader = self.reader.get_or_insert_with(|| MountReader::new(self.root.clone()));
        let MountReading { changed, hidden, left_out, unwatched, deaf } = reader.read(processes, &preferred);
        match trouble(self.sees_all, hidden, left_out, deaf.map(|why| (why, unwatched))) {
            Some(trouble) => troubles.set(collect::MOUNT, trouble),
            None => troubles.none(collect::MOUNT),
        }
        let whose = |key: &ProcessKey| next.process.get(key).and_then(|row| row.container.clone());
        let whose: Vec<_> = preferred.iter().map(|key| (*key, whose(key))).collect();
        let same = self.joined.whose == whose && self.joined.declared == *container.declared();
        if !changed && same && !next.mount.is_empty() {
            return;
        }
        let mut mounts = reader.mounts();
        join_mounts(&mut mounts, &next.process, container.declared());
        next.mount = keep_rows(mounts, &next.mount);
        self.generation += 1;
        self.joined = Joined { whose, declared: container.declared().clone() };
    }
}

fn trouble(sees_all: bool, hidden: usize, left_out: usize, deaf: Option<(String, usize)>) -> Option<Trouble> {
    let mut reasons = Vec::new();
    let lacks = (hidden > 0 && !sees_all).then_some("CAP_SYS_PTRACE");
    if lacks.is_some() {
        reasons.push(format!(
            "which mount namespace {hidden} processes are in is hidden: of containers the mounts of their init are shown"
        ));
    }
    if left_out > 0 {
        reasons.push(format!("{left_out} more mounts are there than are shown"));
    }
    if let Some((why, namespaces)) = deaf {
        reasons.push(format!("changes in {namespaces} namespaces are seen after ten ticks: {why}"));
    }
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        capability: lacks.map(str::to_owned),
        remedy: lacks.map(grant),
        collected_at: None,
    })
}
