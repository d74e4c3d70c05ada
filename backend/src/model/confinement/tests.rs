//! Each difference raised and not raised, and what is unknown on either side.

use super::*;
use glasshull_shared::domain::confinement::{Capabilities, DeclaredMount, DeviceControl};
use glasshull_shared::domain::mount::FromHost;

/// A container as Docker starts it when told nothing.
fn usual() -> Effective {
    let set = CapSet::ENGINE_DEFAULT;
    Effective {
        capabilities: Some(Capabilities {
            effective: set,
            permitted: set,
            bounding: set,
            ..Capabilities::default()
        }),
        seccomp: Some(Seccomp::Filter),
        seccomp_filters: Some(1),
        no_new_privs: Some(false),
        read_only_root: Some(false),
        device_control: DeviceControl::CgroupV1,
        devices: vec!["c 1:3 rwm".into()],
        rlimits: vec![Rlimit { name: "nofile".into(), soft: Some(1024), hard: Some(2048) }],
        oom_score_adj: Some(0),
        euid_inside: Some(0),
        ..Effective::default()
    }
}

fn told() -> Declared {
    Declared {
        privileged: Some(false),
        read_only_root: Some(false),
        oom_score_adj: Some(0),
        ..Declared::default()
    }
}

fn diff(declared: &Declared, effective: &Effective) -> Vec<(Aspect, String, bool)> {
    let found = differences(declared, effective, Runtime::Docker, &[]);
    found.into_iter().map(|d| (d.aspect, d.name, d.looser)).collect()
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn what_is_as_declared_or_unknown_raises_nothing() {
    assert!(diff(&told(), &usual()).is_empty());
    assert!(diff(&told(), &Effective::default()).is_empty());
    let empty = Declared::default();
    assert!(diff(&empty, &usual()).is_empty());
    let other = differences(&told(), &Effective::default(), Runtime::Crio, &[]);
    assert!(other.is_empty());
}

#[test]
fn capabilities_are_those_the_engine_makes_of_add_and_drop() {
    let set = |add: &[&str], drop: &[&str], privileged| {
        let declared =
            Declared { cap_add: words(add), cap_drop: words(drop), privileged: Some(privileged), ..told() };
        declared_capabilities(&declared, Runtime::Docker).unwrap()
    };
    let one = |name: &str| CapSet::named(name).unwrap();
    assert_eq!(set(&["NET_ADMIN"], &["MKNOD"], false).0.names().len(), 14);
    assert_eq!(set(&["CAP_NET_ADMIN"], &["ALL"], false), (one("NET_ADMIN"), false));
    assert_eq!(set(&["all"], &["SYS_ADMIN"], false), (CapSet(!one("SYS_ADMIN").0), true));
    assert_eq!(set(&[], &["ALL"], true), (CapSet(u64::MAX), true));
    assert_eq!(set(&["NO_SUCH"], &[], false), (CapSet::ENGINE_DEFAULT, false));
    assert_eq!(declared_capabilities(&told(), Runtime::Podman).unwrap().0, CapSet::PODMAN_DEFAULT);
    assert_eq!(declared_capabilities(&told(), Runtime::Lxc), None);

    let mut more = usual();
    more.capabilities.as_mut().unwrap().bounding = CapSet::ENGINE_DEFAULT.or(one("SYS_ADMIN"));
    assert_eq!(diff(&told(), &more), [(Aspect::Capability, "CAP_SYS_ADMIN".into(), true)]);
    let dropped = Declared { cap_drop: words(&["CHOWN"]), ..told() };
    assert_eq!(diff(&dropped, &usual()), [(Aspect::Capability, "CAP_CHOWN".into(), true)]);
    let added = Declared { cap_add: words(&["NET_ADMIN"]), ..told() };
    assert_eq!(diff(&added, &usual()), [(Aspect::Capability, "CAP_NET_ADMIN".into(), false)]);
    let all = Declared { cap_add: words(&["ALL"]), ..told() };
    assert!(diff(&all, &usual()).is_empty(), "an engine gives what it holds itself");
}

#[test]
fn seccomp_is_the_default_profile_unless_told_otherwise() {
    let off = Effective { seccomp: Some(Seccomp::Disabled), ..usual() };
    assert_eq!(diff(&told(), &off), [(Aspect::Seccomp, String::new(), true)]);
    for open in [words(&["seccomp=unconfined"]), words(&["seccomp:unconfined"])] {
        let declared = Declared { security_opt: open, ..told() };
        assert!(diff(&declared, &off).is_empty());
        assert_eq!(diff(&declared, &usual()), [(Aspect::Seccomp, String::new(), false)]);
    }
    let privileged = Declared { privileged: Some(true), ..told() };
    let free = Effective { devices: words(&["a *:* rwm"]), ..off };
    assert!(diff(&privileged, &free).is_empty());
    let profile = Declared { security_opt: words(&["seccomp=profile"]), ..told() };
    assert!(diff(&profile, &usual()).is_empty());
}

#[test]
fn no_new_privs_label_and_root() {
    for (option, held, raised) in [
        ("no-new-privileges", false, true),
        ("no-new-privileges", true, false),
        ("no-new-privileges:true", false, true),
        ("no-new-privileges=false", false, false),
        ("no-new-privileges-at-all", false, false),
    ] {
        let declared = Declared { security_opt: words(&[option]), ..told() };
        let effective = Effective { no_new_privs: Some(held), ..usual() };
        let expected = if raised { vec![(Aspect::NoNewPrivs, String::new(), true)] } else { Vec::new() };
        assert_eq!(diff(&declared, &effective), expected, "{option} {held}");
    }
    let label = |profile: &str, label: Option<&str>| {
        let declared = Declared { apparmor_profile: Some(profile.into()), ..told() };
        let effective = Effective { lsm_label: label.map(str::to_owned), ..usual() };
        diff(&declared, &effective).first().map(|(_, _, looser)| *looser)
    };
    assert_eq!(label("docker-default", Some("docker-default (enforce)")), None);
    assert_eq!(label("docker-default", Some("docker-default (complain)")), Some(true));
    assert_eq!(label("docker-default", Some("unconfined")), Some(true));
    assert_eq!(label("docker-default", Some("docker-default-2 (enforce)")), Some(false));
    assert_eq!(label("docker-default", None), Some(true));
    assert_eq!((label("unconfined", None), label("unconfined", Some("unconfined"))), (None, None));
    let closed = Declared { read_only_root: Some(true), ..told() };
    assert_eq!(diff(&closed, &usual()), [(Aspect::ReadOnlyRoot, String::new(), true)]);
    let remounted = Effective { read_only_root: Some(true), ..usual() };
    assert_eq!(diff(&told(), &remounted), [(Aspect::ReadOnlyRoot, String::new(), false)]);
}

#[test]
fn user_devices_limits_and_score() {
    let user = |told_user: Option<&str>, held| {
        let declared = Declared { user: told_user.map(str::to_owned), ..told() };
        let effective = Effective { euid_inside: held, ..usual() };
        diff(&declared, &effective).first().map(|(_, _, looser)| *looser)
    };
    assert_eq!(user(Some("1000:1000"), Some(1000)), None);
    assert_eq!(user(Some("1000"), Some(0)), Some(true));
    assert_eq!(user(None, Some(70)), Some(false));
    assert_eq!(
        (user(Some("www"), Some(33)), user(Some("1000"), None), user(Some("root"), Some(0))),
        (None, None, None)
    );

    let all = Effective { devices: words(&["a *:* rwm"]), ..usual() };
    assert_eq!(diff(&told(), &all), [(Aspect::Devices, String::new(), true)]);

    let limit = |soft, hard| Declared {
        ulimits: vec![
            Rlimit { name: "nofile".into(), soft, hard },
            Rlimit { name: "no such".into(), soft, hard },
        ],
        ..told()
    };
    assert!(diff(&limit(Some(1024), Some(2048)), &usual()).is_empty());
    assert_eq!(diff(&limit(Some(512), Some(2048)), &usual()), [(Aspect::Rlimit, "nofile".into(), true)]);
    assert_eq!(diff(&limit(Some(1024), None), &usual()), [(Aspect::Rlimit, "nofile".into(), false)]);
    let found = differences(&limit(None, None), &usual(), Runtime::Docker, &[]);
    assert_eq!(
        (found[0].declared.as_str(), found[0].effective.as_str()),
        ("unlimited", "1024 soft, 2048 hard")
    );

    let spared = Effective { oom_score_adj: Some(-900), ..usual() };
    assert_eq!(diff(&told(), &spared), [(Aspect::OomScoreAdj, String::new(), true)]);
}

#[test]
fn mounts_that_were_asked_for() {
    let asked = |destination: &str, writable| Declared {
        mounts: vec![DeclaredMount {
            source: "/srv/x".into(),
            destination: destination.into(),
            writable,
            ..DeclaredMount::default()
        }],
        ..told()
    };
    let root = Mount { mountpoint: "/".into(), origin: MountOrigin::Root, ..Mount::default() };
    let there = Mount { mountpoint: "/x".into(), origin: MountOrigin::HostPath, ..Mount::default() };
    let state = |declared: &Declared, mounts: &[&Mount]| {
        let found = differences(declared, &usual(), Runtime::Docker, mounts);
        found.first().map(|d| (d.effective.clone(), d.looser))
    };
    assert_eq!(state(&asked("/x", true), &[&root, &there]), None);
    assert_eq!(state(&asked("/x", false), &[&root, &there]), Some(("writable".into(), true)));
    let closed = Mount { read_only: true, ..there.clone() };
    assert_eq!(state(&asked("/x", true), &[&root, &closed]), Some(("read-only".into(), false)));
    let under = Mount { overmounted: true, ..there.clone() };
    assert_eq!(state(&asked("/x", true), &[&root, &under]), Some(("beneath another mount".into(), false)));
    assert_eq!(state(&asked("/y", true), &[&root, &there]), Some(("not mounted".into(), false)));
    assert_eq!(state(&asked("/y", true), &[&there]), None, "mounts that were not read");
    assert_eq!(state(&asked("/var/run/x", true), &[&root, &there]), None, "a link may lead there");
    let from = FromHost { path: "/srv/x".into(), writable: true };
    let linked = Mount { mountpoint: "/run/z".into(), from_host: Some(from), ..there };
    assert_eq!(state(&asked("/var/run/y", true), &[&root, &linked]), None);
}

#[test]
fn a_row_for_every_container_and_the_same_one_when_nothing_changed() {
    let key = |id: &str| ContainerKey { id: id.into() };
    let container = || Arc::new(Container { runtime: Runtime::Docker, ..Container::default() });
    let containers = Table::from([(key("up"), container()), (key("down"), container())]);
    let closed = Declared { read_only_root: Some(true), ..told() };
    let declared = Table::from([(key("up"), Arc::new(closed.clone())), (key("down"), Arc::new(closed))]);
    let effective = BTreeMap::from([(key("up"), (7, Arc::new(usual())))]);
    let known = Known { containers: &containers, declared: &declared, effective: &effective, mounts: None };
    let rows = join_confinement(known, &Table::new());
    assert_eq!((rows[&key("up")].init_pid, rows[&key("up")].differences.len()), (Some(7), 1));
    assert_eq!((rows[&key("down")].effective.is_none(), rows[&key("down")].differences.len()), (true, 0));
    let again = join_confinement(known, &rows);
    assert!(Arc::ptr_eq(&again[&key("up")], &rows[&key("up")]));
}
