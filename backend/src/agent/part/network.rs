//! Network namespaces, links, neighbours, routes: fills `netns`, `link`, `link_stat`, `neighbour`, `route`.

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{LinkKey, LinkStat};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::{Raw, keep_of, keep_rows};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::network::{NetworkReader, NetworkReading, Want};
use crate::model::network::{join_links, join_namespaces, join_neighbours};
use crate::sys::clock;
use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Ticks between two readings of neighbours and routes, which change rarely and cost as much as links.
const SLOW_TICKS: u64 = 2;

/// Readings of the network.
pub(crate) struct NetworkPart {
    root: Root,
    /// Both capabilities that show other users' processes whole: what is hidden all the same holds more than we do.
    sees_all: bool,
    reader: NetworkReader,
    stat: Raw<LinkKey, LinkStat>,
    /// Namespaces of the last reading and how to get there.
    targets: Vec<Target>,
}

impl NetworkPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, sees_all: bool) -> Self {
        Self {
            reader: NetworkReader::new(root.clone()),
            stat: Raw::default(),
            targets: Vec::new(),
            root,
            sees_all,
        }
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone(), self.sees_all);
    }

    /// The namespaces of the last reading and how to get there.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Reads all namespaces; `processes` says where to look, `next` must have its containers joined already.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        next: &mut Snapshot,
        (demand, ticks): (TopicSet, u64),
        troubles: &mut Troubles,
    ) {
        let due = ticks.is_multiple_of(SLOW_TICKS);
        let want = Want {
            neighbours: demand.contains(Topic::Neighbour) && (due || next.neighbour.is_empty()),
            routes: demand.contains(Topic::Route) && (due || next.route.is_empty()),
        };
        let now = clock::monotonic();
        let reading = match self.reader.read(processes, want) {
            Ok(reading) => reading,
            Err(error) => return troubles.stale(collect::NETWORK, format!("reading links: {error}")),
        };
        match trouble(&reading, self.sees_all) {
            Some(trouble) => troubles.set(collect::NETWORK, trouble),
            None => troubles.none(collect::NETWORK),
        }
        let NetworkReading {
            mut netns,
            members,
            mut link,
            across,
            mut link_stat,
            mut neighbour,
            mut route,
            failed,
            targets,
            ..
        } = reading;
        self.targets = targets;
        for inode in failed {
            keep_of(inode, |key| key.netns, &next.link, &mut link);
            keep_of(inode, |key| key.netns, &self.stat.rows, &mut link_stat);
            keep_of(inode, |key| key.netns, &next.neighbour, &mut neighbour);
            keep_of(inode, |key| key.netns, &next.route, &mut route);
        }
        join_namespaces(&mut netns, &members, &next.process, &next.container);
        join_links(&mut link, &across, &netns, &next.container);
        if want.neighbours {
            join_neighbours(&mut neighbour, &next.neighbour, &link);
            next.neighbour = keep_rows(neighbour, &next.neighbour);
        }
        if want.routes {
            next.route = keep_rows(route, &next.route);
        }
        next.netns = keep_rows(netns, &next.netns);
        next.link = keep_rows(link, &next.link);
        self.stat.show(now, link_stat, &mut next.link_stat);
    }
}

fn trouble(reading: &NetworkReading, sees_all: bool) -> Option<Trouble> {
    let closed = reading.netns.values().filter(|row| row.hidden.is_some()).count();
    let mut reasons = reading.notices.clone();
    let mut missing = Vec::new();
    if reading.hidden_processes > 0 && !sees_all {
        missing.push("CAP_SYS_PTRACE");
        reasons.push(format!("where {} processes are in the network is hidden", reading.hidden_processes));
    }
    if closed > 0 {
        missing.push("CAP_SYS_ADMIN");
        reasons.push(format!("links, neighbours and routes of {closed} network namespaces are hidden"));
    }
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        capability: (!missing.is_empty()).then(|| missing.join(", ")),
        remedy: (!missing.is_empty()).then(|| grant(missing.last().copied().unwrap_or_default())),
        collected_at: None,
    })
}
