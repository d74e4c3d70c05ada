//! The store fed with frames as an agent makes them, and compared with what the agent had.

use std::sync::Arc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerStat};
use glasshull_shared::domain::host::{CpuRatios, HostStat};
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::process::{Process, ProcessDetail, ProcessKey};
use glasshull_shared::wire::{Hello, Packed, ServerMessage, TableFrame, TickHead, encode, encode_tick};
use proptest::prelude::*;

use super::*;

/// Stands for an agent: makes frames of what changed since the tick before.
#[derive(Default)]
struct Agent {
    now: Snapshot,
    before: Snapshot,
    sequence: u64,
}

impl Agent {
    fn hello(instance: u64) -> Vec<u8> {
        let hello = Hello {
            agent_version: "1".into(),
            instance,
            origin: Origin::Live,
            interval_nanos: 1_000_000_000,
        };
        encode(&ServerMessage::Hello(hello)).unwrap()
    }

    fn tick(&mut self, full: bool) -> Vec<u8> {
        self.sequence += 1;
        let tables: Vec<(Topic, Vec<u8>)> = Topic::ALL
            .iter()
            .filter_map(|topic| {
                let bytes = if full {
                    Some(self.now.encode_full(*topic).unwrap())
                } else {
                    self.now.encode_delta(&self.before, *topic).unwrap()
                };
                Some((*topic, bytes?))
            })
            .collect();
        let frames: Vec<_> =
            tables.iter().map(|(topic, bytes)| TableFrame { topic: *topic, full, bytes }).collect();
        self.before = self.now.clone();
        let at = 1_700_000_000_000_000_000 + self.sequence * 1_000_000_000;
        let head = TickHead { sequence: self.sequence, at, interval_nanos: Some(1_000_000_000), missed: 0 };
        encode_tick(&head, &frames).unwrap()
    }

    fn process(&mut self, pid: u32, comm: &str) {
        let row = Process { comm: comm.into(), ..Process::default() };
        self.now.process.insert(ProcessKey { pid, start_time: 7 }, Arc::new(row));
    }
}

fn with_store(test: impl FnOnce(Store)) {
    let owner = Owner::new();
    owner.with(|| test(Store::default()));
}

fn sent(messages: &mut UnboundedReceiver<ClientMessage>) -> Vec<ClientMessage> {
    std::iter::from_fn(|| messages.try_recv().ok()).collect()
}

/// What happens to processes in one tick: a new name, or the end.
fn step() -> impl Strategy<Value = Vec<(u8, Option<String>)>> {
    prop::collection::vec((0..16u8, prop::option::of(".{0,6}")), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to the processes, the store ends up with the agent's table, by differences alone.
    #[test]
    fn follows_the_agent(steps in prop::collection::vec(step(), 0..8)) {
        let mut agent = Agent::default();
        with_store(|store| {
            store.receive(&Agent::hello(1)).unwrap();
            assert_eq!(store.receive(&agent.tick(true)).unwrap(), Taken::Tick);
            for step in steps {
                for (pid, comm) in step {
                    match comm {
                        Some(comm) => agent.process(u32::from(pid), &comm),
                        None => {
                            agent.now.process.remove(&ProcessKey { pid: u32::from(pid), start_time: 7 });
                        }
                    }
                }
                assert_eq!(store.receive(&agent.tick(false)).unwrap(), Taken::Tick);
                store.with(|s| assert_eq!(*s, agent.now));
            }
        });
    }

    #[test]
    fn no_bytes_make_it_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        with_store(|store| {
            for frame in frames {
                // Whether they are a frame by chance is beside the point.
                let _ = store.receive(&frame);
            }
        });
    }

    #[test]
    fn a_damaged_tick_is_an_error_or_leaves_known_tables_only(at: usize, byte: u8) {
        let mut agent = Agent::default();
        agent.process(1, "init");
        let mut frame = agent.tick(true);
        let at = at % frame.len();
        frame[at] = byte;
        with_store(|store| {
            store.receive(&Agent::hello(1)).unwrap();
            if store.receive(&frame).is_err() {
                assert!(!store.is_fresh(Topic::Process));
            }
        });
    }
}

#[test]
fn a_hole_leaves_out_differences_until_a_full_table_comes() {
    let mut agent = Agent::default();
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        agent.process(1, "init");
        let _lost = agent.tick(false);
        agent.process(2, "kthreadd");
        assert_eq!(store.receive(&agent.tick(false)).unwrap(), Taken::Gap, "a hole asks for full tables");
        assert!(!store.is_fresh(Topic::Process));
        store.with(|s| assert_eq!(s.process.len(), 0));
        assert_eq!(store.receive(&agent.tick(true)).unwrap(), Taken::Tick);
        assert!(store.is_fresh(Topic::Process));
        store.with(|s| assert_eq!(s.process, agent.now.process));
    });
}

#[test]
fn a_frame_that_repeats_the_head_brings_tables_and_is_no_hole() {
    let mut agent = Agent::default();
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        agent.process(1, "init");
        agent.sequence -= 1;
        assert_eq!(store.receive(&agent.tick(true)).unwrap(), Taken::Tick);
        store.with(|s| assert_eq!(s.process.len(), 1));
        agent.process(2, "sh");
        assert_eq!(store.receive(&agent.tick(false)).unwrap(), Taken::Tick);
        store.with(|s| assert_eq!(s.process.len(), 2));
    });
}

#[test]
fn another_run_of_the_agent_drops_everything() {
    let mut agent = Agent::default();
    agent.process(1, "init");
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        let version = store.version(Topic::Process).get_untracked();
        store.receive(&Agent::hello(2)).unwrap();
        store.with(|s| assert_eq!(*s, Snapshot::default()));
        assert_eq!(store.tick().get_untracked(), TickInfo::default());
        assert!(store.version(Topic::Process).get_untracked() > version, "views must hear of it");
    });
}

#[test]
fn the_same_run_goes_on_where_it_was() {
    let mut agent = Agent::default();
    agent.process(1, "init");
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        store.disconnected();
        store.with(|s| assert_eq!(s.process.len(), 1, "what is known stays on the screen"));
        agent.sequence += 40;
        store.receive(&Agent::hello(1)).unwrap();
        assert_eq!(
            store.receive(&agent.tick(true)).unwrap(),
            Taken::Tick,
            "ticks missed while away are no hole"
        );
    });
}

#[test]
fn another_version_is_told_from_garbage() {
    with_store(|store| {
        let mut hello = Agent::hello(1);
        hello[0] += 1;
        assert!(matches!(store.receive(&hello), Err(WireError::Version(_))));
        hello[0] -= 1;
        hello.truncate(4);
        assert!(matches!(store.receive(&hello), Err(WireError::Malformed(_))));
    });
}

#[test]
fn only_tables_that_changed_are_announced() {
    let mut agent = Agent::default();
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        let versions = || Topic::ALL.iter().map(|t| store.version(*t).get_untracked()).collect::<Vec<_>>();
        let before = versions();
        agent.process(9, "sh");
        store.receive(&agent.tick(false)).unwrap();
        for ((topic, before), after) in Topic::ALL.iter().zip(before).zip(versions()) {
            assert_eq!(after - before, u64::from(*topic == Topic::Process), "{topic:?}");
        }
    });
}

#[test]
fn tables_nobody_wants_stay_but_do_not_count_as_fresh() {
    let mut agent = Agent::default();
    agent.process(1, "init");
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        store.receive(&agent.tick(true)).unwrap();
        store.subscribe(TopicSet::from_iter([Topic::Host]));
        assert!(store.is_fresh(Topic::Host));
        assert!(!store.is_fresh(Topic::Process));
        store.with(|s| assert_eq!(s.process.len(), 1));
    });
}

#[test]
fn a_table_is_wanted_as_long_as_one_guard_lives() {
    with_store(|store| {
        let (one, other) = (store.want(Topic::Thread), store.want(Topic::Thread));
        drop(one);
        assert_eq!(store.wanted(), TopicSet::from_iter([Topic::Thread]));
        drop(other);
        assert_eq!(store.wanted(), TopicSet::EMPTY);
        let child = Owner::new();
        child.with(|| store.want_here(&[Topic::Cpu]));
        assert_eq!(store.wanted(), TopicSet::from_iter([Topic::Cpu]));
        child.cleanup();
        assert_eq!(store.wanted(), TopicSet::EMPTY);
    });
}

#[test]
fn a_question_is_asked_again_on_the_next_connection_until_answered() {
    with_store(|store| {
        let question = Question::Process(ProcessKey { pid: 1, start_time: 7 });
        let answer = store.ask(question.clone());
        let ask = ClientMessage::Ask { id: 0, question };
        for _ in 0..2 {
            let (outbox, mut messages) = unbounded();
            store.connected(outbox);
            assert_eq!(sent(&mut messages), std::slice::from_ref(&ask));
            store.disconnected();
        }
        let reply =
            Answer::Process(Packed::new(&ProcessDetail { cwd: Some("/srv".into()), ..Default::default() }));
        store.receive(&encode(&ServerMessage::Answer { id: 0, answer: reply.clone() }).unwrap()).unwrap();
        assert_eq!(answer.get_untracked(), Some(reply));
        let (outbox, mut messages) = unbounded();
        store.connected(outbox);
        assert_eq!(sent(&mut messages), []);
    });
}

#[test]
fn the_same_notice_is_told_once_and_old_ones_go() {
    with_store(|store| {
        for i in 0..20 {
            store.notify(Severity::Info, format!("{i}"));
            store.notify(Severity::Info, "again".into());
        }
        store.notices.with_untracked(|notices| {
            assert_eq!(notices.len(), NOTICES);
            assert_eq!(notices.iter().filter(|n| n.text == "again").count(), 1);
            assert_eq!(notices.last().map(|n| n.text.as_str()), Some("again"));
        });
    });
}

#[test]
fn histories_are_rings_of_measured_ticks() {
    let mut agent = Agent::default();
    let key = ContainerKey { id: "a".into() };
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        for i in 0..=history::HOST_SAMPLES {
            let busy = CpuRatios { user: i as f32 / 1000.0, ..CpuRatios::default() };
            let stat = HostStat { cpu_ratio: Some(busy), ..HostStat::default() };
            agent.now.host_stat.insert(Single, Arc::new(stat));
            agent.now.container.insert(key.clone(), Arc::new(Container::default()));
            let stat = ContainerStat { memory_bytes: Some(i as u64), ..ContainerStat::default() };
            agent.now.container_stat.insert(key.clone(), Arc::new(stat));
            store.receive(&agent.tick(i == 0)).unwrap();
        }
        store.history(|h| {
            assert_eq!(h.host().len(), history::HOST_SAMPLES);
            assert_eq!(h.host().front().and_then(|s| s.busy_ratio), Some(0.001));
            let memory: Vec<_> = h.container(&key).filter_map(|s| s.memory_bytes).collect();
            assert_eq!(memory.len(), history::CONTAINER_SAMPLES);
            assert_eq!(memory.last(), Some(&(history::HOST_SAMPLES as u64)));
        });
        agent.now.container_stat.remove(&key);
        store.receive(&agent.tick(false)).unwrap();
        store.history(|h| assert_eq!(h.container(&key).count(), 0, "a removed container leaves nothing"));
    });
}

#[test]
fn an_order_is_sent_once_and_fails_with_the_connection() {
    with_store(|store| {
        let order = || Order::SetLink { link: LinkKey { netns: 1, ifindex: 8 }, up: false };
        let failed =
            |answer: Signal<Option<Answer>>| matches!(answer.get_untracked(), Some(Answer::Failed(_)));
        assert!(failed(store.order(order())), "nobody is there to do it");
        let (outbox, mut messages) = unbounded();
        store.connected(outbox);
        let (done, lost) = (store.order(order()), store.order(order()));
        let ids: Vec<u32> = sent(&mut messages)
            .into_iter()
            .filter_map(|m| if let ClientMessage::Order { id, .. } = m { Some(id) } else { None })
            .collect();
        assert_eq!(ids.len(), 2);
        let answer = Answer::Done("veth8 is down".into());
        store
            .receive(&encode(&ServerMessage::Answer { id: ids[0], answer: answer.clone() }).unwrap())
            .unwrap();
        store.disconnected();
        assert_eq!(done.get_untracked(), Some(answer));
        assert!(failed(lost));
        let (outbox, mut messages) = unbounded();
        store.connected(outbox);
        assert!(sent(&mut messages).is_empty(), "an order is never sent again");
    });
}

#[test]
fn going_back_shows_what_was_held_then_while_reading_goes_on() {
    let mut agent = Agent::default();
    with_store(|store| {
        let names =
            |store: Store| store.with(|s| s.process.values().map(|p| p.comm.clone()).collect::<Vec<_>>());
        store.receive(&Agent::hello(1)).unwrap();
        agent.process(1, "old");
        store.receive(&agent.tick(true)).unwrap();
        let then = store.tick().get_untracked().at;
        for n in 0..9 {
            agent.process(1, &format!("new {n}"));
            store.receive(&agent.tick(false)).unwrap();
        }
        let version = store.version(Topic::Process);
        let before = version.get_untracked();
        store.rewind(Some(then));
        assert_eq!((names(store), store.rewound().get_untracked()), (vec!["old".to_owned()], Some(then)));
        assert_eq!(store.tick().get_untracked().at, then);
        assert!(version.get_untracked() > before, "views are told");
        let told = version.get_untracked();
        agent.process(1, "newest");
        store.receive(&agent.tick(false)).unwrap();
        assert_eq!((names(store), version.get_untracked()), (vec!["old".to_owned()], told));
        assert_eq!(
            store.read_live(&[], |s| s.process.values().map(|p| p.comm.clone()).collect::<Vec<_>>()),
            ["newest"]
        );
        store.rewind(None);
        assert_eq!((names(store), store.rewound().get_untracked()), (vec!["newest".to_owned()], None));
        assert_eq!(store.tick().get_untracked(), store.live_tick().get_untracked());
        store.rewind(Some(then));
        store.receive(&Agent::hello(2)).unwrap();
        assert_eq!(store.rewound().get_untracked(), None, "another agent has another past");
    });
}

#[test]
fn what_was_on_no_screen_then_is_not_there_either() {
    let mut agent = Agent::default();
    with_store(|store| {
        store.receive(&Agent::hello(1)).unwrap();
        agent.process(1, "a");
        store.receive(&agent.tick(true)).unwrap();
        store.subscribe([Topic::Container].into_iter().collect());
        for _ in 0..5 {
            store.receive(&agent.tick(false)).unwrap();
        }
        store.rewind(Some(store.live_tick().get_untracked().at));
        assert!(!store.is_fresh(Topic::Process) && store.is_fresh(Topic::Container));
        store.with(|s| assert!(s.process.is_empty()));
    });
}
