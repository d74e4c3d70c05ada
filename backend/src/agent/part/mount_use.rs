//! How full file systems are: fills `mount_use`. They are asked by threads beside the tick.

use std::collections::BTreeMap;

use glasshull_shared::domain::mount::{Mount, MountKey, MountUse};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::Snapshot;

use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::mount::{Crew, FaultKind, Figures, Job, MountReader, News, Passage, Told};
use crate::model::mount_use::{Answer, History, Target, rows, targets};
use crate::sys::clock;
use crate::sys::root::Root;

/// Nanoseconds between two looks at all.
const EVERY: u64 = 10_000_000_000;
/// The same at the beginning, doubled from look to look: growth is known soon, and soon over more than a moment.
const AT_FIRST: u64 = 1_000_000_000;
/// Timer slack: a look that is due in a moment is due now.
const SLACK: u64 = 100_000_000;
/// Looks at a time that need a process of their own; the others wait for the next time.
const APART_AT_MOST: usize = 64;

/// Readings of use.
pub(crate) struct MountUsePart {
    crew: Crew,
    known: BTreeMap<String, History>,
    /// Monotonic instants of the first and the last look at all.
    looked: Option<(u64, u64)>,
    /// The generation of mounts that the rows are for.
    mounts: Option<u64>,
    /// Which of those to be asked apart begins, when they are too many for one time.
    turn: usize,
    /// Of each file system that does not tell, whether a permission lacks.
    silent: BTreeMap<String, bool>,
}

impl MountUsePart {
    /// A part that has asked nobody yet.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            crew: Crew::new(root),
            known: BTreeMap::new(),
            looked: None,
            mounts: None,
            turn: 0,
            silent: BTreeMap::new(),
        }
    }

    /// Forgets what was read; what hangs is remembered, or each new watcher would add to it.
    pub(crate) fn release(&mut self) {
        self.crew.rest();
        self.known.clear();
        self.silent.clear();
        (self.looked, self.mounts) = (None, None);
    }

    /// Whether answers are on their way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.crew.is_waiting()
    }

    /// Takes what came and asks what is due; `next` must have its mounts, those of this generation. `now` is monotonic.
    pub(crate) fn read(
        &mut self,
        (reader, generation): (&MountReader, u64),
        next: &mut Snapshot,
        now: u64,
        troubles: &mut Troubles,
    ) {
        self.take(next, troubles);
        let moved = self.mounts.replace(generation) != Some(generation);
        let due = is_due(self.looked, now);
        if !moved && !due {
            return;
        }
        let jobs = self.jobs(reader, next, due);
        if due {
            self.looked = Some((self.looked.map_or(now, |(first, _)| first), now));
        }
        if let Err(error) = self.crew.order(jobs) {
            troubles.stale(collect::MOUNT_USE, format!("no thread to ask on: {error}"));
        }
        if moved {
            next.mount_use = rows(&next.mount, &self.known);
        }
    }

    /// Takes over what came since. Reads nothing.
    pub(crate) fn take(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        let (news, manned) = self.crew.take(clock::monotonic());
        if !news.is_empty() {
            news.into_iter().for_each(|news| self.hear(news));
            next.mount_use = rows(&next.mount, &self.known);
        }
        match manned {
            Ok(()) => self.tell(troubles),
            Err(error) => troubles.stale(collect::MOUNT_USE, format!("no thread to ask on: {error}")),
        }
    }

    /// Looks at all, or at those of which nothing is known.
    fn jobs(&mut self, reader: &MountReader, next: &Snapshot, all: bool) -> Vec<Job> {
        let targets = targets(&next.mount);
        self.known.retain(|device, _| targets.contains_key(device.as_str()));
        self.silent.retain(|device, _| targets.contains_key(device.as_str()));
        let (mut jobs, mut apart) = (Vec::new(), Vec::new());
        for (device, target) in targets {
            if target.ways.is_empty() {
                let mut covered = History::of(target.mounts);
                covered.failed("other mounts lie over it".into(), false);
                self.known.insert(device.to_owned(), covered);
                self.silent.remove(device);
                continue;
            }
            let known = self.known.get_mut(device).is_some_and(|known| known.follow(&target.mounts));
            if known && !all {
                continue;
            }
            let job = job(device, &target, reader);
            if !known {
                self.known.insert(device.to_owned(), History::of(target.mounts));
            }
            match job.apart {
                true => apart.push(job),
                false => jobs.push(job),
            }
        }
        // Of many each has its turn; what may hang comes after all that does not.
        if apart.len() > APART_AT_MOST {
            let begin = self.turn % apart.len();
            apart.rotate_left(begin);
            self.turn = begin + APART_AT_MOST;
        }
        jobs.extend(apart.into_iter().take(APART_AT_MOST));
        jobs
    }

    fn hear(&mut self, News { device, told }: News) {
        let Some(known) = self.known.get_mut(&device) else { return };
        self.silent.remove(&device);
        match told {
            Told::Figures { at, asked_at, figures } => {
                let identity = figures.identity;
                known.answered(Answer { at, identity, figures: row(figures, asked_at) });
            }
            Told::Failed(fault) => {
                known.failed(fault.text, false);
                // What nobody reaches is no trouble.
                if fault.kind != FaultKind::Covered {
                    self.silent.insert(device, fault.kind == FaultKind::Hidden);
                }
            }
            Told::Hung => {
                known.failed("it does not answer: the look hangs in the kernel".into(), true);
                self.silent.insert(device, false);
            }
            Told::NotAsked => {
                known.failed("not asked: too many others do not answer".into(), false);
                self.silent.insert(device, false);
            }
        }
    }

    fn tell(&self, troubles: &mut Troubles) {
        let hung =
            |device: &&String| self.known.get(*device).and_then(History::row).is_some_and(|row| row.hung);
        let (count, hung) = (self.silent.len(), self.silent.keys().filter(hung).count());
        let lacks = self.silent.values().any(|hidden| *hidden).then_some("CAP_SYS_PTRACE");
        if count == 0 {
            return troubles.none(collect::MOUNT_USE);
        }
        let all = self.known.len();
        let reason =
            format!("{count} of {all} file systems do not tell how full they are, {hung} of which hang");
        troubles.set(
            collect::MOUNT_USE,
            Trouble {
                state: SourceState::Limited,
                reason: format!("{reason}: their rows say why"),
                capability: lacks.map(str::to_owned),
                remedy: lacks.map(grant),
                collected_at: None,
            },
        );
    }
}

fn job(device: &str, target: &Target<'_>, reader: &MountReader) -> Job {
    let passage = |(key, row): &(&MountKey, &Mount)| Passage {
        pid: row.pid,
        host: row.host,
        path: reader.path(key, row).to_vec(),
        mount: key.mount,
    };
    let place = target.ways.first().and_then(|(key, _)| key.mntns);
    Job {
        device: device.to_owned(),
        place,
        apart: target.apart,
        ways: target.ways.iter().map(passage).collect(),
    }
}

fn row(told: Figures, asked_at: u64) -> MountUse {
    MountUse {
        size_bytes: told.size_bytes,
        used_bytes: told.used_bytes,
        available_bytes: told.available_bytes,
        inodes: told.inodes,
        inodes_used: told.inodes_used,
        asked_at: Some(asked_at),
        ..MountUse::default()
    }
}

/// Whether all are looked at again, after the first and the last look.
fn is_due(looked: Option<(u64, u64)>, now: u64) -> bool {
    looked.is_none_or(|(first, last)| {
        let every = EVERY.min(AT_FIRST.max(last.saturating_sub(first)));
        now.saturating_sub(last) + SLACK >= every
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_close_at_first_and_ten_seconds_apart_soon() {
        let (mut looked, mut at) = (None, Vec::new());
        for second in 5..45 {
            // Ticks are never quite in time.
            let now = second * 1_000_000_000 - 20_000_000 * (second % 2);
            if is_due(looked, now) {
                looked = Some((looked.map_or(now, |(first, _)| first), now));
                at.push(second - 5);
            }
        }
        assert_eq!(at, [0, 1, 2, 4, 8, 16, 26, 36]);
    }
}
