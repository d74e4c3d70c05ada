//! A file as a container names it and where it really lies on the host ([`HostFile`]), what a process holds open, read on demand for
//! one process ([`OpenFiles`]), and who holds files on one file system ([`FileHolders`]).

mod holder;

use std::collections::BTreeMap;

pub use holder::{FileHolder, FileHolders, HeldPlace};
use serde::{Deserialize, Serialize};

/// Which layer of an overlay file system holds a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The container's own writable layer: written or replaced since the container was created.
    Upper,
    /// A layer of the image; 0 is the topmost lower directory.
    Lower(u32),
}

/// Whether the path still leads to the file the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFate {
    /// The path still names the very same inode.
    #[default]
    Present,
    /// The path names nothing any more.
    Deleted,
    /// Another file has been put under the same name.
    Replaced,
    /// Not permitted to look.
    Unknown,
}

/// One file seen from both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFile {
    /// Path as the process sees it. Source: `/proc/PID/exe`.
    pub path: String,
    /// Path through the mounted root on the host (`…/merged/bin/busybox`), or `/proc/PID/root/…` when the host has no
    /// such mount; `None` when not permitted.
    pub host_path: Option<String>,
    /// Path of the file inside the layer directory that holds it; `None` off overlay file systems or when not found.
    pub layer_path: Option<String>,
    /// Which layer that is; `None` as above.
    pub layer: Option<Layer>,
    /// Device the file's inode belongs to, `major:minor`; `None` when not permitted.
    pub device: Option<String>,
    /// Inode number; `None` when not permitted.
    pub inode: Option<u64>,
    /// Whether the file was deleted or replaced under the process.
    pub fate: FileFate,
}

/// How a process holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldAs {
    /// By an open descriptor.
    #[default]
    Descriptor,
    /// As its working directory.
    Cwd,
    /// As its root directory.
    Root,
    /// As the program it runs.
    Exe,
    /// Mapped into its memory, and not the program.
    Mem,
}

/// What an open file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file, also one without a name (`memfd`).
    #[default]
    File,
    /// A directory.
    Dir,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A pipe, with a name (fifo) or without.
    Pipe,
    /// A socket; its inode leads to the table of sockets.
    Socket,
    /// A symbolic link, opened as such.
    Link,
    /// What the kernel made without a place in any tree: eventfd, epoll, timers, namespaces.
    Anon,
}

/// What a descriptor was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenMode {
    /// Reading.
    #[default]
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
    /// Neither: it only names a place (`O_PATH`).
    Path,
}

/// One file that a process holds, as `lsof` lists it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OpenFile {
    /// How.
    pub held_as: HeldAs,
    /// Number of the descriptor; `None` for what is held otherwise.
    pub fd: Option<u32>,
    /// What it is; `None` when its file system does not answer.
    pub kind: Option<FileKind>,
    /// What it was opened for; `None` for what is held otherwise. Source: `flags` of `/proc/PID/fdinfo`.
    pub mode: Option<OpenMode>,
    /// The other flags by name (`O_APPEND`). Source: as `mode`.
    pub flags: Vec<String>,
    /// Path inside the process's mount namespace, or what the kernel calls it (`pipe:[4711]`). Of a deleted file the path it had.
    /// A trailing ` (deleted)` that is still there is of a name that is gone while the file lives on under another or in a layer
    /// below, or the very name. Source: `/proc/PID/fd`.
    pub path: String,
    /// The same on the host; `None` for what has no path and where no mount of the host shows it.
    pub host_path: Option<String>,
    /// Path in the layer of an overlay that holds it; `None` elsewhere, and when deleted or not found.
    pub layer_path: Option<String>,
    /// Device of its inode, `major:minor`. This and what follows is `None` when its file system does not answer.
    pub device: Option<String>,
    /// Inode number.
    pub inode: Option<u64>,
    /// Of a device node the device it stands for, `major:minor`; `None` for others.
    pub node: Option<String>,
    /// Length; `None` for what has none (devices, pipes, sockets).
    pub size_bytes: Option<u64>,
    /// Space it takes, which is free when a deleted file's last holder closes it. Source: `st_blocks`.
    pub held_bytes: Option<u64>,
    /// Where the next read or write goes; `pread`, `pwrite` and mappings do not move it. `None` for what is no file or block
    /// device or not held by a descriptor. Source: `pos` of `/proc/PID/fdinfo`.
    pub position: Option<u64>,
    /// No name leads to it any more (link count 0); `None` also for what never had a path.
    pub deleted: Option<bool>,
    /// Id of the mount it was opened on. Source: `mnt_id` of `/proc/PID/fdinfo`.
    pub mount_id: Option<u64>,
    /// Its file system did not answer in time (a dead server).
    pub hangs: bool,
    /// How fast the position moves on; `None` at the first look, when it went back, and when another file has the number now.
    pub position_per_sec: Option<f32>,
    /// How fast it grows, below 0 when it shrinks; `None` as above.
    pub size_per_sec: Option<f32>,
}

/// What a process holds open at one instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OpenFiles {
    /// When this was read, nanoseconds of a clock that never goes back: only differences mean something.
    pub looked_nanos: u64,
    /// Working directory, root and program, then descriptors in their order, then mapped files.
    pub rows: Vec<OpenFile>,
    /// Descriptors beyond what is listed.
    pub left_out: u64,
    /// What could not be read, and why, a sentence each.
    pub missing: Vec<String>,
}

impl OpenFiles {
    /// Fills in the rates from an earlier look at the same process.
    pub fn rate(&mut self, before: &Self) {
        let Some(nanos) = self.looked_nanos.checked_sub(before.looked_nanos).filter(|nanos| *nanos > 0)
        else {
            return;
        };
        let per_sec = |before: u64, now: u64| ((now as f64 - before as f64) * 1e9 / nanos as f64) as f32;
        let was: BTreeMap<_, _> = before
            .rows
            .iter()
            .filter_map(|row| Some((row.identity()?, (row.position, row.size_bytes))))
            .collect();
        for row in &mut self.rows {
            let Some((position, size)) = row.identity().and_then(|same| was.get(&same)).copied() else {
                continue;
            };
            let moved = position.zip(row.position).filter(|(before, now)| now >= before);
            row.position_per_sec = moved.map(|(before, now)| per_sec(before, now));
            row.size_per_sec = size.zip(row.size_bytes).map(|(before, now)| per_sec(before, now));
        }
    }
}

impl OpenFile {
    /// What is the same only while it is the same file under the same number; `None` when that cannot be told.
    fn identity(&self) -> Option<(HeldAs, Option<u32>, &str, u64)> {
        Some((self.held_as, self.fd, self.device.as_deref()?, self.inode?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(fd: u32, inode: u64, position: u64, size: u64) -> OpenFile {
        OpenFile {
            fd: Some(fd),
            device: Some("8:1".into()),
            inode: Some(inode),
            position: Some(position),
            size_bytes: Some(size),
            ..OpenFile::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_same_file_alone() {
        let before = OpenFiles {
            looked_nanos: 1_000,
            rows: vec![file(1, 7, 100, 100), file(2, 8, 0, 50), file(3, 9, 90, 90)],
            ..OpenFiles::default()
        };
        let mut now = OpenFiles {
            looked_nanos: 500_001_000,
            rows: vec![file(1, 7, 300, 400), file(2, 80, 10, 60), file(3, 9, 10, 10), file(4, 7, 300, 400)],
            ..OpenFiles::default()
        };
        now.rate(&before);
        let rates: Vec<_> = now.rows.iter().map(|row| (row.position_per_sec, row.size_per_sec)).collect();
        let (moved, reopened, rewound, opened) =
            ((Some(400.0), Some(600.0)), (None, None), (None, Some(-160.0)), (None, None));
        assert_eq!(rates, [moved, reopened, rewound, opened]);
    }

    #[test]
    fn there_is_no_rate_without_time_or_identity() {
        let mut now = OpenFiles { looked_nanos: 5, rows: vec![file(1, 7, 9, 9)], ..OpenFiles::default() };
        let unknown = OpenFile { inode: None, ..file(1, 7, 0, 0) };
        now.rate(&OpenFiles { looked_nanos: 5, rows: vec![file(1, 7, 0, 0)], ..OpenFiles::default() });
        assert_eq!(now.rows[0].size_per_sec, None);
        now.rate(&OpenFiles { looked_nanos: 1, rows: vec![unknown], ..OpenFiles::default() });
        assert_eq!(now.rows[0].size_per_sec, None);
    }
}
