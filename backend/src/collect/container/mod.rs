//! Containers from the engines' APIs (Docker and Podman over unix sockets), kept up to date by their event streams.
//!
//! [`Engines`] runs one task per engine beside the tick and one that looks for sockets; they fill a shared board that
//! [`Engines::read`] copies without ever waiting for an engine. An engine that hangs, dies or comes back changes only
//! its own part of the board. Environment variables of containers never leave this module.

pub(crate) mod archive;
mod board;
mod book;
mod declared;
mod endpoint;
mod fault;
mod inspect;
mod names;
mod transport;
mod trust;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::Declared;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::dns::Told;
use glasshull_shared::domain::engine::{Engine, EngineKey};
use glasshull_shared::domain::event::EventKind;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use self::board::Board;
use self::endpoint::Endpoint;
use crate::sys::root::Root;

/// Intervals and deadlines; the defaults suit production.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How long an engine may take to answer one request before it counts as hanging.
    pub(crate) deadline: Duration,
    /// How often a connected engine is asked whether it still answers.
    pub(crate) heartbeat: Duration,
    /// How often all containers are listed again, in case an event was lost.
    pub(crate) relist: Duration,
    /// How often new sockets are looked for.
    pub(crate) rescan: Duration,
    /// First and longest pause between two attempts to reach an engine.
    pub(crate) back_off: (Duration, Duration),
    /// Where sockets are looked for.
    pub(crate) root: Root,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            relist: Duration::from_secs(30),
            rescan: Duration::from_secs(10),
            back_off: (Duration::from_millis(250), Duration::from_secs(5)),
            root: Root::host(),
        }
    }
}

/// What happened to a container or an engine, for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineEvent {
    /// When we learned of it, nanoseconds since the epoch.
    pub(crate) at: u64,
    /// What kind.
    pub(crate) kind: EventKind,
    /// Id of the container; `None` for events of an engine.
    pub(crate) container: Option<String>,
    /// One line for people.
    pub(crate) text: String,
}

/// A copy of what the engines told.
#[derive(Debug, Clone, Default)]
pub(crate) struct EngineReading {
    /// Counts changes of the tables: equal numbers mean equal tables.
    pub(crate) generation: u64,
    /// The engines and how we stand with them.
    pub(crate) engines: Table<EngineKey, Engine>,
    /// All containers of all engines; those of a failed engine stay as they were last seen.
    pub(crate) containers: Table<ContainerKey, Container>,
    /// What engines were told about how each is confined; those not inspected yet are left out.
    pub(crate) declared: Table<ContainerKey, Declared>,
    /// Networks, addresses and names of each; of the same.
    pub(crate) told: Table<ContainerKey, Told>,
    /// Events since the last reading, oldest first.
    pub(crate) events: Vec<EngineEvent>,
}

/// All engines; dropping it ends their tasks.
#[derive(Debug)]
pub(crate) struct Engines {
    board: Arc<Board>,
    finder: JoinHandle<()>,
}

impl Engines {
    /// Starts watching `endpoints` (`unix:///path` or `/path`), or, when there are none, every engine that is found.
    /// `wake` is notified after each change, so that it can be published at once. Must be called in a tokio runtime.
    pub(crate) fn start(endpoints: Vec<String>, wake: Arc<Notify>, options: Options) -> Self {
        let board = Arc::new(Board::new(wake));
        let finder = tokio::spawn(find(Arc::clone(&board), endpoints, options));
        Self { board, finder }
    }

    /// What is known now. Never waits for an engine; cheap when nothing changed.
    pub(crate) fn read(&self) -> EngineReading {
        self.board.read()
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.finder.abort(); // its JoinSet goes with it and aborts the engines' tasks
    }
}

/// Starts one watcher per endpoint; without given endpoints it keeps looking for new sockets.
async fn find(board: Arc<Board>, given: Vec<String>, options: Options) {
    let mut watchers = JoinSet::new();
    let mut known: BTreeMap<EngineKey, Endpoint> = BTreeMap::new();
    let discover = given.is_empty();
    for text in given.into_iter().collect::<BTreeSet<_>>() {
        let endpoint = Endpoint::given(&text);
        let twin = known.values().any(|other| other.same_socket(&endpoint));
        if !twin && known.insert(endpoint.key.clone(), endpoint.clone()).is_none() {
            watchers.spawn(watch::watch(endpoint, Arc::clone(&board), options.clone()));
        }
    }
    if !discover {
        while watchers.join_next().await.is_some() {}
        return;
    }
    let mut finder = endpoint::Finder::new(options.root.clone());
    let mut timer = tokio::time::interval(options.rescan);
    loop {
        timer.tick().await;
        for endpoint in finder.look() {
            let twin = known.values().any(|other| other.same_socket(&endpoint));
            if !twin && !known.contains_key(&endpoint.key) {
                known.insert(endpoint.key.clone(), endpoint.clone());
                watchers.spawn(watch::watch(endpoint, Arc::clone(&board), options.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
