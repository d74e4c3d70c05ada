//! Control groups whose processes all slept: one look at the CPU time of a group, `cpuacct.usage` (v1) or `cpu.stat` (v2),
//! in place of one at each of its processes. Given to the hot path of [`super::ProcessReader`] and to [`super::waiter`].
//!
//! The scheduler charges a run to the process and to its group in one step, so that a group that used nothing had nobody
//! run. Can be wrong of who was moved to another group since its identity was read: the reader looks at everybody
//! now and then all the same. Threads can be in groups of their own: of processes with several the reader does not ask, and who
//! looks for waits looks at the main thread alone.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;

use crate::sys::mountinfo;
use crate::sys::procfile;
use crate::sys::root::Root;

/// Members from which on a look at the group is cheaper than one at each of them.
const FEWEST: usize = 3;
/// `cpu.stat` is some 300 bytes; a cut one still begins with the time used.
const USAGE_BYTES: usize = 1024;
const MOUNTINFO_BYTES: usize = 1 << 20;

/// The hierarchy that accounts for CPU time.
#[derive(Debug)]
struct Hierarchy {
    point: PathBuf,
    v2: bool,
}

/// A group, as each of its members holds it.
#[derive(Debug)]
pub(super) struct Group {
    path: Box<str>,
    quiet: AtomicBool,
}

impl Group {
    /// Whether nobody of it ran between the last two looks.
    pub(super) fn slept(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }
}

/// What is known of a group between looks.
#[derive(Debug)]
struct Watched {
    group: Arc<Group>,
    file: Option<OwnedFd>,
    /// What the file said last; empty before the first look.
    usage: Vec<u8>,
    /// Looks in a row that found it quiet.
    rested: u32,
}

impl Watched {
    fn members(&self) -> usize {
        // The other one is ours.
        Arc::strong_count(&self.group) - 1
    }
}

/// The groups of all processes, by their path in the hierarchy.
#[derive(Debug, Default)]
pub(super) struct Groups {
    hierarchy: Option<Hierarchy>,
    by_path: HashMap<Box<str>, Watched>,
    buffer: Vec<u8>,
}

impl Groups {
    /// Looks for the hierarchy: `/proc/self/mountinfo`. Without one, or where only a part of it is mounted, no group is
    /// ever quiet.
    pub(super) fn new(root: &Root) -> Self {
        let mut text = Vec::new();
        let read = procfile::read_whole(&root.proc_path("self/mountinfo"), &mut text, MOUNTINFO_BYTES);
        let hierarchy = read.ok().and_then(|()| hierarchy(&text, root));
        Self { hierarchy, ..Self::default() }
    }

    /// Which line of `/proc/PID/cgroup` tells the group: its path, `None` when no group of that file can be quiet.
    pub(super) fn path<'a>(&self, text: &'a str) -> Option<&'a str> {
        let hierarchy = self.hierarchy.as_ref()?;
        let path = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let here = match hierarchy.v2 {
                true => controllers.is_empty(),
                false => controllers.split(',').any(|name| name == "cpuacct"),
            };
            here.then_some(path)
        })?;
        // The root is never quiet; what is above our own cgroup namespace, or removed, has no place below the mount.
        let below = path.strip_prefix('/')?;
        let known = !below.is_empty() && below.split('/').all(|name| name != "..");
        (known && !path.ends_with(" (deleted)")).then_some(path)
    }

    /// Moves a process from the group it was in to another. Who ends drops what it holds.
    pub(super) fn put(&mut self, held: &mut Option<Arc<Group>>, path: Option<&str>) {
        if held.as_ref().map(|group| &*group.path) == path {
            return;
        }
        *held = path.map(|path| {
            if let Some(watched) = self.by_path.get(path) {
                return Arc::clone(&watched.group);
            }
            let group = Arc::new(Group { path: path.into(), quiet: AtomicBool::new(false) });
            let watched = Watched { group: Arc::clone(&group), file: None, usage: Vec::new(), rested: 0 };
            self.by_path.insert(path.into(), watched);
            group
        });
    }

    /// Looks at every group that is worth it, before anybody looks at a process; `spare` descriptors may be held. How many
    /// are held then. Groups that were quiet for more than so many looks may be passed over: they count as quiet still.
    pub(super) fn look(&mut self, spare: usize, pass_over: Option<u32>) -> usize {
        let Some(hierarchy) = &self.hierarchy else { return 0 };
        let (mut kept, buffer) = (0, &mut self.buffer);
        self.by_path.retain(|path, watched| {
            let members = watched.members();
            if watched.file.is_some()
                && members >= FEWEST
                && pass_over.is_some_and(|rested| watched.rested > rested)
            {
                kept += 1;
                return true;
            }
            if members < FEWEST {
                (watched.file, watched.usage) = (None, Vec::new());
            } else if watched.file.is_none() && kept < spare {
                watched.usage.clear();
                watched.file = procfile::open_kept(&hierarchy.file(path)).ok();
            }
            // A group that was removed cannot be read; one of the same name is another.
            watched
                .file
                .take_if(|file| procfile::reread(file, buffer, USAGE_BYTES).is_err() || buffer.is_empty());
            kept += usize::from(watched.file.is_some());
            let quiet = watched.file.is_some() && watched.usage == *buffer;
            if watched.file.is_some() && !quiet {
                watched.usage.clone_from(buffer);
            }
            watched.rested = if quiet { watched.rested.saturating_add(1) } else { 0 };
            watched.group.quiet.store(quiet, Ordering::Relaxed);
            members > 0
        });
        kept
    }
}

impl Hierarchy {
    fn file(&self, path: &str) -> PathBuf {
        let name = if self.v2 { "cpu.stat" } else { "cpuacct.usage" };
        self.point.join(path.trim_start_matches('/')).join(name)
    }
}

/// v1's hierarchy with `cpuacct`, else v2's; only when its very top is mounted.
fn hierarchy(text: &[u8], root: &Root) -> Option<Hierarchy> {
    let mut unified = None;
    for line in mountinfo::lines(text).filter(|line| line.root == b"/") {
        let point = || {
            let point = mountinfo::unescape(line.mountpoint);
            root.host_path(String::from_utf8_lossy(&point).as_ref())
        };
        match line.fstype {
            b"cgroup" if line.super_options.split(|b| *b == b',').any(|name| name == b"cpuacct") => {
                return Some(Hierarchy { point: point(), v2: false });
            }
            b"cgroup2" => unified = Some(Hierarchy { point: point(), v2: true }),
            _ => {}
        }
    }
    unified
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 1 0:26 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        31 1 0:27 / /cg/unified rw - cgroup2 cgroup2 rw\n";
    const V2: &str = "31 1 0:27 / /cg rw - cgroup2 cgroup2 rw\n";

    fn slept(held: &Option<Arc<Group>>) -> bool {
        held.as_ref().unwrap().slept()
    }

    fn host(mounts: &str) -> (tempfile::TempDir, Groups) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        std::fs::write(dir.path().join("proc/self/mountinfo"), mounts).unwrap();
        let groups = Groups::new(&Root::at(dir.path()));
        (dir, groups)
    }

    #[test]
    fn the_line_that_accounts_for_cpu_tells_the_group() {
        let text = "5:cpuset:/other\n4:cpu,cpuacct:/docker/x\n0::/unified/y\n";
        assert_eq!(host(V1).1.path(text), Some("/docker/x"));
        assert_eq!(host(V2).1.path(text), Some("/unified/y"));
        assert_eq!(host("").1.path(text), None);
        assert_eq!(host("31 1 0:27 /docker/x /cg rw - cgroup2 cgroup2 rw\n").1.path(text), None);
        for odd in ["0::/", "0::/../x", "0::x", "0::/gone (deleted)", "0:", "::", ""] {
            assert_eq!(host(V2).1.path(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_group_is_quiet_while_its_time_stands_still() {
        for (mounts, file) in [(V1, "cg/cpu,cpuacct/a/cpuacct.usage"), (V2, "cg/a/cpu.stat")] {
            let (dir, mut groups) = host(mounts);
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "usage_usec 5\n").unwrap();
            let mut members = [None, None, None];
            for held in &mut members {
                groups.put(held, Some("/a"));
            }
            assert_eq!(groups.look(0, None), 0, "no descriptor to spare");
            assert!(!slept(&members[0]));
            assert_eq!(groups.look(9, None), 1);
            assert!(!slept(&members[0]), "one look tells nothing");
            groups.look(9, None);
            assert!(slept(&members[2]));
            std::fs::write(&file, "usage_usec 6\n").unwrap();
            assert_eq!(groups.look(9, Some(0)), 1);
            assert!(slept(&members[0]), "passed over");
            groups.look(9, Some(1));
            assert!(!slept(&members[0]), "it has not rested for so long");
            groups.look(9, None);
            std::fs::write(&file, "").unwrap();
            assert_eq!(groups.look(9, None), 0, "what cannot be read is not quiet");
            assert!(!slept(&members[0]));
        }
    }

    #[test]
    fn few_members_are_looked_at_by_themselves_and_empty_groups_forgotten() {
        let (dir, mut groups) = host(V2);
        std::fs::create_dir_all(dir.path().join("cg/a")).unwrap();
        std::fs::write(dir.path().join("cg/a/cpu.stat"), "usage_usec 5\n").unwrap();
        let mut members = [None, None, None];
        for held in &mut members {
            groups.put(held, Some("/a"));
            groups.put(held, Some("/a"));
        }
        groups.put(&mut members[0], Some("/b"));
        groups.look(9, None);
        groups.look(9, None);
        assert!(!slept(&members[1]));
        drop(members);
        groups.look(9, None);
        assert!(groups.by_path.is_empty());
    }
}
