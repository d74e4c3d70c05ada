//! The list of a directory out of its archive, which holds all that lies below, too: only its own names are kept.

use std::collections::BTreeMap;

use glasshull_shared::archive::{Entry, EntryKind, LIST_AT_MOST};

use super::walk::Member;
use crate::sys::text::cut;

/// Longest name in a directory (`NAME_MAX`).
const NAME_BYTES: usize = 255;

/// A list in the making.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Parts of the name that the first member has, and what it is: it is what was asked for.
    top: Option<(Vec<Vec<u8>>, EntryKind)>,
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl List {
    /// Takes a member into account. False when the list is full.
    pub(super) fn take(&mut self, member: &Member) -> bool {
        let Some(parts) = parts(&member.path) else { return true };
        let Some((top, kind)) = &self.top else {
            if member.kind != EntryKind::Directory {
                let name = parts.last().cloned().unwrap_or_default();
                self.entries.insert(name.clone(), entry(&name, member));
            }
            self.top = Some((parts, member.kind));
            return true;
        };
        let inside = parts.strip_prefix(top.as_slice()).filter(|_| *kind == EntryKind::Directory);
        if let Some([name]) = inside
            && name.len() <= NAME_BYTES
        {
            if self.entries.len() >= LIST_AT_MOST && !self.entries.contains_key(name) {
                return false;
            }
            self.entries.insert(name.clone(), entry(name, member));
        }
        true
    }

    /// What it is a list of, and its entries by name; `None` when nothing came.
    pub(super) fn done(self) -> Option<(EntryKind, Vec<Entry>)> {
        let (_, kind) = self.top?;
        Some((kind, self.entries.into_values().collect()))
    }
}

/// The parts of a name; `None` when it leads upwards, which no engine writes.
fn parts(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(|part| (part != b"..").then(|| part.to_vec())).collect()
}

fn entry(name: &[u8], member: &Member) -> Entry {
    let text = std::str::from_utf8(name);
    let hex = || name.iter().map(|byte| format!("{byte:02x}")).collect();
    Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        name_hex: text.is_err().then(hex),
        kind: member.kind,
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        size_bytes: (member.kind == EntryKind::File).then_some(member.size),
        modified_at: member.modified_at,
        link: member.link.as_ref().map(|link| cut(String::from_utf8_lossy(link).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use tar::EntryType;

    use super::super::walk::tests::{ended, member, walk};
    use super::*;

    fn list(members: &[(&[u8], EntryType, &[u8])]) -> Option<(EntryKind, Vec<Entry>)> {
        let tar: Vec<u8> = members.iter().flat_map(|(name, kind, data)| member(name, *kind, data)).collect();
        let mut list = List::default();
        for (member, _) in walk(&ended(tar), 300).unwrap() {
            list.take(&member);
        }
        list.done()
    }

    fn names(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn only_the_directorys_own_names_are_listed() {
        let (kind, entries) = list(&[
            (b"etc/", EntryType::Directory, b""),
            (b"etc/ssl/", EntryType::Directory, b""),
            (b"etc/ssl/cert.pem", EntryType::Regular, b"x"),
            (b"etc/passwd", EntryType::Regular, b"root"),
            (b"etcetera", EntryType::Regular, b""),
        ])
        .unwrap();
        assert_eq!((kind, names(&entries)), (EntryKind::Directory, vec!["passwd", "ssl"]));
        assert_eq!((entries[0].size_bytes, entries[1].size_bytes), (Some(4), None));
        for root in [&b"./"[..], b"/"] {
            let (_, entries) = list(&[
                (root, EntryType::Directory, b""),
                (b"./bin/", EntryType::Directory, b""),
                (b"/x", EntryType::Fifo, b""),
            ])
            .unwrap();
            assert_eq!(names(&entries), ["bin", "x"]);
        }
    }

    #[test]
    fn a_file_is_its_own_only_entry() {
        let (kind, entries) =
            list(&[(b"passwd", EntryType::Regular, b"root"), (b"passwd/x", EntryType::Regular, b"")])
                .unwrap();
        assert_eq!((kind, names(&entries)), (EntryKind::File, vec!["passwd"]));
        assert_eq!(list(&[]), None);
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_entries_and_odd_ones_are_whole() {
        let (_, entries) = list(&[
            (b"d/", EntryType::Directory, b""),
            (b"d/../evil", EntryType::Regular, b""),
            (b"../../evil", EntryType::Regular, b""),
            (b"/etc/evil", EntryType::Regular, b""),
            (b"d/\xff\n", EntryType::Regular, b""),
            (b"d/twice", EntryType::Regular, b"1"),
            (b"d/twice", EntryType::Regular, b"22"),
        ])
        .unwrap();
        assert_eq!(names(&entries), ["twice", "\u{fffd}\n"]);
        assert_eq!((entries[0].size_bytes, entries[1].name_hex.as_deref()), (Some(2), Some("ff0a")));
    }

    #[test]
    fn a_list_has_an_end() {
        let mut list = List::default();
        let mut member = walk(&ended(member(b"d/", EntryType::Directory, b"")), 512).unwrap().remove(0).0;
        assert!(list.take(&member));
        for n in 0..LIST_AT_MOST {
            member.path = format!("d/{n}").into_bytes();
            assert!(list.take(&member));
        }
        member.path = [b"d/".as_slice(), &[b'n'; NAME_BYTES + 1]].concat();
        assert!(list.take(&member), "no directory holds such a name");
        member.path = b"d/one more".to_vec();
        assert!(!list.take(&member));
        assert_eq!(list.done().unwrap().1.len(), LIST_AT_MOST);
    }
}
