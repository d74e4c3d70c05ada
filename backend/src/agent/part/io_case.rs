//! The case of disk waits: fills `io_case` from the other tables. The open files of the one or two suspects are read by a thread
//! beside the tick, twice, since only what moves tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::IoCase;
use glasshull_shared::domain::file::OpenFiles;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::Snapshot;
use tokio::sync::Notify;

use super::keep_rows;
use crate::agent::open_files;
use crate::agent::source::Troubles;
use crate::collect;
use crate::model::io_case::{Files, Gate, ask, judge};
use crate::sys::clock;

/// Between two looks at the same files.
const APART: Duration = Duration::from_millis(400);
/// Nanoseconds after which the same process is looked at again.
const AGAIN: u64 = 3_000_000_000;
/// Nanoseconds after which nothing is concluded from a look any more.
const FORGET: u64 = 15_000_000_000;

/// What is known of the case.
pub(crate) struct IoCasePart {
    wake: Arc<Notify>,
    gate: Gate,
    files: Files,
    /// A look that is under way.
    asking: Option<Receiver<Files>>,
    /// Monotonic instant of the last question about each.
    asked: BTreeMap<ProcessKey, u64>,
}

impl IoCasePart {
    /// A part that has judged nothing yet. `wake` is notified when files were looked at.
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        Self { wake, gate: Gate::default(), files: Files::new(), asking: None, asked: BTreeMap::new() }
    }

    /// Forgets what was found; a look that hangs is waited for, or each new watcher would add to it.
    pub(crate) fn release(&mut self) {
        let asking = self.asking.take();
        *self = Self { asking, ..Self::new(Arc::clone(&self.wake)) };
    }

    /// Whether files are being looked at.
    pub(crate) fn is_waiting(&self) -> bool {
        self.asking.is_some()
    }

    /// Judges; `next` must have all other tables of this tick. `now` is monotonic.
    pub(crate) fn read(&mut self, next: &mut Snapshot, now: u64, troubles: &mut Troubles) {
        self.hear();
        let Some(since) = self.gate.look(next, clock::now_nanos()) else {
            self.files.clear();
            self.asked.clear();
            next.io_case = Table::new();
            troubles.none(collect::IO_CASE);
            return;
        };
        self.asked.retain(|_, asked| now.saturating_sub(*asked) < FORGET);
        self.files.retain(|key, _| self.asked.contains_key(key));
        self.look(next, now, troubles);
        self.tell(next, since);
    }

    /// Takes over what was looked at since, and looks on where that did not tell. Reads nothing itself.
    pub(crate) fn take(&mut self, next: &mut Snapshot, troubles: &mut Troubles) {
        if self.hear()
            && let Some(since) = self.gate.since()
        {
            self.look(next, clock::monotonic(), troubles);
            self.tell(next, since);
        }
    }

    fn tell(&self, next: &mut Snapshot, since: u64) {
        let case = judge(next, &self.files, since, next.io_case.get(&Single).map(|row| &**row));
        let rows: Table<Single, IoCase> = [(Single, Arc::new(case))].into();
        next.io_case = keep_rows(rows, &next.io_case);
    }

    /// Takes an answer over; whether there was one.
    fn hear(&mut self) -> bool {
        let Some(asking) = &self.asking else { return false };
        match asking.try_recv() {
            Ok(files) => {
                self.files.extend(files);
                self.asking = None;
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                self.asking = None;
                false
            }
        }
    }

    /// Has files looked at of who is suspected, unless that was done a moment ago.
    fn look(&mut self, next: &Snapshot, now: u64, troubles: &mut Troubles) {
        if self.asking.is_some() {
            return;
        }
        let due =
            |key: &ProcessKey| self.asked.get(key).is_none_or(|asked| now.saturating_sub(*asked) >= AGAIN);
        let suspects = ask(next, &self.files, next.io_case.get(&Single).map(|row| &**row));
        let keys: Vec<ProcessKey> = suspects.into_iter().filter(due).collect();
        if keys.is_empty() {
            return;
        }
        self.asked.extend(keys.iter().map(|key| (*key, now)));
        let (sender, receiver) = channel();
        let wake = Arc::clone(&self.wake);
        let thread = std::thread::Builder::new().name("suspects".into()).spawn(move || {
            // Nobody may want it by now.
            let _ = sender.send(look_twice(keys));
            wake.notify_one();
        });
        match thread {
            Ok(_) => {
                self.asking = Some(receiver);
                troubles.none(collect::IO_CASE);
            }
            Err(error) => {
                troubles.limited(collect::IO_CASE, format!("no thread to look at open files: {error}"));
            }
        }
    }
}

fn look_twice(keys: Vec<ProcessKey>) -> Files {
    let before: Vec<_> = keys.into_iter().map(|key| (key, open_files(key))).collect();
    std::thread::sleep(APART);
    let again = |(key, before): (ProcessKey, Result<OpenFiles, String>)| {
        // Who ended meanwhile held them all the same.
        let now = before.map(|before| match open_files(key) {
            Ok(mut now) => {
                now.rate(&before);
                now
            }
            Err(_) => before,
        });
        (key, now)
    };
    before.into_iter().map(again).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Instant;

    use glasshull_shared::domain::device::{CaseKind, Device, DeviceKey, DeviceStat};
    use glasshull_shared::domain::host::{CpuRatios, HostStat};
    use glasshull_shared::domain::mount::{Mount, MountKey};
    use glasshull_shared::domain::process::ProcessIo;

    use super::*;
    use crate::sys::root::Root;

    /// A host that waits for a device with one file system, to which one process writes.
    fn waits(writer: ProcessKey, mount: u32) -> Snapshot {
        let mut s = Snapshot::default();
        let cpu_ratio = Some(CpuRatios { iowait: 0.5, ..CpuRatios::default() });
        s.host_stat.insert(Single, Arc::new(HostStat { cpu_ratio, ..HostStat::default() }));
        let key = DeviceKey { major_minor: "8:0".into() };
        s.device.insert(key.clone(), Arc::new(Device { name: "sda".into(), ..Device::default() }));
        let busy = DeviceStat {
            utilization_ratio: Some(0.9),
            write_bytes_per_sec: Some(1e6),
            ..DeviceStat::default()
        };
        s.device_stat.insert(key, Arc::new(busy));
        let row = Mount { device: "8:0".into(), mountpoint: "/".into(), host: true, ..Mount::default() };
        s.mount.insert(MountKey { mntns: None, mount }, Arc::new(row));
        s.process.insert(writer, Arc::default());
        s.process_stat.insert(writer, Arc::default());
        let io = ProcessIo { write_bytes_per_sec: Some(1e6), ..ProcessIo::default() };
        s.process_io.insert(writer, Arc::new(io));
        s
    }

    #[test]
    fn files_are_looked_at_beside_the_tick_and_the_one_that_grows_is_named() {
        let own = collect::process::holder(&Root::host(), std::process::id()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let info = std::fs::read_to_string(format!(
            "/proc/self/fdinfo/{}",
            std::os::fd::AsRawFd::as_raw_fd(file.as_file())
        ));
        let info = info.unwrap();
        let mount =
            info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap().trim().parse().unwrap();
        let mut next = waits(own, mount);
        let (mut part, mut troubles) = (IoCasePart::new(Arc::default()), Troubles::default());
        part.read(&mut next, clock::monotonic(), &mut troubles);
        assert!(part.is_waiting() && next.io_case[&Single].link(CaseKind::File).is_none());
        let began = Instant::now();
        while part.is_waiting() && began.elapsed() < Duration::from_secs(30) {
            file.write_all(&[7; 4096]).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            part.take(&mut next, &mut troubles);
        }
        let case = &next.io_case[&Single];
        let found = case.link(CaseKind::File).unwrap_or_else(|| panic!("{case:?}"));
        assert_eq!(found.path.as_deref(), file.path().to_str());
        assert!(found.size_per_sec.is_some_and(|rate| rate > 0.0), "{found:?}");
        // What a moment ago was looked at is not looked at again, whatever time this took on a busy host.
        let asked = part.asked[&own];
        part.read(&mut next, asked + 1, &mut troubles);
        assert!(!part.is_waiting());
        part.read(&mut next, asked + AGAIN, &mut troubles);
        assert!(part.is_waiting());
    }

    #[test]
    fn a_suspect_that_has_ended_is_said_and_a_host_at_rest_has_no_row() {
        let gone = ProcessKey { pid: u32::MAX, start_time: 1 };
        let mut next = waits(gone, 1);
        let (mut part, mut troubles) = (IoCasePart::new(Arc::default()), Troubles::default());
        part.read(&mut next, clock::monotonic(), &mut troubles);
        let began = Instant::now();
        while part.is_waiting() && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
            part.take(&mut next, &mut troubles);
        }
        let doubt = &next.io_case[&Single].link(CaseKind::Process).unwrap().doubt;
        assert!(doubt.contains("its files are not known") && doubt.contains("has ended"), "{doubt}");
        next.host_stat.insert(
            Single,
            Arc::new(HostStat { cpu_ratio: Some(CpuRatios::default()), ..HostStat::default() }),
        );
        for _ in 0..4 {
            part.read(&mut next, clock::monotonic(), &mut troubles);
        }
        assert!(next.io_case.is_empty());
    }
}
