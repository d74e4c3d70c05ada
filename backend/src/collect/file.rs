//! Where a file that a process names lies on the host: through the container's mounted root, and in which overlay
//! layer. From `/proc/PID/exe`; `place` knows the mounts.

pub(crate) mod place;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::file::{FileFate, HostFile};
use glasshull_shared::unit::printable;

use crate::sys::root::Root;
use place::Mounts;

/// The program a process runs; `None` for kernel threads and when the link is hidden (needs CAP_SYS_PTRACE).
pub(crate) fn executable(root: &Root, pid: u32) -> Option<HostFile> {
    let link = root.proc_path(format!("{pid}/exe"));
    let target = std::fs::read_link(&link).ok()?;
    let target = target.to_string_lossy().into_owned();
    let (path, marked_deleted) = match target.strip_suffix(" (deleted)") {
        Some(path) => (path.to_owned(), true),
        None => (target, false),
    };
    let running = std::fs::metadata(&link).ok();
    let mut file = HostFile { path: printable(&path), fate: FileFate::Unknown, ..HostFile::default() };
    if let Some(running) = &running {
        file.device =
            Some(format!("{}:{}", rustix::fs::major(running.dev()), rustix::fs::minor(running.dev())));
        file.inode = Some(running.ino());
    }
    let inside = Inside { root, pid, path: Path::new(&path) };
    file.fate = inside.fate(running.as_ref(), marked_deleted);
    if let Some(running) = &running {
        inside.locate(running, &mut file);
    }
    Some(file)
}

/// A path as one process sees it.
struct Inside<'a> {
    root: &'a Root,
    pid: u32,
    path: &'a Path,
}

impl Inside<'_> {
    fn through_proc(&self) -> PathBuf {
        let below = self.path.strip_prefix("/").unwrap_or(self.path);
        self.root.proc_path(format!("{}/root", self.pid)).join(below)
    }

    fn fate(&self, running: Option<&Metadata>, marked_deleted: bool) -> FileFate {
        match (std::fs::symlink_metadata(self.through_proc()), running) {
            (Ok(now), Some(running)) if (now.dev(), now.ino()) == (running.dev(), running.ino()) => {
                FileFate::Present
            }
            (Ok(_), Some(_)) => FileFate::Replaced,
            (Err(e), _) if e.kind() == std::io::ErrorKind::NotFound => FileFate::Deleted,
            (Ok(_) | Err(_), _) if marked_deleted => FileFate::Deleted,
            (Ok(_) | Err(_), _) => FileFate::Unknown,
        }
    }

    /// Fills in the host's path and the layer.
    fn locate(&self, running: &Metadata, file: &mut HostFile) {
        let mounts = Mounts::of(self.root, self.pid);
        let Some(place) = mounts.place(self.path, None) else { return };
        file.host_path = Some(printable(&place.path.to_string_lossy()));
        if file.fate != FileFate::Deleted {
            // Replaced: what runs is the older file further down, which has the size of the running one.
            let size = (file.fate == FileFate::Replaced).then_some(running.len());
            if let Some((layer, path)) = place.layer(self.root, size) {
                file.layer = Some(layer);
                file.layer_path = Some(printable(&path.to_string_lossy()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another test that forks meanwhile holds the copy open for writing for a moment.
    fn sleep(copy: &Path) -> std::process::Child {
        loop {
            match std::process::Command::new(copy).arg("30").spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                child => return child.unwrap(),
            }
        }
    }

    #[test]
    fn our_own_program_is_where_it_says() {
        let file = executable(&Root::host(), std::process::id()).unwrap();
        assert_eq!(file.fate, FileFate::Present);
        let path = file.host_path.unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().ino(), file.inode.unwrap());
    }

    #[test]
    fn a_folder_of_a_hostile_name_commands_no_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("x\u{1b}[31m");
        std::fs::create_dir(&odd).unwrap();
        std::fs::copy("/bin/sleep", odd.join("sleeper")).unwrap();
        let mut child = sleep(&odd.join("sleeper"));
        let file = executable(&Root::host(), child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(file.host_path.as_ref().is_some_and(|path| path.contains("[31m")), "{file:?}");
        assert!(!format!("{}{}", file.path, file.host_path.unwrap()).contains('\u{1b}'));
    }

    #[test]
    fn a_deleted_program_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("sleeper");
        std::fs::copy("/bin/sleep", &copy).unwrap();
        let mut child = sleep(&copy);
        std::fs::remove_file(&copy).unwrap();
        let deleted = executable(&Root::host(), child.id()).unwrap();
        std::fs::write(&copy, "another").unwrap();
        let replaced = executable(&Root::host(), child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((deleted.fate, replaced.fate), (FileFate::Deleted, FileFate::Replaced));
        assert!(deleted.path.ends_with("/sleeper"));
    }
}
