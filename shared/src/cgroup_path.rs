//! What a cgroup path says about the container: pure text work, from `/proc/PID/cgroup` (collect) to the join of
//! processes and containers (model). One place knows how each runtime names its cgroups.
//!
//! A path is read segment by segment from the root. Each segment that names a container makes the one before it the
//! outer one, so the last is the container and the one before its parent (Docker in Docker, kind).
//! Plain `runc run NAME` leaves no mark in the path: those are known from the runtime's state only.

use std::borrow::Cow;

use crate::domain::container::Runtime;

/// The container a cgroup path belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPath<'a> {
    /// Id (mostly 64 hexadecimal digits), or the machine's name for LXC and nspawn.
    pub id: String,
    /// Who runs it, as far as the path tells.
    pub runtime: Runtime,
    /// Pod's uid (Kubernetes, with dashes), pod's id (Podman) or task (ECS, Nomad); `None` outside pods.
    pub pod: Option<String>,
    /// Id of the container around it; `None` when it runs on the host or the path does not show it.
    pub parent: Option<String>,
    /// The container's own cgroup: the path without what the container made below it (`/init.scope`, `/container`).
    pub path: &'a str,
}

/// Reads a cgroup path; `None` when it names no container (host services, monitors, virtual machines, or `/`, which
/// in a cgroup namespace can be anything).
pub fn parse(path: &str) -> Option<ContainerPath<'_>> {
    walk(path).map(|(found, _)| found)
}

/// Of the text of `/proc/PID/cgroup` the path that tells most: the one with the longest chain of containers, else the
/// v2 line, else `name=systemd`, else the first; `None` when no line has the form `ID:CONTROLLERS:PATH`.
pub fn deepest(proc_pid_cgroup_text: &str) -> Option<&str> {
    let mut best: Option<(usize, &str)> = None;
    let (mut unified, mut systemd, mut first) = (None, None, None);
    for (id, controllers, path) in lines(proc_pid_cgroup_text) {
        first = first.or(Some(path));
        if id == "0" && controllers.is_empty() {
            unified = Some(path);
        } else if controllers == "name=systemd" {
            systemd = Some(path);
        }
        // Under systemd in a container one line leads deeper than the others: the longest is the most telling.
        if let Some((_, depth)) = walk(path)
            && best.is_none_or(|(d, p)| (depth, path.len()) > (d, p.len()))
        {
            best = Some((depth, path));
        }
    }
    best.map(|(_, path)| path).or(unified).or(systemd).or(first)
}

/// The lines of `/proc/PID/cgroup` as (hierarchy id, controllers, path); what has another form is left out.
pub fn lines(proc_pid_cgroup_text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    proc_pid_cgroup_text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        // The kernel's mark on a cgroup that was removed under its last processes.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        path.starts_with('/').then_some((id, controllers, path))
    })
}

/// The cgroup that was made for a container whose path does not name it (plain runtimes): `path` without what the
/// container or systemd in it made below. `None` when nothing of its own is left below `outer` (the cgroup of the
/// container around it, or empty), and for systemd's slices, services and login sessions: there the container merely
/// shares its caller's.
pub fn unnamed<'a>(path: &'a str, outer: &str) -> Option<&'a str> {
    let mut own = path.trim_end_matches('/');
    while let Some(shorter) = BELOW.iter().find_map(|below| own.strip_suffix(below)) {
        own = shorter;
    }
    let last = own.rsplit('/').next()?;
    let of_systemd = [".slice", ".service", ".scope"].iter().any(|suffix| last.ends_with(suffix));
    (own.len() > outer.len() && own.starts_with(outer) && last != ".." && !last.is_empty() && !of_systemd)
        .then_some(own)
}

/// Sub-cgroups that runtimes and systemd make inside a container's own cgroup.
const BELOW: [&str; 4] = ["/container", "/init.scope", "/payload", "/ns"];

/// What one segment of a path is.
enum Segment {
    Container(String, Runtime),
    Pod(String),
    /// The runtime's own helper: nothing here or below is in a container of this runtime.
    Monitor,
    Other,
}

/// The innermost container and how many containers are in the chain.
fn walk(path: &str) -> Option<(ContainerPath<'_>, usize)> {
    let mut found: Option<ContainerPath<'_>> = None;
    let mut around: Option<ContainerPath<'_>> = None;
    let mut depth = 0;
    let mut above = Above::default();
    let mut start = 0;
    for raw in path.split('/') {
        let end = start + raw.len();
        start = end + 1;
        if raw.is_empty() || raw == ".." || raw == "." {
            continue;
        }
        let name = unescape(raw);
        match classify(&name, &above) {
            Segment::Container(id, runtime) => {
                around = found.take();
                let parent = around.as_ref().map(|outer| outer.id.clone());
                let of_triple = || pod_of_slice(name.split_once(".slice:")?.0);
                let pod = above.pod.take().or_else(of_triple);
                found = Some(ContainerPath { id, runtime, pod, parent, path: path.get(..end)? });
                depth += 1;
                above = Above::default();
                continue;
            }
            Segment::Monitor => break,
            // systemd-nspawn itself, beside the payload in the same unit: it lives around the machine, not in it.
            Segment::Other
                if name == "supervisor" && found.as_ref().is_some_and(|f| f.runtime == Runtime::Nspawn) =>
            {
                return around.map(|around| (around, depth - 1));
            }
            Segment::Pod(pod) => above.pod = Some(pod),
            Segment::Other => {}
        }
        above.step(&name);
    }
    found.map(|found| (found, depth))
}

/// What the segments above the present one said, since the last container or the root.
#[derive(Default)]
struct Above {
    /// Name of the segment just above; empty at the top.
    last: String,
    /// Number of segments.
    depth: usize,
    /// The topmost segment is `docker`, `ecs`… : decides how free a name below may be.
    top: String,
    /// A segment of Kubernetes was passed.
    kubepods: bool,
    pod: Option<String>,
}

impl Above {
    fn step(&mut self, name: &str) {
        if self.depth == 0 {
            self.top = name.to_owned();
        }
        self.depth += 1;
        self.kubepods |= name.contains("kubepods");
        self.last = name.to_owned();
    }
}

fn classify(name: &str, above: &Above) -> Segment {
    if is_monitor(name, above) {
        return Segment::Monitor;
    }
    if let Some(pod) = pod(name, above) {
        return Segment::Pod(pod);
    }
    let container = systemd_triple(name)
        .or_else(|| scope(name))
        .or_else(|| machine(name, above))
        .or_else(|| bare_id(name, above))
        .or_else(|| named_below(name, above));
    container.map_or(Segment::Other, |(id, runtime)| Segment::Container(id, runtime))
}

/// conmon, lxc's monitor, kata's overhead: they belong to the host (or the outer container).
fn is_monitor(name: &str, above: &Above) -> bool {
    let conmon = name.starts_with("libpod-conmon-")
        || name.starts_with("crio-conmon-")
        || (name == "conmon" && (above.last == "libpod_parent" || above.pod.as_ref() == Some(&above.last)));
    let lxc = name == "lxc.monitor" || name.starts_with("lxc.monitor.") || name.starts_with("lxc.pivot");
    conmon || lxc || name == "kata_overhead"
}

/// `pod<uid>` of cgroupfs, `…-pod<uid with _>.slice` of systemd; of Podman `machine-libpod_pod_<id>.slice`, and a bare id with
/// cgroupfs, where its containers are `libpod-<id>`.
fn pod(name: &str, above: &Above) -> Option<String> {
    if let Some(slice) = name.strip_suffix(".slice") {
        return pod_of_slice(slice);
    }
    if above.last == "libpod_parent" && is_hex64(name) {
        return Some(name.to_owned());
    }
    if let Some(id) = name.strip_prefix("libpod_pod_") {
        return Some(id.to_owned());
    }
    let uid = name.strip_prefix("pod").filter(|uid| above.kubepods && is_uid(uid))?;
    Some(uid.to_owned())
}

fn pod_of_slice(slice: &str) -> Option<String> {
    if let Some((_, id)) = slice.split_once("libpod_pod_") {
        return Some(id.to_owned());
    }
    let (before, uid) = slice.rsplit_once("-pod")?;
    (before.contains("kubepods") && is_uid(uid)).then(|| uid.replace('_', "-"))
}

fn is_uid(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_')
}

/// `system.slice:docker:<id>`: systemd's notation given to a runtime that uses cgroupfs, kept as a plain name.
fn systemd_triple(name: &str) -> Option<(String, Runtime)> {
    let mut parts = name.splitn(3, ':');
    let (slice, prefix, id) = (parts.next()?, parts.next()?, parts.next()?);
    (slice.ends_with(".slice") && is_name(id)).then(|| (id.to_owned(), by_prefix(prefix)))
}

/// `<prefix>-<id>.scope` of the systemd driver, and `<prefix>-<id>` of CRI-O and Podman under cgroupfs.
fn scope(name: &str) -> Option<(String, Runtime)> {
    let (stem, is_scope) = name.strip_suffix(".scope").map_or((name, false), |stem| (stem, true));
    // A full id at the end: whatever stands before is the prefix, dashes and all (`cri-containerd`).
    let (prefix, id) = match stem.rsplit_once('-') {
        Some((prefix, id)) if is_hex64(id) => (prefix, id),
        Some(_) | None => stem.split_once('-')?,
    };
    let runtime = by_prefix(prefix);
    if is_hex64(id) {
        return (is_scope || runtime != Runtime::Unknown).then(|| (id.to_owned(), runtime));
    }
    // Runtimes that let the user choose the id.
    let free = matches!(prefix, "runc" | "crun" | "youki" | "nerdctl");
    (is_scope && free && is_name(id)).then(|| (id.to_owned(), runtime))
}

/// Which runtime puts this prefix before its ids.
fn by_prefix(prefix: &str) -> Runtime {
    match prefix {
        "docker" => Runtime::Docker,
        "libpod" | "libpod-payload" => Runtime::Podman,
        "cri-containerd" | "nerdctl" | "containerd" | "kata" => Runtime::Containerd,
        "crio" => Runtime::Crio,
        "runc" | "crun" | "youki" => Runtime::Oci,
        _ => Runtime::Unknown,
    }
}

/// LXC and systemd-nspawn, which are known by name.
fn machine(name: &str, above: &Above) -> Option<(String, Runtime)> {
    if let Some(lxc) = name.strip_prefix("lxc.payload.") {
        return is_name(lxc).then(|| (lxc.to_owned(), Runtime::Lxc));
    }
    if above.last == "lxc" || above.last == "lxc.payload" {
        return is_name(name).then(|| (name.to_owned(), Runtime::Lxc));
    }
    if let Some(unit) = name.strip_prefix("systemd-nspawn@").and_then(|n| n.strip_suffix(".service")) {
        return is_name(unit).then(|| (unit.to_owned(), Runtime::Nspawn));
    }
    let machine = name.strip_prefix("machine-").and_then(|n| n.strip_suffix(".scope"))?;
    if machine.starts_with("qemu-") {
        return None; // a virtual machine of libvirt
    }
    // libvirt's LXC driver: lxc-<pid>-<name>.
    if let Some((_, lxc)) = machine.strip_prefix("lxc-").and_then(|n| n.split_once('-')) {
        return is_name(lxc).then(|| (lxc.to_owned(), Runtime::Lxc));
    }
    is_name(machine).then(|| (machine.to_owned(), Runtime::Nspawn))
}

/// A bare id; who made it must come from what stands above, and in a cgroup namespace nothing may.
fn bare_id(name: &str, above: &Above) -> Option<(String, Runtime)> {
    let id = name.strip_prefix("kata_").unwrap_or(name);
    if !is_hex64(id) {
        return None;
    }
    let runtime = match above.top.as_str() {
        "docker" | "ecs" => Runtime::Docker,
        "default" | "k8s.io" => Runtime::Containerd,
        _ if above.pod.is_some() && above.kubepods => Runtime::Containerd,
        _ if above.last == "docker" => Runtime::Docker,
        _ => Runtime::Unknown,
    };
    Some((id.to_owned(), runtime))
}

/// Names of any form, recognised only by the segments above.
fn named_below(name: &str, above: &Above) -> Option<(String, Runtime)> {
    if !is_name(name) {
        return None;
    }
    let runtime = match (above.top.as_str(), above.depth) {
        ("default" | "k8s.io", 1) => Runtime::Containerd,
        ("garden", 1) => Runtime::Oci,
        ("docker", 2) if above.last == "buildkit" => Runtime::Docker,
        // Fargate: /ecs/<task>/<task>-<number>.
        ("ecs", 2) if name.starts_with(&above.last) && name.len() > above.last.len() => Runtime::Containerd,
        ("nomad.slice", 2) => return nomad(name),
        _ => return None,
    };
    Some((name.to_owned(), runtime))
}

/// `<allocation>.<task>.scope`.
fn nomad(name: &str) -> Option<(String, Runtime)> {
    let task = name.strip_suffix(".scope")?;
    let (allocation, _) = task.split_once('.')?;
    (allocation.len() == 36 && is_uid(allocation)).then(|| (task.to_owned(), Runtime::Unknown))
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What runtimes accept as a name. Slices and services below a free name's parent are systemd's own.
fn is_name(text: &str) -> bool {
    let unit = text.ends_with(".slice") || text.ends_with(".service") || text.starts_with('.');
    !text.is_empty()
        && !unit
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'@'))
}

/// Undoes systemd's `\xNN`; anything that is not such an escape stays as it is.
fn unescape(segment: &str) -> Cow<'_, str> {
    if !segment.contains("\\x") {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.strip_prefix(b"x").and_then(|t| std::str::from_utf8(t.get(..2)?).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
