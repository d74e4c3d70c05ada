//! Lines about confinement, and what is unknown on either side.

use super::*;

fn set(names: &[&str]) -> CapSet {
    names.iter().filter_map(|name| CapSet::named(name)).fold(CapSet::default(), CapSet::or)
}

fn titles(caps: &Capabilities, host: Option<bool>) -> Vec<(&'static str, usize)> {
    capability_groups(caps, host).iter().map(|group| (group.title, group.names.len())).collect()
}

#[test]
fn capabilities_are_grouped_by_what_they_mean() {
    let bounding = CapSet::ENGINE_DEFAULT.or(set(&["SYS_ADMIN", "WAKE_ALARM"])).without(set(&["MKNOD"]));
    let caps = Capabilities { bounding, ..Capabilities::default() };
    assert_eq!(titles(&caps, Some(true)), [("dangerous", 1), ("added", 1), ("default", 13), ("dropped", 1)]);
    assert_eq!(titles(&caps, Some(false)), [("added", 2), ("default", 13), ("dropped", 1)]);
    assert_eq!(titles(&Capabilities::default(), None), [("dropped", 14)]);
    assert_eq!(capability_groups(&caps, None)[0].names, ["SYS_ADMIN"]);
    assert!(capability_counts(&caps).contains("none is effective"));
    let all = Capabilities { effective: bounding, ..caps };
    assert!(capability_counts(&all).ends_with("all are effective now"));
}

#[test]
fn both_sides_stand_beside_each_other_and_unknown_is_none() {
    let held = Effective {
        euid: Some(100_000),
        euid_inside: Some(0),
        egid: Some(5),
        groups: vec![10],
        host_users: Some(false),
        root_uid: Some(100_000),
        seccomp: Some(Seccomp::Filter),
        seccomp_filters: Some(2),
        ..Effective::default()
    };
    let told = Declared { security_opt: vec!["seccomp=x.json".into()], ..Declared::default() };
    let all = lines(Some(&held), Some(&told));
    let of = |what: &str| all.iter().find(|line| line.what == what).unwrap().clone();
    assert_eq!(of("user").effective.as_deref(), Some("uid 100000 (0 inside) gid 5 groups 10"));
    assert_eq!(of("user").declared.as_deref(), Some("root"));
    let seccomp = of("seccomp");
    assert_eq!(
        (seccomp.declared.as_deref(), seccomp.effective.as_deref()),
        (Some("seccomp=x.json"), Some("filter, 2 upon another"))
    );
    assert_eq!((of("privileged").declared, of("root (/)").effective), (None, None));
    assert!(lines(None, None).iter().all(|line| line.declared.is_none() && line.effective.is_none()));
    assert_eq!(mode_lines(&Declared { pid_mode: Some("host".into()), ..told })[0].tone, "attention");
}

#[test]
fn limits_have_units_and_what_was_told() {
    let limit = |name: &str, soft| Rlimit { name: name.into(), soft, hard: None };
    let held = Effective {
        rlimits: vec![limit("stack", Some(8 << 20)), limit("nofile", Some(20_000)), limit("cpu", Some(90))],
        ..Effective::default()
    };
    let told = Declared { ulimits: vec![limit("nofile", Some(1024))], ..Declared::default() };
    let all = limit_lines(&held, Some(&told));
    let told: Vec<_> = all.iter().map(|l| (l.soft.as_str(), l.hard.as_str(), l.declared.as_str())).collect();
    assert_eq!(
        told,
        [
            ("8.0 MiB", "unlimited", ""),
            ("20,000", "unlimited", "1,024 / unlimited"),
            ("1 min 30 s", "unlimited", "")
        ]
    );
}

#[test]
fn commands_are_quoted() {
    let line = inspect_command("docker -H unix:///s", "0123456789abcdef").command;
    assert!(
        line.starts_with("docker -H unix:///s inspect -f 'Privileged={{json .HostConfig.Privileged}} "),
        "{line}"
    );
    assert!(line.ends_with("' 0123456789abcdef"), "{line}");
    assert!(commands(7)[0].command.contains("awk '/CapBnd/ {print $2}' /proc/7/status"));
}
