//! Each rule on a snapshot that meets it, and on one that nearly does, or hides what it would need.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::cgroup::{Bound, Limit, OomKill, OomKillKey};
use glasshull_shared::domain::confinement::{
    CapSet, Capabilities, Confinement, Declared, Difference, Effective,
};
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat, ContainerState};
use glasshull_shared::domain::engine::{Engine, EngineKey, EngineState};
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity, Subject};
use glasshull_shared::domain::mount::{FromHost, Mount, MountKey, MountOrigin};
use glasshull_shared::domain::namespace::{Isolation, IsolationKey, NamespaceKind, Relation};
use glasshull_shared::domain::network::*;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat, ProcessState};
use glasshull_shared::snapshot::Snapshot;

use super::{Facts, Watch, changes, find};

const SEC: u64 = 1_000_000_000;
const NOW: u64 = 1_000_000 * SEC;

fn web() -> ContainerKey {
    ContainerKey { id: "w".repeat(64) }
}

/// A host with one container that runs.
fn plain() -> Snapshot {
    let mut s = Snapshot::default();
    let row = Container {
        name: "web".into(),
        state: ContainerState::Running,
        init_pid: Some(42),
        cgroup: Some("/docker/w".into()),
        ..Container::default()
    };
    s.container.insert(web(), Arc::new(row));
    s
}

fn judge_with(
    s: &Snapshot,
    watch: &Watch,
    deleted: &BTreeMap<ProcessKey, String>,
) -> Table<FindingKey, Finding> {
    find(&Facts { now: NOW, snapshot: s, watch, deleted }, &Table::new())
}

fn judge(s: &Snapshot) -> Table<FindingKey, Finding> {
    judge_with(s, &Watch::default(), &BTreeMap::new())
}

/// Severity of the only finding of a rule; `None` when there is none.
fn severity(found: &Table<FindingKey, Finding>, rule: Rule) -> Option<Severity> {
    let of_rule: Vec<_> = found.iter().filter(|(key, _)| key.rule == rule).collect();
    assert!(of_rule.len() < 2, "{of_rule:?}");
    let (_, row) = of_rule.first()?;
    assert!(!row.evidence.is_empty() && !row.name.is_empty());
    assert!(row.severity <= rule.text().severity, "{} may not be so grave", rule.name());
    Some(row.severity)
}

fn confine(s: &mut Snapshot, effective: Option<Effective>, declared: Option<Declared>) {
    let row = Confinement { init_pid: Some(42), effective, declared, differences: Vec::new() };
    s.confinement.insert(web(), Arc::new(row));
}

fn held(bounding: CapSet, host_users: Option<bool>) -> Effective {
    let capabilities = Some(Capabilities { bounding, ..Capabilities::default() });
    Effective { capabilities, host_users, euid: Some(0), ..Effective::default() }
}

fn mount(s: &mut Snapshot, path: &str, mountpoint: &str, writable: bool) {
    let row = Mount {
        container: Some(web().id),
        mountpoint: mountpoint.into(),
        origin: MountOrigin::HostPath,
        from_host: Some(FromHost { path: path.into(), writable }),
        ..Mount::default()
    };
    let mount = u32::try_from(s.mount.len()).unwrap();
    s.mount.insert(MountKey { mntns: Some(5), mount }, Arc::new(row));
}

#[test]
fn nothing_is_found_where_nothing_is_known() {
    assert_eq!(judge(&Snapshot::default()).len(), 0);
    assert_eq!(judge(&plain()).len(), 0);
    // Hidden from us: rows are there, facts are not.
    let mut s = plain();
    confine(&mut s, None, None);
    s.limit.insert(web(), Arc::default());
    s.container_stat.insert(web(), Arc::default());
    let hidden = Netns { hidden: Some("no permission".into()), ..Netns::default() };
    s.netns.insert(NetnsKey { netns: 7 }, Arc::new(hidden));
    assert_eq!(judge(&s).keys().collect::<Vec<_>>(), [] as [&FindingKey; 0]);
    confine(&mut s, Some(Effective::default()), Some(Declared::default()));
    assert_eq!(judge(&s).len(), 0);
}

#[test]
fn host_like() {
    let mut s = plain();
    let ours = Netns { containers: vec![web().id], ..Netns::default() };
    s.netns.insert(NetnsKey { netns: 7 }, Arc::new(Netns { pid: Some(42), ..ours.clone() }));
    mount(&mut s, "/srv", "/srv", true);
    assert_eq!(severity(&judge(&s), Rule::HostLike), None);
    s.netns.insert(NetnsKey { netns: 7 }, Arc::new(Netns { host: true, ..ours }));
    assert_eq!(severity(&judge(&s), Rule::HostLike), Some(Severity::Attention));
    mount(&mut s, "/", "/host", false);
    let found = judge(&s);
    assert_eq!(severity(&found, Rule::HostLike), Some(Severity::Trouble));
    let row = found.values().find(|row| row.severity == Severity::Trouble).unwrap();
    assert_eq!(row.check(Rule::HostLike), "lsns -p 42; findmnt -N 42 -o TARGET,SOURCE,OPTIONS");
}

#[test]
fn pids_of_the_host_are_host_like() {
    let mut s = plain();
    let told = |mode: &str| Some(Declared { pid_mode: Some(mode.into()), ..Declared::default() });
    confine(&mut s, None, told("container:x"));
    assert_eq!(severity(&judge(&s), Rule::HostLike), None);
    confine(&mut s, None, told("host"));
    assert_eq!(severity(&judge(&s), Rule::HostLike), Some(Severity::Attention));
    // What the kernel says counts for more than what the engine was told.
    for (relation, expected) in [(Relation::Own, None), (Relation::Host, Some(Severity::Attention))] {
        let key = IsolationKey { container: Some(web().id), group: None, kind: NamespaceKind::Pid };
        s.isolation.insert(key, Arc::new(Isolation { relation, ..Isolation::default() }));
        assert_eq!(severity(&judge(&s), Rule::HostLike), expected);
    }
}

#[test]
fn privileged() {
    let mut s = plain();
    let told = |privileged| Some(Declared { privileged: Some(privileged), ..Declared::default() });
    confine(&mut s, Some(held(CapSet::KNOWN, Some(true))), told(true));
    let found = judge(&s);
    assert_eq!(severity(&found, Rule::Privileged), Some(Severity::Trouble));
    assert_eq!(severity(&found, Rule::DangerousCapability), None, "told once");
    confine(&mut s, Some(held(CapSet::KNOWN, Some(false))), told(true));
    assert_eq!(severity(&judge(&s), Rule::Privileged), Some(Severity::Attention));
    confine(&mut s, None, told(false));
    assert_eq!(severity(&judge(&s), Rule::Privileged), None);
}

#[test]
fn dangerous_capability() {
    let mut s = plain();
    let with = |name| CapSet::ENGINE_DEFAULT.or(CapSet::named(name).unwrap());
    for (caps, users, expected) in [
        (CapSet::ENGINE_DEFAULT, Some(true), None),
        (with("SYS_ADMIN"), Some(true), Some(Severity::Trouble)),
        (with("NET_ADMIN"), Some(true), Some(Severity::Attention)),
        (with("SYS_ADMIN"), Some(false), None),
        (with("SYS_ADMIN"), None, None),
    ] {
        confine(&mut s, Some(held(caps, users)), None);
        assert_eq!(severity(&judge(&s), Rule::DangerousCapability), expected, "{caps:?} {users:?}");
    }
}

#[test]
fn engine_socket_and_writable_paths() {
    let mut s = plain();
    mount(&mut s, "/srv/read", "/read", false);
    assert_eq!(judge(&s).len(), 0);
    mount(&mut s, "/srv/www", "/www", true);
    assert_eq!(severity(&judge(&s), Rule::WritableHostPath), Some(Severity::Info));
    mount(&mut s, "/etcetera", "/etcetera", true);
    assert_eq!(severity(&judge(&s), Rule::WritableHostPath), Some(Severity::Info));
    mount(&mut s, "/etc/cron.d", "/cron", true);
    assert_eq!(severity(&judge(&s), Rule::WritableHostPath), Some(Severity::Attention));
    assert_eq!(severity(&judge(&s), Rule::EngineSocket), None);
    mount(&mut s, "/run/docker.sock", "/sock", false);
    assert_eq!(severity(&judge(&s), Rule::EngineSocket), Some(Severity::Trouble));
    // Nobody knows the name, but it is where an engine listens.
    let mut s = plain();
    mount(&mut s, "/opt/x", "/x", true);
    let endpoint = |path: &str| EngineKey { endpoint: format!("unix://{path}") };
    s.engine.insert(endpoint("/opt/xy/engine"), Arc::new(Engine::default()));
    assert_eq!(severity(&judge(&s), Rule::EngineSocket), None);
    s.engine.insert(endpoint("/opt/x/engine"), Arc::new(Engine::default()));
    assert_eq!(severity(&judge(&s), Rule::EngineSocket), Some(Severity::Trouble));
}

#[test]
fn root_without_userns() {
    let mut s = plain();
    for (uid, users, expected) in [
        (Some(0), Some(true), Some(Severity::Info)),
        (Some(1000), Some(true), None),
        (Some(0), Some(false), None),
        (None, Some(true), None),
        (Some(0), None, None),
    ] {
        let row = Effective { euid: uid, host_users: users, ..Effective::default() };
        confine(&mut s, Some(row), None);
        assert_eq!(severity(&judge(&s), Rule::RootWithoutUserns), expected, "{uid:?} {users:?}");
    }
}

#[test]
fn not_as_declared() {
    let mut s = plain();
    for (looser, expected) in [(true, Severity::Attention), (false, Severity::Info)] {
        let differences = vec![Difference { looser, ..Difference::default() }];
        s.confinement.insert(web(), Arc::new(Confinement { differences, ..Confinement::default() }));
        assert_eq!(severity(&judge(&s), Rule::NotAsDeclared), Some(expected));
    }
}

#[test]
fn memory_limits() {
    let mut s = plain();
    let mut limit = |memory_max_bytes, oom_kill_disable| {
        s.limit.insert(web(), Arc::new(Limit { memory_max_bytes, oom_kill_disable, ..Limit::default() }));
        let found = judge(&s);
        (severity(&found, Rule::NoMemoryLimit), severity(&found, Rule::OomKillDisabled))
    };
    let set = || Bound::Set { value: 1, from: "/docker/w".into() };
    assert_eq!(limit(Bound::Unlimited, Some(false)), (Some(Severity::Info), None));
    assert_eq!(limit(Bound::Unlimited, Some(true)), (Some(Severity::Info), Some(Severity::Trouble)));
    assert_eq!(limit(set(), Some(true)), (None, None));
    assert_eq!(limit(Bound::Unknown, Some(true)), (None, None));
}

#[test]
fn oom_kill() {
    let mut s = plain();
    for (ago, expected) in [(60, Some(Severity::Trouble)), (1800, Some(Severity::Attention)), (3601, None)] {
        let row = OomKill { at: NOW - ago * SEC, container: Some(web().id), count: 1, ..OomKill::default() };
        s.oom_kill = [(OomKillKey { sequence: 1 }, Arc::new(row))].into();
        assert_eq!(severity(&judge(&s), Rule::OomKill), expected, "{ago} s ago");
    }
    let row = OomKill { at: NOW, container: Some("removed".into()), count: 1, ..OomKill::default() };
    s.oom_kill = [(OomKillKey { sequence: 1 }, Arc::new(row))].into();
    assert_eq!(severity(&judge(&s), Rule::OomKill), None);
}

#[test]
fn throttled() {
    for (periods, held_back, expected) in
        [(100, 26, Some(Severity::Attention)), (100, 25, None), (4, 4, None), (0, 0, None)]
    {
        let (mut s, mut watch) = (plain(), Watch::default());
        for (at, periods, throttled) in [(NOW - 10 * SEC, 1000, 900), (NOW, 1000 + periods, 900 + held_back)]
        {
            let row = ContainerStat {
                cpu_periods: Some(periods),
                cpu_throttled_periods: Some(throttled),
                ..ContainerStat::default()
            };
            s.container_stat.insert(web(), Arc::new(row));
            assert_eq!(severity(&judge_with(&s, &watch, &BTreeMap::new()), Rule::Throttled), None);
            watch.look(&s, at);
        }
        let found = judge_with(&s, &watch, &BTreeMap::new());
        assert_eq!(severity(&found, Rule::Throttled), expected, "{held_back} of {periods}");
    }
}

#[test]
fn pids_near_limit() {
    let mut s = plain();
    for (pids, limit, expected) in [
        (Some(91), Some(100), Some(Severity::Attention)),
        (Some(90), Some(100), None),
        (Some(9000), None, None),
        (None, Some(1), None),
    ] {
        let row = ContainerStat { pids, pids_limit: limit, ..ContainerStat::default() };
        s.container_stat.insert(web(), Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::PidsNearLimit), expected, "{pids:?} of {limit:?}");
    }
}

fn run(s: &mut Snapshot, pid: u32, ppid: u32, state: ProcessState) -> ProcessKey {
    let key = ProcessKey { pid, start_time: 9 };
    let row = Process { ppid, comm: "job".into(), container: Some(web().id), ..Process::default() };
    s.process.insert(key, Arc::new(row));
    s.process_stat.insert(key, Arc::new(ProcessStat { state, ..ProcessStat::default() }));
    key
}

#[test]
fn zombies() {
    let mut s = plain();
    run(&mut s, 42, 1, ProcessState::S);
    let mut watch = Watch::default();
    for pid in 50..54 {
        run(&mut s, pid, 42, ProcessState::Z);
    }
    assert_eq!(severity(&judge(&s), Rule::Zombies), None, "a few, for a moment");
    watch.look(&s, NOW - 21 * SEC);
    watch.look(&s, NOW);
    assert_eq!(severity(&judge_with(&s, &watch, &BTreeMap::new()), Rule::Zombies), Some(Severity::Info));
    run(&mut s, 54, 42, ProcessState::Z);
    let found = judge(&s);
    assert_eq!(severity(&found, Rule::Zombies), Some(Severity::Attention));
    let parent = Subject::Process(ProcessKey { pid: 42, start_time: 9 });
    assert!(found.keys().any(|key| key.subject == parent));
}

#[test]
fn deleted_binary() {
    let mut s = plain();
    let key = run(&mut s, 60, 42, ProcessState::S);
    let gone = ProcessKey { pid: 61, start_time: 9 };
    let found = judge_with(&s, &Watch::default(), &[(gone, "/srv/ended".into())].into());
    assert_eq!(severity(&found, Rule::DeletedBinary), None);
    let found = judge_with(&s, &Watch::default(), &[(key, "/srv/gone".into())].into());
    assert_eq!(severity(&found, Rule::DeletedBinary), Some(Severity::Attention));
}

#[test]
fn stuck_in_d() {
    let (mut s, mut watch) = (plain(), Watch::default());
    run(&mut s, 60, 42, ProcessState::D);
    watch.look(&s, NOW - 9 * SEC);
    assert_eq!(severity(&judge_with(&s, &watch, &BTreeMap::new()), Rule::StuckInD), None);
    let mut watch = Watch::default();
    watch.look(&s, NOW - 10 * SEC);
    let stuck =
        |s: &Snapshot, watch: &Watch| severity(&judge_with(s, watch, &BTreeMap::new()), Rule::StuckInD);
    assert_eq!(stuck(&s, &watch), Some(Severity::Attention));
    // A frozen container waits for a person.
    let frozen = Container { state: ContainerState::Paused, ..Container::clone(&s.container[&web()]) };
    s.container.insert(web(), Arc::new(frozen));
    assert_eq!(stuck(&s, &watch), None);
}

#[test]
fn restart_loop() {
    let mut s = plain();
    for (state, count, ago, expected) in [
        (ContainerState::Restarting, Some(3), 600, Some(Severity::Trouble)),
        (ContainerState::Running, Some(3), 10, Some(Severity::Trouble)),
        (ContainerState::Running, Some(3), 121, None),
        (ContainerState::Restarting, Some(2), 1, None),
        (ContainerState::Exited, Some(9), 1, None),
        (ContainerState::Restarting, None, 1, None),
    ] {
        let row = Container {
            state,
            restart_count: count,
            started_at: Some(NOW - ago * SEC),
            ..Container::clone(&s.container[&web()])
        };
        s.container.insert(web(), Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::RestartLoop), expected, "{state:?} {count:?} {ago}");
    }
}

#[test]
fn engine_silent() {
    let mut s = Snapshot::default();
    for (state, answered_at, expected) in [
        (EngineState::Hanging, None, Some(Severity::Trouble)),
        (EngineState::Failed, Some(1), Some(Severity::Trouble)),
        (EngineState::Failed, None, None),
        (EngineState::Connecting, None, None),
        (EngineState::Connected, Some(1), None),
    ] {
        let key = EngineKey { endpoint: "unix:///run/docker.sock".into() };
        s.engine.insert(key, Arc::new(Engine { state, answered_at, ..Engine::default() }));
        assert_eq!(severity(&judge(&s), Rule::EngineSilent), expected, "{state:?}");
    }
}

fn bridged(ip_forward: Option<bool>, port: bool) -> Snapshot {
    let mut s = plain();
    let host = Netns { host: true, ip_forward, ..Netns::default() };
    s.netns.insert(NetnsKey { netns: 1 }, Arc::new(host));
    let bridge = Link {
        name: "br0".into(),
        kind: "bridge".into(),
        addresses: vec!["172.18.0.1/16".into()],
        ..Link::default()
    };
    s.link.insert(LinkKey { netns: 1, ifindex: 4 }, Arc::new(bridge));
    let veth = Link {
        name: "veth5".into(),
        kind: "veth".into(),
        master: port.then_some(4),
        container: Some(web().id),
        ..Link::default()
    };
    s.link.insert(LinkKey { netns: 1, ifindex: 5 }, Arc::new(veth));
    s
}

#[test]
fn forwarding_off() {
    for (forward, port, expected) in [
        (Some(false), true, Some(Severity::Trouble)),
        (Some(true), true, None),
        (None, true, None),
        (Some(false), false, None),
    ] {
        let found = judge(&bridged(forward, port));
        assert_eq!(severity(&found, Rule::ForwardingOff), expected, "{forward:?} {port}");
    }
    assert!(Rule::ForwardingOff.text().meaning.contains("reload of sysctl"));
}

#[test]
fn neighbour_trouble() {
    let neighbour = |s: &mut Snapshot, address: &str, row: Neighbour| {
        let key = NeighbourKey { netns: 1, ifindex: 4, address: address.into() };
        s.neighbour.insert(key, Arc::new(row));
        severity(&judge(s), Rule::NeighbourTrouble)
    };
    let failed = || Neighbour { state: NeighbourState::Failed, ..Neighbour::default() };
    let of = |mac: &str, id: &str| Neighbour {
        mac: Some(mac.into()),
        container: Some(id.into()),
        ..Neighbour::default()
    };
    let mut s = bridged(Some(true), true);
    assert_eq!(neighbour(&mut s, "10.0.0.9", failed()), None, "no gateway: merely nobody there");
    let route = RouteKey {
        netns: 1,
        table: 254,
        destination: "default".into(),
        metric: 0,
        ifindex: 4,
        gateway: Some("10.0.0.9".into()),
    };
    s.route.insert(route, Arc::default());
    assert_eq!(neighbour(&mut s, "10.0.0.9", failed()), Some(Severity::Attention));
    let mut s = bridged(Some(true), true);
    assert_eq!(neighbour(&mut s, "10.0.0.2", of("aa", "w")), None);
    assert_eq!(neighbour(&mut s, "10.0.0.3", of("aa", "w")), None, "two addresses of one container");
    assert_eq!(neighbour(&mut s, "10.0.0.4", of("aa", "x")), Some(Severity::Attention));
    let mut s = bridged(Some(true), true);
    let changed = Neighbour { mac_before: Some("aa".into()), ..of("bb", "w") };
    assert_eq!(neighbour(&mut s, "10.0.0.2", changed), Some(Severity::Attention));
}

#[test]
fn link_loses() {
    for (drops, errors, expected) in
        [(10, 0, Some(Severity::Attention)), (9, 0, None), (0, 1, Some(Severity::Attention)), (0, 0, None)]
    {
        let (mut s, mut watch) = (bridged(Some(true), true), Watch::default());
        for (at, drops, errors) in [(NOW - SEC, 5000, 70), (NOW, 5000 + drops, 70 + errors)] {
            let row = LinkStat { rx_dropped: drops, tx_errors: errors, ..LinkStat::default() };
            s.link_stat.insert(LinkKey { netns: 1, ifindex: 5 }, Arc::new(row));
            watch.look(&s, at);
        }
        let found = judge_with(&s, &watch, &BTreeMap::new());
        assert_eq!(severity(&found, Rule::LinkLoses), expected, "{drops} {errors}");
    }
}

#[test]
fn stale_dnat() {
    let mut s = bridged(Some(true), true);
    let key = PublishedPortKey {
        netns: 1,
        container: Some(web().id),
        protocol: "tcp".into(),
        host_address: "0.0.0.0".into(),
        host_port: 80,
    };
    s.published_port.insert(key.clone(), Arc::default());
    assert_eq!(severity(&judge(&s), Rule::StaleDnat), None);
    let dead = PublishedPort { dead: Some("nobody listens".into()), ..PublishedPort::default() };
    s.published_port.insert(key, Arc::new(dead));
    assert_eq!(severity(&judge(&s), Rule::StaleDnat), Some(Severity::Attention));
}

#[test]
fn empty_namespace() {
    let mut s = Snapshot::default();
    let empty = Netns { name: Some("blue".into()), ..Netns::default() };
    for (row, expected) in [
        (empty.clone(), Some(Severity::Info)),
        (Netns { processes: 1, pid: Some(3), ..empty.clone() }, None),
        (Netns { host: true, ..empty.clone() }, None),
        (Netns { hidden: Some("why".into()), ..empty }, None),
    ] {
        s.netns.insert(NetnsKey { netns: 7 }, Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::EmptyNamespace), expected);
    }
}

#[test]
fn every_rule_of_the_catalogue_has_its_condition() {
    let rules: Vec<Rule> = super::RULES.iter().map(|check| check.rule).collect();
    assert_eq!(rules, Rule::ALL);
}

#[test]
fn what_stays_keeps_its_instant_and_its_row_and_only_what_matters_is_news() {
    let mut s = bridged(Some(false), true);
    s.limit.insert(web(), Arc::new(Limit { memory_max_bytes: Bound::Unlimited, ..Limit::default() }));
    let watch = Watch::default();
    let deleted = BTreeMap::new();
    let first = find(&Facts { now: NOW, snapshot: &s, watch: &watch, deleted: &deleted }, &Table::new());
    let again = find(&Facts { now: NOW + SEC, snapshot: &s, watch: &watch, deleted: &deleted }, &first);
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|(key, row)| Arc::ptr_eq(row, &first[key]) && row.raised_at == NOW));
    let news = changes(&Table::new(), &first);
    assert_eq!(news.len(), 1, "no memory limit is only good to know: {news:?}");
    assert_eq!(news[0].0, EventKind::FindingRaised);
    assert!(news[0].2.starts_with("host: has container bridges"), "{}", news[0].2);
    assert_eq!(changes(&first, &Table::new())[0].0, EventKind::FindingCleared);
    assert!(changes(&first, &again).is_empty());
}

#[test]
fn names_of_containers_cannot_break_a_line() {
    let mut s = plain();
    let row = Container {
        name: "a\u{1b}[31m\nb".into(),
        cgroup: Some("/x; reboot".into()),
        ..Container::clone(&s.container[&web()])
    };
    s.container.insert(web(), Arc::new(row));
    s.limit.insert(web(), Arc::new(Limit { memory_max_bytes: Bound::Unlimited, ..Limit::default() }));
    let found = judge(&s);
    let (key, row) = found.first_key_value().unwrap();
    assert!(!row.name.contains(char::is_control), "{:?}", row.name);
    assert!(row.check(key.rule).contains("'/x; reboot'"), "{}", row.check(key.rule));
}
