//! The tree of control groups: every directory of every mounted hierarchy, the same path of several joined into one row.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::cgroup::{Cgroup, CgroupKey};
use glasshull_shared::unit::printable_bytes;

use super::mount::Hierarchy;
use super::setting::Files;

/// Groups read, at most, over all hierarchies.
const MOST_GROUPS: usize = 4000;
/// Deeper ones are left out: nobody nests like that but to hide.
const DEEPEST: usize = 32;
/// Most notices of one reading.
const NOTICES: usize = 5;

/// One reading of the tree.
#[derive(Debug, Default)]
pub(crate) struct TreeReading {
    /// Whose they are is not told here.
    pub(crate) groups: Table<CgroupKey, Cgroup>,
    /// The tree goes on beyond what is read.
    pub(crate) cut: bool,
    /// What could not be read, for people.
    pub(crate) notices: Vec<String>,
}

/// Reads all groups.
pub(super) fn read(hierarchies: &[Hierarchy]) -> TreeReading {
    let mut reading = TreeReading::default();
    let mut count = 0;
    let v1_freezer = hierarchies.iter().any(|h| h.controllers.iter().any(|name| name == "freezer"));
    for hierarchy in hierarchies {
        let mut todo = vec![(hierarchy.point.clone(), String::new(), 0)];
        while let Some((dir, path, depth)) = todo.pop() {
            count += 1;
            if count > MOST_GROUPS || depth > DEEPEST {
                reading.cut = true;
                continue;
            }
            todo.extend(below(&dir).map(|(dir, name)| (dir, format!("{path}/{name}"), depth + 1)));
            take(&mut reading, hierarchy, &dir, &path, v1_freezer);
        }
    }
    count_descendants(&mut reading.groups);
    reading.notices.sort();
    reading.notices.dedup();
    reading.notices.truncate(NOTICES);
    reading
}

fn below(dir: &Path) -> impl Iterator<Item = (PathBuf, String)> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| {
        let name = printable_bytes(entry.file_name().as_encoded_bytes());
        (entry.path(), name)
    })
}

/// Adds what one hierarchy says of a group; `path` is empty for the root.
fn take(reading: &mut TreeReading, hierarchy: &Hierarchy, dir: &Path, path: &str, v1_freezer: bool) {
    let named = if path.is_empty() { "/" } else { path };
    let row = reading.groups.entry(CgroupKey { path: named.to_owned() }).or_insert_with(|| {
        let parent = path.rsplit_once('/').map(|(parent, _)| if parent.is_empty() { "/" } else { parent });
        Arc::new(Cgroup { parent: parent.map(str::to_owned), ..Cgroup::default() })
    });
    let row = Arc::make_mut(row);
    let mut files = Files { dir, path: named, notices: &mut reading.notices };
    if hierarchy.v2 {
        let text = files.text("cgroup.controllers").unwrap_or_default();
        row.controllers.extend(text.split_ascii_whitespace().map(str::to_owned));
        files.v2(&mut row.own);
    } else {
        for controller in &hierarchy.controllers {
            row.controllers.push(controller.clone());
            files.v1(controller, &mut row.own);
        }
    }
    row.controllers.sort();
    row.controllers.dedup();
    let freezes =
        if v1_freezer { hierarchy.controllers.iter().any(|c| c == "freezer") } else { hierarchy.v2 };
    if freezes {
        (row.freezer, row.self_frozen) = files.freezer(hierarchy.v2);
    }
    // A process may be in this group in one hierarchy and elsewhere in another.
    if row.processes.unwrap_or(0) == 0 {
        row.processes = files.processes().or(row.processes);
    }
}

fn count_descendants(groups: &mut Table<CgroupKey, Cgroup>) {
    let parents: Vec<Option<String>> = groups.values().map(|row| row.parent.clone()).collect();
    for mut next in parents {
        while let Some(row) = next.take().and_then(|path| groups.get_mut(&CgroupKey { path })) {
            let row = Arc::make_mut(row);
            row.descendants += 1;
            next.clone_from(&row.parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::cgroup::{Cap, Freezer};

    use super::*;

    fn make(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn hierarchy(point: PathBuf, controllers: &[&str]) -> Hierarchy {
        let v2 = controllers.is_empty();
        Hierarchy { point, v2, controllers: controllers.iter().map(|c| (*c).to_owned()).collect() }
    }

    #[test]
    fn the_same_path_of_several_hierarchies_is_one_group() {
        let root = tempfile::tempdir().unwrap();
        make(
            root.path(),
            &[
                ("memory/docker/a/memory.limit_in_bytes", "4096\n"),
                ("memory/docker/a/cgroup.procs", "5\n6\n"),
                ("freezer/docker/a/freezer.state", "FROZEN\n"),
                ("freezer/docker/a/freezer.self_freezing", "0\n"),
                ("freezer/docker/a/cgroup.procs", ""),
                ("unified/docker/a/cgroup.events", "populated 1\nfrozen 0\n"),
            ],
        );
        let at = |name: &str| root.path().join(name);
        let all = [
            hierarchy(at("memory"), &["memory"]),
            hierarchy(at("freezer"), &["freezer"]),
            hierarchy(at("unified"), &[]),
        ];
        let reading = read(&all);
        let row = |path: &str| reading.groups.get(&CgroupKey { path: path.into() }).unwrap();
        assert_eq!(reading.groups.len(), 3);
        let a = row("/docker/a");
        assert_eq!(
            (a.parent.as_deref(), &a.controllers[..]),
            (Some("/docker"), &["freezer".into(), "memory".into()][..])
        );
        assert_eq!((a.freezer, a.self_frozen, a.processes), (Some(Freezer::Frozen), Some(false), Some(2)));
        assert_eq!((a.own.memory_max_bytes, a.own.pids_max), (Cap::Set(4096), Cap::Unknown));
        assert_eq!((row("/docker").parent.as_deref(), row("/").parent.as_deref()), (Some("/"), None));
        assert_eq!((row("/").descendants, row("/docker").descendants), (2, 1));
        assert!(!reading.cut && reading.notices.is_empty(), "{:?}", reading.notices);
    }

    #[test]
    fn a_bottomless_tree_is_cut() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d/".repeat(DEEPEST + 3))).unwrap();
        let reading = read(&[hierarchy(root.path().to_owned(), &[])]);
        assert!(reading.cut && reading.groups.len() == DEEPEST + 1);
    }
}
