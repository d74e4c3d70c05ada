//! Which files are there: by the number of their device, and by the ids of the mounts of it in every mount namespace, since some file
//! systems give their files other numbers than their mounts have (btrfs, overlays).

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use glasshull_shared::domain::file::HeldPlace;
use glasshull_shared::unit::{printable, printable_bytes};
use rustix::fs::{major, minor, readlink};

use super::super::fact::Facts;
use super::super::map_line::MapLine;
use crate::sys::mountinfo::{MountLine, lines, unescape};
use crate::sys::procfile::read_whole;
use crate::sys::root::Root;

/// Largest `mountinfo` read.
const MOUNTS_BYTES: usize = 8 << 20;
/// Mount namespaces whose mounts are read.
const NAMESPACES_AT_MOST: usize = 2_000;
/// Sentences about what else holds it.
const OTHERS_AT_MOST: usize = 50;

/// Ids of mounts.
type Ids = Arc<BTreeSet<u64>>;

/// A file system.
#[derive(Debug, Clone)]
pub(super) struct Place {
    device: (u32, u32),
    pub(super) mount: Option<u64>,
    /// Ids of its mounts by the link to the mount namespace.
    known: Arc<Mutex<HashMap<Vec<u8>, Ids>>>,
}

impl Place {
    /// # Errors
    /// When the number is none.
    pub(super) fn of(root: &Root, place: &HeldPlace) -> Result<Self, String> {
        let device = number(&place.device).ok_or_else(|| {
            format!(
                "no device number: {} (MAJOR:MINOR, as lsblk tells it)",
                printable(&place.device).escape_debug()
            )
        })?;
        let one = Self { device, mount: place.mount, known: Arc::default() };
        if let Some(id) = place.mount
            && let Some(found) = one.own_mount(root, id)
            && found != device
        {
            return Err(format!("mount {id} is of device {}:{} now: it was replaced", found.0, found.1));
        }
        Ok(one)
    }

    fn own_mount(&self, root: &Root, id: u64) -> Option<(u32, u32)> {
        let mut text = Vec::new();
        read_whole(&root.proc_path("self/mountinfo"), &mut text, MOUNTS_BYTES).ok()?;
        lines(&text).find(|line| u64::from(line.id) == id).and_then(|line| device_of(&line))
    }

    /// Ids of its mounts in the namespace of that process.
    pub(super) fn mounts_seen_by(&self, root: &Root, pid: u32) -> Ids {
        let Ok(namespace) = readlink(root.proc_path(format!("{pid}/ns/mnt")), Vec::new()) else {
            return Ids::default();
        };
        let namespace = namespace.into_bytes();
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = known().get(&namespace) {
            return Arc::clone(ids);
        }
        let mut text = Vec::new();
        let whole = known().len() < NAMESPACES_AT_MOST
            && read_whole(&root.proc_path(format!("{pid}/mountinfo")), &mut text, MOUNTS_BYTES).is_ok();
        if !whole {
            return Ids::default();
        }
        let of = lines(&text).filter(|line| device_of(line) == Some(self.device)).map(|line| line.id.into());
        let ids: Ids = Arc::new(of.collect());
        known().insert(namespace, Arc::clone(&ids));
        ids
    }

    /// Whether a file is there; `mounts` are those of its process.
    pub(super) fn is_there(&self, facts: &Facts, mounts: &BTreeSet<u64>) -> bool {
        facts.device == self.device
            || facts.mount.is_some_and(|id| mounts.contains(&id) || Some(id) == self.mount)
    }

    /// Whether it is on the very mount.
    pub(super) fn is_very(&self, facts: &Facts) -> bool {
        facts.mount.is_some() && facts.mount == self.mount
    }

    /// Whether it is the block device itself.
    pub(super) fn is_node(&self, facts: &Facts) -> bool {
        facts.mode & 0o170_000 == 0o060_000 && facts.node == self.device
    }

    /// Of a line of `maps` the name in `map_files` and the inode, when that is there and not the program.
    pub(super) fn mapping(&self, line: &[u8], exe: &[u8]) -> Option<(String, u64)> {
        let line = MapLine::read(line)?;
        let is_there = line.inode != 0 && line.device == self.device && line.name != exe;
        is_there.then(|| (MapLine::range(line.start, line.end), line.inode))
    }

    /// What holds it besides processes.
    pub(super) fn others(&self, root: &Root) -> Vec<String> {
        let mut others = Vec::new();
        let mut text = Vec::new();
        if read_whole(&root.proc_path("self/mountinfo"), &mut text, MOUNTS_BYTES).is_ok() {
            for line in lines(&text) {
                let at = printable_bytes(&unescape(line.mountpoint));
                match self.mount {
                    Some(id) if u64::from(line.parent) == id => {
                        others.push(format!("mounted beneath it: {at}"))
                    }
                    None if device_of(&line) == Some(self.device) => others.push(format!("mounted at {at}")),
                    Some(_) | None => {}
                }
            }
        }
        let here = |file: &Path| {
            std::fs::metadata(file).is_ok_and(|file| (major(file.dev()), minor(file.dev())) == self.device)
        };
        for block in std::fs::read_dir(root.host_path("/sys/block")).into_iter().flatten().flatten() {
            let Ok(file) = std::fs::read(block.path().join("loop/backing_file")) else { continue };
            let file = file.trim_ascii_end();
            if here(&root.host_path(OsString::from_vec(file.to_vec()))) {
                let name = block.file_name();
                others.push(format!(
                    "{} has its file there: {}",
                    printable(&name.to_string_lossy()),
                    printable_bytes(file)
                ));
            }
        }
        let swaps = std::fs::read(root.proc_path("swaps")).unwrap_or_default();
        for line in swaps.split(|byte| *byte == b'\n').skip(1) {
            let Some(file) = line.split(u8::is_ascii_whitespace).next().filter(|file| file.starts_with(b"/"))
            else {
                continue;
            };
            let file = unescape(file);
            if here(&root.host_path(OsString::from_vec(file.clone()))) {
                others.push(format!("swap lies there: {}", printable_bytes(&file)));
            }
        }
        if others.len() > OTHERS_AT_MOST {
            let more = others.len() - OTHERS_AT_MOST;
            others.truncate(OTHERS_AT_MOST);
            others.push(format!("and {more} more"));
        }
        others
    }
}

/// What a person calls it: a mount point of ours, `major:minor`, or the node of a block device.
///
/// # Errors
/// A sentence for people when it is none of these.
pub(crate) fn find(root: &Root, text: &str) -> Result<HeldPlace, String> {
    if number(text).is_some() {
        return Ok(HeldPlace { device: text.to_owned(), mount: None });
    }
    let path = Path::new(text);
    let mut mounts = Vec::new();
    read_whole(&root.proc_path("self/mountinfo"), &mut mounts, MOUNTS_BYTES)
        .map_err(|error| format!("mountinfo: {error}"))?;
    // The last one lies above the others.
    let at = lines(&mounts)
        .filter(|line| Path::new(&OsString::from_vec(unescape(line.mountpoint))) == path)
        .last();
    if let Some(line) = at {
        let device = printable_bytes(line.device);
        return Ok(HeldPlace { device, mount: Some(line.id.into()) });
    }
    // Only below /dev: elsewhere `stat` may ask a server that is dead.
    let node = path.starts_with("/dev").then(|| std::fs::metadata(root.host_path(path)).ok()).flatten();
    match node.filter(|node| node.mode() & 0o170_000 == 0o060_000) {
        Some(node) => {
            let device = format!("{}:{}", major(node.rdev()), minor(node.rdev()));
            Ok(HeldPlace { device, mount: None })
        }
        None => Err(format!(
            "{} is no mount point, device number or block device (findmnt --target PATH tells the mount point)",
            printable(text)
        )),
    }
}

fn device_of(line: &MountLine<'_>) -> Option<(u32, u32)> {
    number(std::str::from_utf8(line.device).ok()?)
}

fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
