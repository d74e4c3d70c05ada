//! One client's session.
//!
//! From the hub's frames and the agent's answers to one WebSocket, and back what the client subscribes to and asks.
//! Generic over the socket, so that tests drive it with channels. A session encodes nothing for its client but
//! answers, holds one frame at a time, and ends when its client does not read, is silent or sends what is no message.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, close_code};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use glasshull_shared::snapshot::TopicSet;
use glasshull_shared::wire::{
    Answer, ClientMessage, MAX_CLIENT_BYTES, ServerMessage, Severity, WireError, decode_client, encode,
};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::{Hub, Request, Subscription};
use super::json;

/// How often a client is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client may leave a frame unread or a ping unanswered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client has to answer our close frame.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long the agent has to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Questions of one client on their way at a time.
const QUESTIONS_PENDING: usize = 8;

/// How frames look on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// As on the wire.
    #[default]
    Binary,
    /// As JSON text, for debugging.
    Json,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client closed or vanished.
    Gone,
    /// The client neither reads nor answers.
    Silent,
    /// The agent ends.
    Drained,
    /// The client broke the protocol; a close code and what to tell it.
    Refused(u16, String),
    /// A frame could not be made.
    Failed(WireError),
}

type Answers = FuturesUnordered<BoxFuture<'static, (u32, Answer)>>;

struct Session<S> {
    socket: S,
    hub: Arc<Hub>,
    peer: SocketAddr,
    subscription: Subscription,
    notices: broadcast::Receiver<Bytes>,
    format: Format,
    answers: Answers,
    ping_at: Instant,
    /// When the client must have said something; `None` while no ping is unanswered.
    answer_by: Option<Instant>,
}

/// Serves one client until it leaves, breaks the rules, or `stop` becomes true. `peer`: who it is, for the log of orders;
/// `topics`: what it is subscribed to before it says so itself.
pub(crate) async fn serve<S, E>(
    socket: S,
    hub: Arc<Hub>,
    peer: SocketAddr,
    format: Format,
    topics: TopicSet,
    mut stop: watch::Receiver<bool>,
) where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
    let mut session = Session {
        socket,
        notices: hub.notices(),
        subscription: hub.subscribe(topics),
        hub,
        peer,
        format,
        answers: Answers::new(),
        ping_at: Instant::now() + PING_EVERY,
        answer_by: None,
    };
    let end = session.run(&mut stop).await;
    tracing::debug!(?end, "a client's session ended");
    session.close(end).await;
}

impl<S, E> Session<S>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let hello = self.hub.hello_frame();
        if let ControlFlow::Break(end) = self.send_frame(hello).await {
            return end;
        }
        loop {
            let flow = tokio::select! {
                () = stopped(stop) => ControlFlow::Break(End::Drained),
                message = self.socket.next() => self.receive(message).await,
                frame = self.subscription.next() => match frame {
                    Ok(frame) => self.send_frame(frame).await,
                    Err(error) => ControlFlow::Break(End::Failed(error)),
                },
                // Notices lost to a slow client are lost; the pattern then leaves this branch out once.
                Ok(notice) = self.notices.recv() => self.send_frame(notice).await,
                Some((id, answer)) = self.answers.next() => self.send_answer(id, answer).await,
                () = sleep_until(self.answer_by.unwrap_or(self.ping_at)) => self.ping().await,
            };
            if let ControlFlow::Break(end) = flow {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, E>>) -> ControlFlow<End> {
        self.answer_by = None;
        let decoded = match message {
            None | Some(Ok(Message::Close(_))) => return ControlFlow::Break(End::Gone),
            // The peer vanished, or sent more than it may, or what is no WebSocket frame.
            Some(Err(_)) => return refuse(close_code::PROTOCOL, "not a WebSocket message of at most 64 KiB"),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return ControlFlow::Continue(()),
            Some(Ok(Message::Text(text))) if text.len() > MAX_CLIENT_BYTES => {
                Err(WireError::Malformed("longer than a client may send".into()))
            }
            Some(Ok(Message::Text(text))) if self.format == Format::Json => json::message(&text),
            Some(Ok(Message::Text(_))) => return refuse(close_code::UNSUPPORTED, "messages are binary here"),
            Some(Ok(Message::Binary(bytes))) => decode_client(&bytes),
        };
        match decoded {
            Ok(message) => self.obey(message).await,
            Err(error) => refuse(close_code::PROTOCOL, &error.to_string()),
        }
    }

    async fn obey(&mut self, message: ClientMessage) -> ControlFlow<End> {
        match message {
            ClientMessage::Subscribe { topics } => self.subscription.set_topics(TopicSet::from_ids(&topics)),
            ClientMessage::Resync => self.subscription.resync(),
            ClientMessage::Ask { id, .. } | ClientMessage::Order { id, .. }
                if self.answers.len() >= QUESTIONS_PENDING =>
            {
                return self.send_answer(id, Answer::Failed("too many questions at once".into())).await;
            }
            ClientMessage::Ask { id, question } => {
                self.forward(id, Request::Question(question));
            }
            ClientMessage::Order { id, order } => self.forward(id, Request::Order(order, self.peer)),
        }
        ControlFlow::Continue(())
    }

    /// Passes a request on to the agent.
    fn forward(&self, id: u32, request: Request) {
        let hub = Arc::clone(&self.hub);
        self.answers.push(answer(hub, request).map(move |answer| (id, answer)).boxed());
    }

    async fn ping(&mut self) -> ControlFlow<End> {
        if self.answer_by.is_some() {
            return ControlFlow::Break(End::Silent);
        }
        let now = Instant::now();
        self.ping_at = now + PING_EVERY;
        self.answer_by = Some(now + PATIENCE);
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn send_answer(&mut self, id: u32, answer: Answer) -> ControlFlow<End> {
        match encode(&ServerMessage::Answer { id, answer }) {
            Ok(frame) => self.send_frame(frame.into()).await,
            Err(error) => ControlFlow::Break(End::Failed(error)),
        }
    }

    async fn send_frame(&mut self, frame: Bytes) -> ControlFlow<End> {
        let message = match self.format {
            Format::Binary => Message::Binary(frame),
            Format::Json => match json::text(&frame) {
                Ok(text) => Message::Text(text.into()),
                Err(error) => return ControlFlow::Break(End::Failed(error)),
            },
        };
        self.send(message).await
    }

    /// Sends one message and waits until the kernel took it: nothing queues up here for a client that does not read.
    async fn send(&mut self, message: Message) -> ControlFlow<End> {
        let bytes = match &message {
            Message::Text(text) => text.len(),
            Message::Binary(data) | Message::Ping(data) | Message::Pong(data) => data.len(),
            Message::Close(_) => 0,
        };
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => {
                self.hub.count_sent(bytes);
                ControlFlow::Continue(())
            }
            Ok(Err(_)) => ControlFlow::Break(End::Gone),
            Err(_) => ControlFlow::Break(End::Silent),
        }
    }

    /// Says why, closes, and waits briefly for the client to do the same.
    async fn close(mut self, end: End) {
        let (code, reason) = match end {
            // A close frame would only wait for the same reader.
            End::Silent => return,
            End::Gone => (close_code::NORMAL, String::new()),
            End::Drained => (close_code::AWAY, "the agent ends".into()),
            End::Refused(code, reason) => (code, reason),
            End::Failed(error) => (close_code::ERROR, error.to_string()),
        };
        let farewell = async {
            if matches!(code, close_code::PROTOCOL | close_code::UNSUPPORTED | close_code::ERROR) {
                let notice = ServerMessage::Notice { severity: Severity::Trouble, text: reason.clone() };
                if let Ok(frame) = encode(&notice) {
                    let _ = self.send_frame(frame.into()).await;
                }
            }
            let _ = self.send(Message::Close(Some(CloseFrame { code, reason: short(&reason).into() }))).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Ready when the agent ends; a sender that is gone means the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

fn refuse(code: u16, reason: &str) -> ControlFlow<End> {
    ControlFlow::Break(End::Refused(code, reason.to_owned()))
}

/// A close frame has room for 123 bytes of text.
fn short(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(123)).unwrap_or_default()
}

async fn answer(hub: Arc<Hub>, request: Request) -> Answer {
    let Some(answer) = hub.ask(request) else {
        return Answer::Failed("the agent is busy; ask again".into());
    };
    match timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::Failed("the agent has no answer".into()),
        Err(_) => Answer::Failed("no answer in time".into()),
    }
}
