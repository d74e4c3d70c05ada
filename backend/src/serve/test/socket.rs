//! A session over channels: no network, a clock that only moves when nothing else does.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::{Topic, TopicSet};
use glasshull_shared::wire::{Answer, ClientMessage, Order, Question, ServerMessage, encode_client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::hub::{Ask, Hub, Request};
use super::super::socket::{Format, serve};
use super::{Mirror, SECOND, live_hub, message, snapshot, topics};

/// Who the client is.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 4711));

/// Our end of a socket whose other end is a test.
struct Pipe {
    incoming: mpsc::UnboundedReceiver<Result<Message, std::io::Error>>,
    outgoing: mpsc::UnboundedSender<Message>,
    /// Whether the client has stopped reading.
    stuck: Arc<Mutex<bool>>,
}

impl Stream for Pipe {
    type Item = Result<Message, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(context)
    }
}

impl Sink<Message> for Pipe {
    type Error = std::io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if *self.stuck.lock().unwrap() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> std::io::Result<()> {
        self.outgoing.send(message).map_err(std::io::Error::other)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client and its session.
struct Client {
    to: mpsc::UnboundedSender<Result<Message, std::io::Error>>,
    from: mpsc::UnboundedReceiver<Message>,
    stuck: Arc<Mutex<bool>>,
    stop: watch::Sender<bool>,
    session: JoinHandle<()>,
}

fn connect(hub: &Arc<Hub>, format: Format, wanted: TopicSet) -> Client {
    let (to, incoming) = mpsc::unbounded_channel();
    let (outgoing, from) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let stuck = Arc::default();
    let pipe = Pipe { incoming, outgoing, stuck: Arc::clone(&stuck) };
    let session = tokio::spawn(serve(pipe, Arc::clone(hub), PEER, format, wanted, stopped));
    Client { to, from, stuck, stop, session }
}

impl Client {
    fn send(&self, message: Message) {
        self.to.send(Ok(message)).unwrap();
    }

    fn say(&self, message: &ClientMessage) {
        self.send(Message::Binary(encode_client(message).unwrap().into()));
    }

    /// The next frame; pings are answered on the way.
    async fn frame(&mut self) -> Vec<u8> {
        loop {
            match self.from.recv().await.expect("the session is open") {
                Message::Binary(frame) => return frame.to_vec(),
                Message::Ping(data) => self.send(Message::Pong(data)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything up to the end: what it was told and the close code.
    async fn end(mut self) -> (Vec<ServerMessage>, Option<u16>) {
        let (mut told, mut code) = (Vec::new(), None);
        while let Some(next) = self.from.recv().await {
            match next {
                Message::Binary(frame) => told.push(message(&frame)),
                Message::Close(frame) => code = frame.map(|f| f.code),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        self.session.await.expect("a session never panics");
        (told, code)
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_says_hello_and_sends_what_is_subscribed() {
    let (hub, _asked) = live_hub();
    hub.publish(Arc::new(snapshot(1)), TopicSet::ALL, SECOND, None);
    let mut client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    assert!(matches!(message(&client.frame().await), ServerMessage::Hello(hello) if hello.instance == 7));
    client.say(&ClientMessage::Subscribe { topics: vec![Topic::ProcessStat.id(), 250] });
    let mut mirror = Mirror::default();
    assert_eq!(mirror.take(&client.frame().await).full, topics(&[Topic::ProcessStat]));
    client.say(&ClientMessage::Resync);
    assert_eq!(mirror.take(&client.frame().await).full, topics(&[Topic::ProcessStat]));
    hub.publish(Arc::new(snapshot(2)), TopicSet::ALL, 2 * SECOND, Some(SECOND));
    assert_eq!(mirror.take(&client.frame().await).delta, topics(&[Topic::ProcessStat]));
    assert!(hub.sent_bytes() > 0);
    drop(client.to);
    client.session.await.unwrap();
    assert!(hub.demand().borrow().is_empty(), "nobody is left");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_answered_with_a_reason_and_a_close_code() {
    let long = vec![1; 70_000];
    let garbage = [
        (Message::Binary(vec![1, 99, 99].into()), 1002),
        (Message::Binary(vec![9, 2].into()), 1002),
        (Message::Binary(vec![].into()), 1002),
        (Message::Binary(long.into()), 1002),
        (Message::Text("{}".into()), 1003),
    ];
    for (sent, expected) in garbage {
        let (hub, _asked) = live_hub();
        let client = connect(&hub, Format::Binary, TopicSet::EMPTY);
        client.send(sent);
        let (told, code) = client.end().await;
        assert!(matches!(told.last(), Some(ServerMessage::Notice { .. })), "{told:?}");
        assert_eq!(code, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_ends_the_session() {
    let (hub, _asked) = live_hub();
    let client = connect(&hub, Format::Binary, TopicSet::ALL);
    client.to.send(Err(std::io::Error::other("reset"))).unwrap();
    assert_eq!(client.end().await.1, Some(1002));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_closed_and_costs_no_memory() {
    let (hub, _asked) = live_hub();
    let client = connect(&hub, Format::Binary, topics(&[Topic::ProcessStat]));
    *client.stuck.lock().unwrap() = true;
    for n in 1..30 {
        hub.publish(Arc::new(snapshot(n)), TopicSet::ALL, n * SECOND, Some(SECOND));
        sleep(Duration::from_secs(1)).await;
    }
    assert!(client.session.is_finished());
    let (told, code) = client.end().await;
    assert!(told.is_empty() && code.is_none(), "no frame was queued for it: {told:?}");
    assert!(hub.demand().borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let (hub, _asked) = live_hub();
    let mut client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    // Answered for ten minutes, then not any more.
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(600) {
        if let Message::Ping(data) = client.from.recv().await.expect("open as long as it answers") {
            client.send(Message::Pong(data));
        }
    }
    client.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_agent_is_told() {
    let (hub, _asked) = live_hub();
    let client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    client.stop.send_replace(true);
    assert_eq!(client.end().await.1, Some(1001));
}

#[tokio::test(start_paused = true)]
async fn an_order_reaches_the_agent_with_who_gave_it() {
    let (hub, mut asked) = live_hub();
    let mut client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    client.frame().await;
    let order = Order::SetLink { link: LinkKey { netns: 1, ifindex: 8 }, up: false };
    client.say(&ClientMessage::Order { id: 5, order: order.clone() });
    let Ask { request, reply } = asked.recv().await.unwrap();
    let Request::Order(got, peer) = request else { panic!("a question") };
    assert_eq!((got, peer), (order, PEER));
    reply.send(Answer::Done("veth1 is down".into())).unwrap();
    let answer = message(&client.frame().await);
    assert_eq!(answer, ServerMessage::Answer { id: 5, answer: Answer::Done("veth1 is down".into()) });
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_and_bounded() {
    let (hub, mut asked) = live_hub();
    let mut client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    client.frame().await;
    let question = Question::Process(ProcessKey { pid: 1, start_time: 2 });
    for id in 0..20 {
        client.say(&ClientMessage::Ask { id, question: question.clone() });
    }
    let mut refused = Vec::new();
    // Four fit into the agent's queue, four more are told that it is busy when they are asked; the order is free.
    while refused.len() < 16 {
        match message(&client.frame().await) {
            ServerMessage::Answer { id, answer: Answer::Failed(_) } => refused.push(id),
            other => panic!("{other:?}"),
        }
    }
    let Ask { request: Request::Question(got), reply } = asked.recv().await.unwrap() else {
        panic!("an order")
    };
    assert_eq!(got, question);
    reply.send(Answer::Failed("it ended".into())).unwrap();
    let ServerMessage::Answer { id, answer } = message(&client.frame().await) else { panic!("no answer") };
    assert_eq!(answer, Answer::Failed("it ended".into()));
    assert!(!refused.contains(&id));
    drop(asked);
    let rest =
        [message(&client.frame().await), message(&client.frame().await), message(&client.frame().await)];
    assert!(
        rest.iter().all(|m| matches!(m, ServerMessage::Answer { answer: Answer::Failed(_), .. })),
        "{rest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_json_form_can_be_read_by_people() {
    let (hub, _asked) = live_hub();
    hub.publish(Arc::new(snapshot(2)), TopicSet::ALL, SECOND, None);
    let mut client = connect(&hub, Format::Json, TopicSet::EMPTY);
    let mut text = async || match client.from.recv().await {
        Some(Message::Text(text)) => serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text().await["Hello"]["instance"], 7);
    let subscribe = serde_json::json!({ "Subscribe": { "topics": [Topic::Container.id()] } });
    client.to.send(Ok(Message::Text(subscribe.to_string().into()))).unwrap();
    let tick = text().await;
    assert_eq!(tick["tables"]["container"]["changed"][0]["name"], "web");
    assert_eq!(tick["Tick"]["sequence"], 1);
}

#[tokio::test(start_paused = true)]
async fn notices_reach_everybody() {
    let (hub, _asked) = live_hub();
    let mut client = connect(&hub, Format::Binary, TopicSet::EMPTY);
    client.frame().await;
    let notice =
        ServerMessage::Notice { severity: glasshull_shared::wire::Severity::Info, text: "well".into() };
    hub.notify(&notice);
    assert_eq!(message(&client.frame().await), notice);
}
