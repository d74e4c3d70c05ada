//! Who is looked at and who is found waiting: on made hosts and on this one.

use super::*;

/// Pids of those that wait.
fn waiting(look: &Look) -> Vec<u32> {
    look.waiting.iter().map(|found| found.key.pid).collect()
}

#[test]
fn functions_of_a_stack_are_named() {
    assert_eq!(frames("[<0>] io_schedule+0x46/0x70\n\n[<0>] read\n"), ["io_schedule", "read"]);
}

#[test]
fn this_process_is_there_and_does_not_wait() {
    let me = std::process::id();
    for keep_at_most in [1000, 0] {
        let mut looker = Looker::new(Root::host(), keep_at_most);
        for _ in 0..3 {
            let look = looker.look();
            assert!(looker.kept.iter().any(|kept| kept.pid == me));
            assert!(!waiting(&look).contains(&me));
        }
        assert!(looker.open <= keep_at_most && looker.kept.len() > 1);
    }
}

#[test]
fn looks_are_told_once_and_a_thread_that_is_stuck_is_said() {
    let watch = Watch::start(Root::host(), 10).unwrap();
    let looks = (0..2000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        watch.take().ok().filter(|looks| !looks.is_empty())
    });
    assert!(looks.is_some());
    let at = Instant::now().checked_sub(2 * STUCK_AFTER).unwrap();
    let told = Arc::new(Mutex::new(Told { looks: Vec::new(), at }));
    let stuck = Watch { told, stop: Arc::default() };
    assert!(stuck.take().is_err_and(|why| why.contains("stuck")));
}

/// A process of a made host that is in this state and ran so far.
fn write(dir: &std::path::Path, pid: u32, state: char, start: u64, ran: u64) {
    let folder = dir.join(format!("proc/{pid}"));
    std::fs::create_dir_all(&folder).unwrap();
    let stat = format!("{pid} (w) {state} 1 7 7 0 -1 4194304 210 0 3 0 25 13 0 0 20 0 1 0 {start} 1 2\n");
    std::fs::write(folder.join("stat"), stat).unwrap();
    std::fs::write(folder.join("schedstat"), format!("{ran} 5 6\n")).unwrap();
    std::fs::write(folder.join("wchan"), "io_schedule").unwrap();
}

#[test]
fn who_did_not_run_is_in_the_state_it_was_in_and_who_ran_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    write(made, 7, 'D', 70, 1);
    write(made, 8, 'S', 80, 1);
    let mut looker = Looker::new(Root::at(made), 100);
    assert_eq!(waiting(&looker.look()), [7]);
    // Only `stat` changed, which the kernel never does: not read, so not seen.
    write(made, 8, 'D', 80, 1);
    assert_eq!(waiting(&looker.look()), [7]);
    write(made, 7, 'S', 70, 2);
    write(made, 8, 'D', 80, 2);
    let look = looker.look();
    assert_eq!((waiting(&look), look.waiting[0].channel.as_deref()), (vec![8], Some("io_schedule")));
    // Its pid is another's now.
    std::fs::remove_dir_all(made.join("proc/8")).unwrap();
    looker.look();
    assert!(waiting(&looker.look()).is_empty());
    write(made, 8, 'D', 99, 2);
    looker.look();
    assert_eq!(looker.look().waiting[0].key, ProcessKey { pid: 8, start_time: 99 });
    // What 7 and 8 ran, and `stat` of 8, which was read twice.
    assert_eq!((looker.kept.len(), looker.open), (2, 3));
}

#[test]
fn of_quiet_groups_nobody_is_looked_at_but_now_and_then_and_who_was_moved_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    let usage = |group: &str, text: &str| {
        std::fs::create_dir_all(made.join("cg").join(group)).unwrap();
        std::fs::write(made.join("cg").join(group).join("cpu.stat"), text).unwrap();
    };
    std::fs::create_dir_all(made.join("proc/self")).unwrap();
    let mounts = "31 1 0:27 / /cg rw - cgroup2 cgroup2 rw\n";
    std::fs::write(made.join("proc/self/mountinfo"), mounts).unwrap();
    for (group, first) in [("a", 10), ("b", 20)] {
        usage(group, "usage_usec 5\n");
        for pid in first..first + 3 {
            write(made, pid, 'S', 70, 1);
            std::fs::write(made.join(format!("proc/{pid}/cgroup")), format!("0::/{group}\n")).unwrap();
        }
    }
    let mut looker = Looker::new(Root::at(made), 100);
    for _ in 0..3 {
        assert!(waiting(&looker.look()).is_empty());
    }
    assert_eq!((looker.open, looker.of_groups), (6, 2));
    // It ran, which its group does not tell, as that of one that was moved: found within so many looks.
    write(made, 11, 'D', 70, 2);
    std::fs::write(made.join("proc/11/cgroup"), "0::/b\n").unwrap();
    let looks = (1..=STRAY_LOOKS).find(|_| waiting(&looker.look()) == [11]);
    assert!(looks.is_some());
    // From now on its new group tells of it.
    write(made, 11, 'S', 70, 3);
    usage("b", "usage_usec 6\n");
    assert!(waiting(&looker.look()).is_empty());
    // Who waits is seen where its group ran, after a long sleep at the second look.
    usage("a", "usage_usec 7\n");
    write(made, 12, 'D', 70, 2);
    assert!((0..2).any(|_| waiting(&looker.look()) == [12]));
    for pid in [10, 11, 12, 20, 21, 22] {
        std::fs::remove_dir_all(made.join(format!("proc/{pid}"))).unwrap();
    }
    for _ in 0..2 {
        looker.look();
    }
    assert_eq!((looker.kept.len(), looker.open, looker.of_groups), (0, 0, 0));
}

#[test]
fn what_fails_takes_nobody_away_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    write(made, 7, 'D', 70, 1);
    let mut looker = Looker::new(Root::at(made), 0);
    assert_eq!(waiting(&looker.look()), [7]);
    std::fs::rename(made.join("proc"), made.join("away")).unwrap();
    std::fs::write(made.join("proc"), "no folder").unwrap();
    let failed = (0..=BLIND_LOOKS).map(|_| looker.look()).find(|look| look.failed.is_some()).unwrap();
    assert_eq!(
        (waiting(&failed), &failed.there[..]),
        (vec![7], &[ProcessKey { pid: 7, start_time: 70 }][..])
    );
    std::fs::remove_file(made.join("proc")).unwrap();
    std::fs::rename(made.join("away"), made.join("proc")).unwrap();
    let look = looker.look();
    assert_eq!((waiting(&look), look.failed), (vec![7], None));
}

#[test]
fn who_could_not_be_read_is_read_at_the_next_look_though_it_did_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    write(made, 7, 'S', 70, 1);
    let mut looker = Looker::new(Root::at(made), 100);
    looker.look();
    looker.look();
    write(made, 7, 'D', 70, 2);
    looker.kept[0].stat = None;
    let (stat, away) = (made.join("proc/7/stat"), made.join("away"));
    std::fs::rename(&stat, &away).unwrap();
    std::os::unix::fs::symlink("stat", &stat).unwrap(); // leads to itself: ELOOP
    let look = looker.look();
    assert!(waiting(&look).is_empty() && look.failed.is_some());
    std::fs::remove_file(&stat).unwrap();
    std::fs::rename(&away, &stat).unwrap();
    assert_eq!(waiting(&looker.look()), [7]);
}

#[test]
fn who_slept_for_long_is_looked_at_every_other_time_and_who_waits_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    write(made, 7, 'S', 70, 1);
    write(made, 8, 'D', 70, 1);
    let mut looker = Looker::new(Root::at(made), 100);
    for _ in 0..2 * REST_LOOKS {
        assert_eq!(waiting(&looker.look()), [8]);
    }
    write(made, 7, 'D', 70, 2);
    write(made, 8, 'S', 70, 2);
    let looks = [waiting(&looker.look()), waiting(&looker.look())];
    assert_eq!(looks, [vec![], vec![7]], "one of them passes over 7");
    write(made, 7, 'S', 70, 3);
    looker.look();
    assert!(looker.kept.iter().all(|kept| kept.rested <= 2), "it ran: it is looked at each time again");
}

#[test]
fn who_runs_again_and_again_keeps_its_descriptor_until_it_rests() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    let mut looker = Looker::new(Root::at(made), 100);
    write(made, 7, 'S', 70, 1);
    looker.look();
    assert_eq!(looker.open, 1, "what it ran alone");
    for ran in 2..5 {
        write(made, 7, 'D', 70, ran);
        assert_eq!((waiting(&looker.look()), looker.open), (vec![7], 2));
    }
    // Another of the same pid is read through a descriptor of its own.
    std::fs::remove_dir_all(made.join("proc/7")).unwrap();
    write(made, 7, 'S', 80, 9);
    looker.kept[0].stat = Some(std::fs::File::open("/proc/self/mem").unwrap().into()); // unreadable at 0, as that of one that ended
    looker.begin(7);
    looker.look();
    assert_eq!((looker.kept[0].start_time, looker.open), (80, 0));
    write(made, 7, 'S', 80, 10);
    for _ in 0..3 * REST_LOOKS {
        looker.look();
    }
    assert_eq!(looker.open, 1);
    let mut poor = Looker::new(Root::at(made), 1);
    for ran in 11..15 {
        write(made, 7, 'S', 80, ran);
        poor.look();
        assert!(poor.open <= 1);
    }
}

#[test]
fn one_wait_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path();
    write(made, 7, 'D', 70, 1);
    let mut looker = Looker::new(Root::at(made), 100);
    let first = looker.look();
    std::fs::write(made.join("proc/7/wchan"), "nfs_wait").unwrap();
    let same = looker.look();
    assert!(Arc::ptr_eq(&first.waiting[0], &same.waiting[0]), "it did not run");
    write(made, 7, 'D', 70, 2);
    std::fs::write(made.join("proc/7/wchan"), "nfs_wait").unwrap();
    let next = looker.look();
    assert_eq!(next.waiting[0].channel.as_deref(), Some("nfs_wait"));
    write(made, 7, 'S', 70, 3);
    let after = looker.look();
    assert_eq!((waiting(&after).len(), after.there.len()), (0, 1));
}

#[test]
fn who_began_is_looked_at_without_a_list() {
    let mut looker = Looker::new(Root::host(), 1000);
    looker.look();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    // Where pids began anew in between, they are listed at the second look.
    for _ in 0..BLIND_LOOKS {
        looker.look();
    }
    let found = looker.kept.iter().find(|kept| kept.pid == child.id()).map(|kept| kept.start_time);
    assert!(found.is_some_and(|start| start > 0));
    assert!(looker.kept.is_sorted_by_key(|kept| kept.pid));
    // Who is said to begin is looked at even where its pid was known, as that of another.
    let me = std::process::id();
    let at = looker.kept.iter().position(|kept| kept.pid == me).unwrap();
    looker.kept[at].start_time = 1;
    looker.begin(me);
    looker.look();
    assert!(looker.kept.iter().any(|kept| kept.pid == me && kept.start_time > 1));
    child.kill().unwrap();
    child.wait().unwrap();
    looker.look();
    looker.look();
    assert!(!looker.kept.iter().any(|kept| kept.pid == child.id()));
}
