//! Rules about processes.

use std::collections::BTreeMap;

use glasshull_shared::domain::container::{ContainerKey, ContainerState};
use glasshull_shared::domain::finding::{Severity, Subject};
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessState};
use glasshull_shared::unit;

use super::{Draft, Evidence, Facts, evidence};

/// A parent may be busy for a moment.
const ZOMBIE_AFTER: u64 = 20 * 1_000_000_000;
/// Zombies of one parent that pile up, whatever their age.
const PILE: usize = 5;
/// A disk may be busy for a moment.
const STUCK_AFTER: u64 = 10 * 1_000_000_000;

fn of_process(
    facts: &Facts<'_>,
    key: ProcessKey,
    row: &Process,
    severity: Severity,
    told: Vec<Evidence>,
) -> Draft {
    let name = format!("{} ({})", unit::printable(&row.comm), key.pid);
    let mut draft = Draft::new(Subject::Process(key), name, severity, told);
    draft.container.clone_from(&row.container);
    if let Some(id) = &row.container
        && let Some(container) = facts.snapshot.container.get(&ContainerKey { id: id.clone() })
    {
        draft.name = format!("{} in {}", draft.name, unit::printable(&container.name));
    }
    draft.blank("pid", key.pid.to_string())
}

/// Parents that let zombies lie.
pub(super) fn zombies(facts: &Facts<'_>) -> Vec<Draft> {
    let mut by_parent: BTreeMap<u32, (usize, u64)> = BTreeMap::new();
    for (key, _) in facts.snapshot.process_stat.iter().filter(|(_, row)| row.state == ProcessState::Z) {
        let Some(row) = facts.snapshot.process.get(key) else { continue };
        let (count, oldest) = by_parent.entry(row.ppid).or_default();
        *count += 1;
        *oldest = (*oldest).max(facts.watch.nanos_in(key, ProcessState::Z, facts.now).unwrap_or(0));
    }
    let rows = by_parent.into_iter().filter_map(|(ppid, (count, oldest))| {
        let (key, row) = process(facts, ppid)?;
        let severity = match count {
            PILE.. => Severity::Attention,
            _ if oldest >= ZOMBIE_AFTER => Severity::Info,
            _ => return None,
        };
        let told =
            vec![evidence("zombies", count.to_string(), format!("/proc/*/stat: Z with parent {ppid}"))];
        Some(of_process(facts, key, row, severity, told))
    });
    rows.collect()
}

fn process<'a>(facts: &Facts<'a>, pid: u32) -> Option<(ProcessKey, &'a Process)> {
    let of_pid = ProcessKey { pid, start_time: 0 }..=ProcessKey { pid, start_time: u64::MAX };
    facts.snapshot.process.range(of_pid).next_back().map(|(key, row)| (*key, &**row))
}

/// Who runs what is no longer there.
pub(super) fn deleted_binary(facts: &Facts<'_>) -> Vec<Draft> {
    let rows = facts.deleted.iter().filter_map(|(key, path)| {
        let row = facts.snapshot.process.get(key)?;
        let source = format!("/proc/{}/exe", key.pid);
        let told = vec![evidence("binary", format!("{} (deleted)", unit::printable(path)), source)];
        Some(of_process(facts, *key, row, Severity::Attention, told))
    });
    rows.collect()
}

/// In D at every look for some time. Who is frozen on purpose (v1 shows that as D) waits for a person, not for a disk.
pub(super) fn stuck_in_d(facts: &Facts<'_>) -> Vec<Draft> {
    let waiting = facts.snapshot.process_stat.iter().filter(|(_, row)| row.state == ProcessState::D);
    let rows = waiting.filter_map(|(key, stat)| {
        facts.watch.nanos_in(key, ProcessState::D, facts.now).filter(|nanos| *nanos >= STUCK_AFTER)?;
        let row = facts.snapshot.process.get(key).filter(|row| !row.kernel_thread)?;
        let container = row.container.as_ref().map(|id| ContainerKey { id: id.clone() });
        let paused = container
            .and_then(|key| facts.snapshot.container.get(&key))
            .is_some_and(|row| row.state == ContainerState::Paused);
        if paused || stat.wait_channel.as_deref().is_some_and(|at| at.contains("refrigerator")) {
            return None;
        }
        let source = format!("/proc/{}/stat", key.pid);
        let mut told = vec![evidence("state", "D at every look for more than 10 s", source)];
        if let Some(channel) = &stat.wait_channel {
            told.push(evidence("waits in", unit::printable(channel), format!("/proc/{}/wchan", key.pid)));
        }
        Some(of_process(facts, *key, row, Severity::Attention, told))
    });
    rows.collect()
}
