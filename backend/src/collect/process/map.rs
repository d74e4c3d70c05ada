//! What one process's memory consists of, as `pmap -X` tells it, read when somebody asks: `/proc/PID/smaps`, once, and the kernel's
//! own sum in `smaps_rollup`. Files are found by their links in `map_files`; the agent finds them on the host.
//!
//! The kernel walks the page tables for each region: gigabytes take a second and more. So it is read in a thread of its own
//! ([`patience`]), for so long and no longer; what was not reached by then is said.

mod parse;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glasshull_shared::domain::process::{MemoryMap, MemoryMaps, MemorySum, ProcessKey, ProcessState};
use glasshull_shared::unit::{count, printable_bytes};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::detail::why_refused;
use super::fact::{Facts, Seen, see};
use super::map_line::MapLine;
use crate::sys::clock;
use crate::sys::patience::{self, Outcome};
use crate::sys::procfile::{open_kept, read_whole};
use crate::sys::root::Root;
use crate::sys::text::cut;
use parse::{Parser, Region};

/// Regions listed.
const LISTED: usize = 20_000;
/// Different files looked at.
const FILES_AT_MOST: usize = 5_000;
/// Text of all rows together: a stranger chooses its length.
const TEXT_BYTES: usize = 8 << 20;
/// Nanoseconds after which no more is read; a client waits ten seconds.
const READ_NANOS: u64 = 4_000_000_000;
/// For a region that alone takes longer.
const PATIENCE: Duration = Duration::from_secs(6);
/// The kernel hands out a page or a region at a time.
const PIECE_BYTES: usize = 64 << 10;
/// The sum is one region.
const SUM_BYTES: usize = 16 << 10;
/// What the kernel puts behind the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

/// A look at a process's memory.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// For people and scripts; nothing is found on the host yet.
    pub(crate) maps: MemoryMaps,
    /// The different files, as the kernel tells them, with the ids of their mounts.
    pub(crate) files: Vec<(PathBuf, Option<u64>)>,
    /// Which of them each row is of.
    file_of: Vec<Option<usize>>,
}

/// What was read before it is looked at.
#[derive(Debug, Default)]
struct Reading {
    /// Not more than twice what is listed.
    regions: Vec<Region>,
    rest: MemorySum,
    rollup: Option<MemorySum>,
    odd: u64,
    unnamed: u64,
    /// Time was up before its end.
    is_cut: bool,
}

/// Looks once.
///
/// # Errors
/// A sentence for people when the process is gone, its pid belongs to another one now, it is hidden, or the kernel does not answer.
pub(crate) fn read(root: &Root, key: ProcessKey) -> Result<Look, String> {
    super::open_file::still(root, key)?;
    let folder = root.proc_path(key.pid.to_string());
    let place = folder.clone();
    let reading = match patience::once(PATIENCE, move || smaps(&place)) {
        Outcome::Done(Ok(reading)) => reading,
        Outcome::Done(Err(Errno::ACCESS | Errno::PERM)) => {
            return Err(format!("memory of process {}: {}", key.pid, why_refused("CAP_SYS_PTRACE")));
        }
        Outcome::Done(Err(Errno::NOENT | Errno::SRCH)) => return Err(super::ended(key.pid)),
        Outcome::Done(Err(other)) => return Err(format!("memory of process {}: {other}", key.pid)),
        Outcome::Hung => {
            return Err(format!("memory of process {}: the kernel does not tell it in time", key.pid));
        }
        Outcome::Skipped => return Err("memory: too many looks hang in the kernel: ask again later".into()),
    };
    let mut look = Look::default();
    if reading.regions.is_empty() {
        let why = match super::whose(root, key.pid) {
            Some((_, ProcessState::Z)) => "it has ended and has no memory any more (zombie)",
            Some(_) => "it has no memory of its own: a thread of the kernel's, or it is about to end",
            None => return Err(super::ended(key.pid)),
        };
        look.maps.missing.push(why.into());
    }
    look.take(&folder, reading);
    super::open_file::still(root, key)?;
    Ok(look)
}

/// Reads `smaps` and the sum.
fn smaps(folder: &Path) -> Result<Reading, Errno> {
    let until = clock::monotonic() + READ_NANOS;
    let fd = open_kept(&folder.join("smaps"))?;
    let (mut reading, mut parser) = (Reading::default(), Parser::default());
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        let n = match rustix::io::read(&fd, spare_capacity(&mut piece)) {
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        if n == 0 {
            break;
        }
        parser.feed(&piece, |region| reading.keep(region));
        if clock::monotonic() > until {
            reading.is_cut = true;
            break;
        }
    }
    if reading.is_cut {
        // The last one may lack figures.
        parser.end(drop);
    } else {
        parser.end(|region| reading.keep(region));
        let mut text = Vec::new();
        if read_whole(&folder.join("smaps_rollup"), &mut text, SUM_BYTES).is_ok() {
            reading.rollup = rollup(&text);
        }
    }
    (reading.odd, reading.unnamed) = (parser.odd, parser.unnamed);
    if reading.is_cut {
        reading.odd = reading.odd.saturating_sub(1);
    }
    reading.shrink();
    Ok(reading)
}

/// The kernel's sum: a header and figures, as of a region.
fn rollup(text: &[u8]) -> Option<MemorySum> {
    let mut found = None;
    let mut parser = Parser::default();
    let mut take = |region: Region| found = found.or(Some(MemorySum::of([&region.row])));
    parser.feed(text, &mut take);
    parser.end(&mut take);
    found.map(|sum| MemorySum { regions: None, size_bytes: None, ..sum })
}

impl Reading {
    fn keep(&mut self, region: Region) {
        self.regions.push(region);
        if self.regions.len() >= 2 * LISTED {
            self.shrink();
        }
    }

    /// Keeps the largest.
    fn shrink(&mut self) {
        if self.regions.len() <= LISTED {
            return;
        }
        let held = |row: &MemoryMap| row.rss_bytes.unwrap_or(0).saturating_add(row.swap_bytes.unwrap_or(0));
        self.regions.select_nth_unstable_by_key(LISTED, |one| {
            std::cmp::Reverse((held(&one.row), one.row.size_bytes, one.row.start))
        });
        self.regions.drain(LISTED..).for_each(|one| self.rest.add(&one.row));
        self.regions.sort_by_key(|one| one.row.start);
    }
}

impl Look {
    /// Makes rows of what was read, and looks at the files.
    fn take(&mut self, folder: &Path, reading: Reading) {
        (self.maps.rest, self.maps.all) = (reading.rest, reading.rest);
        self.maps.rollup = reading.rollup;
        let mut index = HashMap::new();
        let mut handles = Vec::new();
        let mut links = Vec::new();
        let mut of = Vec::new();
        for region in &reading.regions {
            of.push(region.file.and_then(|file| {
                let at = *index.entry((file, &region.name)).or_insert(handles.len());
                if at == handles.len() && at < FILES_AT_MOST {
                    let range = MapLine::range(region.row.start, region.row.end);
                    handles.push(folder.join("map_files").join(range));
                    links.push(region.name.clone());
                }
                (at < handles.len()).then_some(at)
            }));
        }
        let (mut hidden, mut silent) = (0u64, 0u64);
        let seen = patience::each(handles, |handle| see(handle, None));
        let facts = seen.into_iter().map(|seen| match seen {
            Outcome::Done(Seen::Facts(facts)) => Some(facts),
            Outcome::Done(Seen::Hidden) => {
                hidden += 1;
                None
            }
            Outcome::Hung | Outcome::Skipped => {
                silent += 1;
                None
            }
            Outcome::Done(Seen::Gone) => None, // no longer mapped there
        });
        let facts: Vec<Option<Facts>> = facts.collect();
        self.files = links
            .iter()
            .zip(&facts)
            .map(|(link, facts)| match facts {
                Some(facts) => (path_of(link, facts.nlink == 0), facts.mount),
                None => (path_of(link, false), None),
            })
            .collect();
        self.say(&reading, (hidden, silent), links.len());
        let mut room = TEXT_BYTES;
        for (region, of) in reading.regions.into_iter().zip(of) {
            let facts = of.and_then(|at| facts.get(at)?.as_ref());
            let row = row(region, facts);
            self.maps.all.add(&row);
            match room.checked_sub(row.path.len()) {
                Some(left) => {
                    room = left;
                    self.maps.rows.push(row);
                    self.file_of.push(of);
                }
                None => self.maps.rest.add(&row),
            }
        }
        if let Some(left) = self.maps.rest.regions {
            let listed = self.maps.rows.len() as u64;
            self.maps.missing.push(format!(
                "only the {} largest of {} regions are listed; the others are added up",
                count(listed),
                count(listed + left)
            ));
        }
    }

    fn say(&mut self, reading: &Reading, (hidden, silent): (u64, u64), files: usize) {
        let mut missing = |count_: u64, what: &str| {
            if count_ > 0 {
                self.maps.missing.push(format!("{} {what}", count(count_)));
            }
        };
        missing(
            hidden,
            "mapped files do not tell their mount and whether they are deleted: needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE",
        );
        missing(silent, "mapped files were not looked at: their file system does not answer");
        if files >= FILES_AT_MOST {
            missing(files as u64, "files were looked at; there may be more");
        }
        missing(reading.odd, "lines of smaps were not understood");
        missing(reading.unnamed, "names of regions were left out: too much text");
        if reading.is_cut {
            let secs = READ_NANOS / 1_000_000_000;
            self.maps
                .missing
                .push(format!("only a part was read: the kernel takes more than {secs} seconds"));
        }
    }

    /// Takes over where the files lie on the host, in the order of [`Look::files`].
    pub(crate) fn place(&mut self, places: &[Option<String>]) {
        let mut room = TEXT_BYTES;
        for (row, of) in self.maps.rows.iter_mut().zip(&self.file_of) {
            let Some(place) = of.and_then(|at| places.get(at)?.as_ref()) else { continue };
            let Some(left) = room.checked_sub(place.len()) else { return };
            room = left;
            row.host_path = Some(place.clone());
        }
    }
}

/// The row of a region; `facts` are those of its file.
fn row(region: Region, facts: Option<&Facts>) -> MemoryMap {
    let mut row = region.row;
    if let Some(facts) = facts {
        row.device = Some(format!("{}:{}", facts.device.0, facts.device.1));
        row.inode = Some(facts.inode);
    }
    if region.file.is_some() {
        row.deleted = Some(facts.map_or(region.name.ends_with(DELETED), |facts| facts.nlink == 0));
    }
    let path = path_of(&region.name, row.deleted == Some(true)).into_os_string().into_vec();
    row.path = cut(printable_bytes(&path));
    row
}

/// The path a file has or had: its link count tells whether it is deleted, since any file may be called so.
fn path_of(name: &[u8], deleted: bool) -> PathBuf {
    let path = name.strip_suffix(DELETED).filter(|_| deleted).unwrap_or(name);
    OsString::from_vec(path.to_vec()).into()
}

#[cfg(test)]
#[path = "map_test.rs"]
mod tests;
