//! The listening side of TCP: small frames at once, a bound on connections, and an end for those that say nothing. Without it
//! anybody who can reach the port could take all descriptors, and with them the agent's view of the host.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::wire::OwnEnds;

/// Connections at a time; more wait in the kernel's queue. Above the number of clients, so that a page can load beside them.
const MOST_CONNECTIONS: usize = 1200;
/// From the connection to our first answer: a request that takes longer to arrive is none.
const UNTIL_ANSWER: Duration = Duration::from_secs(10);
/// Without a word from either side; a session's pings come every 20 s.
const IDLE: Duration = Duration::from_secs(60);

/// A listener with these bounds.
pub(super) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    own: OwnEnds,
}

impl Bounded {
    /// `own` learns at which addresses we are reached.
    pub(super) fn new(listener: TcpListener, own: OwnEnds) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(MOST_CONNECTIONS)), own }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes the semaphore; without a permit the connection would merely not be counted.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Ok(here) = stream.local_addr() {
            self.own.add(here);
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let end = Box::pin(sleep(UNTIL_ANSWER));
        (Connection { stream, end, answered: false, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is silent for too long.
pub(super) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    /// We have said something: it is no longer a stranger.
    answered: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn alive(&mut self) {
        self.end.as_mut().reset(Instant::now() + IDLE);
    }

    /// What a write came to, noted: an answer makes the other side no stranger.
    fn answered(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.answered = true;
            self.alive();
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                // Before our first answer a request that trickles in buys no time.
                if self.answered {
                    self.alive();
                }
                Poll::Ready(result)
            }
            Poll::Pending => match self.end.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.answered(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.answered(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{pause, resume};

    // The clock stands still only where the time runs out: while it does, it jumps ahead of packets that are under way.
    #[tokio::test]
    async fn a_request_that_trickles_in_is_cut_off_and_an_answered_one_may_wait() {
        let mut listener = Bounded::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), OwnEnds::default());
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = listener.accept().await;
        client.write_all(b"GE").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(connection.read(&mut bytes).await.unwrap(), 2);
        let began = Instant::now();
        pause();
        let error = connection.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // A timer is rounded up to milliseconds, and so is the jump to it.
        assert!(began.elapsed() <= UNTIL_ANSWER + Duration::from_millis(2));
        resume();

        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = listener.accept().await;
        let began = Instant::now();
        connection.write_all(b"hello").await.unwrap();
        client.read_exact(&mut bytes[..5]).await.unwrap();
        pause();
        assert!(connection.read(&mut bytes).await.is_err());
        assert!(began.elapsed() >= IDLE);
    }
}
