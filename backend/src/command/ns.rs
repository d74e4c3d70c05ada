//! `glasshull ns`: all namespaces as a tree; of a container how far it is apart from the host; of one namespace who is in it and
//! what keeps it alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::namespace::{
    IdRange, Isolation, Namespace, NamespaceKey, NamespaceKind, Relation,
};
use glasshull_shared::domain::source::SourceKey;
use glasshull_shared::snapshot::{Snapshot, Topic, merge};
use glasshull_shared::unit::{or_unknown, short_id};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::who::find_container;
use super::{print_line, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect::namespace::WAYS;
use crate::config::{Common, Ns as Args};

/// Deepest indentation drawn; the kernel nests 32 deep.
const DEEPEST: usize = 33;

/// Looks and prints.
///
/// # Errors
/// When what was asked for is no container, no namespace and no process.
pub(crate) async fn run(common: Common, args: Args) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand =
        [Topic::Process, Topic::Container, Topic::Mount, Topic::Namespace, Topic::Isolation, Topic::Source];
    let sample =
        sample_twice(&mut live, &wake, demand.into_iter().collect(), Duration::from_millis(100)).await;
    let snapshot = &sample.snapshot;
    let chosen = choose(snapshot, &args)?;
    let text = if args.json { as_json(snapshot, &chosen)? } else { as_text(snapshot, &chosen) };
    print_line(text.trim_end())?;
    let trouble = snapshot.source.get(&SourceKey { name: "namespace".into() });
    if let Some(reason) = trouble.and_then(|row| row.reason.as_ref()) {
        let remedy = trouble.and_then(|row| row.remedy.as_ref());
        tell(&format!("{reason}{}", remedy.map(|r| format!(" ({r})")).unwrap_or_default()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was asked for.
struct Chosen {
    rows: BTreeSet<NamespaceKey>,
    /// Whose, when a container was named.
    container: Option<ContainerKey>,
    /// Who is in it and what holds it is told too.
    whole: bool,
}

fn choose(snapshot: &Snapshot, args: &Args) -> Result<Chosen> {
    let kept = |key: &NamespaceKey, row: &Namespace| {
        args.kind.is_none_or(|kind| key.kind == kind) && (!args.unused || row.pids == 0)
    };
    let all = || snapshot.namespace.iter().filter(|(key, row)| kept(key, row)).map(|(key, _)| *key);
    let Some(subject) = args.subject.as_deref() else {
        return Ok(Chosen { rows: all().collect(), container: None, whole: false });
    };
    if let Some(inode) = inode(subject) {
        let rows: BTreeSet<_> = all().filter(|key| key.inode == inode).collect();
        if !rows.is_empty() {
            return Ok(Chosen { rows, container: None, whole: true });
        }
    }
    let named: BTreeSet<_> =
        all().filter(|key| snapshot.namespace[key].name.as_deref() == Some(subject)).collect();
    if !named.is_empty() {
        return Ok(Chosen { rows: named, container: None, whole: true });
    }
    if let Ok(pid) = subject.parse::<u32>()
        && snapshot.process.keys().any(|key| key.pid == pid)
    {
        let rows = of_pid(pid).filter(|key| snapshot.namespace.contains_key(key)).collect();
        return Ok(Chosen { rows, container: None, whole: false });
    }
    let Ok((key, _)) = find_container(snapshot, subject) else {
        bail!(
            "{subject:?} is no container, no pid, no inode of a namespace and no name of ip netns; `glasshull ns` lists all"
        );
    };
    let cells = snapshot.isolation.iter().filter(|(cell, _)| cell.container.as_ref() == Some(&key.id));
    let rows = cells.map(|(cell, row)| NamespaceKey { kind: cell.kind, inode: row.inode }).collect();
    Ok(Chosen { rows, container: Some(key.clone()), whole: false })
}

/// `4026532201` or `net:[4026532201]`.
fn inode(text: &str) -> Option<u64> {
    let bare = text.split_once(":[").and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn of_pid(pid: u32) -> impl Iterator<Item = NamespaceKey> {
    NamespaceKind::ALL.into_iter().filter_map(move |kind| {
        let text = std::fs::read_link(format!("/proc/{pid}/ns/{}", kind.name())).ok()?;
        Some(NamespaceKey { kind, inode: inode(text.to_str()?)? })
    })
}

fn as_json(snapshot: &Snapshot, chosen: &Chosen) -> Result<String> {
    let row = |key: &NamespaceKey| {
        let row = snapshot.namespace.get(key).map(|row| json!(**row)).unwrap_or(Value::Null);
        merge(&[json!(key), row])
    };
    let rows: Result<Vec<Value>, _> = chosen.rows.iter().map(row).collect();
    let cells: Result<Vec<Value>, _> = snapshot
        .isolation
        .iter()
        .filter(|(key, _)| chosen.container.as_ref().is_some_and(|c| Some(&c.id) == key.container.as_ref()))
        .map(|(key, row)| merge(&[json!(key), json!(**row)]))
        .collect();
    Ok(json!({ "namespaces": rows?, "isolation": cells? }).to_string())
}

fn as_text(snapshot: &Snapshot, chosen: &Chosen) -> String {
    let mut out = String::new();
    if let Some(key) = &chosen.container {
        write_isolation(&mut out, snapshot, key);
    }
    if chosen.rows.is_empty() {
        out.push_str("no such namespace\n");
        return out;
    }
    let line = |out: &mut String, fields: [&str; 7]| {
        let [kind, inode, owner, pids, pid, who, held] = fields;
        let text = format!("{kind:<7} {inode:<18} {owner:>10} {pids:>5} {pid:>8}  {who:<24} {held}");
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(&mut out, ["KIND", "INODE", "OWNER", "PIDS", "PID", "WHOSE", "HELD BY"]);
    for (key, depth) in as_tree(snapshot, &chosen.rows) {
        let Some(row) = snapshot.namespace.get(&key) else { continue };
        let nested = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
        line(
            &mut out,
            [
                key.kind.name(),
                &format!("{nested}{}", key.inode),
                &or_unknown(row.owner.map(|owner| owner.to_string())),
                &row.pids.to_string(),
                &row.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                &whose(snapshot, row),
                &held(row),
            ],
        );
        if chosen.whole || chosen.container.is_some() {
            write_facts(&mut out, row);
        }
        if chosen.whole {
            write_holders(&mut out, snapshot, key, row);
        }
    }
    if chosen.whole {
        let ways: Vec<String> = WAYS.iter().map(|(name, from)| format!("{name} ({from})")).collect();
        let _ = writeln!(out, "\nlooked through {}", ways.join(", "));
    }
    out
}

/// In order of kinds; pid and user namespaces below the one they are nested in.
fn as_tree(snapshot: &Snapshot, rows: &BTreeSet<NamespaceKey>) -> Vec<(NamespaceKey, usize)> {
    let parent = |key: &NamespaceKey| {
        let inode = snapshot.namespace.get(key)?.parent?;
        Some(NamespaceKey { kind: key.kind, inode }).filter(|parent| rows.contains(parent))
    };
    let mut below: BTreeMap<Option<NamespaceKey>, Vec<NamespaceKey>> = BTreeMap::new();
    for key in rows {
        below.entry(parent(key)).or_default().push(*key);
    }
    let mut tree = Vec::new();
    let mut open: Vec<(NamespaceKey, usize)> =
        below.get(&None).into_iter().flatten().rev().map(|key| (*key, 0)).collect();
    while let Some((key, depth)) = open.pop() {
        tree.push((key, depth));
        if depth < DEEPEST {
            open.extend(below.get(&Some(key)).into_iter().flatten().rev().map(|key| (*key, depth + 1)));
        }
    }
    tree
}

fn whose(snapshot: &Snapshot, row: &Namespace) -> String {
    if row.host == Some(true) {
        return "host".into();
    }
    let name = |id: &String| {
        let key = ContainerKey { id: id.clone() };
        snapshot.container.get(&key).map_or_else(|| short_id(id).to_owned(), |row| row.name.clone())
    };
    match (row.containers.as_slice(), &row.name) {
        ([], Some(name)) => name.clone(),
        ([one], _) => name(one),
        ([one, rest @ ..], _) => format!("{} +{}", name(one), rest.len()),
        ([], None) => {
            let of = |pid: u32| snapshot.process.iter().find(|(key, _)| key.pid == pid);
            row.pid.and_then(of).map(|(_, process)| process.comm.clone()).unwrap_or_default()
        }
    }
}

fn held(row: &Namespace) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for holder in &row.held_by {
        *counts.entry(holder.by.name()).or_default() += 1;
    }
    let one = |(name, count): (&str, usize)| {
        if count == 1 { name.to_owned() } else { format!("{count} × {name}") }
    };
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn write_facts(out: &mut String, row: &Namespace) {
    let mut fact = |name: &str, text: String| {
        let _ = writeln!(out, "        {name:<18} {text}");
    };
    if let Some(name) = &row.hostname {
        fact("host name", name.clone());
    }
    for (name, map) in [("uid", &row.uid_map), ("gid", &row.gid_map)] {
        for range in map {
            fact(name, self::range(*range));
        }
    }
    if let Some(uid) = row.creator_uid {
        fact("made by uid", uid.to_string());
    }
    for (clock, offset) in
        [("monotonic", row.monotonic_offset_nanos), ("boottime", row.boottime_offset_nanos)]
    {
        if let Some(nanos) = offset.filter(|nanos| *nanos != 0) {
            fact(clock, format!("{:+.3} s", nanos as f64 / 1e9));
        }
    }
    if let Some(root) = &row.cgroup_root {
        fact("cgroup root", root.clone());
    }
}

fn range(range: IdRange) -> String {
    if range.count == u32::MAX && range.inside == range.outside {
        return "the same as on the host".into();
    }
    let end = |first: u32| first.saturating_add(range.count.saturating_sub(1));
    format!(
        "{}–{} inside are {}–{} on the host",
        range.inside,
        end(range.inside),
        range.outside,
        end(range.outside)
    )
}

fn write_holders(out: &mut String, snapshot: &Snapshot, key: NamespaceKey, row: &Namespace) {
    let comm = |pid: u32| {
        let found = snapshot.process.iter().find(|(key, _)| key.pid == pid);
        found.map(|(_, process)| process.comm.as_str()).unwrap_or_default()
    };
    for holder in &row.held_by {
        let by = holder.pid.map(|pid| format!("pid {pid} {}", comm(pid))).unwrap_or_default();
        let _ = writeln!(out, "        {:<18} {}  {}", holder.by.name(), holder.detail, by);
    }
    for process in snapshot.process.keys() {
        if of_pid(process.pid).any(|other| other == key) {
            let _ = writeln!(out, "        process            {} {}", process.pid, comm(process.pid));
        }
    }
}

fn write_isolation(out: &mut String, snapshot: &Snapshot, key: &ContainerKey) {
    let name = |id: &str| {
        let key = ContainerKey { id: id.to_owned() };
        snapshot.container.get(&key).map_or_else(|| short_id(id).to_owned(), |row| row.name.clone())
    };
    let _ = writeln!(out, "{} ({})", name(&key.id), short_id(&key.id));
    let cells: Vec<(NamespaceKind, &Isolation)> = snapshot
        .isolation
        .iter()
        .filter(|(cell, _)| cell.container.as_ref() == Some(&key.id))
        .map(|(cell, row)| (cell.kind, &**row))
        .collect();
    if cells.is_empty() {
        out.push_str("  it does not run, or where its init is is hidden\n");
    }
    for (kind, cell) in cells {
        let with: Vec<String> = cell.with.iter().map(|id| name(id)).collect();
        let text = match cell.relation {
            Relation::Own => "its own".to_owned(),
            Relation::Host => "the host's".to_owned(),
            Relation::Shared if with.is_empty() => "shared with processes of the host".to_owned(),
            Relation::Shared => format!("shared with {}", with.join(", ")),
        };
        let _ = writeln!(out, "  {:<8} {text}", kind.name());
    }
    out.push('\n');
}
