//! `glasshull confinement CONTAINER`: what its engine was told, what the kernel holds, where they differ, and what of the host
//! is mounted in.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use glasshull_shared::domain::confinement::{
    CapSet, Capabilities, Confinement, Declared, DeviceControl, Effective, Rlimit,
};
use glasshull_shared::domain::mount::{Mount, MountKey};
use glasshull_shared::snapshot::{Snapshot, Topic, merge};
use glasshull_shared::unit::or_unknown;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::print_line;
use super::who::find_container;
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::config::{Common, Confinement as Args};

/// Looks up and prints.
///
/// # Errors
/// When nothing or more than one container is meant.
pub(crate) async fn run(common: Common, args: Args) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [Topic::Process, Topic::Container, Topic::Confinement, Topic::Mount, Topic::Source];
    let sample =
        sample_twice(&mut live, &wake, demand.into_iter().collect(), Duration::from_millis(100)).await;
    let snapshot = &sample.snapshot;
    let (key, container) = find_container(snapshot, &args.container)?;
    let empty = Arc::default();
    let row = snapshot.confinement.get(key).unwrap_or(&empty);
    let mounts = mounts_of(snapshot, &key.id);
    if args.json {
        let mounts: Result<Vec<Value>, _> =
            mounts.iter().map(|(key, row)| merge(&[json!(key), json!(row)])).collect();
        let parts = [json!(key), json!({"name": container.name}), json!(**row), json!({"mounts": mounts?})];
        print_line(&merge(&parts)?.to_string())?;
    } else {
        let mut text = format!("{} ({})\n", container.name, container.state.name());
        write_row(&mut text, row, &mounts);
        print_line(text.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn mounts_of<'a>(snapshot: &'a Snapshot, id: &str) -> Vec<(MountKey, &'a Mount)> {
    let own = snapshot.mount.iter().filter(|(_, row)| row.container.as_deref() == Some(id));
    own.map(|(key, row)| (*key, &**row)).collect()
}

fn write_row(out: &mut String, row: &Confinement, mounts: &[(MountKey, &Mount)]) {
    write_differences(out, row);
    match &row.effective {
        Some(effective) => write_effective(out, effective, row.declared.as_ref()),
        None => out.push_str("\neffective: unknown: it does not run, or its status cannot be read\n"),
    }
    match &row.declared {
        Some(declared) => write_declared(out, declared),
        None => out.push_str("\ndeclared: unknown: no engine told\n"),
    }
    write_mounts(out, mounts);
}

fn write_differences(out: &mut String, row: &Confinement) {
    if row.effective.is_none() || row.declared.is_none() {
        return;
    }
    if row.differences.is_empty() {
        out.push_str("\nas declared: no difference\n");
        return;
    }
    let _ = writeln!(out, "\nnot as declared");
    for one in &row.differences {
        let what = format!("{} {}", one.aspect.name(), one.name);
        let freer = if one.looser { "  (freer)" } else { "" };
        let _ = writeln!(out, "  {:<30} {} → {}{freer}", what.trim(), one.declared, one.effective);
    }
}

fn write_effective(out: &mut String, held: &Effective, declared: Option<&Declared>) {
    out.push_str("\neffective\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<14} {value}");
    };
    let yes = |fact: Option<bool>, yes: &str, no: &str| {
        or_unknown(fact.map(|on| (if on { yes } else { no }).to_owned()))
    };
    if let Some(caps) = held.capabilities {
        for (name, text) in capability_lines(caps) {
            line(name, text);
        }
    } else {
        line("capabilities", or_unknown(None));
    }
    let users = match (held.host_users, held.root_uid) {
        (Some(true), _) => "the host's: root inside is root outside".to_owned(),
        (Some(false), Some(root)) => format!("its own: root inside is uid {root} on the host"),
        (Some(false), None) => "its own, without a root".to_owned(),
        (None, _) => or_unknown(None),
    };
    line("user namespace", users);
    let filters = held.seccomp_filters.map(|count| format!(", {count} filters")).unwrap_or_default();
    line("seccomp", or_unknown(held.seccomp.map(|mode| format!("{}{filters}", mode.name()))));
    line("no_new_privs", yes(held.no_new_privs, "on", "off"));
    line(
        "LSM label",
        held.lsm_label.clone().unwrap_or_else(|| "none: no security module labels processes".into()),
    );
    line("root", yes(held.read_only_root, "read-only", "writable"));
    line("devices", devices(held));
    let ids = |id: Option<u32>| or_unknown(id.map(|id| id.to_string()));
    let inside = held.euid_inside.filter(|inside| held.euid != Some(*inside));
    let inside = inside.map(|uid| format!(" ({uid} inside)")).unwrap_or_default();
    let groups = held.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    line("uid gid groups", format!("{}{inside}  {}  {groups}", ids(held.euid), ids(held.egid)));
    line("oom_score_adj", or_unknown(held.oom_score_adj.map(|score| score.to_string())));
    let told =
        |limit: &&Rlimit| declared.is_some_and(|told| told.ulimits.iter().any(|one| one.name == limit.name));
    let usual = ["nofile", "nproc", "core", "memlock"];
    for limit in held.rlimits.iter().filter(|limit| usual.contains(&limit.name.as_str()) || told(limit)) {
        line(&format!("{} limit", limit.name), rlimit(limit));
    }
}

/// By group: dangerous ones first.
fn capability_lines(caps: Capabilities) -> Vec<(&'static str, String)> {
    let bounding = caps.bounding;
    let default = CapSet::ENGINE_DEFAULT;
    let names = |mark: &str, set: CapSet| {
        let names = set.names().into_iter().map(|name| format!("{mark}{name}"));
        names.collect::<Vec<_>>().join(" ")
    };
    let dangerous = bounding.and(CapSet::DANGEROUS);
    let added = bounding.without(default).without(CapSet::DANGEROUS);
    let groups = [
        ("dangerous", names("!", dangerous)),
        ("added", names("+", added)),
        ("default set", names("", bounding.and(default))),
        ("dropped", names("-", default.without(bounding))),
    ];
    let mut lines = vec![(
        "capabilities",
        format!(
            "{} effective, {} in the bounding set, {} ambient",
            caps.effective.len(),
            bounding.len(),
            caps.ambient.len()
        ),
    )];
    lines.extend(groups.into_iter().filter(|(_, text)| !text.is_empty()));
    lines
}

fn devices(held: &Effective) -> String {
    match held.device_control {
        DeviceControl::CgroupV1 if held.devices.iter().any(|rule| rule.starts_with("a ")) => "all".to_owned(),
        DeviceControl::CgroupV1 => held.devices.join(", "),
        DeviceControl::Bpf => {
            "unknown: on cgroup v2 BPF programs decide, which cannot be read back".to_owned()
        }
        DeviceControl::Unknown => or_unknown(None),
    }
}

fn rlimit(limit: &Rlimit) -> String {
    let value = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    format!("{} soft, {} hard", value(limit.soft), value(limit.hard))
}

fn write_declared(out: &mut String, told: &Declared) {
    let mut words = Vec::new();
    let mut flag = |name: &str, on: bool| words.extend(on.then(|| name.to_owned()));
    flag("--privileged", told.privileged == Some(true));
    flag("--read-only", told.read_only_root == Some(true));
    let mut option =
        |name: &str, values: &[String]| words.extend(values.iter().map(|value| format!("{name} {value}")));
    option("--cap-add", &told.cap_add);
    option("--cap-drop", &told.cap_drop);
    option("--security-opt", &told.security_opt);
    option("--device", &told.devices);
    option("--group-add", &told.group_add);
    let modes = [
        ("--user", &told.user),
        ("--pid", &told.pid_mode),
        ("--network", &told.network_mode),
        ("--ipc", &told.ipc_mode),
        ("--uts", &told.uts_mode),
        ("--userns", &told.userns_mode),
    ];
    for (name, mode) in modes {
        option(name, mode.as_slice());
    }
    let limits: Vec<String> =
        told.ulimits.iter().map(|limit| format!("{} {}", limit.name, rlimit(limit))).collect();
    option("--ulimit", &limits);
    let score = told.oom_score_adj.filter(|score| *score != 0).map(|score| score.to_string());
    option("--oom-score-adj", score.as_slice());
    let _ = writeln!(
        out,
        "\ndeclared\n  {}",
        if words.is_empty() { "nothing but defaults".into() } else { words.join("  ") }
    );
}

/// What is not its own first: that is what a reader looks for.
fn write_mounts(out: &mut String, mounts: &[(MountKey, &Mount)]) {
    if mounts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nmounts");
    let mut rows: Vec<&Mount> = mounts.iter().map(|(_, row)| *row).collect();
    rows.sort_by(|a, b| b.origin.cmp(&a.origin).then_with(|| a.mountpoint.cmp(&b.mountpoint)));
    let width = rows.iter().map(|row| row.mountpoint.chars().count()).max().unwrap_or(0).min(40);
    for row in rows {
        let access = if row.read_only { "read-only" } else { "writable" };
        let from = row.from_host.as_ref().map_or(row.source.as_str(), |from| from.path.as_str());
        let hidden = if row.overmounted { "  beneath another mount" } else { "" };
        let _ = writeln!(
            out,
            "  {:<width$}  {:<9}  {:<9}  {:<9}  {from}{hidden}",
            row.mountpoint,
            row.origin.name(),
            row.fstype,
            access
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::confinement::{Aspect, Difference};
    use glasshull_shared::domain::mount::{FromHost, MountOrigin};

    #[test]
    fn what_differs_comes_first_and_capabilities_are_grouped() {
        let bounding = CapSet::ENGINE_DEFAULT
            .or(CapSet::named("SYS_ADMIN").unwrap())
            .or(CapSet::named("WAKE_ALARM").unwrap())
            .without(CapSet::named("MKNOD").unwrap());
        let capabilities = Some(Capabilities { bounding, ..Capabilities::default() });
        let row = Confinement {
            effective: Some(Effective { capabilities, ..Effective::default() }),
            declared: Some(Declared { cap_add: vec!["SYS_ADMIN".into()], ..Declared::default() }),
            differences: vec![Difference {
                aspect: Aspect::Capability,
                name: "CAP_WAKE_ALARM".into(),
                declared: "dropped".into(),
                effective: "in the bounding set".into(),
                looser: true,
            }],
            ..Confinement::default()
        };
        let mount = Mount {
            mountpoint: "/s".into(),
            origin: MountOrigin::HostPath,
            from_host: Some(FromHost { path: "/srv".into(), writable: true }),
            overmounted: true,
            ..Mount::default()
        };
        let mut text = String::new();
        write_row(&mut text, &row, &[(MountKey { mntns: None, mount: 1 }, &mount)]);
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
        assert!(at("dropped → in the bounding set  (freer)") < at("!CAP_SYS_ADMIN"));
        assert!(at("+CAP_WAKE_ALARM") < at("-CAP_MKNOD") && at("-CAP_MKNOD") < at("--cap-add SYS_ADMIN"));
        at("/srv  beneath another mount");
    }

    #[test]
    fn what_is_unknown_is_said() {
        let mut text = String::new();
        write_row(&mut text, &Confinement::default(), &[]);
        assert!(text.contains("it does not run") && text.contains("no engine told"), "{text}");
        assert!(!text.contains("no difference"));
    }
}
