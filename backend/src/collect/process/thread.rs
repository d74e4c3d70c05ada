//! Threads of processes that have several, from `/proc/PID/task/TID/stat`. Read only while somebody looks at threads.

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ProcessKey, ProcessStat, ProcessState, Thread, ThreadKey};

use glasshull_shared::unit::printable_bytes as printable;

use super::{Scale, stat};
use crate::sys::procfile::{list_numbers, read_once};
use crate::sys::root::Root;

/// No tick reads more threads than this; what is beyond is left out and said by the caller.
pub(crate) const THREADS_AT_MOST: usize = 20_000;

/// Reads the threads of all processes in `processes` with more than one; the flag tells that the limit cut some off.
pub(crate) fn read(
    root: &Root,
    scale: Scale,
    processes: &Table<ProcessKey, ProcessStat>,
) -> (Table<ThreadKey, Thread>, bool) {
    let mut threads = Table::new();
    let mut buffer = Vec::new();
    for (process, _) in processes.iter().filter(|(_, stat)| stat.threads > 1) {
        let Ok(tids) = list_numbers(&root.proc_path(format!("{}/task", process.pid))) else { continue };
        for tid in tids {
            if threads.len() >= THREADS_AT_MOST {
                return (threads, true);
            }
            let file = |name: &str| root.proc_path(format!("{}/task/{tid}/{name}", process.pid));
            if read_once(&file("stat"), &mut buffer, super::STAT_BYTES).is_err() {
                continue; // ended meanwhile
            }
            let Some(stat) = stat::parse(&buffer) else { continue };
            let mut row = Thread {
                comm: printable(stat.comm),
                state: stat.state,
                cpu_nanos: scale.nanos(stat.utime + stat.stime),
                cpu_ratio: None,
                wait_channel: None,
            };
            if row.state == ProcessState::D && read_once(&file("wchan"), &mut buffer, 256).is_ok() {
                row.wait_channel = Some(printable(&buffer)).filter(|w| w != "0" && !w.is_empty());
            }
            let key = ThreadKey { pid: process.pid, start_time: process.start_time, tid };
            threads.insert(key, Arc::new(row));
        }
    }
    (threads, false)
}
