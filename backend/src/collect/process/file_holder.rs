//! Who holds files on one file system or block device, as `fuser -vm` lists it, read when somebody asks: `cwd`, `root`, `exe`,
//! `fd` and `maps` of every process, and a moment later once more the files that were found.
//!
//! Some fifteen calls a process, one a descriptor (`statx` through its link, which asks no server) and five for each that is there. The
//! kernel may hold up any of them: a process at a time is looked at by [`patience`], and given up when it takes a second.

mod place;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use glasshull_shared::cgroup_path;
use glasshull_shared::domain::file::{FileHolder, FileHolders, HeldPlace, OpenMode};
use glasshull_shared::unit::{count, printable_bytes};
use rustix::fs::readlink;
use rustix::io::Errno;

use super::detail::why_refused;
use super::fact::{Facts, Seen, mode, see};
use super::stat;
use crate::sys::clock;
use crate::sys::patience::{self, Outcome};
use crate::sys::procfile::{list_numbers, read_once, read_whole};
use crate::sys::root::Root;
use crate::sys::text::cut;
use place::Place;
pub(crate) use place::find;

/// Processes looked at.
const PROCESSES_AT_MOST: usize = 50_000;
/// Descriptors of all processes together.
const DESCRIPTORS_AT_MOST: u64 = 300_000;
/// Files looked at again for their rates.
const FILES_AT_MOST: usize = 5_000;
/// Rows given.
const ROWS_AT_MOST: usize = 2_000;
/// Nanoseconds after which no further process is looked at; a client waits ten seconds.
const LOOK_NANOS: u64 = 4_000_000_000;
/// Between two looks at the same files.
const APART: Duration = Duration::from_millis(700);
/// The lines of `fdinfo` we read stand in front.
const FDINFO_BYTES: usize = 512;
/// Largest `maps` read.
const MAPS_BYTES: usize = 16 << 20;
/// Largest of other files.
const FILE_BYTES: usize = 16 << 10;
/// What is missed without.
const NEEDS: &str = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";

/// What one process holds.
struct Holding {
    row: FileHolder,
    /// Monotonic instant.
    looked_nanos: u64,
    /// Its open files there.
    files: Vec<Open>,
}

/// An open file there.
#[derive(Clone)]
struct Open {
    handle: PathBuf,
    info: PathBuf,
    identity: (u32, u32, u64),
    position: Option<u64>,
    size: u64,
}

/// What became of a process.
enum Looked {
    Holds(Box<Holding>),
    Nothing,
    /// The kernel refuses, or it ended.
    Hidden,
    Gone,
    /// No time, or too many descriptors.
    LeftOut,
}

/// Looks at all processes.
struct Walk {
    root: Root,
    place: Place,
    until: u64,
    descriptors: AtomicU64,
}

/// Looks.
///
/// # Errors
/// A sentence for people when the place is none, or `/proc` cannot be listed.
pub(crate) fn read(root: &Root, place: &HeldPlace) -> Result<FileHolders, String> {
    let mut found = FileHolders::default();
    let place = Place::of(root, place)?;
    let asked = (root.clone(), place.clone());
    match patience::once(Duration::from_secs(1), move || asked.1.others(&asked.0)) {
        Outcome::Done(others) => found.others = others,
        Outcome::Hung | Outcome::Skipped => {
            found.missing.push("loop devices and swap: the kernel does not answer in time".into());
        }
    }
    let mut holdings = all(root, place, &mut found)?;
    again(&mut holdings, &mut found.missing);
    found.rows = holdings.into_iter().map(|one| one.row).collect();
    found.sort();
    if found.rows.len() > ROWS_AT_MOST {
        let (most, all) = (count(ROWS_AT_MOST as u64), count(found.rows.len() as u64));
        found.missing.push(format!("only the first {most} of {all} processes are listed"));
        found.rows.truncate(ROWS_AT_MOST);
    }
    Ok(found)
}

/// Looks at all processes.
fn all(root: &Root, place: Place, found: &mut FileHolders) -> Result<Vec<Holding>, String> {
    let mut pids = list_numbers(&root.proc_path("")).map_err(|error| format!("listing /proc: {error}"))?;
    pids.sort_unstable();
    found.left_out = pids.len().saturating_sub(PROCESSES_AT_MOST) as u64;
    pids.truncate(PROCESSES_AT_MOST);
    let until = clock::monotonic() + LOOK_NANOS;
    let walk = Arc::new(Walk { root: root.clone(), place, until, descriptors: AtomicU64::new(0) });
    let worker = Arc::clone(&walk);
    let looked = patience::each(pids.clone(), move |pid| worker.look(*pid));
    let mut holdings = Vec::new();
    let (mut hidden, mut skipped) = (0u64, 0u64);
    for (pid, looked) in pids.into_iter().zip(looked) {
        match looked {
            Outcome::Done(Looked::LeftOut) => found.left_out += 1,
            Outcome::Done(looked) => {
                found.looked_at += 1;
                match looked {
                    Looked::Holds(holding) => holdings.push(*holding),
                    Looked::Hidden => hidden += 1,
                    Looked::Nothing | Looked::Gone | Looked::LeftOut => {}
                }
            }
            Outcome::Hung => {
                found.missing.push(format!("process {pid}: a file system it has files on does not answer"));
            }
            Outcome::Skipped => skipped += 1,
        }
    }
    found.descriptors = walk.descriptors.load(Ordering::Relaxed);
    let mut missing = |n: u64, one: &str, many: &str, why: &str| {
        if n > 0 {
            let what = if n == 1 { one } else { many };
            found.missing.push(format!("{} {what}: {why}", count(n)));
        }
    };
    if hidden > 0 {
        missing(hidden, "process hides what it holds", "processes hide what they hold", &why_refused(NEEDS));
    }
    let not_looked = ("process was not looked at", "processes were not looked at");
    missing(skipped, not_looked.0, not_looked.1, "too many file systems do not answer");
    missing(found.left_out, not_looked.0, not_looked.1, "there are too many processes or descriptors");
    Ok(holdings)
}

/// Looks at the open files again and makes rates. Each file counts once: descriptors that were duplicated move together.
fn again(holdings: &mut [Holding], missing: &mut Vec<String>) {
    let all: usize = holdings.iter().map(|one| one.files.len()).sum();
    let mut room = FILES_AT_MOST;
    let sought: Vec<Vec<Open>> = holdings
        .iter_mut()
        .map(|one| {
            one.files.truncate(room);
            room -= one.files.len();
            one.files.clone()
        })
        .collect();
    if all > FILES_AT_MOST {
        missing.push(format!(
            "rates are of the first {} of {} open files",
            count(FILES_AT_MOST as u64),
            count(all as u64)
        ));
    }
    if sought.iter().all(Vec::is_empty) {
        return;
    }
    std::thread::sleep(APART);
    let looked = patience::each(sought, |files| {
        let now = clock::monotonic();
        (now, files.iter().map(Open::moved).collect::<Vec<_>>())
    });
    for (holding, looked) in holdings.iter_mut().zip(looked) {
        let Outcome::Done((now, moved)) = looked else { continue };
        let mut best: BTreeMap<_, (u64, i64)> = BTreeMap::new();
        for (file, (position, grown)) in
            holding.files.iter().zip(moved).filter_map(|(file, moved)| Some((file, moved?)))
        {
            let one = best.entry(file.identity).or_default();
            one.0 = one.0.max(position);
            if grown.unsigned_abs() > one.1.unsigned_abs() {
                one.1 = grown;
            }
        }
        let nanos = now.saturating_sub(holding.looked_nanos);
        if nanos == 0 || best.is_empty() {
            continue;
        }
        let per_sec = |sum: f64| Some((sum * 1e9 / nanos as f64) as f32);
        holding.row.position_per_sec = per_sec(best.values().map(|(moved, _)| *moved as f64).sum());
        holding.row.size_per_sec = per_sec(best.values().map(|(_, grown)| *grown as f64).sum());
    }
}

impl Walk {
    fn look(&self, pid: u32) -> Looked {
        if clock::monotonic() > self.until || self.descriptors.load(Ordering::Relaxed) > DESCRIPTORS_AT_MOST {
            return Looked::LeftOut;
        }
        let folder = self.root.proc_path(pid.to_string());
        let numbers = match list_numbers(&folder.join("fd")) {
            Ok(numbers) => numbers,
            Err(Errno::ACCESS | Errno::PERM) => return Looked::Hidden,
            Err(_) => return Looked::Gone,
        };
        let exe = match readlink(folder.join("exe"), Vec::new()) {
            Ok(exe) => exe.into_bytes(),
            Err(Errno::ACCESS | Errno::PERM) => return Looked::Hidden,
            // Threads of the kernel's have no program; the host's root, which they have, holds nobody up.
            Err(_) => return Looked::Nothing,
        };
        let mut holding =
            Holding { row: FileHolder::default(), looked_nanos: clock::monotonic(), files: Vec::new() };
        let mounts = self.place.mounts_seen_by(&self.root, pid);
        let is_here = |facts: &Facts| self.place.is_there(facts, &mounts);
        let (mut very, mut largest) = (0u32, None::<(u64, PathBuf)>);
        let of = |name: &str| match see(&folder.join(name), None) {
            Seen::Facts(facts) => Some(facts).filter(is_here),
            Seen::Gone | Seen::Hidden => None,
        };
        let row = &mut holding.row;
        for (name, flag) in [("cwd", &mut row.cwd), ("root", &mut row.root), ("exe", &mut row.exe)] {
            if let Some(facts) = of(name) {
                *flag = true;
                very += u32::from(self.place.is_very(&facts));
            }
        }
        self.descriptors.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        for fd in numbers {
            let handle = folder.join(format!("fd/{fd}"));
            let Seen::Facts(facts) = see(&handle, None) else { continue };
            let is_node = self.place.is_node(&facts);
            let there = is_here(&facts);
            if !is_node && !there {
                continue;
            }
            if is_node {
                row.nodes += 1;
            } else {
                row.descriptors += 1;
                very += u32::from(self.place.is_very(&facts));
            }
            let open = Open::at(handle, folder.join(format!("fdinfo/{fd}")), &facts);
            let (position, writes) = open.info();
            row.written += u32::from(writes && !is_node);
            let is_file = facts.mode & 0o170_000 == 0o100_000;
            if is_file && largest.as_ref().is_none_or(|(size, _)| facts.size > *size) {
                largest = Some((facts.size, open.handle.clone()));
            }
            if is_file || is_node {
                holding.files.push(Open { position, ..open });
            }
        }
        let (mapped, on_mount) = self.mapped(&folder, &exe);
        row.mapped = mapped;
        if row.holds() == 0 {
            return Looked::Nothing;
        }
        row.here = self.place.mount.map(|_| very + on_mount);
        if let Some((size, link)) =
            largest.and_then(|(size, handle)| Some((size, std::fs::read_link(handle).ok()?)))
        {
            row.largest = Some(cut(printable_bytes(link.as_os_str().as_encoded_bytes())));
            row.largest_bytes = Some(size);
        }
        if self.name(&folder, pid, row).is_none() {
            return Looked::Gone;
        }
        Looked::Holds(Box::new(holding))
    }

    /// Different files mapped that are there, without the program; and how many on the very mount.
    fn mapped(&self, folder: &Path, exe: &[u8]) -> (u32, u32) {
        let mut text = Vec::new();
        if read_whole(&folder.join("maps"), &mut text, MAPS_BYTES).is_err() {
            return (0, 0);
        }
        let mut known = HashSet::new();
        let mut very = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let Some((range, inode)) = self.place.mapping(line, exe) else { continue };
            if !known.insert(inode) {
                continue;
            }
            if self.place.mount.is_some()
                && let Seen::Facts(facts) = see(&folder.join("map_files").join(range), None)
            {
                very += u32::from(self.place.is_very(&facts));
            }
        }
        (u32::try_from(known.len()).unwrap_or(u32::MAX), very)
    }

    /// Who it is; `None` when it ended.
    fn name(&self, folder: &Path, pid: u32, row: &mut FileHolder) -> Option<()> {
        let mut text = Vec::new();
        read_once(&folder.join("stat"), &mut text, super::STAT_BYTES).ok()?;
        let stat = stat::parse(&text)?;
        (row.pid, row.start_time, row.comm) = (pid, stat.start_time, printable_bytes(stat.comm));
        if read_once(&folder.join("cgroup"), &mut text, FILE_BYTES).is_ok() {
            let text = String::from_utf8_lossy(&text);
            row.container = cgroup_path::deepest(&text).and_then(cgroup_path::parse).map(|found| found.id);
        }
        Some(())
    }
}

impl Open {
    fn at(handle: PathBuf, info: PathBuf, facts: &Facts) -> Self {
        let identity = (facts.device.0, facts.device.1, facts.inode);
        Self { handle, info, identity, position: None, size: facts.size }
    }

    /// Where it goes on, and whether it may be written to.
    fn info(&self) -> (Option<u64>, bool) {
        let mut text = Vec::new();
        if read_once(&self.info, &mut text, FDINFO_BYTES).is_err() {
            return (None, false);
        }
        let text = String::from_utf8_lossy(&text);
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let flags = value("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
        let writes = flags.is_some_and(|flags| matches!(mode(flags), OpenMode::Write | OpenMode::ReadWrite));
        (value("pos:").and_then(|at| at.parse().ok()), writes)
    }

    /// By how much it went on and grew; `None` when another file has the number now.
    fn moved(&self) -> Option<(u64, i64)> {
        let Seen::Facts(facts) = see(&self.handle, None) else { return None };
        let now = Self::at(self.handle.clone(), self.info.clone(), &facts);
        if now.identity != self.identity {
            return None;
        }
        let position = self.info().0.zip(self.position).and_then(|(now, before)| now.checked_sub(before));
        let grown = i64::try_from(now.size).ok()?.checked_sub(i64::try_from(self.size).ok()?)?;
        Some((position.unwrap_or_default(), grown))
    }
}

#[cfg(test)]
#[path = "file_holder_test.rs"]
mod tests;
