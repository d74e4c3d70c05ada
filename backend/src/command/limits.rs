//! `glasshull limits [CONTAINER]`: what each container may use, what it uses of that, who was killed for memory.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use glasshull_shared::domain::cgroup::{Bound, Limit, LimitStat, OomKill, Resource, Room, rooms};
use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, merge};
use glasshull_shared::unit;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::who::find_container;
use super::{columns, print_line, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect;
use crate::config::{Common, Limits};
use crate::sys::clock;

const HEADINGS: [&str; 7] = ["CONTAINER", "FULLEST", "CPU", "THROTTLED", "MEMORY", "TASKS", "OOM KILLS"];
/// Kills printed when no container is named.
const KILLS: usize = 10;

/// One container.
struct Row<'a> {
    key: &'a ContainerKey,
    name: String,
    limit: &'a Limit,
    stat: ContainerStat,
    more: LimitStat,
    rooms: Vec<Room>,
}

/// Looks up and prints.
///
/// # Errors
/// When control groups cannot be read, or no container or several have that name.
pub(crate) async fn run(common: Common, args: Limits) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [
        Topic::Container,
        Topic::ContainerStat,
        Topic::Cgroup,
        Topic::Limit,
        Topic::LimitStat,
        Topic::OomKill,
        Topic::Source,
    ];
    let sample = sample_twice(&mut live, &wake, demand.into_iter().collect(), args.interval).await;
    let snapshot = &sample.snapshot;
    let only = args.container.as_deref().map(|name| find_container(snapshot, name)).transpose()?;
    let only = only.map(|(key, _)| key);
    let rows: Vec<Row<'_>> =
        rows(snapshot).into_iter().filter(|row| only.is_none_or(|key| key == row.key)).collect();
    let troubles = troubles(snapshot);
    if rows.is_empty() && !snapshot.container_stat.is_empty() {
        bail!("{}", troubles.first().cloned().unwrap_or_else(|| "control groups cannot be read".into()));
    }
    let kills = snapshot.oom_kill.values().rev().map(|row| &**row);
    let kills: Vec<&OomKill> =
        kills.filter(|row| only.is_none_or(|key| row.container.as_deref() == Some(&key.id))).collect();
    if args.json {
        let limits = rows.iter().map(Row::json).collect::<Result<Vec<_>>>()?;
        print_line(&json!({"limits": limits, "oom_kills": kills}).to_string())?;
    } else {
        let mut text = match (only, rows.first()) {
            (Some(_), Some(row)) => row.whole(),
            (Some(_), None) => "it does not run: it has no control group now\n".into(),
            (None, _) => table(&rows),
        };
        text.push_str(&kills_text(snapshot, &kills, if only.is_some() { usize::MAX } else { KILLS }));
        print_line(text.trim_end())?;
    }
    for trouble in troubles {
        tell(&trouble);
    }
    Ok(ExitCode::SUCCESS)
}

fn troubles(snapshot: &Snapshot) -> Vec<String> {
    let ours = [collect::CGROUP.name, collect::LIMIT.name, collect::KERNEL_LOG.name];
    let bad = snapshot.source.iter().filter(|(key, row)| {
        ours.contains(&key.name.as_str()) && !matches!(row.state, SourceState::Ok | SourceState::Off)
    });
    bad.filter_map(|(_, row)| row.reason.clone()).collect()
}

/// Least room first.
fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = snapshot
        .limit
        .iter()
        .map(|(key, limit)| {
            let stat =
                snapshot.container_stat.get(key).map(|row| ContainerStat::clone(row)).unwrap_or_default();
            let more = snapshot.limit_stat.get(key).map(|row| LimitStat::clone(row)).unwrap_or_default();
            let name = snapshot.container.get(key).map(|row| row.name.clone());
            let name = unit::printable(&name.unwrap_or_else(|| unit::short_id(&key.id).to_owned()));
            let rooms = rooms(limit, &stat, Some(&more));
            Row { key, name, limit, stat, more, rooms }
        })
        .collect();
    let fill = |row: &Row<'_>| row.rooms.first().map_or(-1.0, Room::fill);
    rows.sort_by(|a, b| fill(b).total_cmp(&fill(a)).then_with(|| a.name.cmp(&b.name)));
    rows
}

impl Row<'_> {
    fn json(&self) -> Result<Value> {
        let rooms = self.rooms.iter().map(|room| {
            json!({"resource": room.resource.name(), "used": room.used, "limit": room.limit,
                   "left": room.left(), "fill_ratio": room.fill()})
        });
        let name = json!({"name": self.name, "rooms": rooms.collect::<Vec<_>>()});
        let parts = [
            json!(self.key),
            name,
            serde_json::to_value(self.limit)?,
            serde_json::to_value(&self.more)?,
            json!(self.stat),
        ];
        Ok(merge(&parts)?)
    }

    fn cells(&self) -> [String; 7] {
        let fullest =
            self.rooms.first().map(|room| format!("{} {}", room.resource.name(), unit::percent(room.fill())));
        let throttled = self.stat.cpu_throttled_ratio.filter(|_| self.stat.cpu_limit_cores.is_some());
        [
            self.name.clone(),
            fullest.unwrap_or_else(|| "no limit".into()),
            self.cpu(),
            unit::or_unknown(throttled.map(|ratio| unit::percent(f64::from(ratio)))),
            self.memory(),
            match (self.stat.pids, &self.limit.pids_max) {
                (Some(pids), Bound::Set { value, .. }) => format!("{pids} / {value}"),
                (Some(pids), Bound::Unknown | Bound::Unlimited) => pids.to_string(),
                (None, _) => unit::UNKNOWN.into(),
            },
            unit::or_unknown(self.stat.oom_kills.map(|n| n.to_string())),
        ]
    }

    fn cpu(&self) -> String {
        let used = unit::or_unknown(self.stat.cpu_ratio.map(|ratio| unit::percent(f64::from(ratio))));
        match self.limit.cpu_cores.value() {
            Some(cores) => format!("{used} of {}", unit::percent(f64::from(cores))),
            None => used,
        }
    }

    fn memory(&self) -> String {
        match (self.stat.memory_bytes, self.limit.memory_max_bytes.value()) {
            (Some(used), Some(limit)) => unit::bytes_of(used, limit),
            (Some(used), None) => unit::bytes(used),
            (None, _) => unit::UNKNOWN.into(),
        }
    }

    /// All that holds, a line each.
    fn whole(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<12} {value}");
        };
        let limit = self.limit;
        line("container", format!("{} ({})", self.name, unit::short_id(&self.key.id)));
        line("cgroup", limit.cgroup.clone());
        for room in &self.rooms {
            let left = match room.resource {
                Resource::Cpu => format!("{} of a core", unit::percent(room.left())),
                Resource::Memory | Resource::Swap => unit::bytes(room.left() as u64),
                Resource::Pids => format!("{} tasks", room.left()),
            };
            line(
                "room",
                format!("{}: {} used, {left} left", room.resource.name(), unit::percent(room.fill())),
            );
        }
        line(
            "cpu",
            format!("{}, {}", self.cpu(), origin(&limit.cpu_cores, limit, |cores| format!("{cores} cores"))),
        );
        line("throttled", self.throttled());
        line(
            "cpuset",
            format!(
                "cores {}, memory nodes {}",
                unit::or_unknown(limit.cpuset_cpus.clone()),
                unit::or_unknown(limit.cpuset_mems.clone())
            ),
        );
        line("memory", format!("{}, {}", self.memory(), origin(&limit.memory_max_bytes, limit, unit::bytes)));
        line("made of", self.breakdown());
        if !matches!(limit.memory_high_bytes, Bound::Unknown) {
            line("slowed above", origin(&limit.memory_high_bytes, limit, unit::bytes));
        }
        let swap = if matches!(limit.swap_max_bytes, Bound::Unknown) {
            format!("with memory: {}", origin(&limit.memory_swap_max_bytes, limit, unit::bytes))
        } else {
            origin(&limit.swap_max_bytes, limit, unit::bytes)
        };
        line("swap", format!("{} used, {swap}", unit::or_unknown(self.more.swap_bytes.map(unit::bytes))));
        line(
            "tasks",
            format!(
                "{}, {}",
                unit::or_unknown(self.stat.pids.map(|n| n.to_string())),
                origin(&limit.pids_max, limit, |n| n.to_string())
            ),
        );
        for io in limit.io.iter().flatten() {
            line("disk", io_text(io, limit));
        }
        if limit.oom_kill_disable == Some(true) {
            line("oom", "the killer is disabled: without memory its tasks stand still".into());
        }
        if self.more.under_oom == Some(true) {
            line("oom", "it stands still for want of memory now".into());
        }
        out
    }

    fn throttled(&self) -> String {
        let Some(held) = self.stat.cpu_throttled_nanos.filter(|_| self.limit.cpu_cores.value().is_some())
        else {
            return "no quota".into();
        };
        let count = |n: Option<u64>| unit::or_unknown(n.map(unit::count));
        format!(
            "{} of its periods now; {} of {} periods, {} in all",
            unit::or_unknown(self.stat.cpu_throttled_ratio.map(|ratio| unit::percent(f64::from(ratio)))),
            count(self.stat.cpu_throttled_periods),
            count(self.stat.cpu_periods),
            unit::duration(held)
        )
    }

    fn breakdown(&self) -> String {
        let more = &self.more;
        let parts = [
            ("anon", more.anon_bytes),
            ("page cache", more.file_bytes),
            ("shared", more.shmem_bytes),
            ("kernel", more.kernel_bytes),
            ("peak", more.memory_peak_bytes),
        ];
        let known = parts.into_iter().filter_map(|(name, n)| Some(format!("{name} {}", unit::bytes(n?))));
        let text = known.collect::<Vec<_>>().join(", ");
        if text.is_empty() { unit::UNKNOWN.into() } else { text }
    }
}

/// `limit 64 MiB from /docker`.
fn origin<T: Copy>(bound: &Bound<T>, limit: &Limit, write: impl Fn(T) -> String) -> String {
    match bound {
        Bound::Unknown => "limit not known".into(),
        Bound::Unlimited => "no limit".into(),
        Bound::Set { value, from } if *from == limit.cgroup => format!("limit {}, its own", write(*value)),
        Bound::Set { value, from } => format!("limit {} from {from}", write(*value)),
    }
}

fn io_text(io: &glasshull_shared::domain::cgroup::IoLimit, limit: &Limit) -> String {
    let rate = |n: Option<u64>| n.map(|n| unit::bytes_per_sec(n as f64));
    let times = |n: Option<u64>| n.map(|n| unit::per_sec(n as f64));
    let parts = [
        ("read", rate(io.read_bytes_per_sec)),
        ("write", rate(io.write_bytes_per_sec)),
        ("reads", times(io.read_per_sec)),
        ("writes", times(io.write_per_sec)),
    ];
    let parts: Vec<_> = parts.into_iter().filter_map(|(name, n)| Some(format!("{name} {}", n?))).collect();
    let from = if io.from == limit.cgroup { "its own".into() } else { format!("from {}", io.from) };
    format!("{} at most {}, {from}", io.device, parts.join(", "))
}

/// Aligned columns.
fn table(rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return "no container runs on this host\n".into();
    }
    let rows: Vec<[String; 7]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    columns(&rows, 2)
}

fn kills_text(snapshot: &Snapshot, kills: &[&OomKill], most: usize) -> String {
    if kills.is_empty() {
        return String::new();
    }
    let now = clock::now_nanos();
    let mut out = "\nOOM kills, newest first:\n".to_owned();
    for kill in kills.iter().take(most) {
        let name = kill.container.as_ref().map(|id| {
            let row = snapshot.container.get(&ContainerKey { id: id.clone() });
            row.map_or_else(|| unit::short_id(id).to_owned(), |row| unit::printable(&row.name))
        });
        let whose = name.or_else(|| kill.cgroup.clone()).unwrap_or_else(|| "host".into());
        let victim = match (&kill.comm, kill.pid) {
            (Some(comm), Some(pid)) => format!("{comm} ({pid})"),
            (Some(_) | None, _) => format!("{} not named", kill.count),
        };
        let held = kill.anon_bytes.map(|n| format!(", {} of its own", unit::bytes(n))).unwrap_or_default();
        let by: Vec<_> = kill.sources.iter().map(|source| source.name()).collect();
        let ago = unit::duration(now.saturating_sub(kill.at));
        let _ = writeln!(out, "{ago:>12} ago  {whose}: {victim}{held}  ({})", by.join(", "));
    }
    if kills.len() > most {
        let _ = writeln!(out, "{:>12}      and {} more: --json lists them", "", kills.len() - most);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (id, memory, max) in
            [("free", 5, Bound::Unlimited), ("full", 90, set(100)), ("half", 50, set(100))]
        {
            let key = ContainerKey { id: id.into() };
            let limit = Limit { cgroup: format!("/{id}"), memory_max_bytes: max, ..Limit::default() };
            let stat = ContainerStat { memory_bytes: Some(memory), ..ContainerStat::default() };
            snapshot.limit.insert(key.clone(), Arc::new(limit));
            snapshot.container_stat.insert(key, Arc::new(stat));
        }
        snapshot
    }

    fn set(value: u64) -> Bound<u64> {
        Bound::Set { value, from: "/full".into() }
    }

    #[test]
    fn the_fullest_comes_first_and_no_limit_last() {
        let snapshot = snapshot();
        let rows = rows(&snapshot);
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["full", "half", "free"]);
        assert!(table(&rows).contains("full       memory 90.0 %"), "{}", table(&rows));
        assert_eq!(rows[2].cells()[1], "no limit");
    }

    #[test]
    fn a_limit_says_whose_it_is() {
        let snapshot = snapshot();
        let rows = rows(&snapshot);
        assert!(rows[0].whole().contains("limit 100 B, its own"));
        assert!(rows[1].whole().contains("limit 100 B from /full"), "{}", rows[1].whole());
        assert!(rows[2].whole().contains("no limit"));
    }
}
