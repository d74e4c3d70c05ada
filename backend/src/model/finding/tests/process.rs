//! Rules about processes, restarts and engines.

use super::*;

fn run(s: &mut Snapshot, pid: u32, ppid: u32, state: ProcessState) -> ProcessKey {
    let key = ProcessKey { pid, start_time: 9 };
    let row = Process { ppid, comm: "job".into(), container: Some(web().id), ..Process::default() };
    s.process.insert(key, Arc::new(row));
    s.process_stat.insert(key, Arc::new(ProcessStat { state, ..ProcessStat::default() }));
    key
}

#[test]
fn zombies() {
    let mut s = plain();
    run(&mut s, 42, 1, ProcessState::S);
    let mut watch = Watch::default();
    let lie = |s: &Snapshot, watch: &Watch| severity(&judge_with(s, watch, &BTreeMap::new()), Rule::Zombies);
    for pid in 50..54 {
        run(&mut s, pid, 42, ProcessState::T);
    }
    watch.look(&s, NOW - 60 * SEC);
    watch.look(&s, NOW);
    assert_eq!(lie(&s, &watch), None, "children that live");
    for pid in 50..54 {
        run(&mut s, pid, 42, ProcessState::Z);
    }
    watch.look(&s, NOW - 19 * SEC);
    watch.look(&s, NOW);
    assert_eq!(lie(&s, &watch), None, "a few, for a moment");
    // Waited for, and others have ended since: no one lies for long.
    let mut watch = Watch::default();
    watch.look(&s, NOW - 30 * SEC);
    for pid in 50..54 {
        let ended = ProcessKey { pid, start_time: 9 };
        s.process.remove(&ended);
        s.process_stat.remove(&ended);
        run(&mut s, pid + 100, 42, ProcessState::Z);
    }
    watch.look(&s, NOW - 10 * SEC);
    assert_eq!(lie(&s, &watch), None, "each for a moment");
    let mut watch = Watch::default();
    watch.look(&s, NOW - 21 * SEC);
    watch.look(&s, NOW);
    assert_eq!(severity(&judge_with(&s, &watch, &BTreeMap::new()), Rule::Zombies), Some(Severity::Info));
    run(&mut s, 54, 42, ProcessState::Z);
    let found = judge(&s);
    assert_eq!(severity(&found, Rule::Zombies), Some(Severity::Attention));
    let parent = Subject::Process(ProcessKey { pid: 42, start_time: 9 });
    assert!(found.keys().any(|key| key.subject == parent));
}

#[test]
fn deleted_binary() {
    let mut s = plain();
    let key = run(&mut s, 60, 42, ProcessState::S);
    let gone = ProcessKey { pid: 61, start_time: 9 };
    let found = judge_with(&s, &Watch::default(), &[(gone, "/srv/ended".into())].into());
    assert_eq!(severity(&found, Rule::DeletedBinary), None);
    let found = judge_with(&s, &Watch::default(), &[(key, "/srv/gone".into())].into());
    assert_eq!(severity(&found, Rule::DeletedBinary), Some(Severity::Attention));
}

#[test]
fn stuck_in_d() {
    let (mut s, mut watch) = (plain(), Watch::default());
    run(&mut s, 60, 42, ProcessState::D);
    watch.look(&s, NOW - 9 * SEC);
    assert_eq!(severity(&judge_with(&s, &watch, &BTreeMap::new()), Rule::StuckInD), None);
    let mut watch = Watch::default();
    watch.look(&s, NOW - 10 * SEC);
    let stuck =
        |s: &Snapshot, watch: &Watch| severity(&judge_with(s, watch, &BTreeMap::new()), Rule::StuckInD);
    assert_eq!(stuck(&s, &watch), Some(Severity::Attention));
    // A frozen container waits for a person.
    let frozen = Container { state: ContainerState::Paused, ..Container::clone(&s.container[&web()]) };
    s.container.insert(web(), Arc::new(frozen));
    assert_eq!(stuck(&s, &watch), None);
}

#[test]
fn restart_loop() {
    let mut s = plain();
    for (state, count, ago, expected) in [
        (ContainerState::Restarting, Some(3), 600, Some(Severity::Trouble)),
        (ContainerState::Running, Some(3), 10, Some(Severity::Trouble)),
        (ContainerState::Running, Some(3), 121, None),
        (ContainerState::Restarting, Some(2), 1, None),
        (ContainerState::Exited, Some(9), 1, None),
        (ContainerState::Restarting, None, 1, None),
    ] {
        let row = Container {
            state,
            restart_count: count,
            started_at: Some(NOW - ago * SEC),
            ..Container::clone(&s.container[&web()])
        };
        s.container.insert(web(), Arc::new(row));
        assert_eq!(severity(&judge(&s), Rule::RestartLoop), expected, "{state:?} {count:?} {ago}");
    }
}

#[test]
fn engine_silent() {
    let mut s = Snapshot::default();
    for (state, answered_at, expected) in [
        (EngineState::Hanging, None, Some(Severity::Trouble)),
        (EngineState::Failed, Some(1), Some(Severity::Trouble)),
        (EngineState::Failed, None, None),
        (EngineState::Connecting, None, None),
        (EngineState::Connected, Some(1), None),
    ] {
        let key = EngineKey { endpoint: "unix:///run/docker.sock".into() };
        s.engine.insert(key, Arc::new(Engine { state, answered_at, ..Engine::default() }));
        assert_eq!(severity(&judge(&s), Rule::EngineSilent), expected, "{state:?}");
    }
}
