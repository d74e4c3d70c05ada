//! Namespaces for a program to run in: joins those of a process, and in a mount namespace of its own lays files over the host's.
//! Changes nothing that another process can see.
#![expect(unsafe_code, reason = "rustix wraps unshare as unsafe, for CLONE_FILES, which is not used")]

use std::ffi::{CStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_move, mount_remount, unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::mountinfo;

/// Bytes the files laid over the host's may take together.
const SIZE: &CStr = c"size=4m,mode=0755";
/// Folders of which one is covered for a moment; links of `/etc` do not lead there.
const FOLDERS: [&str; 6] = ["/mnt", "/media", "/srv", "/opt", "/home", "/sys"];

/// A file that the program shall see in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cover {
    /// Whose place it takes: an existing file or socket.
    pub over: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

/// What could not be done, and why.
#[derive(Debug)]
pub(crate) struct Failed {
    /// As it is told: "joining its network namespace".
    pub what: String,
    /// The kernel's answer.
    pub why: io::Error,
}

fn failed<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Failed {
    move |why| Failed { what: what.into(), why: why.into() }
}

/// A namespace of a process, held open.
#[derive(Debug)]
pub(crate) struct Door {
    kind: LinkNameSpaceType,
    name: &'static str,
    file: File,
}

impl Door {
    /// Opens a namespace of a process; `name` is that in `/proc/PID/ns`.
    ///
    /// # Errors
    /// `ENOENT` when the process has gone, `EACCES` without CAP_SYS_PTRACE over it.
    pub(crate) fn open(
        proc: &Path,
        pid: u32,
        name: &'static str,
        kind: LinkNameSpaceType,
    ) -> Result<Self, Failed> {
        let path = proc.join(format!("{pid}/ns/{name}"));
        let file = File::open(&path).map_err(failed(format!("opening {}", path.display())))?;
        Ok(Self { kind, name, file })
    }
}

/// Joins them, in this order. Of pid namespaces only children are in the new one.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, and for mnt also without CAP_SYS_CHROOT.
pub(crate) fn join(doors: &[Door]) -> Result<(), Failed> {
    // SAFETY: only CLONE_FS, which makes root and working directory this thread's own: no descriptor is touched.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.map_err(failed("leaving the shared working directory"))?;
    for door in doors {
        move_into_link_name_space(door.file.as_fd(), Some(door.kind))
            .map_err(failed(format!("joining its {} namespace", door.name)))?;
    }
    Ok(())
}

/// Takes a mount namespace of our own and lays the files over those of the host. What the host mounts later is still seen.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN; `ENOENT` when no folder is there to be covered for a moment.
pub(crate) fn lay(covers: &[Cover]) -> Result<(), Failed> {
    // SAFETY: CLONE_NEWNS implies CLONE_FS, as above; no descriptor is touched.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed("taking a mount namespace of our own"))?;
    let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", down).map_err(failed("keeping our mounts to ourselves"))?;
    let beside =
        |folder: &&Path| folder.is_dir() && !covers.iter().any(|cover| cover.over.starts_with(folder));
    let folder = FOLDERS.iter().map(Path::new).find(beside);
    let folder =
        folder.ok_or_else(|| failed("finding a folder to prepare files in")(io::ErrorKind::NotFound))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", folder, "tmpfs", flags, SIZE).map_err(failed("mounting a tmpfs"))?;
    for (number, cover) in covers.iter().enumerate() {
        let file = folder.join(number.to_string());
        write(&file, &cover.content).map_err(failed("writing to our tmpfs"))?;
        let over = || format!("laying a file over {}", cover.over.display());
        mount_bind(&file, &cover.over).map_err(failed(over()))?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | flags;
        mount_remount(&cover.over, flags, c"").map_err(failed(over()))?;
    }
    // The files laid elsewhere stay; the folder is the host's again.
    unmount(folder, UnmountFlags::DETACH).map_err(failed("uncovering the folder"))
}

/// In the mount namespace that [`lay`] took: `/sys` of the network namespace we are in, whose links are those below
/// `/sys/class/net`. What the host has mounted below its own (control groups, debugfs) is there too.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN over the user namespace that owns the network's; nothing has changed then.
pub(crate) fn renew_sys() -> Result<(), Failed> {
    const SYS: &str = "/sys";
    let beside = |folder: &&Path| folder.is_dir() && *folder != Path::new(SYS);
    let folder = FOLDERS.iter().map(Path::new).find(beside);
    let folder = folder.ok_or_else(|| failed("finding a folder to mount it on")(io::ErrorKind::NotFound))?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let before = statvfs(SYS).map_err(failed("looking at /sys"))?;
    if before.f_flag.contains(StatVfsMountFlags::RDONLY) {
        flags |= MountFlags::RDONLY;
    }
    mount("sysfs", folder, "sysfs", flags, None::<&CStr>).map_err(failed("mounting a sysfs"))?;
    // Each is known by the path it has; one that is not in the new one (a link's) belongs to the old.
    for below in mounts_below(SYS) {
        if let Ok(path) = below.strip_prefix(SYS) {
            let _ = mount_bind_recursive(&below, folder.join(path));
        }
    }
    mount_move(folder, SYS).map_err(failed("moving it to /sys")).inspect_err(|_| {
        let _ = unmount(folder, UnmountFlags::DETACH);
    })
}

/// What is mounted right below a mount point, without what lies on that in turn. Source: `/proc/thread-self/mountinfo`.
fn mounts_below(point: &str) -> Vec<PathBuf> {
    let text = fs::read("/proc/thread-self/mountinfo").unwrap_or_default();
    let mut below: Vec<PathBuf> = mountinfo::lines(&text)
        .map(|line| PathBuf::from(OsString::from_vec(mountinfo::unescape(line.mountpoint))))
        .filter(|path| path.starts_with(point) && path != Path::new(point))
        .collect();
    below.sort();
    let mut top: Vec<PathBuf> = Vec::new();
    for path in below {
        if top.last().is_none_or(|last| !path.starts_with(last)) {
            top.push(path);
        }
    }
    top
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?.write_all(content)
}
