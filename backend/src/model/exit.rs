//! Ends of processes related to what was known: names, containers, and which of them no table ever showed.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ExitKey, ExitedProcess, Process, ProcessKey};

/// Who lives shorter is short-lived: a table of processes shows it by chance at most.
const SHORT_NANOS: u64 = 1_000_000_000;
/// Containers whose short-lived processes are counted, before those that are gone are forgotten.
const COUNTED_AT_MOST: usize = 4096;
/// Ends that are kept.
pub(crate) const ENDS_KEPT: usize = 300;

/// The ends so far and how many of them were short-lived.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    /// The newest ends.
    pub table: Table<ExitKey, ExitedProcess>,
    /// Short-lived processes in all, since watching began.
    pub short_lived: u64,
    /// The same by container id.
    pub by_container: BTreeMap<String, u64>,
    sequence: u64,
}

impl Exits {
    /// Takes in new ends, each with the cgroup path seen at its last exec. `known` is the last table of processes. What the
    /// events saw of an end is newer than its row there, which fills what they did not see.
    pub(crate) fn join_ends(
        &mut self,
        ends: impl IntoIterator<Item = (ExitedProcess, Option<String>)>,
        known: &Table<ProcessKey, Process>,
    ) {
        for (mut end, cgroup) in ends {
            end.short_lived = end.lifetime_nanos.is_some_and(|nanos| nanos < SHORT_NANOS);
            let row = find(known, end.pid).filter(|row| same_process(row, &end));
            let parent = end.ppid.and_then(|p| find(known, p));
            end.container = match (&cgroup, row) {
                (Some(path), _) => cgroup_path::parse(path).map(|c| c.id),
                (None, Some(row)) => row.container.clone(),
                (None, None) => parent.and_then(|p| p.container.clone()),
            };
            // A fork that executed nothing still has its parent's name.
            end.comm = end.comm.or_else(|| row.or(parent).map(|p| p.comm.clone()));
            if let Some(row) = row {
                end.cmdline = end.cmdline.or_else(|| row.cmdline.clone());
                end.ppid = end.ppid.or(Some(row.ppid));
                let lifetime = end.exited_at.saturating_sub(row.started_at);
                end.lifetime_nanos = end.lifetime_nanos.or(Some(lifetime));
            }
            self.count(&end);
            self.sequence += 1;
            self.table.insert(ExitKey { sequence: self.sequence }, Arc::new(end));
        }
        while self.table.len() > ENDS_KEPT {
            self.table.pop_first();
        }
    }

    /// Counts ends of which nothing but the number is known.
    pub(crate) fn count_unknown(&mut self, ends: u64) {
        self.short_lived += ends;
    }

    fn count(&mut self, end: &ExitedProcess) {
        if !end.short_lived {
            return;
        }
        self.short_lived += 1;
        let Some(container) = &end.container else { return };
        if self.by_container.len() >= COUNTED_AT_MOST && !self.by_container.contains_key(container) {
            // The smallest count tells least; it is mostly of a container that is long gone.
            let least = self.by_container.iter().min_by_key(|(_, n)| **n).map(|(id, _)| id.clone());
            least.and_then(|id| self.by_container.remove(&id));
        }
        *self.by_container.entry(container.clone()).or_default() += 1;
    }
}

/// Whether a row is of the process that ended, and not of one that had its pid before. Start times rest on the boot time,
/// which is known to the second.
fn same_process(row: &Process, end: &ExitedProcess) -> bool {
    let began = end.lifetime_nanos.map(|nanos| end.exited_at.saturating_sub(nanos));
    began.is_none_or(|began| began.abs_diff(row.started_at) < 2_000_000_000)
}

fn find(processes: &Table<ProcessKey, Process>, pid: u32) -> Option<&Process> {
    let from = ProcessKey { pid, start_time: 0 };
    let to = ProcessKey { pid, start_time: u64::MAX };
    processes.range(from..=to).next_back().map(|(_, row)| &**row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(pid: u32, ppid: u32, lifetime_nanos: Option<u64>) -> ExitedProcess {
        ExitedProcess { pid, ppid: Some(ppid), lifetime_nanos, exited_at: 100, ..ExitedProcess::default() }
    }

    fn known() -> Table<ProcessKey, Process> {
        let row =
            Process { comm: "sh".into(), container: Some("c1".into()), started_at: 40, ..Process::default() };
        [(ProcessKey { pid: 10, start_time: 1 }, Arc::new(row))].into()
    }

    #[test]
    fn a_row_fills_what_the_events_did_not_see() {
        let mut exits = Exits::default();
        exits.join_ends([(end(10, 1, None), None)], &known());
        let row = exits.table.first_key_value().unwrap().1;
        assert_eq!((row.short_lived, row.lifetime_nanos, row.comm.as_deref()), (false, Some(60), Some("sh")));
        assert_eq!((exits.short_lived, row.container.as_deref()), (0, Some("c1")));
    }

    #[test]
    fn what_the_events_saw_is_newer_than_the_row() {
        let mut exits = Exits::default();
        let id = "a".repeat(64);
        let seen = ExitedProcess { comm: Some("ls".into()), ..end(10, 1, Some(60)) };
        exits.join_ends([(seen, Some(format!("/docker/{id}")))], &known());
        let row = exits.table.first_key_value().unwrap().1;
        assert_eq!((row.comm.as_deref(), row.container.as_deref()), (Some("ls"), Some(id.as_str())));
    }

    #[test]
    fn a_row_of_who_had_the_pid_before_tells_nothing() {
        let mut exits = Exits::default();
        let later = ExitedProcess { exited_at: 90_000_000_000, ..end(10, 1, Some(5)) };
        exits.join_ends([(later, None)], &known());
        let row = exits.table.first_key_value().unwrap().1;
        assert_eq!((row.comm.as_deref(), row.container.as_deref(), row.short_lived), (None, None, true));
    }

    #[test]
    fn short_is_a_matter_of_time_and_not_of_which_table_was_read() {
        let mut exits = Exits::default();
        for (lifetime, short) in [(999_999_999, true), (1_000_000_000, false)] {
            exits.join_ends([(end(77, 1, Some(lifetime)), None)], &known());
            assert_eq!(exits.table.last_key_value().unwrap().1.short_lived, short);
        }
    }

    #[test]
    fn a_child_that_executed_nothing_takes_name_and_container_from_its_parent() {
        let mut exits = Exits::default();
        exits.join_ends([(end(11, 10, Some(5)), None)], &known());
        let row = exits.table.first_key_value().unwrap().1;
        assert_eq!((row.comm.as_deref(), row.container.as_deref()), (Some("sh"), Some("c1")));
        assert_eq!((exits.short_lived, exits.by_container["c1"]), (1, 1));
    }

    #[test]
    fn only_the_newest_are_kept_and_all_are_counted() {
        let mut exits = Exits::default();
        let many = (0..1000).map(|n| (end(5000 + n, 10, Some(5)), None));
        exits.join_ends(many, &known());
        assert_eq!((exits.table.len(), exits.short_lived), (ENDS_KEPT, 1000));
        assert_eq!(exits.table.last_key_value().unwrap().0.sequence, 1000);
    }
}
