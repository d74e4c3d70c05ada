//! Readings of made `/proc` trees and of this host.

use std::path::Path;

use super::*;

const SCALE: Scale = Scale { boot_at: 0, ticks_per_sec: 100, page_bytes: 4096 };

fn put(dir: &Path, pid: u32, comm: &str, start: u64, utime: u64) {
    let place = dir.join(format!("proc/{pid}"));
    std::fs::create_dir_all(&place).unwrap();
    let stat =
        format!("{pid} ({comm}) S 1 1 1 0 -1 4194560 0 0 0 0 {utime} 0 0 0 20 0 1 0 {start} 4096 2 0\n");
    std::fs::write(place.join("stat"), stat).unwrap();
    std::fs::write(place.join("status"), "Name:\tx\nUid:\t7\t8\t8\t8\nNSpid:\t40\t1\n").unwrap();
    std::fs::write(place.join("cmdline"), b"a\0b \xff\n\0").unwrap();
    std::fs::write(place.join("cgroup"), "0::/user.slice\n").unwrap();
    std::fs::write(place.join("io"), "read_bytes: 1\nwrite_bytes: 2\n").unwrap();
}

#[test]
fn a_reused_pid_is_another_process_and_an_exec_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), 40, "one", 5, 0);
    let mut reader = ProcessReader::new(Root::at(dir.path()), SCALE, false, 0);
    let first = reader.read(0).unwrap();
    assert!(first.changed);
    let key = ProcessKey { pid: 40, start_time: 5 };
    let row = &first.process[&key];
    assert_eq!((row.uid, row.euid, row.pid_in_ns), (Some(7), Some(8), Some(1)));
    assert_eq!(row.cmdline.as_deref(), Some("a b \u{fffd}\\n"));
    assert_eq!(first.stat[&key].read_bytes, Some(1));

    let same = reader.read(1).unwrap();
    assert!(!same.changed);
    assert!(Arc::ptr_eq(&same.stat[&key], &first.stat[&key]), "an unchanged row is the same allocation");

    put(dir.path(), 40, "two", 5, 3);
    let executed = reader.read(2).unwrap();
    assert_eq!((executed.process[&key].comm.as_str(), executed.stat[&key].cpu_nanos), ("two", 30_000_000));

    put(dir.path(), 40, "two", 9, 0);
    let reused = reader.read(3).unwrap();
    assert_eq!(reused.process.keys().map(|k| k.start_time).collect::<Vec<_>>(), [9]);

    std::fs::remove_dir_all(dir.path().join("proc/40")).unwrap();
    let gone = reader.read(4).unwrap();
    assert!(gone.changed && gone.process.is_empty() && gone.stat.is_empty());
}

#[test]
fn broken_files_leave_what_is_known_and_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), 40, "one", 5, 0);
    put(dir.path(), 41, "two", 5, 0);
    std::fs::write(dir.path().join("proc/40/stat"), "40 (cut").unwrap();
    std::fs::write(dir.path().join("proc/41/io"), "read_bytes: x\n").unwrap();
    std::fs::remove_file(dir.path().join("proc/41/status")).unwrap();
    std::fs::create_dir_all(dir.path().join("proc/99999999999")).unwrap();
    let mut reader = ProcessReader::new(Root::at(dir.path()), SCALE, true, 0);
    let reading = reader.read(0).unwrap();
    assert_eq!(reading.process.len(), 1);
    let (_, row) = reading.process.first_key_value().unwrap();
    assert_eq!((row.uid, row.cmdline.as_deref()), (None, None));
    assert_eq!(reading.stat.first_key_value().unwrap().1.read_bytes, None);
}

#[test]
fn descriptors_are_kept_up_to_the_limit_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    for pid in 40..60 {
        put(dir.path(), pid, "one", 5, 0);
    }
    let mut reader = ProcessReader::new(Root::at(dir.path()), SCALE, false, 7);
    reader.read(0).unwrap();
    assert_eq!(reader.kept, 7);
    for pid in 40..60 {
        std::fs::remove_dir_all(dir.path().join(format!("proc/{pid}"))).unwrap();
    }
    reader.read(1).unwrap();
    assert_eq!(reader.kept, 0);
}

#[test]
fn this_host_shows_this_process() {
    let scale = Scale { page_bytes: rustix::param::page_size() as u64, ..SCALE };
    let mut reader = ProcessReader::new(Root::host(), scale, false, 100);
    let reading = reader.read(0).unwrap();
    let (_, own) = reading.process.iter().find(|(k, _)| k.pid == std::process::id()).expect("ourselves");
    assert_eq!(own.uid, Some(rustix::process::getuid().as_raw()));
    assert!(own.cmdline.is_some());
}

#[test]
fn a_group_that_used_nothing_is_not_looked_into_but_who_left_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("proc/self/mountinfo", "31 1 0:27 / /cg rw - cgroup2 cgroup2 rw\n");
    write("cg/a/cpu.stat", "usage_usec 5\n");
    for pid in 40..44 {
        put(dir.path(), pid, "one", 5, 0);
        write(&format!("proc/{pid}/cgroup"), "0::/a\n");
        write(&format!("proc/{pid}/schedstat"), "77 5 3\n");
    }
    let mut reader = ProcessReader::new(Root::at(dir.path()), SCALE, false, 100);
    for tick in 0..3 {
        reader.read(tick).unwrap();
    }
    let key = ProcessKey { pid: 40, start_time: 5 };
    let run = |utime: u64| {
        put(dir.path(), 40, "one", 5, utime);
        write("proc/40/cgroup", "0::/b\n");
        write("proc/40/schedstat", &format!("{utime} 5 4\n"));
    };
    run(1);
    write("cg/a/cpu.stat", "usage_usec 6\n");
    write("proc/40/cgroup", "0::/a\n");
    assert_eq!(reader.read(3).unwrap().stat[&key].cpu_nanos, 10_000_000, "its group used time: seen at once");
    reader.read(4).unwrap();

    run(2);
    let mut waited = 0;
    while reader.read(5 + waited).unwrap().stat[&key].cpu_nanos != 20_000_000 {
        waited += 1;
        assert!(waited < STRAY_TICKS, "never looked at");
    }
    assert!(waited > 0, "looked at though its group used nothing: the test shows nothing");
    let moved = reader.read(20).unwrap();
    assert_eq!(moved.process[&key].cgroup.as_deref(), Some("/b"));
    run(3);
    assert_eq!(reader.read(21).unwrap().stat[&key].cpu_nanos, 30_000_000, "no longer bound to the old group");
}

/// Whether this process is there, and in which state.
fn state_of(reading: &ProcessReading, pid: u32) -> Option<ProcessState> {
    reading.stat.iter().find(|(key, _)| key.pid == pid).map(|(_, row)| row.state)
}

#[test]
fn who_begins_and_ends_is_seen_without_a_list() {
    let scale = Scale { boot_at: 0, ticks_per_sec: 100, page_bytes: 4096 };
    let mut reader = ProcessReader::new(Root::host(), scale, false, 1000);
    // Others begin all the time, and pids may begin anew: then it is listed, and the test begins anew.
    let seen = (1..20).any(|round: u64| {
        let at = |n| round * 100_000_000_000 + n;
        reader.read(at(0)).unwrap();
        let listed_at = reader.listed_at;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let began = reader.read(at(1)).unwrap();
        child.kill().unwrap();
        let is_zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
            stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        while !is_zombie() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let ended = reader.read(at(2)).unwrap();
        child.wait().unwrap();
        let gone = reader.read(at(3)).unwrap();
        assert!(state_of(&began, child.id()).is_some());
        assert_eq!(state_of(&ended, child.id()), Some(ProcessState::Z));
        assert_eq!(state_of(&gone, child.id()), None);
        reader.listed_at == listed_at
    });
    assert!(seen, "it was listed each time");
    assert!(reader.read(99 * 100_000_000_000).is_ok_and(|_| reader.listed_at == Some(99 * 100_000_000_000)));
}
