//! Frames between the agent and the app, and of a recording.
//!
//! A frame is `[version][flags][payload]`. The payload is a postcard-encoded message, LZ4-compressed with its length
//! in front when flag 1 is set. A tick's tables are appended behind its header as they were encoded once for all
//! clients, so assembling a frame copies bytes and encodes nothing. Nothing here panics on bytes from outside.

pub mod look;
mod packed;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::dns::{DnsName, DnsNameKey};
use crate::domain::file::{FileHolders, HeldPlace, OpenFiles};
use crate::domain::network::LinkKey;
use crate::domain::process::{MemoryMaps, ProcessDetail, ProcessKey};
use crate::snapshot::{Snapshot, Topic};

pub use packed::Packed;

/// Changes whenever an older app could misread a frame.
pub const VERSION: u8 = 1;
/// Flag: the payload is LZ4-compressed, its true length in front (4 bytes, little endian).
const LZ4: u8 = 1;
/// Frames below this many bytes are not worth compressing.
const COMPRESS_FROM: usize = 2048;
/// No frame unpacks to more: what a hostile length may make us allocate.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// No message of a client is longer.
pub const MAX_CLIENT_BYTES: usize = 64 << 10;

/// Why bytes are no frame.
#[derive(Debug)]
pub enum WireError {
    /// Another version of the protocol; the number is the sender's.
    Version(u8),
    /// Cut short, too long, or not what the type says.
    Malformed(String),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(v) => {
                write!(f, "protocol version {v} instead of {VERSION}: reload the page or update glasshull")
            }
            Self::Malformed(why) => write!(f, "malformed frame: {why}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<postcard::Error> for WireError {
    fn from(error: postcard::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Where the agent's snapshots come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// This host, now.
    Live,
    /// A recording: when it was made (nanoseconds since the epoch) and how many times faster it plays.
    Replay {
        /// Instant of its first frame.
        recorded_at: u64,
        /// 1.0 = as it was.
        speed: f32,
    },
}

/// First frame on every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the agent.
    pub agent_version: String,
    /// Names this run of the agent; an app that reconnects to another run drops what it holds.
    pub instance: u64,
    /// Where the snapshots come from.
    pub origin: Origin,
    /// Nominal time between ticks, nanoseconds.
    pub interval_nanos: u64,
}

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is missing or was dropped.
    Attention,
    /// Something failed.
    Trouble,
}

/// Head of a tick; its tables follow in the same frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TickHead {
    /// Counts ticks of this instance; a hole means something was missed.
    pub sequence: u64,
    /// Instant the reading was finished, nanoseconds since the epoch.
    pub at: u64,
    /// Measured time since the reading before, nanoseconds; `None` on the first and on ticks caused by an event.
    pub interval_nanos: Option<u64>,
    /// Ticks this client missed before this one because it was too slow; its tables are full then.
    pub missed: u32,
}

/// One table of a tick: the whole of it or what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFrame<'a> {
    /// Which table.
    pub topic: Topic,
    /// Whole table (true) or difference to the tick before (false).
    pub full: bool,
    /// As made by [`Snapshot::encode_full`] or [`Snapshot::encode_delta`].
    pub bytes: &'a [u8],
}

/// What the agent sends, all but the tables of a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ServerMessage {
    /// First frame.
    Hello(Hello),
    /// A tick; tables follow.
    Tick(TickHead),
    /// Answer to a question of this client.
    Answer {
        /// As in the question.
        id: u32,
        /// The answer.
        answer: Answer,
    },
    /// Something to tell the person.
    Notice {
        /// How serious.
        severity: Severity,
        /// One sentence.
        text: String,
    },
}

/// What an app asks about one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Details of a process.
    Process(ProcessKey),
    /// Whether orders are carried out.
    Control,
    /// Has all names asked for again that are asked for anyway.
    NamesAgain,
    /// Names (and addresses) asked of one container's resolver, once: what its engine does not know may leave the host.
    Names {
        /// Id of the container.
        container: String,
        /// At most [`NAMES_AT_ONCE`].
        names: Vec<String>,
    },
    /// What a process holds open. One look: rates are made of two ([`OpenFiles::rate`]).
    Files(ProcessKey),
    /// What the memory of a process consists of. The kernel walks its page tables for it.
    Maps(ProcessKey),
    /// Who holds files on a file system. The files of all processes are looked at for it.
    Holders(HeldPlace),
    /// Whether files of containers and images are given out.
    Archive,
}

/// Names of one [`Question::Names`].
pub const NAMES_AT_ONCE: usize = 16;

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Details of a process.
    Process(Packed<ProcessDetail>),
    /// No answer, and why (the process ended; a recording does not hold it).
    Failed(String),
    /// Whether orders are carried out, or files given out; `Some` says why not and how to allow it.
    Control(Option<String>),
    /// The order was carried out: what was done, in one line.
    Done(String),
    /// What the resolver said of the names.
    Names(Packed<Vec<(DnsNameKey, DnsName)>>),
    /// What a process holds open.
    Files(Packed<OpenFiles>),
    /// What the memory of a process consists of.
    Maps(Packed<MemoryMaps>),
    /// Who holds files on a file system.
    Holders(Packed<FileHolders>),
}

impl Answer {
    /// What was asked for, or why it is not told; `kind` takes it out of an answer of its kind. `None` for one of another.
    pub fn opened<T: DeserializeOwned>(
        &self,
        kind: impl Fn(&Self) -> Option<&Packed<T>>,
    ) -> Option<Result<T, String>> {
        if let Self::Failed(why) = self {
            return Some(Err(why.clone()));
        }
        kind(self).map(|packed| packed.open().map_err(|why| why.to_string()))
    }
}

/// What a client may have changed on the host, where `--allow-control` lets it. Nothing else is ever changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Takes the host's end of a container's veth pair down, which cuts the container off, or up again.
    SetLink {
        /// The host's end.
        link: LinkKey,
        /// Up.
        up: bool,
    },
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// The tables on its screen, by [`Topic::id`]; replaces the set before. Ids the agent does not know are ignored.
    Subscribe {
        /// Ids.
        topics: Vec<u8>,
    },
    /// Wants to know about one thing.
    Ask {
        /// Chosen by the client, returned with the answer.
        id: u32,
        /// What.
        question: Question,
    },
    /// Lost track (a hole in the sequence): send full tables.
    Resync,
    /// Wants something done; answered with [`Answer::Done`] or [`Answer::Failed`]. Never sent again by itself.
    Order {
        /// Chosen by the client as for a question, returned with the answer.
        id: u32,
        /// What.
        order: Order,
    },
}

/// A decoded frame of the agent; tables borrow from the unpacked payload.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame<'a> {
    /// Anything but a tick.
    Message(ServerMessage),
    /// A tick and its tables.
    Tick(TickHead, Vec<TableFrame<'a>>),
}

/// Encodes a message that is not a tick.
///
/// # Errors
/// Only when it cannot be serialized, which no message can cause.
pub fn encode(message: &ServerMessage) -> Result<Vec<u8>, WireError> {
    Ok(pack(postcard::to_stdvec(message)?))
}

/// Puts a tick together from tables that are encoded already.
///
/// # Errors
/// Only when the head cannot be serialized.
pub fn encode_tick(head: &TickHead, tables: &[TableFrame<'_>]) -> Result<Vec<u8>, WireError> {
    let mut payload = postcard::to_stdvec(&ServerMessage::Tick(*head))?;
    payload.reserve(tables.iter().map(|t| t.bytes.len() + 6).sum());
    for table in tables {
        let len =
            u32::try_from(table.bytes.len()).map_err(|_| WireError::Malformed("table over 4 GiB".into()))?;
        payload.push(table.topic.id());
        payload.push(u8::from(table.full));
        payload.extend_from_slice(&len.to_le_bytes());
        payload.extend_from_slice(table.bytes);
    }
    Ok(pack(payload))
}

/// Unpacks a frame: checks the version and decompresses. Pass the result to [`decode`].
///
/// # Errors
/// Another version, an unknown flag, a length over [`MAX_FRAME_BYTES`], bytes that do not decompress.
pub fn unpack(frame: &[u8]) -> Result<Vec<u8>, WireError> {
    let [version, flags, payload @ ..] = frame else {
        return Err(WireError::Malformed("shorter than its head".into()));
    };
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    match *flags {
        0 if payload.len() <= MAX_FRAME_BYTES => Ok(payload.to_vec()),
        LZ4 => {
            let len = payload.first_chunk::<4>().map_or(usize::MAX, |l| u32::from_le_bytes(*l) as usize);
            if len > MAX_FRAME_BYTES {
                return Err(WireError::Malformed("unpacks to more than the limit".into()));
            }
            lz4_flex::decompress_size_prepended(payload).map_err(|e| WireError::Malformed(e.to_string()))
        }
        other => Err(WireError::Malformed(format!("flags {other:#x}"))),
    }
}

/// Decodes an unpacked frame of the agent. Tables this version does not know are left out.
///
/// # Errors
/// Bytes that are not what the types say.
pub fn decode(payload: &[u8]) -> Result<ServerFrame<'_>, WireError> {
    let (message, mut rest) = postcard::take_from_bytes::<ServerMessage>(payload)?;
    let ServerMessage::Tick(head) = message else {
        return Ok(ServerFrame::Message(message));
    };
    let mut tables = Vec::new();
    while !rest.is_empty() {
        let Some(([id, full, l0, l1, l2, l3], after)) = rest.split_first_chunk::<6>() else {
            return Err(WireError::Malformed("table head cut short".into()));
        };
        let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let Some((bytes, next)) = after.split_at_checked(len) else {
            return Err(WireError::Malformed("table cut short".into()));
        };
        if let Some(topic) = Topic::from_id(*id) {
            tables.push(TableFrame { topic, full: *full != 0, bytes });
        }
        rest = next;
    }
    Ok(ServerFrame::Tick(head, tables))
}

/// Puts all tables of a tick into a snapshot.
///
/// # Errors
/// The first table that does not decode; tables before it are in place already, so ask for full tables then.
pub fn apply_tick(snapshot: &mut Snapshot, tables: &[TableFrame<'_>]) -> Result<(), WireError> {
    tables.iter().try_for_each(|t| snapshot.apply(t.topic, t.full, t.bytes))
}

/// Encodes what a client sends.
///
/// # Errors
/// Only when it cannot be serialized, which no message can cause.
pub fn encode_client(message: &ClientMessage) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(message)?);
    Ok(bytes)
}

/// Decodes what a client sent.
///
/// # Errors
/// Another version, over [`MAX_CLIENT_BYTES`], or bytes that are not a message.
pub fn decode_client(bytes: &[u8]) -> Result<ClientMessage, WireError> {
    match bytes {
        [] => Err(WireError::Malformed("empty".into())),
        [VERSION, payload @ ..] if payload.len() <= MAX_CLIENT_BYTES => Ok(postcard::from_bytes(payload)?),
        [VERSION, ..] => Err(WireError::Malformed("longer than a client may send".into())),
        [other, ..] => Err(WireError::Version(*other)),
    }
}

fn pack(payload: Vec<u8>) -> Vec<u8> {
    let (flags, body) = if payload.len() < COMPRESS_FROM {
        (0, payload)
    } else {
        (LZ4, lz4_flex::compress_prepend_size(&payload))
    };
    let mut frame = Vec::with_capacity(body.len() + 2);
    frame.extend([VERSION, flags]);
    frame.extend(body);
    frame
}
