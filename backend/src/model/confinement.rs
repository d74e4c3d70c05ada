//! Whether what confines a container is what its engine was told. Pure: declared and effective facts in, differences out.
//!
//! What is unknown on one side is no difference. Where the engine was told nothing, what it does by itself counts as
//! declared: its default capabilities, its default seccomp profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::{
    Aspect, CapSet, Confinement, Declared, Difference, Effective, Rlimit, Seccomp,
};
use glasshull_shared::domain::container::{Container, ContainerKey, Runtime};
use glasshull_shared::domain::mount::{Mount, MountKey, MountOrigin};

/// What engines and the kernel tell of containers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Everyone there is.
    pub(crate) containers: &'a Table<ContainerKey, Container>,
    /// What engines were told.
    pub(crate) declared: &'a Table<ContainerKey, Declared>,
    /// What holds for the init of each that runs, with its pid.
    pub(crate) effective: &'a BTreeMap<ContainerKey, (u32, Arc<Effective>)>,
    /// Joined already; `None` when they are not read.
    pub(crate) mounts: Option<&'a Table<MountKey, Mount>>,
}

/// The rows, those that are as before in the same allocation.
pub(crate) fn join_confinement(
    known: Known<'_>,
    before: &Table<ContainerKey, Confinement>,
) -> Table<ContainerKey, Confinement> {
    let mut mounts: BTreeMap<&str, Vec<&Mount>> = BTreeMap::new();
    for row in known.mounts.iter().flat_map(|mounts| mounts.values()) {
        if let Some(id) = &row.container {
            mounts.entry(id).or_default().push(row);
        }
    }
    let row = |key: &ContainerKey, container: &Container| {
        let declared = known.declared.get(key).map(|row| Declared::clone(row));
        let effective = known.effective.get(key);
        let differences = match (&declared, effective) {
            (Some(declared), Some((_, effective))) => {
                let mounts = mounts.get(key.id.as_str()).map(Vec::as_slice).unwrap_or_default();
                differences(declared, effective, container.runtime, mounts)
            }
            (Some(_) | None, Some(_) | None) => Vec::new(),
        };
        Confinement {
            init_pid: effective.map(|(pid, _)| *pid),
            effective: effective.map(|(_, effective)| Effective::clone(effective)),
            declared,
            differences,
        }
    };
    let rows = known.containers.iter().map(|(key, container)| {
        let row = row(key, container);
        let kept = before.get(key).filter(|before| ***before == row).cloned();
        (key.clone(), kept.unwrap_or_else(|| Arc::new(row)))
    });
    rows.collect()
}

/// Where the two differ, what is looser than declared first.
pub(crate) fn differences(
    declared: &Declared,
    effective: &Effective,
    runtime: Runtime,
    mounts: &[&Mount],
) -> Vec<Difference> {
    let mut found = capabilities(declared, effective, runtime);
    found.extend(seccomp(declared, effective, runtime));
    found.extend(no_new_privs(declared, effective));
    found.extend(lsm(declared, effective));
    found.extend(read_only_root(declared, effective));
    found.extend(devices(declared, effective));
    found.extend(user(declared, effective));
    found.extend(rlimits(declared, effective));
    found.extend(oom_score_adj(declared, effective));
    found.extend(asked_mounts(declared, mounts));
    found.sort_by(|a, b| b.looser.cmp(&a.looser).then_with(|| a.cmp(b)));
    found
}

fn difference(
    aspect: Aspect,
    name: &str,
    (declared, effective): (impl Into<String>, impl Into<String>),
    looser: bool,
) -> Difference {
    Difference { aspect, name: name.into(), declared: declared.into(), effective: effective.into(), looser }
}

/// The bounding set an engine gives for what it was told; `None` when its default is unknown. With `ALL` the engine gives what
/// it knows and holds itself: then a lack is no difference.
pub(crate) fn declared_capabilities(declared: &Declared, runtime: Runtime) -> Option<(CapSet, bool)> {
    let default = match runtime {
        Runtime::Docker => CapSet::ENGINE_DEFAULT,
        Runtime::Podman => CapSet::PODMAN_DEFAULT,
        Runtime::Containerd
        | Runtime::Crio
        | Runtime::Lxc
        | Runtime::Nspawn
        | Runtime::Oci
        | Runtime::Unknown => return None,
    };
    let all = |names: &[String]| names.iter().any(|name| name.trim().eq_ignore_ascii_case("all"));
    let set = |names: &[String]| {
        let known = names.iter().filter_map(|name| CapSet::named(name));
        known.fold(CapSet::default(), CapSet::or)
    };
    let (add, drop) = (set(&declared.cap_add), set(&declared.cap_drop));
    Some(if declared.privileged == Some(true) {
        (CapSet(u64::MAX), true)
    } else if all(&declared.cap_add) {
        (CapSet(u64::MAX).without(drop), true)
    } else if all(&declared.cap_drop) {
        (add, false)
    } else {
        (default.without(drop).or(add), false)
    })
}

fn capabilities(declared: &Declared, effective: &Effective, runtime: Runtime) -> Vec<Difference> {
    let (Some(held), Some((expected, all))) =
        (effective.capabilities, declared_capabilities(declared, runtime))
    else {
        return Vec::new();
    };
    let more = held.bounding.without(expected).names();
    let less = if all { Vec::new() } else { expected.without(held.bounding).names() };
    let more = more
        .iter()
        .map(|name| difference(Aspect::Capability, name, ("dropped", "in the bounding set"), true));
    let less = less.iter().map(|name| difference(Aspect::Capability, name, ("granted", "not held"), false));
    more.chain(less).collect()
}

/// The value of the last `--security-opt` of that name: `name=value`, `name:value` or the name alone.
fn security<'a>(declared: &'a Declared, name: &str) -> Option<&'a str> {
    declared.security_opt.iter().rev().find_map(|option| {
        let rest = option.trim().strip_prefix(name)?;
        match rest.chars().next() {
            None => Some(""),
            Some('=' | ':') => rest.get(1..),
            Some(_) => None,
        }
    })
}

fn seccomp(declared: &Declared, effective: &Effective, runtime: Runtime) -> Option<Difference> {
    if !matches!(runtime, Runtime::Docker | Runtime::Podman) {
        return None;
    }
    let privileged = declared.privileged == Some(true);
    let (expected, told) = match security(declared, "seccomp") {
        Some("unconfined") => (Seccomp::Disabled, "unconfined"),
        None if privileged => (Seccomp::Disabled, "unconfined, as privileged"),
        None => (Seccomp::Filter, "the engine's default profile"),
        Some(_) => (Seccomp::Filter, "a profile"),
    };
    let held = effective.seccomp.filter(|held| *held != expected)?;
    Some(difference(Aspect::Seccomp, "", (told, held.name()), held == Seccomp::Disabled))
}

fn no_new_privs(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let wanted = security(declared, "no-new-privileges")? != "false";
    let held = effective.no_new_privs.filter(|held| *held != wanted)?;
    let word = |on: bool| if on { "on" } else { "off" };
    Some(difference(Aspect::NoNewPrivs, "", (word(wanted), word(held)), wanted))
}

fn lsm(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let profile = declared.apparmor_profile.as_deref()?;
    let held = effective.lsm_label.as_deref().unwrap_or("no label");
    // The kernel adds the mode: `docker-default (enforce)`.
    let same = held.strip_prefix(profile).is_some_and(|mode| mode.is_empty() || mode.starts_with(' '));
    let unconfined = |label: &str| label.starts_with("unconfined") || label == "no label";
    let looser = unconfined(held) || held.ends_with("(complain)");
    let both_open = unconfined(profile) && unconfined(held);
    (!both_open && (!same || held.ends_with("(complain)")))
        .then(|| difference(Aspect::Lsm, "", (profile, held), looser))
}

fn read_only_root(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let (wanted, held) = (declared.read_only_root?, effective.read_only_root?);
    let word = |on: bool| if on { "read-only" } else { "writable" };
    (wanted != held).then(|| difference(Aspect::ReadOnlyRoot, "", (word(wanted), word(held)), wanted))
}

fn devices(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let all = effective.devices.iter().any(|rule| rule.starts_with("a "));
    let asked =
        declared.privileged == Some(true) || declared.device_rules.iter().any(|rule| rule.starts_with("a "));
    (all && !asked && declared.privileged.is_some())
        .then(|| difference(Aspect::Devices, "", ("those listed", "all"), true))
}

/// Only numbers are compared: a name means something in the container's own passwd alone.
fn user(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let told = declared.user.as_deref().unwrap_or("0");
    let name = told.split(':').next().unwrap_or_default();
    let wanted = if name == "root" { 0 } else { name.parse::<u32>().ok()? };
    let held = effective.euid_inside.filter(|held| *held != wanted)?;
    let text =
        if declared.user.is_none() { "root (nothing told)".to_owned() } else { format!("uid {wanted}") };
    Some(difference(Aspect::User, "", (text, format!("uid {held}")), held == 0))
}

fn rlimits(declared: &Declared, effective: &Effective) -> Vec<Difference> {
    let mut found = Vec::new();
    for wanted in &declared.ulimits {
        let Some(held) = effective.rlimits.iter().find(|held| held.name == wanted.name) else { continue };
        if (held.soft, held.hard) != (wanted.soft, wanted.hard) {
            let looser = above(held.soft, wanted.soft) || above(held.hard, wanted.hard);
            found.push(difference(
                Aspect::Rlimit,
                &wanted.name,
                (limit_text(wanted), limit_text(held)),
                looser,
            ));
        }
    }
    found
}

/// Whether a limit is higher; `None` is no limit.
fn above(held: Option<u64>, wanted: Option<u64>) -> bool {
    match (held, wanted) {
        (None, Some(_)) => true,
        (Some(held), Some(wanted)) => held > wanted,
        (Some(_) | None, None) => false,
    }
}

fn limit_text(limit: &Rlimit) -> String {
    let word = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    if limit.soft == limit.hard {
        word(limit.soft)
    } else {
        format!("{} soft, {} hard", word(limit.soft), word(limit.hard))
    }
}

fn oom_score_adj(declared: &Declared, effective: &Effective) -> Option<Difference> {
    let (wanted, held) = (declared.oom_score_adj?, effective.oom_score_adj?);
    let texts = (wanted.to_string(), held.to_string());
    (wanted != held).then(|| difference(Aspect::OomScoreAdj, "", texts, held < wanted))
}

/// Mounts that were asked for and are not there, lie beneath others, or are writable against what was asked.
fn asked_mounts(declared: &Declared, mounts: &[&Mount]) -> Vec<Difference> {
    let mut found = Vec::new();
    // Without a root nothing was read.
    if !mounts.iter().any(|row| row.origin == MountOrigin::Root) {
        return found;
    }
    let word = |writable: bool| if writable { "writable" } else { "read-only" };
    for asked in &declared.mounts {
        let there = |row: &&&Mount| {
            let source = row.from_host.as_ref().is_some_and(|from| from.path == asked.source);
            row.mountpoint == asked.destination || (source && !asked.source.is_empty())
        };
        let state = match mounts.iter().filter(there).min_by_key(|row| row.overmounted) {
            Some(row) if row.overmounted => Some(("beneath another mount", false)),
            Some(row) if row.read_only == asked.writable => Some((word(!row.read_only), !asked.writable)),
            Some(_) => None,
            // The path may lead over links inside: what is mounted under the same last name may be it.
            None => {
                let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
                let name = last(&asked.destination);
                let maybe = mounts.iter().any(|row| last(&row.mountpoint) == name);
                (!maybe).then_some(("not mounted", false))
            }
        };
        if let Some((state, looser)) = state {
            let texts = (word(asked.writable), state);
            found.push(difference(Aspect::Mount, &asked.destination, texts, looser));
        }
    }
    found
}

#[cfg(test)]
mod tests;
