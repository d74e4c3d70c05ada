//! Names of users: in a container by its own passwd and uid map, else by the host's passwd.

use std::collections::HashMap;

use glasshull_shared::unit::printable_bytes as printable;

use crate::sys::procfile::{open_inside, read_once, reread};
use crate::sys::root::Root;

/// A passwd longer than this is read up to here.
const PASSWD_BYTES: usize = 256 << 10;
/// Containers whose names are kept; the map starts afresh beyond (containers come and go).
const CONTAINERS: usize = 2000;

/// Names by uid, and how uids inside map to the host's.
#[derive(Default)]
struct Names {
    names: HashMap<u32, String>,
    /// (first inside, first on the host, count); empty = the same numbers.
    map: Vec<(u32, u32, u32)>,
}

impl Names {
    fn name(&self, host_uid: u32) -> Option<String> {
        let inside = if self.map.is_empty() {
            host_uid
        } else {
            let (inside, host, _) = self.map.iter().find(|(_, h, n)| host_uid >= *h && host_uid - h < *n)?;
            inside.checked_add(host_uid - host)?
        };
        self.names.get(&inside).cloned()
    }
}

pub(super) struct UserNames {
    root: Root,
    host: Names,
    containers: HashMap<String, Option<Names>>,
}

impl UserNames {
    pub(super) fn new(root: Root) -> Self {
        let mut buffer = Vec::new();
        let read = read_once(&root.host_path("/etc/passwd"), &mut buffer, PASSWD_BYTES);
        let names = if read.is_ok() { parse_passwd(&buffer) } else { HashMap::new() };
        Self { root, host: Names { names, map: Vec::new() }, containers: HashMap::new() }
    }

    /// Name of `host_uid` as process `pid` of `container` has it; `None` when no passwd names it.
    pub(super) fn name(&mut self, host_uid: u32, pid: u32, container: Option<&str>) -> Option<String> {
        let Some(container) = container else { return self.host.name(host_uid) };
        if !self.containers.contains_key(container) {
            if self.containers.len() >= CONTAINERS {
                self.containers.clear();
            }
            let names = self.read_container(pid);
            self.containers.insert(container.to_owned(), names);
        }
        match self.containers.get(container) {
            Some(Some(inside)) => inside.name(host_uid),
            // Its passwd is hidden or it has none: the host's name for that number would be a guess, but for root
            // everybody agrees.
            Some(None) | None => (host_uid == 0).then(|| "root".to_owned()),
        }
    }

    fn read_container(&self, pid: u32) -> Option<Names> {
        let mut buffer = Vec::new();
        let passwd = open_inside(&self.root.proc_path(format!("{pid}/root")), "etc/passwd").ok()?;
        reread(passwd, &mut buffer, PASSWD_BYTES).ok()?;
        let names = parse_passwd(&buffer);
        let map = read_once(&self.root.proc_path(format!("{pid}/uid_map")), &mut buffer, 4096)
            .map(|()| parse_uid_map(&buffer))
            .unwrap_or_default();
        Some(Names { names, map })
    }
}

fn parse_passwd(text: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let uid = std::str::from_utf8(uid).ok().and_then(|u| u.parse().ok());
        if let (Some(uid), 1..=64) = (uid, name.len()) {
            names.entry(uid).or_insert_with(|| printable(name)); // the first line of a uid wins, as in getpwuid
        }
    }
    names
}

fn parse_uid_map(text: &[u8]) -> Vec<(u32, u32, u32)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| {
        let mut n = line.split_ascii_whitespace().map(str::parse::<u32>);
        Some((n.next()?.ok()?, n.next()?.ok()?, n.next()?.ok()?))
    });
    lines.filter(|(inside, host, _)| inside != host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_uid_wins_and_bad_lines_are_left_out() {
        let names =
            parse_passwd(b"root:x:0:0::/:/bin/sh\ntoor:x:0:0\n\xff\xfe:x:7:\nbroken\n:x:9:\nx:y:nine:\n");
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!(names.get(&9), None);
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn mapped_uids_are_named_as_inside() {
        let names = Names {
            names: parse_passwd(b"root:x:0:0\napp:x:1000:1000"),
            map: parse_uid_map(b"         0     100000      65536\n"),
        };
        assert_eq!(names.name(100_000).as_deref(), Some("root"));
        assert_eq!(names.name(101_000).as_deref(), Some("app"));
        assert_eq!(names.name(0), None);
    }

    #[test]
    fn links_cannot_lead_out_of_the_root_and_a_fifo_is_no_passwd() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = dir.path().join("etc/passwd");
        std::os::unix::fs::symlink("/etc/passwd", &passwd).unwrap();
        assert!(open_inside(dir.path(), "etc/passwd").is_err());
        std::fs::remove_file(&passwd).unwrap();
        std::fs::write(&passwd, "root:x:0:").unwrap();
        assert!(open_inside(dir.path(), "etc/passwd").is_ok());
    }
}
