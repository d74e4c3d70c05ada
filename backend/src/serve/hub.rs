//! The hub: ticks come in once, frames go out to any number of subscribers.
//!
//! From the agent's loop or a replay ([`Hub::publish`]) to sessions, the recorder and whoever else subscribes
//! ([`Hub::subscribe`]). It also adds up who needs which tables ([`Hub::demand`]), so that nothing is collected for
//! nobody, and carries questions about one thing to the agent ([`Ask`]).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{
    Answer, Hello, Order, Origin, Question, ServerMessage, TickHead, WireError, encode,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::archive::Desk;
use super::tick::{Content, Tick, Work};
use super::wire::Gate;

/// Ticks a subscriber may be behind before it is sent whole tables instead.
const TICKS_QUEUED: usize = 4;
/// Notices a client may be behind before it loses the oldest.
const NOTICES_QUEUED: usize = 8;
/// A newcomer is not shown tables older than this many intervals: nobody watched, so nobody collected.
const FRESH_INTERVALS: u32 = 3;

/// What a client wants of the agent.
#[derive(Debug)]
pub(crate) enum Request {
    /// To know something.
    Question(Question),
    /// To have something done, and who wants it.
    Order(Order, SocketAddr),
}

/// A request on its way to the agent; dropping `reply` unanswered tells the client that there is no answer.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What the client wants.
    pub(crate) request: Request,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Hub {
    hello: Hello,
    hello_frame: Bytes,
    questions: mpsc::Sender<Ask>,
    /// The way to whoever looks into wires; none in a replay.
    gate: OnceLock<Gate>,
    /// The way to whoever reads files; none in a replay.
    desk: OnceLock<Desk>,
    /// Sequence number of the last tick; held while publishing, so that ticks leave in their order.
    sequence: Mutex<u64>,
    state: Mutex<State>,
    ticks: broadcast::Sender<Arc<Tick>>,
    notices: broadcast::Sender<Bytes>,
    demand: watch::Sender<TopicSet>,
    work: Arc<Work>,
    clients: AtomicU32,
    sent_bytes: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// The last tick; replaced and broadcast under one lock, so that nobody falls between.
    last: Option<Arc<Tick>>,
    /// Subscribers per table, by topic id.
    subscribers: Vec<u32>,
}

impl Hub {
    /// A hub without subscribers. `questions` leads to whoever answers; one that is full or closed is answered with
    /// a failure.
    pub(crate) fn new(hello: Hello, questions: mpsc::Sender<Ask>) -> Arc<Self> {
        let hello_frame = encode(&ServerMessage::Hello(hello.clone())).unwrap_or_else(|error| {
            tracing::error!(%error, "the first frame was not encoded");
            Vec::new()
        });
        Arc::new(Self {
            hello,
            hello_frame: hello_frame.into(),
            questions,
            gate: OnceLock::new(),
            desk: OnceLock::new(),
            sequence: Mutex::new(0),
            state: Mutex::new(State { last: None, subscribers: vec![0; Topic::ALL.len()] }),
            ticks: broadcast::Sender::new(TICKS_QUEUED),
            notices: broadcast::Sender::new(NOTICES_QUEUED),
            demand: watch::Sender::new(TopicSet::EMPTY),
            work: Arc::default(),
            clients: AtomicU32::new(0),
            sent_bytes: AtomicU64::new(0),
        })
    }

    /// Publishes a reading to all subscribers.
    ///
    /// `collected` names the tables `snapshot` really holds; the others are ignored, never sent as empty. `at`:
    /// instant the reading was finished, nanoseconds since the epoch. `interval_nanos`: measured time since the
    /// reading before; `None` on the first and on ticks caused by an event.
    pub(crate) fn publish(
        &self,
        snapshot: Arc<Snapshot>,
        collected: TopicSet,
        at: u64,
        interval_nanos: Option<u64>,
    ) {
        let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *sequence += 1;
        let before = self.state().last.clone();
        let demand = *self.demand.borrow();
        let head = TickHead { sequence: *sequence, at, interval_nanos, missed: 0 };
        let work = Arc::clone(&self.work);
        let tick = Arc::new(Tick::new(before.as_deref(), snapshot, collected, demand, head, work));
        let mut state = self.state();
        state.last = Some(Arc::clone(&tick));
        // Fails only when nobody listens.
        let _ = self.ticks.send(tick);
    }

    /// Tells all clients that are connected now something that is no tick.
    pub(crate) fn notify(&self, message: &ServerMessage) {
        match encode(message) {
            // Fails only when nobody listens.
            Ok(frame) => drop(self.notices.send(frame.into())),
            Err(error) => tracing::error!(%error, "a notice was not encoded"),
        }
    }

    /// What is told to all from now on, as frames.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Bytes> {
        self.notices.subscribe()
    }

    /// The tables somebody needs, and every change of that.
    pub(crate) fn demand(&self) -> watch::Receiver<TopicSet> {
        self.demand.subscribe()
    }

    /// Subscribes to tables: they are collected as long as the subscription lives. Whoever only wants that need not
    /// call [`Subscription::next`].
    pub(crate) fn subscribe(self: &Arc<Self>, topics: TopicSet) -> Subscription {
        let mut subscription = Subscription {
            hub: Arc::clone(self),
            wanted: TopicSet::EMPTY,
            holds: TopicSet::EMPTY,
            link: None,
            sent: None,
            due: false,
        };
        subscription.set_topics(topics);
        subscription
    }

    /// What every connection begins with.
    #[cfg(test)]
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The same as a frame.
    pub(crate) fn hello_frame(&self) -> Bytes {
        self.hello_frame.clone()
    }

    /// Asks the agent; the receiver ends without an answer when it has none. `None` when it is too busy to be asked.
    pub(crate) fn ask(&self, request: Request) -> Option<oneshot::Receiver<Answer>> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(Ask { request, reply }).ok().map(|()| answer)
    }

    /// From now on wires can be looked into.
    pub(crate) fn open_gate(&self, gate: Gate) {
        if self.gate.set(gate).is_err() {
            tracing::error!("wires were opened twice");
        }
    }

    /// The way to whoever looks into wires; `None` in a replay.
    pub(crate) fn gate(&self) -> Option<&Gate> {
        self.gate.get()
    }

    /// From now on files can be asked for, or are refused.
    pub(crate) fn open_desk(&self, desk: Desk) {
        if self.desk.set(desk).is_err() {
            tracing::error!("files were opened twice");
        }
    }

    /// The way to whoever reads files; `None` in a replay.
    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.desk.get()
    }

    /// The tables as they are now; `None` while one of these is not known or old. Whoever wants them subscribes first.
    pub(crate) fn latest(&self, topics: TopicSet) -> Option<Arc<Snapshot>> {
        let last = self.state().last.clone()?;
        let here = self.is_fresh(&last) && (topics - last.known).is_empty();
        here.then(|| Arc::clone(&last.snapshot))
    }

    /// Browsers and scripts connected now.
    pub(crate) fn clients(&self) -> u32 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Bytes sent to all clients since start.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// What encoding has cost so far.
    #[cfg(test)]
    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// Counts a client in until the result is dropped; `None` when `limit` are connected already.
    pub(crate) fn admit(self: &Arc<Self>, limit: u32) -> Option<Client> {
        let one_more = |n: u32| (n < limit).then_some(n + 1);
        self.clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()
            .map(|_| Client(Arc::clone(self)))
    }

    /// Counts bytes sent to a client.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the stream of ticks just behind the last one.
    fn attach(&self) -> Link {
        let state = self.state();
        Link { ticks: self.ticks.subscribe(), current: state.last.clone() }
    }

    /// Changes the number of subscribers per table from one set to another at once.
    fn change_demand(&self, from: TopicSet, to: TopicSet) {
        let mut state = self.state();
        for (count, topic) in state.subscribers.iter_mut().zip(Topic::ALL) {
            *count += u32::from(to.contains(*topic));
            *count -= u32::from(from.contains(*topic));
        }
        let all =
            Topic::ALL.iter().zip(&state.subscribers).filter(|(_, n)| **n > 0).map(|(t, _)| *t).collect();
        // Still under the lock: two changes must not overtake each other.
        self.demand.send_if_modified(|demand| std::mem::replace(demand, all) != all);
    }

    /// Whether the tables of a tick may be shown to somebody who comes now. A recording does not age.
    fn is_fresh(&self, tick: &Tick) -> bool {
        let interval = Duration::from_nanos(self.hello.interval_nanos).max(Duration::from_secs(1));
        self.hello.origin != Origin::Live || tick.published.elapsed() < interval * FRESH_INTERVALS
    }
}

/// A connected client, counted until dropped.
#[derive(Debug)]
pub(crate) struct Client(Arc<Hub>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in the stream of ticks.
#[derive(Debug)]
struct Link {
    ticks: broadcast::Receiver<Arc<Tick>>,
    /// The tick the subscriber is at: what it holds is what this tick says.
    current: Option<Arc<Tick>>,
}

/// Somebody's need of tables, and the frames that satisfy it.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    wanted: TopicSet,
    /// Tables the subscriber has as of the current tick.
    holds: TopicSet,
    /// `None` before the first frame is asked for and after falling behind.
    link: Option<Link>,
    /// Sequence number of the last frame handed out.
    sent: Option<u64>,
    /// Something may have to be sent before the next tick.
    due: bool,
}

impl Subscription {
    /// Replaces the set of tables. Tables new to the subscriber come with the next frame, which does not wait for a
    /// tick when they are known already.
    pub(crate) fn set_topics(&mut self, topics: TopicSet) {
        self.hub.change_demand(self.wanted, topics);
        self.wanted = topics;
        // A table let go is not followed any more: it comes whole when wanted again.
        self.holds = self.holds & topics;
        self.due = true;
    }

    /// Sends all tables whole at once.
    pub(crate) fn resync(&mut self) {
        self.holds = TopicSet::EMPTY;
        self.due = true;
    }

    /// Sends all tables whole with the next tick: the keyframe of a recording.
    pub(crate) fn make_next_full(&mut self) {
        self.holds = TopicSet::EMPTY;
    }

    /// The next frame. A frame that only brings missing tables repeats the head of the tick before it. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// When a table cannot be encoded, which no row can cause.
    pub(crate) async fn next(&mut self) -> Result<Bytes, WireError> {
        loop {
            if self.link.is_none() {
                self.join();
            }
            if let Some(frame) = self.take_due()? {
                return Ok(frame);
            }
            let Some(link) = self.link.as_mut() else { continue };
            match link.ticks.recv().await {
                Ok(tick) => {
                    let missed = lost(self.sent, &tick);
                    let content = Content { missed, ..tick.advance(self.wanted, self.holds) };
                    let frame = tick.frame(content);
                    self.holds = self.wanted & tick.known;
                    self.sent = Some(tick.head.sequence);
                    link.current = Some(tick);
                    return frame;
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.link = None,
                // The hub lives as long as its subscriptions, so this does not happen.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Joins the stream at its end, holding nothing.
    fn join(&mut self) {
        self.link = Some(self.hub.attach());
        self.holds = TopicSet::EMPTY;
        self.due = true;
    }

    /// The frame that brings what is missing as of the current tick, if anything is.
    fn take_due(&mut self) -> Result<Option<Bytes>, WireError> {
        if !std::mem::take(&mut self.due) {
            return Ok(None);
        }
        let current = self.link.as_ref().and_then(|link| link.current.as_ref());
        let Some(tick) = current.filter(|tick| self.hub.is_fresh(tick)) else { return Ok(None) };
        let content = tick.complete(self.wanted, self.holds, lost(self.sent, tick));
        if content.full.is_empty() && content.missed == 0 {
            return Ok(None);
        }
        self.holds = self.wanted & tick.known;
        self.sent = Some(tick.head.sequence);
        tick.frame(content).map(Some)
    }
}

/// Ticks between the last frame handed out (its sequence number) and `tick`.
fn lost(sent: Option<u64>, tick: &Tick) -> u32 {
    let missed = sent.map_or(0, |sent| tick.head.sequence.saturating_sub(sent + 1));
    u32::try_from(missed).unwrap_or(u32::MAX)
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.change_demand(self.wanted, TopicSet::EMPTY);
    }
}
