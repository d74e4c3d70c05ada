//! What is known of an open file: what `stat` says through its link in `/proc`, what its name and its flags mean.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glasshull_shared::domain::file::{FileKind, OpenMode};
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, major, minor, statx};
use rustix::io::Errno;

/// What `stat` tells.
pub(super) struct Facts {
    pub(super) mode: u32,
    pub(super) nlink: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) blocks: u64,
    pub(super) device: (u32, u32),
    pub(super) node: (u32, u32),
    pub(super) mount: Option<u64>,
}

/// What became of looking at a file.
pub(super) enum Seen {
    Facts(Facts),
    /// It was closed, or another has its number now.
    Gone,
    /// We may not, or its file system cannot tell.
    Hidden,
}

/// Looks at a file through its link; `link` is what that said before, where it can be asked again.
pub(super) fn see(handle: &Path, link: Option<&Path>) -> Seen {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let facts = match statx(CWD, handle, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID) {
        Ok(stat) => Facts::from(&stat),
        Err(Errno::NOSYS) => match std::fs::metadata(handle) {
            Ok(stat) => Facts::old(&stat), // before Linux 4.11
            Err(_) => return Seen::Hidden,
        },
        Err(Errno::NOENT | Errno::SRCH) => return Seen::Gone,
        Err(_) => return Seen::Hidden,
    };
    match link {
        Some(link) if std::fs::read_link(handle).ok().as_deref() != Some(link) => Seen::Gone,
        Some(_) | None => Seen::Facts(facts),
    }
}

impl From<&Statx> for Facts {
    fn from(stat: &Statx) -> Self {
        Self {
            mode: stat.stx_mode.into(),
            nlink: stat.stx_nlink.into(),
            inode: stat.stx_ino,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            node: (stat.stx_rdev_major, stat.stx_rdev_minor),
            mount: (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id),
        }
    }
}

impl Facts {
    fn old(stat: &std::fs::Metadata) -> Self {
        let number = |device| (major(device), minor(device));
        Self {
            mode: stat.mode(),
            nlink: stat.nlink(),
            inode: stat.ino(),
            size: stat.size(),
            blocks: stat.blocks(),
            device: number(stat.dev()),
            node: number(stat.rdev()),
            mount: None,
        }
    }
}

/// What has no place in any tree tells by its name what it is.
pub(super) fn kind_by_name(link: &Path) -> Option<FileKind> {
    let name = link.as_os_str().as_encoded_bytes();
    match name.first()? {
        b'/' | b'(' => None, // a path, also one that is out of our reach
        _ if name.starts_with(b"pipe:[") => Some(FileKind::Pipe),
        _ if name.starts_with(b"socket:[") => Some(FileKind::Socket),
        _ => Some(FileKind::Anon),
    }
}

/// As the upper bits of the mode say; `None` for what has none of them.
pub(super) fn kind_by_mode(mode: u32) -> Option<FileKind> {
    match mode & 0o170_000 {
        0o100_000 => Some(FileKind::File),
        0o040_000 => Some(FileKind::Dir),
        0o020_000 => Some(FileKind::Char),
        0o060_000 => Some(FileKind::Block),
        0o010_000 => Some(FileKind::Pipe),
        0o140_000 => Some(FileKind::Socket),
        0o120_000 => Some(FileKind::Link),
        _ => None,
    }
}

/// What the flags of `open(2)` say of reading and writing.
pub(super) fn mode(flags: u32) -> OpenMode {
    let has = |flag: i32| flags & flag.cast_unsigned() != 0;
    match flags & libc::O_ACCMODE.cast_unsigned() {
        _ if has(libc::O_PATH) => OpenMode::Path,
        0 => OpenMode::Read,
        1 => OpenMode::Write,
        _ => OpenMode::ReadWrite,
    }
}

/// Flags by name, the more special ones first: they hold bits of the others.
pub(super) fn flag_names(mut flags: u32) -> Vec<String> {
    const NAMES: [(i32, &str); 12] = [
        (libc::O_TMPFILE, "O_TMPFILE"),
        (libc::O_SYNC, "O_SYNC"),
        (libc::O_DSYNC, "O_DSYNC"),
        (libc::O_APPEND, "O_APPEND"),
        (libc::O_NONBLOCK, "O_NONBLOCK"),
        (libc::O_ASYNC, "O_ASYNC"),
        (libc::O_DIRECT, "O_DIRECT"),
        (libc::O_DIRECTORY, "O_DIRECTORY"),
        (libc::O_NOFOLLOW, "O_NOFOLLOW"),
        (libc::O_NOATIME, "O_NOATIME"),
        (libc::O_PATH, "O_PATH"),
        (libc::O_CLOEXEC, "O_CLOEXEC"),
    ];
    let mut names = Vec::new();
    for (bits, name) in NAMES {
        let bits = bits.cast_unsigned();
        if flags & bits == bits {
            names.push(name.to_owned());
            flags &= !bits;
        }
    }
    names
}
