//! Processes, their threads and their ends: fills `process_stat`, `thread`, `exited_process`, and `process` as far as a
//! process tells of itself; whose container it is in is joined by [`super::container`].

use glasshull_shared::delta::Table;
use glasshull_shared::domain::host::Host;
use glasshull_shared::domain::process::{Process, ProcessIo, ProcessKey, ProcessStat, Thread, ThreadKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::{Raw, keep_rows, sees_all};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::process::{ProcessReader, Scale, account, thread, waiter};
use crate::collect::process_events::ProcessEvents;
use crate::model::exit::Exits;
use crate::model::rate;
use crate::sys::root::Root;
use crate::sys::{clock, limits};

/// Descriptors left to sockets, engines and cgroup files when processes keep theirs.
const DESCRIPTORS_SPARED: usize = 4096;
/// Ticks between two attempts at process events when they are missing.
const RETRY_TICKS: u64 = 30;
/// Ticks between two readings of processes while nobody looks at processes themselves.
const MEMBERS_TICKS: u64 = 5;
/// Tables that show processes.
const PROCESS_TABLES: [Topic; 5] =
    [Topic::Process, Topic::ProcessStat, Topic::Thread, Topic::ProcessIo, Topic::ContainerIo];

/// What the part needs to know of the host once and for all.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    root: Root,
    scale: Scale,
    mask_args: bool,
    keep_at_most: usize,
    /// Both capabilities that show other users' processes whole.
    sees_all: bool,
}

impl Setting {
    /// Raises our limit of open files on the way: a descriptor is kept per process.
    pub(crate) fn new(root: Root, host: &Host, mask_args: bool) -> Self {
        let limit = limits::raise_open_files();
        Self {
            root,
            scale: Scale {
                boot_at: host.boot_at,
                ticks_per_sec: host.ticks_per_sec.into(),
                page_bytes: rustix::param::page_size() as u64,
            },
            mask_args,
            keep_at_most: limit.saturating_sub(DESCRIPTORS_SPARED).max(limit / 2),
            sees_all: sees_all(host),
        }
    }
}

/// Readings of processes.
pub(crate) struct ProcessPart {
    setting: Setting,
    reader: Option<ProcessReader>,
    events: Option<ProcessEvents>,
    /// Tick at which a refused subscription is tried again; `None` = at once.
    retry_at: Option<u64>,
    /// Ends seen since the agent started.
    exits: Exits,
    /// Executed since processes were last read.
    executed: Vec<u32>,
    /// Events were lost: whoever executed meanwhile is not in `executed`.
    recheck: bool,
    rows: Table<ProcessKey, Process>,
    stat: Raw<ProcessKey, ProcessStat>,
    thread: Raw<ThreadKey, Thread>,
    io: Raw<ProcessKey, ProcessIo>,
    waiters: Option<waiter::Watch>,
}

impl ProcessPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            reader: None,
            events: None,
            retry_at: None,
            exits: Exits::default(),
            executed: Vec::new(),
            recheck: false,
            rows: Table::new(),
            stat: Raw::default(),
            thread: Raw::default(),
            io: Raw::default(),
            waiters: None,
        }
    }

    /// Gives back descriptors and the event socket; the counts of ends stay.
    pub(crate) fn release(&mut self) {
        let exits = std::mem::take(&mut self.exits);
        *self = Self { exits, ..Self::new(self.setting.clone()) };
    }

    /// Processes as collected: without containers.
    pub(crate) fn rows(&self) -> &Table<ProcessKey, Process> {
        &self.rows
    }

    /// Processes too short for a tick since the agent started; `None` when nobody counts them.
    pub(crate) fn short_lived(&self) -> Option<u64> {
        self.events.as_ref().map(|_| self.exits.short_lived)
    }

    /// The same of one container.
    pub(crate) fn short_lived_in(&self, container: &str) -> Option<u64> {
        self.events.as_ref().map(|_| self.exits.by_container.get(container).copied().unwrap_or(0))
    }

    /// Subscribes to process events, and tries again now and then while the kernel refuses.
    pub(crate) fn prepare(&mut self, demand: TopicSet, ticks: u64, troubles: &mut Troubles) {
        let due = self.events.is_none() && self.retry_at.is_none_or(|at| ticks >= at);
        if !due || !collect::PROCESS_EVENTS.needed(demand) {
            return;
        }
        match ProcessEvents::start(self.setting.root.clone(), self.setting.mask_args) {
            Ok(events) => {
                self.events = Some(events);
                troubles.none(collect::PROCESS_EVENTS);
            }
            Err(error) => {
                self.retry_at = Some(ticks + RETRY_TICKS);
                troubles.set(collect::PROCESS_EVENTS, no_events(&error.to_string()));
            }
        }
    }

    /// Reads all processes and takes in the ends since the last tick. True when any process came, went or changed its
    /// identity: [`ProcessPart::rows`] must be joined again then.
    pub(crate) fn read(
        &mut self,
        next: &mut Snapshot,
        now: u64,
        (demand, ticks): (TopicSet, u64),
        troubles: &mut Troubles,
    ) -> bool {
        self.take_events(next, troubles);
        // Who looks at containers alone needs to know which processes they have, not what each does.
        let members_only = !PROCESS_TABLES.iter().any(|t| demand.contains(*t));
        if members_only && !ticks.is_multiple_of(MEMBERS_TICKS) && !next.process.is_empty() {
            return false;
        }
        let setting = &self.setting;
        let reader = self.reader.get_or_insert_with(|| {
            ProcessReader::new(setting.root.clone(), setting.scale, setting.mask_args, setting.keep_at_most)
        });
        reader.note_executed(self.executed.drain(..));
        if std::mem::take(&mut self.recheck) {
            reader.recheck_all();
        }
        let reading = match reader.read(now) {
            Ok(reading) => reading,
            Err(error) => {
                troubles.stale(collect::PROCESS, format!("listing /proc: {error}"));
                return false;
            }
        };
        // With both capabilities only processes that hold more than we do stay hidden (pid 1 in some sandboxes): their
        // cells say so, the source as a whole works.
        if reading.failed > 0 {
            troubles.stale(
                collect::PROCESS,
                format!("{} processes could not be read: out of descriptors?", reading.failed),
            );
        } else if reading.hidden_io == 0 || setting.sees_all {
            troubles.none(collect::PROCESS);
        } else {
            troubles.set(collect::PROCESS, hidden());
        }
        let shown = std::mem::take(&mut next.process_stat);
        next.process_stat = self.stat.advance(now, reading.stat, |before, rows, nanos| {
            rate::rate_processes(before, rows, &shown, nanos, &reading.io_gap)
        });
        if reading.changed {
            self.rows = reading.process;
        }
        reading.changed
    }

    fn take_events(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        let events = self.events.as_ref().map(ProcessEvents::read).unwrap_or_default();
        if let Some(error) = &events.failed {
            self.events = None;
            troubles.set(collect::PROCESS_EVENTS, no_events(error));
        }
        if events.overruns > 0 {
            self.recheck = true;
            let reason = "the kernel dropped process events: more came than we could read".to_owned();
            troubles.limited(collect::PROCESS_EVENTS, reason);
        } else if self.events.is_some() {
            troubles.none(collect::PROCESS_EVENTS);
        }
        self.exits.count_unknown(events.ends_dropped);
        self.exits.join_ends(events.ends, &next.process);
        next.exited_process.clone_from(&self.exits.table);
        self.executed.extend(events.executed);
    }

    /// Reads the threads of all processes that have several.
    pub(crate) fn read_threads(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        let (threads, cut) = thread::read(&self.setting.root, self.setting.scale, &next.process_stat);
        self.thread.show(clock::monotonic(), threads, &mut next.thread);
        if cut {
            let most = thread::THREADS_AT_MOST;
            troubles.limited(collect::THREAD, format!("only the first {most} threads are read"));
        } else {
            troubles.none(collect::THREAD);
        }
    }

    /// Reads what all processes ask of files and wait for.
    pub(crate) fn read_io(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        let reading =
            account::read(&self.setting.root, self.setting.scale, next.process_stat.keys().copied());
        self.io.show(clock::monotonic(), reading.rows, &mut next.process_io);
        if reading.hidden > 0 && !self.setting.sees_all {
            troubles.set(collect::PROCESS_IO, hidden());
        } else if reading.delays_off {
            troubles.set(collect::PROCESS_IO, no_delays());
        } else {
            troubles.none(collect::PROCESS_IO);
        }
    }

    /// Takes over who was seen waiting; the first call starts to look. `next` must have its containers joined.
    pub(crate) fn read_waiters(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        if self.waiters.is_none() {
            match waiter::Watch::start(self.setting.root.clone()) {
                Ok(watch) => self.waiters = Some(watch),
                Err(error) => {
                    return troubles.stale(collect::WAITER, format!("no thread to look on: {error}"));
                }
            }
        }
        if let Some(watch) = &mut self.waiters {
            next.waiter = keep_rows(watch.rows(&next.process), &next.waiter);
            troubles.none(collect::WAITER);
        }
    }

    /// Nobody wants to know who waits.
    pub(crate) fn stop_waiters(&mut self) {
        self.waiters = None;
    }
}

fn no_events(error: &str) -> Trouble {
    Trouble {
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
    }
}

fn no_delays() -> Trouble {
    Trouble {
        state: SourceState::Limited,
        reason: "the kernel's delay accounting is off: how long processes wait for block I/O is unknown"
            .into(),
        capability: None,
        remedy: Some("sysctl kernel.task_delayacct=1; it counts for processes that start afterwards".into()),
        collected_at: None,
    }
}

fn hidden() -> Trouble {
    Trouble {
        state: SourceState::Limited,
        reason: "bytes read and written, host paths of binaries, namespaces and PSS of other users' processes are hidden"
            .into(),
        capability: Some("CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH".into()),
        remedy: Some("run glasshull as root, or: setcap cap_sys_ptrace,cap_dac_read_search+ep glasshull".into()),
        collected_at: None,
    }
}
