//! Who may make a device busy, and for which file: by what was moved, by who waits, and by what is held open there.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::{DeviceKey, DeviceStat};
use glasshull_shared::domain::file::{FileKind, OpenFile, OpenFiles, OpenMode};
use glasshull_shared::domain::process::{
    ExitedProcess, Process, ProcessIo, ProcessKey, ProcessStat, ProcessState,
};
use glasshull_shared::snapshot::Snapshot;

use super::stack::{Place, Stack};

/// Who has less of the device's work and of the waiting than this is not suspected.
const LEAST: f32 = 0.05;
/// What being seen in D counts, as the kernel counts a wait only when it is over; less for who has moved nothing.
const IN_D: f32 = 0.5;
const IN_D_IDLE: f32 = 0.3;
/// Where processes are in D and wait for no device: frozen or stopped by others, or for a child that has yet to begin its program.
const NO_IO: [&str; 7] = [
    "__refrigerator",
    "do_freezer_trap",
    "ptrace_stop",
    "kernel_clone",
    "_do_fork",
    "do_fork",
    "wait_for_vfork_done",
];
/// Nanoseconds for which what a child moved may stand in its parent's account: readings are some seconds apart.
const CREDITED: u64 = 5_000_000_000;
/// Up to this age a process without a rate is one that began since the last reading.
const YOUNG_SECS: u64 = 3;
/// By how much the one of the last judgement goes before others.
const KEPT: f32 = 1.5;
/// Bytes per second from which a file moves.
const MOVES: f32 = 1.0;

/// A process with what speaks against it.
#[derive(Clone, Copy)]
pub(super) struct Suspect<'a> {
    pub(super) key: &'a ProcessKey,
    pub(super) process: &'a Process,
    pub(super) stat: &'a ProcessStat,
    pub(super) io: &'a ProcessIo,
    /// Bytes per second read and written.
    pub(super) moved: (f32, f32),
    /// Its share of what passed the device plus that of the time it waited.
    pub(super) weight: f32,
}

/// A file of a suspect on the device in question.
#[derive(Clone)]
pub(super) struct Trace<'a> {
    pub(super) file: &'a OpenFile,
    /// The device it lies on, or that it is.
    pub(super) device: &'a DeviceKey,
    pub(super) place: Option<Place<'a>>,
    /// From the bottom of the stack to that device.
    pub(super) way: Vec<&'a DeviceKey>,
    /// Bytes per second by which it grows or its position moves on.
    pub(super) pace: f32,
    /// Files it might be just as well.
    pub(super) others: usize,
}

impl Suspect<'_> {
    /// It is seen to wait for a good part of the time.
    pub(super) fn waits(&self) -> bool {
        waiting(self.moved, self.io, self.stat) >= IN_D_IDLE
    }

    /// It writes at least as much as it reads.
    pub(super) fn writes(&self) -> bool {
        self.moved.1 >= self.moved.0
    }
}

/// All suspects, the first one first; kernel threads work for others and are none. Without a device only who waits is one.
pub(super) fn suspects<'a>(
    snapshot: &'a Snapshot,
    device: Option<&DeviceStat>,
    before: Option<ProcessKey>,
) -> Vec<Suspect<'a>> {
    let rows = snapshot.process_io.iter().filter_map(|(key, io)| {
        let process = snapshot.process.get(key).filter(|row| !row.kernel_thread)?;
        let stat = snapshot.process_stat.get(key)?;
        let kept = if before == Some(*key) { KEPT } else { 1.0 };
        let moved = if io.write_bytes_per_sec.is_some() { rates(io) } else { young(snapshot, key, io) };
        let weight = (share(moved, device) + waiting(moved, io, stat)) * kept;
        Some(Suspect { key, process, stat, io, moved, weight })
    });
    let mut rows: Vec<_> = rows.filter(|one| one.weight >= LEAST).collect();
    rows.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.key.cmp(b.key)));
    rows
}

fn rates(io: &ProcessIo) -> (f32, f32) {
    let rate = |of: Option<f32>| of.unwrap_or_default().max(0.0);
    (rate(io.read_bytes_per_sec), rate(io.write_bytes_per_sec))
}

/// The same of a process that began since the last reading: all its bytes are of these seconds.
fn young(snapshot: &Snapshot, key: &ProcessKey, io: &ProcessIo) -> (f32, f32) {
    let ticks = snapshot.host.get(&Single).map_or(0, |row| row.ticks_per_sec).max(1);
    let uptime = snapshot.host_stat.get(&Single).map_or(u64::MAX, |row| row.uptime_secs);
    let age = uptime.saturating_sub(key.start_time / u64::from(ticks));
    if age > YOUNG_SECS {
        return (0.0, 0.0);
    }
    let rate = |bytes: Option<u64>| bytes.unwrap_or_default() as f32 / age.max(1) as f32;
    (rate(io.read_bytes), rate(io.write_bytes))
}

/// The newest child of a process that ended a moment ago: what it had moved counts as its parent's from then on.
pub(super) fn late_child<'a>(snapshot: &'a Snapshot, key: &ProcessKey) -> Option<&'a ExitedProcess> {
    let boot_at = snapshot.host.get(&Single)?.boot_at;
    let uptime_secs = snapshot.host_stat.get(&Single)?.uptime_secs;
    let now = boot_at.saturating_add(uptime_secs.saturating_mul(1_000_000_000));
    let recent = |end: &&ExitedProcess| now.saturating_sub(end.exited_at) < CREDITED;
    let mut ends = snapshot.exited_process.values().rev().map(|end| &**end).take_while(recent);
    ends.find(|end| end.ppid == Some(key.pid))
}

/// Of what passed the device, how much this process can have moved: who fills a cache faster has still no more than all.
pub(super) fn share(moved: (f32, f32), device: Option<&DeviceStat>) -> f32 {
    let Some(device) = device else { return 0.0 };
    let rate = |of: Option<f32>| of.unwrap_or_default().max(0.0);
    let (reads, writes) = (rate(device.read_bytes_per_sec), rate(device.write_bytes_per_sec));
    let all = reads + writes;
    if all <= 0.0 {
        return 0.0;
    }
    (moved.0.min(reads) + moved.1.min(writes)) / all
}

fn waiting(moved: (f32, f32), io: &ProcessIo, stat: &ProcessStat) -> f32 {
    let channel = stat.wait_channel.as_deref();
    let in_d = stat.state == ProcessState::D && channel.is_none_or(|channel| !NO_IO.contains(&channel));
    let seen = match (in_d, moved.0 + moved.1 > 0.0) {
        (true, true) => IN_D,
        (true, false) => IN_D_IDLE,
        (false, _) => 0.0,
    };
    io.block_wait_ratio.unwrap_or_default().clamp(0.0, 1.0).max(seen)
}

/// The file by which a process is tied to the device: the one that moves most; else, for one that writes or waits, the largest
/// that it may write. Without a device, a file on any one will do.
pub(super) fn trace<'a>(
    stack: &Stack<'a>,
    files: &'a OpenFiles,
    bottom: Option<&DeviceKey>,
    writes: bool,
) -> Option<Trace<'a>> {
    let here = files.rows.iter().filter_map(|file| on(stack, file, bottom));
    let here: Vec<_> = here.collect();
    let moving = here.iter().filter(|one| one.pace >= MOVES).max_by(|a, b| a.pace.total_cmp(&b.pace));
    if let Some(one) = moving {
        return Some(one.clone());
    }
    let written =
        |one: &&Trace<'_>| matches!(one.file.mode, Some(OpenMode::Write | OpenMode::ReadWrite)) == writes;
    let still: Vec<_> = here.iter().filter(written).filter(|one| one.file.mode.is_some()).collect();
    let largest = still.iter().max_by_key(|one| one.file.size_bytes)?;
    Some(Trace { others: still.len() - 1, ..(**largest).clone() })
}

/// A file, when it lies on that device or is a device above it.
fn on<'a>(stack: &Stack<'a>, file: &'a OpenFile, bottom: Option<&DeviceKey>) -> Option<Trace<'a>> {
    let (place, device) = match file.kind? {
        FileKind::Block => (None, stack.numbered(file.node.as_deref()?)?),
        FileKind::File => {
            let place = file.mount_id.and_then(|id| stack.mount(id));
            let by_mount = place.and_then(|(_, row)| stack.of_mount(row));
            (place, by_mount.or_else(|| stack.numbered(file.device.as_deref()?))?)
        }
        FileKind::Dir
        | FileKind::Char
        | FileKind::Pipe
        | FileKind::Socket
        | FileKind::Link
        | FileKind::Anon => {
            return None;
        }
    };
    let rate = |of: Option<f32>| of.unwrap_or_default();
    let pace = rate(file.size_per_sec).max(rate(file.position_per_sec));
    Some(Trace { file, device, place, way: stack.way(device, bottom)?, pace, others: 0 })
}

/// The kernel's own thread that does the work when nobody else is seen to: the one that flushes this device, else one that waits,
/// else the one that moves most.
pub(super) fn kernel_thread<'a>(snapshot: &'a Snapshot, way: &[&DeviceKey]) -> Option<Suspect<'a>> {
    let rows = snapshot.process.iter().filter(|(_, row)| row.kernel_thread).filter_map(|(key, process)| {
        let (stat, io) = (snapshot.process_stat.get(key)?, snapshot.process_io.get(key)?);
        let flushes = way.iter().any(|device| {
            process.comm.split_once("flush-").is_some_and(|(_, number)| number == device.major_minor)
        });
        let moved = rates(io);
        let bytes = moved.0 + moved.1;
        let blocked = stat.state == ProcessState::D;
        let rank = (flushes, blocked, bytes);
        (flushes || blocked || bytes > 0.0)
            .then_some((rank, Suspect { key, process, stat, io, moved, weight: 0.0 }))
    });
    let best = rows.max_by(|(a, _), (b, _)| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    best.map(|(_, one)| one)
}
