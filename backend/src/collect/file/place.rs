//! Where a path of a process lies on the host: below the mount it is on, through a mount of ours that shows the same, and in
//! which layer of an overlay. From `mountinfo` of both, to [`HostFile`](glasshull_shared::domain::file::HostFile) and to the
//! rows of open files ([`fill`]) and of mapped ones ([`paths`]).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glasshull_shared::domain::file::{Layer, OpenFiles};
use glasshull_shared::unit::printable_bytes;

use crate::sys::mountinfo::{OverlayDirs, lines, overlay_dirs, unescape};
use crate::sys::patience::{Outcome, each};
use crate::sys::procfile::read_whole;
use crate::sys::root::Root;
use crate::sys::text::cut;

/// Largest `mountinfo` read: some thousand overlays of many layers.
const FILE_BYTES: usize = 8 << 20;
/// Text that [`fill`] adds to all rows together.
const TEXT_BYTES: usize = 8 << 20;

/// Mounts as a process sees them, and as we do.
pub(crate) struct Mounts {
    proc_root: PathBuf,
    /// What the process's root is to us; `/` in a mount namespace of its own.
    chroot: PathBuf,
    theirs: Vec<Mounted>,
    ours: Vec<Mounted>,
}

struct Mounted {
    id: u64,
    device: Vec<u8>,
    /// Path within the file system that is mounted.
    top: PathBuf,
    point: PathBuf,
    /// Of an overlay.
    overlay: Option<Arc<OverlayDirs>>,
}

/// A path on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Through the mount of ours, or through the process's root where there is none.
    pub(crate) path: PathBuf,
    /// Of a file on an overlay its directories, and the path below each.
    overlay: Option<(Arc<OverlayDirs>, PathBuf)>,
}

impl Mounts {
    /// Reads both; what cannot be read places nothing.
    pub(crate) fn of(root: &Root, pid: u32) -> Self {
        let proc_root = root.proc_path(format!("{pid}/root"));
        Self {
            chroot: std::fs::read_link(&proc_root).unwrap_or_else(|_| "/".into()),
            proc_root,
            theirs: read(&root.proc_path(format!("{pid}/mountinfo"))),
            ours: read(&root.proc_path("self/mountinfo")),
        }
    }

    /// As [`Mounts::place`]. Without an id the name must do, and what the kernel calls deleted has none.
    fn place_link(&self, link: &Path, id: Option<u64>) -> Option<Place> {
        let named = id.is_some() || !link.as_os_str().as_encoded_bytes().ends_with(b" (deleted)");
        (named && link.is_absolute()).then(|| self.place(link, id)).flatten()
    }

    /// Where `path`, as a link of the process's tells it, lies: on the mount of that id, else on the deepest above it. `None`
    /// when the mount is not to be seen.
    pub(crate) fn place(&self, path: &Path, id: Option<u64>) -> Option<Place> {
        let with_id = |all: &[Mounted]| all.iter().position(|mount| Some(mount.id) == id);
        // Links are told from our root, mount points from the process's.
        let inside = path
            .strip_prefix(&self.chroot)
            .map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below));
        if let Some(mount) = with_id(&self.ours).and_then(|at| self.ours.get(at)) {
            // The very mount is ours: so is the path.
            let below = mount.below(path)?;
            return Some(Place { path: path.to_owned(), overlay: mount.layers(below) });
        }
        let mount = match id {
            Some(_) => self.theirs.get(with_id(&self.theirs)?)?,
            None => deepest(&self.theirs, &inside)?,
        };
        let below = mount.below(&inside)?;
        let top = self.ours.iter().rev().find(|m| m.device == mount.device && mount.top.starts_with(&m.top));
        let (path, shown) = match top {
            // A bind mount shows a part of its file system: `top` leads from that file system's root to it.
            Some(m) => (m.point.join(below.strip_prefix(m.top.strip_prefix("/").ok()?).ok()?), m),
            None => (self.proc_root.join(inside.strip_prefix("/").ok()?), mount),
        };
        Some(Place { path, overlay: shown.layers(below) })
    }
}

impl Mounted {
    /// The path from the root of the file system, without the slash in front; `None` when it is not on this mount.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.point).ok()?;
        Some(self.top.strip_prefix("/").unwrap_or(Path::new("")).join(below))
    }

    fn layers(&self, below: PathBuf) -> Option<(Arc<OverlayDirs>, PathBuf)> {
        self.overlay.as_ref().map(|dirs| (Arc::clone(dirs), below))
    }
}

impl Place {
    /// The first layer that holds the file, from the top, of this size if one is given. A whiteout ends the search: nothing
    /// below it shows.
    pub(crate) fn layer(&self, root: &Root, size: Option<u64>) -> Option<(Layer, PathBuf)> {
        let (dirs, below) = self.overlay.as_ref()?;
        let upper = dirs.upper.iter().map(|dir| (Layer::Upper, dir));
        let number = |n: usize| Layer::Lower(u32::try_from(n).unwrap_or(u32::MAX));
        let lower = dirs.lower.iter().enumerate().map(|(n, dir)| (number(n), dir));
        for (layer, dir) in upper.chain(lower) {
            let place = root.host_path(OsString::from_vec(dir.clone())).join(below);
            let Ok(found) = std::fs::symlink_metadata(&place) else { continue };
            if found.rdev() == 0 && found.mode() & 0o170_000 == 0o020_000 {
                return None;
            }
            if size.is_some_and(|size| size != found.len()) {
                continue;
            }
            let place = std::fs::canonicalize(&place).unwrap_or(place);
            return Some((layer, place));
        }
        None
    }
}

/// Fills in where each of a process's files lies on the host; `links` are the rows' paths as the kernel tells them.
pub(crate) fn fill(root: &Root, pid: u32, files: &mut OpenFiles, links: &[PathBuf]) {
    let mounts = Mounts::of(root, pid);
    let mut room = TEXT_BYTES;
    let mut show = |path: &Path| {
        let text = cut(printable_bytes(path.as_os_str().as_encoded_bytes()));
        room = room.checked_sub(text.len())?;
        Some(text)
    };
    let mut layered = Vec::new();
    for (at, (row, link)) in files.rows.iter_mut().zip(links).enumerate() {
        let Some(place) = mounts.place_link(link, row.mount_id) else { continue };
        row.host_path = show(&place.path);
        if place.overlay.is_some() && row.deleted == Some(false) {
            layered.push((at, place));
        }
    }
    // Layers may lie where nothing answers, and on a slow disk.
    let root = root.clone();
    let order: Vec<usize> = layered.iter().map(|(at, _)| *at).collect();
    let mut unknown = 0u32;
    for (at, found) in order.into_iter().zip(each(layered, move |(_, place)| place.layer(&root, None))) {
        match (files.rows.get_mut(at), found) {
            (Some(row), Outcome::Done(found)) => row.layer_path = found.and_then(|(_, path)| show(&path)),
            (_, Outcome::Hung | Outcome::Skipped) => unknown += 1,
            (None, Outcome::Done(_)) => {}
        }
    }
    if unknown > 0 {
        let what =
            "files were not found in the layers of their overlay: the file system there does not answer";
        files.missing.push(format!("{unknown} {what}"));
    }
}

/// Where each of a process's files lies on the host, as text; `files` are their paths as the kernel tells them, with the ids of
/// their mounts.
pub(crate) fn paths(root: &Root, pid: u32, files: &[(PathBuf, Option<u64>)]) -> Vec<Option<String>> {
    let mounts = Mounts::of(root, pid);
    let mut room = TEXT_BYTES;
    let mut show = |(link, id): &(PathBuf, Option<u64>)| {
        let place = mounts.place_link(link, *id)?;
        let text = cut(printable_bytes(place.path.as_os_str().as_encoded_bytes()));
        room = room.checked_sub(text.len())?;
        Some(text)
    };
    files.iter().map(&mut show).collect()
}

fn read(path: &Path) -> Vec<Mounted> {
    let mut text = Vec::new();
    if read_whole(path, &mut text, FILE_BYTES).is_err() {
        return Vec::new();
    }
    parse(&text)
}

fn parse(text: &[u8]) -> Vec<Mounted> {
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
    let mounted = lines(text).map(|line| Mounted {
        id: line.id.into(),
        device: line.device.to_owned(),
        top: path(line.root),
        point: path(line.mountpoint),
        overlay: (line.fstype == b"overlay").then(|| Arc::new(overlay_dirs(line.super_options))),
    });
    mounted.collect()
}

/// The mount a path lies on: the longest mount point above it, the last one of several.
fn deepest<'a>(mounts: &'a [Mounted], path: &Path) -> Option<&'a Mounted> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(theirs: &str, ours: &str, chroot: &str) -> Mounts {
        let (theirs, ours) = (parse(theirs.as_bytes()), parse(ours.as_bytes()));
        Mounts { proc_root: "/proc/7/root".into(), chroot: chroot.into(), theirs, ours }
    }

    const HOST: &str = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:40 / /d/merged rw - overlay overlay \
        rw,lowerdir=/d/l1:/d/l0,upperdir=/d/up,workdir=/d/w\n22 20 8:1 /srv /old/alias rw - ext4 /dev/sda1 rw\n";
    const CONTAINER: &str = "50 1 0:40 / / rw - overlay overlay rw,lowerdir=x,upperdir=y,workdir=z\n\
        51 50 8:1 /srv/data /data\\040dir rw - ext4 /dev/sda1 rw\n52 50 0:77 / /tmp rw - tmpfs tmpfs rw\n";

    fn path(mounts: &Mounts, path: &str, id: Option<u64>) -> Option<String> {
        mounts.place(Path::new(path), id).map(|place| place.path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_containers_path_lies_where_the_host_shows_the_same() {
        let mounts = mounts(CONTAINER, HOST, "/");
        let of = |text: &str, id| path(&mounts, text, id);
        assert_eq!(of("/etc/x", None).as_deref(), Some("/d/merged/etc/x"));
        assert_eq!(of("/data dir/x", Some(51)).as_deref(), Some("/old/alias/data/x"));
        assert_eq!(of("/tmp/x", Some(52)).as_deref(), Some("/proc/7/root/tmp/x"));
        // Beneath /tmp: the id says on which of the two, the name alone cannot.
        assert_eq!(of("/tmp/x", Some(50)).as_deref(), Some("/d/merged/tmp/x"));
        let overlay = mounts.place(Path::new("/etc/x"), Some(50)).unwrap().overlay.unwrap();
        assert_eq!(
            (overlay.0.upper.clone(), overlay.1.as_path()),
            (Some(b"/d/up".to_vec()), Path::new("etc/x"))
        );
    }

    #[test]
    fn a_mount_of_ours_is_known_by_its_id_and_a_strangers_is_not_guessed() {
        let mounts = mounts(CONTAINER, HOST, "/");
        assert_eq!(path(&mounts, "/srv/y", Some(20)).as_deref(), Some("/srv/y"));
        assert_eq!(path(&mounts, "/srv/y", Some(99)), None);
        assert_eq!(path(&mounts, "/elsewhere", Some(51)), None);
        assert_eq!(path(&mounts, "(unreachable)/x", None), None);
    }

    #[test]
    fn in_a_chroot_links_are_told_from_our_root() {
        let jail = "61 1 8:1 /jail / rw - ext4 /dev/sda1 rw\n62 61 0:78 / /run rw - tmpfs tmpfs rw\n";
        let mounts = mounts(jail, "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "/jail");
        assert_eq!(path(&mounts, "/jail/etc/x", None).as_deref(), Some("/jail/etc/x"));
        assert_eq!(path(&mounts, "/jail/run/x", Some(62)).as_deref(), Some("/proc/7/root/run/x"));
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
        let mounts = mounts(&line, "", "/");
        let place = mounts.place(Path::new("/bin/tool"), None).unwrap();
        let find = |size| place.layer(&Root::host(), size).map(|found| found.0);
        assert_eq!(find(None), Some(Layer::Lower(1)));
        std::fs::write(at("upper").join("bin/tool"), "yy").unwrap();
        assert_eq!((find(None), find(Some(1))), (Some(Layer::Upper), Some(Layer::Lower(1))));
    }
}
