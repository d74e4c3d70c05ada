//! Namespaces as several views need them: what people call one, what a cell of the matrix says, the nesting, the commands.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::namespace::{
    Holder, IdRange, Isolation, IsolationKey, Namespace, NamespaceKey, NamespaceKind, Relation,
};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::lookup::{container_name, process_of_pid};
use super::shell::{Command, command, quote};

/// Whose cells stand in one row of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// A container's id; `None` for a group of the host's processes.
    pub container: Option<String>,
    /// Pid of the oldest of such a group.
    pub group: Option<u32>,
}

impl Subject {
    fn cell<'a>(&self, snapshot: &'a Snapshot, kind: NamespaceKind) -> Option<&'a Isolation> {
        let key = IsolationKey { container: self.container.clone(), group: self.group, kind };
        snapshot.isolation.get(&key).map(|row| &**row)
    }
}

/// What a kind of namespace keeps apart, how an engine is told to do without, and what that costs.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// What a process with one of its own does not see of the host.
    pub isolates: &'static str,
    /// How it is switched off, or on where it is off by itself.
    pub flag: &'static str,
    /// What follows from the host's.
    pub cost: &'static str,
}

/// What a kind means.
pub fn meaning(kind: NamespaceKind) -> Meaning {
    let (isolates, flag, cost) = match kind {
        NamespaceKind::Mnt => (
            "which file systems are seen, and where",
            "always own in containers; --volume /:/host undoes it",
            "every file of the host can be read, and written as root",
        ),
        NamespaceKind::Uts => {
            ("host and domain name", "--uts host", "it can rename the host, given CAP_SYS_ADMIN; logs mix up")
        }
        NamespaceKind::Ipc => (
            "System V shared memory, semaphores, POSIX message queues",
            "--ipc host, --ipc container:NAME",
            "it reads shared memory of the host's programs, such as databases",
        ),
        NamespaceKind::Pid => (
            "which processes are seen and can be signalled",
            "--pid host, --pid container:NAME",
            "it sees every process with its arguments, and ends those of its user",
        ),
        NamespaceKind::Net => (
            "links, addresses, routes, ports, firewall",
            "--network host, --network container:NAME",
            "it listens on the host's ports and reaches services on loopback",
        ),
        NamespaceKind::User => (
            "user and group ids, and on what capabilities count",
            "userns-remap or rootless mode switch it on; --userns host off again",
            "root inside is root outside: one hole in the rest is enough",
        ),
        NamespaceKind::Cgroup => (
            "where the tree of control groups seems to begin",
            "--cgroupns host (the default on cgroup v1)",
            "it reads paths and ids of other containers",
        ),
        NamespaceKind::Time => (
            "offsets of the monotonic and boot clocks",
            "unshare --time; engines have no flag",
            "nothing: it only shows the host's uptime",
        ),
    };
    Meaning { isolates, flag, cost }
}

/// All rows of the matrix.
pub fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let of = |key: &IsolationKey| Subject { container: key.container.clone(), group: key.group };
    snapshot.isolation.keys().map(of).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A row's name: the container, or the unit or program of the group.
pub fn subject_name(snapshot: &Snapshot, subject: &Subject) -> String {
    match &subject.container {
        Some(id) => container_name(snapshot, id),
        None => {
            let label =
                NamespaceKind::ALL.into_iter().find_map(|kind| subject.cell(snapshot, kind)?.label.clone());
            format!("{} (host)", label.unwrap_or_else(|| unit::UNKNOWN.into()))
        }
    }
}

/// Pid of its init, or of the oldest of the group.
pub fn subject_pid(snapshot: &Snapshot, subject: &Subject) -> Option<u32> {
    NamespaceKind::ALL.into_iter().find_map(|kind| Some(subject.cell(snapshot, kind)?.pid))
}

/// A cell of the matrix for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellWord {
    /// `own`, `host`, `shared A`: the same letter in a column is the same namespace.
    pub text: String,
    /// How much that asks for attention.
    pub tone: &'static str,
    /// With whom, and which one.
    pub title: String,
    /// Which namespace.
    pub key: NamespaceKey,
}

/// What a cell says; `None` where it is not known.
pub fn cell(snapshot: &Snapshot, subject: &Subject, kind: NamespaceKind) -> Option<CellWord> {
    let row = subject.cell(snapshot, kind)?;
    let key = NamespaceKey { kind, inode: row.inode };
    let (text, tone, why) = match row.relation {
        Relation::Own => ("● own".to_owned(), "fine", "in one of its own".to_owned()),
        Relation::Host => ("○ host".to_owned(), host_tone(kind), "in the host's".to_owned()),
        Relation::Shared => {
            let names: Vec<String> = row.with.iter().map(|id| container_name(snapshot, id)).collect();
            let with = if names.is_empty() { "processes of the host".into() } else { names.join(", ") };
            (format!("◐ shared {}", mark(snapshot, key)), "shared", format!("shared with {with}"))
        }
    };
    Some(CellWord { text, tone, title: format!("{why} · {}:[{}]", kind.name(), row.inode), key })
}

/// Some are the host's in every ordinary container: no news.
fn host_tone(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Mnt
        | NamespaceKind::Uts
        | NamespaceKind::Ipc
        | NamespaceKind::Pid
        | NamespaceKind::Net => "attention",
        NamespaceKind::User | NamespaceKind::Cgroup | NamespaceKind::Time => "quiet",
    }
}

/// The letter of a shared namespace: A for the first of its kind, then on as columns of a sheet go.
fn mark(snapshot: &Snapshot, key: NamespaceKey) -> String {
    let shared = snapshot.isolation.iter().filter(|(cell, row)| {
        cell.kind == key.kind && row.relation == Relation::Shared && row.inode < key.inode
    });
    let mut n = shared.map(|(_, row)| row.inode).collect::<BTreeSet<_>>().len();
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + u8::try_from(n % 26).unwrap_or(0)));
        if n < 26 {
            break;
        }
        n = n / 26 - 1;
    }
    letters.into_iter().rev().collect()
}

/// Whose a namespace is: the host, its containers, its name of `ip netns`, or the program of its oldest process.
pub fn whose(snapshot: &Snapshot, row: &Namespace) -> String {
    if row.host == Some(true) {
        return "host".into();
    }
    match (row.containers.split_first(), &row.name) {
        (Some((one, [])), _) => container_name(snapshot, one),
        (Some((one, rest)), _) => format!("{} +{}", container_name(snapshot, one), rest.len()),
        (None, Some(name)) => name.clone(),
        (None, None) => {
            let process = row.pid.and_then(|pid| process_of_pid(snapshot, pid));
            process.map_or_else(String::new, |(_, process)| process.comm.clone())
        }
    }
}

/// `2 × open descriptor, bind mount`.
pub fn held(row: &Namespace) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    row.held_by.iter().for_each(|holder| *counts.entry(holder.by.name()).or_default() += 1);
    let one = |(name, count)| if count == 1 { String::from(name) } else { format!("{count} × {name}") };
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `fd 7 of 812 (nginx)`.
pub fn holder_line(snapshot: &Snapshot, holder: &Holder) -> String {
    let Some(pid) = holder.pid else { return holder.detail.clone() };
    let comm = process_of_pid(snapshot, pid).map(|(_, row)| format!(" ({})", row.comm)).unwrap_or_default();
    format!("{} of {pid}{comm}", holder.detail)
}

/// `0–65535 inside are 100000–165535 outside`.
pub fn range_line(range: IdRange) -> String {
    if range.count == u32::MAX && range.inside == range.outside {
        return "the same inside and outside".into();
    }
    let end = |first: u32| first.saturating_add(range.count.saturating_sub(1));
    let span =
        |first: u32| if range.count == 1 { first.to_string() } else { format!("{first}–{}", end(first)) };
    format!(
        "{} inside {} {} outside",
        span(range.inside),
        if range.count == 1 { "is" } else { "are" },
        span(range.outside)
    )
}

/// All namespaces in order of kinds, pid and user namespaces below the one they are nested in, with their depth. Of those that
/// are not `wanted` none stands; what is nested in one of them moves up.
pub fn tree(snapshot: &Snapshot, wanted: impl Fn(&NamespaceKey) -> bool) -> Vec<(NamespaceKey, u16)> {
    let keys: BTreeSet<NamespaceKey> = snapshot.namespace.keys().copied().filter(wanted).collect();
    let parent = |key: &NamespaceKey| {
        let inode = snapshot.namespace.get(key)?.parent?;
        Some(NamespaceKey { kind: key.kind, inode }).filter(|parent| keys.contains(parent) && parent != key)
    };
    let mut below: BTreeMap<Option<NamespaceKey>, Vec<NamespaceKey>> = BTreeMap::new();
    keys.iter().for_each(|key| below.entry(parent(key)).or_default().push(*key));
    let mut lines = Vec::new();
    let mut open: Vec<(NamespaceKey, u16)> =
        below.get(&None).into_iter().flatten().rev().map(|key| (*key, 0)).collect();
    while let Some((key, depth)) = open.pop() {
        lines.push((key, depth));
        // The kernel nests 32 deep; a loop cannot come from it.
        if depth < 33 {
            open.extend(below.get(&Some(key)).into_iter().flatten().rev().map(|key| (*key, depth + 1)));
        }
    }
    lines
}

/// The commands about a namespace.
pub fn shell_lines(snapshot: &Snapshot, key: NamespaceKey) -> Vec<Command> {
    let Some(row) = snapshot.namespace.get(&key) else { return Vec::new() };
    let kind = key.kind.name();
    let mut lines = Vec::new();
    if let Some(pid) = row.pid {
        lines.push(command(
            "which it is",
            format!("readlink /proc/{pid}/ns/{kind}"),
            format!("/proc/{pid}/ns/{kind}"),
        ));
        lines.push(command("who is in it", format!("lsns {}", key.inode), "/proc/PID/ns of all processes"));
        let enter = match key.kind {
            NamespaceKind::Mnt => "-m",
            NamespaceKind::Uts => "-u",
            NamespaceKind::Ipc => "-i",
            NamespaceKind::Pid => "-p",
            NamespaceKind::Net => "-n",
            NamespaceKind::User => "-U",
            NamespaceKind::Cgroup => "-C",
            NamespaceKind::Time => "-T",
        };
        let look = match key.kind {
            NamespaceKind::Mnt => "findmnt",
            NamespaceKind::Uts => "hostname",
            NamespaceKind::Ipc => "ipcs",
            NamespaceKind::Pid => "ps ax",
            NamespaceKind::Net => "ip address",
            NamespaceKind::User => "id",
            NamespaceKind::Cgroup => "cat /proc/self/cgroup",
            NamespaceKind::Time => "uptime",
        };
        lines.push(command(
            "what it looks like inside",
            format!("nsenter -t {pid} {enter} {look}"),
            "setns(2)",
        ));
        if key.kind == NamespaceKind::User {
            let maps = format!("cat /proc/{pid}/uid_map /proc/{pid}/gid_map");
            lines.push(command("who its users are outside", maps, format!("/proc/{pid}/uid_map, gid_map")));
        }
    }
    if let Some(name) = &row.name {
        lines.push(command("its links", format!("ip -n {} link", quote(name)), "RTM_GETLINK"));
    }
    if row.pids == 0 {
        let find = format!("find /proc/[0-9]*/fd -lname '{kind}:\\[{}\\]' 2>/dev/null", key.inode);
        lines.push(command("who holds it open", find, "/proc/PID/fd"));
        let mounts = format!("grep -l '{kind}:\\[{}\\]' /proc/[0-9]*/mountinfo 2>/dev/null", key.inode);
        lines.push(command("who sees it mounted", mounts, "/proc/PID/mountinfo"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn shared(snapshot: &mut Snapshot, container: &str, inode: u64, with: &[&str]) -> Subject {
        let key = IsolationKey { container: Some(container.into()), group: None, kind: NamespaceKind::Net };
        let row = Isolation {
            inode,
            relation: Relation::Shared,
            with: with.iter().map(|id| (*id).to_owned()).collect(),
            pid: 7,
            ..Isolation::default()
        };
        snapshot.isolation.insert(key, Arc::new(row));
        Subject { container: Some(container.into()), group: None }
    }

    #[test]
    fn the_same_letter_is_the_same_namespace() {
        let mut s = Snapshot::default();
        let a = shared(&mut s, "a", 10, &["b"]);
        let b = shared(&mut s, "b", 10, &["a"]);
        let c = shared(&mut s, "c", 20, &["d"]);
        let text = |subject: &Subject| cell(&s, subject, NamespaceKind::Net).unwrap().text;
        assert_eq!([text(&a), text(&b), text(&c)], ["◐ shared A", "◐ shared A", "◐ shared B"]);
        assert_eq!(cell(&s, &a, NamespaceKind::Uts), None);
        assert_eq!(subjects(&s).len(), 3);
        for (n, letters) in [(25_u64, "Z"), (26, "AA"), (27, "AB"), (702, "AAA")] {
            let mut many = Snapshot::default();
            (0..=n).for_each(|i| drop(shared(&mut many, &format!("{i:05}"), i, &[])));
            assert_eq!(mark(&many, NamespaceKey { kind: NamespaceKind::Net, inode: n }), letters);
        }
    }

    #[test]
    fn nested_ones_stand_below_and_move_up_when_the_one_above_is_left_out() {
        let mut s = Snapshot::default();
        let key = |inode| NamespaceKey { kind: NamespaceKind::Pid, inode };
        for (inode, parent) in [(1, None), (3, Some(1)), (2, Some(3)), (9, Some(77))] {
            s.namespace.insert(key(inode), Arc::new(Namespace { parent, ..Namespace::default() }));
        }
        assert_eq!(tree(&s, |_| true), [(key(1), 0), (key(3), 1), (key(2), 2), (key(9), 0)]);
        assert_eq!(tree(&s, |key| key.inode == 2), [(key(2), 0)]);
    }

    #[test]
    fn ids_and_holders_read_well() {
        let range = |inside, outside, count| range_line(IdRange { inside, outside, count });
        assert_eq!(range(0, 0, u32::MAX), "the same inside and outside");
        assert_eq!(range(0, 1000, 1), "0 inside is 1000 outside");
        assert_eq!(range(0, 100_000, 65_536), "0–65535 inside are 100000–165535 outside");
        let holder = |by| Holder { by, pid: Some(3), detail: "fd 7".into() };
        use glasshull_shared::domain::namespace::HolderKind::{BindMount, Descriptor};
        let row = Namespace {
            held_by: vec![holder(Descriptor), holder(BindMount), holder(Descriptor)],
            ..Namespace::default()
        };
        assert_eq!(held(&row), "bind mount, 2 × open descriptor");
        assert_eq!(holder_line(&Snapshot::default(), &row.held_by[0]), "fd 7 of 3");
    }
}
