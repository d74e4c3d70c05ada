//! Control groups beyond what containers use: fills `cgroup`, `limit`, `oom_kill`, and marks kills in `event` that no engine
//! told of.

use std::io;

use glasshull_shared::domain::cgroup::OomKill;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::unit::{printable, short_id};

use super::container::ContainerPart;
use super::keep_rows;
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::cgroup::KernelLog;
use crate::model::cgroup::{Groups, join_groups, limits};
use crate::model::oom::OomHistory;
use crate::sys::clock;
use crate::sys::root::Root;

/// Ticks between two readings of the tree: settings change rarely.
const SLOW_TICKS: u64 = 10;
/// Older kills are not marked: the timeline shows no more.
const TIMELINE: u64 = 15 * 60 * 1_000_000_000;

/// Readings of the tree and of kills.
pub(crate) struct CgroupPart {
    log: KernelLog,
    history: OomHistory,
    /// Where containers were and how often engines had told something at the last reading of the tree; `None` before it.
    read_for: Option<(Groups, u64)>,
}

impl CgroupPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { log: KernelLog::new(root), history: OomHistory::default(), read_for: None }
    }

    /// Gives back the descriptor; kills stay known.
    pub(crate) fn release(&mut self) {
        self.log.release();
        self.read_for = None;
    }

    /// Reads the tree when its turn has come, or something may have changed in it.
    pub(crate) fn read_limits(
        &mut self,
        containers: &ContainerPart,
        next: &mut Snapshot,
        ticks: u64,
        troubles: &mut Troubles,
    ) {
        let groups: Groups =
            containers.cgroups().groups().map(|(key, paths)| (key.clone(), paths.to_vec())).collect();
        let told = containers.told();
        let same = self.read_for.as_ref().is_some_and(|(known, when)| *known == groups && *when == told);
        if same && !ticks.is_multiple_of(SLOW_TICKS) {
            return;
        }
        let mut reading = containers.cgroups().tree();
        if reading.groups.is_empty() {
            return troubles.stale(collect::LIMIT, "no control group can be read".into());
        }
        join_groups(&mut reading.groups, &groups);
        next.limit = keep_rows(limits(&reading.groups, &groups), &next.limit);
        next.cgroup = keep_rows(reading.groups, &next.cgroup);
        self.read_for = Some((groups, told));
        let mut reasons = reading.notices;
        if reading.cut {
            reasons.push("the tree of control groups goes on beyond what is read".into());
        }
        if reasons.is_empty() {
            troubles.none(collect::LIMIT);
        } else {
            troubles.limited(collect::LIMIT, reasons.join("; "));
        }
    }

    /// Takes in what the log, the counters and the engines told of kills since.
    pub(crate) fn read_kills(
        &mut self,
        containers: &mut ContainerPart,
        next: &mut Snapshot,
        demand: TopicSet,
        troubles: &mut Troubles,
    ) {
        let now = clock::now_nanos();
        match self.log.read() {
            Ok(kills) => {
                self.history.take_log(kills, |path| whose(next, path));
                troubles.none(collect::KERNEL_LOG);
            }
            Err(error) => troubles.set(collect::KERNEL_LOG, trouble(&error)),
        }
        if collect::CGROUP.needed(demand) {
            self.history.take_counters(&next.container_stat, now);
        }
        self.history.take_events(&next.event);
        self.history.take_ends(&next.container);
        for kill in self.history.unmarked(now, now.saturating_sub(TIMELINE)) {
            let Some(id) = kill.container.clone() else { continue };
            let row = next.container.get(&ContainerKey { id: id.clone() });
            let text = text(&id, row.map(|row| &**row), &kill);
            self.history.made(containers.note(EventKind::OomKill, &id, kill.at, text));
        }
        if demand.contains(Topic::OomKill) {
            next.oom_kill.clone_from(self.history.rows());
        }
    }
}

fn text(id: &str, row: Option<&Container>, kill: &OomKill) -> String {
    let name = row.map_or_else(|| short_id(id).to_owned(), |row| printable(&row.name));
    match (&kill.comm, kill.pid) {
        (Some(comm), Some(pid)) => format!("{name} OOM-killed: {comm} ({pid})"),
        (Some(_) | None, _) => format!("{name} OOM-killed"),
    }
}

/// The container in or below whose group a path is.
fn whose(next: &Snapshot, path: &str) -> Option<String> {
    let inside =
        |own: &str| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let of = |row: &Container| row.cgroup.as_deref().is_some_and(|own| own.len() > 1 && inside(own));
    let found = next.container.iter().filter(|(_, row)| of(row));
    let nearest = found.max_by_key(|(_, row)| row.cgroup.as_ref().map_or(0, String::len));
    nearest.map(|(key, _)| key.id.clone())
}

fn trouble(error: &io::Error) -> Trouble {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let capability = denied.then(|| "CAP_SYSLOG".to_owned());
    let remedy = if denied {
        Some(grant("CAP_SYSLOG"))
    } else {
        (error.kind() == io::ErrorKind::NotFound)
            .then(|| "in a container: --device /dev/kmsg --cap-add SYSLOG".to_owned())
    };
    Trouble {
        state: SourceState::Limited,
        reason: format!("/dev/kmsg: {error}: OOM kills are counted, but victims are not named"),
        capability,
        remedy,
        collected_at: None,
    }
}
