//! Reading small kernel files with few system calls: kept descriptors re-read by `pread`, and bounded one-off reads.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, RawDir, ResolveFlags, fstat, open, openat2};
use rustix::io::{Errno, pread};

/// Opens a kernel file for re-reading.
///
/// # Errors
/// As `open(2)`: `ENOENT` or `ESRCH` when the process is gone, `EACCES` or `EPERM` when it is hidden.
pub(crate) fn open_kept(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

/// Reads a kernel file from its start into `buffer` (which keeps its allocation) until its end or `limit` bytes.
///
/// # Errors
/// As `pread(2)`; `ESRCH` tells that the process of a kept `/proc/PID` file is gone (also when its pid is in use again).
pub(crate) fn reread(fd: impl AsFd, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    buffer.clear();
    buffer.reserve(1024);
    loop {
        let (filled, room) = (buffer.len(), buffer.capacity() - buffer.len());
        let n = pread(&fd, spare_capacity(buffer), filled as u64)?;
        // A short read is the end for every /proc file that fits its first buffer; saves the read that returns 0.
        if n == 0 || n < room || buffer.len() >= limit {
            break;
        }
        buffer.reserve(buffer.len());
    }
    buffer.truncate(limit);
    Ok(())
}

/// Opens, reads and closes.
///
/// # Errors
/// As [`open_kept`] and [`reread`].
pub(crate) fn read_once(path: &Path, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    let fd = open_kept(path)?;
    reread(fd, buffer, limit)
}

/// Opens, reads until nothing more comes, and closes: for files of many records (`mountinfo`), which the kernel hands out a
/// page at a time.
///
/// # Errors
/// As [`open_kept`] and `read(2)`.
pub(crate) fn read_whole(path: &Path, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    let fd = open_kept(path)?;
    buffer.clear();
    while buffer.len() < limit {
        buffer.reserve(4096);
        if rustix::io::read(&fd, spare_capacity(buffer))? == 0 {
            break;
        }
    }
    buffer.truncate(limit);
    Ok(())
}

/// Opens a regular file below a process's root. The tree is a stranger's: links in it must not lead out of it, and a
/// fifo must not make us wait.
///
/// # Errors
/// As `openat2(2)`: `ENOENT` without such a file, `EACCES` when the root is hidden; `EINVAL` for what is no regular file.
pub(crate) fn open_inside(root: &Path, file: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(root, flags, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let fd = openat2(dir, file, flags, Mode::empty(), within)?;
    let kind = fstat(&fd)?.st_mode & 0o170_000;
    if kind == 0o100_000 { Ok(fd) } else { Err(Errno::INVAL) }
}

/// All numeric names in a folder of `/proc`: pids, thread ids, descriptors.
///
/// # Errors
/// As `open(2)` and `getdents64(2)`.
pub(crate) fn list_numbers(folder: &Path) -> Result<Vec<u32>, Errno> {
    let folder = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        numbers.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_many_records_are_read_to_their_end() {
        let path = Path::new("/proc/kallsyms");
        let (mut whole, truth) = (Vec::new(), std::fs::read(path).unwrap());
        assert!(truth.len() > 1 << 20, "no file of many pages");
        read_whole(path, &mut whole, 1 << 30).unwrap();
        assert_eq!(whole.len(), truth.len());
        read_whole(path, &mut whole, 10_000).unwrap();
        assert_eq!(whole, truth[..10_000]);
    }
}
