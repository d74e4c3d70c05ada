//! Joins that several views need: from a pid to its process, from an id to a name, from a container to its processes.

use std::collections::HashMap;

use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessState};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

/// The process that has this pid now.
pub fn process_of_pid(snapshot: &Snapshot, pid: u32) -> Option<(ProcessKey, &Process)> {
    let first = ProcessKey { pid, start_time: 0 };
    let last = ProcessKey { pid, start_time: u64::MAX };
    snapshot.process.range(first..=last).next_back().map(|(key, row)| (*key, &**row))
}

/// A container by its id.
pub fn container<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Container> {
    snapshot.container.get(&ContainerKey { id: id.to_owned() }).map(|c| &**c)
}

/// A container's name; its shortened id while nobody told a name.
pub fn container_name(snapshot: &Snapshot, id: &str) -> String {
    match container(snapshot, id).filter(|c| !c.name.is_empty()) {
        Some(c) => c.name.clone(),
        None => unit::short_id(id).to_owned(),
    }
}

/// The names of all containers by id, for loops over many processes.
pub fn container_names(snapshot: &Snapshot) -> HashMap<&str, &str> {
    let named = snapshot.container.iter().filter(|(_, c)| !c.name.is_empty());
    named.map(|(key, c)| (key.id.as_str(), c.name.as_str())).collect()
}

/// Processes of a container (`None`: of the host itself, without kernel threads) in the order they were started.
pub fn processes_of(snapshot: &Snapshot, container: Option<&str>) -> Vec<ProcessKey> {
    let own = |p: &Process| p.container.as_deref() == container && !p.kernel_thread;
    let mut keys: Vec<_> = snapshot.process.iter().filter(|(_, p)| own(p)).map(|(key, _)| *key).collect();
    keys.sort_unstable_by_key(|key| (key.start_time, key.pid));
    keys
}

/// State of a process; sleeping while nobody told.
pub fn state_of(snapshot: &Snapshot, key: ProcessKey) -> ProcessState {
    snapshot.process_stat.get(&key).map_or_else(ProcessState::default, |s| s.state)
}

/// Ancestors of a process, nearest first, as far as they are known.
pub fn ancestors(snapshot: &Snapshot, key: ProcessKey) -> Vec<(ProcessKey, &Process)> {
    let mut found = Vec::new();
    let mut ppid = snapshot.process.get(&key).map_or(0, |p| p.ppid);
    // A chain longer than this is a loop made of reused pids.
    while ppid != 0 && found.len() < 64 {
        let Some((parent, row)) = process_of_pid(snapshot, ppid) else { break };
        found.push((parent, row));
        ppid = row.ppid;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn snapshot(rows: &[(u32, u64, u32, Option<&str>)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for &(pid, start_time, ppid, container) in rows {
            let row = Process { ppid, container: container.map(str::to_owned), ..Process::default() };
            snapshot.process.insert(ProcessKey { pid, start_time }, Arc::new(row));
        }
        snapshot
    }

    #[test]
    fn a_reused_pid_is_the_younger_process() {
        let snapshot = snapshot(&[(7, 10, 1, None), (7, 90, 1, None), (8, 20, 1, None)]);
        assert_eq!(process_of_pid(&snapshot, 7).map(|p| p.0.start_time), Some(90));
        assert!(process_of_pid(&snapshot, 9).is_none());
    }

    #[test]
    fn processes_come_in_the_order_of_their_start() {
        let snapshot =
            snapshot(&[(3, 30, 1, Some("a")), (9, 10, 1, Some("a")), (5, 10, 1, Some("a")), (1, 0, 0, None)]);
        let pids: Vec<_> = processes_of(&snapshot, Some("a")).iter().map(|k| k.pid).collect();
        assert_eq!(pids, [5, 9, 3]);
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let snapshot = snapshot(&[(2, 1, 3, None), (3, 1, 2, None)]);
        assert_eq!(ancestors(&snapshot, ProcessKey { pid: 2, start_time: 1 }).len(), 64);
    }
}
