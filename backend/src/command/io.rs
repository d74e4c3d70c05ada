//! `glasshull io`: the case, when there is one; the host's wait for I/O, processes and containers by what they read and write, and who is in D.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::device::{Device, DeviceKey, DeviceStat, IoCase};
use glasshull_shared::domain::process::{
    IoPriority, Process, ProcessDelay, ProcessIo, ProcessKey, ProcessStat, ProcessState,
};
use glasshull_shared::domain::source::{Source, SourceKey, SourceState};
use glasshull_shared::snapshot::{Snapshot, Topic, merge};
use glasshull_shared::unit;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{columns, print_line, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect;
use crate::config::{Common, Io};

/// Characters of a command line that are printed.
const COMMAND_CHARS: usize = 60;

/// One process with all that is printed of it.
struct Doer<'a> {
    key: ProcessKey,
    process: &'a Process,
    stat: &'a ProcessStat,
    io: &'a ProcessIo,
    /// `None` while delay accounting is off.
    delay: Option<&'a ProcessDelay>,
    container: Option<String>,
}

/// Looks and prints.
///
/// # Errors
/// When processes cannot be read.
pub(crate) async fn run(common: Common, args: Io) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [
        Topic::HostStat,
        Topic::Process,
        Topic::ProcessStat,
        Topic::ProcessIo,
        Topic::ProcessDelay,
        Topic::Device,
        Topic::DeviceStat,
        Topic::Container,
        Topic::ContainerStat,
        Topic::IoCase,
        Topic::Source,
    ];
    let sample = sample_twice(&mut live, &wake, demand.into_iter().collect(), args.interval).await;
    let snapshot = &sample.snapshot;
    let source = |of: collect::Collector| snapshot.source.get(&SourceKey { name: of.name.to_owned() });
    if let Some(row) = source(collect::PROCESS).filter(|row| row.state == SourceState::Stale) {
        bail!("{}", row.reason.as_deref().unwrap_or("processes cannot be read"));
    }
    let doers = doers(snapshot);
    if args.json {
        print_line(&document(snapshot, &doers, args.top)?.to_string())?;
    } else {
        print_line(text(snapshot, &doers, args.top).trim_end())?;
    }
    for of in [collect::DEVICE, collect::PROCESS_IO, collect::IO_CASE, collect::PROCESS_DELAY] {
        // That delays are not counted is told once.
        let twice = of.name == collect::PROCESS_DELAY.name;
        let amiss = |state| state != SourceState::Ok && !(twice && state == SourceState::Limited);
        if let Some(row) = source(of).filter(|row| amiss(row.state)) {
            tell(&trouble(row));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn trouble(row: &Source) -> String {
    let reason = row.reason.as_deref().unwrap_or("I/O of processes cannot be read");
    row.remedy.as_ref().map_or_else(|| reason.to_owned(), |remedy| format!("{reason}\n  {remedy}"))
}

/// All processes, those first that move most to and from storage, then those that move most through system calls.
fn doers(snapshot: &Snapshot) -> Vec<Doer<'_>> {
    let rows = snapshot.process_io.iter().filter_map(|(key, io)| {
        let (process, stat) = (snapshot.process.get(key)?, snapshot.process_stat.get(key)?);
        let container = process.container.as_ref().map(|id| name(snapshot, id));
        let delay = snapshot.process_delay.get(key).map(|row| &**row);
        Some(Doer { key: *key, process, stat, io, delay, container })
    });
    let mut doers: Vec<_> = rows.collect();
    doers.sort_by(|a, b| b.rates().0.total_cmp(&a.rates().0).then(b.rates().1.total_cmp(&a.rates().1)));
    doers
}

fn name(snapshot: &Snapshot, id: &str) -> String {
    let row = snapshot.container.get(&ContainerKey { id: id.to_owned() });
    row.map_or_else(|| unit::short_id(id).to_owned(), |row| row.name.clone())
}

impl Doer<'_> {
    /// Bytes per second to and from storage, and through system calls.
    fn rates(&self) -> (f32, f32) {
        let both = |a: Option<f32>, b: Option<f32>| a.unwrap_or_default() + b.unwrap_or_default();
        (
            both(self.io.read_bytes_per_sec, self.io.write_bytes_per_sec),
            both(self.io.rchar_bytes_per_sec, self.io.wchar_bytes_per_sec),
        )
    }

    fn moves(&self) -> bool {
        self.rates().0 > 0.0 || self.rates().1 > 0.0
    }

    fn waits(&self) -> bool {
        self.stat.state == ProcessState::D
    }

    fn command(&self) -> String {
        // Kernel threads have an empty command line.
        let line = self.process.cmdline.as_ref().filter(|line| !line.is_empty());
        let text = line.cloned().unwrap_or_else(|| format!("[{}]", self.process.comm));
        unit::printable(&text).chars().take(COMMAND_CHARS).collect()
    }

    fn json(&self) -> Result<Value> {
        let more = json!({
            "comm": self.process.comm,
            "cmdline": self.process.cmdline,
            "user": self.process.user,
            "container": self.process.container,
            "container_name": self.container,
            "state": self.stat.state,
            "wait_channel": self.stat.wait_channel,
            "swap_wait_ratio": self.delay.and_then(|delay| delay.swap_wait_ratio),
        });
        Ok(merge(&[serde_json::to_value(self.key)?, more, serde_json::to_value(self.io)?])?)
    }
}

fn document(snapshot: &Snapshot, doers: &[Doer<'_>], top: usize) -> Result<Value> {
    let all = |rows: &mut dyn Iterator<Item = &Doer<'_>>| rows.map(Doer::json).collect::<Result<Vec<_>>>();
    let host = snapshot.host_stat.get(&Single);
    let containers = snapshot.container.iter().filter_map(|(key, row)| {
        let stat = snapshot.container_stat.get(key)?;
        Some(json!({
            "id": key.id,
            "name": row.name,
            "read_bytes": stat.read_bytes,
            "write_bytes": stat.write_bytes,
            "read_bytes_per_sec": stat.read_bytes_per_sec,
            "write_bytes_per_sec": stat.write_bytes_per_sec,
            "psi_io": stat.psi_io,
        }))
    });
    let devices =
        devices(snapshot).map(|(key, device, stat)| merge(&[json!(key), json!(device), json!(stat)]));
    Ok(json!({
        "case": snapshot.io_case.get(&Single).map(|case| case_json(case)).transpose()?,
        "host": {
            "iowait_ratio": host.and_then(|h| h.cpu_ratio).map(|cpu| cpu.iowait),
            "psi_io": host.and_then(|h| h.psi_io),
            "blocked": host.map(|h| h.blocked),
        },
        "devices": devices.collect::<Result<Vec<_>, _>>()?,
        "processes": all(&mut doers.iter().filter(|d| d.moves()).take(top))?,
        "waiting": all(&mut doers.iter().filter(|d| d.waits()))?,
        "containers": containers.collect::<Vec<_>>(),
    }))
}

/// The row, with the sentence that is printed.
fn case_json(case: &IoCase) -> Result<Value> {
    Ok(merge(&[json!({ "sentence": case.sentence() }), serde_json::to_value(case)?])?)
}

/// The sentence, and under it what each link is concluded from and what could be wrong.
fn case_lines(case: &IoCase) -> String {
    let mut out = format!("{}\n", case.sentence());
    for link in &case.links {
        let _ = writeln!(out, "  {}: {}", link.kind.name(), link.evidence);
        let _ = writeln!(out, "    but: {}", link.doubt);
    }
    out.push('\n');
    out
}

fn text(snapshot: &Snapshot, doers: &[Doer<'_>], top: usize) -> String {
    let mut out = snapshot.io_case.get(&Single).map_or_else(String::new, |case| case_lines(case));
    if let Some(host) = snapshot.host_stat.get(&Single) {
        let iowait = host.cpu_ratio.map(|cpu| unit::percent(cpu.iowait.into()));
        let psi = host.psi_io.map(|psi| unit::percent(psi.some.avg10_ratio.into()));
        let (iowait, psi) = (unit::or_unknown(iowait), unit::or_unknown(psi));
        let _ = writeln!(out, "host: iowait {iowait}, I/O pressure {psi}, {} in D", host.blocked);
    }
    let heads = ["DEVICE", "LIES ON", "BUSY", "QUEUE", "r/s", "READ/s", "r WAIT", "w/s", "WRITE/s", "w WAIT"];
    section(&mut out, "no block device is at work", heads, device_lines(snapshot));
    let heads = [
        "PID",
        "USER",
        "PRIO",
        "READ/s",
        "WRITE/s",
        "READ()",
        "WRITE()",
        "WAITS",
        "SWAPIN",
        "CONTAINER",
        "COMMAND",
    ];
    let moving: Vec<_> = doers.iter().filter(|d| d.moves()).collect();
    let rows = moving.iter().take(top).map(|doer| {
        let io = doer.io;
        [
            doer.key.pid.to_string(),
            doer.process.user.as_deref().map_or_else(|| unit::or_unknown(None), unit::printable),
            unit::or_unknown(io.priority.map(IoPriority::text)),
            rate(io.read_bytes_per_sec),
            rate(io.write_bytes_per_sec),
            rate(io.rchar_bytes_per_sec),
            rate(io.wchar_bytes_per_sec),
            unit::or_unknown(io.block_wait_ratio.map(|share| unit::percent(share.into()))),
            unit::or_unknown(
                doer.delay.and_then(|d| d.swap_wait_ratio).map(|share| unit::percent(share.into())),
            ),
            doer.container.as_deref().map_or_else(|| "(host)".to_owned(), unit::printable),
            doer.command(),
        ]
    });
    section(&mut out, "nobody reads or writes", heads, rows.collect());
    if moving.len() > top {
        let _ = writeln!(out, "and {} more (--top)", moving.len() - top);
    }
    let rows = snapshot.container_stat.iter().filter_map(|(key, stat)| {
        let moves =
            stat.read_bytes_per_sec.unwrap_or_default() + stat.write_bytes_per_sec.unwrap_or_default();
        let row = [
            unit::printable(&name(snapshot, &key.id)),
            rate(stat.read_bytes_per_sec),
            rate(stat.write_bytes_per_sec),
        ];
        (moves > 0.0).then_some((moves, row))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    section(&mut out, "no container's control group moved a byte", ["CONTAINER", "READ/s", "WRITE/s"], rows);
    let rows = doers.iter().filter(|d| d.waits()).map(|doer| {
        let channel = doer.stat.wait_channel.as_deref().map(unit::printable);
        [doer.key.pid.to_string(), "D".to_owned(), unit::or_unknown(channel), doer.command()]
    });
    section(&mut out, "no process waits in D", ["PID", "STATE", "WAITS IN", "COMMAND"], rows.collect());
    out
}

/// Block devices, the busiest first; the order of numbers among equals keeps stacks together.
fn devices(snapshot: &Snapshot) -> impl Iterator<Item = (&DeviceKey, &Device, &DeviceStat)> {
    let rows = snapshot.device.iter().filter_map(|(key, device)| {
        let stat = snapshot.device_stat.get(key)?;
        Some((key, &**device, &**stat))
    });
    let mut rows: Vec<_> = rows.collect();
    let share = |stat: &DeviceStat| stat.utilization_ratio.unwrap_or_default();
    rows.sort_by(|a, b| share(b.2).total_cmp(&share(a.2)));
    rows.into_iter()
}

/// Of those through which something passed in the interval.
fn device_lines(snapshot: &Snapshot) -> Vec<[String; 10]> {
    let count = |per_sec: Option<f32>| unit::or_unknown(per_sec.map(|count| format!("{count:.1}")));
    let wait = |secs: Option<f32>| unit::or_unknown(secs.map(unit::latency_secs));
    let at_work =
        devices(snapshot).filter(|(.., stat)| stat.utilization_ratio.is_some_and(|share| share > 0.0));
    at_work
        .map(|(_, device, stat)| {
            [
                device.dm_name.clone().unwrap_or_else(|| device.name.clone()),
                if device.parents.is_empty() {
                    device.kind.name().to_owned()
                } else {
                    device.parents.join(" ")
                },
                unit::or_unknown(stat.utilization_ratio.map(|share| unit::percent(share.into()))),
                unit::or_unknown(stat.queue_length.map(|mean| format!("{mean:.2}"))),
                count(stat.reads_per_sec),
                rate(stat.read_bytes_per_sec),
                wait(stat.read_await_secs),
                count(stat.writes_per_sec),
                rate(stat.write_bytes_per_sec),
                wait(stat.write_await_secs),
            ]
        })
        .collect()
}

fn rate(bytes: Option<f32>) -> String {
    unit::or_unknown(bytes.map(|bytes| unit::bytes_per_sec(bytes.into())))
}

/// A table in columns as wide as their texts, or what to say when it is empty.
fn section<const N: usize>(out: &mut String, empty: &str, heads: [&str; N], rows: Vec<[String; N]>) {
    out.push('\n');
    if rows.is_empty() {
        let _ = writeln!(out, "{empty}");
        return;
    }
    let lines: Vec<_> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    out.push_str(&columns(&lines, N));
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::device::{CaseKind, CaseLink};

    use super::*;
    use glasshull_shared::domain::process::IoClass;

    fn host() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (pid, state, written) in
            [(7, ProcessState::D, 1000.0), (8, ProcessState::S, 5000.0), (9, ProcessState::S, 0.0)]
        {
            let key = ProcessKey { pid, start_time: 1 };
            let process = Process {
                comm: format!("p\u{1b}{pid}"),
                cmdline: Some(String::new()),
                container: Some("c".repeat(64)),
                ..Process::default()
            };
            let wait_channel = (state == ProcessState::D).then(|| "io_schedule".to_owned());
            let stat = ProcessStat { state, wait_channel, ..ProcessStat::default() };
            let priority = Some(IoPriority { class: IoClass::BestEffort, level: 4 });
            let io = ProcessIo { write_bytes_per_sec: Some(written), priority, ..ProcessIo::default() };
            snapshot.process.insert(key, Arc::new(process));
            snapshot.process_stat.insert(key, Arc::new(stat));
            snapshot.process_io.insert(key, Arc::new(io));
        }
        snapshot
    }

    #[test]
    fn who_moves_most_comes_first_and_who_waits_is_named() {
        let snapshot = host();
        let doers = doers(&snapshot);
        assert_eq!(doers.iter().map(|d| d.key.pid).collect::<Vec<_>>(), [8, 7, 9]);
        let json = document(&snapshot, &doers, 1).unwrap();
        assert!(json["case"].is_null());
        assert_eq!(json["processes"].as_array().unwrap().len(), 1);
        assert_eq!(json["processes"][0]["pid"], 8);
        assert_eq!(
            (&json["waiting"][0]["pid"], &json["waiting"][0]["wait_channel"]),
            (&json!(7), &json!("io_schedule"))
        );
    }

    #[test]
    fn text_is_printable_and_says_what_is_unknown() {
        let snapshot = host();
        let text = text(&snapshot, &doers(&snapshot), 1);
        assert!(
            !text.contains('\u{1b}') && text.contains("be/4") && text.contains("and 1 more (--top)"),
            "{text}"
        );
        assert!(text.contains("cccccccccccc") && text.contains("io_schedule"), "{text}");
        assert!(text.contains("[p") && text.contains("8]"), "{text}");
        assert!(super::text(&Snapshot::default(), &[], 5).contains("nobody reads or writes"));
    }

    #[test]
    fn the_case_comes_first_with_evidence_and_doubt() {
        let mut snapshot = host();
        let link = CaseLink { evidence: "it writes".into(), doubt: "maybe".into(), ..CaseLink::default() };
        let host = CaseLink { wait_ratio: Some(0.5), ..link.clone() };
        let device = CaseLink { kind: CaseKind::Device, name: "sda".into(), ..link };
        let case = IoCase { since: 7, links: vec![host, device] };
        snapshot.io_case.insert(Single, Arc::new(case));
        let text = text(&snapshot, &doers(&snapshot), 1);
        let wanted = "host waits 50.0 % → sda\n  host: it writes\n    but: maybe\n  device: it writes\n    but: maybe\n\n";
        assert!(text.starts_with(wanted), "{text}");
        let json = document(&snapshot, &[], 1).unwrap();
        assert_eq!(
            (&json["case"]["sentence"], &json["case"]["since"]),
            (&json!("host waits 50.0 % → sda"), &json!(7))
        );
        assert_eq!(json["case"]["links"][1]["kind"], "device");
    }
}
