//! HOLD: the mirror of the agent's tables as views read it, and what the person chose.
//!
//! Reading: `store.track(topic)` makes the running effect depend on a table, `store.with(|snapshot| …)` reads it.
//! Collecting: `store.want(topic)` asks the agent for a table as long as the guard lives.

pub mod address;
pub mod archive;
pub mod choice;
pub mod confinement;
pub mod device;
pub mod dns;
pub mod filter;
pub mod finding;
pub mod flow;
pub mod history;
pub mod limit;
pub mod lookup;
pub mod mark;
pub mod mirror;
pub mod mount;
pub mod namespace;
pub mod nat;
pub mod network;
pub mod past;
pub mod scoreboard;
pub mod shell;
pub mod socket;
mod want;
pub mod wire;
pub mod word;

use std::collections::BTreeMap;

use futures_channel::mpsc::UnboundedSender;
use glasshull_shared::domain::{agent::Single, host::Host};
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{Answer, ClientMessage, Order, Origin, Question, Severity, WireError};
use leptos::prelude::*;

pub use choice::{Choice, Selection, Sort, Theme, use_choice};
use history::History;
use mirror::{Mirror, Received};
pub use want::Want;
pub use wire::Look;

/// Notices kept; older ones are dropped.
const NOTICES: usize = 8;

/// How we stand with the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    /// First connection is being made.
    Connecting,
    /// Ticks arrive.
    Live {
        /// Measured time between the last two readings, nanoseconds; `None` before the second.
        interval_nanos: Option<u64>,
    },
    /// Connected, but no tick came for longer than it should.
    Stale {
        /// Seconds since the last one, by the browser's clock.
        secs: u32,
    },
    /// Not connected; what is shown is as old as the last tick.
    Lost {
        /// Seconds since the last tick, by the browser's clock.
        secs: u32,
        /// Seconds to the next attempt.
        retry_secs: u32,
        /// What happened.
        reason: String,
    },
    /// The agent speaks another version of the wire: only a reload helps.
    Outdated {
        /// What the decoder says.
        reason: String,
    },
}

/// What a frame was, as far as the feed must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The first frame of a connection: the agent listens.
    Hello,
    /// A tick.
    Tick,
    /// A tick after frames were missed: full tables must be asked for.
    Gap,
    /// Anything else.
    Message,
}

/// The last tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickInfo {
    /// Counts ticks of this run of the agent; 0 before the first.
    pub sequence: u64,
    /// Instant the reading was finished, nanoseconds since the epoch; 0 before the first.
    pub at: u64,
    /// Last measured time between readings, nanoseconds; `None` before the second.
    pub interval_nanos: Option<u64>,
}

/// Something to tell the person, until dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Counts notices of this page.
    pub id: u64,
    /// How serious.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// Questions the agent has not answered, by id.
type Pending = BTreeMap<u32, (Question, ArcRwSignal<Option<Answer>>)>;

/// Orders the agent has not answered, by id.
type Orders = BTreeMap<u32, ArcRwSignal<Option<Answer>>>;

/// Everything the page knows. Cheap to copy; get it by [`use_store`].
#[derive(Clone, Copy)]
pub struct Store {
    mirror: StoredValue<Mirror>,
    versions: StoredValue<Vec<RwSignal<u64>>>,
    /// Of what is shown.
    tick: RwSignal<TickInfo>,
    /// The newest; another one while the past is shown.
    live_tick: RwSignal<TickInfo>,
    rewound: RwSignal<Option<u64>>,
    origin: RwSignal<Origin>,
    wanted: RwSignal<BTreeMap<Topic, u32>>,
    pending: StoredValue<Pending>,
    orders: StoredValue<Orders>,
    next_question: StoredValue<u32>,
    outbox: StoredValue<Option<UnboundedSender<ClientMessage>>>,
    next_notice: StoredValue<u64>,
    /// How we stand with the agent; written by the feed.
    pub conn: RwSignal<Connection>,
    /// Bytes received over the socket since the page was opened; written by the feed.
    pub received_bytes: RwSignal<u64>,
    /// Bytes per second received, over the last few seconds; `None` before that is known.
    pub received_bytes_per_sec: RwSignal<Option<f64>>,
    /// What the person should know, newest last.
    pub notices: RwSignal<Vec<Notice>>,
    /// The look into a wire.
    pub look: Look,
}

/// The store of this page.
///
/// # Panics
/// Outside the app: [`provide`] was not called.
#[track_caller]
pub fn use_store() -> Store {
    expect_context()
}

/// Makes store and choice known to everything below the present owner.
pub fn provide(choice: Choice) -> Store {
    let store = Store::default();
    provide_context(store);
    provide_context(choice);
    store
}

impl Default for Store {
    fn default() -> Self {
        Self {
            mirror: StoredValue::new(Mirror::default()),
            versions: StoredValue::new(Topic::ALL.iter().map(|_| RwSignal::new(0)).collect()),
            tick: RwSignal::new(TickInfo::default()),
            live_tick: RwSignal::new(TickInfo::default()),
            rewound: RwSignal::new(None),
            origin: RwSignal::new(Origin::Live),
            wanted: RwSignal::new(BTreeMap::new()),
            pending: StoredValue::new(BTreeMap::new()),
            orders: StoredValue::new(BTreeMap::new()),
            next_question: StoredValue::new(0),
            outbox: StoredValue::new(None),
            next_notice: StoredValue::new(0),
            conn: RwSignal::new(Connection::Connecting),
            received_bytes: RwSignal::new(0),
            received_bytes_per_sec: RwSignal::new(None),
            notices: RwSignal::new(Vec::new()),
            look: Look::default(),
        }
    }
}

/// Reading.
impl Store {
    /// Reads the tables. Not reactive by itself: see [`Store::track`]. Do not feed the store from inside.
    pub fn with<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        self.mirror.with_value(|m| f(m.tables()))
    }

    /// Makes the running effect, memo or view depend on a table: it runs again after each tick that changed it.
    pub fn track(&self, topic: Topic) {
        self.version(topic).track();
    }

    /// Changes with each tick in which the table changed.
    pub fn version(&self, topic: Topic) -> Signal<u64> {
        self.versions
            .with_value(|v| v.get(usize::from(topic.id())).copied())
            .map_or(Signal::stored(0), Into::into)
    }

    /// [`Store::track`] some tables, then [`Store::with`].
    pub fn read<R>(&self, topics: &[Topic], f: impl FnOnce(&Snapshot) -> R) -> R {
        for topic in topics {
            self.track(*topic);
        }
        self.with(f)
    }

    /// Whether a table follows the agent now; `false` while it is not received (yet, or any more). Reactive: the
    /// table's arrival is a change of it.
    pub fn is_fresh(&self, topic: Topic) -> bool {
        self.track(topic);
        self.mirror.with_value(|m| m.is_fresh(topic))
    }

    /// Why a table made of these topics has no row: what troubles who fills the first, that it is not here, or what says that there is
    /// `none`.
    pub fn why_none(&self, topics: &[Topic], none: &str) -> String {
        let trouble = |s: &Snapshot| network::trouble_of(s, *topics.first()?);
        if let Some(trouble) = self.read(&[Topic::Source], trouble) {
            return trouble;
        }
        let why = if topics.iter().all(|topic| self.is_fresh(*topic)) {
            none
        } else if self.rewound.get().is_some() {
            "Nobody looked at this at that moment."
        } else if matches!(self.conn.get(), Connection::Lost { .. }) {
            "The agent is not connected."
        } else if matches!(self.origin.get(), Origin::Replay { .. }) {
            "Reading… The recording may not hold this."
        } else {
            "Reading…"
        };
        why.to_owned()
    }

    /// The last tick, or the one that was gone back to. Changes with every tick that is shown.
    pub fn tick(&self) -> Signal<TickInfo> {
        self.tick.into()
    }

    /// The last tick, whatever is shown.
    pub fn live_tick(&self) -> Signal<TickInfo> {
        self.live_tick.into()
    }

    /// As [`Store::read`], of now even while the past is shown.
    pub fn read_live<R>(&self, topics: &[Topic], f: impl FnOnce(&Snapshot) -> R) -> R {
        for topic in topics {
            self.track(*topic);
        }
        self.mirror.with_value(|m| f(&m.snapshot))
    }

    /// The instant that is shown instead of now, nanoseconds since the epoch; `None` while it is now.
    pub fn rewound(&self) -> Signal<Option<u64>> {
        self.rewound.into()
    }

    /// Shows what the page held at an instant of the last minutes (the nearest of which there is something), or now again.
    /// Reading goes on meanwhile.
    pub fn rewind(&self, at: Option<u64>) {
        let shown = self.mirror.try_update_value(|m| m.show(at)).flatten();
        let live = self.live_tick.get_untracked();
        self.rewound.set(shown);
        self.tick.set(TickInfo { at: shown.unwrap_or(live.at), ..live });
        self.bump(TopicSet::ALL);
    }

    /// Time of the last tick, nanoseconds since the epoch: "now" for ages and uptimes, also in a replay. 0 before the
    /// first tick. Not reactive: for a text that counts on, read [`Store::tick`].
    pub fn now_nanos(&self) -> u64 {
        self.tick.get_untracked().at
    }

    /// What the host is; `None` before the first tick. Reactive.
    pub fn host(&self) -> Option<std::sync::Arc<Host>> {
        self.read(&[Topic::Host], |s| s.host.get(&Single).cloned())
    }

    /// Reads the samples of the last minutes. Not reactive by itself: they grow with [`Topic::HostStat`] and
    /// [`Topic::ContainerStat`].
    pub fn history<R>(&self, f: impl FnOnce(&History) -> R) -> R {
        self.mirror.with_value(|m| f(&m.history))
    }

    /// Whether this is the host now or a recording.
    pub fn origin(&self) -> Signal<Origin> {
        self.origin.into()
    }
}

/// Asking.
impl Store {
    /// Asks the agent for a table until the guard is dropped.
    pub fn want(&self, topic: Topic) -> Want {
        Want::new(self.wanted, topic)
    }

    /// Asks the agent for tables until the running effect or view is gone.
    pub fn want_here(&self, topics: &[Topic]) {
        let guards: Vec<Want> = topics.iter().map(|t| self.want(*t)).collect();
        on_cleanup(move || drop(guards));
    }

    /// The tables wanted now. Reactive.
    pub fn wanted(&self) -> TopicSet {
        self.wanted.with(|w| w.keys().copied().collect())
    }

    /// Asks about one thing; `None` until the answer is there. Asked again by itself after a lost connection, but not
    /// when the thing changes: ask again for that.
    pub fn ask(&self, question: Question) -> Signal<Option<Answer>> {
        let id = self.next_question.get_value();
        self.next_question.set_value(id.wrapping_add(1));
        let answer = ArcRwSignal::new(None);
        self.pending.update_value(|p| {
            p.insert(id, (question.clone(), answer.clone()));
        });
        let pending = self.pending;
        on_cleanup(move || {
            pending.try_update_value(|p| p.remove(&id));
        });
        self.send(ClientMessage::Ask { id, question });
        answer.into()
    }

    /// Has something done; `None` until the agent has said what came of it. Sent once: what was under way when the
    /// connection was lost counts as failed.
    pub fn order(&self, order: Order) -> Signal<Option<Answer>> {
        let id = self.next_question.get_value();
        self.next_question.set_value(id.wrapping_add(1));
        let answer = ArcRwSignal::new(None);
        let connected = self.outbox.with_value(Option::is_some);
        if connected {
            self.orders.update_value(|orders| drop(orders.insert(id, answer.clone())));
            self.send(ClientMessage::Order { id, order });
        } else {
            answer.set(Some(Answer::Failed("not connected: nothing was done".into())));
        }
        answer.into()
    }

    /// Sends to the agent if connected. Questions and subscriptions are sent again on the next connection anyway.
    pub fn send(&self, message: ClientMessage) {
        self.outbox.with_value(|outbox| {
            if let Some(outbox) = outbox {
                // The receiving end goes away with the connection; the next one starts from what is wanted then.
                let _ = outbox.unbounded_send(message);
            }
        });
    }

    /// Tells the person something.
    pub fn notify(&self, severity: Severity, text: String) {
        let id = self.next_notice.get_value();
        self.next_notice.set_value(id + 1);
        self.notices.update(|notices| {
            notices.retain(|n| n.text != text);
            notices.push(Notice { id, severity, text });
            let over = notices.len().saturating_sub(NOTICES);
            notices.drain(..over);
        });
    }

    /// The person has read it.
    pub fn dismiss(&self, id: u64) {
        self.notices.update(|notices| notices.retain(|n| n.id != id));
    }
}

/// Feeding: for the feed and for tests.
impl Store {
    /// A connection is open: messages go to `outbox`, questions without an answer are asked again.
    pub fn connected(&self, outbox: UnboundedSender<ClientMessage>) {
        self.outbox.set_value(Some(outbox));
        let open: Vec<_> =
            self.pending.with_value(|p| p.iter().map(|(id, (q, _))| (*id, q.clone())).collect());
        for (id, question) in open {
            self.send(ClientMessage::Ask { id, question });
        }
    }

    /// The connection is gone.
    pub fn disconnected(&self) {
        self.outbox.set_value(None);
        let lost = self.orders.try_update_value(std::mem::take).unwrap_or_default();
        for answer in lost.into_values() {
            answer.set(Some(Answer::Failed("the connection was lost: look whether it was done".into())));
        }
        self.mirror.update_value(Mirror::lost_track);
    }

    /// Asks for exactly these tables.
    pub fn subscribe(&self, topics: TopicSet) {
        self.mirror.update_value(|m| m.subscribed(topics));
        self.send(ClientMessage::Subscribe { topics: topics.iter().map(|t| t.id()).collect() });
    }

    /// Takes one frame from the agent and tells whoever depends on what it changed.
    ///
    /// # Errors
    /// Another version of the wire, or bytes that do not decode.
    pub fn receive(&self, frame: &[u8]) -> Result<Taken, WireError> {
        let received = self
            .mirror
            .try_update_value(|m| m.receive(frame))
            .unwrap_or_else(|| Err(WireError::Malformed("the page is being closed".into())))?;
        match received {
            Received::Hello { new_instance } => {
                self.greet(new_instance);
                return Ok(Taken::Hello);
            }
            Received::Tick { head, changed, resync } => {
                let interval_nanos = head.interval_nanos.or(self.live_tick.get_untracked().interval_nanos);
                let tick = TickInfo { sequence: head.sequence, at: head.at, interval_nanos };
                self.live_tick.set(tick);
                self.conn.set(Connection::Live { interval_nanos });
                if self.rewound.with_untracked(Option::is_none) {
                    self.tick.set(tick);
                    self.bump(changed);
                } else {
                    // The timeline goes on.
                    self.bump(changed & [Topic::HostStat, Topic::Event].into_iter().collect());
                }
                return Ok(if resync { Taken::Gap } else { Taken::Tick });
            }
            Received::Answer { id, answer } => {
                let asked = self.pending.try_update_value(|p| p.remove(&id)).flatten();
                let ordered = || self.orders.try_update_value(|orders| orders.remove(&id)).flatten();
                if let Some(signal) = asked.map(|(_, signal)| signal).or_else(ordered) {
                    signal.set(Some(answer));
                }
            }
            Received::Notice { severity, text } => self.notify(severity, text),
        }
        Ok(Taken::Message)
    }

    fn greet(&self, new_instance: bool) {
        if let Some(hello) = self.mirror.with_value(|m| m.hello.clone()) {
            self.origin.set(hello.origin);
        }
        if new_instance {
            self.tick.set(TickInfo::default());
            self.live_tick.set(TickInfo::default());
            self.rewound.set(None);
            self.bump(TopicSet::ALL);
        }
    }

    fn bump(&self, topics: TopicSet) {
        self.versions.with_value(|versions| {
            for topic in topics.iter() {
                if let Some(version) = versions.get(usize::from(topic.id())) {
                    version.update(|n| *n += 1);
                }
            }
        });
    }
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
