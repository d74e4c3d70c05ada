//! The reader on this host: our own process, threads and descriptors.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::*;

fn own() -> (ProcessKey, Table<ProcessKey, Process>) {
    let key = ProcessKey { pid: std::process::id(), start_time: 1 };
    (key, Table::from([(key, Arc::new(Process::default()))]))
}

#[test]
fn our_own_namespaces_are_found_with_their_owners_and_forgotten_with_us() {
    let (key, processes) = own();
    let mut reader = NamespaceReader::new(Root::host());
    let (rows, missed) = reader.read(&processes, &[]);
    assert_eq!((missed.hidden, missed.closed), (0, 0));
    let (_, links) = reader.links().next().unwrap();
    let links = *links;
    for kind in NamespaceKind::ALL {
        let Some(inode) = links[kind.index()] else { continue };
        let row = &rows[&NamespaceKey { kind, inode }];
        assert_eq!((row.pids, row.pid), (1, Some(key.pid)), "{kind:?}");
    }
    let net = &rows[&NamespaceKey { kind: NamespaceKind::Net, inode: links[4].unwrap() }];
    assert!(net.owner.is_none() || net.owner == links[5]);
    let (rows, _) = reader.read(&Table::new(), &[]);
    assert!(rows.is_empty(), "{rows:?}");
    assert!(reader.links.is_empty() && reader.related.is_empty() && reader.facts.is_empty());
}

#[test]
fn a_descriptor_that_we_hold_is_told() {
    let (key, processes) = own();
    let file = File::open("/proc/self/ns/uts").unwrap();
    let (rows, _) = NamespaceReader::new(Root::host()).read(&processes, &[]);
    let wanted =
        Holder { by: HolderKind::Descriptor, pid: Some(key.pid), detail: format!("fd {}", file.as_raw_fd()) };
    let uts = rows.iter().find(|(key, _)| key.kind == NamespaceKind::Uts).unwrap().1;
    // Other tests of this process may hold some too.
    assert!(uts.held_by.contains(&wanted) || uts.held_by.len() >= 8, "{:?}", uts.held_by);
}

#[test]
fn a_mounted_one_that_no_process_is_in_is_listed_with_its_path() {
    let key = NamespaceKey { kind: NamespaceKind::Net, inode: 77 };
    let mounted = [Mounted { key, pid: 0, path: "/run/netns/edge".into() }];
    let (rows, _) = NamespaceReader::new(Root::host()).read(&Table::new(), &mounted);
    let row = &rows[&key];
    assert_eq!((row.pids, row.pid, row.owner), (0, None, None));
    assert_eq!(row.held_by[0].by, HolderKind::BindMount);
    assert_eq!(row.held_by[0].detail, "/run/netns/edge");
}
