//! The way into a namespace by its inode, and whether it is still there: a look must not keep it alive.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Folders of namespaces that a bind mount gives a name.
const NAMED: [&str; 2] = ["/run/netns", "/run/docker/netns"];
/// Ways in that are remembered.
const WAYS_AT_MOST: usize = 8;

/// Where the namespace can be entered: through the agent itself, a bind mount or a process. Without any it is gone, or hidden.
pub(super) fn find(root: &Root, inode: u64) -> Target {
    let mut paths = vec![root.proc_path("self/ns/net")];
    for folder in NAMED {
        let entries = fs::read_dir(root.host_path(folder)).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()));
    }
    paths.retain(|path| leads_to(path, inode));
    let processes = fs::read_dir(&root.proc).into_iter().flatten().flatten();
    let is_process = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
    let ways = processes
        .filter(|entry| entry.file_name().to_str().is_some_and(is_process))
        .map(|entry| entry.path().join("ns/net"))
        .filter(|path| leads_to(path, inode));
    paths.extend(ways.take(WAYS_AT_MOST));
    Target { inode, paths }
}

/// Whether somebody else still keeps the namespace alive. Asks the known ways first: looking for others costs a walk.
pub(super) fn is_alive(root: &Root, target: &mut Target) -> bool {
    if target.paths.iter().any(|path| leads_to(path, target.inode)) {
        return true;
    }
    *target = find(root, target.inode);
    !target.paths.is_empty()
}

fn leads_to(path: &PathBuf, inode: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.ino() == inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_found_and_another_is_not() {
        let root = Root::host();
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let mut target = find(&root, own);
        assert!(target.open().is_ok() && is_alive(&root, &mut target));
        let mut none = find(&root, 1);
        assert!(none.paths.is_empty() && !is_alive(&root, &mut none));
    }

    #[test]
    fn a_way_that_is_gone_is_replaced_by_another() {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let mut target = Target { inode: own, paths: vec!["/proc/0/ns/net".into()] };
        assert!(is_alive(&Root::host(), &mut target));
        assert!(target.open().is_ok());
    }
}
