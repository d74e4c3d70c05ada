//! Rules about what keeps a container apart from the host.

use std::collections::BTreeMap;

use glasshull_shared::domain::confinement::{CapSet, Confinement, Declared, Effective};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::finding::Severity;
use glasshull_shared::domain::mount::{Mount, MountOrigin};
use glasshull_shared::domain::namespace::{IsolationKey, NamespaceKind, Relation};
use glasshull_shared::unit::printable;

use super::{Draft, Evidence, Facts, evidence, running};

/// Whoever may write below these may change what the host runs or believes.
const SENSITIVE: &[&str] =
    &["/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/root", "/proc", "/sys", "/dev", "/var/lib"];
/// Those with which a program alone takes the host over.
const GRAVE: &[&str] = &["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_DAC_READ_SEARCH"];
/// Names of sockets of engines that we may not have found.
const SOCKETS: &[&str] = &["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "dockershim.sock"];
/// Differences told one by one.
const DIFFERENCES_AT_MOST: usize = 10;

type Row<'a> = (&'a ContainerKey, &'a Confinement);

/// What confines those that run.
fn confined<'a>(facts: &Facts<'a>) -> impl Iterator<Item = Row<'a>> + use<'a> {
    let snapshot = facts.snapshot;
    running(facts).filter_map(|(key, _)| Some((key, &**snapshot.confinement.get(key)?)))
}

/// A path of the host in a container: where it is mounted, which it is, whether it may be written to.
type HostPath<'a> = (&'a Mount, &'a str, bool);

/// Paths of the host that are mounted into containers and in sight, by container. Few of all mounts are the host's.
fn host_paths<'a>(facts: &Facts<'a>) -> BTreeMap<&'a str, Vec<HostPath<'a>>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in facts.snapshot.mount.values() {
        let hosts = row.origin == MountOrigin::HostPath && !row.overmounted;
        let (true, Some(id), Some(from)) = (hosts, &row.container, &row.from_host) else { continue };
        found.entry(id.as_str()).or_default().push((&**row, from.path.as_str(), from.writable));
    }
    found
}

fn mounted(row: &Mount, path: &str, writable: bool) -> Evidence {
    let how = if writable { "writable" } else { "read-only" };
    evidence(
        format!("mounted at {}", printable(&row.mountpoint)),
        format!("{} of the host, {how}", printable(path)),
        format!("/proc/{}/mountinfo", row.pid),
    )
}

fn privileged_by_engine(row: &Confinement) -> bool {
    row.declared.as_ref().and_then(|told| told.privileged) == Some(true)
}

/// Shares namespaces of the host, or has its root.
pub(super) fn host_like(facts: &Facts<'_>) -> Vec<Draft> {
    let paths = host_paths(facts);
    let rows = running(facts).filter_map(|(key, container)| {
        let row = facts.snapshot.confinement.get(key);
        let told = row.and_then(|row| row.declared.as_ref());
        let pid = container.init_pid.unwrap_or(0);
        let mut found = shared_namespaces(facts, &key.id, pid, told);
        let host_pids = found.iter().any(|one| one.label.starts_with("pid"));
        let own = paths.get(key.id.as_str()).into_iter().flatten().copied();
        let root: Vec<_> = own.filter(|(_, path, _)| *path == "/").collect();
        let grave = !root.is_empty() || (host_pids && row.is_some_and(|row| privileged_by_engine(row)));
        found.extend(root.into_iter().map(|(row, path, writable)| mounted(row, path, writable)));
        let severity = if grave { Severity::Trouble } else { Severity::Attention };
        (!found.is_empty()).then(|| Draft::of_container(facts, key, severity, found))
    });
    rows.collect()
}

/// Namespaces of the host that a container is in: as the kernel says, else as the engine was told.
fn shared_namespaces(facts: &Facts<'_>, id: &str, pid: u32, told: Option<&Declared>) -> Vec<Evidence> {
    let cell = |kind: NamespaceKind| {
        let key = IsolationKey { container: Some(id.to_owned()), group: None, kind };
        facts.snapshot.isolation.get(&key).map(|row| row.relation == Relation::Host)
    };
    let by_links =
        || facts.snapshot.netns.values().any(|row| row.host && row.containers.iter().any(|c| c == id));
    let by_engine = |mode: Option<&String>| mode.is_some_and(|mode| mode == "host");
    let all = [
        (NamespaceKind::Net, by_links()),
        (NamespaceKind::Pid, by_engine(told.and_then(|told| told.pid_mode.as_ref()))),
        (NamespaceKind::Ipc, by_engine(told.and_then(|told| told.ipc_mode.as_ref()))),
    ];
    let hosts = all.into_iter().filter(|(kind, else_known)| cell(*kind).unwrap_or(*else_known));
    let fact = |(kind, _): (NamespaceKind, bool)| {
        let source = format!("/proc/{pid}/ns/{}", kind.name());
        evidence(format!("{} namespace", kind.name()), "the host's", source)
    };
    hosts.map(fact).collect()
}

/// As the engine was told. In a user namespace of its own its rights do not count on the host.
pub(super) fn privileged(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = confined(facts).filter(|(_, row)| privileged_by_engine(row)).map(|(key, row)| {
        let own_users = row.effective.as_ref().and_then(|held| held.host_users) == Some(false);
        let severity = if own_users { Severity::Attention } else { Severity::Trouble };
        let mut told = vec![evidence("privileged", "yes", "inspect HostConfig.Privileged")];
        if let Some(caps) = row.effective.as_ref().and_then(|held| held.capabilities) {
            let count = format!("{} in its bounding set", caps.bounding.len());
            told.push(evidence("capabilities", count, status(row, "CapBnd")));
        }
        Draft::of_container(facts, key, severity, told)
    });
    rows.collect()
}

fn status(row: &Confinement, field: &str) -> String {
    let pid = row.init_pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    format!("/proc/{pid}/status {field}")
}

/// Beyond what engines give by themselves, and counting on the host. Privileged ones are told as such.
pub(super) fn dangerous_capability(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = confined(facts).filter(|(_, row)| !privileged_by_engine(row)).filter_map(|(key, row)| {
        let held = row.effective.as_ref().filter(|held| held.host_users == Some(true))?;
        let more = held.capabilities?.bounding.without(CapSet::ENGINE_DEFAULT).and(CapSet::DANGEROUS);
        if more.is_empty() {
            return None;
        }
        let names = more.names();
        let grave = names.iter().any(|name| GRAVE.contains(&name.as_str()));
        let severity = if grave { Severity::Trouble } else { Severity::Attention };
        let told = evidence("in its bounding set", names.join(" "), status(row, "CapBnd"));
        let users = evidence("user namespace", "the host's", "/proc/PID/uid_map".replace("PID", &pid(row)));
        Some(Draft::of_container(facts, key, severity, vec![told, users]))
    });
    rows.collect()
}

fn pid(row: &Confinement) -> String {
    row.init_pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string())
}

/// The socket itself, or a folder it is in.
pub(super) fn engine_socket(facts: &Facts<'_>) -> Vec<Draft> {
    let endpoints: Vec<&str> =
        facts.snapshot.engine.keys().filter_map(|key| key.endpoint.strip_prefix("unix://")).collect();
    let leads = |path: &str| {
        let named = path.rsplit_once('/').is_some_and(|(_, name)| SOCKETS.contains(&name));
        let holds = |socket: &&str| {
            let below = socket.strip_prefix(path);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        named || endpoints.iter().any(holds)
    };
    let paths = host_paths(facts);
    let rows = running(facts).filter_map(|(key, _)| {
        let own = paths.get(key.id.as_str())?.iter().copied();
        let sockets = own.filter(|(row, path, _)| leads(path) || leads(&row.mountpoint));
        let told: Vec<_> = sockets.map(|(row, path, writable)| mounted(row, path, writable)).collect();
        (!told.is_empty()).then(|| Draft::of_container(facts, key, Severity::Trouble, told))
    });
    rows.collect()
}

/// Sockets of engines and the root have rules of their own.
pub(super) fn writable_host_path(facts: &Facts<'_>) -> Vec<Draft> {
    let paths = host_paths(facts);
    let rows = running(facts).filter_map(|(key, _)| {
        let own = paths.get(key.id.as_str())?.iter().copied();
        let socket = |path: &str| path.rsplit_once('/').is_some_and(|(_, name)| SOCKETS.contains(&name));
        let writable: Vec<_> =
            own.filter(|(_, path, writable)| *writable && *path != "/" && !socket(path)).collect();
        if writable.is_empty() {
            return None;
        }
        let within = |path: &str, top: &str| {
            path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let grave = writable.iter().any(|(_, path, _)| SENSITIVE.iter().any(|top| within(path, top)));
        let severity = if grave { Severity::Attention } else { Severity::Info };
        let told = writable.into_iter().map(|(row, path, writable)| mounted(row, path, writable)).collect();
        Some(Draft::of_container(facts, key, severity, told))
    });
    rows.collect()
}

/// Its root is the host's. Privileged ones are told as such.
pub(super) fn root_without_userns(facts: &Facts<'_>) -> Vec<Draft> {
    let is_root = |held: &&Effective| held.euid == Some(0) && held.host_users == Some(true);
    let rows = confined(facts).filter(|(_, row)| row.effective.as_ref().filter(is_root).is_some());
    let draft = |(key, row): Row<'_>| {
        let told = vec![
            evidence("effective uid", "0", status(row, "Uid")),
            evidence("user namespace", "the host's", format!("/proc/{}/uid_map", pid(row))),
        ];
        Draft::of_container(facts, key, Severity::Info, told)
    };
    rows.map(draft).collect()
}

/// Freer than declared asks for attention; tighter, or merely otherwise, is good to know.
pub(super) fn not_as_declared(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = confined(facts).filter(|(_, row)| !row.differences.is_empty()).map(|(key, row)| {
        let looser = row.differences.iter().any(|one| one.looser);
        let severity = if looser { Severity::Attention } else { Severity::Info };
        let told = row.differences.iter().take(DIFFERENCES_AT_MOST).map(|one| {
            let what = format!("{} {}", one.aspect.name(), printable(&one.name));
            let how = format!("declared {}, is {}", printable(&one.declared), printable(&one.effective));
            evidence(what.trim(), how, "inspect, and confinement table")
        });
        Draft::of_container(facts, key, severity, told.collect())
    });
    rows.collect()
}
