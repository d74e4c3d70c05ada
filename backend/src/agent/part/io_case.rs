//! The case of disk waits: fills `io_case` from the other tables. The open files of the one or two suspects are read by a thread
//! beside the tick, twice, since only what moves tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::IoCase;
use glasshull_shared::domain::file::OpenFiles;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Snapshot;
use tokio::sync::Notify;

use super::keep_rows;
use crate::agent::open_files;
use crate::agent::source::Troubles;
use crate::collect;
use crate::model::io_case::{Files, Gate, ask, judge};
use crate::sys::clock;

/// Between two looks at the same files.
const APART: Duration = Duration::from_millis(400);
/// Nanoseconds after which the same process is looked at again.
const AGAIN: u64 = 3_000_000_000;
/// Nanoseconds after which nothing is concluded from a look any more.
const FORGET: u64 = 15_000_000_000;

/// What is known of the case.
pub(crate) struct IoCasePart {
    wake: Arc<Notify>,
    gate: Gate,
    files: Files,
    /// A look that is under way.
    asking: Option<Receiver<Files>>,
    /// Monotonic instant of the last question about each.
    asked: BTreeMap<ProcessKey, u64>,
}

impl IoCasePart {
    /// A part that has judged nothing yet. `wake` is notified when files were looked at.
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        Self { wake, gate: Gate::default(), files: Files::new(), asking: None, asked: BTreeMap::new() }
    }

    /// Forgets what was found; a look that hangs is waited for, or each new watcher would add to it.
    pub(crate) fn release(&mut self) {
        let asking = self.asking.take();
        *self = Self { asking, ..Self::new(Arc::clone(&self.wake)) };
    }

    /// Whether files are being looked at.
    pub(crate) fn is_waiting(&self) -> bool {
        self.asking.is_some()
    }

    /// Judges; `next` must have all other tables of this tick. `now` is monotonic.
    pub(crate) fn read(&mut self, next: &mut Snapshot, now: u64, troubles: &mut Troubles) {
        self.hear();
        let Some(since) = self.gate.look(next, clock::now_nanos()) else {
            self.files.clear();
            self.asked.clear();
            next.io_case = Table::new();
            troubles.none(collect::IO_CASE);
            return;
        };
        self.asked.retain(|_, asked| now.saturating_sub(*asked) < FORGET);
        self.files.retain(|key, _| self.asked.contains_key(key));
        self.look(next, now, troubles);
        self.tell(next, since);
    }

    /// Takes over what was looked at since, and looks on where that did not tell. Reads nothing itself.
    pub(crate) fn take(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        if self.hear()
            && let Some(since) = self.gate.since()
        {
            self.look(next, clock::monotonic(), troubles);
            self.tell(next, since);
        }
    }

    fn tell(&self, next: &mut Snapshot, since: u64) {
        let case = judge(next, &self.files, since, next.io_case.get(&Single).map(|row| &**row));
        let rows: Table<Single, IoCase> = [(Single, Arc::new(case))].into();
        next.io_case = keep_rows(rows, &next.io_case);
    }

    /// Takes an answer over; whether there was one.
    fn hear(&mut self) -> bool {
        let Some(asking) = &self.asking else { return false };
        match asking.try_recv() {
            Ok(files) => {
                self.files.extend(files);
                self.asking = None;
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                self.asking = None;
                false
            }
        }
    }

    /// Has files looked at of who is suspected, unless that was done a moment ago.
    fn look(&mut self, next: &Snapshot, now: u64, troubles: &mut Troubles) {
        if self.asking.is_some() {
            return;
        }
        let due =
            |key: &ProcessKey| self.asked.get(key).is_none_or(|asked| now.saturating_sub(*asked) >= AGAIN);
        let suspects = ask(next, &self.files, next.io_case.get(&Single).map(|row| &**row));
        let keys: Vec<ProcessKey> = suspects.into_iter().filter(due).collect();
        if keys.is_empty() {
            return;
        }
        self.asked.extend(keys.iter().map(|key| (*key, now)));
        let (sender, receiver) = channel();
        let wake = Arc::clone(&self.wake);
        let thread = std::thread::Builder::new().name("suspects".into()).spawn(move || {
            // Nobody may want it by now.
            let _ = sender.send(look_twice(keys));
            wake.notify_one();
        });
        match thread {
            Ok(_) => {
                self.asking = Some(receiver);
                troubles.none(collect::IO_CASE);
            }
            Err(error) => {
                troubles.limited(collect::IO_CASE, format!("no thread to look at open files: {error}"));
            }
        }
    }
}

fn look_twice(keys: Vec<ProcessKey>) -> Files {
    let before: Vec<_> = keys.into_iter().map(|key| (key, open_files(key))).collect();
    std::thread::sleep(APART);
    let again = |(key, before): (ProcessKey, Result<OpenFiles, String>)| {
        let now = before.and_then(|before| {
            let mut now = open_files(key)?;
            now.rate(&before);
            Ok(now)
        });
        (key, now)
    };
    before.into_iter().map(again).collect()
}
