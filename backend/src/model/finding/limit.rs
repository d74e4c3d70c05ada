//! Rules about limits: none, too small, reached.

use std::collections::BTreeMap;

use glasshull_shared::domain::cgroup::OomKill;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::finding::{Evidence, Severity, Subject};
use glasshull_shared::unit;

use super::{Draft, Facts, evidence, running};

/// Kills longer ago are history.
const RECENT: u64 = 3600 * 1_000_000_000;
/// Kills within this time are trouble; older ones of [`RECENT`] ask for attention.
const FRESH: u64 = 15 * 60 * 1_000_000_000;
/// Share of periods.
const THROTTLED_RATIO: f64 = 0.25;
/// Fewer periods than this tell nothing: half a second of running.
const PERIODS_AT_LEAST: u64 = 5;
/// Share of the limit.
const PIDS_RATIO: f64 = 0.9;

/// Neither its own group nor one above it sets a limit.
pub(super) fn no_memory_limit(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = running(facts).filter_map(|(key, _)| {
        let limit = facts.snapshot.limit.get(key).filter(|row| row.memory_max_bytes.is_unlimited())?;
        let told = evidence("memory limit", "none, also not in a group above", memory_file(&limit.cgroup));
        Some(Draft::of_container(facts, key, Severity::Info, vec![told]))
    });
    rows.collect()
}

/// Without limit and never killed.
pub(super) fn oom_kill_disabled(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = running(facts).filter_map(|(key, _)| {
        let limit = facts.snapshot.limit.get(key)?;
        let unbounded = limit.oom_kill_disable == Some(true) && limit.memory_max_bytes.is_unlimited();
        let told = || {
            vec![
                evidence("oom_kill_disable", "1", format!("{}/memory.oom_control", limit.cgroup)),
                evidence("memory limit", "none", memory_file(&limit.cgroup)),
            ]
        };
        unbounded.then(|| Draft::of_container(facts, key, Severity::Trouble, told()))
    });
    rows.collect()
}

fn memory_file(cgroup: &str) -> String {
    format!("{cgroup}/memory.limit_in_bytes or memory.max")
}

/// Killed for memory within the last hour, newest first.
pub(super) fn oom_kill(facts: &Facts<'_>) -> Vec<Draft> {
    let mut kills: BTreeMap<Option<&str>, Vec<&OomKill>> = BTreeMap::new();
    let recent = facts.snapshot.oom_kill.values().rev();
    // Whoever was removed since needs no more memory.
    let there = |row: &OomKill| {
        let key = row.container.as_ref().map(|id| ContainerKey { id: id.clone() });
        key.is_none_or(|key| facts.snapshot.container.contains_key(&key))
    };
    for row in recent.filter(|row| facts.now.saturating_sub(row.at) < RECENT && there(row)) {
        kills.entry(row.container.as_deref()).or_default().push(row);
    }
    let draft = |(id, kills): (Option<&str>, Vec<&OomKill>)| {
        let fresh = kills.iter().any(|row| facts.now.saturating_sub(row.at) < FRESH);
        let severity = if fresh { Severity::Trouble } else { Severity::Attention };
        let told = kills.into_iter().map(kill).collect();
        match id {
            Some(id) => Draft::of_container(facts, &ContainerKey { id: id.to_owned() }, severity, told),
            None => Draft::new(Subject::Host, "host", severity, told),
        }
    };
    kills.into_iter().map(draft).collect()
}

fn kill(row: &OomKill) -> Evidence {
    let who = match (&row.comm, row.pid) {
        (Some(comm), Some(pid)) => format!("{} ({pid})", unit::printable(comm)),
        (Some(comm), None) => unit::printable(comm),
        (None, _) => format!("{} killed, not named", row.count),
    };
    let had = row.anon_bytes.map(|bytes| format!(" with {}", unit::bytes(bytes))).unwrap_or_default();
    let sources: Vec<&str> = row.sources.iter().map(|source| source.name()).collect();
    evidence(format!("at {}", unit::time_of_day(row.at)), who + &had, sources.join(", "))
}

/// Its quota ran out in more than a quarter of the periods of the last minute.
pub(super) fn throttled(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = running(facts).filter_map(|(key, _)| {
        let [periods, throttled] = facts.watch.periods.growth(key)?;
        let ratio = throttled as f64 / periods as f64;
        if periods < PERIODS_AT_LEAST || ratio <= THROTTLED_RATIO {
            return None;
        }
        // Rounded: a figure that moves at each look is a new row at each look.
        let mut told = vec![evidence(
            "throttled",
            format!("about {:.0} % of its periods, over the last minute", (ratio * 10.0).round() * 10.0),
            "cpu.stat nr_throttled / nr_periods",
        )];
        if let Some(cores) = facts.snapshot.container_stat.get(key).and_then(|row| row.cpu_limit_cores) {
            told.push(evidence("quota", format!("{cores:.2} cores"), "cpu.cfs_quota_us or cpu.max"));
        }
        Some(Draft::of_container(facts, key, Severity::Attention, told))
    });
    rows.collect()
}

/// Above nine tenths of what it may have.
pub(super) fn pids_near_limit(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = running(facts).filter_map(|(key, _)| {
        let row = facts.snapshot.container_stat.get(key)?;
        let (pids, limit) = (row.pids?, row.pids_limit?);
        if f64::from(pids) <= f64::from(limit) * PIDS_RATIO {
            return None;
        }
        let told = vec![evidence("tasks", format!("{pids} of {limit}"), "pids.current, pids.max")];
        Some(Draft::of_container(facts, key, Severity::Attention, told))
    });
    rows.collect()
}
