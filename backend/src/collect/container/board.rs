//! What all engines told, under one lock: watchers write, the agent copies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::Declared;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::dns::Told;
use glasshull_shared::domain::engine::{Engine, EngineKey, EngineState};
use tokio::sync::Notify;

use super::book::Book;
use super::{EngineEvent, EngineReading};

/// Events kept when nobody reads.
const EVENTS_KEPT: usize = 1000;

/// The shared state; the lock is never held across an await.
#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: BTreeMap<EngineKey, Slot>,
    events: VecDeque<EngineEvent>,
    generation: u64,
    /// The tables of the last reading; `None` after a change.
    copy: Option<Tables>,
}

type Tables = (
    Table<EngineKey, Engine>,
    Table<ContainerKey, Container>,
    Table<ContainerKey, Declared>,
    Table<ContainerKey, Told>,
);

#[derive(Debug, Default)]
struct Slot {
    engine: Arc<Engine>,
    book: Book,
    /// What it tells of a container counts more than what an untrusted one tells.
    trusted: bool,
}

impl Board {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { inner: Mutex::default(), wake }
    }

    /// A panic elsewhere leaves whole rows: the data stays usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a watcher change its engine and book; wakes the agent when something did change.
    pub(super) fn change<T>(&self, key: &EngineKey, f: impl FnOnce(&mut Engine, &mut Book) -> T) -> T {
        let mut inner = self.lock();
        let slot = inner.slots.entry(key.clone()).or_default();
        let mut engine = Engine::clone(&slot.engine);
        let result = f(&mut engine, &mut slot.book);
        engine.containers = u32::try_from(slot.book.containers().len()).unwrap_or(u32::MAX);
        let engine_changed = engine != *slot.engine;
        if engine_changed {
            slot.engine = Arc::new(engine);
        }
        let (book_changed, events) = slot.book.take_changes();
        let changed = engine_changed || book_changed || !events.is_empty();
        if changed {
            inner.generation += 1;
            inner.copy = None;
            inner.events.extend(events);
            while inner.events.len() > EVENTS_KEPT {
                inner.events.pop_front();
            }
            drop(inner);
            self.wake.notify_one();
        }
        result
    }

    /// Says how much an engine's word counts.
    pub(super) fn trust(&self, key: &EngineKey, trusted: bool) {
        let mut inner = self.lock();
        inner.slots.entry(key.clone()).or_default().trusted = trusted;
        inner.copy = None;
    }

    pub(super) fn read(&self) -> EngineReading {
        let mut inner = self.lock();
        let events = inner.events.drain(..).collect();
        let (engines, containers, declared, told) = match &inner.copy {
            Some(copy) => copy.clone(),
            None => {
                let rows = (union(&inner, Book::containers), union(&inner, Book::declared));
                let copy = (engines(&inner), rows.0, rows.1, union(&inner, Book::told));
                inner.copy = Some(copy.clone());
                copy
            }
        };
        EngineReading { generation: inner.generation, engines, containers, declared, told, events }
    }
}

fn engines(inner: &Inner) -> Table<EngineKey, Engine> {
    inner.slots.iter().map(|(key, slot)| (key.clone(), Arc::clone(&slot.engine))).collect()
}

/// A container told of by two engines (two sockets of one Podman) is taken from the one that is trusted more, of equals
/// from the one that answers.
fn union<V>(inner: &Inner, rows: fn(&Book) -> &Table<ContainerKey, V>) -> Table<ContainerKey, V> {
    let mut all = Table::new();
    let mut slots: Vec<_> = inner.slots.values().collect();
    slots.sort_by_key(|slot| (slot.trusted, slot.engine.state == EngineState::Connected));
    for slot in slots {
        all.extend(rows(&slot.book).iter().map(|(key, row)| (key.clone(), Arc::clone(row))));
    }
    all
}
