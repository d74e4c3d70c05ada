//! A look into a wire as views read it: what was seen so far, and orders to the agent. Beside the tables: nothing of it is
//! collected for others, kept by the agent, or in a recording.
//!
//! The feed opens a connection whenever [`Look::session`] names a new one and gives what it receives to [`Look::received`].

use std::collections::BTreeMap;

use futures_channel::mpsc::UnboundedSender;
use glasshull_shared::domain::wire::{
    Chunk, Ended, Limits, Order, PacketDetail, PacketRow, Refusal, Sight, Start, WireStat,
};
use glasshull_shared::wire::WireError;
use glasshull_shared::wire::look::{decode_sight, encode_order};
use leptos::prelude::*;

/// How a look stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No connection (yet, or any more) and nothing seen.
    Closed,
    /// Connected; waits for a start.
    Ready,
    /// Packets come.
    Running,
    /// No more packets come; what was seen can be looked at.
    Ended(Ended),
    /// It did not begin.
    Refused(Refusal),
    /// The connection broke; what was seen stays, nothing more can be asked.
    Lost,
}

/// The stream that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Number of the conversation.
    pub conversation: u32,
    /// Addresses and ports of both sides.
    pub ends: [String; 2],
    /// What was said, in order.
    pub chunks: Vec<Chunk>,
}

/// What belongs to a look from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scene {
    /// As the agent bounded them.
    pub limits: Limits,
    /// Whether payload is kept.
    pub payload: bool,
    /// Names of links by number.
    pub links: BTreeMap<u32, String>,
    /// Whose addresses are.
    pub names: BTreeMap<String, String>,
}

/// The look of this page. Cheap to copy; it is [`super::Store::look`].
#[derive(Clone, Copy)]
pub struct Look {
    /// Counts connections that were wanted; the feed opens one whenever it changes. 0: none is.
    pub session: RwSignal<u64>,
    /// How it stands.
    pub phase: RwSignal<Phase>,
    /// Whether payload may be looked at; `None` before the agent said.
    pub payload_allowed: RwSignal<Option<bool>>,
    /// How it is doing.
    pub stat: RwSignal<WireStat>,
    /// What belongs to it.
    pub scene: RwSignal<Scene>,
    /// The packet asked for last.
    pub detail: RwSignal<Option<PacketDetail>>,
    /// The stream followed.
    pub stream: RwSignal<Option<Stream>>,
    rows: StoredValue<Vec<PacketRow>>,
    arrived: RwSignal<u64>,
    pending: StoredValue<Option<Start>>,
    outbox: StoredValue<Option<UnboundedSender<Vec<u8>>>>,
    /// [`Look::receive`] once a look was opened: only who opens one brings the code that reads frames into the page.
    receiver: StoredValue<Option<Receiver>>,
}

type Receiver = fn(&Look, &[u8]) -> Result<(), WireError>;

impl Default for Look {
    fn default() -> Self {
        Self {
            session: RwSignal::new(0),
            phase: RwSignal::new(Phase::Closed),
            payload_allowed: RwSignal::new(None),
            stat: RwSignal::new(WireStat::default()),
            scene: RwSignal::new(Scene::default()),
            detail: RwSignal::new(None),
            stream: RwSignal::new(None),
            rows: StoredValue::new(Vec::new()),
            arrived: RwSignal::new(0),
            pending: StoredValue::new(None),
            outbox: StoredValue::new(None),
            receiver: StoredValue::new(None),
        }
    }
}

impl Look {
    /// Connects, so that it is known what may be asked for. What was seen before goes.
    pub fn open(&self) {
        self.clear();
        self.receiver.set_value(Some(Self::receive));
        self.outbox.set_value(None);
        self.session.update(|n| *n += 1);
    }

    /// Ends the connection; nothing is kept.
    pub fn close(&self) {
        self.clear();
        self.outbox.set_value(None);
        self.pending.set_value(None);
        self.session.set(0);
    }

    /// Begins anew, on a connection that has begun nothing yet.
    pub fn start(&self, start: Start) {
        self.pending.set_value(Some(start));
        if self.phase.get_untracked() == Phase::Ready {
            self.send_start();
        } else {
            self.open();
        }
    }

    /// Tells the agent something.
    pub fn order(&self, order: &Order) {
        let Ok(bytes) = encode_order(order) else { return };
        self.outbox.with_value(|outbox| {
            if let Some(outbox) = outbox {
                // The receiving end goes away with the connection, and the look with it.
                let _ = outbox.unbounded_send(bytes);
            }
        });
    }

    /// Reads the lines of the packets, oldest first. Reactive.
    pub fn rows<R>(&self, f: impl FnOnce(&[PacketRow]) -> R) -> R {
        self.arrived.track();
        self.rows.with_value(|rows| f(rows))
    }

    /// The line of a packet. Not reactive: it never changes.
    pub fn row<R>(&self, number: u32, f: impl FnOnce(&PacketRow) -> R) -> Option<R> {
        self.rows.with_value(|rows| {
            let at = rows.binary_search_by_key(&number, |row| row.number).ok()?;
            rows.get(at).map(f)
        })
    }

    /// An end of a packet as people call it: `web:80` for `172.18.0.2:80`.
    pub fn name_of(&self, end: &str) -> Option<String> {
        self.scene.with(|scene| name_of(&scene.names, end))
    }

    fn clear(&self) {
        self.phase.set(Phase::Closed);
        self.stat.set(WireStat::default());
        self.detail.set(None);
        self.stream.set(None);
        self.rows.update_value(Vec::clear);
        self.arrived.update(|n| *n += 1);
    }

    fn send_start(&self) {
        if let Some(start) = self.pending.try_update_value(Option::take).flatten() {
            self.order(&Order::Start(start));
        }
    }
}

/// Feeding: for the feed and for tests.
impl Look {
    /// A connection is open: orders go to `outbox`.
    pub fn connected(&self, outbox: UnboundedSender<Vec<u8>>) {
        self.outbox.set_value(Some(outbox));
    }

    /// The connection is gone.
    pub fn disconnected(&self) {
        self.outbox.set_value(None);
        self.phase.maybe_update(|phase| {
            let over = matches!(phase, Phase::Refused(_));
            if !over {
                *phase = Phase::Lost;
            }
            !over
        });
    }

    /// Takes one frame of the connection that was opened.
    ///
    /// # Errors
    /// As [`Look::receive`].
    pub fn received(&self, frame: &[u8]) -> Result<(), WireError> {
        let receive = self.receiver.get_value();
        receive.map_or(Ok(()), |receive| receive(self, frame))
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// Another version of the wire, or bytes that do not decode.
    pub fn receive(&self, frame: &[u8]) -> Result<(), WireError> {
        match decode_sight(frame)? {
            Sight::Ready { payload } => {
                self.payload_allowed.set(Some(payload));
                self.phase.set(Phase::Ready);
                self.send_start();
            }
            Sight::Started { limits, payload, links, names } => {
                let (links, names) = (links.into_iter().collect(), names.into_iter().collect());
                self.scene.set(Scene { limits, payload, links, names });
                self.phase.set(Phase::Running);
            }
            Sight::Packets(rows) => {
                self.rows.update_value(|all| all.extend(rows));
                self.arrived.update(|n| *n += 1);
            }
            Sight::Detail(detail) => self.detail.set(Some(detail)),
            Sight::Follows { conversation, ends } => {
                self.stream.set(Some(Stream { conversation, ends, chunks: Vec::new() }));
            }
            Sight::Chunk(chunk) => self.stream.maybe_update(|stream| match stream {
                Some(stream) if stream.conversation == chunk.conversation => {
                    stream.chunks.push(chunk);
                    true
                }
                Some(_) | None => false,
            }),
            Sight::Stat(stat) => self.stat.set(stat),
            Sight::Ended(why) => self.phase.set(Phase::Ended(why)),
            Sight::Refused(why) => self.phase.set(Phase::Refused(why)),
        }
        Ok(())
    }
}

/// Splits `address:port` and `[address]:port`; an address alone stays one.
fn name_of(names: &BTreeMap<String, String>, end: &str) -> Option<String> {
    if let Some(name) = names.get(end) {
        return Some(name.clone());
    }
    let (address, port) = end.rsplit_once(':')?;
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    names.get(address).map(|name| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::wire::{Piece, Side};
    use glasshull_shared::wire::look::encode_sight;

    fn give(look: Look, sight: &Sight) {
        look.receive(&encode_sight(sight).unwrap()).unwrap();
    }

    fn chunk(conversation: u32) -> Sight {
        Sight::Chunk(Chunk { conversation, side: Side::First, at: 1, piece: Piece::Fin })
    }

    #[test]
    fn a_start_waits_for_the_connection_and_a_second_one_gets_a_new_one() {
        Owner::new().with(|| {
            let look = Look::default();
            look.start(Start::default());
            assert_eq!(look.session.get_untracked(), 1);
            let (outbox, mut orders) = futures_channel::mpsc::unbounded();
            look.connected(outbox);
            assert!(orders.try_recv().is_err());
            give(look, &Sight::Ready { payload: true });
            assert!(orders.try_recv().is_ok());
            give(look, &Sight::Ended(Ended::Time));
            look.start(Start::default());
            assert_eq!(look.session.get_untracked(), 2);
            assert_eq!(look.phase.get_untracked(), Phase::Closed);
        });
    }

    #[test]
    fn chunks_of_another_stream_are_left_out() {
        Owner::new().with(|| {
            let look = Look::default();
            give(look, &chunk(1));
            give(look, &Sight::Follows { conversation: 2, ends: ["a".into(), "b".into()] });
            give(look, &chunk(1));
            give(look, &chunk(2));
            assert_eq!(look.stream.get_untracked().unwrap().chunks.len(), 1);
        });
    }

    #[test]
    fn a_refusal_outlives_the_connection_that_brought_it() {
        Owner::new().with(|| {
            let look = Look::default();
            give(look, &Sight::Refused(Refusal::Busy));
            look.disconnected();
            assert_eq!(look.phase.get_untracked(), Phase::Refused(Refusal::Busy));
            assert!(look.receive(b"garbage").is_err());
        });
    }

    #[test]
    fn ends_are_called_by_name_with_their_port() {
        let names: BTreeMap<String, String> =
            [("10.0.0.2", "web"), ("fd00::2", "db")].map(|(a, n)| (a.to_owned(), n.to_owned())).into();
        let name = |end| name_of(&names, end);
        assert_eq!(name("10.0.0.2:80").as_deref(), Some("web:80"));
        assert_eq!(name("[fd00::2]:80").as_deref(), Some("db:80"));
        assert_eq!(name("fd00::2").as_deref(), Some("db"));
        assert_eq!((name("10.0.0.3:80"), name("02:00:00:00:00:01"), name("")), (None, None, None));
    }
}
