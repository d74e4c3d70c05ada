//! What confines a container or process, in lines a person reads: capabilities in groups, declared beside effective,
//! limits. Pure.

use glasshull_shared::domain::confinement::{
    CapSet, Capabilities, Confinement, Declared, DeviceControl, Difference, Effective, Rlimit, Seccomp,
};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::shell::{Command, command, quote};

/// The row of a container.
pub fn confinement<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Confinement> {
    snapshot.confinement.get(&ContainerKey { id: id.to_owned() }).map(|row| &**row)
}

/// Capabilities that mean the same to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapGroup {
    /// What they have in common.
    pub title: &'static str,
    /// The same for people who ask.
    pub meaning: &'static str,
    /// Before each name.
    pub mark: &'static str,
    /// `data-tone`.
    pub tone: &'static str,
    /// Without `CAP_`.
    pub names: Vec<String>,
}

/// The bounding set in groups, gravest first; empty ones are left out. Where they count in a user namespace of its own, none
/// is dangerous to the host.
pub fn capability_groups(caps: &Capabilities, host_users: Option<bool>) -> Vec<CapGroup> {
    let default = CapSet::ENGINE_DEFAULT;
    let bounding = caps.bounding;
    let dangerous =
        if host_users == Some(false) { CapSet::default() } else { bounding.and(CapSet::DANGEROUS) };
    let added = bounding.without(default).without(dangerous);
    let names = |set: CapSet| set.names().iter().map(|name| short(name).to_owned()).collect();
    let group = |title, meaning, mark, tone, set| CapGroup { title, meaning, mark, tone, names: names(set) };
    let groups = vec![
        group(
            "dangerous",
            "each leads to the whole host, or out of the container",
            "!",
            "trouble",
            dangerous,
        ),
        group("added", "not in what engines give by default", "+", "attention", added),
        group(
            "default",
            "what engines give to a container that asks for nothing",
            "",
            "",
            bounding.and(default),
        ),
        group(
            "dropped",
            "in the default set, but not to be had here",
            "−",
            "quiet",
            default.without(bounding),
        ),
    ];
    groups.into_iter().filter(|group| !group.names.is_empty()).collect()
}

fn short(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}

/// How many are held in which set, in a sentence.
pub fn capability_counts(caps: &Capabilities) -> String {
    let now = match (caps.effective.len(), caps.effective == caps.bounding) {
        (0, _) => "none is effective now: its program runs without".to_owned(),
        (_, true) => "all are effective now".to_owned(),
        (some, false) => format!("{some} are effective now"),
    };
    let ambient = match caps.ambient.len() {
        0 => String::new(),
        some => format!(", {some} ambient"),
    };
    format!("{} may be had at most; {now}{ambient}", caps.bounding.len())
}

/// One fact from both sides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// What of it.
    pub what: String,
    /// As the engine was told; `None` when nobody told.
    pub declared: Option<String>,
    /// As the kernel holds it; `None` when unknown, or when only other views know.
    pub effective: Option<String>,
    /// `data-tone` of the effective side.
    pub tone: &'static str,
    /// For people who ask.
    pub title: String,
}

impl Line {
    fn new(what: &str, declared: Option<String>, effective: Option<String>, title: &str) -> Self {
        Self { what: what.into(), declared, effective, tone: "", title: title.into() }
    }

    fn tone(mut self, tone: &'static str) -> Self {
        self.tone = tone;
        self
    }
}

/// A difference as a line.
pub fn difference_line(one: &Difference) -> Line {
    let what = match one.name.as_str() {
        "" => one.aspect.name().to_owned(),
        name => format!("{} {}", one.aspect.name(), short(name)),
    };
    let (tone, title) = if one.looser {
        ("trouble", "freer than declared")
    } else {
        ("attention", "more confined than declared, or otherwise")
    };
    Line::new(&what, Some(one.declared.clone()), Some(one.effective.clone()), title).tone(tone)
}

/// Everything that is one word on each side.
pub fn lines(held: Option<&Effective>, told: Option<&Declared>) -> Vec<Line> {
    let on = |on: bool| (if on { "on" } else { "off" }).to_owned();
    let option = |name: &str| {
        let found = |told: &Declared| {
            let options = told.security_opt.iter().filter(|option| option.starts_with(name));
            let found = options.cloned().collect::<Vec<_>>().join(" ");
            if found.is_empty() { "default".to_owned() } else { found }
        };
        told.map(found)
    };
    let seccomp = |held: &Effective| {
        let filters = held.seccomp_filters.filter(|n| *n > 1).map(|n| format!(", {n} upon another"));
        held.seccomp.map(|mode| format!("{}{}", mode.name(), filters.unwrap_or_default()))
    };
    let free = held.is_some_and(|held| held.seccomp == Some(Seccomp::Disabled));
    let lsm = told.map(|told| told.apparmor_profile.clone().unwrap_or_else(|| "none".into()));
    let root = |read_only: bool| (if read_only { "read-only" } else { "writable" }).to_owned();
    vec![
        Line::new(
            "privileged",
            told.and_then(|t| t.privileged).map(|p| (if p { "yes" } else { "no" }).into()),
            None,
            "all capabilities, all devices, no seccomp filter: the lines below tell what came of it",
        ),
        Line::new(
            "user",
            told.map(|t| t.user.clone().unwrap_or_else(|| "root".into())),
            held.and_then(user),
            "effective uid, and as it is seen inside; groups",
        ),
        Line::new(
            "user namespace",
            told.map(|t| t.userns_mode.clone().unwrap_or_else(|| "default".into())),
            held.and_then(users),
            "whether root inside is root on the host: /proc/PID/uid_map",
        ),
        Line::new(
            "seccomp",
            option("seccomp"),
            held.and_then(seccomp),
            "system call filter; which calls it lets through the kernel does not tell",
        )
        .tone(if free { "attention" } else { "" }),
        Line::new(
            "no_new_privs",
            option("no-new-privileges"),
            held.and_then(|h| h.no_new_privs).map(on),
            "on: set-uid programs give it nothing more",
        ),
        Line::new(
            "LSM label",
            lsm,
            held.map(|h| h.lsm_label.clone().unwrap_or_else(|| "none".into())),
            "AppArmor profile or SELinux context; none: no security module labels processes",
        ),
        Line::new(
            "root (/)",
            told.and_then(|t| t.read_only_root).map(root),
            held.and_then(|h| h.read_only_root).map(root),
            "whether / is mounted read-only in it",
        ),
        Line::new(
            "oom_score_adj",
            told.and_then(|t| t.oom_score_adj).map(|n| n.to_string()),
            held.and_then(|h| h.oom_score_adj).map(|n| n.to_string()),
            "−1000 is never killed, 1000 first",
        ),
        Line::new(
            "devices",
            told.map(devices_told),
            held.and_then(devices_held),
            "which may be opened; the whole list is below",
        ),
    ]
}

/// What the engine was told about namespaces: what came of it the namespaces tell.
pub fn mode_lines(told: &Declared) -> Vec<Line> {
    let modes = [
        ("pid", &told.pid_mode),
        ("network", &told.network_mode),
        ("ipc", &told.ipc_mode),
        ("uts", &told.uts_mode),
        ("cgroup", &told.cgroupns_mode),
    ];
    let line = |(name, mode): (&str, &Option<String>)| {
        let host = mode.as_deref() == Some("host");
        let mode = mode.clone().unwrap_or_else(|| "its own".into());
        Line::new(name, Some(mode), None, "namespace it was to have").tone(if host {
            "attention"
        } else {
            ""
        })
    };
    modes.into_iter().map(line).collect()
}

fn user(held: &Effective) -> Option<String> {
    let uid = held.euid?;
    let inside = held.euid_inside.filter(|inside| *inside != uid);
    let inside = inside.map(|inside| format!(" ({inside} inside)")).unwrap_or_default();
    let groups = held.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let gid = held.egid.map_or_else(String::new, |gid| format!(" gid {gid}"));
    let groups = if groups.is_empty() { String::new() } else { format!(" groups {groups}") };
    Some(format!("uid {uid}{inside}{gid}{groups}"))
}

fn users(held: &Effective) -> Option<String> {
    Some(match (held.host_users?, held.root_uid) {
        (true, _) => "the host's".to_owned(),
        (false, Some(root)) => format!("its own: root is uid {root}"),
        (false, None) => "its own, without a root".to_owned(),
    })
}

fn devices_told(told: &Declared) -> String {
    match (told.privileged, told.devices.len() + told.device_rules.len()) {
        (Some(true), _) => "all".to_owned(),
        (_, 0) => "default".to_owned(),
        (_, _) => told.devices.iter().chain(&told.device_rules).cloned().collect::<Vec<_>>().join(" "),
    }
}

fn devices_held(held: &Effective) -> Option<String> {
    match held.device_control {
        DeviceControl::CgroupV1 if held.devices.iter().any(|rule| rule.starts_with("a ")) => {
            Some("all".into())
        }
        DeviceControl::CgroupV1 => Some(format!("{} rules", held.devices.len())),
        DeviceControl::Bpf => Some("BPF decides (cgroup v2): no list".into()),
        DeviceControl::Unknown => None,
    }
}

/// A resource limit in words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitLine {
    /// `nofile`.
    pub name: String,
    /// In force.
    pub soft: String,
    /// As far as it may be raised.
    pub hard: String,
    /// As the engine was told; empty when nobody told.
    pub declared: String,
}

/// All limits.
pub fn limit_lines(held: &Effective, told: Option<&Declared>) -> Vec<LimitLine> {
    let line = |limit: &Rlimit| {
        let told = told.and_then(|told| told.ulimits.iter().find(|one| one.name == limit.name));
        LimitLine {
            name: limit.name.clone(),
            soft: limit_text(&limit.name, limit.soft),
            hard: limit_text(&limit.name, limit.hard),
            declared: told
                .map(|one| {
                    format!("{} / {}", limit_text(&one.name, one.soft), limit_text(&one.name, one.hard))
                })
                .unwrap_or_default(),
        }
    };
    held.rlimits.iter().map(line).collect()
}

fn limit_text(name: &str, value: Option<u64>) -> String {
    let Some(value) = value else { return "unlimited".into() };
    match name {
        "as" | "core" | "data" | "fsize" | "memlock" | "msgqueue" | "rss" | "stack" => unit::bytes(value),
        "cpu" => unit::duration(value.saturating_mul(1_000_000_000)),
        "rttime" => unit::duration(value.saturating_mul(1_000)),
        _ => unit::count(value),
    }
}

/// What a person would type about a process.
pub fn commands(pid: u32) -> [Command; 5] {
    [
        command(
            "which capabilities it may have at most",
            format!("capsh --decode=$(awk '/CapBnd/ {{print $2}}' /proc/{pid}/status)"),
            format!("/proc/{pid}/status CapBnd"),
        ),
        command(
            "which it has",
            format!("getpcaps {pid}"),
            format!("/proc/{pid}/status CapEff CapPrm CapInh"),
        ),
        command(
            "seccomp and no_new_privs",
            format!("grep -E 'Seccomp|NoNewPrivs' /proc/{pid}/status"),
            format!("/proc/{pid}/status"),
        ),
        command("its resource limits", format!("cat /proc/{pid}/limits"), format!("/proc/{pid}/limits")),
        command(
            "its mounts",
            format!("findmnt -N {pid} -o TARGET,SOURCE,FSTYPE,OPTIONS,PROPAGATION"),
            format!("/proc/{pid}/mountinfo"),
        ),
    ]
}

/// What the engine was told, with its own command.
pub fn inspect_command(cli: &str, id: &str) -> Command {
    let fields =
        ["Privileged", "CapAdd", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "PidMode", "IpcMode", "Ulimits"];
    let format = fields.map(|field| format!("{field}={{{{json .HostConfig.{field}}}}}")).join(" ");
    command(
        "what its engine was told",
        format!("{cli} inspect -f {} {}", quote(&format), quote(unit::short_id(id))),
        format!("GET /containers/{id}/json"),
    )
}

#[cfg(test)]
#[path = "confinement_test.rs"]
mod tests;
