//! Tests of the stage, with what they share: small snapshots and a client that keeps what it is sent.

mod hub;
mod recording;
mod server;
mod socket;
mod wire;

use std::sync::Arc;

use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::process::{ProcessKey, ProcessStat};
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{Hello, Origin, ServerFrame, ServerMessage, TickHead, decode, unpack};
use tokio::sync::mpsc;

use super::hub::{Ask, Hub};

const SECOND: u64 = 1_000_000_000;

fn topics(topics: &[Topic]) -> TopicSet {
    topics.iter().copied().collect()
}

/// A live hub and the agent's end of its questions.
fn live_hub() -> (Arc<Hub>, mpsc::Receiver<Ask>) {
    let (questions, asked) = mpsc::channel(4);
    let hello =
        Hello { agent_version: "test".into(), instance: 7, origin: Origin::Live, interval_nanos: SECOND };
    (Hub::new(hello, questions), asked)
}

/// Processes that all change from `n` to `n + 1`, one container that comes and goes, and the agent, which changes
/// every fourth time.
fn snapshot(n: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for pid in 1..=5 {
        let stat = ProcessStat { cpu_nanos: n * 10, threads: pid, ..ProcessStat::default() };
        snapshot.process_stat.insert(ProcessKey { pid, start_time: 1 }, Arc::new(stat));
    }
    if n.is_multiple_of(2) {
        let web = Container { name: "web".into(), ..Container::default() };
        snapshot.container.insert(ContainerKey { id: "c1".into() }, Arc::new(web));
    }
    snapshot.agent.insert(Single, Arc::new(AgentStat { cpu_nanos: n / 4, ..AgentStat::default() }));
    snapshot
}

/// What a frame held.
#[derive(Debug)]
struct Seen {
    head: TickHead,
    full: TopicSet,
    delta: TopicSet,
}

/// A client's copy of the tables.
#[derive(Debug, Default)]
struct Mirror {
    snapshot: Snapshot,
    holds: TopicSet,
}

impl Mirror {
    /// Applies a tick as the app does.
    fn take(&mut self, frame: &[u8]) -> Seen {
        let payload = unpack(frame).expect("a frame");
        let ServerFrame::Tick(head, tables) = decode(&payload).expect("a message") else {
            panic!("no tick");
        };
        let mut seen = Seen { head, full: TopicSet::EMPTY, delta: TopicSet::EMPTY };
        for table in tables {
            if table.full {
                seen.full.insert(table.topic);
                self.holds.insert(table.topic);
            } else {
                seen.delta.insert(table.topic);
                assert!(self.holds.contains(table.topic), "a difference to a table the client does not hold");
            }
            self.snapshot.apply(table.topic, table.full, table.bytes).expect("a table");
        }
        seen
    }

    /// Whether its copy of a table is what the other says.
    fn agrees(&self, with: &Snapshot, topic: Topic) -> bool {
        self.snapshot.encode_full(topic).unwrap() == with.encode_full(topic).unwrap()
    }
}

fn message(frame: &[u8]) -> ServerMessage {
    match decode(&unpack(frame).expect("a frame")).expect("a message") {
        ServerFrame::Message(message) => message,
        ServerFrame::Tick(head, _) => ServerMessage::Tick(head),
    }
}
