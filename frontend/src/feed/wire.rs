//! The connection of a look into a wire: opened when one is wanted, closed with it. It is never opened again by itself: a look
//! that broke off is over.

use futures_channel::mpsc::unbounded;
use futures_util::SinkExt;
use futures_util::stream::{StreamExt, select};
use gloo_net::websocket::{Message, WebSocketError, futures::WebSocket};
use leptos::prelude::*;

use super::session::beside_page;
use crate::store::Look;

enum Happened {
    Frame(Result<Message, WebSocketError>),
    Send(Vec<u8>),
    /// The look wants no connection any more, or another one.
    Over,
}

/// Opens a connection whenever the look wants another one.
pub(super) fn follow(look: Look) {
    Effect::new(move |_| {
        let session = look.session.get();
        if session > 0 {
            wasm_bindgen_futures::spawn_local(async move {
                run(look, session).await;
                if look.session.get_untracked() == session {
                    look.disconnected();
                }
            });
        }
    });
}

async fn run(look: Look, session: u64) {
    let Ok(socket) = WebSocket::open(&beside_page("/wire")) else { return };
    let (mut write, read) = socket.split();
    let (outbox, orders) = unbounded();
    // The look drops its end when it is over.
    look.connected(outbox);
    let orders = orders.map(Happened::Send).chain(futures_util::stream::iter([Happened::Over]));
    let mut happenings = select(read.map(Happened::Frame), orders);
    while let Some(happened) = happenings.next().await {
        if look.session.get_untracked() != session {
            return;
        }
        let goes_on = match happened {
            Happened::Frame(Ok(Message::Bytes(frame))) => look.received(&frame).is_ok(),
            Happened::Frame(Ok(Message::Text(_))) => true,
            Happened::Frame(Err(_)) | Happened::Over => false,
            Happened::Send(order) => write.send(Message::Bytes(order)).await.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}
