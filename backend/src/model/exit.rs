//! Ends of processes related to what was known: names, containers, and which of them no table ever showed.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ExitKey, ExitedProcess, Process, ProcessKey};

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
    /// Takes in new ends, each with the cgroup path seen at its last exec. `known` is the table of processes of the
    /// tick before: who is in it was not short-lived.
    pub(crate) fn join_ends(
        &mut self,
        ends: impl IntoIterator<Item = (ExitedProcess, Option<String>)>,
        known: &Table<ProcessKey, Process>,
    ) {
        for (mut end, cgroup) in ends {
            if let Some(row) = find(known, end.pid) {
                end.comm = Some(row.comm.clone());
                end.cmdline = end.cmdline.or_else(|| row.cmdline.clone());
                end.container.clone_from(&row.container);
                end.ppid = end.ppid.or(Some(row.ppid));
                if end.lifetime_nanos.is_none() {
                    end.lifetime_nanos = Some(end.exited_at.saturating_sub(row.started_at));
                }
            } else {
                let parent = end.ppid.and_then(|p| find(known, p));
                end.short_lived = end.lifetime_nanos.is_some();
                end.container = match &cgroup {
                    Some(path) => cgroup_path::parse(path).map(|c| c.id),
                    None => parent.and_then(|p| p.container.clone()),
                };
                // A fork that executed nothing still has its parent's name.
                end.comm = end.comm.or_else(|| parent.map(|p| p.comm.clone()));
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
        if let Some(container) = &end.container {
            *self.by_container.entry(container.clone()).or_default() += 1;
        }
    }
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
    fn whoever_a_table_showed_was_not_short_lived() {
        let mut exits = Exits::default();
        exits.join_ends([(end(10, 1, None), None)], &known());
        let row = exits.table.first_key_value().unwrap().1;
        assert_eq!((row.short_lived, row.lifetime_nanos, row.comm.as_deref()), (false, Some(60), Some("sh")));
        assert_eq!(exits.short_lived, 0);
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
