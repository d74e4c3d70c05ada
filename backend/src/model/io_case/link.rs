//! The links of a case in words: what each names, its figures, its evidence, and what could be wrong with it.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::device::{CaseKind, CaseLink, Device, DeviceKey, DeviceKind, DeviceStat};
use glasshull_shared::domain::process::ProcessState;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit::{self, printable};

use super::stack::Place;
use super::suspect::{Suspect, Trace};
use super::{Found, Looked};

/// Characters of a name, and of a line.
const NAME_CHARS: usize = 256;
const LINE_CHARS: usize = 600;

/// The symptom.
pub(super) fn host(snapshot: &Snapshot) -> CaseLink {
    let stat = snapshot.host_stat.get(&Single);
    let iowait = stat.and_then(|row| row.cpu_ratio).map(|cpu| cpu.iowait);
    let pressure = stat.and_then(|row| row.psi_io).map(|psi| psi.some.avg10_ratio);
    let blocked = stat.map(|row| row.blocked).unwrap_or_default();
    CaseLink {
        kind: CaseKind::Host,
        name: snapshot.host.get(&Single).map(|row| printable(&row.hostname)).unwrap_or_default(),
        wait_ratio: iowait,
        pressure_ratio: pressure,
        evidence: format!(
            "CPUs idle for a block device {} of the interval, tasks stalled for I/O {} of the last 10 s, {blocked} blocked now \
             (/proc/stat, /proc/pressure/io)",
            share(iowait),
            share(pressure)
        ),
        doubt: "iowait is idle time, no CPU time: other work hides it however long processes wait, and pressure is a mean that \
                trails by seconds"
            .into(),
        ..CaseLink::default()
    }
}

/// The device at which requests queue.
pub(super) fn device(found: &Found<'_>, key: &DeviceKey) -> Option<CaseLink> {
    let (row, stat) = found.stack.device(key)?;
    let (await_secs, what) = slowest(stat);
    let await_text = await_secs.map(unit::latency_secs);
    let queue = unit::or_unknown(stat.queue_length.map(|mean| format!("{mean:.2}")));
    let mut evidence = format!(
        "busy {} of the interval, {queue} requests on their way on average, a {what} took {}, {} read, {} written \
         (/proc/diskstats)",
        share(stat.utilization_ratio),
        unit::or_unknown(await_text),
        rate(stat.read_bytes_per_sec),
        rate(stat.write_bytes_per_sec),
    );
    if let Some(file) = &row.backing_file {
        evidence.push_str(&format!("; it is the file {}", printable(file)));
    }
    let doubt = if stat.utilization_ratio.is_none_or(|busy| busy < super::BUSY) {
        "it is not busy: the wait may be before it (a limit of the control group, a lock, a frozen file system) or at a layer below"
    } else {
        busy_doubt(row.kind)
    };
    Some(CaseLink {
        kind: CaseKind::Device,
        await_secs,
        evidence,
        doubt: doubt.into(),
        ..figures(key, row, stat)
    })
}

fn busy_doubt(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Loop => {
            "its file lies on another device, where the requests may queue in truth; busy says that at least one request was on its \
             way"
        }
        DeviceKind::Zram => "it is memory: what waits here waits for the CPU that compresses",
        DeviceKind::Disk | DeviceKind::Partition | DeviceKind::Dm | DeviceKind::Md => {
            "busy says that at least one request was on its way: a device that serves many at once (SSD, RAID, cloud) can do more at \
             100 %"
        }
    }
}

/// What lies on it.
pub(super) fn volume(found: &Found<'_>, key: &DeviceKey) -> Option<CaseLink> {
    let (row, stat) = found.stack.device(key)?;
    let on = match (&row.backing_file, row.parents.is_empty()) {
        (Some(file), true) => format!("the file {} (/sys/block/*/loop/backing_file)", printable(file)),
        (Some(_) | None, _) => format!("{} (/sys/dev/block/{})", row.parents.join(", "), key.major_minor),
    };
    let path = row.backing_file.clone().filter(|_| row.kind == DeviceKind::Loop);
    Some(CaseLink {
        kind: CaseKind::Volume,
        path,
        await_secs: slowest(stat).0,
        evidence: format!(
            "{} on {on}; busy {} of the interval, {} read, {} written (/proc/diskstats)",
            row.kind.name(),
            share(stat.utilization_ratio),
            rate(stat.read_bytes_per_sec),
            rate(stat.write_bytes_per_sec),
        ),
        doubt: "others that lie on the same device add to its queue and are not in this chain".into(),
        ..figures(key, row, stat)
    })
}

fn figures(key: &DeviceKey, row: &Device, stat: &DeviceStat) -> CaseLink {
    CaseLink {
        name: printable(row.dm_name.as_deref().unwrap_or(&row.name)),
        device: Some(key.clone()),
        wait_ratio: stat.utilization_ratio,
        queue_length: stat.queue_length,
        read_bytes_per_sec: stat.read_bytes_per_sec,
        write_bytes_per_sec: stat.write_bytes_per_sec,
        ..CaseLink::default()
    }
}

/// How long each request took, of the kind that took most time in all.
fn slowest(stat: &DeviceStat) -> (Option<f32>, &'static str) {
    let kinds = [
        (stat.reads_per_sec, stat.read_await_secs, "read"),
        (stat.writes_per_sec, stat.write_await_secs, "write"),
        (stat.discards_per_sec, stat.discard_await_secs, "discard"),
        (stat.flushes_per_sec, stat.flush_await_secs, "flush"),
    ];
    let spent = kinds.into_iter().filter_map(|(count, each, what)| Some((count? * each?, each?, what)));
    let most = spent.max_by(|a, b| a.0.total_cmp(&b.0));
    most.map_or((None, "request"), |(_, each, what)| (Some(each), what))
}

/// The file system; of a container's own layer, the host's that holds it.
pub(super) fn mount(found: &Found<'_>, place: Place<'_>) -> CaseLink {
    let upper = place.1.overlay.as_ref().and_then(|overlay| overlay.upper.as_deref());
    let holder = upper.and_then(|upper| found.stack.place(upper));
    let (key, row) = holder.unwrap_or(place);
    let on_host = row.from_host.as_ref().map(|from| from.path.as_str()).filter(|_| !row.host);
    let mut evidence = format!(
        "{} of {} at {} (/proc/{}/mountinfo)",
        row.fstype,
        printable(&row.source),
        row.mountpoint,
        row.pid
    );
    if let Some(upper) = upper.filter(|_| holder.is_some()) {
        evidence.push_str(&format!("; it holds the writable layer {}", printable(upper)));
    }
    let doubt = if found.culprit.as_ref().is_some_and(|one| one.trace.is_some()) {
        "its journal and what is written back later are of all who use it"
    } else {
        "no open file led here: it is the busiest file system on the device, another may be meant"
    };
    CaseLink {
        kind: CaseKind::Mount,
        name: printable(on_host.unwrap_or(&row.mountpoint)),
        device: found.stack.of_mount(row).cloned(),
        mount: Some(*key),
        container: row.container.clone(),
        fstype: Some(row.fstype.clone()),
        evidence,
        doubt: doubt.into(),
        ..CaseLink::default()
    }
}

/// The container of a process.
pub(super) fn container(found: &Found<'_>, culprit: &Suspect<'_>) -> Option<CaseLink> {
    let id = culprit.process.container.as_ref()?;
    let key = ContainerKey { id: id.clone() };
    let name = found.snapshot.container.get(&key).map(|row| printable(&row.name));
    let stat = found.snapshot.container_stat.get(&key);
    let group = culprit.process.cgroup.as_deref().map(printable);
    Some(CaseLink {
        kind: CaseKind::Container,
        name: name.unwrap_or_else(|| unit::short_id(id).to_owned()),
        container: Some(id.clone()),
        read_bytes_per_sec: stat.and_then(|row| row.read_bytes_per_sec),
        write_bytes_per_sec: stat.and_then(|row| row.write_bytes_per_sec),
        evidence: format!(
            "process {} is in its control group {} (/proc/{}/cgroup)",
            culprit.key.pid,
            unit::or_unknown(group),
            culprit.key.pid
        ),
        doubt: "it is the process that leads here, not the container's own count: on cgroup v1 buffered writes count for the host"
            .into(),
        ..CaseLink::default()
    })
}

/// The process.
pub(super) fn process(found: &Found<'_>, culprit: &Looked<'_>) -> CaseLink {
    let others = match found.suspects.len().saturating_sub(1) {
        0 => String::new(),
        1 => "one other process moves data or waits too; ".to_owned(),
        count => format!("{count} others move data or wait too; "),
    };
    let files = match (culprit.hidden, culprit.elsewhere, found.bottom) {
        (Some(why), ..) => format!("its files are not known ({}); ", printable(why)),
        (None, true, _) => "it holds no file on this device now; ".to_owned(),
        (None, false, None) => {
            "no block device is at work: it may wait for a server, a frozen file system or a lock; "
                .to_owned()
        }
        (None, false, Some(_)) if culprit.trace.is_none() => "its open files are not known yet; ".to_owned(),
        (None, false, Some(_)) => String::new(),
    };
    let late = "bytes count when a page gets dirty, the kernel writes them later in its own name, and a parent is credited what its \
                children moved when they end";
    CaseLink { doubt: format!("{others}{files}{late}"), ..doer(&culprit.suspect) }
}

/// Nobody can be blamed; who does the work instead.
pub(super) fn unblamed(found: &Found<'_>, thread: Option<Suspect<'_>>) -> CaseLink {
    let row = thread.as_ref().map(doer);
    let evidence = row.as_ref().map(|row| format!("; the kernel's own {}: {}", row.name, row.evidence));
    let heir =
        found.suspects.iter().find_map(|one| Some((&one.suspect, one.late_child?))).map(|(parent, child)| {
            let (comm, name) = (printable(&parent.process.comm), child.comm.as_deref().map(printable));
            format!(
                "; {comm} ({}) is credited what its child {} ({}) moved, which has ended",
                parent.key.pid,
                unit::or_unknown(name),
                child.pid
            )
        });
    let doubt = if found.bottom.is_some() {
        "whoever made these pages dirty may have ended, or works through a server or a file that serves as a disk; what users may not \
         see of others hides here too"
    } else {
        "no block device is at work: what is waited for lies elsewhere (a server, a frozen file system), or is over already"
    };
    CaseLink {
        kind: CaseKind::Process,
        unblamed: true,
        evidence: format!(
            "no process that is still there moved a share of it or waits for it (/proc/PID/io, /proc/PID/stat){}{}",
            heir.unwrap_or_default(),
            evidence.unwrap_or_default()
        ),
        doubt: doubt.into(),
        ..row.unwrap_or_default()
    }
}

fn doer(of: &Suspect<'_>) -> CaseLink {
    let (pid, io) = (of.key.pid, of.io);
    let blocked = of.stat.state == ProcessState::D;
    let comm = printable(&of.process.comm);
    let mut evidence = format!(
        "{} read from storage, {} written towards it (/proc/{pid}/io)",
        rate(io.read_bytes_per_sec),
        rate(io.write_bytes_per_sec)
    );
    if let Some(ratio) = io.block_wait_ratio {
        evidence.push_str(&format!(", waited for block I/O {} of the interval", share(Some(ratio))));
    }
    if blocked {
        let channel = of.stat.wait_channel.as_deref().map(printable);
        evidence.push_str(&format!(", now in D in {} (/proc/{pid}/stat, wchan)", unit::or_unknown(channel)));
    }
    CaseLink {
        kind: CaseKind::Process,
        name: if of.process.kernel_thread { format!("[{comm}]") } else { comm },
        process: Some(*of.key),
        container: of.process.container.clone(),
        wait_ratio: io.block_wait_ratio,
        read_bytes_per_sec: io.read_bytes_per_sec,
        write_bytes_per_sec: io.write_bytes_per_sec,
        blocked,
        evidence,
        ..CaseLink::default()
    }
}

/// The file.
pub(super) fn file(culprit: &Suspect<'_>, trace: &Trace<'_>) -> CaseLink {
    let (file, pid) = (trace.file, culprit.key.pid);
    let fd = unit::or_unknown(file.fd.map(|fd| fd.to_string()));
    let (grows, moves) = (rate(file.size_per_sec), rate(file.position_per_sec));
    let doubt = match (trace.pace > 0.0, trace.others) {
        (true, _) => "pwrite and mappings move no position, and others may write the same file".to_owned(),
        (false, 0) => {
            "it does not move: it is the only file the process holds open for this on the device".to_owned()
        }
        (false, others) => {
            format!("it does not move: it is the largest of {} such files on the device", others + 1)
        }
    };
    CaseLink {
        kind: CaseKind::File,
        name: file.path.clone(),
        device: Some(trace.device.clone()),
        mount: trace.place.map(|(key, _)| *key),
        container: culprit.process.container.clone(),
        process: Some(*culprit.key),
        path: Some(file.path.clone()),
        host_path: file.host_path.clone(),
        fd: file.fd,
        size_per_sec: file.size_per_sec,
        position_per_sec: file.position_per_sec,
        evidence: format!(
            "descriptor {fd}: size {grows}, position {moves} (/proc/{pid}/fd/{fd}, fdinfo/{fd})"
        ),
        doubt,
        ..CaseLink::default()
    }
}

/// Texts that strangers choose, at a length that can be shown.
pub(super) fn bound(link: &mut CaseLink) {
    let CaseLink { name, evidence, doubt, .. } = link;
    for (text, most) in [(name, NAME_CHARS), (evidence, LINE_CHARS), (doubt, LINE_CHARS)] {
        if let Some((end, _)) = text.char_indices().nth(most) {
            text.truncate(end);
            text.push('…');
        }
    }
}

fn share(ratio: Option<f32>) -> String {
    unit::or_unknown(ratio.map(|ratio| unit::percent(ratio.into())))
}

fn rate(per_sec: Option<f32>) -> String {
    unit::or_unknown(per_sec.map(|bytes| unit::bytes_per_sec(bytes.into())))
}
