//! Network namespaces, links, neighbours, routes: fills `netns`, `link`, `link_stat`, `neighbour`, `route`.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::host::Host;
use glasshull_shared::domain::network::{LinkKey, LinkStat};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use tokio::sync::Notify;

use super::{Raw, is_of_before, keep_of, keep_rows, sees_all};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::network::listen::Listener;
use crate::collect::network::{NetworkReader, NetworkReading, Want};
use crate::model::network::{join_links, join_namespaces, join_neighbours};
use crate::sys::clock;
use crate::sys::netlink_events::Changed;
use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Ticks between two readings of neighbours and routes, which change rarely and cost as much as links.
const SLOW_TICKS: u64 = 2;

/// Readings of the network.
pub(crate) struct NetworkPart {
    root: Root,
    rights: Rights,
    reader: NetworkReader,
    stat: Raw<LinkKey, LinkStat>,
    /// Notified when something changed; `None`: nobody waits for it.
    wake: Option<Arc<Notify>>,
    ear: Ear,
    found: Found,
}

/// Where namespaces were found last: what looks into them by itself goes by it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How to get into each.
    pub targets: Vec<Target>,
    /// Which processes are in which, oldest first.
    pub members: BTreeMap<u64, Vec<ProcessKey>>,
    /// Processes whose namespace may not be asked for.
    pub hidden: Vec<ProcessKey>,
}

/// What we may see and hear.
#[derive(Debug, Clone)]
struct Rights {
    /// Both capabilities that show other users' processes whole: what is hidden all the same holds more than we do.
    sees_all: bool,
    /// CAP_NET_BROADCAST: hears of changes in other namespaces.
    hears_all: bool,
    wake: Arc<Notify>,
}

/// The capability that would help, if one would, and what is not heard.
type Deafness = (Option<&'static str>, String);

/// How changes are heard of.
#[derive(Default)]
enum Ear {
    /// Not at all.
    #[default]
    Off,
    /// As they happen.
    Listening(Listener),
    /// At the next tick only, and why.
    Deaf(String),
}

impl NetworkPart {
    /// A part that has read nothing yet; `wake` is notified of changes once it listens.
    pub(crate) fn new(root: Root, host: &Host, wake: Arc<Notify>) -> Self {
        let hears_all = host.capabilities.iter().any(|c| c == "CAP_NET_BROADCAST");
        Self::with(root, Rights { sees_all: sees_all(host), hears_all, wake })
    }

    fn with(root: Root, rights: Rights) -> Self {
        let reader = NetworkReader::new(root.clone());
        let (stat, found) = (Raw::default(), Found::default());
        Self { root, rights, reader, stat, wake: None, ear: Ear::Off, found }
    }

    /// Where namespaces were found last.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Hears of changes as they happen, whenever links are read.
    pub(crate) fn listen(&mut self) {
        self.wake = Some(Arc::clone(&self.rights.wake));
    }

    /// Hears of nothing until links are read again.
    pub(crate) fn deafen(&mut self) {
        self.ear = Ear::Off;
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        let wake = self.wake.take();
        *self = Self { wake, ..Self::with(self.root.clone(), self.rights.clone()) };
    }

    /// Reads all namespaces; `processes` says where to look, `next` must have its containers joined already.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        next: &mut Snapshot,
        (demand, ticks): (TopicSet, u64),
        troubles: &mut Troubles,
    ) {
        let wanted =
            Want { neighbours: demand.contains(Topic::Neighbour), routes: demand.contains(Topic::Route) };
        let changed = self.hear(wanted);
        let due = ticks.is_multiple_of(SLOW_TICKS);
        let want = Want {
            neighbours: wanted.neighbours && (due || changed.neighbours || next.neighbour.is_empty()),
            routes: wanted.routes && (due || changed.routes || next.route.is_empty()),
        };
        let now = clock::monotonic();
        let reading = match self.reader.read(processes, want) {
            Ok(reading) => reading,
            Err(error) => return troubles.stale(collect::NETWORK, format!("reading links: {error}")),
        };
        match trouble(&reading, self.rights.sees_all, self.deafness()) {
            Some(trouble) => troubles.set(collect::NETWORK, trouble),
            None => troubles.none(collect::NETWORK),
        }
        let failed = reading.failed.clone();
        let link_stat = self.fill(reading, want, next);
        self.stat.show_but(&failed, |key| key.netns, (now, link_stat), &mut next.link_stat);
    }

    /// Between two ticks: reads again what was heard to have changed. Rates stay as they are: those of a moment would say
    /// nothing; a link that is new has none yet.
    pub(crate) fn news(&mut self, processes: &Table<ProcessKey, Process>, next: &mut Snapshot) {
        let Ear::Listening(listener) = &self.ear else { return };
        let changed = listener.take();
        if !changed.any() {
            return;
        }
        let want = Want { neighbours: changed.neighbours, routes: changed.routes };
        // What failed now is said at the tick, which will fail as well.
        let Ok(reading) = self.reader.read(processes, want) else { return };
        let failed = reading.failed.clone();
        let mut link_stat = self.fill(reading, want, next);
        keep_of(&failed, |key| key.netns, &next.link_stat, &mut link_stat);
        for (key, row) in &mut link_stat {
            if let Some(shown) = next.link_stat.get(key) {
                *row = Arc::clone(shown);
            }
        }
        next.link_stat = link_stat;
    }

    /// Puts a reading into the tables and gives back its counters.
    fn fill(&mut self, reading: NetworkReading, want: Want, next: &mut Snapshot) -> Table<LinkKey, LinkStat> {
        let NetworkReading {
            mut netns,
            members,
            mut link,
            across,
            link_stat,
            mut neighbour,
            mut route,
            failed,
            renewed,
            targets,
            hidden,
            ..
        } = reading;
        // What was counted in one that has ended is no basis for rates.
        self.stat.forget(|key| renewed.contains(&key.netns));
        keep_of(&failed, |key| key.netns, &next.link, &mut link);
        keep_of(&failed, |key| key.netns, &next.neighbour, &mut neighbour);
        keep_of(&failed, |key| key.netns, &next.route, &mut route);
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
        self.found = Found { targets, members, hidden };
        link_stat
    }

    /// Begins to listen if it is time to, and says what changed since the last reading.
    fn hear(&mut self, want: Want) -> Changed {
        if let (Some(wake), Ear::Off) = (&self.wake, &self.ear) {
            self.ear = match Listener::start(Arc::clone(wake)) {
                Ok(listener) => Ear::Listening(listener),
                Err(error) => Ear::Deaf(error.to_string()),
            };
        }
        let Ear::Listening(listener) = &self.ear else { return Changed::default() };
        if let Some(why) = listener.failed() {
            self.ear = Ear::Deaf(why);
            return Changed::default();
        }
        listener.want(want);
        listener.take()
    }

    /// Which changes are seen at the next tick only, and why.
    fn deafness(&self) -> Option<Deafness> {
        match &self.ear {
            Ear::Off => None,
            Ear::Deaf(why) => Some((None, format!("changes are seen at the next tick only: {why}"))),
            Ear::Listening(_) if self.rights.hears_all => None,
            Ear::Listening(_) => {
                let others = "changes in other namespaces are seen at the next tick only".to_owned();
                Some((Some("CAP_NET_BROADCAST"), others))
            }
        }
    }
}

fn trouble(reading: &NetworkReading, sees_all: bool, deafness: Option<Deafness>) -> Option<Trouble> {
    let closed = reading.netns.values().filter(|row| row.hidden.is_some()).count();
    let mut reasons = reading.notices.clone();
    let mut missing = Vec::new();
    if let Some((capability, deafness)) = deafness {
        missing.extend(capability);
        reasons.push(deafness);
    }
    if !reading.hidden.is_empty() && !sees_all {
        missing.push("CAP_SYS_PTRACE");
        reasons.push(format!("where {} processes are in the network is hidden", reading.hidden.len()));
    }
    if closed > 0 {
        missing.push("CAP_SYS_ADMIN");
        reasons.push(format!("links, neighbours and routes of {closed} network namespaces are hidden"));
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
