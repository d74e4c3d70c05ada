//! On the real control groups of the machine the tests run on. Layouts of other hosts are in `fixtures/`.

use std::process::{Child, Command};

use glasshull_shared::domain::cgroup::{Cap, Freezer};

use super::mount::Controller;
use super::*;

/// A cgroup that is removed with what runs in it.
struct Made {
    dir: PathBuf,
    child: Child,
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The kernel lets go of a cgroup a moment after its last task.
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Puts a busy shell into a new cgroup below the mount that holds `controller` (v2: empty); `None` where that is
/// not permitted or not mounted.
fn make(reader: &CgroupReader, controller: Controller, name: &str) -> Option<Made> {
    let top =
        reader.mounts.dirs(&[("cpu", "/"), ("cpuacct", "/"), ("memory", "/"), ("pids", "/"), ("", "/")]);
    let top = top.into_iter().find(|dir| dir.controller == controller)?;
    let dir = top.path.join(name);
    fs::create_dir(&dir).ok()?;
    let child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let made = Made { dir, child };
    fs::write(made.dir.join("cgroup.procs"), made.child.id().to_string()).ok()?;
    Some(made)
}

fn key(name: &str) -> ContainerKey {
    ContainerKey { id: name.to_owned() }
}

/// Reads until `enough` is satisfied: the counters need the process to have run, however slow the machine is.
fn read_until(
    reader: &mut CgroupReader,
    members: &BTreeMap<ContainerKey, u32>,
    enough: impl Fn(&ContainerStat) -> bool,
) -> Arc<ContainerStat> {
    loop {
        let reading = reader.read(members, Extra::default());
        if let Some(stat) = reading.stats.values().next().filter(|stat| enough(stat)) {
            return Arc::clone(stat);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn cpu_of_a_real_cgroup_grows_and_ends_with_it() {
    let mut reader = CgroupReader::new(Root::host());
    assert_ne!(reader.mode(), CgroupMode::Unknown);
    let controller = if reader.mode() == CgroupMode::V2 { Controller::Cpu } else { Controller::Cpuacct };
    let name = format!("glasshull-test-cpu-{}", std::process::id());
    let Some(made) = make(&reader, controller, &name) else {
        println!("not permitted to make a control group here: nothing tested");
        return;
    };
    let members = BTreeMap::from([(key(&name), made.child.id())]);
    let first = read_until(&mut reader, &members, |stat| stat.cpu_nanos.is_some_and(|n| n > 0)).cpu_nanos;
    let second = read_until(&mut reader, &members, |stat| stat.cpu_nanos > first);
    assert!(second.cpu_nanos > first);
    drop(made);
    let reading = reader.read(&members, Extra::default());
    assert!(reading.stats.is_empty(), "the process is gone, its cgroup removed: {reading:?}");
    assert!(reader.read(&BTreeMap::new(), Extra::default()).stats.is_empty());
    assert!(reader.entries.is_empty(), "descriptors are closed with the container");
}

#[test]
fn pressure_comes_from_the_v2_tree_also_on_a_hybrid_host() {
    let mut reader = CgroupReader::new(Root::host());
    let name = format!("glasshull-test-psi-{}", std::process::id());
    let Some(made) = make(&reader, Controller::Unified, &name) else {
        println!("no v2 tree that we may write to: nothing tested");
        return;
    };
    if !made.dir.join("cpu.pressure").exists() {
        println!("the kernel has no pressure files: nothing tested");
        return;
    }
    let members = BTreeMap::from([(key(&name), made.child.id())]);
    let stat = read_until(&mut reader, &members, |stat| stat.psi_cpu.is_some());
    assert!(stat.psi_memory.is_some() && stat.psi_io.is_some());
}

#[test]
fn the_lowest_limit_on_the_way_up_holds() {
    let mut reader = CgroupReader::new(Root::host());
    let outer = format!("glasshull-test-pids-{}", std::process::id());
    let Some(made) = make(&reader, Controller::Pids, &outer) else {
        println!("not permitted to make a pids control group here: nothing tested");
        return;
    };
    if fs::write(made.dir.join("pids.max"), "33").is_err() {
        println!("the pids controller is not delegated here: nothing tested");
        return;
    }
    let inner = made.dir.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("cgroup.procs"), made.child.id().to_string()).unwrap();
    let members = BTreeMap::from([(key("inner"), made.child.id())]);
    let stat = read_until(&mut reader, &members, |stat| stat.pids == Some(1));
    assert_eq!(stat.pids_limit, Some(33));
    fs::write(made.dir.join("pids.max"), "22").unwrap();
    assert_eq!(
        reader.read(&members, Extra::default()).stats.values().next().unwrap().pids_limit,
        Some(33),
        "limits are kept a while"
    );
    reader.forget_limits();
    assert_eq!(reader.read(&members, Extra::default()).stats.values().next().unwrap().pids_limit, Some(22));
    fs::write(made.dir.join("cgroup.procs"), made.child.id().to_string()).unwrap();
    fs::remove_dir(inner).unwrap();
}

#[test]
fn the_real_tree_says_what_was_written_into_it() {
    let reader = CgroupReader::new(Root::host());
    let name = format!("glasshull-test-tree-{}", std::process::id());
    let Some(made) = make(&reader, Controller::Pids, &name) else {
        println!("not permitted to make a pids control group here: nothing tested");
        return;
    };
    if fs::write(made.dir.join("pids.max"), "33").is_err() {
        println!("the pids controller is not delegated here: nothing tested");
        return;
    }
    let tree = reader.tree();
    let row = tree.groups.iter().find(|(key, _)| key.path.ends_with(&name)).unwrap().1;
    assert_eq!((row.own.pids_max, row.processes), (Cap::Set(33), Some(1)));
    assert!(row.controllers.iter().any(|c| c == "pids"), "{row:?}");
}

#[test]
fn a_group_of_the_real_v2_tree_is_seen_frozen() {
    let reader = CgroupReader::new(Root::host());
    let name = format!("glasshull-test-freeze-{}", std::process::id());
    let Some(made) = make(&reader, Controller::Unified, &name) else {
        println!("no v2 tree that we may write to: nothing tested");
        return;
    };
    // Alone, as on a host without the v1 freezer.
    let unified: Vec<_> = reader.mounts.hierarchies().into_iter().filter(|h| h.v2).collect();
    let state = || {
        let groups = tree::read(&unified).groups;
        let row = groups.into_iter().find(|(key, _)| key.path.ends_with(&name)).unwrap().1;
        (row.freezer, row.self_frozen)
    };
    assert_eq!(state(), (Some(Freezer::Thawed), Some(false)));
    fs::write(made.dir.join("cgroup.freeze"), "1").unwrap();
    while state().0 != Some(Freezer::Frozen) {
        assert_eq!(state().1, Some(true));
        std::thread::sleep(Duration::from_millis(5));
    }
    // A frozen process ends all the same when it is killed.
    drop(made);
}

/// One container in a fixture's tree, of v1.
fn quiet_host() -> (tempfile::TempDir, CgroupReader, BTreeMap<ContainerKey, u32>) {
    let dir = tempfile::tempdir().unwrap();
    let controllers = ["cpu,cpuacct", "memory", "blkio", "freezer"];
    let mounts: Vec<String> =
        controllers.iter().map(|c| format!("30 1 0:26 / /cg/{c} rw - cgroup cgroup rw,{c}\n")).collect();
    let paths: Vec<String> =
        controllers.iter().enumerate().map(|(i, c)| format!("{}:{c}:/docker/x\n", i + 1)).collect();
    for (path, text) in [("proc/self/mountinfo", mounts.concat()), ("proc/7/cgroup", paths.concat())] {
        fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        fs::write(dir.path().join(path), text).unwrap();
    }
    for controller in controllers {
        fs::create_dir_all(dir.path().join("cg").join(controller).join("docker/x")).unwrap();
    }
    let reader = CgroupReader::new(Root::at(dir.path()));
    (dir, reader, BTreeMap::from([(key("x"), 7)]))
}

#[test]
fn who_used_no_cpu_time_is_read_whole_now_and_then() {
    let (dir, mut reader, members) = quiet_host();
    let write = |controller: &str, file: &str, text: &str| {
        fs::write(dir.path().join("cg").join(controller).join("docker/x").join(file), text).unwrap();
    };
    write("cpu,cpuacct", "cpuacct.usage", "5\n");
    write("memory", "memory.usage_in_bytes", "100\n");
    write("blkio", "blkio.throttle.io_service_bytes", "8:0 Write 10\n");
    write("freezer", "freezer.state", "THAWED\n");
    let mut read = || {
        let reading = reader.read(&members, Extra::default());
        let row = &reading.stats[&key("x")];
        let seen = (row.cpu_nanos, row.memory_usage_bytes, row.write_bytes);
        (seen, reading.frozen.len(), reading.gaps.get(&key("x")).copied())
    };
    for _ in 0..=ACTIVE_READINGS {
        assert_eq!(read(), ((Some(5), Some(100), Some(10)), 0, None));
    }
    // From now on it is quiet: its memory is read at its turn.
    write("memory", "memory.usage_in_bytes", "90\n");
    write("freezer", "freezer.state", "FROZEN\n");
    let after = (1..=QUIET_READINGS).map(|_| read()).collect::<Vec<_>>();
    assert!(after.iter().all(|(_, frozen, _)| *frozen == 1), "frozen is told at once");
    let memory: Vec<_> = after.iter().map(|((_, memory, _), ..)| memory.unwrap()).collect();
    assert!(memory[0] == 100 || memory[1] == 100, "not each time: {memory:?}");
    assert_eq!(memory.last(), Some(&90), "{memory:?}");
    assert_eq!(after.iter().filter(|(.., gap)| gap.is_some()).count(), 1, "told how long it was not read");
    // What it writes without running is found at its turn, and from then on each time.
    write("blkio", "blkio.throttle.io_service_bytes", "8:0 Write 20\n");
    while read().0.2 == Some(10) {}
    write("memory", "memory.usage_in_bytes", "80\n");
    assert_eq!(read().0.1, Some(80));
    // Who runs is read at once.
    for _ in 0..2 * QUIET_READINGS {
        read();
    }
    write("cpu,cpuacct", "cpuacct.usage", "6\n");
    write("memory", "memory.usage_in_bytes", "70\n");
    assert_eq!(read().0, (Some(6), Some(70), Some(20)));
}
