//! What processes ask of files and how long they wait for block devices: `/proc/PID/io`, `/proc/PID/stat` field 42 and the
//! I/O priority. Fills `process_io`; read only while somebody looks at I/O.

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{IoClass, IoPriority, ProcessIo, ProcessKey};
use rustix::io::Errno;

use super::{STAT_BYTES, Scale};
use crate::sys::ioprio;
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// One reading; rates are still `None`.
#[derive(Debug, Default)]
pub(crate) struct IoReading {
    /// A row per process that is still there.
    pub rows: Table<ProcessKey, ProcessIo>,
    /// Processes whose `io` we may not read.
    pub hidden: usize,
    /// The kernel does not count delays.
    pub delays_off: bool,
}

/// Reads these processes.
pub(crate) fn read(root: &Root, scale: Scale, processes: impl Iterator<Item = ProcessKey>) -> IoReading {
    let mut buffer = Vec::new();
    let mut reading = IoReading { delays_off: delays_off(root, &mut buffer), ..IoReading::default() };
    for key in processes {
        let file = |name: &str| root.proc_path(format!("{}/{name}", key.pid));
        if read_once(&file("stat"), &mut buffer, STAT_BYTES).is_err() {
            continue; // ended meanwhile
        }
        let Some((start_time, wait_ticks)) = waits(&buffer) else { continue };
        if start_time != key.start_time {
            continue; // another process by now
        }
        let mut row = ProcessIo::default();
        if !reading.delays_off {
            row.block_wait_nanos = wait_ticks.map(|ticks| scale.nanos(ticks));
        }
        match read_once(&file("io"), &mut buffer, STAT_BYTES) {
            Ok(()) => count(&buffer, &mut row),
            Err(Errno::ACCESS | Errno::PERM) => reading.hidden += 1,
            Err(_) => continue,
        }
        row.priority = ioprio::of_process(key.pid).and_then(priority);
        reading.rows.insert(key, Arc::new(row));
    }
    reading
}

/// Whether `kernel.task_delayacct` is 0. Kernels before 5.14 have no such switch and count.
fn delays_off(root: &Root, buffer: &mut Vec<u8>) -> bool {
    let path = root.proc_path("sys/kernel/task_delayacct");
    read_once(&path, buffer, 16).is_ok() && buffer.trim_ascii() == b"0"
}

/// Fields 22 (start, clock ticks after boot) and 42 (`delayacct_blkio_ticks`) of a `stat` line.
fn waits(line: &[u8]) -> Option<(u64, Option<u64>)> {
    // The name may hold ')' and spaces: field 3 begins after the last bracket.
    let close = line.iter().rposition(|b| *b == b')')?;
    let mut fields = line.get(close + 2..)?.trim_ascii_end().split(|b| *b == b' ');
    let start_time = fields.nth(22 - 3).and_then(number)?;
    Some((start_time, fields.nth(42 - 23).and_then(number)))
}

fn count(text: &[u8], row: &mut ProcessIo) {
    for line in text.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).and_then(|value| number(value.trim_ascii()));
        match name {
            b"rchar" => row.rchar_bytes = value,
            b"wchar" => row.wchar_bytes = value,
            b"syscr" => row.read_syscalls = value,
            b"syscw" => row.write_syscalls = value,
            b"read_bytes" => row.read_bytes = value,
            b"write_bytes" => row.write_bytes = value,
            b"cancelled_write_bytes" => row.cancelled_write_bytes = value,
            _ => {}
        }
    }
}

fn priority((class, level): (u8, u8)) -> Option<IoPriority> {
    let class = match class {
        0 => IoClass::None,
        1 => IoClass::RealTime,
        2 => IoClass::BestEffort,
        3 => IoClass::Idle,
        _ => return None,
    };
    Some(IoPriority { class, level })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { boot_at: 0, ticks_per_sec: 100, page_bytes: 4096 };
    const STAT: &str = "7 (a) (b) D 1 7 7 0 -1 4194304 210 0 3 0 25 13 0 0 20 0 1 0 31337 1703936 301 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 250 0 0 0 0 0 0 0 0 0 0\n";
    const IO: &str = "rchar: 11\nwchar: 22\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\n\
        cancelled_write_bytes: 512\n";
    const KEY: ProcessKey = ProcessKey { pid: 7, start_time: 31337 };

    fn host(stat: &str, io: &[u8], delays: &str) -> IoReading {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in
            [("7/stat", stat.as_bytes()), ("7/io", io), ("sys/kernel/task_delayacct", delays.as_bytes())]
        {
            let path = dir.path().join("proc").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        read(&Root::at(dir.path()), SCALE, [KEY].into_iter())
    }

    #[test]
    fn what_a_process_asked_for_and_waited_for_is_counted() {
        let reading = host(STAT, IO.as_bytes(), "1\n");
        let row = *reading.rows[&KEY];
        assert_eq!((row.rchar_bytes, row.wchar_bytes), (Some(11), Some(22)));
        assert_eq!((row.read_syscalls, row.write_syscalls), (Some(3), Some(4)));
        assert_eq!((row.read_bytes, row.write_bytes), (Some(4096), Some(8192)));
        assert_eq!(row.cancelled_write_bytes, Some(512));
        assert_eq!(row.block_wait_nanos, Some(2_500_000_000));
        assert!(!reading.delays_off);
    }

    #[test]
    fn without_delay_accounting_a_wait_is_unknown_not_zero() {
        let reading = host(STAT, IO.as_bytes(), "0\n");
        assert!(reading.delays_off);
        assert_eq!(reading.rows[&KEY].block_wait_nanos, None);
    }

    #[test]
    fn a_reused_pid_and_broken_lines_tell_nothing() {
        assert!(host(&STAT.replace("31337", "31338"), IO.as_bytes(), "1").rows.is_empty());
        for len in 0..STAT.len() {
            let _ = waits(&STAT.as_bytes()[..len]);
        }
        assert_eq!(waits(b")("), None);
        let row = *host(STAT, b"rchar: -1\nwchar:\n\xff\nsyscr 3\n: 4\n", "1").rows[&KEY];
        assert_eq!(row.rchar_bytes.or(row.wchar_bytes).or(row.read_syscalls), None);
        assert_eq!(priority((7, 0)), None);
    }

    #[test]
    fn our_own_writes_are_counted_to_the_byte() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let key = ProcessKey { pid: std::process::id(), start_time: waits(&stat).unwrap().0 };
        let wrote = || *read(&Root::host(), SCALE, [key].into_iter()).rows[&key];
        let before = wrote();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![1; 100_000]).unwrap();
        let after = wrote();
        // Other tests of this process may write meanwhile.
        assert!(after.wchar_bytes.unwrap() - before.wchar_bytes.unwrap() >= 100_000);
        assert!(after.write_syscalls > before.write_syscalls);
        assert!(after.priority.is_some());
    }
}
