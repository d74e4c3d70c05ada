//! Looks several times a second at who is in state D, on a thread of its own while somebody watches. Fills `waiter`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ABSENT, LOOKS_PER_SEC, Process, ProcessKey, STRIP_SECS, Waiter};

use super::STAT_BYTES;
use crate::sys::clock::now_nanos;
use crate::sys::procfile::{list_numbers, read_once};
use crate::sys::root::Root;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(1000 / LOOKS_PER_SEC as u64);
/// Processes followed at most: those that waited last.
const FOLLOWED_AT_MOST: usize = 500;
/// Functions named of one process.
const CHANNELS_AT_MOST: usize = 5;
/// Bytes of a stack that are read, and frames that are kept.
const STACK_BYTES: usize = 4096;
const FRAMES_AT_MOST: usize = 24;
const NANOS: u64 = 1_000_000_000;

/// The thread; it ends soon after this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    /// Of those that are gone from the table of processes.
    containers: BTreeMap<ProcessKey, Option<String>>,
}

impl Watch {
    /// Starts to look.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(crate) fn start(root: Root) -> std::io::Result<Self> {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (theirs, ends) = (Arc::clone(&seen), Arc::clone(&stop));
        let work = move || {
            let mut buffer = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                let look = look(&root, &mut buffer);
                theirs.lock().unwrap_or_else(PoisonError::into_inner).take(now_nanos() / NANOS, look);
                // Late looks are left out, not made up for.
                std::thread::sleep(EVERY.saturating_sub(began.elapsed()).max(EVERY / 4));
            }
        };
        std::thread::Builder::new().name("waiters".into()).spawn(work)?;
        Ok(Self { seen, stop, containers: BTreeMap::new() })
    }

    /// The strips up to now; `processes` tell of containers, and are asked again after a process has ended.
    pub(crate) fn rows(&mut self, processes: &Table<ProcessKey, Process>) -> Table<ProcessKey, Waiter> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.containers.retain(|key, _| seen.strips.contains_key(key));
        let row = |(key, strip): (&ProcessKey, &Strip)| {
            if let Some(process) = processes.get(key) {
                self.containers.insert(*key, process.container.clone());
            }
            let container = self.containers.get(key).cloned().flatten();
            (*key, Arc::new(Waiter { container, ..strip.row(seen.now) }))
        };
        seen.strips.iter().map(row).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What one look found.
#[derive(Debug, Default)]
struct Look {
    there: BTreeSet<ProcessKey>,
    waiting: Vec<Found>,
}

/// A process in D.
#[derive(Debug)]
struct Found {
    key: ProcessKey,
    comm: String,
    channel: Option<String>,
    stack: Vec<String>,
}

fn look(root: &Root, buffer: &mut Vec<u8>) -> Look {
    let mut look = Look::default();
    // Without a list nobody is there: what was seen before stays.
    for pid in list_numbers(&root.proc_path("")).unwrap_or_default() {
        if read_once(&root.proc_path(format!("{pid}/stat")), buffer, STAT_BYTES).is_err() {
            continue; // ended meanwhile
        }
        let Some((comm, state, start_time)) = parts(buffer) else { continue };
        let key = ProcessKey { pid, start_time };
        look.there.insert(key);
        if state == b'D' {
            let comm = glasshull_shared::unit::printable_bytes(comm);
            let mut text = |name: &str| {
                let path = root.proc_path(format!("{pid}/{name}"));
                read_once(&path, buffer, STACK_BYTES).ok()?;
                Some(String::from_utf8_lossy(buffer).into_owned())
            };
            let channel = text("wchan").filter(|name| !name.is_empty() && name != "0");
            let stack = text("stack").map(|text| frames(&text)).unwrap_or_default();
            look.waiting.push(Found { key, comm, channel, stack });
        }
    }
    look
}

/// Name, state and start of a `stat` line.
fn parts(line: &[u8]) -> Option<(&[u8], u8, u64)> {
    let open = line.iter().position(|b| *b == b'(')?;
    let close = line.iter().rposition(|b| *b == b')')?;
    let comm = line.get(open + 1..close)?;
    let mut fields = line.get(close + 2..)?.trim_ascii_end().split(|b| *b == b' ');
    let state = *fields.next()?.first()?;
    let start = std::str::from_utf8(fields.nth(22 - 4)?).ok()?.parse().ok()?;
    Some((comm, state, start))
}

/// `[<0>] io_schedule+0x46/0x70` → `io_schedule`.
fn frames(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let name = line.split_once("] ").map_or(line, |(_, name)| name);
        name.split('+').next().unwrap_or(name).trim().to_owned()
    };
    text.lines().map(name).filter(|name| !name.is_empty()).take(FRAMES_AT_MOST).collect()
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

    fn row(&self, now: u64) -> Waiter {
        let mut channels: Vec<(String, u32)> = self.channels.clone().into_iter().collect();
        channels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        channels.truncate(CHANNELS_AT_MOST);
        let missing = usize::try_from((now + 1).saturating_sub(self.since)).unwrap_or(STRIP_SECS);
        let mut strip: Vec<u8> = self.cells.iter().copied().collect();
        strip.resize(missing.clamp(strip.len(), STRIP_SECS.max(strip.len())), ABSENT);
        Waiter {
            comm: self.comm.clone(),
            container: None,
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
struct Seen {
    strips: BTreeMap<ProcessKey, Strip>,
    /// Second of the last look.
    now: u64,
}

impl Seen {
    /// Takes over a look made in a second.
    fn take(&mut self, second: u64, look: Look) {
        // A clock that was set back begins anew: what came after is not before.
        if second + 2 < self.now {
            self.strips.clear();
            self.now = second;
        }
        self.now = self.now.max(second);
        let second = self.now;
        for (key, strip) in &mut self.strips {
            strip.there = look.there.contains(key);
            strip.waits = false;
            if strip.there
                && let Some(cell) = strip.cell(second).filter(|cell| **cell == ABSENT)
            {
                *cell = 0;
            }
        }
        for found in look.waiting {
            let new = || Strip { since: second, ..Strip::default() };
            let strip = self.strips.entry(found.key).or_insert_with(new);
            strip.there = true;
            strip.waits = true;
            strip.last_wait = second;
            strip.comm = found.comm;
            if let Some(cell) = strip.cell(second) {
                let before = if *cell == ABSENT { 0 } else { *cell };
                *cell = (before + 1).min(LOOKS_PER_SEC);
            }
            if let Some(channel) = found.channel {
                *strip.channels.entry(channel).or_default() += 1;
            }
            if !found.stack.is_empty() {
                strip.stack = found.stack;
            }
        }
        let oldest = second.saturating_sub(STRIP_SECS as u64);
        self.strips.retain(|_, strip| strip.last_wait > oldest);
        let over = self.strips.len().saturating_sub(FOLLOWED_AT_MOST);
        if over > 0 {
            let mut last: Vec<_> = self.strips.iter().map(|(key, strip)| (strip.last_wait, *key)).collect();
            last.sort_unstable();
            last.iter().take(over).for_each(|(_, key)| drop(self.strips.remove(key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_time: 7 }
    }

    fn seen_look(there: &[u32], waiting: &[u32]) -> Look {
        let found = |pid: &u32| Found {
            key: key(*pid),
            comm: format!("p{pid}"),
            channel: Some("io_schedule".into()),
            stack: vec!["folio_wait_bit".into()],
        };
        Look {
            there: there.iter().map(|pid| key(*pid)).collect(),
            waiting: waiting.iter().map(found).collect(),
        }
    }

    #[test]
    fn a_strip_begins_with_the_first_wait_and_outlives_the_process() {
        let mut seen = Seen::default();
        for (second, there, waiting) in [
            (100, &[1, 2][..], &[][..]),
            (101, &[1, 2], &[2]),
            (101, &[1, 2], &[2]),
            (102, &[1, 2], &[]),
            (104, &[1], &[]),
        ] {
            seen.take(second, seen_look(there, waiting));
        }
        assert_eq!(seen.strips.keys().collect::<Vec<_>>(), [&key(2)]);
        let row = seen.strips[&key(2)].row(seen.now);
        assert_eq!((row.since_secs, &row.strip[..]), (101, &[2, 0, ABSENT, ABSENT][..]));
        assert_eq!((row.ended, row.waits, row.comm.as_str()), (true, false, "p2"));
        assert_eq!(row.channels, [("io_schedule".to_owned(), 2)]);
    }

    #[test]
    fn strips_end_after_their_time_and_are_bounded() {
        let mut seen = Seen::default();
        let began = 10_000;
        seen.take(began, seen_look(&[1], &[1]));
        for second in 1..STRIP_SECS as u64 {
            seen.take(began + second, seen_look(&[1], &[]));
        }
        assert_eq!(seen.strips[&key(1)].row(seen.now).strip.len(), STRIP_SECS);
        seen.take(began + STRIP_SECS as u64, seen_look(&[1], &[]));
        assert!(seen.strips.is_empty());
        let crowd: Vec<u32> = (0..FOLLOWED_AT_MOST as u32 + 50).collect();
        seen.take(began + STRIP_SECS as u64 + 1, seen_look(&crowd, &crowd));
        assert_eq!(seen.strips.len(), FOLLOWED_AT_MOST);
        seen.take(began, seen_look(&[1], &[1]));
        assert_eq!(seen.strips.len(), 1, "the clock was set back");
        seen.take(began + 1, seen_look(&[1], &[]));
        assert_eq!((seen.strips.len(), seen.now), (1, began + 1));
        assert!(seen.strips[&key(1)].row(seen.now).strip.iter().all(|cell| *cell <= LOOKS_PER_SEC));
    }

    #[test]
    fn names_with_brackets_and_hostile_lines_are_read() {
        let line = b"7 (a) D (b) D 1 7 7 0 -1 4194304 210 0 3 0 25 13 0 0 20 0 1 0 31337 1 2\n";
        assert_eq!(parts(line), Some((&b"a) D (b"[..], b'D', 31337)));
        for hostile in [&b""[..], b"7", b"7 (", b")(", b"7 (a)", b"7 (a) ", b"7 (a) D x"] {
            assert!(parts(hostile).is_none());
        }
        assert_eq!(frames("[<0>] io_schedule+0x46/0x70\n\n[<0>] read\n"), ["io_schedule", "read"]);
    }

    #[test]
    fn this_process_is_there_and_does_not_wait() {
        let look = look(&Root::host(), &mut Vec::new());
        let me = std::process::id();
        assert!(look.there.iter().any(|key| key.pid == me));
        assert!(!look.waiting.iter().any(|found| found.key.pid == me));
        let mut watch = Watch::start(Root::host()).unwrap();
        assert!(watch.rows(&Table::new()).len() <= FOLLOWED_AT_MOST);
    }
}
