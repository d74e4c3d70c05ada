//! What one process holds open, as `lsof -p` lists it, read when somebody asks: `/proc/PID/fd`, `fdinfo`, `cwd`, `root`, `exe` and
//! the files in `maps`. Paths are those of the process; [`Look::links`] lets the agent find them on the host.
//!
//! Files are looked at through the links, never opened: that follows no name and needs no right in their folders. `statx` is told
//! not to ask a server, and still made where a server that is dead hangs nobody else ([`patience`]); so is the reading of `maps`,
//! which waits while a page of the process does not come.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::file::{FileKind, HeldAs, OpenFile, OpenFiles, OpenMode};
use glasshull_shared::domain::process::{ProcessKey, ProcessState};
use glasshull_shared::unit::printable_bytes;
use rustix::fs::readlink;
use rustix::io::Errno;

use super::detail::why_refused;
use super::fact::{Facts, Seen, flag_names, kind_by_mode, kind_by_name, mode, see};
use crate::sys::clock;
use crate::sys::patience::{self, Outcome};
use crate::sys::procfile::{list_numbers, read_once, read_whole};
use crate::sys::root::Root;
use crate::sys::text::cut;

/// Descriptors listed.
const DESCRIPTORS_AT_MOST: usize = 10_000;
/// Mapped files listed.
const MAPPED_AT_MOST: usize = 1_000;
/// Text of all paths together: a stranger chooses their length.
const TEXT_BYTES: usize = 8 << 20;
/// The lines of `fdinfo` we read stand in front.
const FDINFO_BYTES: usize = 512;
/// Largest `maps` read.
const MAPS_BYTES: usize = 16 << 20;
/// What the kernel puts behind the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";
/// What is to be said of one that is still there without any file.
const ENDED: &str = "it has ended and holds nothing any more; its parent has not waited for it (zombie)";
/// Capabilities that show other users' descriptors.
const NEEDS: &str = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";

/// A look at a process's files.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// For people and scripts.
    pub(crate) files: OpenFiles,
    /// The paths of its rows as the kernel tells them.
    pub(crate) links: Vec<PathBuf>,
}

/// A file before it was looked at.
struct Held {
    row: OpenFile,
    link: PathBuf,
    /// The link in `/proc` that leads to it.
    handle: PathBuf,
}

/// Looks once.
///
/// # Errors
/// A sentence for people when the process is gone, its pid belongs to another one now, or it is hidden.
pub(crate) fn read(root: &Root, key: ProcessKey) -> Result<Look, String> {
    still(root, key)?;
    let mut look = Look::default();
    look.files.looked_nanos = clock::monotonic();
    if matches!(super::whose(root, key.pid), Some((_, ProcessState::Z))) {
        // Its links are root's now; they lead nowhere.
        look.files.missing.push(ENDED.into());
        return Ok(look);
    }
    let folder = root.proc_path(key.pid.to_string());
    let refused = |error: Errno| match error {
        Errno::ACCESS | Errno::PERM => format!("open files of process {}: {}", key.pid, why_refused(NEEDS)),
        Errno::NOENT | Errno::SRCH => super::ended(key.pid),
        other => format!("open files of process {}: {other}", key.pid),
    };
    let numbers = list_numbers(&folder.join("fd")).map_err(refused)?;
    // Names may be listed whose links are hidden.
    if let Err(error @ (Errno::ACCESS | Errno::PERM)) = readlink(folder.join("cwd"), Vec::new()) {
        return Err(refused(error));
    }
    let mut held: Vec<Held> = [("cwd", HeldAs::Cwd), ("root", HeldAs::Root), ("exe", HeldAs::Exe)]
        .into_iter()
        .filter_map(|(name, held_as)| Held::at(folder.join(name), held_as))
        .collect();
    descriptors(&folder, &numbers, &mut held, &mut look.files);
    mapped(&folder, &mut held, &mut look.files);
    look.take(held);
    if look.files.rows.is_empty() {
        look.files.missing.push(ENDED.into()); // or is about to
    }
    still(root, key)?;
    Ok(look)
}

/// Whether the process is there, and the one that was meant.
///
/// # Errors
/// A sentence for people when it is not.
pub(crate) fn still(root: &Root, key: ProcessKey) -> Result<(), String> {
    match super::holder(root, key.pid) {
        Ok(now) if now == key => Ok(()),
        Ok(_) => Err(super::reused(key.pid)),
        Err(_) => Err(super::ended(key.pid)),
    }
}

fn descriptors(folder: &Path, numbers: &[u32], held: &mut Vec<Held>, files: &mut OpenFiles) {
    let mut listed = numbers.len().min(DESCRIPTORS_AT_MOST);
    let mut room = TEXT_BYTES;
    let mut buffer = Vec::new();
    for (at, fd) in numbers.iter().take(listed).enumerate() {
        let Some(mut one) = Held::at(folder.join(format!("fd/{fd}")), HeldAs::Descriptor) else { continue };
        let Some(left) = room.checked_sub(one.link.as_os_str().len()) else {
            listed = at;
            break;
        };
        room = left;
        one.row.fd = Some(*fd);
        if read_once(&folder.join(format!("fdinfo/{fd}")), &mut buffer, FDINFO_BYTES).is_ok() {
            one.take_info(&buffer);
        }
        held.push(one);
    }
    if listed < numbers.len() {
        let all = numbers.len();
        files.left_out = (all - listed) as u64;
        files.missing.push(format!("only the first {listed} of {all} open descriptors are listed"));
    }
}

/// Files mapped into memory, each once; the program is listed already.
fn mapped(folder: &Path, held: &mut Vec<Held>, files: &mut OpenFiles) {
    let text = match patience::each(vec![folder.join("maps")], |maps| whole(maps)).pop() {
        Some(Outcome::Done(Ok(text))) => text,
        Some(Outcome::Done(Err(Errno::ACCESS | Errno::PERM))) => {
            files.missing.push(format!("mapped files: {}", why_refused("CAP_SYS_PTRACE")));
            return;
        }
        Some(Outcome::Done(Err(_))) => return, // it ended: the next look at the process tells
        Some(Outcome::Hung | Outcome::Skipped) | None => {
            files
                .missing
                .push("mapped files: the kernel waits for a page of the process that does not come".into());
            return;
        }
    };
    let program = held.iter().find(|one| one.row.held_as == HeldAs::Exe).map(|one| one.link.clone());
    let mut known = HashSet::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(one) = mapping(folder, line).filter(|one| Some(&one.link) != program.as_ref()) else {
            continue;
        };
        if !known.insert((one.row.device.clone(), one.row.inode)) {
            continue;
        }
        if known.len() > MAPPED_AT_MOST {
            files.missing.push(format!("only the first {MAPPED_AT_MOST} mapped files are listed"));
            return;
        }
        held.push(one);
    }
}

fn whole(maps: &Path) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    read_whole(maps, &mut text, MAPS_BYTES).map(|()| text)
}

/// A line of `maps`: `start-end perms offset device inode path`; `None` for memory without a file.
fn mapping(folder: &Path, line: &[u8]) -> Option<Held> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut word = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let (range, _perms, _offset, device) = (word()?, word()?, word()?, word()?);
    let inode = word()?.parse().ok().filter(|inode| *inode != 0)?;
    let path = fields.next()?.trim_ascii_start();
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = range.split_once('-')?;
    // The link's name has no zeros in front.
    let handle = folder.join(format!("map_files/{:x}-{:x}", number(start)?, number(end)?));
    let (major, minor) = device.split_once(':')?;
    let row = OpenFile {
        held_as: HeldAs::Mem,
        device: Some(format!("{}:{}", number(major)?, number(minor)?)),
        inode: Some(inode),
        ..OpenFile::default()
    };
    Some(Held { row, link: OsString::from_vec(path.to_vec()).into(), handle })
}

impl Held {
    /// What a link in `/proc` leads to; `None` when there is none, or no more.
    fn at(handle: PathBuf, held_as: HeldAs) -> Option<Self> {
        let link = std::fs::read_link(&handle).ok()?;
        Some(Self { row: OpenFile { held_as, ..OpenFile::default() }, link, handle })
    }

    /// Takes over what `fdinfo` says.
    fn take_info(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "pos" => self.row.position = value.parse().ok(),
                "flags" => {
                    if let Ok(flags) = u32::from_str_radix(value, 8) {
                        self.row.mode = Some(mode(flags));
                        self.row.flags = flag_names(flags);
                    }
                }
                "mnt_id" => self.row.mount_id = value.parse().ok(),
                _ => {}
            }
        }
    }

    /// The row with what was seen of the file; `None` when it was closed meanwhile.
    fn seen(mut self, seen: Outcome<Seen>) -> Option<(OpenFile, PathBuf)> {
        let row = &mut self.row;
        row.kind = kind_by_name(&self.link);
        match seen {
            Outcome::Done(Seen::Gone) => return None,
            Outcome::Hung => row.hangs = true,
            Outcome::Skipped | Outcome::Done(Seen::Hidden) => {}
            Outcome::Done(Seen::Facts(facts)) => {
                row.kind = row.kind.or_else(|| kind_by_mode(facts.mode)).or(Some(FileKind::Anon));
                take_facts(row, &facts);
                if self.link.is_absolute() {
                    row.deleted = Some(facts.nlink == 0);
                }
            }
        }
        if !matches!(row.kind, Some(FileKind::File | FileKind::Block) | None)
            || row.mode == Some(OpenMode::Path)
        {
            row.position = None;
        }
        let mut path = self.link.into_os_string().into_vec();
        // The link count tells: any file may be called so.
        if row.deleted == Some(true) && path.ends_with(DELETED) {
            path.truncate(path.len() - DELETED.len());
        }
        row.path = cut(printable_bytes(&path));
        Some((self.row, OsString::from_vec(path).into()))
    }
}

/// For a sentence.
fn held_name(held_as: HeldAs) -> &'static str {
    match held_as {
        HeldAs::Descriptor => "descriptor",
        HeldAs::Cwd => "working directory",
        HeldAs::Root => "root directory",
        HeldAs::Exe => "program",
        HeldAs::Mem => "mapped file",
    }
}

fn take_facts(row: &mut OpenFile, facts: &Facts) {
    let number = |(major, minor)| Some(format!("{major}:{minor}"));
    row.device = number(facts.device);
    row.inode = Some(facts.inode);
    row.mount_id = row.mount_id.or(facts.mount);
    match row.kind {
        Some(FileKind::Char | FileKind::Block) => row.node = number(facts.node),
        Some(FileKind::File | FileKind::Dir | FileKind::Link) => {
            row.size_bytes = Some(facts.size);
            row.held_bytes = facts.blocks.checked_mul(512);
        }
        Some(FileKind::Pipe | FileKind::Socket | FileKind::Anon) | None => {}
    }
}

impl Look {
    /// Looks at all that is held and makes rows of it.
    fn take(&mut self, held: Vec<Held>) {
        let sought = held.iter().map(|one| {
            let stays = (one.row.held_as != HeldAs::Mem).then(|| one.link.clone());
            (one.handle.clone(), stays)
        });
        let seen = patience::each(sought.collect(), |(handle, link)| see(handle, link.as_deref()));
        let (mut hidden, mut mapped_hidden, mut skipped) = (0u32, 0u32, 0u32);
        for (one, seen) in held.into_iter().zip(seen) {
            match seen {
                Outcome::Done(Seen::Hidden) if one.row.held_as == HeldAs::Mem => mapped_hidden += 1,
                Outcome::Done(Seen::Hidden) => hidden += 1,
                Outcome::Skipped => skipped += 1,
                Outcome::Done(Seen::Facts(_) | Seen::Gone) | Outcome::Hung => {}
            }
            let Some((row, link)) = one.seen(seen) else { continue };
            if row.hangs {
                let which =
                    row.fd.map_or_else(|| held_name(row.held_as).to_owned(), |fd| format!("descriptor {fd}"));
                self.files.missing.push(format!("{which} ({}): its file system does not answer", row.path));
            }
            self.files.rows.push(row);
            self.links.push(link);
        }
        let mut missing = |count: u32, what: &str| {
            if count > 0 {
                self.files.missing.push(format!("{count} {what}"));
            }
        };
        missing(hidden, "files do not tell their size and whether they are deleted: the kernel refuses it");
        missing(
            mapped_hidden,
            "mapped files do not tell their size and whether they are deleted: needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE",
        );
        missing(skipped, "files were not looked at: too many file systems do not answer");
    }
}

#[cfg(test)]
#[path = "open_file_test.rs"]
mod tests;
