//! The mirror: what the agent sent, put together again. Pure: bytes in, what changed out; no signals, no browser.

use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{
    self, Answer, Hello, ServerFrame, ServerMessage, Severity, TableFrame, TickHead, WireError,
};

use std::sync::Arc;

use super::history::History;
use super::past::{Moment, Past};

/// What a frame brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// First frame of a connection; `new_instance` when everything held before was dropped.
    Hello {
        /// The agent was started anew (or this is the first connection).
        new_instance: bool,
    },
    /// A tick was applied.
    Tick {
        /// Its head.
        head: TickHead,
        /// Tables that changed.
        changed: TopicSet,
        /// Frames were missed and differences had to be left out: ask for full tables.
        resync: bool,
    },
    /// Answer to the question with this id.
    Answer {
        /// As given with the question.
        id: u32,
        /// The answer.
        answer: Answer,
    },
    /// Something to tell the person.
    Notice {
        /// How serious.
        severity: Severity,
        /// One sentence.
        text: String,
    },
}

/// The tables as the agent had them at the last tick, and what is kept of ticks before.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The tables.
    pub snapshot: Snapshot,
    /// Samples of the last minutes.
    pub history: History,
    /// Moments of the last minutes.
    pub past: Past,
    /// The one that is shown instead of now.
    shown: Option<Arc<Moment>>,
    /// What the agent said of itself; `None` before the first connection.
    pub hello: Option<Hello>,
    /// Head of the last tick; `None` before the first.
    pub head: Option<TickHead>,
    /// Tables that follow the agent: a full one came, and all differences since.
    fresh: TopicSet,
    /// Nothing may be taken over from before: true from a new connection to its first tick.
    rejoined: bool,
}

impl Mirror {
    /// Whether a table follows the agent (false: never received, or nobody subscribes to it any more); of a moment of the past,
    /// whether it did then.
    pub fn is_fresh(&self, topic: Topic) -> bool {
        self.shown.as_ref().map_or(self.fresh, |moment| moment.topics).contains(topic)
    }

    /// The tables to show: now, or at the moment that was gone back to.
    pub fn tables(&self) -> &Snapshot {
        self.shown.as_ref().map_or(&self.snapshot, |moment| &moment.tables)
    }

    /// Shows the moment nearest to an instant, or now; which it is.
    pub fn show(&mut self, at: Option<u64>) -> Option<u64> {
        self.shown = at.and_then(|at| self.past.nearest(at)).cloned();
        self.shown.as_ref().map(|moment| moment.at)
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// Another version of the wire, or bytes that do not decode. What is held is not trusted any more then: ask for
    /// full tables.
    pub fn receive(&mut self, frame: &[u8]) -> Result<Received, WireError> {
        let received = self.take(frame);
        if received.is_err() {
            self.lost_track();
        }
        received
    }

    fn take(&mut self, frame: &[u8]) -> Result<Received, WireError> {
        let payload = wire::unpack(frame)?;
        match wire::decode(&payload)? {
            ServerFrame::Message(message) => Ok(self.take_message(message)),
            ServerFrame::Tick(head, tables) => self.take_tick(head, &tables),
        }
    }

    /// Only these tables are sent from now on: the others stay as they are and count as not fresh.
    pub fn subscribed(&mut self, topics: TopicSet) {
        self.fresh = self.fresh & topics;
    }

    /// What was received can no longer be trusted to be complete: only full tables are taken from now on.
    pub fn lost_track(&mut self) {
        self.fresh = TopicSet::EMPTY;
    }

    fn take_message(&mut self, message: ServerMessage) -> Received {
        match message {
            ServerMessage::Hello(hello) => self.take_hello(hello),
            // `decode` gives a tick as `ServerFrame::Tick`; one without tables is the same thing.
            ServerMessage::Tick(head) => Received::Tick { head, changed: TopicSet::EMPTY, resync: false },
            ServerMessage::Answer { id, answer } => Received::Answer { id, answer },
            ServerMessage::Notice { severity, text } => Received::Notice { severity, text },
        }
    }

    fn take_hello(&mut self, hello: Hello) -> Received {
        let new_instance = self.hello.as_ref().is_none_or(|before| before.instance != hello.instance);
        if new_instance {
            *self = Self::default();
        }
        self.hello = Some(hello);
        self.rejoined = true;
        self.lost_track();
        Received::Hello { new_instance }
    }

    fn take_tick(&mut self, head: TickHead, tables: &[TableFrame<'_>]) -> Result<Received, WireError> {
        // A frame that only brings tables newly subscribed to repeats the head of the tick before.
        let follows = |before: TickHead| head.sequence.wrapping_sub(before.sequence) <= 1;
        let hole = !self.rejoined && head.missed == 0 && !self.head.is_none_or(follows);
        if hole {
            self.lost_track();
        }
        let mut changed = TopicSet::EMPTY;
        let mut skipped = false;
        for table in tables {
            if !table.full && !self.fresh.contains(table.topic) {
                skipped = true;
                continue;
            }
            self.snapshot.apply(table.topic, table.full, table.bytes)?;
            if table.full {
                self.fresh.insert(table.topic);
            }
            changed.insert(table.topic);
        }
        self.head = Some(head);
        self.rejoined = false;
        self.history.sample(&head, &self.snapshot, |topic| self.fresh.contains(topic));
        if head.interval_nanos.is_some() {
            self.past.keep(head.at, &self.snapshot, self.fresh);
        }
        Ok(Received::Tick { head, changed, resync: hole || skipped })
    }
}
