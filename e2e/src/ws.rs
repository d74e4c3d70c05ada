//! A small client of the agent's WebSocket, for the bench and for tests of faults: [`Client`] brings frames and sends
//! messages (also such as no client should), [`Follower`] keeps the tables as a browser would and notices holes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::wire::{
    ClientMessage, ServerFrame, ServerMessage, apply_tick, decode, encode_client, unpack,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes a client reads at once: the library's 128 KiB would make a hundred clients heavy.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// A connection to the agent. It reads nothing by itself: one that never calls [`Client::next`] is a slow client.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Counted>,
    received: Arc<AtomicU64>,
}

impl Client {
    /// Connects and subscribes to `topics` (none: to nothing yet).
    ///
    /// # Errors
    /// When nobody listens there or the agent refuses.
    pub async fn connect(address: SocketAddr, topics: &[Topic]) -> Result<Self> {
        let mut client = Self::open(address, "/ws").await?;
        if !topics.is_empty() {
            client.subscribe(topics).await?;
        }
        Ok(client)
    }

    /// Connects for a look into a wire: frames and messages are those of `glasshull_shared::wire::look`.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn look(address: SocketAddr) -> Result<Self> {
        Self::open(address, "/wire").await
    }

    async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let received = Arc::new(AtomicU64::new(0));
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        let stream = Counted { stream, received: Arc::clone(&received) };
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let (socket, _) = client_async_with_config(format!("ws://{address}{path}"), stream, Some(config))
            .await
            .with_context(|| format!("WebSocket to {address}"))?;
        Ok(Self { socket, received })
    }

    /// The next frame as it came (see [`unpack`]); `None` when the agent has closed. Pings are answered in passing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        while let Some(message) = self.socket.next().await {
            match message.context("read from the WebSocket")? {
                Message::Binary(frame) => return Ok(Some(frame)),
                Message::Close(_) => return Ok(None),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }

    /// Replaces the set of tables.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn subscribe(&mut self, topics: &[Topic]) -> Result<()> {
        self.send(&ClientMessage::Subscribe { topics: topics.iter().map(|t| t.id()).collect() }).await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is closed or breaks.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<()> {
        self.send_raw(encode_client(message)?).await
    }

    /// Sends bytes that need not be a message.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_raw(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.socket.send(Message::Binary(bytes.into())).await.context("write to the WebSocket")
    }

    /// Counts the bytes the kernel delivered on this connection (TCP payload: HTTP, WebSocket heads and frames), also
    /// after the client itself has moved elsewhere.
    pub fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }
}

/// The TCP stream, counting what comes in.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    received: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(task, buffer);
        self.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// The tables as a client knows them, and what it noticed on the way.
#[derive(Debug, Default)]
pub struct Follower {
    /// Every table received so far.
    pub snapshot: Snapshot,
    /// Number of the last tick; `None` before the first.
    pub sequence: Option<u64>,
    /// Ticks received; those that repeat a number to bring missing tables count, too.
    pub ticks: u64,
    /// Ticks missing in the sequence that the agent did not announce itself ([`TickHead::missed`]).
    ///
    /// [`TickHead::missed`]: glasshull_shared::wire::TickHead::missed
    pub holes: u64,
    /// Ticks the agent said it had left out because this client was slow.
    pub missed: u64,
    /// Bytes of tables before compression, by [`Topic::id`]; as long as the last table received needs.
    pub table_bytes: Vec<u64>,
}

impl Follower {
    /// Takes a frame in and returns its message, `None` when it is a tick.
    ///
    /// # Errors
    /// When it is no frame, or its tables do not fit what came before.
    pub fn take(&mut self, frame: &[u8]) -> Result<Option<ServerMessage>> {
        let payload = unpack(frame)?;
        let (head, tables) = match decode(&payload)? {
            ServerFrame::Message(message) => return Ok(Some(message)),
            ServerFrame::Tick(head, tables) => (head, tables),
        };
        let expected = self.sequence.map_or(head.sequence, |last| last + 1 + u64::from(head.missed));
        self.holes += head.sequence.saturating_sub(expected);
        self.missed += u64::from(head.missed);
        self.sequence = Some(head.sequence);
        self.ticks += 1;
        for table in &tables {
            let id = usize::from(table.topic.id());
            self.table_bytes.resize(self.table_bytes.len().max(id + 1), 0);
            if let Some(sum) = self.table_bytes.get_mut(id) {
                *sum += table.bytes.len() as u64;
            }
        }
        apply_tick(&mut self.snapshot, &tables)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::wire::{TickHead, encode_tick};

    fn tick(sequence: u64, missed: u32) -> Vec<u8> {
        encode_tick(&TickHead { sequence, at: 0, interval_nanos: None, missed }, &[]).unwrap()
    }

    #[test]
    fn holes_are_what_the_agent_did_not_announce() {
        let mut follower = Follower::default();
        // Begins anywhere; a repeated head brings tables; two announced, then three that are simply gone.
        for (sequence, missed) in [(7, 0), (8, 0), (8, 0), (11, 2), (15, 0)] {
            assert!(follower.take(&tick(sequence, missed)).unwrap().is_none());
        }
        assert_eq!((follower.ticks, follower.holes, follower.missed), (5, 3, 2));
        assert!(follower.take(b"nonsense").is_err());
    }
}
