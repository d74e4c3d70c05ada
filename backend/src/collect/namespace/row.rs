//! Rows of namespaces, and the facts that only some kinds have.

use glasshull_shared::domain::namespace::{
    Holder, HolderKind, IdRange, Namespace, NamespaceKey, NamespaceKind,
};
use glasshull_shared::domain::process::ProcessKey;

use crate::sys::nsfs::{self, Related};
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// Members through which a namespace is tried to be opened.
const OLDEST: usize = 4;
/// Holders shown of one kind.
const HOLDERS_OF_A_KIND: usize = 8;
/// Lines read of a map; the kernel takes 340.
const RANGES_AT_MOST: usize = 340;
const FILE_BYTES: usize = 16 << 10;

/// The processes in a namespace.
#[derive(Debug, Default)]
pub(super) struct Members {
    count: u32,
    /// The oldest, in order.
    pub(super) oldest: Vec<ProcessKey>,
}

impl Members {
    pub(super) fn add(&mut self, process: ProcessKey) {
        self.count += 1;
        let age = |key: &ProcessKey| (key.start_time, key.pid);
        let at = self.oldest.partition_point(|other| age(other) < age(&process));
        if at < OLDEST {
            self.oldest.insert(at, process);
            self.oldest.truncate(OLDEST);
        }
    }
}

/// What is read inside a namespace or through a process in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    Hostname(Option<String>),
    Maps { uid: Vec<IdRange>, gid: Vec<IdRange> },
    Offsets { monotonic: Option<i64>, boottime: Option<i64> },
}

impl Fact {
    /// Whether this kind has one.
    pub(super) fn is_of(kind: NamespaceKind) -> bool {
        matches!(kind, NamespaceKind::Uts | NamespaceKind::User | NamespaceKind::Time)
    }
}

/// Reads the facts of these namespaces through their oldest processes.
pub(super) fn facts(root: &Root, of: &[(NamespaceKey, &[ProcessKey])]) -> Vec<(NamespaceKey, Fact)> {
    let first = |members: &[ProcessKey]| members.first().map(|process| process.pid);
    let of_kind = |kind| of.iter().filter(move |(key, _)| key.kind == kind);
    let mut found = Vec::new();
    let uts: Vec<_> = of_kind(NamespaceKind::Uts)
        .filter_map(|(key, members)| Some((*key, root.proc_path(format!("{}/ns/uts", first(members)?)))))
        .collect();
    let paths: Vec<_> = uts.iter().map(|(_, path)| path.as_path()).collect();
    let names = if paths.is_empty() { Vec::new() } else { nsfs::hostnames(&paths).unwrap_or_default() };
    for ((key, _), name) in uts.iter().zip(names) {
        // The process may be elsewhere by now.
        let name = name.filter(|(inode, _)| *inode == key.inode).map(|(_, name)| name);
        found.push((*key, Fact::Hostname(name)));
    }
    let mut buffer = Vec::new();
    let mut read = |pid: u32, file: &str| {
        let text = read_once(&root.proc_path(format!("{pid}/{file}")), &mut buffer, FILE_BYTES);
        text.ok().map(|()| String::from_utf8_lossy(&buffer).into_owned()).unwrap_or_default()
    };
    for (key, members) in of_kind(NamespaceKind::User) {
        let Some(pid) = first(members) else { continue };
        let maps = Fact::Maps { uid: ranges(&read(pid, "uid_map")), gid: ranges(&read(pid, "gid_map")) };
        found.push((*key, maps));
    }
    for (key, members) in of_kind(NamespaceKind::Time) {
        let Some(pid) = first(members) else { continue };
        let text = read(pid, "timens_offsets");
        let offsets =
            Fact::Offsets { monotonic: offset(&text, "monotonic"), boottime: offset(&text, "boottime") };
        found.push((*key, offsets));
    }
    found
}

/// Lines of `uid_map`: inside, outside, count.
fn ranges(text: &str) -> Vec<IdRange> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace().map(|field| field.parse::<u32>().ok());
        Some(IdRange { inside: fields.next()??, outside: fields.next()??, count: fields.next()?? })
    };
    text.lines().take(RANGES_AT_MOST).filter_map(line).collect()
}

/// A line of `timens_offsets`: clock, seconds, nanoseconds. Before Linux 5.7 the clock is a number.
fn offset(text: &str, clock: &str) -> Option<i64> {
    let number = if clock == "monotonic" { "1" } else { "7" };
    text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.next().filter(|name| *name == clock || *name == number)?;
        let (secs, nanos) = (fields.next()?.parse::<i64>().ok()?, fields.next()?.parse::<i64>().ok()?);
        secs.checked_mul(1_000_000_000)?.checked_add(nanos)
    })
}

/// The row, without what is joined.
pub(super) fn namespace(
    members: Option<&Members>,
    held: &[Holder],
    related: Option<&Related>,
    fact: Option<&Fact>,
) -> Namespace {
    let mut row = Namespace {
        parent: related.and_then(|related| related.parent),
        owner: related.and_then(|related| related.owner),
        creator_uid: related.and_then(|related| related.creator_uid),
        pids: members.map_or(0, |members| members.count),
        pid: members.and_then(|members| members.oldest.first()).map(|process| process.pid),
        held_by: shown(held, members.is_some()),
        ..Namespace::default()
    };
    match fact {
        Some(Fact::Hostname(name)) => row.hostname.clone_from(name),
        Some(Fact::Maps { uid, gid }) => {
            row.uid_map.clone_from(uid);
            row.gid_map.clone_from(gid);
        }
        Some(Fact::Offsets { monotonic, boottime }) => {
            row.monotonic_offset_nanos = *monotonic;
            row.boottime_offset_nanos = *boottime;
        }
        None => {}
    }
    row
}

/// Some of each kind. Sockets of a namespace that has processes are no news: they are mostly those processes' own.
fn shown(held: &[Holder], has_processes: bool) -> Vec<Holder> {
    let mut counts = [0_usize; 6];
    let mut room = |by: HolderKind| {
        let count = match by {
            HolderKind::Process => &mut counts[0],
            HolderKind::Thread => &mut counts[1],
            HolderKind::BindMount => &mut counts[2],
            HolderKind::Descriptor => &mut counts[3],
            HolderKind::Socket => &mut counts[4],
            HolderKind::Namespace => &mut counts[5],
        };
        *count += 1;
        *count <= HOLDERS_OF_A_KIND
    };
    let news = |holder: &&Holder| !(has_processes && holder.by == HolderKind::Socket);
    held.iter().filter(news).filter(|holder| room(holder.by)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_offsets_are_read_and_junk_is_left_out() {
        let wide = IdRange { inside: 0, outside: 0, count: u32::MAX };
        assert_eq!(ranges("         0          0 4294967295\n"), [wide]);
        let two = [
            IdRange { inside: 0, outside: 100_000, count: 1000 },
            IdRange { inside: 1000, outside: 1000, count: 1 },
        ];
        assert_eq!(ranges("0 100000 1000\nx y\n1000 1000 1\n7\n"), two);
        assert_eq!(ranges(&"0 0 1\n".repeat(1000)).len(), RANGES_AT_MOST);
        let text = "monotonic      86400         5\nboottime   -3600         0\n";
        assert_eq!(offset(text, "monotonic"), Some(86_400_000_000_005));
        assert_eq!(offset(text, "boottime"), Some(-3_600_000_000_000));
        assert_eq!(offset("1 2 3\n7 0 0\n", "boottime"), Some(0));
        assert_eq!(offset("monotonic 99999999999999 0", "monotonic"), None);
    }

    #[test]
    fn the_oldest_members_come_first() {
        let mut members = Members::default();
        for start_time in [9, 3, 7, 1, 8, 2] {
            members.add(ProcessKey { pid: 1, start_time });
        }
        let times: Vec<u64> = members.oldest.iter().map(|key| key.start_time).collect();
        assert_eq!((members.count, times), (6, vec![1, 2, 3, 7]));
    }

    #[test]
    fn of_many_holders_some_of_each_kind_are_shown() {
        let of = |by| (0..20).map(move |n| Holder { by, pid: Some(n), detail: String::new() });
        let held: Vec<Holder> = of(HolderKind::Descriptor).chain(of(HolderKind::Socket)).collect();
        assert_eq!(shown(&held, false).len(), 16);
        assert_eq!(shown(&held, true).len(), 8);
    }
}
