//! One connection from open to end: frames in, messages out, and a look at the clock each second.

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::SinkExt;
use futures_util::stream::{StreamExt, select};
use glasshull_shared::wire::{ClientMessage, Origin, WireError, encode_client};
use gloo_net::websocket::{Message, WebSocketError, futures::WebSocket};
use gloo_timers::future::IntervalStream;
use leptos::prelude::*;

use super::Feed;
use crate::store::{Connection, Store, Taken};

/// Connected but silent for this many intervals is stale.
const STALE_INTERVALS: f64 = 3.0;
/// Nothing is called stale sooner, milliseconds: a busy machine may skip a beat.
const STALE_FROM_MILLIS: f64 = 3_000.0;
/// A live agent that is silent this many times longer has gone without saying so (sleep, a pulled cable).
const GONE_FACTOR: f64 = 5.0;
/// Full tables are asked for at most this often, milliseconds.
const RESYNC_MILLIS: f64 = 2_000.0;
/// Seconds over which bytes per second are measured.
const RATE_SECS: usize = 4;

/// How a connection ended.
pub(super) enum End {
    /// Try again.
    Lost {
        /// For people.
        reason: String,
        /// It worked before it ended.
        had_ticks: bool,
    },
    /// The agent speaks another version.
    Outdated {
        /// For people.
        reason: String,
    },
}

enum Happened {
    Frame(Result<Message, WebSocketError>),
    Send(ClientMessage),
    Second,
}

struct Session {
    feed: Feed,
    /// Until the agent greets us: what is sent into a connection that fails is an error on the console.
    outbox: Option<UnboundedSender<ClientMessage>>,
    store: Store,
    had_ticks: bool,
    /// When this connection last showed life: its opening or a tick.
    alive_millis: f64,
    resync_millis: f64,
    /// A frame did not decode and none has since.
    doubtful: bool,
    /// Bytes received in each of the last seconds, newest last.
    seconds: Vec<u32>,
}

pub(super) async fn run(feed: &Feed) -> End {
    let store = feed.store;
    let socket = match WebSocket::open(&beside_page("/ws")) {
        Ok(socket) => socket,
        Err(error) => return End::Lost { reason: error.to_string(), had_ticks: false },
    };
    let (mut write, read) = socket.split();
    let (outbox, messages) = unbounded();
    let clock = IntervalStream::new(1_000).map(|()| Happened::Second);
    let outward = select(messages.map(Happened::Send), clock);
    let mut happenings = select(read.map(Happened::Frame), outward);
    let mut session = Session {
        feed: *feed,
        outbox: Some(outbox),
        store,
        had_ticks: false,
        alive_millis: now_millis(),
        resync_millis: f64::MIN,
        doubtful: false,
        seconds: vec![0],
    };
    while let Some(happened) = happenings.next().await {
        let end = match happened {
            Happened::Frame(Ok(Message::Bytes(frame))) => session.take(&frame),
            Happened::Frame(Ok(Message::Text(_))) => None,
            Happened::Frame(Err(error)) => Some(session.lost(&explain(&error))),
            Happened::Second => session.look_at_clock(),
            Happened::Send(message) => match encode_client(&message) {
                Ok(bytes) => {
                    write.send(Message::Bytes(bytes)).await.err().map(|error| session.lost(&explain(&error)))
                }
                Err(error) => Some(session.lost(&error.to_string())),
            },
        };
        if let Some(end) = end {
            return end;
        }
    }
    session.lost("the connection was closed")
}

impl Session {
    fn lost(&self, reason: &str) -> End {
        End::Lost { reason: reason.into(), had_ticks: self.had_ticks }
    }

    fn take(&mut self, frame: &[u8]) -> Option<End> {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if let Some(second) = self.seconds.last_mut() {
            *second = second.saturating_add(len);
        }
        self.store.received_bytes.update(|n| *n += u64::from(len));
        match self.store.receive(frame) {
            Ok(taken) => {
                self.doubtful = false;
                match taken {
                    Taken::Hello => self.greet(),
                    Taken::Tick => self.note_tick(),
                    Taken::Gap => {
                        self.note_tick();
                        self.resync();
                    }
                    Taken::Message => {}
                }
                None
            }
            Err(error @ WireError::Version(_)) => Some(End::Outdated { reason: error.to_string() }),
            Err(error @ WireError::Malformed(_)) if self.doubtful => Some(self.lost(&error.to_string())),
            Err(WireError::Malformed(_)) => {
                self.doubtful = true;
                self.resync();
                None
            }
        }
    }

    /// The agent listens: tell it what is wanted.
    fn greet(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            self.store.connected(outbox);
            untrack(|| self.feed.subscribe(true));
        }
    }

    fn note_tick(&mut self) {
        self.had_ticks = true;
        self.alive_millis = now_millis();
        self.feed.last_tick_millis.set_value(self.alive_millis);
    }

    /// Asks for full tables, unless it was done a moment ago and they are still on their way.
    fn resync(&mut self) {
        let now = now_millis();
        if now - self.resync_millis > RESYNC_MILLIS {
            self.resync_millis = now;
            self.store.send(ClientMessage::Resync);
        }
    }

    fn look_at_clock(&mut self) -> Option<End> {
        let measured = self.seconds.len().min(RATE_SECS);
        if measured == RATE_SECS {
            let sum: f64 = self.seconds.iter().map(|n| f64::from(*n)).sum();
            self.store.received_bytes_per_sec.set(Some(sum / measured as f64));
            self.seconds.remove(0);
        }
        self.seconds.push(0);
        let interval_millis = self.store.live_tick().get_untracked().interval_nanos.unwrap_or(0) as f64 / 1e6;
        let stale_from = (interval_millis * STALE_INTERVALS).max(STALE_FROM_MILLIS);
        let silent = now_millis() - self.alive_millis;
        let live = self.store.origin().with_untracked(|o| *o == Origin::Live);
        // A recording may hold any pause.
        if !live {
            return None;
        }
        if silent > stale_from * GONE_FACTOR {
            return Some(self.lost("no answer for too long"));
        }
        if silent > stale_from && self.had_ticks {
            self.store.conn.set(Connection::Stale { secs: (silent / 1_000.0) as u32 });
        }
        None
    }
}

/// A socket of the agent beside this page.
pub(super) fn beside_page(path: &str) -> String {
    let location = window().location();
    let scheme = if location.protocol().is_ok_and(|p| p == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}{path}", location.host().unwrap_or_default())
}

fn explain(error: &WebSocketError) -> String {
    match error {
        // The browser tells pages nothing about why a connection failed.
        WebSocketError::ConnectionError => "the agent does not answer".into(),
        WebSocketError::ConnectionClose(close) if close.reason.is_empty() => {
            "the agent closed the connection".into()
        }
        WebSocketError::ConnectionClose(close) => {
            format!("the agent closed the connection: {}", close.reason)
        }
        // The type is open to additions.
        other @ (WebSocketError::MessageSendError(_) | _) => other.to_string(),
    }
}

/// The browser's clock for spans, milliseconds: never mixed with the agent's instants.
pub(super) fn now_millis() -> f64 {
    js_sys::Date::now()
}
