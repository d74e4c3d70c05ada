//! A look into a wire over a WebSocket of its own: the client's orders to the agent, what the agent sees to the client.
//!
//! As [`super::socket`], a session holds one message at a time and ends when its client does not read, is silent or sends what
//! is no order; its look ends with it. [`Gate`] is the way to the agent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use glasshull_shared::domain::wire::{Order, Refusal, Sight, Start};
use glasshull_shared::wire::look::{decode_order, encode_sight};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::Hub;

/// Messages on their way to a client.
const SIGHTS_QUEUED: usize = 32;
/// Orders on their way to the agent; who gives more at once is turned away.
const ORDERS_QUEUED: usize = 16;
/// How often a client is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client may leave a message unread or a ping unanswered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client has to answer our close frame.
const FAREWELL: Duration = Duration::from_millis(250);

/// Somebody who wants to see a wire, on the way to the agent.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Live.
    Look {
        /// Where.
        start: Start,
        /// What the client wants besides; closed when it has gone.
        orders: mpsc::Receiver<Order>,
        /// What is seen.
        sights: mpsc::Sender<Sight>,
    },
    /// As a file.
    Save {
        /// Where.
        start: Start,
        /// The file's name once it has begun.
        told: oneshot::Sender<Result<String, Refusal>>,
        /// The file; closed when the client has gone.
        file: mpsc::Sender<Bytes>,
    },
}

impl Wanted {
    /// Says no.
    pub(crate) fn refuse(self, refusal: Refusal) {
        match self {
            // Whoever has gone does not miss it.
            Self::Look { sights, .. } => drop(sights.try_send(Sight::Refused(refusal))),
            Self::Save { told, .. } => drop(told.send(Err(refusal))),
        }
    }
}

/// The way to whoever looks into wires.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Whether payload may be looked at.
    pub(crate) payload: bool,
    /// Who answers.
    pub(crate) wanted: mpsc::Sender<Wanted>,
}

impl Gate {
    /// Passes somebody on, unless payload is wanted and not allowed or too many wait already.
    pub(super) fn pass(&self, wanted: Wanted) {
        let (Wanted::Look { start, .. } | Wanted::Save { start, .. }) = &wanted;
        if start.payload && !self.payload {
            return wanted.refuse(Refusal::Payload);
        }
        if let Err(error) = self.wanted.try_send(wanted) {
            error.into_inner().refuse(Refusal::Busy);
        }
    }
}

/// Addresses and ports at which the dashboard itself is reached, as connections show them: what passes there is our own.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnEnds(Arc<RwLock<BTreeSet<SocketAddr>>>);

impl OwnEnds {
    /// We are reached here.
    pub(super) fn add(&self, end: SocketAddr) {
        let end = canonical(end);
        if !self.contains(end) {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(end);
        }
    }

    /// Whether we are reached there.
    pub(crate) fn contains(&self, end: SocketAddr) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&canonical(end))
    }
}

/// An IPv4 address in IPv6's clothes is itself; scopes do not matter.
fn canonical(end: SocketAddr) -> SocketAddr {
    (end.ip().to_canonical(), end.port()).into()
}

/// Ready when the agent ends; a sender that is gone means the same.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client closed, vanished, or does not read.
    Gone,
    /// The agent ends.
    Drained,
    /// There is no more to say.
    Done,
    /// The client broke the protocol.
    Refused(&'static str),
}

struct Session {
    socket: WebSocket,
    hub: Arc<Hub>,
    /// The look once it has begun: orders to it and what it sees.
    look: Option<(mpsc::Sender<Order>, mpsc::Receiver<Sight>)>,
    ping_at: Instant,
    /// When the client must have said something; `None` while no ping is unanswered.
    answer_by: Option<Instant>,
}

/// Serves one client until it leaves, breaks the rules, or `stop` becomes true.
pub(super) async fn serve(socket: WebSocket, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    let ping_at = Instant::now() + PING_EVERY;
    let mut session = Session { socket, hub, look: None, ping_at, answer_by: None };
    let end = session.run(&mut stop).await;
    tracing::debug!(?end, "a look ended");
    session.close(&end).await;
}

impl Session {
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let first = match self.hub.gate() {
            Some(gate) => Sight::Ready { payload: gate.payload },
            None => Sight::Refused(Refusal::Recording),
        };
        if let ControlFlow::Break(end) = self.tell(&first).await {
            return end;
        }
        loop {
            let sight = async {
                match &mut self.look {
                    Some((_, sights)) => sights.recv().await,
                    None => std::future::pending().await,
                }
            };
            let flow = tokio::select! {
                () = stopped(stop) => ControlFlow::Break(End::Drained),
                sight = sight => match sight {
                    Some(sight) => self.tell(&sight).await,
                    None => ControlFlow::Break(End::Done),
                },
                message = self.socket.recv() => self.receive(message),
                () = sleep_until(self.answer_by.unwrap_or(self.ping_at)) => self.ping().await,
            };
            if let ControlFlow::Break(end) = flow {
                return end;
            }
        }
    }

    fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> ControlFlow<End> {
        self.answer_by = None;
        let bytes = match message {
            None | Some(Err(_) | Ok(Message::Close(_))) => return ControlFlow::Break(End::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return ControlFlow::Continue(()),
            Some(Ok(Message::Text(_))) => return ControlFlow::Break(End::Refused("orders are binary")),
            Some(Ok(Message::Binary(bytes))) => bytes,
        };
        match (decode_order(&bytes), &self.look) {
            (Err(error), _) => {
                tracing::debug!(%error, "no order");
                ControlFlow::Break(End::Refused("not an order of this version"))
            }
            (Ok(Order::Start(start)), None) => self.begin(start),
            (Ok(Order::Start(_)), Some(_)) => ControlFlow::Break(End::Refused("a look begins once")),
            (Ok(_), None) => ControlFlow::Break(End::Refused("a look begins with a start")),
            (Ok(order), Some((orders, _))) => match orders.try_send(order) {
                // A look that has ended by itself has said why; that is still on its way.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Continue(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    ControlFlow::Break(End::Refused("too many orders at once"))
                }
            },
        }
    }

    fn begin(&mut self, start: Start) -> ControlFlow<End> {
        let Some(gate) = self.hub.gate() else {
            return ControlFlow::Break(End::Refused("a recording holds no packets"));
        };
        let (orders, ordered) = mpsc::channel(ORDERS_QUEUED);
        let (seen, sights) = mpsc::channel(SIGHTS_QUEUED);
        gate.pass(Wanted::Look { start, orders: ordered, sights: seen });
        self.look = Some((orders, sights));
        ControlFlow::Continue(())
    }

    async fn ping(&mut self) -> ControlFlow<End> {
        if self.answer_by.is_some() {
            return ControlFlow::Break(End::Gone);
        }
        let now = Instant::now();
        self.ping_at = now + PING_EVERY;
        self.answer_by = Some(now + PATIENCE);
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn tell(&mut self, sight: &Sight) -> ControlFlow<End> {
        match encode_sight(sight) {
            Ok(frame) => self.send(Message::Binary(frame.into())).await,
            Err(error) => {
                tracing::error!(%error, "a sight was not encoded");
                ControlFlow::Break(End::Gone)
            }
        }
    }

    async fn send(&mut self, message: Message) -> ControlFlow<End> {
        let bytes = if let Message::Binary(frame) = &message { frame.len() } else { 0 };
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => {
                self.hub.count_sent(bytes);
                ControlFlow::Continue(())
            }
            Ok(Err(_)) | Err(_) => ControlFlow::Break(End::Gone),
        }
    }

    async fn close(mut self, end: &End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::Drained => (close_code::AWAY, "the agent ends"),
            End::Done => (close_code::NORMAL, ""),
            End::Refused(why) => (close_code::PROTOCOL, *why),
        };
        // The look ends now, not when the client has answered.
        self.look = None;
        let farewell = async {
            let _ = self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}
