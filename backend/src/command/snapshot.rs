//! `glasshull snapshot`: two samples, then one JSON object for scripts. Its shape is a contract (docs/snapshot.md).

mod look;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use glasshull_shared::delta::Table;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet, merge};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::still_read;
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect;
use crate::config::{Common, Snapshot as Args};
use look::{LOOKED, Looks, asked};

/// Tables as scripts see them: the parts that the wire keeps apart (identity and samples) are one row here.
const TABLES: &[(&str, &[Topic])] = &[
    ("process", &[Topic::Process, Topic::ProcessStat]),
    ("thread", &[Topic::Thread]),
    ("process_io", &[Topic::ProcessIo]),
    ("process_delay", &[Topic::ProcessDelay]),
    ("device", &[Topic::Device, Topic::DeviceStat]),
    ("io_case", &[Topic::IoCase]),
    ("exited_process", &[Topic::ExitedProcess]),
    ("waiter", &[Topic::Waiter]),
    ("container_io", &[Topic::ContainerIo]),
    ("container_device_io", &[Topic::ContainerDeviceIo]),
    ("container", &[Topic::Container, Topic::ContainerStat]),
    ("cpu", &[Topic::Cpu]),
    ("engine", &[Topic::Engine]),
    ("source", &[Topic::Source]),
    ("netns", &[Topic::Netns]),
    ("link", &[Topic::Link, Topic::LinkStat]),
    ("neighbour", &[Topic::Neighbour]),
    ("route", &[Topic::Route]),
    ("socket", &[Topic::Socket, Topic::SocketStat]),
    ("closed_socket", &[Topic::ClosedSocket]),
    ("nat_rule", &[Topic::NatRule]),
    ("published_port", &[Topic::PublishedPort]),
    ("translation", &[Topic::Translation]),
    ("confinement", &[Topic::Confinement]),
    ("mount", &[Topic::Mount, Topic::MountUse]),
    ("cgroup", &[Topic::Cgroup]),
    ("limit", &[Topic::Limit, Topic::LimitStat]),
    ("oom_kill", &[Topic::OomKill]),
    ("namespace", &[Topic::Namespace]),
    ("isolation", &[Topic::Isolation]),
    ("finding", &[Topic::Finding]),
    ("resolver", &[Topic::Resolver]),
    ("dns_name", &[Topic::DnsName]),
    ("flow", &[Topic::Flow, Topic::FlowStat]),
    ("capture", &[Topic::Capture]),
    ("dns_seen", &[Topic::DnsSeen]),
    ("dns_client", &[Topic::DnsClient]),
];
/// What is left out unless asked for by name.
const ON_DEMAND: &[&str] = &["thread", "flow", "capture", "dns_name", "dns_seen", "dns_client"];
/// What `--capture` adds.
const CAPTURED: &[&str] = &["flow", "capture", "dns_seen", "dns_client"];

/// Takes the samples and prints.
///
/// # Errors
/// An unknown table, a host whose `/proc` cannot be read, or a look at a process that ended or is hidden.
pub(crate) async fn run(common: Common, args: Args) -> Result<ExitCode> {
    let wanted = choose(&args.tables, args.capture.is_some(), &asked(&args))?;
    let mut demand: TopicSet = wanted.iter().flat_map(|(_, topics)| topics.iter().copied()).collect();
    for topic in [Topic::Host, Topic::HostStat, Topic::Source] {
        demand.insert(topic);
    }
    // Rows name their containers, and flows the processes whose sockets are at their ends.
    if collect::ENGINE.needed(demand) || demand.contains(Topic::Process) {
        demand.insert(Topic::Container);
    }
    if demand.contains(Topic::Flow) {
        demand.insert(Topic::Socket);
    }
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let interval = args.capture.unwrap_or(args.interval);
    let looks = Looks::begin(&args, &mut live, &wake).await?;
    let sample = sample_twice(&mut live, &wake, demand, interval).await;
    let mut json = document(&sample.snapshot, &wanted, sample.at, sample.interval_nanos)?;
    looks.add(&mut json).await?;
    still_read(writeln!(std::io::stdout().lock(), "{json}"))?;
    Ok(ExitCode::SUCCESS)
}

/// The tables of these names, all usual ones without; with what is captured. Those of [`LOOKED`] are left out: `asked` tells which of
/// them come anyway.
fn choose(names: &[String], capture: bool, asked: &[&str]) -> Result<Vec<(&'static str, &'static [Topic])>> {
    let captured = |name: &&str| capture && CAPTURED.contains(name);
    if names.is_empty() {
        let usual = |name: &&str| !ON_DEMAND.contains(name) || captured(name);
        return Ok(TABLES.iter().filter(|(name, _)| usual(name)).copied().collect());
    }
    let looked = |name: &&String| LOOKED.iter().any(|(looked, _)| looked == name);
    let unasked = |(looked, _): &&(&str, &str)| !asked.contains(looked) && names.iter().any(|n| n == looked);
    if let Some((name, of)) = LOOKED.iter().find(unasked) {
        bail!("the table {name} is of {of}");
    }
    let find = |name: &String| match TABLES.iter().find(|(n, _)| n == name) {
        Some(table) => Ok(*table),
        None => {
            let known: Vec<&str> = TABLES.iter().map(|(n, _)| *n).chain(LOOKED.map(|(n, _)| n)).collect();
            bail!("no table {name:?}; there are: {}", known.join(", "))
        }
    };
    let mut tables = names.iter().filter(|name| !looked(name)).map(find).collect::<Result<Vec<_>>>()?;
    let more = TABLES.iter().filter(|(name, _)| captured(name) && !names.iter().any(|n| n == name));
    tables.extend(more.copied());
    Ok(tables)
}

fn document(
    snapshot: &Snapshot,
    wanted: &[(&str, &[Topic])],
    at: u64,
    interval_nanos: Option<u64>,
) -> Result<Value> {
    let mut tables = Map::new();
    for (name, topics) in wanted {
        tables.insert((*name).to_owned(), Value::Array(joined(snapshot, topics)?));
    }
    let mut host = snapshot.rows_json(Topic::Host)?;
    host.extend(snapshot.rows_json(Topic::HostStat)?);
    Ok(serde_json::json!({
        "at": at,
        "interval_nanos": interval_nanos,
        "host": merge(&host)?,
        "tables": tables,
    }))
}

/// Rows of the first table, each with the fields of the rows that have the same key in the others.
fn joined(snapshot: &Snapshot, topics: &[Topic]) -> Result<Vec<Value>> {
    match topics {
        [Topic::Process, ..] => with_stat(&snapshot.process, &snapshot.process_stat),
        [Topic::Container, ..] => with_stat(&snapshot.container, &snapshot.container_stat),
        [Topic::Link, ..] => with_stat(&snapshot.link, &snapshot.link_stat),
        [Topic::Socket, ..] => with_stat(&snapshot.socket, &snapshot.socket_stat),
        [Topic::Device, ..] => with_stat(&snapshot.device, &snapshot.device_stat),
        [Topic::Mount, ..] => with_stat(&snapshot.mount, &snapshot.mount_use),
        [Topic::Limit, ..] => with_stat(&snapshot.limit, &snapshot.limit_stat),
        [Topic::Flow, ..] => flows(snapshot),
        [only, ..] => Ok(snapshot.rows_json(*only)?),
        [] => Ok(Vec::new()),
    }
}

fn with_stat<K, V, S>(rows: &Table<K, V>, stats: &Table<K, S>) -> Result<Vec<Value>>
where
    K: Ord + Serialize,
    V: Serialize,
    S: Serialize + Default,
{
    let merged = rows.iter().map(|(key, row)| {
        let stat = match stats.get(key) {
            Some(stat) => serde_json::to_value(stat)?,
            None => serde_json::to_value(S::default())?,
        };
        Ok(merge(&[serde_json::to_value(key)?, serde_json::to_value(row)?, stat])?)
    });
    merged.collect()
}

/// Flows with what passed both ways together.
fn flows(snapshot: &Snapshot) -> Result<Vec<Value>> {
    let mut rows = with_stat(&snapshot.flow, &snapshot.flow_stat)?;
    for (row, key) in rows.iter_mut().zip(snapshot.flow.keys()) {
        let stat = snapshot.flow_stat.get(key).map_or_else(Default::default, |stat| **stat);
        let both = serde_json::json!({ "bytes": stat.bytes(), "packets": stat.packets() });
        *row = merge(&[row.clone(), both])?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_contract_holds_on_this_host() {
        let common = Common { engine: vec!["unix:///nonexistent".into()], mask_args: false };
        let wake = Arc::new(Notify::new());
        let mut live = Live::new(common, Arc::clone(&wake)).unwrap();
        let wanted = choose(&[], false, &[]).unwrap();
        let demand = wanted
            .iter()
            .flat_map(|(_, t)| t.iter().copied())
            .chain([Topic::Host, Topic::HostStat])
            .collect();
        let sample = sample_twice(&mut live, &wake, demand, std::time::Duration::from_millis(200)).await;
        let json = document(&sample.snapshot, &wanted, sample.at, sample.interval_nanos).unwrap();
        let processes = json["tables"]["process"].as_array().unwrap();
        let own = processes.iter().find(|p| p["pid"] == std::process::id()).expect("ourselves");
        let fields = "pid start_time ppid comm cmdline state uid threads rss_bytes cpu_ratio read_bytes_per_sec \
            write_bytes_per_sec pid_in_ns container";
        for field in fields.split_whitespace() {
            assert!(own.get(field).is_some(), "process.{field}");
        }
        assert!(own["cpu_ratio"].is_number() && json["host"]["hostname"].is_string());
        assert!(json["tables"].get("thread").is_none());
        let mounts = json["tables"]["mount"].as_array().unwrap();
        for field in "mountpoint source fstype device size_bytes used_bytes container".split(' ') {
            assert!(mounts.iter().all(|row| row.get(field).is_some()), "mount.{field}");
        }
        assert!(mounts.iter().any(|row| row["used_bytes"].is_u64()), "no file system told of its use");
    }

    #[test]
    fn flows_are_captured_when_asked_for() {
        let names = |names: &[&str], capture| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            choose(&names, capture, &[]).unwrap().iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert!(!names(&[], false).contains(&"flow"));
        assert!(names(&[], true).ends_with(&["flow", "capture", "dns_seen", "dns_client"]));
        assert_eq!(names(&["link", "flow"], true), ["link", "flow", "capture", "dns_seen", "dns_client"]);
        assert_eq!(names(&["flow"], false), ["flow"]);
    }

    #[test]
    fn an_unknown_table_names_those_that_exist() {
        let error = choose(&["processes".into()], false, &[]).unwrap_err().to_string();
        assert!(error.contains("process, thread"), "{error}");
    }
}
