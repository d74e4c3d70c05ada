//! The way to an engine: one connection per request over its unix socket, each good for so many bytes of answer. An engine
//! that is none (or has gone mad) costs us that much and no more.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Most that one connection may bring: a list of several thousand containers, or many hours of events, after which the
/// session begins anew.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// bollard's own time limit is of no use for the endless event stream: the watcher's deadlines hold.
const NO_LIMIT_SECS: u64 = 10 * 365 * 24 * 3600;

/// A client of the engine behind `socket`; connects with the first request. No connection brings more than `most` bytes.
///
/// # Errors
/// As bollard's own constructors.
pub(super) fn client(socket: &Path, most: u64) -> Result<Docker, Error> {
    let socket = socket.to_owned();
    let send = move |request: BollardRequest| Box::pin(send(socket.clone(), most, request));
    Docker::connect_with_custom_transport(send, Some("http://engine"), NO_LIMIT_SECS, API_DEFAULT_VERSION)
}

async fn send(
    socket: PathBuf,
    most: u64,
    mut request: BollardRequest,
) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
    let stream = Capped { stream: UnixStream::connect(socket).await?, most, left: most };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body, or when nobody waits for it any more.
    tokio::spawn(connection);
    request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    Ok(sender.send_request(request).await?)
}

/// A stream that fails once it has brought too much.
struct Capped {
    stream: UnixStream,
    most: u64,
    left: u64,
}

impl AsyncRead for Capped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().len().saturating_sub(before);
        match self.left.checked_sub(came as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => {
                let mebibytes = self.most >> 20;
                Poll::Ready(Err(io::Error::other(format!("answered more than {mebibytes} MiB at once"))))
            }
        }
    }
}

impl AsyncWrite for Capped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
