//! What processes ask of files and how long they wait for block devices: `/proc/PID/io`, `/proc/PID/stat` field 42 and the
//! I/O priority. Fills `process_io`; read only while somebody looks at I/O, and of those that ran.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{IoClass, IoPriority, ProcessIo, ProcessKey};
use hashbrown::HashMap;
use rustix::io::Errno;

use super::{Awake, STAT_BYTES, Scale, Stood, stat};
use crate::sys::ioprio;
use crate::sys::procfile::{self, read_once};
use crate::sys::root::Root;

/// Readings after which also a process that sleeps is asked for its priority again.
const RECHECK_READINGS: u64 = 30;
/// Readings after which the descriptor of a process that slept meanwhile is closed.
const KEPT_READINGS: u64 = 8;

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

/// Reads again and again.
#[derive(Debug)]
pub(crate) struct IoReader {
    root: Root,
    scale: Scale,
    readings: u64,
    /// As at the last reading; `None` before it.
    delays_off: Option<bool>,
    /// `io` of those that run again and again, and when each was read last.
    kept: HashMap<ProcessKey, (OwnedFd, u64)>,
    keep_at_most: usize,
    buffer: Vec<u8>,
}

impl IoReader {
    /// A reader that has read nothing yet and keeps at most so many descriptors.
    pub(crate) fn new(root: Root, scale: Scale, keep_at_most: usize) -> Self {
        let (kept, buffer) = (HashMap::new(), Vec::new());
        Self { root, scale, readings: 0, delays_off: None, kept, keep_at_most, buffer }
    }

    /// Gives back its descriptors.
    pub(crate) fn release(&mut self) {
        self.kept = HashMap::new();
    }

    /// Reads these processes. Who is not among `awake` has not run since `before` was read, and its row stands: it asked for
    /// nothing. Its priority, which others may set, is asked for at its turn. `awake`: `None` reads all.
    pub(crate) fn read(
        &mut self,
        processes: impl Iterator<Item = ProcessKey>,
        before: &Table<ProcessKey, ProcessIo>,
        awake: Option<&Awake>,
    ) -> IoReading {
        self.readings += 1;
        let delays_off = delays_off(&self.root, &mut self.buffer);
        // What was unknown is to be read when the kernel begins to count.
        let awake = awake.filter(|_| self.delays_off == Some(delays_off));
        self.delays_off = Some(delays_off);
        let mut reading = IoReading { delays_off, ..IoReading::default() };
        for key in processes {
            let turn = (self.readings + u64::from(key.pid)).is_multiple_of(RECHECK_READINGS);
            let stood = awake.and_then(|awake| awake.get(&key.pid)).copied().flatten();
            let slept = awake.is_some_and(|awake| !awake.contains_key(&key.pid));
            match before.get(&key).filter(|_| slept) {
                Some(row) => {
                    // Its io was hidden.
                    reading.hidden += usize::from(row.rchar_bytes.is_none());
                    let mut row = Arc::clone(row);
                    if turn {
                        let priority = ioprio::of_process(key.pid).and_then(priority);
                        if row.priority != priority {
                            Arc::make_mut(&mut row).priority = priority;
                        }
                    }
                    reading.rows.insert(key, row);
                }
                None => self.read_one(key, stood, &mut reading),
            }
        }
        let readings = self.readings;
        self.kept.retain(|_, (_, at)| *at + KEPT_READINGS > readings);
        reading
    }

    /// `stood`: how it was found just now, if it was.
    fn read_one(&mut self, key: ProcessKey, stood: Option<Stood>, reading: &mut IoReading) {
        let stood = stood.filter(|stood| stood.start_time == key.start_time);
        // Who ended meanwhile, or is another process by now, has no row.
        let Some(Stood { wait_ticks, .. }) = stood.or_else(|| self.stood(key)) else { return };
        let mut row = ProcessIo::default();
        if !reading.delays_off {
            row.block_wait_nanos = wait_ticks.map(|ticks| self.scale.nanos(ticks));
        }
        match self.read_io(key, stood.is_some()) {
            Ok(()) => count(&self.buffer, &mut row),
            Err(Errno::ACCESS | Errno::PERM) => reading.hidden += 1,
            Err(_) => return,
        }
        row.priority = ioprio::of_process(key.pid).and_then(priority);
        reading.rows.insert(key, Arc::new(row));
    }

    /// How a process stands; `None` when it has ended, or is another by now.
    fn stood(&mut self, key: ProcessKey) -> Option<Stood> {
        read_once(&self.root.proc_path(format!("{}/stat", key.pid)), &mut self.buffer, STAT_BYTES).ok()?;
        let stat = stat::parse(&self.buffer).filter(|stat| stat.start_time == key.start_time)?;
        Some(Stood { start_time: stat.start_time, wait_ticks: stat.wait_ticks })
    }

    /// Fills the buffer with its `io`; `keep`s the descriptor of one that will be read again soon.
    fn read_io(&mut self, key: ProcessKey, keep: bool) -> Result<(), Errno> {
        if let Some((fd, at)) = self.kept.get_mut(&key) {
            *at = self.readings;
            // It is of that very process: of one that ended it cannot be read.
            return procfile::reread(fd, &mut self.buffer, STAT_BYTES);
        }
        let fd = procfile::open_kept(&self.root.proc_path(format!("{}/io", key.pid)))?;
        let keeps = keep && self.kept.len() < self.keep_at_most && self.stood(key).is_some();
        procfile::reread(&fd, &mut self.buffer, STAT_BYTES)?;
        if keeps {
            self.kept.insert(key, (fd, self.readings));
        }
        Ok(())
    }
}

/// Whether `kernel.task_delayacct` is 0. Kernels before 5.14 have no such switch and count.
fn delays_off(root: &Root, buffer: &mut Vec<u8>) -> bool {
    let path = root.proc_path("sys/kernel/task_delayacct");
    read_once(&path, buffer, 16).is_ok() && buffer.trim_ascii() == b"0"
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

    fn write(dir: &tempfile::TempDir, path: &str, text: impl AsRef<[u8]>) {
        let path = dir.path().join("proc").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn host(stat: &str, io: &[u8], delays: &str) -> IoReading {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in
            [("7/stat", stat.as_bytes()), ("7/io", io), ("sys/kernel/task_delayacct", delays.as_bytes())]
        {
            write(&dir, path, text);
        }
        IoReader::new(Root::at(dir.path()), SCALE, 10).read([KEY].into_iter(), &Table::new(), None)
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
    fn who_was_found_just_now_is_not_looked_for_again_and_its_descriptor_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| write(&dir, path, text);
        write("7/stat", STAT);
        write("7/io", IO);
        let mut reader = IoReader::new(Root::at(dir.path()), SCALE, 10);
        reader.read([KEY].into_iter(), &Table::new(), None);
        let mut read = |start_time, wait_ticks| {
            let awake = Awake::from([(7, Some(Stood { start_time, wait_ticks: Some(wait_ticks) }))]);
            let rows = reader.read([KEY].into_iter(), &Table::new(), Some(&awake)).rows;
            (rows.get(&KEY).and_then(|row| row.block_wait_nanos), reader.kept.len())
        };
        assert_eq!(read(31337, 7), (Some(70_000_000), 1), "as it was found");
        write("7/stat", &STAT.replace("31337", "31338"));
        assert_eq!(read(31337, 8), (Some(80_000_000), 1), "through its own descriptor");
        assert_eq!(read(31338, 9), (None, 1), "another process has the pid");
        for _ in 0..KEPT_READINGS {
            reader.read([].into_iter(), &Table::new(), Some(&Awake::new()));
        }
        assert!(reader.kept.is_empty());
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
        let row = *host(STAT, b"rchar: -1\nwchar:\n\xff\nsyscr 3\n: 4\n", "1").rows[&KEY];
        assert_eq!(row.rchar_bytes.or(row.wchar_bytes).or(row.read_syscalls), None);
        assert_eq!(priority((7, 0)), None);
    }

    #[test]
    fn who_sleeps_keeps_its_row_until_its_turn_and_who_ran_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| write(&dir, path, text);
        let (nobody, seven) = (Awake::new(), Awake::from([(7, None)]));
        write("7/stat", STAT);
        write("7/io", IO);
        write("sys/kernel/task_delayacct", "0");
        let mut reader = IoReader::new(Root::at(dir.path()), SCALE, 10);
        let mut rows = reader.read([KEY].into_iter(), &Table::new(), Some(&nobody)).rows;
        assert_eq!(rows[&KEY].rchar_bytes, Some(11), "of whom nothing is known is read");
        write("7/io", "rchar: 12\n");
        let mut again = |rows: &Table<_, _>, awake| reader.read([KEY].into_iter(), rows, awake);
        let asleep = again(&rows, Some(&nobody)).rows;
        assert!(Arc::ptr_eq(&asleep[&KEY], &rows[&KEY]));
        rows = again(&asleep, Some(&seven)).rows;
        assert_eq!(rows[&KEY].rchar_bytes, Some(12));
        write("7/io", "rchar: 13\n");
        assert_eq!(again(&rows, None).rows[&KEY].rchar_bytes, Some(13));
        write("sys/kernel/task_delayacct", "1");
        rows = again(&rows, Some(&nobody)).rows;
        assert_eq!(rows[&KEY].block_wait_nanos, Some(2_500_000_000), "the kernel counts from now on");
        write("7/io", "rchar: 14\n");
        // As if somebody had set another one since.
        let is = Arc::make_mut(rows.get_mut(&KEY).unwrap())
            .priority
            .replace(IoPriority { class: IoClass::Idle, level: 7 });
        let turns = (0..RECHECK_READINGS).filter(|_| {
            let now = again(&rows, Some(&nobody)).rows;
            let asked = !Arc::ptr_eq(&now[&KEY], &rows[&KEY]);
            rows = now;
            asked
        });
        assert_eq!(turns.count(), 1);
        assert_eq!((rows[&KEY].priority, rows[&KEY].rchar_bytes), (is, Some(13)));
        assert!(
            again(&rows, Some(&nobody)).rows.len() == 1
                && reader.read([].into_iter(), &rows, None).rows.is_empty()
        );
    }

    #[test]
    fn our_own_writes_are_counted_to_the_byte() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let key = ProcessKey { pid: std::process::id(), start_time: stat::parse(&stat).unwrap().start_time };
        let wrote = || {
            *IoReader::new(Root::host(), SCALE, 10).read([key].into_iter(), &Table::new(), None).rows[&key]
        };
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
