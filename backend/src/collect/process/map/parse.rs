//! The text of `smaps`, a piece at a time: a header as in `maps`, then a figure a line. What is odd is left out and counted, the
//! rest stays.
//!
//! Ours rather than that of the `procfs` crate: there a single odd line makes the whole of it fail, and all is read into memory.

use std::collections::HashSet;
use std::sync::Arc;

use glasshull_shared::domain::process::{MapKind, MemoryMap};

use super::super::map_line::MapLine;

/// No line is longer: a path has 4,096 bytes, each newline in it becomes four.
const LINE_BYTES: usize = 20_000;
/// Text of all different names together: a stranger chooses their length.
const NAMES_BYTES: usize = 8 << 20;

/// Device and inode.
pub(super) type File = (u32, u32, u64);

/// What has a path that never led anywhere.
const NAMELESS: [&str; 5] = ["/memfd:", "/SYSV", "/dev/zero (deleted)", "/anon_hugepage", "/[aio]"];

/// A region as the kernel tells it.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// All but the texts and what must be looked at.
    pub(super) row: MemoryMap,
    /// As the kernel calls it, with its ` (deleted)`.
    pub(super) name: Arc<[u8]>,
    /// The file it is of; `None` also for what has no place in any tree.
    pub(super) file: Option<File>,
    /// Its pages are not memory: device registers.
    is_io: bool,
}

/// Takes the text in pieces.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// Begin of a line whose end has not come yet.
    line: Vec<u8>,
    /// It is longer than any: skipped to its end.
    skips: bool,
    open: Option<Region>,
    names: HashSet<Arc<[u8]>>,
    room: Option<usize>,
    /// Lines that are none.
    pub(super) odd: u64,
    /// Regions whose name found no room.
    pub(super) unnamed: u64,
}

impl Parser {
    /// Takes the next piece and gives the regions that are whole now.
    pub(super) fn feed(&mut self, piece: &[u8], mut take: impl FnMut(Region)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if self.line.len() + text.len() > LINE_BYTES {
                self.skips = true;
                self.line.clear();
            }
            if !self.skips {
                self.line.extend_from_slice(text);
            }
            if ends {
                let line = std::mem::take(&mut self.line);
                if std::mem::take(&mut self.skips) {
                    self.odd += 1;
                } else {
                    self.take_line(&line, &mut take);
                }
                self.line = line;
                self.line.clear();
            }
        }
    }

    /// The last region: nothing more comes. A line that was cut short is none.
    pub(super) fn end(&mut self, mut take: impl FnMut(Region)) {
        self.odd += u64::from(!self.line.is_empty() || self.skips);
        self.close(&mut take);
    }

    fn take_line(&mut self, line: &[u8], take: &mut impl FnMut(Region)) {
        if let Some((row, name, file)) = header(line) {
            self.close(take);
            let name = self.intern(name);
            self.open = Some(Region { row, name, file, is_io: false });
        } else if line.split(|byte| *byte == b' ').next().is_some_and(|word| word.contains(&b'-')) {
            self.odd += 1; // a header: what follows is of no region we know
            self.close(take);
        } else if !self.open.as_mut().is_some_and(|open| figure(open, line)) {
            self.odd += 1;
        }
    }

    fn close(&mut self, take: &mut impl FnMut(Region)) {
        if let Some(mut region) = self.open.take() {
            region.row.kind = kind(&region);
            take(region);
        }
    }

    /// The same text is kept once: most regions of a file follow each other.
    fn intern(&mut self, name: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let Some(left) = self.room.unwrap_or(NAMES_BYTES).checked_sub(name.len()) else {
            self.unnamed += 1;
            return Arc::default();
        };
        self.room = Some(left);
        let name: Arc<[u8]> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}

/// The line a region begins with.
fn header(line: &[u8]) -> Option<(MemoryMap, &[u8], Option<File>)> {
    let MapLine { start, end, permissions, offset, device: (major, minor), inode, name } =
        MapLine::read(line)?;
    let row = MemoryMap {
        start,
        end,
        size_bytes: end.checked_sub(start)?,
        permissions: permissions.to_owned(),
        offset_bytes: offset,
        device: (inode != 0).then(|| format!("{major}:{minor}")),
        inode: (inode != 0).then_some(inode),
        ..MemoryMap::default()
    };
    let placed = inode != 0 && name.first() == Some(&b'/') && !begins(name, &NAMELESS);
    Some((row, name, placed.then_some((major, minor, inode))))
}

/// Takes a line `Name: 12 kB`, or flags; whether it was one. What we do not show passes.
fn figure(region: &mut Region, line: &[u8]) -> bool {
    let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else {
        return false;
    };
    let row = &mut region.row;
    let field = match name {
        "Rss" => &mut row.rss_bytes,
        "Pss" => &mut row.pss_bytes,
        "Private_Dirty" => &mut row.private_dirty_bytes,
        "Swap" => &mut row.swap_bytes,
        "Anonymous" => &mut row.anonymous_bytes,
        "Locked" => &mut row.locked_bytes,
        "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" | "Private_Hugetlb" | "Shared_Hugetlb" => {
            &mut row.huge_bytes
        }
        "VmFlags" => {
            region.is_io = value.split_ascii_whitespace().any(|flag| flag == "io" || flag == "pf");
            return true;
        }
        _ => return true,
    };
    let bytes = value.trim().strip_suffix("kB").and_then(|value| value.trim().parse::<u64>().ok());
    let Some(bytes) = bytes.and_then(|kilobytes| kilobytes.checked_mul(1024)) else { return false };
    *field = Some(field.unwrap_or_default().saturating_add(bytes));
    true
}

fn begins(name: &[u8], all: &[&str]) -> bool {
    all.iter().any(|with| name.starts_with(with.as_bytes()))
}

fn kind(region: &Region) -> MapKind {
    let begins = |all: &[&str]| begins(&region.name, all);
    match region.name.first() {
        None if region.row.inode.is_some() => MapKind::File, // its name found no room
        None => MapKind::Anonymous,
        Some(b'[') if begins(&["[heap]"]) => MapKind::Heap,
        Some(b'[') if begins(&["[stack"]) => MapKind::Stack,
        Some(b'[') if begins(&["[anon_shmem:"]) => MapKind::Shared,
        Some(b'[') if begins(&["[anon:"]) => MapKind::Anonymous,
        Some(b'[') if begins(&["[vdso]", "[vvar", "[vsyscall]", "[uprobes]", "[sigpage]"]) => MapKind::Vdso,
        Some(b'/') if begins(&["/anon_hugepage"]) => MapKind::Anonymous,
        Some(b'/') if begins(&["/memfd:", "/SYSV", "/dev/zero (deleted)", "/dev/shm/"]) => MapKind::Shared,
        Some(b'/') if begins(&["/[aio]"]) => MapKind::Other,
        Some(b'/') if region.is_io || begins(&["/dev/"]) => MapKind::Device,
        Some(b'/' | b'(') => MapKind::File,
        Some(_) => MapKind::Other,
    }
}
