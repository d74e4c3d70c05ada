//! What a process costs, from the outside: CPU, context switches, read and write calls, resident memory. From
//! `/proc/PID`; two [`Reading`]s make the [`Cost`] of the time between them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

/// Counters of a process at one instant.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    at: Instant,
    threads: BTreeMap<u32, Thread>,
    /// User and system time of all threads, ended ones included, in clock ticks. Source: `/proc/PID/stat` 14 and 15.
    cpu_ticks: u64,
    /// Source: `/proc/PID/io` `syscr` + `syscw`.
    io_calls: u64,
}

#[derive(Debug, Clone, Copy)]
struct Thread {
    /// Source: `/proc/PID/task/TID/schedstat` field 1, nanoseconds.
    cpu_nanos: u64,
    /// Source: `/proc/PID/task/TID/status`, voluntary and not.
    switches: u64,
}

/// What a process used between two readings.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Time between the readings, seconds.
    pub seconds: f64,
    /// CPU time, nanoseconds.
    pub cpu_nanos: u64,
    /// The same as a share of one core.
    pub cpu_ratio: f64,
    /// Whether `cpu_nanos` is exact; else a thread ended between and it comes in steps of a clock tick.
    pub exact: bool,
    /// `read(2)` and `write(2)` and their kin per second (`/proc/PID/io` counts no other calls).
    pub io_calls_per_sec: f64,
    /// Context switches per second, of threads that live at both ends.
    pub switches_per_sec: f64,
}

impl Reading {
    /// Reads a process's counters.
    ///
    /// # Errors
    /// When it is gone or hidden.
    pub(super) fn take(pid: u32) -> Result<Self> {
        let stat = text(pid, "stat")?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let ticks =
            |nth: usize| fields.get(nth - 3).and_then(|f| f.parse::<u64>().ok()).context("understand stat");
        let io = text(pid, "io")?;
        Ok(Self {
            at: Instant::now(),
            threads: threads(pid)?,
            cpu_ticks: ticks(14)? + ticks(15)?,
            io_calls: named(&io, "syscr") + named(&io, "syscw"),
        })
    }

    /// What was used since an earlier reading of the same process.
    pub(super) fn since(&self, before: &Self) -> Cost {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        // The time of threads that ended is only in the process's sum.
        let exact = before.threads.keys().all(|tid| self.threads.contains_key(tid));
        let grown = |of: fn(&Thread) -> u64| -> u64 {
            let was = |tid| before.threads.get(tid).map_or(0, of);
            self.threads.iter().map(|(tid, thread)| of(thread).saturating_sub(was(tid))).sum()
        };
        let ticks = self.cpu_ticks.saturating_sub(before.cpu_ticks);
        let tick_nanos = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let cpu_nanos = if exact { grown(|t| t.cpu_nanos) } else { ticks * tick_nanos };
        let per_sec = |n: u64| n as f64 / seconds;
        Cost {
            seconds,
            cpu_nanos,
            cpu_ratio: per_sec(cpu_nanos) / 1e9,
            exact,
            io_calls_per_sec: per_sec(self.io_calls.saturating_sub(before.io_calls)),
            switches_per_sec: per_sec(grown(|t| t.switches)),
        }
    }
}

/// Costs of several processes as one.
pub(super) fn sum(costs: impl IntoIterator<Item = Cost>) -> Option<Cost> {
    costs.into_iter().reduce(|a, b| Cost {
        seconds: a.seconds.max(b.seconds),
        cpu_nanos: a.cpu_nanos + b.cpu_nanos,
        cpu_ratio: a.cpu_ratio + b.cpu_ratio,
        exact: a.exact && b.exact,
        io_calls_per_sec: a.io_calls_per_sec + b.io_calls_per_sec,
        switches_per_sec: a.switches_per_sec + b.switches_per_sec,
    })
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Now, bytes. Source: `/proc/PID/status` `VmRSS`.
    pub rss_bytes: u64,
    /// The most since [`forget_peak`] or its start, bytes. Source: `VmHWM`.
    pub peak_bytes: u64,
    /// Threads now.
    pub threads: u64,
}

/// Reads a process's resident memory.
///
/// # Errors
/// When it is gone.
pub(super) fn memory(pid: u32) -> Result<Memory> {
    let status = text(pid, "status")?;
    let bytes = |name| named(&status, name) * 1024;
    Ok(Memory { rss_bytes: bytes("VmRSS"), peak_bytes: bytes("VmHWM"), threads: named(&status, "Threads") })
}

/// Lets the kernel count a process's peak of resident memory anew.
///
/// # Errors
/// When it is gone or not ours.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("reset the peak of pid {pid}"))
}

/// The host's busy CPU time so far, in cores × clock ticks, and its 1-minute load: what else ran beside us.
pub(super) fn host_busy_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let modes: Vec<u64> = line.split_ascii_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    modes.iter().take(8).enumerate().filter(|(mode, _)| !matches!(mode, 3 | 4)).map(|(_, n)| n).sum()
}

fn threads(pid: u32) -> Result<BTreeMap<u32, Thread>> {
    let dir = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&dir).with_context(|| format!("list {dir}"))?;
    let tids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let thread = |tid: u32| {
        let schedstat = fs::read_to_string(format!("{dir}/{tid}/schedstat")).ok()?;
        let status = fs::read_to_string(format!("{dir}/{tid}/status")).ok()?;
        let cpu_nanos = schedstat.split(' ').next()?.parse().ok()?;
        let switches =
            named(&status, "voluntary_ctxt_switches") + named(&status, "nonvoluntary_ctxt_switches");
        Some((tid, Thread { cpu_nanos, switches }))
    };
    Ok(tids.filter_map(thread).collect())
}

fn text(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    let bytes = fs::read(&path).with_context(|| format!("read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number after `name:` at a line's beginning; 0 when there is none.
fn named(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|v| v.split_ascii_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_is_seen() {
        let pid = std::process::id();
        let before = Reading::take(pid).unwrap();
        // A second of CPU time would be too slow for a test; a hundred reads cost some and are counted exactly.
        (0..100).for_each(|_| drop(fs::read("/proc/self/stat").unwrap()));
        let cost = Reading::take(pid).unwrap().since(&before);
        assert!(cost.io_calls_per_sec * cost.seconds >= 100.0, "{cost:?}");
        assert!(cost.seconds > 0.0 && cost.cpu_ratio.is_finite());
        let memory = memory(pid).unwrap();
        assert!(memory.peak_bytes >= memory.rss_bytes && memory.rss_bytes > 0 && memory.threads > 0);
    }

    #[test]
    fn a_thread_that_ended_makes_the_figure_coarse_not_wrong() {
        let pid = std::process::id();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv());
        let before = Reading::take(pid).unwrap();
        drop(stop);
        let _ = thread.join().unwrap();
        // The thread's task directory may outlive the join for a moment.
        crate::lab::process::wait_until(std::time::Duration::from_secs(5), || {
            Reading::take(pid).is_ok_and(|now| !now.since(&before).exact)
        });
        assert!(!Reading::take(pid).unwrap().since(&before).exact);
    }
}
