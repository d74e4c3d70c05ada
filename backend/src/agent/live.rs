//! The live source: runs the collectors somebody needs, relates what they read, and makes the snapshot of a tick.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat};
use glasshull_shared::domain::event::{Event, EventKey};
use glasshull_shared::domain::host::{CpuKey, CpuStat, Host, HostStat};
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat, Thread, ThreadKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use tokio::sync::Notify;

use super::source::{Trouble, Troubles, grant, sources};
use crate::collect::cgroup::{CgroupReader, CgroupReading};
use crate::collect::container::{EngineReading, Engines, Options};
use crate::collect::process::{ProcessReader, Scale, thread};
use crate::collect::process_events::ProcessEvents;
use crate::collect::runtime::RuntimeReader;
use crate::collect::{self, own_cost};
use crate::config::Common;
use crate::model::exit::Exits;
use crate::model::join::{Joined, Known, join_containers};
use crate::model::rate;
use crate::sys::root::Root;
use crate::sys::{clock, limits};

/// Descriptors left to sockets, engines and cgroup files when processes keep theirs.
const DESCRIPTORS_SPARED: usize = 4096;
/// Events kept for the timeline.
const EVENTS_KEPT: usize = 200;
/// Ticks between two attempts at a source that is missing.
const RETRY_TICKS: u64 = 30;
/// Ticks between two readings of processes while nobody looks at processes themselves.
const MEMBERS_TICKS: u64 = 5;
/// Tables that show processes.
const PROCESS_TABLES: [Topic; 3] = [Topic::Process, Topic::ProcessStat, Topic::Thread];

/// A snapshot and what of it means something.
#[derive(Debug)]
pub(crate) struct Sample {
    /// All tables; those not in `collected` are from before or empty.
    pub snapshot: Arc<Snapshot>,
    /// Tables that were read for this sample.
    pub collected: TopicSet,
    /// Instant the reading was finished, nanoseconds since the epoch.
    pub at: u64,
    /// Measured time since the sample before; `None` for the first one and between ticks.
    pub interval_nanos: Option<u64>,
}

/// Readings without rates, and when they were made: the basis of the next rates.
#[derive(Default)]
struct Raw {
    process: (u64, Table<ProcessKey, ProcessStat>),
    thread: (u64, Table<ThreadKey, Thread>),
    container: (u64, Table<ContainerKey, ContainerStat>),
    host: (u64, Table<Single, HostStat>),
    cpu: Table<CpuKey, CpuStat>,
    agent: (u64, AgentStat),
}

/// What clients cost, as the serving side counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Serving {
    /// Clients connected.
    pub clients: u32,
    /// Bytes sent since start.
    pub sent_bytes: u64,
}

/// The live source.
pub(crate) struct Live {
    root: Root,
    scale: Scale,
    common: Common,
    host: Arc<Host>,
    wake: Arc<Notify>,
    keep_at_most: usize,
    processes: Option<ProcessReader>,
    events: Option<ProcessEvents>,
    engines: Option<Engines>,
    engine: EngineReading,
    cgroups: CgroupReader,
    runtime: RuntimeReader,
    runtime_containers: Table<ContainerKey, Container>,
    joined: Joined,
    frozen: BTreeSet<ContainerKey>,
    /// As collected: without containers.
    process_rows: Table<ProcessKey, Process>,
    exits: Exits,
    /// Executed since processes were last read.
    executed: Vec<u32>,
    happened: Table<EventKey, Event>,
    happened_sequence: u64,
    raw: Raw,
    troubles: Troubles,
    containers_only: bool,
    last: Arc<Snapshot>,
    ticks: u64,
    last_tick: Option<u64>,
}

impl Live {
    /// A source that has read nothing yet. `wake` is notified when an engine's news should be published at once.
    ///
    /// # Errors
    /// When the host's `/proc` cannot be read at all.
    pub(crate) fn new(common: Common, wake: Arc<Notify>) -> Result<Self> {
        let root = Root::host();
        let mut host = collect::host::read_identity(&root, common.mask_args)?;
        let cgroups = CgroupReader::new(root.clone());
        host.cgroup_mode = cgroups.mode();
        let scale = Scale {
            boot_at: host.boot_at,
            ticks_per_sec: host.ticks_per_sec.into(),
            page_bytes: rustix::param::page_size() as u64,
        };
        let limit = limits::raise_open_files();
        Ok(Self {
            cgroups,
            runtime: RuntimeReader::new(root.clone()),
            runtime_containers: Table::new(),
            joined: Joined::default(),
            frozen: BTreeSet::new(),
            process_rows: Table::new(),
            root,
            scale,
            common,
            host: Arc::new(host),
            wake,
            keep_at_most: limit.saturating_sub(DESCRIPTORS_SPARED).max(limit / 2),
            processes: None,
            events: None,
            engines: None,
            engine: EngineReading::default(),
            exits: Exits::default(),
            executed: Vec::new(),
            happened: Table::new(),
            happened_sequence: 0,
            raw: Raw::default(),
            troubles: Troubles::new(),
            containers_only: false,
            last: Arc::default(),
            ticks: 0,
            last_tick: None,
        })
    }

    /// Whether samples leave out processes that are neither a container's nor the kernel's.
    pub(crate) fn containers_only(&mut self, only: bool) {
        self.containers_only = only;
    }

    /// What the host is.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// How the engines are doing, without reading anything else.
    pub(crate) fn engines(&self) -> Option<&Engines> {
        self.engines.as_ref()
    }

    /// Nobody watches: gives back descriptors, threads and connections. Counters begin afresh with the next watcher.
    pub(crate) fn release(&mut self) {
        self.processes = None;
        self.events = None;
        self.engines = None;
        self.raw = Raw::default();
        self.cgroups = CgroupReader::new(self.root.clone());
        self.runtime = RuntimeReader::new(self.root.clone());
        self.runtime_containers = Table::new();
        self.joined = Joined::default();
        self.frozen = BTreeSet::new();
        self.process_rows = Table::new();
        self.engine = EngineReading::default();
        self.last = Arc::default();
        self.last_tick = None;
    }

    /// Begins what works in the background for these tables. Needs a tokio runtime.
    pub(crate) fn prepare(&mut self, demand: TopicSet) {
        if collect::ENGINE.needed(demand) && self.engines.is_none() {
            let wake = Arc::clone(&self.wake);
            self.engines = Some(Engines::start(self.common.engine.clone(), wake, Options::default()));
        }
        let retry = self.events.is_none() && self.ticks.is_multiple_of(RETRY_TICKS);
        if collect::PROCESS_EVENTS.needed(demand) && retry {
            match ProcessEvents::start(self.root.clone(), self.common.mask_args) {
                Ok(events) => {
                    self.events = Some(events);
                    self.troubles.remove(collect::PROCESS_EVENTS.name);
                }
                Err(error) => self.no_events(&error.to_string()),
            }
        }
    }

    fn no_events(&mut self, error: &str) {
        let trouble = Trouble {
            state: SourceState::Missing,
            reason: format!(
                "the kernel refuses process events ({error}): processes that live shorter than a tick are not seen"
            ),
            capability: Some("CAP_NET_ADMIN".into()),
            remedy: Some(format!(
                "{}; it must be in the host's network and pid namespaces",
                grant("CAP_NET_ADMIN")
            )),
            collected_at: None,
        };
        self.events = None;
        self.troubles.insert(collect::PROCESS_EVENTS.name, trouble);
    }

    /// Reads everything these tables need.
    pub(crate) fn tick(&mut self, demand: TopicSet, serving: Serving) -> Sample {
        let began = clock::monotonic();
        self.prepare(demand);
        self.ticks += 1;
        let mut next = Snapshot::clone(&self.last);
        next.host = [(Single, Arc::clone(&self.host))].into();
        if collect::HOST.needed(demand) {
            self.read_host(&mut next, began);
        }
        if collect::PROCESS.needed(demand) {
            self.read_processes(&mut next, began, demand);
        }
        if collect::THREAD.needed(demand) {
            self.read_threads(&mut next);
        }
        self.take_engines(&mut next);
        if collect::CGROUP.needed(demand) {
            self.read_cgroups(&mut next);
        }
        next.source = sources(demand, &self.troubles);
        if collect::OWN_COST.needed(demand) {
            self.read_own_cost(&mut next, began, serving);
        }
        if self.containers_only {
            leave_out_host(&mut next);
        }
        self.last = Arc::new(next);
        let interval_nanos = self.last_tick.replace(began).map(|last| began.saturating_sub(last));
        Sample { snapshot: Arc::clone(&self.last), collected: demand, at: clock::now_nanos(), interval_nanos }
    }

    /// Takes over what the engines told since, without reading anything else: for news between two ticks.
    pub(crate) fn engine_news(&mut self, demand: TopicSet) -> Sample {
        let mut next = Snapshot::clone(&self.last);
        self.take_engines(&mut next);
        if self.containers_only {
            leave_out_host(&mut next);
        }
        self.last = Arc::new(next);
        Sample {
            snapshot: Arc::clone(&self.last),
            collected: demand,
            at: clock::now_nanos(),
            interval_nanos: None,
        }
    }

    fn read_host(&mut self, next: &mut Snapshot, now: u64) {
        match collect::host::read_load(&self.root) {
            Ok(mut reading) => {
                if let (Some(row), true) = (reading.stat.get_mut(&Single), self.events.is_some()) {
                    Arc::make_mut(row).short_lived = Some(self.exits.short_lived);
                }
                let nanos = now.saturating_sub(self.raw.host.0);
                next.host_stat = rate::rate_host(&self.raw.host.1, &reading.stat, nanos);
                next.cpu = rate::rate_cpus(&self.raw.cpu, &reading.cpu);
                self.raw.host = (now, reading.stat);
                self.raw.cpu = reading.cpu;
                self.troubles.remove(collect::HOST.name);
            }
            Err(error) => self.stale(collect::HOST.name, &format!("{error:#}")),
        }
    }

    fn stale(&mut self, name: &'static str, reason: &str) {
        let before = self.troubles.get(name).filter(|t| t.state == SourceState::Stale);
        let collected_at = before.map_or_else(|| Some(clock::now_nanos()), |t| t.collected_at);
        let reason = reason.to_owned();
        let trouble = Trouble { state: SourceState::Stale, reason, collected_at, ..Trouble::default() };
        self.troubles.insert(name, trouble);
    }

    fn read_processes(&mut self, next: &mut Snapshot, now: u64, demand: TopicSet) {
        let events = self.events.as_ref().map(ProcessEvents::read).unwrap_or_default();
        if let Some(error) = &events.failed {
            self.no_events(error);
        }
        self.exits.count_unknown(events.ends_dropped);
        self.exits.join_ends(events.ends, &next.process);
        next.exited_process.clone_from(&self.exits.table);
        self.executed.extend(events.executed);
        // Who looks at containers alone needs to know which processes they have, not what each does.
        let members_only = !PROCESS_TABLES.iter().any(|t| demand.contains(*t));
        if members_only && !self.ticks.is_multiple_of(MEMBERS_TICKS) && !next.process.is_empty() {
            return;
        }
        let reader = self.processes.get_or_insert_with(|| {
            ProcessReader::new(self.root.clone(), self.scale, self.common.mask_args, self.keep_at_most)
        });
        reader.note_executed(self.executed.drain(..));
        let reading = match reader.read(now) {
            Ok(reading) => reading,
            Err(error) => return self.stale(collect::PROCESS.name, &format!("listing /proc: {error}")),
        };
        self.say_hidden(reading.hidden_io);
        let nanos = now.saturating_sub(self.raw.process.0);
        let before = &self.raw.process.1;
        next.process_stat =
            rate::rate_processes(before, &reading.stat, &next.process_stat, nanos, &reading.io_gap);
        self.raw.process = (now, reading.stat);
        if reading.changed {
            self.process_rows = reading.process;
            self.runtime_containers = self.runtime.read(&self.process_rows);
            self.join(next);
        }
    }

    fn say_hidden(&mut self, hidden_io: usize) {
        // With both capabilities only processes that hold more than we do stay hidden (pid 1 in some sandboxes): their
        // cells say so, the source as a whole works.
        let capable = ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];
        let capable = capable.iter().all(|c| self.host.capabilities.iter().any(|have| have == c));
        if hidden_io == 0 || capable {
            self.troubles.remove(collect::PROCESS.name);
            return;
        }
        let trouble = Trouble {
            state: SourceState::Limited,
            reason: "bytes read and written, host paths of binaries, namespaces and PSS of other users' processes are hidden".into(),
            capability: Some("CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH".into()),
            remedy: Some("run glasshull as root, or: setcap cap_sys_ptrace,cap_dac_read_search+ep glasshull".into()),
            collected_at: None,
        };
        self.troubles.insert(collect::PROCESS.name, trouble);
    }

    fn read_threads(&mut self, next: &mut Snapshot) {
        let now = clock::monotonic();
        let (threads, cut) = thread::read(&self.root, self.scale, &next.process_stat);
        let nanos = now.saturating_sub(self.raw.thread.0);
        next.thread = rate::rate_threads(&self.raw.thread.1, &threads, &next.thread, nanos);
        self.raw.thread = (now, threads);
        if cut {
            let reason = format!("only the first {} threads are read", thread::THREADS_AT_MOST);
            let trouble = Trouble { state: SourceState::Limited, reason, ..Trouble::default() };
            self.troubles.insert(collect::THREAD.name, trouble);
        } else {
            self.troubles.remove(collect::THREAD.name);
        }
    }

    /// Takes over what the engines told, when they told anything new.
    fn take_engines(&mut self, next: &mut Snapshot) {
        let Some(engines) = &self.engines else { return };
        let reading = engines.read();
        for event in &reading.events {
            self.happened_sequence += 1;
            let row = Event {
                at: event.at,
                kind: event.kind,
                container: event.container.clone(),
                text: event.text.clone(),
            };
            self.happened.insert(EventKey { sequence: self.happened_sequence }, Arc::new(row));
        }
        while self.happened.len() > EVENTS_KEPT {
            self.happened.pop_first();
        }
        next.event.clone_from(&self.happened);
        next.engine.clone_from(&reading.engines);
        let changed = reading.generation != self.engine.generation || next.container.is_empty();
        if reading.generation != self.engine.generation {
            self.cgroups.forget_limits(); // `docker update` changes them
        }
        self.engine = reading;
        if changed {
            self.join(next);
        }
    }

    /// Joins engines, runtimes and processes into containers.
    fn join(&mut self, next: &mut Snapshot) {
        let known = Known {
            engines: &self.engine.engines,
            containers: &self.engine.containers,
            runtime: &self.runtime_containers,
            frozen: &self.frozen,
        };
        let mut processes = self.process_rows.clone();
        next.container = join_containers(known, &mut processes, &mut self.joined);
        next.process = processes;
        if self.common.mask_args {
            for row in next.container.values_mut().filter(|c| c.command.is_some()) {
                Arc::make_mut(row).command = None;
            }
        }
    }

    fn read_cgroups(&mut self, next: &mut Snapshot) {
        let now = clock::monotonic();
        let CgroupReading { mut stats, frozen, notices } = self.cgroups.read(self.joined.members());
        if frozen != self.frozen {
            self.frozen = frozen;
            self.join(next);
        }
        self.joined.put_counts(&mut stats);
        if self.events.is_some() {
            for (key, row) in &mut stats {
                let short_lived = self.exits.by_container.get(&key.id).copied().unwrap_or(0);
                Arc::make_mut(row).short_lived = Some(short_lived);
            }
        }
        let nanos = now.saturating_sub(self.raw.container.0);
        next.container_stat =
            rate::rate_containers(&self.raw.container.1, &stats, &next.container_stat, nanos);
        self.raw.container = (now, stats);
        match notices.first() {
            Some(notice) => {
                let trouble =
                    Trouble { state: SourceState::Limited, reason: notice.clone(), ..Trouble::default() };
                self.troubles.insert(collect::CGROUP.name, trouble);
            }
            None => {
                self.troubles.remove(collect::CGROUP.name);
            }
        }
    }

    fn read_own_cost(&mut self, next: &mut Snapshot, began: u64, serving: Serving) {
        let mut row = own_cost::read();
        (row.clients, row.sent_bytes) = (serving.clients, serving.sent_bytes);
        if self.raw.agent.0 != 0 {
            rate::rate_agent(&self.raw.agent.1, &mut row, began.saturating_sub(self.raw.agent.0));
        }
        row.tick_nanos = clock::monotonic().saturating_sub(began);
        self.raw.agent = (began, row.clone());
        next.agent = [(Single, Arc::new(row))].into();
    }
}

/// Drops what tells of the host's own processes.
fn leave_out_host(next: &mut Snapshot) {
    next.process.retain(|_, row| row.container.is_some() || row.kernel_thread);
    let kept = &next.process;
    next.process_stat.retain(|key, _| kept.contains_key(key));
    next.thread.retain(|key, _| kept.contains_key(&key.process()));
    next.exited_process.retain(|_, row| row.container.is_some());
}
