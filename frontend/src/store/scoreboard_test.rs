//! Tests of the scoreboard: letters keep their places, nobody is lost or doubled.

use std::sync::Arc;

use glasshull_shared::domain::process::{Process, ProcessStat, Thread, ThreadKey};
use proptest::prelude::*;

use super::*;

fn task(n: u32) -> Task {
    Task { process: ProcessKey { pid: n, start_time: u64::from(n) }, tid: None }
}

fn tasks_of(ns: &[u32]) -> Vec<Task> {
    ns.iter().copied().map(task).collect()
}

#[test]
fn a_place_stays_open_until_a_newcomer_takes_it() {
    let first = settle(&Vec::new(), &tasks_of(&[1, 2, 3, 4]));
    assert_eq!(first, [1, 2, 3, 4].map(|n| Some(task(n))));
    let second = settle(&first, &tasks_of(&[1, 3, 4]));
    assert_eq!(second, [Some(task(1)), None, Some(task(3)), Some(task(4))]);
    let third = settle(&second, &tasks_of(&[1, 3, 4, 9, 10]));
    assert_eq!(third, [1, 9, 3, 4, 10].map(|n| Some(task(n))));
    assert_eq!(settle(&third, &tasks_of(&[1])), [Some(task(1))]);
}

proptest! {
    #[test]
    fn everybody_has_one_place(before in proptest::collection::btree_set(0u32..60, 0..40),
                               now in proptest::collection::btree_set(0u32..60, 0..40)) {
        let before = settle(&Vec::new(), &tasks_of(&before.into_iter().collect::<Vec<_>>()));
        let now = tasks_of(&now.into_iter().collect::<Vec<_>>());
        let places = settle(&before, &now);
        let mut seated: Vec<Task> = places.iter().flatten().copied().collect();
        seated.sort_unstable();
        prop_assert_eq!(seated, now);
        prop_assert!(!places.last().is_some_and(Option::is_none));
    }
}

fn snapshot() -> Snapshot {
    let mut s = Snapshot::default();
    let mut add = |pid: u32, container: Option<&str>, kernel: bool, state| {
        let key = ProcessKey { pid, start_time: u64::from(100 - pid) };
        let row =
            Process { container: container.map(Into::into), kernel_thread: kernel, ..Process::default() };
        s.process.insert(key, Arc::new(row));
        s.process_stat.insert(key, Arc::new(ProcessStat { state, ..ProcessStat::default() }));
    };
    add(1, None, false, ProcessState::S);
    add(2, None, true, ProcessState::I);
    add(10, Some("web"), false, ProcessState::S);
    add(11, Some("web"), false, ProcessState::D);
    for (tid, state) in [(11, ProcessState::D), (12, ProcessState::R)] {
        let row = Thread { state, ..Thread::default() };
        s.thread.insert(ThreadKey { pid: 11, start_time: 89, tid }, Arc::new(row));
    }
    s
}

#[test]
fn blocks_follow_start_order_and_leave_kernel_threads_out() {
    let s = snapshot();
    let owners = tasks(&s, false, false);
    let pids = |owner: Option<&str>| {
        owners[&owner.map(str::to_owned)].iter().map(|t| t.process.pid).collect::<Vec<_>>()
    };
    assert_eq!(pids(None), [1]);
    assert_eq!(pids(Some("web")), [11, 10]);
    assert_eq!(tasks(&s, false, true)[&None].len(), 2);
}

#[test]
fn threads_take_the_place_of_their_process() {
    let s = snapshot();
    let web = tasks(&s, true, false).remove(&Some("web".to_owned())).unwrap();
    let states: Vec<_> = web.iter().map(|t| state(&s, t)).collect();
    assert_eq!(states, [ProcessState::D, ProcessState::R, ProcessState::S]);
}

#[test]
fn counts_read_in_the_order_of_the_key() {
    use ProcessState::{D, R, S, Z};
    let counts = count_states([S, D, S, R].into_iter());
    assert_eq!(counts_text(&counts), "R1 S2 D1");
    assert!(trouble(&[(D, 1)]) > trouble(&[(Z, 50)]) && trouble(&[(Z, 1)]) > trouble(&[(R, 9)]));
}

#[test]
fn open_slots_are_bounded() {
    assert_eq!(open_slots(4, None), (0, 0));
    assert_eq!(open_slots(4, Some(32)), (28, 0));
    assert_eq!(open_slots(4, Some(1_000)), (OPEN_SHOWN, 932));
    assert_eq!(open_slots(40, Some(32)), (0, 0));
}
