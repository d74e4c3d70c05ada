//! Who makes the host wait for block devices: from the symptom to the busiest device, the stack on it, a file system, a
//! container, a process and its file. Pure; the open files of suspects come with the call, since reading them takes its time.

mod link;
mod stack;
mod suspect;

use std::collections::BTreeMap;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::{CaseKind, DeviceKey, IoCase};
use glasshull_shared::domain::file::OpenFiles;
use glasshull_shared::domain::process::{ExitedProcess, ProcessKey};
use glasshull_shared::snapshot::Snapshot;

use stack::{Place, Stack};
use suspect::{Suspect, Trace, kernel_thread, late_child, share, suspects, trace};

/// Share of time from which the host waits.
const WAITS: f32 = 0.05;
/// Share below which a host that waited no longer does.
const RESTS: f32 = 0.025;
/// Judgements in a row that must find it at rest.
const CALM_TIMES: u8 = 3;
/// Processes whose open files are asked for at a time, and in all while none of them leads to the device.
const ASKED_AT_ONCE: usize = 2;
const ASKED_AT_MOST: usize = 6;
/// Whose files lie elsewhere is blamed only for at least this share of what passed: it may have closed the file meanwhile.
const WITHOUT_FILE: f32 = 0.5;

/// Share of time from which a device is busy enough to be what is waited for.
const BUSY: f32 = 0.3;

/// What is known of the open files of suspects; why not, in a sentence.
pub(crate) type Files = BTreeMap<ProcessKey, Result<OpenFiles, String>>;

/// Whether the host waits; stays so for a moment, or a card would flicker.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    since: Option<u64>,
    calm: u8,
}

impl Gate {
    /// Takes a look; since when the host waits, or `None` when it does not. `now` is nanoseconds since the epoch.
    pub(crate) fn look(&mut self, snapshot: &Snapshot, now: u64) -> Option<u64> {
        let share = waiting(snapshot)?;
        if share >= WAITS {
            self.calm = 0;
            self.since.get_or_insert(now);
        } else if share >= RESTS {
            self.calm = 0;
        } else {
            self.calm = self.calm.saturating_add(1);
            if self.calm >= CALM_TIMES {
                self.since = None;
            }
        }
        self.since
    }

    /// As the last look found it.
    pub(crate) fn since(&self) -> Option<u64> {
        self.since
    }
}

/// Share of time the host waits; `None` at the first look. Pressure is a mean of 10 s: it counts only while something is at work.
fn waiting(snapshot: &Snapshot) -> Option<f32> {
    let host = snapshot.host_stat.get(&Single)?;
    let iowait = host.cpu_ratio?.iowait;
    let stack = Stack::new(snapshot);
    let at_work = host.blocked > 0 || stack.busiest(None).is_some();
    let pressure = host.psi_io.filter(|_| at_work).map(|psi| psi.some.avg10_ratio);
    Some(iowait.max(pressure.unwrap_or_default()))
}

/// Whose open files tell, one or two: of who is named, once a file leads there; else of who comes next.
pub(crate) fn ask(snapshot: &Snapshot, files: &Files, before: Option<&IoCase>) -> Vec<ProcessKey> {
    let found = find(snapshot, files, before);
    if let Some(one) = found.culprit.as_ref().filter(|one| one.trace.is_some()) {
        return vec![*one.suspect.key];
    }
    let first = found.suspects.iter().take(ASKED_AT_MOST).map(|one| *one.suspect.key);
    let (known, unknown): (Vec<_>, Vec<_>) = first.partition(|key| files.contains_key(key));
    unknown.into_iter().chain(known).take(ASKED_AT_ONCE).collect()
}

/// Device and process of the last judgement.
fn named(before: Option<&IoCase>) -> (Option<&DeviceKey>, Option<ProcessKey>) {
    let link = |kind| before.and_then(|case| case.link(kind));
    (
        link(CaseKind::Device).and_then(|link| link.device.as_ref()),
        link(CaseKind::Process).and_then(|link| link.process),
    )
}

/// What was found, before it is told.
struct Found<'a> {
    snapshot: &'a Snapshot,
    stack: Stack<'a>,
    bottom: Option<&'a DeviceKey>,
    culprit: Option<Looked<'a>>,
    /// All who are suspected.
    suspects: Vec<Looked<'a>>,
}

/// A suspect with what its open files tell.
#[derive(Clone)]
struct Looked<'a> {
    suspect: Suspect<'a>,
    /// Its file on the device.
    trace: Option<Trace<'a>>,
    /// Why its files are not known.
    hidden: Option<&'a str>,
    /// Its files are known, and none is on the device.
    elsewhere: bool,
    /// A child that ended a moment ago: what moved may have been that one's. Not of who waits itself.
    late_child: Option<&'a ExitedProcess>,
}

/// The chain of a host that waits since then.
pub(crate) fn judge(snapshot: &Snapshot, files: &Files, since: u64, before: Option<&IoCase>) -> IoCase {
    let found = find(snapshot, files, before);
    let mut links = vec![link::host(snapshot)];
    let (place, way) = found.place();
    if let Some((bottom, volumes)) = way.split_first() {
        links.extend(link::device(&found, bottom));
        links.extend(volumes.iter().filter_map(|key| link::volume(&found, key)));
    }
    links.extend(place.map(|place| link::mount(&found, place)));
    match &found.culprit {
        Some(culprit) => {
            links.extend(link::container(&found, &culprit.suspect));
            links.push(link::process(&found, culprit));
            links.extend(culprit.trace.as_ref().map(|trace| link::file(&culprit.suspect, trace)));
        }
        None => links.push(link::unblamed(&found, kernel_thread(snapshot, &way))),
    }
    links.iter_mut().for_each(link::bound);
    IoCase { since, links }
}

fn find<'a>(snapshot: &'a Snapshot, files: &'a Files, before: Option<&IoCase>) -> Found<'a> {
    let stack = Stack::new(snapshot);
    let (device, process) = named(before);
    let bottom = stack.busiest(device);
    let stat = bottom.and_then(|key| stack.device(key)).map(|(_, stat)| stat);
    let all = suspects(snapshot, stat, process);
    let looked = all.into_iter().map(|one| Looked::at(one, snapshot, (&stack, bottom), files));
    let looked: Vec<_> = looked.collect();
    // A file that moves there ties best, then one that is held there, then nothing that speaks against it.
    let moves = |one: &&Looked<'_>| one.trace.as_ref().is_some_and(|trace| trace.pace > 0.0);
    let chosen = looked
        .iter()
        .find(moves)
        .or_else(|| looked.iter().find(|one| one.trace.is_some()))
        .or_else(|| looked.iter().take(ASKED_AT_ONCE).find(|one| !one.elsewhere && one.late_child.is_none()))
        .or_else(|| {
            let moved = |one: &&Looked<'_>| share(one.suspect.moved, stat) >= WITHOUT_FILE;
            looked.iter().filter(|one| one.late_child.is_none()).find(moved)
        });
    let idle = bottom.is_none_or(|key| stack.busy(key) < BUSY);
    // Who waits at a device that is hardly at work is held up before it: by a limit, a lock, a frozen file system.
    let stuck =
        looked.iter().filter(|one| idle && one.suspect.waits()).find_map(|one| one.anywhere(&stack, files));
    let culprit = match (stuck, chosen) {
        (Some(stuck), chosen) if !chosen.is_some_and(|one| one.suspect.waits() && moves(&one)) => Some(stuck),
        (Some(_) | None, chosen) => chosen.cloned(),
    };
    let own = culprit.as_ref().and_then(|one| one.trace.as_ref()?.way.first().copied());
    Found { snapshot, bottom: own.or(bottom), stack, culprit, suspects: looked }
}

impl<'a> Looked<'a> {
    fn at(
        suspect: Suspect<'a>,
        snapshot: &'a Snapshot,
        (stack, bottom): (&Stack<'a>, Option<&DeviceKey>),
        files: &'a Files,
    ) -> Self {
        let known = files.get(suspect.key);
        let rows = known.and_then(|known| known.as_ref().ok()).zip(bottom);
        let trace = rows.and_then(|(files, bottom)| trace(stack, files, Some(bottom), suspect.writes()));
        Self {
            suspect,
            elsewhere: rows.is_some() && trace.is_none(),
            trace,
            late_child: (!suspect.waits()).then(|| late_child(snapshot, suspect.key)).flatten(),
            hidden: known.and_then(|known| known.as_ref().err()).map(String::as_str),
        }
    }

    /// The same with a file that moves, whatever device that is on.
    fn anywhere(&self, stack: &Stack<'a>, files: &'a Files) -> Option<Self> {
        let rows = files.get(self.suspect.key)?.as_ref().ok()?;
        let trace = trace(stack, rows, None, self.suspect.writes())?;
        Some(Self { trace: Some(trace), elsewhere: false, ..self.clone() })
    }
}

impl<'a> Found<'a> {
    /// The file system, and the devices from the bottom up to it.
    fn place(&self) -> (Option<Place<'a>>, Vec<&'a DeviceKey>) {
        let Some(bottom) = self.bottom else { return (None, Vec::new()) };
        if let Some(trace) = self.culprit.as_ref().and_then(|one| one.trace.as_ref()) {
            return (trace.place, trace.way.clone());
        }
        match self.stack.busiest_mount(bottom) {
            Some((place, way)) => (Some(place), way),
            None => (None, vec![bottom]),
        }
    }
}

#[cfg(test)]
mod tests;
