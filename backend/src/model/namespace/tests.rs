//! Relations of namespaces, on made places.

use std::sync::Arc;

use super::*;

const HOST: Places = [
    Some(0xEFFF_FFF8),
    Some(0xEFFF_FFFE),
    Some(0xEFFF_FFFF),
    Some(0xEFFF_FFFC),
    Some(0xEFFF_FFF9),
    Some(0xEFFF_FFFD),
    Some(0xEFFF_FFFB),
    Some(0xEFFF_FFFA),
];

#[derive(Default)]
struct Made {
    places: BTreeMap<ProcessKey, Places>,
    processes: Table<ProcessKey, Process>,
    inits: BTreeMap<ContainerKey, ProcessKey>,
    mounts: Table<MountKey, Mount>,
}

impl Made {
    fn add(&mut self, pid: u32, container: Option<&str>, places: Places, row: Process) {
        let key = ProcessKey { pid, start_time: u64::from(pid) };
        let row = Process { container: container.map(str::to_owned), ..row };
        self.places.insert(key, places);
        self.processes.insert(key, Arc::new(row));
        if let Some(id) = container {
            self.inits.entry(ContainerKey { id: id.into() }).or_insert(key);
        }
    }

    fn known(&self) -> Known<'_> {
        Known { places: &self.places, processes: &self.processes, inits: &self.inits, mounts: &self.mounts }
    }

    fn cell(&self, container: &str, kind: NamespaceKind) -> Isolation {
        let key = IsolationKey { container: Some(container.into()), group: None, kind };
        Isolation::clone(&isolation(self.known())[&key])
    }
}

fn apart(kinds: &[(NamespaceKind, u64)]) -> Places {
    let mut places = HOST;
    for (kind, inode) in kinds {
        places[kind.index()] = Some(*inode);
    }
    places
}

#[test]
fn own_shared_and_host_are_told_apart() {
    use NamespaceKind::{Ipc, Net, Pid};
    let mut made = Made::default();
    made.add(10, Some("web"), apart(&[(Net, 1), (Pid, 2), (Ipc, 3)]), Process::default());
    made.add(11, Some("side"), apart(&[(Net, 1), (Pid, 4)]), Process::default());
    made.add(12, None, HOST, Process::default());
    let net = made.cell("web", Net);
    assert_eq!(
        (net.relation, net.with.as_slice(), net.pid),
        (Relation::Shared, ["side".to_owned()].as_slice(), 10)
    );
    assert_eq!(made.cell("web", Pid).relation, Relation::Own);
    assert_eq!(made.cell("side", Ipc).relation, Relation::Host);
    assert_eq!(made.cell("side", Ipc).with, Vec::<String>::new());
    assert_eq!(isolation(made.known()).len(), 16);
}

#[test]
fn processes_of_the_host_that_left_together_are_one_group_by_their_unit() {
    let mut made = Made::default();
    let unit = |cgroup: &str| Process { comm: "p".into(), cgroup: Some(cgroup.into()), ..Process::default() };
    let there = apart(&[(NamespaceKind::Mnt, 9)]);
    made.add(21, None, there, unit("/system.slice/cron.service"));
    made.add(20, None, there, unit("/system.slice/cron.service"));
    made.add(22, None, HOST, unit("/system.slice/ssh.service"));
    made.add(23, None, apart(&[(NamespaceKind::User, 7)]), unit("/user.slice"));
    let cells = isolation(made.known());
    let groups: BTreeSet<_> = cells.iter().map(|(k, v)| (k.group, v.label.as_deref(), v.processes)).collect();
    let wanted = [(Some(20), Some("cron.service"), Some(2)), (Some(23), Some("p"), Some(1))];
    assert_eq!(groups, wanted.into());
}

#[test]
fn the_hosts_are_known_by_the_kernels_threads_and_else_not_guessed() {
    let old = apart(&[(NamespaceKind::Net, 4_026_531_992), (NamespaceKind::Mnt, 4_026_531_840)]);
    let mut made = Made::default();
    made.add(30, Some("web"), apart(&[(NamespaceKind::Net, 5), (NamespaceKind::Mnt, 6)]), Process::default());
    let unknown = defaults(made.known());
    assert_eq!((unknown[NamespaceKind::Net.index()], unknown[NamespaceKind::Uts.index()]), (None, HOST[1]));
    assert!(!isolation(made.known()).keys().any(|key| key.kind == NamespaceKind::Net));
    let kernel = Process { kernel_thread: true, ..Process::default() };
    made.add(2, None, old, kernel);
    assert_eq!(defaults(made.known())[NamespaceKind::Net.index()], Some(4_026_531_992));
    assert_eq!(made.cell("web", NamespaceKind::Net).relation, Relation::Own);
}

#[test]
fn the_first_process_of_a_container_is_not_the_hosts() {
    let mut made = Made::default();
    made.add(1, None, apart(&[(NamespaceKind::Pid, 8), (NamespaceKind::Net, 5)]), Process::default());
    assert_eq!(defaults(made.known())[NamespaceKind::Net.index()], None);
}

#[test]
fn names_and_containers_are_joined() {
    let mut made = Made::default();
    made.add(10, Some("web"), apart(&[(NamespaceKind::Net, 5)]), Process::default());
    let mount = |mountpoint: &str, root: &str, host| Mount {
        host,
        pid: 40,
        fstype: "nsfs".into(),
        root: root.into(),
        mountpoint: mountpoint.into(),
        ..Mount::default()
    };
    let rows = [
        mount("/run/netns/edge", "net:[77]", true),
        mount("/run/netns/edge", "net:[77]", false),
        mount("/mnt/junk", "net:[x]", false),
    ];
    for (id, row) in rows.into_iter().enumerate() {
        made.mounts.insert(MountKey { mntns: Some(id as u64), mount: 1 }, Arc::new(row));
    }
    let edge = NamespaceKey { kind: NamespaceKind::Net, inode: 77 };
    assert_eq!(mounted(&made.mounts), [(edge, 40, "/run/netns/edge".to_owned())]);
    let web = NamespaceKey { kind: NamespaceKind::Net, inode: 5 };
    let host = NamespaceKey { kind: NamespaceKind::Net, inode: HOST[4].unwrap() };
    let mut rows: Table<_, _> =
        [edge, web, host].into_iter().map(|key| (key, Arc::new(Namespace::default()))).collect();
    made.add(50, Some("web"), HOST, Process::default());
    join_namespaces(&mut rows, made.known());
    assert_eq!((rows[&edge].name.as_deref(), rows[&edge].host), (Some("edge"), Some(false)));
    assert_eq!(rows[&web].containers, ["web"]);
    assert_eq!((rows[&host].host, rows[&host].containers.len()), (Some(true), 0));
}
