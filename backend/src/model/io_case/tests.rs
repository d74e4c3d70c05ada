//! Scenes of a host that waits, each with others who do something else at the same time.

use std::sync::Arc;

use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::device::{CaseLink, Device, DeviceKind, DeviceStat};
use glasshull_shared::domain::file::{FileKind, OpenFile, OpenMode};
use glasshull_shared::domain::host::{CpuRatios, Host, HostStat, Psi, PsiLine};
use glasshull_shared::domain::mount::{FromHost, Mount, MountKey, Overlay};
use glasshull_shared::domain::process::{
    ExitKey, ExitedProcess, Process, ProcessIo, ProcessStat, ProcessState,
};

use super::*;

const HOST_NS: u64 = 1;
const DB_NS: u64 = 2;
const DB: &str = "dbdbdb";

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, start_time: 1 }
}

fn number(major_minor: &str) -> DeviceKey {
    DeviceKey { major_minor: major_minor.into() }
}

/// A disk with a partition, a volume on that and a loop device whose file lies there; a container on an overlay with a volume.
/// Nobody does anything.
fn host(iowait: f32, pressure: f32) -> Snapshot {
    let mut s = Snapshot::default();
    let some = PsiLine { avg10_ratio: pressure, ..PsiLine::default() };
    let stat = HostStat {
        cpu_ratio: Some(CpuRatios { iowait, ..CpuRatios::default() }),
        psi_io: Some(Psi { some, full: None }),
        ..HostStat::default()
    };
    s.host_stat.insert(Single, Arc::new(stat));
    device(&mut s, "8:0", "sda", DeviceKind::Disk, &[]);
    device(&mut s, "8:1", "sda1", DeviceKind::Partition, &["sda"]);
    device(&mut s, "253:0", "dm-0", DeviceKind::Dm, &["sda1"]);
    device(&mut s, "7:0", "loop0", DeviceKind::Loop, &[]);
    change(&mut s, "253:0", |row| row.dm_name = Some("vg-root".into()));
    change(&mut s, "7:0", |row| row.backing_file = Some("/lab/disk.img".into()));
    mount(&mut s, HOST_NS, 20, "/", "253:0", |_| {});
    mount(&mut s, HOST_NS, 21, "/mnt/loop", "7:0", |_| {});
    let inside = |row: &mut Mount| {
        (row.container, row.host, row.pid) = (Some(DB.into()), false, 70);
    };
    mount(&mut s, DB_NS, 40, "/", "0:50", |row| {
        inside(row);
        (row.fstype, row.source) = ("overlay".into(), "overlay".into());
        row.overlay = Some(Overlay { upper: Some("/var/lib/docker/db/diff".into()), ..Overlay::default() });
    });
    mount(&mut s, DB_NS, 41, "/data", "253:0", |row| {
        inside(row);
        row.from_host = Some(FromHost { path: "/var/lib/postgresql".into(), writable: true });
    });
    s.container.insert(
        ContainerKey { id: DB.into() },
        Arc::new(Container { name: "db".into(), ..Container::default() }),
    );
    process(&mut s, 5, "sleep", None, |_| {});
    s
}

fn device(s: &mut Snapshot, number_: &str, name: &str, kind: DeviceKind, parents: &[&str]) {
    let parents = parents.iter().map(|name| (*name).to_owned()).collect();
    let row = Device { name: name.into(), kind, parents, ..Device::default() };
    s.device.insert(number(number_), Arc::new(row));
    let rest = DeviceStat { utilization_ratio: Some(0.0), queue_length: Some(0.0), ..DeviceStat::default() };
    s.device_stat.insert(number(number_), Arc::new(rest));
}

fn change(s: &mut Snapshot, of: &str, with: impl FnOnce(&mut Device)) {
    with(Arc::make_mut(s.device.get_mut(&number(of)).unwrap()));
}

/// Has a device busy with so many bytes read and written a second.
fn busy(s: &mut Snapshot, of: &str, share: f32, queue: f32, (reads, writes): (f32, f32)) {
    let row = DeviceStat {
        utilization_ratio: Some(share),
        queue_length: Some(queue),
        read_bytes_per_sec: Some(reads),
        write_bytes_per_sec: Some(writes),
        reads_per_sec: Some(reads / 65536.0),
        writes_per_sec: Some(writes / 65536.0),
        read_await_secs: (reads > 0.0).then_some(0.002),
        write_await_secs: (writes > 0.0).then_some(0.21),
        ..DeviceStat::default()
    };
    s.device_stat.insert(number(of), Arc::new(row));
}

fn mount(s: &mut Snapshot, ns: u64, id: u32, point: &str, device: &str, with: impl FnOnce(&mut Mount)) {
    let mut row = Mount {
        host: ns == HOST_NS,
        pid: 1,
        mountpoint: point.into(),
        source: "/dev/x".into(),
        fstype: "ext4".into(),
        device: device.into(),
        ..Mount::default()
    };
    with(&mut row);
    s.mount.insert(MountKey { mntns: Some(ns), mount: id }, Arc::new(row));
}

/// A process with these rates; `with` may change how it fares.
fn process(
    s: &mut Snapshot,
    pid: u32,
    comm: &str,
    container: Option<&str>,
    with: impl FnOnce(&mut (Process, ProcessStat, ProcessIo)),
) {
    let row = Process {
        comm: comm.into(),
        container: container.map(str::to_owned),
        cgroup: Some("/docker/x".into()),
        ..Process::default()
    };
    let io =
        ProcessIo { read_bytes_per_sec: Some(0.0), write_bytes_per_sec: Some(0.0), ..ProcessIo::default() };
    let mut all = (row, ProcessStat::default(), io);
    with(&mut all);
    s.process.insert(key(pid), Arc::new(all.0));
    s.process_stat.insert(key(pid), Arc::new(all.1));
    s.process_io.insert(key(pid), Arc::new(all.2));
}

/// A file held by a descriptor.
fn open(path: &str, mount: u64, mode: OpenMode, pace: Option<f32>) -> OpenFile {
    OpenFile {
        fd: Some(3),
        kind: Some(FileKind::File),
        mode: Some(mode),
        path: path.into(),
        mount_id: Some(mount),
        size_bytes: Some(1 << 20),
        position_per_sec: pace,
        size_per_sec: pace,
        ..OpenFile::default()
    }
}

fn held(pid: u32, rows: Vec<OpenFile>) -> (ProcessKey, Result<OpenFiles, String>) {
    (key(pid), Ok(OpenFiles { rows, ..OpenFiles::default() }))
}

fn case(s: &Snapshot, files: impl IntoIterator<Item = (ProcessKey, Result<OpenFiles, String>)>) -> IoCase {
    let since = Gate::default().look(s, 7).expect("the host waits");
    let case = judge(s, &files.into_iter().collect(), since, None);
    assert!(case.links.iter().all(|link| !link.evidence.is_empty() && !link.doubt.is_empty()), "{case:?}");
    case
}

fn kinds(case: &IoCase) -> Vec<CaseKind> {
    case.links.iter().map(|link| link.kind).collect()
}

fn of(case: &IoCase, kind: CaseKind) -> &CaseLink {
    case.link(kind).unwrap_or_else(|| panic!("no {kind:?} in {case:?}"))
}

#[test]
fn a_direct_writer_on_a_loop_device() {
    let mut s = host(0.3, 0.4);
    busy(&mut s, "7:0", 0.97, 1.0, (0.0, 2e7));
    busy(&mut s, "8:0", 0.2, 0.3, (0.0, 1e6));
    process(&mut s, 60, "dd", None, |(.., io)| io.write_bytes_per_sec = Some(2e7));
    // Louder, but in a cache: it holds no file there.
    process(&mut s, 61, "tar", None, |(.., io)| io.write_bytes_per_sec = Some(9e8));
    let files = [
        held(60, vec![open("/mnt/loop/out", 21, OpenMode::Write, Some(2e7))]),
        held(61, vec![open("/srv/a.tar", 20, OpenMode::Write, Some(9e8))]),
    ];
    let case = case(&s, files);
    assert_eq!(of(&case, CaseKind::Device).device, Some(number("7:0")));
    assert_eq!(of(&case, CaseKind::Mount).name, "/mnt/loop");
    assert_eq!(of(&case, CaseKind::Process).process, Some(key(60)));
    let file = of(&case, CaseKind::File);
    assert_eq!((file.path.as_deref(), file.size_per_sec), (Some("/mnt/loop/out"), Some(2e7)));
    assert!(case.link(CaseKind::Container).is_none() && case.sentence().contains("await 210 ms"), "{case:?}");
    // When the disk below is where requests queue, the loop device is a layer on the way up.
    busy(&mut s, "8:0", 0.99, 30.0, (0.0, 2e7));
    let files = [held(60, vec![open("/mnt/loop/out", 21, OpenMode::Write, Some(2e7))])];
    let case = super::judge(&s, &files.into_iter().collect(), 1, None);
    assert_eq!(of(&case, CaseKind::Device).name, "sda");
    let volumes = case.links.iter().filter(|link| link.kind == CaseKind::Volume);
    assert_eq!(volumes.map(|link| link.name.as_str()).collect::<Vec<_>>(), ["sda1", "vg-root", "loop0"]);
}

#[test]
fn a_buffered_writer_with_fsync_in_a_container() {
    let mut s = host(0.48, 0.3);
    for (number, share) in [("8:0", 0.97), ("8:1", 0.97), ("253:0", 0.96)] {
        busy(&mut s, number, share, 20.0, (0.0, 2e7));
    }
    // Already in fsync: it moves nothing any more and waits.
    process(&mut s, 70, "dd", Some(DB), |(_, stat, _)| {
        (stat.state, stat.wait_channel) = (ProcessState::D, Some("folio_wait_bit_common".into()));
    });
    let upper = [held(70, vec![open("/var/big", 40, OpenMode::Write, Some(0.0))])];
    let found = case(&s, upper);
    let wanted = [
        CaseKind::Host,
        CaseKind::Device,
        CaseKind::Volume,
        CaseKind::Volume,
        CaseKind::Mount,
        CaseKind::Container,
        CaseKind::Process,
        CaseKind::File,
    ];
    assert_eq!(kinds(&found), wanted);
    assert_eq!(of(&found, CaseKind::Container).name, "db");
    let mount = of(&found, CaseKind::Mount);
    assert!(mount.name == "/" && mount.evidence.contains("/var/lib/docker/db/diff"), "{mount:?}");
    assert!(of(&found, CaseKind::Process).evidence.contains("folio_wait_bit_common"));
    assert!(of(&found, CaseKind::File).doubt.contains("does not move"));
    // In a volume, the mount is what the host calls it.
    let found = case(&s, [held(70, vec![open("/data/big", 41, OpenMode::Write, Some(5.0))])]);
    assert_eq!(of(&found, CaseKind::Mount).name, "/var/lib/postgresql");
}

#[test]
fn a_reader() {
    let mut s = host(0.2, 0.0);
    for number in ["8:0", "8:1", "253:0"] {
        busy(&mut s, number, 0.9, 2.0, (5e7, 1e5));
    }
    process(&mut s, 80, "grep", None, |(.., io)| io.read_bytes_per_sec = Some(5e7));
    process(&mut s, 81, "cp", None, |(.., io)| io.write_bytes_per_sec = Some(5e8));
    let read =
        |path: &str, pace| OpenFile { size_per_sec: Some(0.0), ..open(path, 20, OpenMode::Read, pace) };
    let rows = vec![read("/lib/quiet", Some(0.0)), read("/srv/big", Some(5e7))];
    let files = [held(80, rows), held(81, vec![open("/tmp/x", 99, OpenMode::Write, Some(5e8))])];
    let case = case(&s, files);
    assert_eq!(of(&case, CaseKind::Process).process, Some(key(80)));
    assert_eq!(of(&case, CaseKind::File).path.as_deref(), Some("/srv/big"));
    assert!(case.sentence().ends_with("file /srv/big moving on 50.0 MB/s"), "{}", case.sentence());
    assert!(of(&case, CaseKind::Device).evidence.contains("a read took 2.0 ms"));
}

#[test]
fn a_throttled_writer_in_d_whose_files_are_hidden() {
    let mut s = host(0.0, 0.6);
    busy(&mut s, "8:0", 0.99, 60.0, (0.0, 1e7));
    busy(&mut s, "253:0", 0.99, 60.0, (0.0, 1e7));
    process(&mut s, 90, "cp\u{1b}[2J", None, |(_, stat, io)| {
        io.block_wait_ratio = Some(0.9);
        (stat.state, stat.wait_channel) = (ProcessState::D, Some("balance_dirty_pages".into()));
    });
    let files = [(key(90), Err("needs CAP_SYS_PTRACE".to_owned()))];
    let case = case(&s, files);
    let process = of(&case, CaseKind::Process);
    assert!(process.blocked && process.process == Some(key(90)) && !process.unblamed);
    assert!(process.evidence.contains("balance_dirty_pages") && process.doubt.contains("CAP_SYS_PTRACE"));
    assert!(!case.sentence().contains('\u{1b}'), "{}", case.sentence());
    let mount = of(&case, CaseKind::Mount);
    assert!(mount.name == "/" && mount.doubt.contains("no open file led here"), "{mount:?}");
    assert!(
        case.sentence().starts_with("host stalled for I/O 60.0 %") && case.link(CaseKind::File).is_none()
    );
}

#[test]
fn a_writer_that_its_control_group_throttles_leads_to_a_device_at_rest() {
    let mut s = host(0.45, 0.3);
    // Others keep the disk a little at work.
    busy(&mut s, "8:0", 0.2, 0.5, (0.0, 3e6));
    busy(&mut s, "7:0", 0.01, 0.01, (0.0, 1e6));
    process(&mut s, 93, "rsync", None, |(.., io)| io.write_bytes_per_sec = Some(3e6));
    process(&mut s, 91, "dd", None, |(_, stat, io)| {
        (stat.state, io.write_bytes_per_sec) = (ProcessState::D, Some(1e6));
    });
    let files = [
        held(91, vec![open("/mnt/loop/out", 21, OpenMode::Write, Some(1e6))]),
        held(93, vec![open("/srv/x", 20, OpenMode::Write, Some(3e6))]),
    ];
    let found = case(&s, files);
    let device = of(&found, CaseKind::Device);
    assert!(device.name == "loop0" && device.doubt.contains("limit of the control group"), "{device:?}");
    assert_eq!(of(&found, CaseKind::Process).process, Some(key(91)));
    assert_eq!(of(&found, CaseKind::File).path.as_deref(), Some("/mnt/loop/out"));
}

#[test]
fn writeback_by_the_kernel_alone_blames_nobody() {
    let mut s = host(0.25, 0.2);
    for number in ["8:0", "8:1", "253:0"] {
        busy(&mut s, number, 0.99, 100.0, (0.0, 8e7));
    }
    let kernel = |(process, stat, _): &mut (Process, ProcessStat, ProcessIo)| {
        (process.kernel_thread, stat.state) = (true, ProcessState::D);
    };
    process(&mut s, 30, "kworker/u8:1+flush-7:0", None, kernel);
    process(&mut s, 31, "kworker/u8:2+flush-253:0", None, kernel);
    // Small against what passes.
    process(&mut s, 32, "logger", None, |(.., io)| io.write_bytes_per_sec = Some(1e6));
    let found = case(&s, []);
    let process = of(&found, CaseKind::Process);
    assert!(process.unblamed && process.process == Some(key(31)), "{process:?}");
    assert!(found.sentence().contains("no process to blame: the kernel's [kworker/u8:2+flush-253:0] (31)"));
    assert!(process.doubt.contains("may have ended"), "{process:?}");
    // Not even one of its threads.
    for pid in [30, 31] {
        s.process.remove(&key(pid));
    }
    let process = case(&s, []);
    assert!(of(&process, CaseKind::Process).process.is_none());
}

/// `dd` writes into the cache and ends; its shell, which is credited that, waits for nothing and has no file there.
#[test]
fn what_an_ended_child_wrote_is_not_put_on_its_parent() {
    let mut s = host(0.25, 0.2);
    Arc::make_mut(s.host_stat.get_mut(&Single).unwrap()).uptime_secs = 1000;
    s.host.insert(Single, Arc::new(Host { ticks_per_sec: 100, ..Host::default() }));
    busy(&mut s, "7:0", 0.99, 100.0, (0.0, 8e7));
    process(&mut s, 30, "kworker/u8:1+flush-7:0", None, |(process, stat, _)| {
        (process.kernel_thread, stat.state) = (true, ProcessState::D);
    });
    process(&mut s, 60, "sh", None, |(.., io)| io.write_bytes_per_sec = Some(4e8));
    process(&mut s, 61, "cron", None, |_| {});
    let elsewhere = || [held(60, vec![open("/srv/log", 20, OpenMode::Write, None)])];
    let ended = |pid, ppid, secs: u64| {
        let end = ExitedProcess {
            pid,
            ppid: Some(ppid),
            comm: Some("dd".into()),
            exited_at: secs * 1_000_000_000,
            ..ExitedProcess::default()
        };
        (ExitKey { sequence: secs }, Arc::new(end))
    };
    // Of its own it may be: a file that it has closed meanwhile.
    s.exited_process = [ended(8, 60, 900), ended(9, 61, 999)].into();
    assert_eq!(of(&case(&s, elsewhere()), CaseKind::Process).process, Some(key(60)));
    s.exited_process.extend([ended(62, 60, 1000)]);
    for files in [elsewhere().to_vec(), Vec::new()] {
        let found = case(&s, files);
        let process = of(&found, CaseKind::Process);
        assert!(process.unblamed && process.process == Some(key(30)), "{process:?}");
        assert!(process.evidence.contains("sh (60) is credited what its child dd (62) moved"), "{process:?}");
        assert!(found.link(CaseKind::File).is_none());
    }
    // Who waits, or has the file, does so itself.
    let here = case(&s, [held(60, vec![open("/mnt/loop/out", 21, OpenMode::Write, Some(1e6))])]);
    assert_eq!(of(&here, CaseKind::Process).process, Some(key(60)));
    Arc::make_mut(s.process_stat.get_mut(&key(60)).unwrap()).state = ProcessState::D;
    assert_eq!(of(&case(&s, elsewhere()), CaseKind::Process).process, Some(key(60)));
}

#[test]
fn an_idle_host_has_no_case_nor_has_a_first_look() {
    assert_eq!(Gate::default().look(&host(0.01, 0.02), 1), None);
    let mut first = host(0.9, 0.9);
    Arc::make_mut(first.host_stat.get_mut(&Single).unwrap()).cpu_ratio = None;
    assert_eq!(Gate::default().look(&first, 1), None);
    assert_eq!(Gate::default().look(&Snapshot::default(), 1), None);
    // Pressure trails: what is over makes no case, when nothing is at work.
    assert_eq!(Gate::default().look(&host(0.0, 0.5), 1), None);
}

#[test]
fn a_case_does_not_flicker() {
    let mut gate = Gate::default();
    let shares = [0.0, 0.06, 0.04, 0.01, 0.01, 0.03, 0.01, 0.01, 0.01, 0.04, 0.05];
    let seen: Vec<_> =
        shares.iter().zip(0..).map(|(share, now)| gate.look(&host(*share, 0.0), now)).collect();
    let one = Some(1);
    assert_eq!(seen, [None, one, one, one, one, one, one, one, None, None, Some(10)]);
}

#[test]
fn device_and_process_stay_unless_another_is_clearly_ahead() {
    let mut s = host(0.3, 0.3);
    busy(&mut s, "8:0", 0.95, 10.0, (0.0, 1e7));
    busy(&mut s, "7:0", 0.9, 9.0, (0.0, 1e7));
    for (pid, rate) in [(1, 5.0e6), (2, 4.5e6)] {
        process(&mut s, pid, "dd", None, |(.., io)| io.write_bytes_per_sec = Some(rate));
    }
    let fresh = judge(&s, &Files::new(), 1, None);
    assert_eq!(
        (of(&fresh, CaseKind::Device).name.as_str(), of(&fresh, CaseKind::Process).process),
        ("sda", Some(key(1)))
    );
    let mut other = fresh;
    for link in &mut other.links {
        if link.kind == CaseKind::Device {
            link.device = Some(number("7:0"));
        }
        if link.kind == CaseKind::Process {
            link.process = Some(key(2));
        }
    }
    let kept = judge(&s, &Files::new(), 1, Some(&other));
    assert_eq!(
        (of(&kept, CaseKind::Device).name.as_str(), of(&kept, CaseKind::Process).process),
        ("loop0", Some(key(2)))
    );
    assert_eq!(ask(&s, &Files::new(), Some(&other)), [key(2), key(1)]);
}

#[test]
fn who_is_frozen_or_starts_a_child_is_not_suspected_and_who_comes_next_is_asked() {
    let mut s = host(0.3, 0.3);
    busy(&mut s, "7:0", 0.6, 0.6, (0.0, 1e7));
    for (pid, channel) in [(40, "__refrigerator"), (41, "kernel_clone")] {
        process(&mut s, pid, "still", None, |(_, stat, _)| {
            (stat.state, stat.wait_channel) = (ProcessState::D, Some(channel.into()));
        });
    }
    for (pid, rate) in [(50, 9e6), (51, 8e6), (52, 7e6)] {
        process(&mut s, pid, "cc", None, |(.., io)| io.write_bytes_per_sec = Some(rate));
    }
    assert_eq!(ask(&s, &Files::new(), None), [key(50), key(51)]);
    // The first two write elsewhere: that is no proof, but the third is asked before anybody again.
    let elsewhere = |pid| held(pid, vec![open("/srv/a.o", 20, OpenMode::Write, Some(9e6))]);
    let files: Files = [elsewhere(50), elsewhere(51)].into();
    assert_eq!(ask(&s, &files, None), [key(52), key(50)]);
    let found = judge(&s, &files, 1, None);
    assert!(of(&found, CaseKind::Process).doubt.contains("no file on this device"), "{found:?}");
    let there = held(52, vec![open("/mnt/loop/out", 21, OpenMode::Write, Some(7e6))]);
    let files: Files = [elsewhere(50), elsewhere(51), there].into();
    assert_eq!(of(&judge(&s, &files, 1, None), CaseKind::Process).process, Some(key(52)));
    assert_eq!(ask(&s, &files, None), [key(52)]);
}

#[test]
fn a_program_that_just_began_goes_before_the_shell_that_is_credited_those_before_it() {
    let mut s = host(0.3, 0.3);
    Arc::make_mut(s.host_stat.get_mut(&Single).unwrap()).uptime_secs = 1000;
    s.host.insert(Single, Arc::new(Host { ticks_per_sec: 100, ..Host::default() }));
    busy(&mut s, "7:0", 0.9, 0.9, (0.0, 1e7));
    process(&mut s, 60, "sh", None, |(.., io)| io.write_bytes_per_sec = Some(6e8));
    // Its rates are not known yet; of the other, which is old, nothing is.
    let unknown = ProcessIo { read_bytes: Some(0), write_bytes: Some(5_000_000), ..ProcessIo::default() };
    process(&mut s, 61, "dd", None, |(_, stat, io)| (stat.state, *io) = (ProcessState::D, unknown));
    process(&mut s, 62, "old", None, |(.., io)| *io = unknown);
    let young = ProcessKey { pid: 61, start_time: 99_950 };
    let (row, stat, io) =
        (s.process.remove(&key(61)), s.process_stat.remove(&key(61)), s.process_io.remove(&key(61)));
    s.process.insert(young, row.unwrap());
    s.process_stat.insert(young, stat.unwrap());
    s.process_io.insert(young, io.unwrap());
    let asked: Vec<_> = ask(&s, &Files::new(), None).iter().map(|key| key.pid).collect();
    assert_eq!(asked, [60, 61]);
    let files: Files =
        [(young, held(61, vec![open("/mnt/loop/out", 21, OpenMode::Write, None)]).1), held(60, vec![])]
            .into();
    let found = judge(&s, &files, 1, None);
    assert_eq!(of(&found, CaseKind::Process).name, "dd");
    assert_eq!(of(&found, CaseKind::File).path.as_deref(), Some("/mnt/loop/out"));
}

#[test]
fn without_a_device_who_waits_is_named_and_the_doubt_says_so() {
    let mut s = host(0.4, 0.0);
    process(&mut s, 9, "ls", None, |(_, stat, _)| stat.state = ProcessState::D);
    let found = case(&s, []);
    assert_eq!(kinds(&found), [CaseKind::Host, CaseKind::Process]);
    assert!(of(&found, CaseKind::Process).doubt.contains("no block device is at work"));
}

#[test]
fn devices_that_name_one_another_in_a_ring_end() {
    let mut s = host(0.4, 0.4);
    change(&mut s, "8:1", |row| row.parents = vec!["dm-0".into(), "sda".into()]);
    busy(&mut s, "8:0", 0.9, 3.0, (0.0, 1e6));
    assert_eq!(of(&case(&s, []), CaseKind::Device).name, "sda");
}
