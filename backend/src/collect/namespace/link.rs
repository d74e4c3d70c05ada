//! In which namespaces a process or thread is: the texts of its links below `ns`, read without opening what they lead to.

use std::path::Path;

use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use rustix::fs::{Mode, OFlags, open, readlinkat};

use crate::sys::root::Root;

/// Inode per kind, in the order of `NamespaceKind::ALL`; `None` where the kernel has no such kind.
pub(crate) type Links = [Option<u64>; 8];

/// Where a process is; `None` when that is hidden or it has ended.
pub(super) fn read(root: &Root, pid: u32) -> Option<Links> {
    let links = of_folder(&root.proc_path(format!("{pid}/ns")), &NamespaceKind::ALL);
    links.iter().any(Option::is_some).then_some(links)
}

/// The links of some kinds in a folder.
pub(super) fn of_folder(folder: &Path, kinds: &[NamespaceKind]) -> Links {
    let mut links = Links::default();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = open(folder, flags, Mode::empty()) else { return links };
    let mut buffer = Vec::new();
    for kind in kinds {
        let Ok(text) = readlinkat(&folder, kind.name(), buffer) else {
            buffer = Vec::new();
            continue;
        };
        links[kind.index()] =
            text.to_str().ok().and_then(parse).filter(|key| key.kind == *kind).map(|key| key.inode);
        buffer = text.into_bytes();
    }
    links
}

/// `net:[4026531833]`.
pub(super) fn parse(text: &str) -> Option<NamespaceKey> {
    let (kind, rest) = text.split_once(":[")?;
    Some(NamespaceKey { kind: NamespaceKind::from_name(kind)?, inode: rest.strip_suffix(']')?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_they_stand() {
        let net = NamespaceKey { kind: NamespaceKind::Net, inode: 12 };
        for (text, key) in [
            ("net:[12]", Some(net)),
            ("net:[]", None),
            ("net:[x]", None),
            ("net:12", None),
            ("warp:[12]", None),
            ("socket:[12]", None),
            ("", None),
        ] {
            assert_eq!(parse(text), key, "{text}");
        }
    }

    #[test]
    fn a_process_is_where_its_links_say() {
        let own = read(&Root::host(), std::process::id()).unwrap();
        for kind in NamespaceKind::ALL {
            let text = std::fs::read_link(format!("/proc/self/ns/{}", kind.name())).ok();
            let inode = text.and_then(|text| parse(text.to_str().unwrap())).map(|key| key.inode);
            assert_eq!(own[kind.index()], inode, "{kind:?}");
        }
        assert_eq!(read(&Root::host(), 0), None);
    }

    #[test]
    fn a_link_of_another_kind_or_of_none_is_no_namespace() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("net", "mnt:[12]"), ("uts", "uts:[7]"), ("pid", "pid:[x]")] {
            std::os::unix::fs::symlink(text, dir.path().join(name)).unwrap();
        }
        let links = of_folder(dir.path(), &NamespaceKind::ALL);
        let mut wanted = Links::default();
        wanted[NamespaceKind::Uts.index()] = Some(7);
        assert_eq!(links, wanted);
    }
}
