//! Files of containers and images over HTTP, with `--allow-files`: `GET /files/CONTAINER?path=/etc` lists a directory as JSON,
//! `&format=tar` takes it, `&format=file` takes one file; `/files/image/REFERENCE?path=…` does the same for an image. [`Desk`] is
//! the way to the agent, which asks the engine; a bounded channel leads back to one client, and closes when that has gone.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use glasshull_shared::archive::{Listing, Refusal, absolute, is_reference};
use glasshull_shared::unit::printable;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::server::{Peer, Sockets};
use super::wire::stopped;

/// Parts of a file on their way.
const PARTS_QUEUED: usize = 8;
/// What is left of a name in the plain form of `Content-Disposition`.
const NAME_AT_MOST: usize = 100;
/// Why a recording gives none.
const NONE_HELD: &str = "a recording holds no files";
/// Why a host gives none, and what would change that.
const NOT_ALLOWED: &str = "files of containers are not given out: start glasshull with --allow-files";

/// Whose files are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Of a container, by name or the beginning of its id.
    Container(String),
    /// Of an image, by its reference.
    Image(String),
}

/// Somebody who wants files, on the way to the agent.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Whose.
    pub(crate) subject: Subject,
    /// Endpoint of the engine to ask for an image; `None`: the first that has it.
    pub(crate) engine: Option<String>,
    /// Absolute and plain.
    pub(crate) path: String,
    /// What to do with it.
    pub(crate) wish: Wish,
    /// Held until the engine is as it was before: the server waits for that when it ends.
    pub(crate) alive: mpsc::Sender<()>,
}

/// A list or bytes, and where they go.
#[derive(Debug)]
pub(crate) enum Wish {
    /// A list.
    List(oneshot::Sender<Result<Listing, Refusal>>),
    /// Bytes.
    Take {
        /// As a tar, also one file.
        tar: bool,
        /// How it begins.
        told: oneshot::Sender<Result<Head, Refusal>>,
        /// Closed when the client has gone.
        parts: mpsc::Sender<Part>,
    },
}

/// What is known before the first byte.
#[derive(Debug)]
pub(crate) struct Head {
    /// What to call it; hostile.
    pub(crate) name: String,
    /// Bytes of a file; `None` of a tar.
    pub(crate) size: Option<u64>,
}

/// A piece of a transfer.
#[derive(Debug)]
pub(crate) enum Part {
    /// More of it.
    Bytes(Bytes),
    /// All was there. Without this word the transfer ends with an error.
    Whole,
    /// It ends here, and why.
    Failed(String),
}

/// The way to whoever reads files.
#[derive(Debug)]
pub(crate) struct Desk {
    /// `None` where files are not given out.
    pub(crate) wanted: Option<mpsc::Sender<Wanted>>,
}

/// Why files are not given out; `None` when they are.
pub(crate) fn refusal(desk: Option<&Desk>) -> Option<String> {
    match desk {
        None => Some(NONE_HELD.into()),
        Some(Desk { wanted: None }) => Some(NOT_ALLOWED.into()),
        Some(Desk { wanted: Some(_) }) => None,
    }
}

impl Wish {
    /// Says no.
    pub(crate) fn refuse(self, refusal: Refusal) {
        // Whoever has gone does not miss it.
        match self {
            Self::List(told) => drop(told.send(Err(refusal))),
            Self::Take { told, .. } => drop(told.send(Err(refusal))),
        }
    }
}

/// Query of the address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct What {
    path: Option<String>,
    /// `list`, `tar`, `file`.
    format: Option<String>,
    /// Of an image.
    engine: Option<String>,
}

/// Answers about a container.
pub(super) async fn container(
    Path(name): Path<String>,
    Query(what): Query<What>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    State(sockets): State<Sockets>,
) -> Response {
    answer(Subject::Container(name), what, peer, sockets).await
}

/// Answers about an image.
pub(super) async fn image(
    Path(reference): Path<String>,
    Query(what): Query<What>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    State(sockets): State<Sockets>,
) -> Response {
    if !is_reference(&reference) {
        return refuse(&Refusal::Wish("that is no reference of an image".into()));
    }
    answer(Subject::Image(reference), what, peer, sockets).await
}

async fn answer(subject: Subject, what: What, peer: Peer, sockets: Sockets) -> Response {
    let Some(desk) = sockets.hub.desk() else {
        return (StatusCode::NOT_FOUND, format!("{NONE_HELD}\n")).into_response();
    };
    let by = peer.remote;
    let Some(wanted) = &desk.wanted else {
        tracing::warn!(%by, ?subject, "refused files: they are not allowed");
        return (StatusCode::FORBIDDEN, format!("{NOT_ALLOWED}\n")).into_response();
    };
    let path = match absolute(what.path.as_deref().unwrap_or_default()) {
        Ok(path) => path,
        Err(why) => return refuse(&why),
    };
    tracing::info!(%by, ?subject, path, format = what.format, "files are asked for");
    let order = |wish| Wanted { subject, engine: what.engine, path, wish, alive: sockets.alive.clone() };
    match what.format.as_deref() {
        None | Some("list") => {
            let (told, listing) = oneshot::channel();
            pass(wanted, order(Wish::List(told)));
            list(listing, sockets.stop).await
        }
        Some(form @ ("tar" | "file")) => {
            let (told, head) = oneshot::channel();
            let (parts, coming) = mpsc::channel(PARTS_QUEUED);
            pass(wanted, order(Wish::Take { tar: form == "tar", told, parts }));
            take(head, coming, sockets.stop).await
        }
        Some(_) => refuse(&Refusal::Wish("format is one of list, tar, file".into())),
    }
}

fn pass(wanted: &mpsc::Sender<Wanted>, order: Wanted) {
    if let Err(error) = wanted.try_send(order) {
        error.into_inner().wish.refuse(Refusal::Busy);
    }
}

async fn list(listing: oneshot::Receiver<Result<Listing, Refusal>>, stop: watch::Receiver<bool>) -> Response {
    match first(listing, stop).await {
        Ok(listing) => ([(header::CACHE_CONTROL, "no-store")], Json(listing)).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

async fn take(
    head: oneshot::Receiver<Result<Head, Refusal>>,
    parts: mpsc::Receiver<Part>,
    stop: watch::Receiver<bool>,
) -> Response {
    let head = match first(head, stop.clone()).await {
        Ok(head) => head,
        Err(refusal) => return refuse(&refusal),
    };
    let kind = if head.size.is_some() { "application/octet-stream" } else { "application/x-tar" };
    let mut response = Response::new(Body::from_stream(stream::unfold(Some((parts, stop)), next)));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    fields.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Ok(value) = disposition(&head.name).parse() {
        fields.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(size) = head.size {
        fields.insert(header::CONTENT_LENGTH, size.into());
    }
    response
}

/// The agent's first word.
async fn first<T>(
    told: oneshot::Receiver<Result<T, Refusal>>,
    mut stop: watch::Receiver<bool>,
) -> Result<T, Refusal> {
    let no_answer = || Refusal::Engine("the agent has no answer".into());
    tokio::select! {
        told = told => told.unwrap_or_else(|_| Err(no_answer())),
        () = stopped(&mut stop) => Err(no_answer()),
    }
}

type Parts = (mpsc::Receiver<Part>, watch::Receiver<bool>);

/// The next part. Only one that was told to be whole ends well: else the client sees that something is missing.
async fn next(parts: Option<Parts>) -> Option<(Result<Bytes, io::Error>, Option<Parts>)> {
    let (mut parts, mut stop) = parts?;
    let part = tokio::select! {
        () = stopped(&mut stop) => None,
        part = parts.recv() => part,
    };
    match part {
        Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some((parts, stop)))),
        Some(Part::Whole) => None,
        Some(Part::Failed(why)) => Some((Err(io::Error::other(why)), None)),
        None => Some((Err(io::Error::other("the agent ends")), None)),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Wish(_) => StatusCode::BAD_REQUEST,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Engine(_) => StatusCode::BAD_GATEWAY,
    };
    (status, format!("{}\n", printable(&refusal.text()))).into_response()
}

/// A name in both forms of RFC 6266: plain letters for the old, all its bytes escaped for the others.
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let short: String = name.chars().take(NAME_AT_MOST).map(plain).collect();
    let escaped: String = name
        .bytes()
        .map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        })
        .collect();
    format!("attachment; filename=\"{short}\"; filename*=UTF-8''{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_in_its_header() {
        let told = disposition("a\"; x=\r\nSet-Cookie: é");
        assert_eq!(
            told,
            "attachment; filename=\"a___x___Set-Cookie___\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0ASet-Cookie%3A%20%C3%A9"
        );
        assert!(disposition(&"\u{202e}".repeat(300)).parse::<header::HeaderValue>().is_ok());
    }

    #[tokio::test]
    async fn only_what_is_whole_ends_well() {
        let (_stop, stopping) = watch::channel(false);
        let told = |parts: Vec<Part>| {
            let stopping = stopping.clone();
            async move {
                let (send, coming) = mpsc::channel(PARTS_QUEUED);
                for part in parts {
                    send.send(part).await.unwrap();
                }
                drop(send);
                axum::body::to_bytes(Body::from_stream(stream::unfold(Some((coming, stopping)), next)), 100)
                    .await
            }
        };
        let bytes = || Part::Bytes(Bytes::from_static(b"abc"));
        assert_eq!(told(vec![bytes(), Part::Whole]).await.unwrap(), "abc");
        assert!(told(vec![bytes(), Part::Failed("gone".into())]).await.is_err());
        assert!(told(vec![bytes()]).await.is_err());
        assert!(told(vec![]).await.is_err());
    }
}
