//! A look into a wire as a file: `GET /wire.pcapng?netns=…&ifindex=…&filter=…&seconds=…&packets=…&bytes=…&payload=1`. From the
//! agent's thread over a bounded channel to one client; who does not read makes the kernel drop packets, not us fill memory.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use glasshull_shared::domain::wire::{Limits, Refusal, Start};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::server::Sockets;
use super::wire::{Wanted, stopped};

/// Parts of a file on their way.
const PARTS_QUEUED: usize = 8;

/// Query of the download.
#[derive(Debug, Deserialize)]
pub(super) struct What {
    netns: u64,
    ifindex: Option<u32>,
    filter: Option<String>,
    seconds: Option<u32>,
    packets: Option<u32>,
    bytes: Option<u32>,
    /// `1`: with payload.
    payload: Option<u8>,
}

impl What {
    fn start(self) -> Start {
        let usual = Limits::USUAL;
        let limits = Limits {
            secs: self.seconds.unwrap_or(usual.secs),
            packets: self.packets.unwrap_or(usual.packets),
            bytes: self.bytes.unwrap_or(usual.bytes),
        };
        Start {
            netns: self.netns,
            ifindex: self.ifindex,
            filter: self.filter.unwrap_or_default(),
            limits: limits.bounded(),
            payload: self.payload == Some(1),
        }
    }
}

/// Answers.
pub(super) async fn wire(Query(what): Query<What>, State(sockets): State<Sockets>) -> Response {
    let Some(gate) = sockets.hub.gate() else { return refuse(&Refusal::Recording) };
    let (told, answer) = oneshot::channel();
    let (file, parts) = mpsc::channel(PARTS_QUEUED);
    gate.pass(Wanted::Save { start: what.start(), told, file });
    match answer.await {
        Ok(Ok(name)) => {
            let head = [
                (header::CONTENT_TYPE, "application/x-pcapng".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            (head, Body::from_stream(stream::unfold((parts, sockets.stop), next))).into_response()
        }
        Ok(Err(refusal)) => refuse(&refusal),
        Err(_) => refuse(&Refusal::Failed("the agent has no answer".into())),
    }
}

type Parts = (mpsc::Receiver<Bytes>, watch::Receiver<bool>);

/// The next part; the file ends early when the agent does.
async fn next((mut parts, mut stop): Parts) -> Option<(Result<Bytes, std::convert::Infallible>, Parts)> {
    let part = tokio::select! {
        () = stopped(&mut stop) => None,
        part = parts.recv() => part,
    };
    part.map(|part| (Ok(part), (parts, stop)))
}

fn refuse(refusal: &Refusal) -> Response {
    let (status, text) = match refusal {
        Refusal::Filter(why) => (StatusCode::BAD_REQUEST, format!("the filter is wrong: {why}")),
        Refusal::Permission(why) => (StatusCode::FORBIDDEN, why.clone()),
        Refusal::Payload => (
            StatusCode::FORBIDDEN,
            "payload is not allowed: start glasshull with --allow-payload, or ask without payload=1".into(),
        ),
        Refusal::Gone(why) => (StatusCode::NOT_FOUND, why.clone()),
        Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many look into wires already".into()),
        Refusal::Recording => (StatusCode::NOT_FOUND, "a recording holds no packets".into()),
        Refusal::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.clone()),
    };
    (status, format!("{text}\n")).into_response()
}
