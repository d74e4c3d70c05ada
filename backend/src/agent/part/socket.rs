//! Sockets: fills `socket`, `socket_stat`, `closed_socket`.

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{SocketKey, SocketStat};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::network::Found;
use super::{Raw, is_of_before, keep_of, keep_rows};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::network::socket::{Places, SocketReader, SocketReading};
use crate::model::socket::{Closed, Known, join_sockets, only_containers};
use crate::sys::clock;
use crate::sys::root::Root;

/// Readings of sockets.
pub(crate) struct SocketPart {
    root: Root,
    /// Both capabilities that show other users' processes whole.
    sees_all: bool,
    reader: Option<SocketReader>,
    stat: Raw<SocketKey, SocketStat>,
    closed: Closed,
    /// Closed connections of which nothing is known but the number.
    missed: u64,
}

impl SocketPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, sees_all: bool) -> Self {
        Self { root, sees_all, reader: None, stat: Raw::default(), closed: Closed::default(), missed: 0 }
    }

    /// Gives back the listeners, which keep namespaces alive; what was closed stays known.
    pub(crate) fn release(&mut self) {
        (self.reader, self.stat) = (None, Raw::default());
    }

    /// Reads the sockets of the namespaces found; `next` must have its processes, containers and namespaces joined already.
    pub(crate) fn read(
        &mut self,
        found: &Found,
        processes: &Table<ProcessKey, Process>,
        next: &mut Snapshot,
        demand: TopicSet,
        troubles: &mut Troubles,
    ) {
        let places = Places { targets: &found.targets, members: &found.members, hidden: &found.hidden };
        let reader = self.reader.get_or_insert_with(|| SocketReader::new(self.root.clone()));
        let now = clock::monotonic();
        let mut reading = match reader.read(places, processes, demand.contains(Topic::ClosedSocket)) {
            Ok(reading) => reading,
            Err(error) => return troubles.stale(collect::SOCKET, format!("reading sockets: {error}")),
        };
        let only = only_containers(&next.netns, &reading.hidden_places, &next.process);
        join_sockets(&mut reading.socket, reader.holders(), &next.process, &only);
        keep_of(&reading.failed, |key| key.netns, &next.socket, &mut reading.socket);
        self.missed += reading.closed.missed;
        let known = Known { before: &next.socket, now: &reading.socket, only: &only };
        self.closed.join_ends(std::mem::take(&mut reading.closed.ends), known);
        next.closed_socket.clone_from(&self.closed.table);
        match trouble(&reading, self.missed, self.sees_all) {
            Some(trouble) => troubles.set(collect::SOCKET, trouble),
            None => troubles.none(collect::SOCKET),
        }
        next.socket = keep_rows(reading.socket, &next.socket);
        let stat = (now, reading.stat);
        self.stat.show_but(&reading.failed, |key| key.netns, stat, &mut next.socket_stat);
    }
}

fn trouble(reading: &SocketReading, missed: u64, sees_all: bool) -> Option<Trouble> {
    let mut reasons = reading.notices.clone();
    reasons.sort();
    reasons.dedup();
    let mut missing = Vec::new();
    if reading.hidden_processes > 0 && !sees_all {
        missing.extend(["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        reasons.push(format!("which sockets {} processes have is hidden", reading.hidden_processes));
    }
    if reading.from_files > 0 {
        missing.push("CAP_SYS_ADMIN");
        reasons.push(format!(
            "of {} network namespaces round trips, bytes and closed connections are hidden",
            reading.from_files
        ));
    }
    if reading.left_out > 0 {
        reasons.push(format!("at least {} more sockets are there than are shown", reading.left_out));
    }
    if missed > 0 {
        reasons.push(format!("{missed} closed connections were missed: more came than could be read"));
    }
    reasons.extend(is_of_before(&reading.failed));
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        capability: (!missing.is_empty()).then(|| missing.join(", ")),
        remedy: (!missing.is_empty()).then(|| grant(missing.last().copied().unwrap_or_default())),
        collected_at: None,
    })
}
