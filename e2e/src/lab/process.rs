//! Processes of the host as the lab needs them: identify one so that a reused pid is noticed, signal it, wait for it.
//! From `/proc`; used to stop the engine and to sweep up what a killed lab left.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// Pid on the host.
    pub pid: u32,
    /// Clock ticks after boot at which it started. Source: `/proc/PID/stat` field 22.
    pub start_time: u64,
}

impl ProcessRef {
    /// The process that has this pid now; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let (_, start_time) = read_stat(pid)?;
        Some(Self { pid, start_time })
    }

    /// Whether it still runs; a zombie has ended.
    pub fn is_alive(&self) -> bool {
        // A child of ours stays a zombie until it is collected; for other processes this fails harmlessly.
        if let Some(pid) = self.raw() {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        matches!(read_stat(self.pid), Some((state, start)) if start == self.start_time && !matches!(state, 'Z' | 'X'))
    }

    /// Sends a signal; that it has already ended is no error.
    ///
    /// # Errors
    /// When the kernel refuses (not root).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.raw() else { return Ok(()) };
        if !self.is_alive() {
            return Ok(());
        }
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(e).with_context(|| format!("send {signal:?} to pid {}", self.pid)),
        }
    }

    /// Waits until it has ended; `false` when it still runs after `limit`.
    pub fn wait_gone(&self, limit: Duration) -> bool {
        wait_until(limit, || !self.is_alive())
    }

    /// Asks it to end, and after `patience` makes it.
    ///
    /// # Errors
    /// As [`ProcessRef::signal`].
    pub fn terminate(&self, patience: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        if !self.wait_gone(patience) {
            self.signal(Signal::KILL)?;
            self.wait_gone(Duration::from_secs(5));
        }
        Ok(())
    }

    fn raw(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// State letter and start time.
fn read_stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // comm may hold anything, also `)` and spaces: what follows the last one is fixed.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// All pids of the host.
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Arguments of a process, lossy; empty when it is gone, a zombie or a kernel thread.
pub fn argv(pid: u32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = raw.strip_suffix(b"\0").unwrap_or(&raw);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// Asks every 20 ms until `done` or until the time is up; says whether it was done.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
