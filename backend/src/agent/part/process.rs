//! Processes, their threads and their ends: fills `process_stat`, `thread`, `exited_process`, and `process` as far as a
//! process tells of itself; whose container it is in is joined by [`super::container`].

use std::io;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::host::Host;
use glasshull_shared::domain::process::{
    Process, ProcessDelay, ProcessIo, ProcessKey, ProcessStat, Thread, ThreadKey,
};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::{Raw, keep_rows, sees_all};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::process::account::IoReader;
use crate::collect::process::delay::DelayReader;
use crate::collect::process::{Awake, ProcessReader, Scale, thread, waiter};
use crate::collect::process_events::ProcessEvents;
use crate::model::exit::Exits;
use crate::model::rate;
use crate::model::waiter::{Strips, Wait};
use crate::sys::root::Root;
use crate::sys::{clock, limits};

/// Descriptors left to sockets, engines and cgroup files when processes keep theirs.
const DESCRIPTORS_SPARED: usize = 4096;
const NANOS: u64 = 1_000_000_000;
/// Ticks between two attempts at process events when they are missing.
const RETRY_TICKS: u64 = 30;
/// Ticks between two readings of processes while nobody looks at processes themselves.
const MEMBERS_TICKS: u64 = 5;
/// Tables that show processes.
const PROCESS_TABLES: [Topic; 7] = [
    Topic::Process,
    Topic::ProcessStat,
    Topic::Thread,
    Topic::ProcessIo,
    Topic::ProcessDelay,
    Topic::ContainerIo,
    Topic::IoCase,
];
/// The parts of descriptors kept for processes that who looks for waiting ones, and who reads `io`, may have.
const WAITERS_PART: usize = 4;
const IO_PART: usize = 8;

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
    io_reader: IoReader,
    delay: Raw<ProcessKey, ProcessDelay>,
    delay_reader: Option<DelayReader>,
    /// Who ran since I/O was read; `None` when that is not known.
    awake: Option<Awake>,
    /// How often engines had told something when processes were read last.
    told: u64,
    waiters: Option<waiter::Watch>,
    strips: Strips,
}

impl ProcessPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            io_reader: IoReader::new(setting.root.clone(), setting.scale, setting.keep_at_most / IO_PART),
            awake: None,
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
            delay: Raw::default(),
            delay_reader: None,
            told: 0,
            waiters: None,
            strips: Strips::default(),
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
    /// identity: [`ProcessPart::rows`] must be joined again then. `told`: how often engines told something new.
    pub(crate) fn read(
        &mut self,
        next: &mut Snapshot,
        (now, told): (u64, u64),
        (demand, ticks): (TopicSet, u64),
        troubles: &mut Troubles,
    ) -> bool {
        self.take_events(next, troubles);
        // Who looks at no table of processes needs to know who is where, not what each does: now and then, and when engines tell of
        // a container that came or went.
        let told = std::mem::replace(&mut self.told, told) != told;
        let members_only = !told && !PROCESS_TABLES.iter().any(|t| demand.contains(*t));
        if !collect::PROCESS_IO.needed(demand) {
            self.awake = None;
            self.io_reader.release();
        }
        if members_only && !ticks.is_multiple_of(MEMBERS_TICKS) && !next.process.is_empty() {
            return false;
        }
        let setting = &self.setting;
        let reader = self.reader.get_or_insert_with(|| {
            let keep = setting.keep_at_most;
            let keep = keep - keep / WAITERS_PART - keep / IO_PART;
            ProcessReader::new(setting.root.clone(), setting.scale, setting.mask_args, keep)
        });
        reader.note_executed(self.executed.drain(..));
        if std::mem::take(&mut self.recheck) {
            reader.recheck_all();
        }
        let reading = match reader.read(now) {
            Ok(reading) => reading,
            Err(error) => {
                troubles.stale(collect::PROCESS, format!("listing /proc: {error}"));
                self.awake = None;
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
        if let Some(awake) = &mut self.awake {
            awake.extend(reading.ran);
        }
        let shown = std::mem::take(&mut next.process_stat);
        next.process_stat = self.stat.advance(now, reading.stat, |before, rows, nanos| {
            rate::rate_gapped(before, rows, &shown, nanos, &reading.io_gap)
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
    pub(crate) fn read_io(&mut self, next: &mut Snapshot, demand: TopicSet, troubles: &mut Troubles) {
        let awake = self.awake.replace(Awake::new());
        let keys = next.process_stat.keys().copied();
        let reading = self.io_reader.read(keys, &self.io.rows, awake.as_ref());
        self.io.show(clock::monotonic(), reading.rows, &mut next.process_io);
        if reading.hidden > 0 && !self.setting.sees_all {
            troubles.set(collect::PROCESS_IO, hidden());
        } else if reading.delays_off {
            troubles.set(collect::PROCESS_IO, no_delays("how long processes wait for block I/O"));
        } else {
            troubles.none(collect::PROCESS_IO);
        }
        if !collect::PROCESS_DELAY.needed(demand) {
            (self.delay_reader, self.delay) = (None, Raw::default());
        } else if reading.delays_off {
            (self.delay_reader, self.delay) = (None, Raw::default());
            next.process_delay.clear();
            troubles
                .set(collect::PROCESS_DELAY, no_delays("what processes wait for (swap-in, reclaim, a CPU)"));
        } else if let Err(error) = self.read_delays(next, awake.as_ref()) {
            // Who ran since is not known any more: the next reading is of all.
            (self.delay_reader, self.delay) = (None, Raw::default());
            match delays_refused(&error) {
                Some(trouble) => troubles.set(collect::PROCESS_DELAY, trouble),
                None => troubles.stale(collect::PROCESS_DELAY, format!("what processes wait for: {error}")),
            }
        } else {
            troubles.none(collect::PROCESS_DELAY);
        }
    }

    fn read_delays(&mut self, next: &mut Snapshot, awake: Option<&Awake>) -> io::Result<()> {
        let reader = match &mut self.delay_reader {
            Some(reader) => reader,
            None => self.delay_reader.insert(DelayReader::open()?),
        };
        let rows = reader.read(next.process_stat.keys().copied(), &self.delay.rows, awake)?;
        self.delay.show(clock::monotonic(), rows, &mut next.process_delay);
        Ok(())
    }

    /// Takes over who was seen waiting; the first call starts to look. `next` must have its containers joined.
    pub(crate) fn read_waiters(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        if self.waiters.is_none() {
            match waiter::Watch::start(self.setting.root.clone(), self.setting.keep_at_most / WAITERS_PART) {
                Ok(watch) => self.waiters = Some(watch),
                Err(error) => {
                    return troubles.stale(collect::WAITER, format!("no thread to look on: {error}"));
                }
            }
        }
        let Some(watch) = &self.waiters else { return };
        let looks = match watch.take() {
            Ok(looks) => looks,
            Err(why) => return troubles.stale(collect::WAITER, why),
        };
        let mut failed = None;
        for look in looks {
            let waits = look.waiting.iter().map(|found| Wait {
                key: found.key,
                comm: &found.comm,
                channel: found.channel.as_deref(),
                stack: &found.stack,
            });
            self.strips.take(look.at / NANOS, waits, &look.there);
            failed = look.failed.or(failed);
        }
        next.waiter = keep_rows(self.strips.rows(&next.process), &next.waiter);
        match failed {
            Some(why) => troubles.stale(collect::WAITER, why),
            None => troubles.none(collect::WAITER),
        }
    }

    /// Nobody wants to know who waits.
    pub(crate) fn stop_waiters(&mut self) {
        (self.waiters, self.strips) = (None, Strips::default());
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

fn no_delays(unknown: &str) -> Trouble {
    Trouble {
        state: SourceState::Limited,
        reason: format!("the kernel's delay accounting is off: {unknown} is unknown"),
        capability: None,
        remedy: Some("sysctl kernel.task_delayacct=1; it counts for processes that start afterwards".into()),
        collected_at: None,
    }
}

/// Why the kernel will not tell; `None` when it failed for once.
fn delays_refused(error: &io::Error) -> Option<Trouble> {
    let (capability, remedy) = match error.raw_os_error() {
        Some(libc::EPERM) => (
            Some("CAP_NET_ADMIN".into()),
            format!("{}; it must be in the host's user namespace", grant("CAP_NET_ADMIN")),
        ),
        Some(libc::ENOENT) => (None, "a kernel that was built with CONFIG_TASKSTATS".into()),
        None if error.kind() == io::ErrorKind::Unsupported => (None, "an older or a newer kernel".into()),
        _ => return None,
    };
    Some(Trouble {
        state: SourceState::Missing,
        reason: format!("the kernel does not tell what processes wait for ({error})"),
        capability,
        remedy: Some(remedy),
        collected_at: None,
    })
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
