//! Where a file that a process names lies on the host: through the container's mounted root, and in which overlay
//! layer. From `/proc/PID/exe`, `/proc/PID/mountinfo` and our own mountinfo.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::file::{FileFate, HostFile, Layer};
use glasshull_shared::unit::printable;
use procfs::FromRead;
use procfs::process::{MountInfo, MountInfos};

use crate::sys::root::Root;

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
        let mounts =
            |name: String| MountInfos::from_file(self.root.proc_path(name)).map(|m| m.0).unwrap_or_default();
        let (theirs, ours) = (mounts(format!("{}/mountinfo", self.pid)), mounts("self/mountinfo".into()));
        let Some(mount) = deepest(&theirs, self.path) else { return };
        let Ok(below_mount) = self.path.strip_prefix(&mount.mount_point) else { return };
        // A bind mount shows a part of its file system: `root` leads from that file system's top to it.
        let below_top = Path::new(&mount.root).strip_prefix("/").unwrap_or(Path::new("")).join(below_mount);
        let top = ours.iter().rev().find(|m| m.majmin == mount.majmin && below(&m.root, &mount.root));
        let host_path = match top {
            Some(m) => {
                let from_there = Path::new("/").join(&below_top);
                m.mount_point.join(from_there.strip_prefix(&m.root).unwrap_or(&below_top))
            }
            None => self.through_proc(),
        };
        file.host_path = Some(printable(&host_path.to_string_lossy()));
        if mount.fs_type == "overlay" && file.fate != FileFate::Deleted {
            let options = top.unwrap_or(mount);
            if let Some((layer, path)) = find_layer(self.root, options, &below_top, running, file.fate) {
                file.layer = Some(layer);
                file.layer_path = Some(printable(&path.to_string_lossy()));
            }
        }
    }
}

fn below(ancestor: &str, path: &str) -> bool {
    Path::new(path).starts_with(ancestor)
}

/// The mount a path lies on: the longest mount point above it, the last one of several.
fn deepest<'a>(mounts: &'a [MountInfo], path: &Path) -> Option<&'a MountInfo> {
    mounts
        .iter()
        .filter(|m| path.starts_with(&m.mount_point))
        .max_by_key(|m| m.mount_point.components().count())
}

/// The first layer that holds the file, from the top. A whiteout ends the search: nothing below it shows.
fn find_layer(
    root: &Root,
    overlay: &MountInfo,
    below: &Path,
    running: &Metadata,
    fate: FileFate,
) -> Option<(Layer, PathBuf)> {
    let option = |name: &str| overlay.super_options.get(name).cloned().flatten();
    let upper = option("upperdir").map(|dir| (Layer::Upper, dir));
    let lowers = option("lowerdir").unwrap_or_default();
    let lowers = lowers.split(':').filter(|d| !d.is_empty()).enumerate();
    let lowers = lowers.map(|(n, dir)| (Layer::Lower(u32::try_from(n).unwrap_or(u32::MAX)), dir.to_owned()));
    for (layer, dir) in upper.into_iter().chain(lowers) {
        let place = root.host_path(&dir).join(below);
        let Ok(found) = std::fs::symlink_metadata(&place) else { continue };
        if found.rdev() == 0 && found.mode() & 0o170_000 == 0o020_000 {
            return None;
        }
        // Replaced: what runs is the older file further down, which has the size of the running one.
        if fate == FileFate::Replaced && found.len() != running.len() {
            continue;
        }
        let place = std::fs::canonicalize(&place).unwrap_or(place);
        return Some((layer, place));
    }
    None
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

    #[test]
    fn overlay_layers_are_searched_from_the_top_until_a_whiteout() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for layer in ["upper", "l0", "l1"] {
            std::fs::create_dir_all(at(layer).join("bin")).unwrap();
        }
        std::fs::write(at("l1").join("bin/tool"), "x").unwrap();
        let (u, l0, l1) = (at("upper"), at("l0"), at("l1"));
        let line = format!(
            "1 1 0:39 / / rw - overlay overlay rw,lowerdir={}:{},upperdir={},workdir=/w",
            l0.display(),
            l1.display(),
            u.display()
        );
        let mounts = MountInfos::from_read(line.as_bytes()).unwrap().0;
        let running = std::fs::metadata(at("l1").join("bin/tool")).unwrap();
        let find =
            || find_layer(&Root::host(), &mounts[0], Path::new("bin/tool"), &running, FileFate::Present);
        assert_eq!(find().map(|f| f.0), Some(Layer::Lower(1)));
        std::fs::write(at("upper").join("bin/tool"), "y").unwrap();
        assert_eq!(find().map(|f| f.0), Some(Layer::Upper));
    }
}
