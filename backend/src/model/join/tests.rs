//! The join on small made-up hosts; whole hosts of every layout are in `fixtures/`.

use glasshull_shared::domain::container::{ContainerState, KnownFrom};
use glasshull_shared::domain::engine::EngineState;

use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

fn key(id: &str) -> ContainerKey {
    ContainerKey { id: id.to_owned() }
}

/// (pid, parent, pid inside, cgroup)
fn processes(rows: &[(u32, u32, u32, &str)]) -> Table<ProcessKey, Process> {
    rows.iter()
        .map(|(pid, ppid, inside, cgroup)| {
            let process = Process {
                ppid: *ppid,
                pid_in_ns: Some(*inside),
                cgroup: Some((*cgroup).to_owned()),
                started_at: u64::from(*pid) * 10,
                ..Process::default()
            };
            (ProcessKey { pid: *pid, start_time: u64::from(*pid) }, Arc::new(process))
        })
        .collect()
}

#[derive(Default)]
struct Host {
    engines: Table<EngineKey, Engine>,
    containers: Table<ContainerKey, Container>,
    runtime: Table<ContainerKey, Container>,
    frozen: BTreeSet<ContainerKey>,
}

impl Host {
    fn engine(mut self, state: EngineState, id: &str, row: Container) -> Self {
        let endpoint = "unix:///x".to_owned();
        let row = Container { engine: Some(endpoint.clone()), known_from: vec![KnownFrom::Engine], ..row };
        self.engines.insert(EngineKey { endpoint }, Arc::new(Engine { state, ..Engine::default() }));
        self.containers.insert(key(id), Arc::new(row));
        self
    }

    fn runtime(mut self, id: &str, row: Container) -> Self {
        self.runtime.insert(key(id), Arc::new(row));
        self
    }

    fn join(
        &self,
        processes: &mut Table<ProcessKey, Process>,
        last: &mut Joined,
    ) -> Table<ContainerKey, Container> {
        let known = Known {
            engines: &self.engines,
            containers: &self.containers,
            runtime: &self.runtime,
            frozen: &self.frozen,
        };
        join_containers(known, processes, last)
    }
}

fn running(init_pid: u32) -> Container {
    Container {
        state: ContainerState::Running,
        init_pid: Some(init_pid),
        name: "web".into(),
        ..Container::default()
    }
}

fn container_of(processes: &Table<ProcessKey, Process>, pid: u32) -> Option<&str> {
    processes[&ProcessKey { pid, start_time: u64::from(pid) }].container.as_deref()
}

#[test]
fn containers_nobody_told_of_come_from_cgroups() {
    let docker = format!("/docker/{A}");
    let mut all = processes(&[(1, 0, 1, "/init.scope"), (50, 40, 7, &docker), (60, 40, 1, &docker)]);
    let mut last = Joined::default();
    let rows = Host::default().join(&mut all, &mut last);
    let row = &rows[&key(A)];
    assert_eq!((row.name.as_str(), row.runtime), (&A[..12], Runtime::Docker));
    assert_eq!((row.state, row.init_pid, row.started_at), (ContainerState::Running, Some(60), Some(600)));
    assert_eq!(
        (row.cgroup.as_deref(), row.known_from.as_slice()),
        (Some(docker.as_str()), &[KnownFrom::Cgroup][..])
    );
    assert_eq!((container_of(&all, 1), container_of(&all, 50)), (None, Some(A)));
    assert_eq!(last.members()[&key(A)], 60);
    let mut stats = Table::from([(key(A), Arc::new(ContainerStat::default()))]);
    last.put_counts(&mut stats);
    assert_eq!(stats[&key(A)].processes, Some(2));
}

#[test]
fn the_engine_wins_and_its_gaps_are_filled() {
    let told = Container { image: Some("web:1".into()), ..running(50) };
    let found = Container {
        name: "other".into(),
        image: Some("other".into()),
        command: Some("httpd".into()),
        known_from: vec![KnownFrom::Shim, KnownFrom::State],
        ..Container::default()
    };
    let host = Host::default().engine(EngineState::Connected, A, told).runtime(A, found);
    let mut all = processes(&[(50, 40, 1, &format!("/docker/{A}"))]);
    let rows = host.join(&mut all, &mut Joined::default());
    let row = &rows[&key(A)];
    assert_eq!(
        (row.name.as_str(), row.image.as_deref(), row.command.as_deref()),
        ("web", Some("web:1"), Some("httpd"))
    );
    assert_eq!(row.known_from, [KnownFrom::Engine, KnownFrom::Cgroup, KnownFrom::Shim, KnownFrom::State]);
}

#[test]
fn unchanged_rows_stay_the_same_allocation() {
    let host = Host::default().engine(EngineState::Connected, A, running(50));
    let came = processes(&[
        (1, 0, 1, "/"),
        (50, 40, 1, &format!("/docker/{A}")),
        (51, 50, 2, &format!("/docker/{A}")),
    ]);
    let (mut first, mut second, mut last) = (came.clone(), came.clone(), Joined::default());
    let rows = host.join(&mut first, &mut last);
    let again = host.join(&mut second, &mut last);
    assert!(first.values().zip(second.values()).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert!(rows.values().zip(again.values()).all(|(a, b)| Arc::ptr_eq(a, b)));
    // Equal content in new allocations, as a collector that reads anew gives it.
    let mut third: Table<_, _> = came.iter().map(|(k, v)| (*k, Arc::new(Process::clone(v)))).collect();
    host.join(&mut third, &mut last);
    let key = ProcessKey { pid: 51, start_time: 51 };
    assert!(Arc::ptr_eq(&first[&key], &third[&key]));
    assert_eq!(came[&key].container, None, "the collector's rows are not touched");
}

#[test]
fn plain_runtimes_own_a_cgroup_that_does_not_name_them() {
    let host = Host::default().runtime("job", Container { runtime: Runtime::Oci, ..running(50) });
    // 70 was brought in by `runc exec`: in the cgroup, not a child of init.
    let mut all = processes(&[
        (1, 0, 1, "/"),
        (50, 40, 1, "/job"),
        (51, 50, 2, "/job/sub"),
        (70, 1, 3, "/job"),
        (71, 1, 9, "/jobs"),
    ]);
    let rows = host.join(&mut all, &mut Joined::default());
    assert_eq!(
        [50, 51, 70, 71].map(|pid| container_of(&all, pid)),
        [Some("job"), Some("job"), Some("job"), None]
    );
    assert_eq!(rows[&key("job")].cgroup.as_deref(), Some("/job"));
}

#[test]
fn rootless_containers_without_a_cgroup_are_told_by_descent() {
    let session = "/user.slice/user-1000.slice/session-2.scope";
    let host = Host::default().runtime(B, running(50));
    let mut all =
        processes(&[(30, 1, 30, session), (50, 40, 1, session), (51, 50, 2, session), (52, 51, 3, session)]);
    let rows = host.join(&mut all, &mut Joined::default());
    assert_eq!([30, 50, 51, 52].map(|pid| container_of(&all, pid)), [None, Some(B), Some(B), Some(B)]);
    assert_eq!(rows[&key(B)].cgroup, None);
}

#[test]
fn a_container_in_a_container_has_a_parent() {
    let outer = format!("/docker/{A}");
    let nested = format!("/docker/{A}/docker/{B}");
    let mut all = processes(&[(50, 40, 1, &outer), (60, 50, 1, &nested)]);
    let rows = Host::default().join(&mut all, &mut Joined::default());
    assert_eq!((container_of(&all, 50), container_of(&all, 60)), (Some(A), Some(B)));
    assert_eq!(rows[&key(B)].parent.as_deref(), Some(A));
    // The inner one without a cgroup of its own: only its init is known.
    let host = Host::default().runtime("job", running(60));
    let mut all = processes(&[(50, 40, 1, &outer), (60, 50, 1, &outer), (61, 60, 2, &outer)]);
    let rows = host.join(&mut all, &mut Joined::default());
    assert_eq!([50, 60, 61].map(|pid| container_of(&all, pid)), [Some(A), Some("job"), Some("job")]);
    assert_eq!(rows[&key("job")].parent.as_deref(), Some(A));
}

#[test]
fn processes_speak_where_the_engine_is_silent() {
    let silent = |row| Host::default().engine(EngineState::Failed, A, row);
    let docker = format!("/docker/{A}");
    let mut nobody = processes(&[(1, 0, 1, "/")]);
    let rows = silent(running(50)).join(&mut nobody, &mut Joined::default());
    assert_eq!((rows[&key(A)].state, rows[&key(A)].init_pid), (ContainerState::Exited, None));
    // Restarted behind the dead engine's back.
    let ended = Container { state: ContainerState::Exited, exit_code: Some(1), ..Container::default() };
    for row in [ended, running(50)] {
        let mut all = processes(&[(80, 40, 1, &docker)]);
        let rows = silent(row).join(&mut all, &mut Joined::default());
        let row = &rows[&key(A)];
        assert_eq!((row.state, row.init_pid, row.exit_code), (ContainerState::Running, Some(80), None));
    }
    let mut host = silent(running(80));
    host.frozen.insert(key(A));
    let rows = host.join(&mut processes(&[(80, 40, 1, &docker)]), &mut Joined::default());
    assert_eq!(rows[&key(A)].state, ContainerState::Paused);
    // Processes are not collected: nothing can be concluded.
    let rows = silent(running(50)).join(&mut Table::new(), &mut Joined::default());
    assert_eq!(rows[&key(A)].state, ContainerState::Running);
}

#[test]
fn an_answering_engine_is_believed_against_the_processes() {
    let host = Host::default().engine(EngineState::Connected, A, running(50));
    let rows = host.join(&mut processes(&[(1, 0, 1, "/")]), &mut Joined::default());
    assert_eq!(rows[&key(A)].state, ContainerState::Running);
}

#[test]
fn a_reused_pid_is_no_init() {
    let gone = Container { started_at: Some(1), ..running(50) };
    let host = Host::default().engine(EngineState::Failed, A, gone);
    let mut all =
        processes(&[(50, 1, 50, "/system.slice/ssh.service"), (51, 50, 51, "/user.slice/session-1.scope")]);
    let late = Arc::make_mut(all.values_mut().next().unwrap());
    late.started_at = 5_000_000_000;
    let rows = host.join(&mut all, &mut Joined::default());
    assert_eq!([50, 51].map(|pid| container_of(&all, pid)), [None, None]);
    assert_eq!(rows[&key(A)].state, ContainerState::Exited);
}

#[test]
fn a_ring_of_parents_ends() {
    let host = Host::default().runtime("job", running(50));
    let mut all = processes(&[(50, 40, 1, "/x.scope"), (60, 61, 2, "/"), (61, 60, 3, "/")]);
    host.join(&mut all, &mut Joined::default());
    assert_eq!(container_of(&all, 60), None);
}

#[test]
fn a_process_that_leaves_its_container_loses_it() {
    let docker = format!("/docker/{A}");
    let mut last = Joined::default();
    let mut all = processes(&[(50, 40, 1, &docker)]);
    Host::default().join(&mut all, &mut last);
    let mut all = processes(&[(50, 40, 1, "/system.slice/x.service")]);
    let rows = Host::default().join(&mut all, &mut last);
    assert_eq!((container_of(&all, 50), rows.len()), (None, 0));
}
