//! One look at how full a file system is: `fstatvfs(2)` on one of its mounts, reached through a process that is in the mount's
//! namespace. Any of this may hang; [`super::crew`] runs it where that holds up nobody.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatVfs, StatxFlags, fstatvfs, open, openat2, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::apart::look_apart;
use crate::sys::root::Root;

/// A file system to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// `major:minor`: one look for each.
    pub(crate) device: String,
    /// Inode of the mount namespace that leads to it: what hangs is counted for each.
    pub(crate) place: Option<u64>,
    /// Something on its way may hang for good.
    pub(crate) apart: bool,
    /// The best first.
    pub(crate) ways: Vec<Passage>,
}

/// A mount through which a file system is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// A process in its namespace.
    pub(crate) pid: u32,
    /// Whether our own root may lead there as well: it is a mount of the host.
    pub(crate) host: bool,
    /// Below that process's root, as the kernel has it.
    pub(crate) path: Vec<u8>,
    /// The kernel's id of the mount.
    pub(crate) mount: u32,
}

/// What a file system tells. Sizes are `None` when it counts none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Its own id, by which another one under the same number is recognised. Source: `f_fsid`.
    pub(crate) identity: u64,
    /// `f_blocks`.
    pub(crate) size_bytes: Option<u64>,
    /// `f_blocks - f_bfree`.
    pub(crate) used_bytes: Option<u64>,
    /// `f_bavail`.
    pub(crate) available_bytes: Option<u64>,
    /// `f_files`.
    pub(crate) inodes: Option<u64>,
    /// `f_files - f_ffree`.
    pub(crate) inodes_used: Option<u64>,
}

/// Why a look brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// For people.
    pub(crate) text: String,
    /// Of what kind.
    pub(crate) kind: FaultKind,
}

/// Whether anything can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    /// A permission lacks.
    Hidden,
    /// No: nobody in the mount's namespace reaches it either.
    Covered,
    /// It has trouble of its own.
    Failed,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { text: text.into(), kind }
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        let hidden = matches!(error, Errno::ACCESS | Errno::PERM);
        let kind = if hidden { FaultKind::Hidden } else { FaultKind::Failed };
        let why = match error {
            Errno::NOSYS => "needs Linux 5.6".to_owned(),
            error => std::io::Error::from(error).to_string(),
        };
        Self { text: format!("its mountpoint cannot be reached: {why}"), kind }
    }
}

/// Looks, here or in a process of its own.
pub(crate) fn look(root: &Root, job: &Job) -> Result<Figures, Fault> {
    if job.apart { look_apart(job) } else { look_here(root, &job.device, &job.ways) }
}

/// Tries the ways one after the other; when none leads there, what was wrong with the first.
pub(super) fn look_here(root: &Root, device: &str, ways: &[Passage]) -> Result<Figures, Fault> {
    let mut first = None;
    for way in ways {
        match through(root, device, way) {
            Ok(figures) => return Ok(figures),
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    Err(first.unwrap_or_else(|| Fault::new(FaultKind::Failed, "no mount leads to it")))
}

fn through(root: &Root, device: &str, way: &Passage) -> Result<Figures, Fault> {
    let base = root.proc_path(format!("{}/root", way.pid));
    match at(&base, device, way) {
        // The roots of others' processes are hidden from an ordinary user.
        Err(fault) if fault.kind == FaultKind::Hidden && way.host => {
            at(&root.host_path("/"), device, way).map_err(|_| fault)
        }
        other => other,
    }
}

fn at(base: &Path, device: &str, way: &Passage) -> Result<Figures, Fault> {
    let fd = open_mountpoint(base, &way.path)?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let there = statx(&fd, "", flags, StatxFlags::MNT_ID)?;
    // Files of btrfs have another number than their mount; the mount's id is known since Linux 5.8.
    let by_id = there.stx_mask & StatxFlags::MNT_ID.bits() != 0 && there.stx_mnt_id == u64::from(way.mount);
    if !by_id && format!("{}:{}", there.stx_dev_major, there.stx_dev_minor) != device {
        return Err(Fault::new(FaultKind::Covered, "another mount lies over it"));
    }
    let told = fstatvfs(&fd);
    told.map(|told| figures(&told)).map_err(|error| {
        Fault::new(FaultKind::Failed, format!("it does not tell: {}", std::io::Error::from(error)))
    })
}

/// Opens a mountpoint below a process's root without opening what is there: the tree is a stranger's, links in it must not
/// lead out of it, and nothing is mounted by our coming.
fn open_mountpoint(base: &Path, path: &[u8]) -> Result<OwnedFd, Errno> {
    let dir = open(base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(dir, OsStr::from_bytes(path), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within)
}

/// In the manner of `df`.
fn figures(told: &StatVfs) -> Figures {
    let block = if told.f_frsize > 0 { told.f_frsize } else { told.f_bsize };
    let bytes = |blocks: u64| (told.f_blocks > 0).then(|| blocks.saturating_mul(block));
    let inodes = (told.f_files > 0).then_some(told.f_files);
    Figures {
        identity: told.f_fsid,
        size_bytes: bytes(told.f_blocks),
        used_bytes: bytes(told.f_blocks.saturating_sub(told.f_bfree)),
        available_bytes: bytes(told.f_bavail),
        inodes,
        inodes_used: inodes.map(|all| all.saturating_sub(told.f_ffree)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sys::mountinfo::{lines, unescape};

    /// Our own mounts with their numbers.
    pub(in crate::collect::mount) fn own(wanted: impl Fn(&str) -> bool) -> Vec<(String, Passage)> {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let passage = |line: crate::sys::mountinfo::MountLine<'_>| {
            let way = Passage {
                pid: std::process::id(),
                host: false,
                path: unescape(line.mountpoint),
                mount: line.id,
            };
            (utf8(line.device), way)
        };
        lines(&text).filter(|line| wanted(&utf8(line.fstype))).map(passage).collect()
    }

    fn job(device: &str, way: Passage) -> Job {
        Job { device: device.into(), place: None, apart: false, ways: vec![way] }
    }

    #[test]
    fn figures_are_those_df_makes() {
        let told = StatVfs {
            f_bsize: 4096,
            f_frsize: 1024,
            f_blocks: 1000,
            f_bfree: 300,
            f_bavail: 250,
            f_files: 64,
            f_ffree: 60,
            f_favail: 60,
            f_fsid: 7,
            f_flag: rustix::fs::StatVfsMountFlags::empty(),
            f_namemax: 255,
        };
        let now = figures(&told);
        assert_eq!((now.size_bytes, now.used_bytes), (Some(1_024_000), Some(716_800)));
        assert_eq!((now.available_bytes, now.inodes, now.inodes_used), (Some(256_000), Some(64), Some(4)));
        // A tmpfs without limit, btrfs, and one that tells nonsense.
        let none = figures(&StatVfs { f_blocks: 0, f_bfree: 0, f_bavail: 0, f_files: 0, f_ffree: 0, ..told });
        assert_eq!(none, Figures { identity: 7, ..Figures::default() });
        let mad = figures(&StatVfs { f_blocks: u64::MAX, f_bfree: u64::MAX, f_ffree: 99, ..told });
        assert_eq!((mad.size_bytes, mad.used_bytes, mad.inodes_used), (Some(u64::MAX), Some(0), Some(0)));
    }

    #[test]
    fn a_file_system_of_our_own_tells() {
        let (device, way) =
            own(|fstype| fstype != "autofs").into_iter().find(|(_, way)| way.path == b"/").unwrap();
        let told = look(&Root::host(), &job(&device, way)).unwrap();
        let (size, used) = (told.size_bytes.unwrap(), told.used_bytes.unwrap());
        assert!(size > 0 && used <= size, "{told:?}");
    }

    #[test]
    fn what_lies_over_a_mount_is_not_taken_for_it() {
        let (_, way) = own(|fstype| fstype == "proc").into_iter().next().unwrap();
        let wrong = Passage { mount: u32::MAX, ..way };
        let fault = look(&Root::host(), &job("0:0", wrong)).unwrap_err();
        assert_eq!((fault.text.as_str(), fault.kind), ("another mount lies over it", FaultKind::Covered));
    }

    #[test]
    fn links_of_a_stranger_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        for (name, target) in
            [("out", "/proc"), ("up", "../../../../../../proc"), ("self", "/proc/self/root")]
        {
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
            let error = open_mountpoint(dir.path(), name.as_bytes()).unwrap_err();
            assert!(matches!(error, Errno::NOENT | Errno::LOOP), "{name}: {error}");
        }
        assert!(open_mountpoint(dir.path(), b"/../..").is_ok(), "`..` stops at the root");
        let lead = Path::new("/proc/self/cwd");
        assert_eq!(open_mountpoint(Path::new("/"), lead.as_os_str().as_bytes()).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn who_has_gone_is_told_and_is_no_lack_of_rights() {
        let way = Passage { pid: u32::MAX, host: true, path: b"/".to_vec(), mount: 1 };
        let fault = look(&Root::host(), &job("0:0", way)).unwrap_err();
        assert!(fault.kind == FaultKind::Failed && fault.text.contains("No such file"), "{fault:?}");
        assert!(
            look(&Root::host(), &Job { ways: Vec::new(), ..job("0:0", own(|_| true).remove(0).1) }).is_err()
        );
    }
}
