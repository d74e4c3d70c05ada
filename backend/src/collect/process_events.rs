//! Processes that fork, execute and end between two ticks, from the kernel's proc connector. A thread of its own reads
//! the socket, looks at what was executed at once (soon it may be gone), and keeps the ends until the next tick.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use glasshull_shared::cgroup_path;
use glasshull_shared::domain::process::ExitedProcess;
use glasshull_shared::unit::printable_bytes as printable;

use crate::sys::clock;
use crate::sys::proc_connector::{ProcConnector, ProcEvent, Received};
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// How long the thread sleeps at most before it looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(250);
/// Ends kept until the next tick; beyond, only the counters know of them.
const ENDS_AT_MOST: usize = 512;
/// Births kept; a process that lives longer than the flood is found by the tick anyway.
const BIRTHS_AT_MOST: usize = 16_384;

/// An end, as far as the events told, with the cgroup path seen at the last exec.
pub(crate) type End = (ExitedProcess, Option<String>);

/// What happened since the last reading.
#[derive(Debug, Default)]
pub(crate) struct EventReading {
    /// Processes that executed a program.
    pub executed: Vec<u32>,
    /// Processes that ended, oldest first.
    pub ends: Vec<End>,
    /// Ends that are not in `ends`, because there were too many.
    pub ends_dropped: u64,
    /// Times the kernel dropped events because we were too slow.
    pub overruns: u64,
    /// The thread ended because its socket failed.
    pub failed: Option<String>,
}

#[derive(Default)]
struct Birth {
    ppid: u32,
    at: u64,
    comm: Option<String>,
    cmdline: Option<String>,
    cgroup: Option<String>,
}

/// Listens until dropped.
pub(crate) struct ProcessEvents {
    reading: Arc<Mutex<EventReading>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProcessEvents {
    /// Begins to listen.
    ///
    /// # Errors
    /// As [`ProcConnector::listen`], and when no thread can be made.
    pub(crate) fn start(root: Root, mask_args: bool) -> std::io::Result<Self> {
        let connector = ProcConnector::listen()?;
        let reading = Arc::<Mutex<EventReading>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            root,
            mask_args,
            births: HashMap::new(),
            reading: Arc::clone(&reading),
            stop: Arc::clone(&stop),
            buffer: Vec::with_capacity(4096),
        };
        let thread = std::thread::Builder::new()
            .name("process-events".into())
            .stack_size(256 << 10)
            .spawn(move || listener.run(&connector))?;
        Ok(Self { reading, stop, thread: Some(thread) })
    }

    /// Takes what happened since the last reading.
    pub(crate) fn read(&self) -> EventReading {
        std::mem::take(&mut *self.reading.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ProcessEvents {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // within PATIENCE
        }
    }
}

struct Listener {
    root: Root,
    mask_args: bool,
    births: HashMap<u32, Birth>,
    reading: Arc<Mutex<EventReading>>,
    stop: Arc<AtomicBool>,
    buffer: Vec<u8>,
}

impl Listener {
    fn run(mut self, connector: &ProcConnector) {
        let mut events = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            match connector.wait(PATIENCE, &mut events) {
                Ok(Received::Events) => self.take(&mut events),
                Ok(Received::Nothing) => {}
                Ok(Received::Overrun) => {
                    self.births.clear();
                    // Told no later than the ends that lack their births.
                    self.lock(|r| r.overruns += 1);
                    self.take(&mut events);
                }
                Err(error) => return self.lock(|r| r.failed = Some(error.to_string())),
            }
        }
    }

    fn lock(&self, change: impl FnOnce(&mut EventReading)) {
        change(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take(&mut self, events: &mut Vec<ProcEvent>) {
        for event in events.drain(..) {
            match event {
                ProcEvent::Fork { parent, child, at } => {
                    if self.births.len() >= BIRTHS_AT_MOST {
                        self.births.clear();
                    }
                    self.births.insert(child, Birth { ppid: parent, at, ..Birth::default() });
                }
                ProcEvent::Exec { pid } => self.executed(pid),
                ProcEvent::Exit { pid, parent, status, at } => self.ended(pid, parent, status, at),
            }
        }
    }

    fn executed(&mut self, pid: u32) {
        let comm = self.file(pid, "comm").map(|b| printable(b.trim_ascii_end()));
        let cgroup = self.file(pid, "cgroup");
        let cgroup =
            cgroup.and_then(|b| cgroup_path::deepest(&String::from_utf8_lossy(b)).map(str::to_owned));
        let cmdline = if self.mask_args { None } else { self.file(pid, "cmdline").map(arguments) };
        if let Some(birth) = self.births.get_mut(&pid) {
            birth.comm = comm.or(birth.comm.take());
            birth.cgroup = cgroup.or(birth.cgroup.take());
            birth.cmdline = cmdline.filter(|c| !c.is_empty());
        }
        self.lock(|r| {
            if r.executed.len() < BIRTHS_AT_MOST {
                r.executed.push(pid);
            }
        });
    }

    fn ended(&mut self, pid: u32, parent: Option<u32>, status: u32, at: u64) {
        let birth = self.births.remove(&pid);
        let lifetime_nanos = birth.as_ref().map(|b| at.saturating_sub(b.at));
        let birth = birth.unwrap_or_default();
        let ppid = if birth.ppid == 0 { parent } else { Some(birth.ppid) };
        let (exit_code, signal) = outcome(status);
        let row = ExitedProcess {
            pid,
            ppid,
            comm: birth.comm,
            cmdline: birth.cmdline,
            exit_code,
            signal,
            lifetime_nanos,
            exited_at: clock::now_nanos(),
            ..ExitedProcess::default()
        };
        let end = (row, birth.cgroup);
        self.lock(|r| if r.ends.len() < ENDS_AT_MOST { r.ends.push(end) } else { r.ends_dropped += 1 });
    }

    fn file(&mut self, pid: u32, name: &str) -> Option<&[u8]> {
        read_once(&self.root.proc_path(format!("{pid}/{name}")), &mut self.buffer, 4096).ok()?;
        Some(&self.buffer)
    }
}

/// Exit code and signal of a wait status; bit 7 (core dumped) is no part of the signal.
fn outcome(status: u32) -> (Option<u8>, Option<u8>) {
    let signal = (status & 0x7f) as u8;
    if signal == 0 { (Some((status >> 8) as u8), None) } else { (None, Some(signal)) }
}

fn arguments(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
    let spaced: Vec<u8> = bytes.iter().take(end).map(|b| if *b == 0 { b' ' } else { *b }).collect();
    printable(&spaced)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_wait_status_is_a_code_or_a_signal() {
        assert_eq!(outcome(3 << 8), (Some(3), None));
        assert_eq!(outcome(9), (None, Some(9)));
        assert_eq!(outcome(0x80 | 11), (None, Some(11)));
    }

    /// Needs the initial network namespace; says so elsewhere.
    #[test]
    fn short_processes_are_seen_with_name_and_status() {
        let events = match ProcessEvents::start(Root::host(), false) {
            Ok(events) => events,
            Err(error) => return eprintln!("no process events here: {error}"),
        };
        let until = Instant::now() + Duration::from_secs(30);
        let end = loop {
            let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
            let pid = child.id();
            child.wait().unwrap();
            let (mut end, mut lost) = (None, 0);
            while end.is_none() && lost == 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
                let reading = events.read();
                end = reading.ends.into_iter().find(|(end, _)| end.pid == pid);
                lost += reading.overruns + reading.ends_dropped;
            }
            // On a busy host the kernel may drop what we wait for: another child then.
            if lost == 0 || Instant::now() >= until {
                break end;
            }
        };
        let (end, _) = end.expect("the end of our own child");
        assert_eq!(end.exit_code, Some(7));
        assert_eq!(end.ppid, Some(std::process::id()));
        assert!(end.lifetime_nanos.is_some());
    }
}
