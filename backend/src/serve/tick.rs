//! One published tick and everything that is made from it once for all clients.
//!
//! From the hub, which publishes it, to every subscription, which asks for the frame of its set of tables: a table's
//! difference is encoded when the tick is made, a whole table and a frame when the first subscriber needs them; all
//! others get the same bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{TableFrame, TickHead, WireError, encode_tick};
use tokio::time::Instant;

/// Distinct frames kept per tick. Browsers share a handful of views; a client that tries out all subsets of tables
/// gets its frames made for it alone instead of filling our memory.
const FRAMES_KEPT: usize = 64;

/// How often the costly things were done; equal for one client and for a hundred.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Tables and differences encoded.
    pub(crate) tables_encoded: AtomicU64,
    /// Frames put together (and compressed).
    pub(crate) frames_assembled: AtomicU64,
}

/// What a frame of a tick holds; equal contents are the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    /// Tables sent whole.
    pub(crate) full: TopicSet,
    /// Tables sent as a difference to the tick before.
    pub(crate) delta: TopicSet,
    /// Ticks the client lost before this one.
    pub(crate) missed: u32,
}

/// A published tick.
#[derive(Debug)]
pub(crate) struct Tick {
    /// Head for clients that missed nothing.
    pub(crate) head: TickHead,
    /// When it was published, by our clock.
    pub(crate) published: Instant,
    /// All tables. Those outside `known` are meaningless here, not empty.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Tables the snapshot really holds.
    pub(crate) known: TopicSet,
    /// Tables compared with the tick before: whoever held them then needs `deltas` at most.
    compared: TopicSet,
    /// Differences by topic id; `None` when not compared or nothing changed.
    deltas: Vec<Option<Vec<u8>>>,
    /// Whole tables by topic id, encoded when first needed.
    fulls: Vec<OnceLock<Vec<u8>>>,
    frames: Mutex<HashMap<Content, Bytes>>,
    work: Arc<Work>,
}

impl Tick {
    /// Makes a tick and encodes what changed in the tables of `demand` since `before`.
    ///
    /// A demanded table that this reading lacks (`collected`) stays as it was before: no news is not "all gone".
    pub(crate) fn new(
        before: Option<&Self>,
        snapshot: Arc<Snapshot>,
        collected: TopicSet,
        demand: TopicSet,
        head: TickHead,
        work: Arc<Work>,
    ) -> Self {
        let held = before.map_or(TopicSet::EMPTY, |b| b.known & demand);
        let carried = held - collected;
        let snapshot = match before {
            Some(before) if !carried.is_empty() => {
                let mut whole = Snapshot::clone(&snapshot);
                carried.iter().for_each(|t| whole.copy_table(&before.snapshot, t));
                Arc::new(whole)
            }
            Some(_) | None => snapshot,
        };
        let mut tick = Self {
            head,
            published: Instant::now(),
            snapshot,
            known: collected | carried,
            compared: TopicSet::EMPTY,
            deltas: vec![None; Topic::ALL.len()],
            fulls: Topic::ALL.iter().map(|_| OnceLock::new()).collect(),
            frames: Mutex::new(HashMap::new()),
            work,
        };
        if let Some(before) = before {
            tick.compare(before, held);
        }
        tick
    }

    /// Encodes the differences of `topics`, which both ticks hold.
    fn compare(&mut self, before: &Self, topics: TopicSet) {
        for topic in topics.iter() {
            match self.snapshot.encode_delta(&before.snapshot, topic) {
                Ok(delta) => {
                    self.compared.insert(topic);
                    self.work.tables_encoded.fetch_add(u64::from(delta.is_some()), Ordering::Relaxed);
                    if let Some(slot) = self.deltas.get_mut(usize::from(topic.id())) {
                        *slot = delta;
                    }
                }
                // Left out of `compared`, so the next frame carries the whole table.
                Err(error) => tracing::error!(table = topic.name(), %error, "a difference was not encoded"),
            }
        }
    }

    /// What a client needs that was at the tick before, wants `wanted` and held `holds` then.
    pub(crate) fn advance(&self, wanted: TopicSet, holds: TopicSet) -> Content {
        let followed = wanted & holds & self.compared;
        let changed = followed.iter().filter(|t| self.delta(*t).is_some()).collect();
        Content { full: (wanted & self.known) - followed, delta: changed, missed: 0 }
    }

    /// What a client needs that is at this tick already and lacks some of the tables it wants.
    pub(crate) fn complete(&self, wanted: TopicSet, holds: TopicSet, missed: u32) -> Content {
        Content { full: (wanted & self.known) - holds, delta: TopicSet::EMPTY, missed }
    }

    /// The frame with that content, made on the first call.
    pub(crate) fn frame(&self, content: Content) -> Result<Bytes, WireError> {
        // Held while encoding: two sessions on two threads must not make the same frame twice.
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = frames.get(&content) {
            return Ok(frame.clone());
        }
        let mut tables = Vec::new();
        for topic in Topic::ALL.iter().copied() {
            if content.full.contains(topic) {
                tables.push(TableFrame { topic, full: true, bytes: self.full(topic)? });
            } else if let Some(bytes) = self.delta(topic).filter(|_| content.delta.contains(topic)) {
                tables.push(TableFrame { topic, full: false, bytes });
            }
        }
        let head = TickHead { missed: content.missed, ..self.head };
        let frame = Bytes::from(encode_tick(&head, &tables)?);
        self.work.frames_assembled.fetch_add(1, Ordering::Relaxed);
        if frames.len() < FRAMES_KEPT {
            frames.insert(content, frame.clone());
        }
        Ok(frame)
    }

    fn delta(&self, topic: Topic) -> Option<&[u8]> {
        self.deltas.get(usize::from(topic.id())).and_then(Option::as_deref)
    }

    fn full(&self, topic: Topic) -> Result<&[u8], WireError> {
        let Some(slot) = self.fulls.get(usize::from(topic.id())) else {
            return Err(WireError::Malformed("no such table".into()));
        };
        if slot.get().is_none() {
            let bytes = self.snapshot.encode_full(topic)?;
            self.work.tables_encoded.fetch_add(1, Ordering::Relaxed);
            return Ok(slot.get_or_init(|| bytes));
        }
        Ok(slot.get().map_or(&[], Vec::as_slice))
    }
}
