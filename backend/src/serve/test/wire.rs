//! Looks over real connections, with the test in the agent's place.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use glasshull_shared::domain::wire::{Order, Refusal, Sight, Start, WireStat};
use glasshull_shared::wire::look::{decode_sight, encode_order};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::super::hub::Hub;
use super::super::server::{Config, Server};
use super::super::wire::{Gate, OwnEnds, Wanted};
use super::live_hub;

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// A server; `payload`: with a gate that allows it or not, `None`: as in a replay.
async fn start(payload: Option<bool>) -> (String, mpsc::Receiver<Wanted>, OwnEnds) {
    let (hub, _asked) = live_hub();
    let (wanted, asked) = mpsc::channel(2);
    if let Some(payload) = payload {
        hub.open_gate(Gate { payload, wanted });
    }
    let bind = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(&Config { bind, allow_hosts: vec![], token_file: None }).await.unwrap();
    let (address, own) = (server.address(), server.own_ends());
    let serving: Arc<Hub> = Arc::clone(&hub);
    tokio::spawn(server.run(serving, std::future::pending()));
    (address.to_string(), asked, own)
}

async fn connect(address: &str) -> Socket {
    tokio_tungstenite::connect_async(format!("ws://{address}/wire")).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Option<Sight> {
    loop {
        match timeout(Duration::from_secs(5), socket.next()).await.expect("something comes")? {
            Ok(Message::Binary(frame)) => return Some(decode_sight(&frame).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn order(socket: &mut Socket, order: &Order) {
    socket.send(Message::Binary(encode_order(order).unwrap().into())).await.unwrap();
}

fn begin(payload: bool) -> Order {
    Order::Start(Start { netns: 7, payload, ..Start::default() })
}

#[tokio::test]
async fn orders_reach_the_agent_and_what_it_sees_reaches_the_client() {
    let (address, mut asked, _own) = start(Some(true)).await;
    let mut socket = connect(&address).await;
    assert_eq!(next(&mut socket).await, Some(Sight::Ready { payload: true }));
    order(&mut socket, &begin(true)).await;
    let Some(Wanted::Look { start, mut orders, sights }) = asked.recv().await else { panic!("no look") };
    assert_eq!(start.netns, 7);
    sights.send(Sight::Stat(WireStat::default())).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Sight::Stat(WireStat::default())));
    order(&mut socket, &Order::Detail { number: 3 }).await;
    assert_eq!(orders.recv().await, Some(Order::Detail { number: 3 }));
    // The look ends with its client.
    drop(socket);
    assert_eq!(orders.recv().await, None);
    assert!(sights.is_closed());
}

#[tokio::test]
async fn payload_is_refused_unless_allowed_and_a_recording_has_none() {
    let (address, mut asked, _own) = start(Some(false)).await;
    let mut socket = connect(&address).await;
    assert_eq!(next(&mut socket).await, Some(Sight::Ready { payload: false }));
    order(&mut socket, &begin(true)).await;
    assert_eq!(next(&mut socket).await, Some(Sight::Refused(Refusal::Payload)));
    assert!(asked.try_recv().is_err(), "the agent is not even asked");
    let (address, _asked, _own) = start(None).await;
    assert_eq!(next(&mut connect(&address).await).await, Some(Sight::Refused(Refusal::Recording)));
}

#[tokio::test]
async fn more_than_may_wait_are_told_so() {
    let (address, _asked, _own) = start(Some(false)).await;
    let mut waiting = Vec::new();
    for i in 0..3 {
        let mut socket = connect(&address).await;
        next(&mut socket).await;
        order(&mut socket, &begin(false)).await;
        if i == 2 {
            assert_eq!(next(&mut socket).await, Some(Sight::Refused(Refusal::Busy)));
        } else {
            // It has arrived when what comes after it has.
            order(&mut socket, &Order::Unfollow).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        waiting.push(socket);
    }
}

#[tokio::test]
async fn what_is_no_order_ends_the_session() {
    let (address, _asked, _own) = start(Some(false)).await;
    let garbage = [
        Message::Binary(vec![1, 200].into()),
        Message::Binary(vec![99, 0].into()),
        Message::Text("start".into()),
        Message::Binary(encode_order(&Order::Stop).unwrap().into()),
    ];
    for message in garbage {
        let mut socket = connect(&address).await;
        next(&mut socket).await;
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, None, "{message:?}");
    }
}

#[tokio::test]
async fn where_we_are_reached_is_known_with_the_first_connection() {
    let (address, _asked, own) = start(Some(false)).await;
    let address: std::net::SocketAddr = address.parse().unwrap();
    assert!(own.contains(address));
    let mapped = format!("[::ffff:127.0.0.1]:{}", address.port());
    assert!(own.contains(mapped.parse().unwrap()));
    assert!(!own.contains((address.ip(), 1).into()));
}
