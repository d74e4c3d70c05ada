//! Each rule on a snapshot that meets it, and on one that nearly does, or hides what it would need.

mod dns;
mod network;
mod process;

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
use network::bridged;

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
    let one = |looser| Difference { looser, ..Difference::default() };
    for (differences, expected) in [
        (vec![], None),
        (vec![one(true)], Some(Severity::Attention)),
        (vec![one(false), one(true)], Some(Severity::Attention)),
        (vec![one(false)], Some(Severity::Info)),
    ] {
        let declared = Some(Declared { privileged: Some(false), ..Declared::default() });
        let row = Confinement { declared, differences, ..Confinement::default() };
        s.confinement.insert(web(), Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::NotAsDeclared), expected);
    }
    // What has ended is confined by nothing.
    let ended = Container { init_pid: None, ..Container::clone(&s.container[&web()]) };
    s.container.insert(web(), Arc::new(ended));
    assert_eq!(severity(&judge(&s), Rule::NotAsDeclared), None);
}

#[test]
fn lines_ask_the_engine_the_container_is_of() {
    let mut s = plain();
    let differences = vec![Difference::default()];
    s.confinement.insert(web(), Arc::new(Confinement { differences, ..Confinement::default() }));
    let check = |s: &Snapshot| {
        let found = judge(s);
        let (key, row) = found.iter().find(|(key, _)| key.rule == Rule::NotAsDeclared).unwrap();
        row.check(key.rule)
    };
    assert_eq!(check(&s), format!("glasshull confinement {}", web().id));
    let engine = Some("unix:///srv/my lab/docker.sock".to_owned());
    let row = Container { engine, ..Container::clone(&s.container[&web()]) };
    s.container.insert(web(), Arc::new(row));
    let asked = "glasshull --engine 'unix:///srv/my lab/docker.sock' confinement";
    assert_eq!(check(&s), format!("{asked} {}", web().id));
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
