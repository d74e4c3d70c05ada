//! `glasshull who PID` and `glasshull who CONTAINER`: which container is this pid in; which pids are in this container.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::file::{FileFate, HostFile, Layer};
use glasshull_shared::domain::process::{Process, ProcessDetail, ProcessKey};
use glasshull_shared::domain::source::SourceKey;
use glasshull_shared::snapshot::{Snapshot, Topic, merge};
use glasshull_shared::subject;
use glasshull_shared::unit::{UNKNOWN, or_unknown, short_id};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::print_line;
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect;
use crate::config::{Common, Who};
use crate::sys::root::Root;

/// Looks up and prints.
///
/// # Errors
/// When nothing or more than one container is meant, or the pid does not exist.
pub(crate) async fn run(common: Common, args: Who) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [Topic::Process, Topic::ProcessStat, Topic::Container, Topic::Source].into_iter().collect();
    let sample = sample_twice(&mut live, &wake, demand, Duration::from_millis(100)).await;
    let (text, json) = match args.subject.parse::<u32>() {
        Ok(pid) if subject::named(&sample.snapshot.container, &args.subject).is_none() => {
            who_pid(&sample.snapshot, pid)?
        }
        Ok(_) | Err(_) => who_container(&sample.snapshot, &args.subject)?,
    };
    print_line(&if args.json { json.to_string() } else { text.trim_end().to_owned() })?;
    Ok(ExitCode::SUCCESS)
}

fn who_pid(snapshot: &Snapshot, pid: u32) -> Result<(String, Value)> {
    let Some((key, process)) = snapshot.process.iter().find(|(k, _)| k.pid == pid) else {
        return Err(no_process(snapshot, pid));
    };
    let root = Root::host();
    let exe = collect::file::executable(&root, pid);
    let detail = collect::process::detail::read(&root, *key, exe).map_err(anyhow::Error::msg)?;
    let container = process.container.as_ref().and_then(|id| {
        let key = ContainerKey { id: id.clone() };
        snapshot.container.get(&key).map(|row| (key, row))
    });
    let named = container.as_ref().map(|(k, c)| (k, &***c));
    let json = json!({
        "pid": key.pid,
        "pid_in_ns": process.pid_in_ns,
        "ns_pids": detail.ns_pids,
        "cgroup": process.cgroup,
        "parents": detail.parents.iter().map(|(pid, comm)| json!({"pid": pid, "comm": comm})).collect::<Vec<_>>(),
        "host_path": detail.exe.as_ref().and_then(|e| e.host_path.clone()),
        "process": merge(&[json!(key), json!(process)])?,
        "container": named.map(|(k, c)| merge(&[json!(k), json!(c)])).transpose()?,
        "exe": detail.exe,
        "detail": detail,
    });
    Ok((pid_text(*key, process, named, &detail), json))
}

/// Why a pid is not among the processes: it may be there, when not all could be read.
pub(super) fn no_process(snapshot: &Snapshot, pid: u32) -> anyhow::Error {
    let source = snapshot.source.get(&SourceKey { name: collect::PROCESS.name.into() });
    match source.and_then(|row| row.reason.as_deref()) {
        Some(reason) => anyhow!("process {pid} was not seen, but not all could be: {reason}"),
        None => anyhow!("no process {pid} on this host (or it is hidden: see hidepid in proc(5))"),
    }
}

fn pid_text(
    key: ProcessKey,
    process: &Process,
    container: Option<(&ContainerKey, &Container)>,
    detail: &ProcessDetail,
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<11} {value}");
    };
    line("process", &format!("{} {}", key.pid, process.comm));
    line("command", &or_unknown(process.cmdline.clone()));
    match (container, &process.container) {
        (Some((id, c)), _) => {
            let image = or_unknown(c.image.clone());
            line(
                "container",
                &format!("{} ({}, {}, image {image})", c.name, short_id(&id.id), c.runtime.name()),
            );
        }
        (None, Some(id)) => line("container", id),
        (None, None) => line("container", "none: a process of the host"),
    }
    let inside: Vec<String> = detail.ns_pids.iter().map(u32::to_string).collect();
    line("pid inside", &if inside.is_empty() { UNKNOWN.into() } else { inside.join(" → ") });
    line(
        "user",
        &format!(
            "{} (uid {})",
            or_unknown(process.user.clone()),
            or_unknown(process.euid.map(|u| u.to_string()))
        ),
    );
    let parents: Vec<String> = detail.parents.iter().map(|(pid, comm)| format!("{pid} {comm}")).collect();
    line("parents", &if parents.is_empty() { "none".into() } else { parents.join(" ← ") });
    line("cgroup", &or_unknown(process.cgroup.clone()));
    for text in file_lines(detail.exe.as_ref()) {
        line(&text.0, &text.1);
    }
    for missing in &detail.missing {
        line("missing", missing);
    }
    out
}

fn file_lines(file: Option<&HostFile>) -> Vec<(String, String)> {
    let Some(file) = file else { return Vec::new() };
    let fate = match file.fate {
        FileFate::Present => "",
        FileFate::Deleted => "  (deleted while it runs)",
        FileFate::Replaced => "  (another file has taken its place)",
        FileFate::Unknown => "  (not permitted to compare)",
    };
    let mut lines = vec![("binary".to_owned(), format!("{}{fate}", file.path))];
    if let Some(path) = &file.host_path {
        lines.push(("on the host".into(), path.clone()));
    }
    if let (Some(path), Some(layer)) = (&file.layer_path, &file.layer) {
        let which = match layer {
            Layer::Upper => "the container's own layer".to_owned(),
            Layer::Lower(n) => format!("image layer {n} from the top"),
        };
        lines.push(("in layer".into(), format!("{path}  ({which})")));
    }
    lines
}

fn who_container(snapshot: &Snapshot, subject: &str) -> Result<(String, Value)> {
    let (key, container) = find_container(snapshot, subject)?;
    let members: Vec<(&ProcessKey, &Process)> = snapshot
        .process
        .iter()
        .filter(|(_, p)| p.container.as_deref() == Some(&key.id))
        .map(|(k, p)| (k, &**p))
        .collect();
    let rows = members.iter().map(|(k, p)| merge(&[json!(k), json!(p)])).collect::<Result<Vec<_>, _>>()?;
    let pids: Vec<u32> = members.iter().map(|(k, _)| k.pid).collect();
    let json = json!({"container": merge(&[json!(key), json!(container)])?, "pids": pids, "processes": rows});
    let mut out = String::new();
    let image = or_unknown(container.image.clone());
    let _ = writeln!(
        out,
        "{} ({}, {}, image {image}), {}",
        container.name,
        short_id(&key.id),
        container.runtime.name(),
        container.state.name()
    );
    if members.is_empty() {
        let _ = writeln!(out, "no process of it runs on this host");
    } else {
        let _ = writeln!(out, "{:>8} {:>7} {:<10} COMMAND", "HOST PID", "INSIDE", "USER");
    }
    for (k, p) in members {
        let inside = or_unknown(p.pid_in_ns.map(|n| n.to_string()));
        let user = or_unknown(p.user.clone().or_else(|| p.euid.map(|u| u.to_string())));
        let command = p.cmdline.clone().filter(|c| !c.is_empty()).unwrap_or_else(|| p.comm.clone());
        let _ = writeln!(out, "{:>8} {inside:>7} {user:<10} {command}", k.pid);
    }
    Ok((out, json))
}

/// By name, else by the beginning of the id.
pub(super) fn find_container<'a>(
    snapshot: &'a Snapshot,
    subject: &str,
) -> Result<(&'a ContainerKey, &'a Container)> {
    subject::find(&snapshot.container, subject).map_err(|why| anyhow!("{why}{}", silent_engines(snapshot)))
}

/// Which engines told of no names, and why.
pub(super) fn silent_engines(snapshot: &Snapshot) -> String {
    let reasons = snapshot.engine.values().filter_map(|row| row.reason.as_deref());
    let reasons: Vec<String> = reasons.take(3).map(|reason| reason.chars().take(200).collect()).collect();
    if reasons.is_empty() { String::new() } else { format!("; not asked: {}", reasons.join("; ")) }
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::engine::{Engine, EngineKey};
    use glasshull_shared::domain::source::Source;

    use super::*;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (id, name) in [("aa11", "web"), ("aa22", "db"), ("bb33", "4242")] {
            let row = Container { name: name.into(), ..Container::default() };
            snapshot.container.insert(ContainerKey { id: id.into() }, Arc::new(row));
        }
        snapshot
    }

    #[test]
    fn names_win_over_prefixes_and_doubt_is_refused() {
        let snapshot = snapshot();
        assert_eq!(find_container(&snapshot, "/web").unwrap().0.id, "aa11");
        assert_eq!(find_container(&snapshot, "bb").unwrap().1.name, "4242");
        assert!(find_container(&snapshot, "/").is_err());
        assert!(find_container(&snapshot, "aa").unwrap_err().to_string().contains("several"));
        assert!(find_container(&snapshot, "zz").unwrap_err().to_string().contains("known: 4242, db, web"));
    }

    #[test]
    fn what_could_not_be_seen_is_not_said_to_be_absent() {
        let mut snapshot = snapshot();
        let source = Source { reason: Some("listing /proc: too many".into()), ..Source::default() };
        snapshot.source.insert(SourceKey { name: collect::PROCESS.name.into() }, source.into());
        let error = who_pid(&snapshot, 7).unwrap_err().to_string();
        assert!(error.contains("not all could be: listing /proc"), "{error}");
        let engine = Engine { reason: Some("permission denied".into()), ..Engine::default() };
        snapshot.engine.insert(EngineKey { endpoint: "unix:///a".into() }, engine.into());
        let error = find_container(&snapshot, "zz").unwrap_err().to_string();
        assert!(error.ends_with("known: 4242, db, web; not asked: permission denied"), "{error}");
    }

    #[test]
    fn a_container_that_is_called_like_a_pid_is_still_found() {
        assert!(subject::named(&snapshot().container, "4242").is_some());
        assert!(who_pid(&snapshot(), 4242).unwrap_err().to_string().contains("no process 4242"));
    }
}
