//! Strips of those who waited uninterruptibly in the last minutes, from looks several times a second: the rows of `waiter`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ABSENT, LOOKS_PER_SEC, Process, ProcessKey, STRIP_SECS, Waiter};

/// Processes followed at most: those that waited last.
const FOLLOWED_AT_MOST: usize = 500;
/// Functions named of one process.
const CHANNELS_AT_MOST: usize = 5;

/// A process that one look found in D.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// Which.
    pub(crate) key: ProcessKey,
    /// Command name.
    pub(crate) comm: &'a str,
    /// The kernel's function it waits in.
    pub(crate) channel: Option<&'a str>,
    /// Functions, innermost first.
    pub(crate) stack: &'a [String],
}

/// One process's strip while it is made.
#[derive(Debug, Default)]
struct Strip {
    comm: String,
    /// Second of the first cell.
    since: u64,
    cells: VecDeque<u8>,
    last_wait: u64,
    there: bool,
    waits: bool,
    channels: BTreeMap<String, u32>,
    stack: Vec<String>,
}

impl Strip {
    /// The cell of a second; seconds without a look before it are absent.
    fn cell(&mut self, second: u64) -> Option<&mut u8> {
        if second >= self.since + 2 * STRIP_SECS as u64 {
            // Nothing of it is seen any more, or the clock was set forward.
            self.cells.clear();
            self.since = second;
        }
        while self.since + (self.cells.len() as u64) <= second {
            if self.cells.len() == STRIP_SECS {
                self.cells.pop_front();
                self.since += 1;
            } else {
                self.cells.push_back(ABSENT);
            }
        }
        self.cells.get_mut(usize::try_from(second.checked_sub(self.since)?).ok()?)
    }

    /// Of one that has ended it stays the same.
    fn row(&self, now: u64, container: Option<String>) -> Waiter {
        let mut channels: Vec<(String, u32)> = self.channels.clone().into_iter().collect();
        channels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        channels.truncate(CHANNELS_AT_MOST);
        let mut strip: Vec<u8> = self.cells.iter().copied().collect();
        if self.there {
            let missing = usize::try_from((now + 1).saturating_sub(self.since)).unwrap_or(STRIP_SECS);
            strip.resize(missing.clamp(strip.len(), STRIP_SECS.max(strip.len())), ABSENT);
        }
        Waiter {
            comm: self.comm.clone(),
            container,
            ended: !self.there,
            waits: self.waits,
            since_secs: self.since,
            strip,
            channels,
            stack: self.stack.clone(),
        }
    }
}

/// All strips.
#[derive(Debug, Default)]
pub(crate) struct Strips {
    strips: BTreeMap<ProcessKey, Strip>,
    /// Of those that are gone from the table of processes.
    containers: BTreeMap<ProcessKey, Option<String>>,
    /// Second of the last look.
    now: u64,
}

impl Strips {
    /// Takes over a look made in a second since the epoch: who waits and, in order, who of those that waited before is still there.
    pub(crate) fn take<'a>(
        &mut self,
        second: u64,
        waiting: impl Iterator<Item = Wait<'a>>,
        there: &[ProcessKey],
    ) {
        // A clock that was set back begins anew: what came after is not before.
        if second + 2 < self.now {
            self.strips.clear();
            self.now = second;
        }
        self.now = self.now.max(second);
        let second = self.now;
        for (key, strip) in &mut self.strips {
            strip.there = there.binary_search(key).is_ok();
            strip.waits = false;
            if strip.there
                && let Some(cell) = strip.cell(second).filter(|cell| **cell == ABSENT)
            {
                *cell = 0;
            }
        }
        for wait in waiting {
            let new = || Strip { since: second, ..Strip::default() };
            let strip = self.strips.entry(wait.key).or_insert_with(new);
            strip.there = true;
            strip.waits = true;
            strip.last_wait = second;
            if strip.comm != wait.comm {
                wait.comm.clone_into(&mut strip.comm);
            }
            if let Some(cell) = strip.cell(second) {
                let before = if *cell == ABSENT { 0 } else { *cell };
                *cell = (before + 1).min(LOOKS_PER_SEC);
            }
            if let Some(channel) = wait.channel {
                match strip.channels.get_mut(channel) {
                    Some(looks) => *looks += 1,
                    None => drop(strip.channels.insert(channel.to_owned(), 1)),
                }
            }
            if !wait.stack.is_empty() && strip.stack != wait.stack {
                wait.stack.clone_into(&mut strip.stack);
            }
        }
        self.leave_out(second);
    }

    /// Forgets those whose waits are no longer shown, and of too many those that waited longest ago.
    fn leave_out(&mut self, second: u64) {
        let oldest = second.saturating_sub(STRIP_SECS as u64);
        self.strips.retain(|_, strip| strip.last_wait > oldest);
        let over = self.strips.len().saturating_sub(FOLLOWED_AT_MOST);
        if over > 0 {
            let mut last: Vec<_> = self.strips.iter().map(|(key, strip)| (strip.last_wait, *key)).collect();
            last.sort_unstable();
            last.iter().take(over).for_each(|(_, key)| drop(self.strips.remove(key)));
        }
    }

    /// The strips up to now; `processes` tell of containers, and are asked again after a process has ended.
    pub(crate) fn rows(&mut self, processes: &Table<ProcessKey, Process>) -> Table<ProcessKey, Waiter> {
        let Self { strips, containers, now } = self;
        containers.retain(|key, _| strips.contains_key(key));
        let row = |(key, strip): (&ProcessKey, &Strip)| {
            if let Some(process) = processes.get(key)
                && containers.get(key) != Some(&process.container)
            {
                containers.insert(*key, process.container.clone());
            }
            let container = containers.get(key).cloned().flatten();
            (*key, Arc::new(strip.row(*now, container)))
        };
        strips.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_time: 7 }
    }

    fn take(strips: &mut Strips, second: u64, there: &[u32], waiting: &[u32]) {
        let stack = ["folio_wait_bit".to_owned()];
        let wait =
            |pid: &u32| Wait { key: key(*pid), comm: "dd", channel: Some("io_schedule"), stack: &stack };
        let there: Vec<ProcessKey> = there.iter().map(|pid| key(*pid)).collect();
        strips.take(second, waiting.iter().map(wait), &there);
    }

    fn rows(strips: &mut Strips) -> Table<ProcessKey, Waiter> {
        strips.rows(&Table::new())
    }

    #[test]
    fn a_strip_begins_with_the_first_wait_and_outlives_the_process() {
        let mut strips = Strips::default();
        for (second, there, waiting) in [
            (100, &[1, 2][..], &[][..]),
            (101, &[1, 2], &[2]),
            (101, &[1, 2], &[2]),
            (102, &[1, 2], &[]),
            (104, &[1], &[]),
        ] {
            take(&mut strips, second, there, waiting);
        }
        let shown = rows(&mut strips);
        assert_eq!(shown.keys().collect::<Vec<_>>(), [&key(2)]);
        let row = &shown[&key(2)];
        assert_eq!((row.since_secs, &row.strip[..]), (101, &[2, 0][..]));
        assert_eq!((row.ended, row.waits, row.comm.as_str()), (true, false, "dd"));
        assert_eq!(row.channels, [("io_schedule".to_owned(), 2)]);
        take(&mut strips, 110, &[1], &[]);
        assert_eq!(rows(&mut strips), shown, "nothing of one that has ended changes");
        take(&mut strips, 111, &[1, 3], &[3]);
        take(&mut strips, 113, &[1, 3], &[]);
        assert_eq!(&rows(&mut strips)[&key(3)].strip[..], &[1, ABSENT, 0]);
    }

    #[test]
    fn whose_container_it_is_outlives_the_process_too() {
        let mut strips = Strips::default();
        take(&mut strips, 100, &[2], &[2]);
        let process = Process { container: Some("c".into()), ..Process::default() };
        strips.rows(&[(key(2), Arc::new(process))].into_iter().collect());
        take(&mut strips, 101, &[], &[]);
        assert_eq!(rows(&mut strips)[&key(2)].container.as_deref(), Some("c"));
    }

    #[test]
    fn strips_end_after_their_time_and_are_bounded() {
        let mut strips = Strips::default();
        let began = 10_000;
        take(&mut strips, began, &[1], &[1]);
        for second in 1..STRIP_SECS as u64 {
            take(&mut strips, began + second, &[1], &[]);
        }
        assert_eq!(rows(&mut strips)[&key(1)].strip.len(), STRIP_SECS);
        take(&mut strips, began + STRIP_SECS as u64, &[1], &[]);
        assert!(rows(&mut strips).is_empty());
        let crowd: Vec<u32> = (0..FOLLOWED_AT_MOST as u32 + 50).collect();
        take(&mut strips, began + STRIP_SECS as u64 + 1, &crowd, &crowd);
        assert_eq!(rows(&mut strips).len(), FOLLOWED_AT_MOST);
        take(&mut strips, began, &[1], &[1]);
        assert_eq!(rows(&mut strips).len(), 1, "the clock was set back");
        take(&mut strips, began + 1, &[1], &[]);
        assert_eq!((rows(&mut strips).len(), strips.now), (1, began + 1));
        assert!(rows(&mut strips)[&key(1)].strip.iter().all(|cell| *cell <= LOOKS_PER_SEC));
    }
}
