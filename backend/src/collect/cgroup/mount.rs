//! Where the hierarchies are mounted, and the directory of a cgroup path below them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glasshull_shared::domain::host::CgroupMode;

use crate::sys::root::Root;

/// A controller we read. `Unified` stands for what only the v2 tree has: pressure and `cgroup.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Pids,
    Io,
    Freezer,
    Unified,
}

impl Controller {
    const ALL: [Self; 8] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Io,
        Self::Freezer,
        Self::Unified,
    ];

    /// As v2 calls it; what v2 has without a controller, by what it is.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Io => "io",
            Self::Freezer => "freezer",
            Self::Unified => "",
        }
    }

    /// Name among the mount options of v1; `None` when v1 has no such thing.
    fn v1_name(self) -> Option<&'static str> {
        match self {
            Self::Cpu => Some("cpu"),
            Self::Cpuacct => Some("cpuacct"),
            Self::Cpuset => Some("cpuset"),
            Self::Memory => Some("memory"),
            Self::Pids => Some("pids"),
            Self::Io => Some("blkio"),
            Self::Freezer => Some("freezer"),
            Self::Unified => None,
        }
    }
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) point: PathBuf,
    pub(super) v2: bool,
    /// Controllers of v1; v2 tells them per group.
    pub(super) controllers: Vec<String>,
}

/// A container's directory in one controller's hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dir {
    pub(super) controller: Controller,
    pub(super) v2: bool,
    pub(super) path: PathBuf,
    /// Top of the hierarchy as far as it is mounted here.
    pub(super) top: PathBuf,
}

impl Dir {
    /// The path below the mounted hierarchy, as the tree names it.
    pub(super) fn group(&self) -> Option<String> {
        let below = self.path.strip_prefix(&self.top).ok()?;
        Some(format!("/{}", below.to_string_lossy()))
    }
}

/// All mounted hierarchies.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    all: Vec<Mount>,
}

#[derive(Debug)]
struct Mount {
    v2: bool,
    /// Controllers of a v1 hierarchy.
    options: Vec<String>,
    /// The cgroup that is mounted, as our cgroup namespace names it: `/`, or `/../..` for one above our own root.
    root: String,
    point: PathBuf,
}

impl Mounts {
    /// Source: `/proc/self/mountinfo`; mount points are looked up below `root`.
    pub(super) fn read(root: &Root) -> io::Result<Self> {
        let text = fs::read(root.proc_path("self/mountinfo"))?;
        let mut all: Vec<Mount> =
            String::from_utf8_lossy(&text).lines().filter_map(|line| mount(line, root)).collect();
        all.reverse(); // a later mount on the same place hides the earlier
        Ok(Self { all })
    }

    /// v1, hybrid or v2.
    pub(super) fn mode(&self) -> CgroupMode {
        let v1 = self.all.iter().any(|m| !m.v2 && m.options.iter().any(|o| !o.starts_with("name=")));
        match (v1, self.all.iter().any(|m| m.v2)) {
            (true, true) => CgroupMode::Hybrid,
            (true, false) => CgroupMode::V1,
            (false, true) => CgroupMode::V2,
            (false, false) => CgroupMode::Unknown,
        }
    }

    /// Whether a v1 hierarchy has this controller.
    pub(super) fn has_v1(&self, controller: &str) -> bool {
        self.all.iter().any(|m| m.options.iter().any(|o| o == controller))
    }

    /// Whether there is a v2 hierarchy.
    pub(super) fn has_v2(&self) -> bool {
        self.all.iter().any(|m| m.v2)
    }

    /// The existing directory of a path in the v1 hierarchy that has this controller.
    pub(super) fn v1_dir(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let fits = |mount: &&Mount| mount.options.iter().any(|o| o == controller);
        let mut dirs =
            self.all.iter().filter(fits).filter_map(|mount| resolve(&mount.root, path, &mount.point));
        dirs.find(|dir| dir.is_dir())
    }

    /// Each hierarchy once, v1 first: where a controller is on v1, v2 does not have it.
    pub(super) fn hierarchies(&self) -> Vec<Hierarchy> {
        let mut all: Vec<Hierarchy> = Vec::new();
        for mount in self.all.iter().filter(|mount| !mount.v2) {
            let known = |name: &&String| Controller::ALL.iter().any(|c| c.v1_name() == Some(name.as_str()));
            let controllers: Vec<String> = mount.options.iter().filter(known).cloned().collect();
            let taken = all.iter().any(|h| h.controllers.iter().any(|name| controllers.contains(name)));
            if !controllers.is_empty() && !taken {
                all.push(Hierarchy { point: mount.point.clone(), v2: false, controllers });
            }
        }
        let unified = self.all.iter().find(|mount| mount.v2);
        all.extend(unified.map(|m| Hierarchy { point: m.point.clone(), v2: true, controllers: Vec::new() }));
        all
    }

    /// The existing directories for (controllers, path) pairs of `/proc/PID/cgroup`. A controller that v1 mounts is
    /// read there, else from v2.
    pub(super) fn dirs(&self, paths: &[(&str, &str)]) -> Vec<Dir> {
        Controller::ALL.into_iter().filter_map(|controller| self.dir(controller, paths)).collect()
    }

    fn dir(&self, controller: Controller, paths: &[(&str, &str)]) -> Option<Dir> {
        let v1 =
            controller.v1_name().filter(|name| self.all.iter().any(|m| m.options.iter().any(|o| o == name)));
        let path = paths.iter().find_map(|(names, path)| {
            let here = match v1 {
                Some(name) => names.split(',').any(|n| n == name),
                None => names.is_empty(),
            };
            here.then_some(*path)
        })?;
        let fits = |mount: &&Mount| match v1 {
            Some(name) => mount.options.iter().any(|o| o == name),
            None => mount.v2,
        };
        self.all.iter().filter(fits).find_map(|mount| {
            let dir = resolve(&mount.root, path, &mount.point)?;
            dir.is_dir().then(|| Dir { controller, v2: v1.is_none(), path: dir, top: mount.point.clone() })
        })
    }
}

/// A line of mountinfo: `id parent major:minor root point options [optional…] - type source superoptions`.
fn mount(line: &str, root: &Root) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let v2 = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options = if v2 { Vec::new() } else { right.nth(1)?.split(',').map(str::to_owned).collect() };
    let mut left = left.split(' ').skip(3);
    let (mounted, point) = (left.next()?, left.next()?);
    Some(Mount { v2, options, root: unescape(mounted), point: root.host_path(unescape(point)) })
}

/// Undoes `\040` and its like.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\').and_then(|o| std::str::from_utf8(o).ok());
        match octal.and_then(|o| u8::from_str_radix(o, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Directories looked at, at most, when names above our own cgroup are hidden from us.
const MOST_SEARCHED: usize = 4096;

/// Where `path` is below a mount of the cgroup `mounted`, both as our cgroup namespace names them.
fn resolve(mounted: &str, path: &str, point: &Path) -> Option<PathBuf> {
    let ((up_mounted, mounted), (up_path, path)) = (ups(mounted), ups(path));
    if up_mounted == up_path {
        let below = path.strip_prefix(mounted.trim_end_matches('/'))?;
        return (below.is_empty() || below.starts_with('/'))
            .then(|| point.join(below.trim_start_matches('/')));
    }
    // The mount begins above the path's first known name: the names between are hidden, so each is tried.
    if up_mounted < up_path || !mounted.is_empty() || path.is_empty() {
        return None;
    }
    let mut level = vec![point.to_owned()];
    let mut searched = 0;
    for _ in 0..up_mounted - up_path {
        let mut next = Vec::new();
        for dir in level {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            next.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            searched += 1;
            if searched + next.len() > MOST_SEARCHED {
                return None;
            }
        }
        level = next;
    }
    level.into_iter().map(|dir| dir.join(path.trim_start_matches('/'))).find(|dir| dir.is_dir())
}

/// `/../../docker/x` → (2, `/docker/x`); the rest is empty for `/` and `/..`.
fn ups(path: &str) -> (usize, &str) {
    let mut rest = path.trim_end_matches('/');
    let mut count = 0;
    while let Some(shorter) = rest.strip_prefix("/..")
        && (shorter.is_empty() || shorter.starts_with('/'))
    {
        rest = shorter;
        count += 1;
    }
    (count, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_below_mounts() {
        let point = Path::new("/nowhere/cg");
        let at = |mounted, path| resolve(mounted, path, point);
        assert_eq!(at("/", "/docker/x"), Some(point.join("docker/x")));
        assert_eq!(at("/", "/"), Some(point.to_owned()));
        assert_eq!(at("/docker/x", "/docker/x/y"), Some(point.join("y")));
        assert_eq!(at("/docker/x", "/docker/xy"), None);
        assert_eq!(at("/..", "/../x"), Some(point.join("x")));
        assert_eq!(at("/", "/../x"), None, "above what is mounted");
        assert_eq!(at("/docker", "/lxc/x"), None);
    }

    #[test]
    fn hidden_names_are_searched() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("docker/inner")).unwrap();
        fs::create_dir_all(dir.path().join("system.slice")).unwrap();
        assert_eq!(resolve("/../..", "/../inner", dir.path()), Some(dir.path().join("docker/inner")));
        assert_eq!(resolve("/../..", "/../absent", dir.path()), None);
        assert_eq!(resolve("/../..", "/", dir.path()), None, "our own root's name is not known");
    }

    #[test]
    fn lines_of_mountinfo() {
        let root = Root::host();
        let v1 =
            mount("35 31 0:32 / /sys/fs/cgroup/a\\040b rw shared:9 - cgroup cgroup rw,cpu,cpuacct", &root)
                .unwrap();
        assert_eq!((v1.v2, v1.point.as_path()), (false, Path::new("/sys/fs/cgroup/a b")));
        assert!(v1.options.iter().any(|o| o == "cpuacct"));
        assert!(mount("41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw", &root).unwrap().v2);
        for line in
            ["", "x", "1 2 3 - cgroup", "31 23 0:28 / /sys rw - tmpfs tmpfs rw", "1 2 3 4 - cgroup2 a b"]
        {
            assert!(mount(line, &root).is_none(), "{line}");
        }
    }
}
