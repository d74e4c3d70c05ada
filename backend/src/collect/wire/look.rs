//! One look, on a thread of its own: packets in, lines, headers and streams out, until whoever looks has gone.
//!
//! While packets come, nothing waits for a slow reader: lines that find no room are counted and left out (the packets are kept
//! and can be asked for). When no more come, the tap is closed and only questions are answered.

use std::collections::VecDeque;

use glasshull_shared::domain::wire::{
    Chunk, Ended, Order, PacketDetail, PacketRow, Side, Sight, Start, WireStat,
};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::mpsc::{Receiver, Sender};

use super::conversation::{Conversations, Mark, Place};
use super::detail;
use super::follow::Follow;
use super::keep::{Kept, Stored};
use super::packet::Packet;
use super::secret;
use super::summary;
use super::tap::{IsOwn, Step, Taken, Tap};
use crate::sys::clock;

/// Lines that wait for a slow reader.
const ROWS_WAITING: usize = 2_000;
/// Lines in a message.
const ROWS_AT_ONCE: usize = 500;
/// Answers that wait for a slow reader; who asks more is not answered.
const ANSWERS_WAITING: usize = 512;
/// Between two messages with lines, nanoseconds.
const BATCH_NANOS: u64 = 100_000_000;
/// Between two reports of how it is doing, nanoseconds.
const STAT_NANOS: u64 = 500_000_000;

/// Names that a look is told with its beginning.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Numbers and names of the links looked at.
    pub links: Vec<(u32, String)>,
    /// Addresses and whose they are.
    pub names: Vec<(String, String)>,
}

struct Look {
    payload: bool,
    kept: Kept,
    conversations: Conversations,
    follow: Option<Follow>,
    rows: Vec<PacketRow>,
    answers: VecDeque<Sight>,
    unsent: u32,
    sights: Sender<Sight>,
    batch_at: u64,
    stat_at: u64,
}

/// Whether whoever looks is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Here,
    Gone,
}

/// Looks as `start` says until `orders` or `sights` is closed.
pub(crate) fn look(
    start: &Start,
    known: Known,
    is_own: IsOwn,
    mut orders: Receiver<Order>,
    sights: Sender<Sight>,
) {
    let mut tap = match Tap::open(start, &known.links, is_own) {
        Ok(tap) => tap,
        Err(refusal) => return drop(sights.blocking_send(Sight::Refused(refusal))),
    };
    let Known { links, names } = known;
    let started = Sight::Started { limits: start.limits.bounded(), payload: start.payload, links, names };
    if sights.blocking_send(started).is_err() {
        return;
    }
    let mut look = Look {
        payload: start.payload,
        kept: Kept::default(),
        conversations: Conversations::default(),
        follow: None,
        rows: Vec::new(),
        answers: VecDeque::new(),
        unsent: 0,
        sights,
        batch_at: 0,
        stat_at: 0,
    };
    let Some(ended) = look.watch(&mut tap, &mut orders) else { return };
    let stat = tap.stat();
    // From here on the namespace may end.
    drop(tap);
    look.wind_up(ended, stat);
    look.answer_on(&mut orders);
}

impl Look {
    /// Takes packets until it must end; `None` when whoever looks has gone.
    fn watch(&mut self, tap: &mut Tap, orders: &mut Receiver<Order>) -> Option<Ended> {
        loop {
            match orders.try_recv() {
                Ok(Order::Stop) => return Some(Ended::Stopped),
                Ok(order) => self.obey(&order),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return None,
            }
            let step = tap.turn(|taken| self.take(taken));
            let now = clock::monotonic();
            if now.saturating_sub(self.batch_at) >= BATCH_NANOS {
                self.batch_at = now;
                if now.saturating_sub(self.stat_at) >= STAT_NANOS {
                    self.stat_at = now;
                    let stat = tap.stat();
                    self.answers.push_back(Sight::Stat(WireStat { unsent: self.unsent, ..stat }));
                }
                if self.send() == Reader::Gone {
                    return None;
                }
            }
            if let Step::Ended(ended) = step {
                return Some(ended);
            }
        }
    }

    fn take(&mut self, taken: Taken<'_>) {
        let Taken { at, form, bytes, length } = taken;
        let Some(packet) = Packet::parse(form, bytes, length) else { return };
        let place = packet.ends().map(|ends| self.conversations.place(&ends, mark(&packet)));
        let number = self.kept.push(Stored { at, form, bytes, length, place });
        if self.rows.len() < ROWS_WAITING {
            self.rows.push(PacketRow { number, at, ..summary::row(&packet, place, self.payload) });
        } else {
            self.unsent += 1;
        }
        if let (Some(place), Some(follow)) = (place, &mut self.follow)
            && follow.conversation == place.conversation
        {
            let chunks = follow.take(&packet, place, at);
            self.answers.extend(chunks.into_iter().map(Sight::Chunk));
        }
    }

    fn obey(&mut self, order: &Order) {
        match order {
            Order::Start(_) | Order::Stop => {}
            Order::Unfollow => self.unfollow(),
            Order::Detail { number } if self.answers.len() < ANSWERS_WAITING => {
                let detail = self.kept.get(*number).and_then(|stored| self.detail(*number, stored));
                self.answers.extend(detail.map(Sight::Detail));
            }
            Order::Detail { .. } => {}
            Order::Follow { conversation } => self.follow(*conversation),
        }
    }

    /// Chunks of a stream nobody follows any more are not worth sending.
    fn unfollow(&mut self) {
        self.follow = None;
        self.answers.retain(|sight| !matches!(sight, Sight::Chunk(_) | Sight::Follows { .. }));
    }

    fn follow(&mut self, conversation: u32) {
        self.unfollow();
        let mut follow = Follow::new(conversation);
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut ends = None;
        for stored in self.kept.of(conversation) {
            let (Some(packet), Some(place)) = (stored.packet(), stored.place) else { continue };
            ends = ends.or_else(|| ends_of(&packet, place));
            chunks.extend(follow.take(&packet, place, stored.at));
        }
        let Some(ends) = ends else { return };
        self.answers.push_back(Sight::Follows { conversation, ends });
        self.answers.extend(chunks.into_iter().map(Sight::Chunk));
        self.follow = Some(follow);
    }

    fn detail(&self, number: u32, stored: Stored<'_>) -> Option<PacketDetail> {
        let packet = stored.packet()?;
        let layers = detail::layers(&packet, self.payload);
        let conversation = stored.place.map(|place| place.conversation);
        let kept = conversation.into_iter().flat_map(|conversation| self.kept.of(conversation));
        let bytes = self.payload.then(|| secret::masked(&packet, stored.place, kept));
        Some(PacketDetail { number, length: stored.length, layers, bytes })
    }

    /// Sends what there is room for, without waiting.
    fn send(&mut self) -> Reader {
        while !self.rows.is_empty() {
            let Ok(permit) = self.sights.try_reserve() else { break };
            let rest = self.rows.split_off(self.rows.len().min(ROWS_AT_ONCE));
            permit.send(Sight::Packets(std::mem::replace(&mut self.rows, rest)));
        }
        while let Some(sight) = self.answers.pop_front() {
            match self.sights.try_send(sight) {
                Ok(()) => {}
                Err(TrySendError::Full(sight)) => {
                    self.answers.push_front(sight);
                    break;
                }
                Err(TrySendError::Closed(_)) => return Reader::Gone,
            }
        }
        if self.sights.is_closed() { Reader::Gone } else { Reader::Here }
    }

    /// Tells the rest, the last count, and why.
    fn wind_up(&mut self, ended: Ended, stat: WireStat) {
        let rows = std::mem::take(&mut self.rows);
        self.answers.extend(rows.chunks(ROWS_AT_ONCE).map(|rows| Sight::Packets(rows.to_vec())));
        self.finish_follow();
        self.answers.push_back(Sight::Stat(WireStat { unsent: self.unsent, ..stat }));
        self.answers.push_back(Sight::Ended(ended));
    }

    fn finish_follow(&mut self) {
        if let Some(follow) = &mut self.follow {
            let chunks = follow.finish(clock::now_nanos());
            self.answers.extend(chunks.into_iter().map(Sight::Chunk));
        }
    }

    /// Answers questions about what was taken, at the reader's pace.
    fn answer_on(&mut self, orders: &mut Receiver<Order>) {
        loop {
            while let Some(sight) = self.answers.pop_front() {
                if self.sights.blocking_send(sight).is_err() {
                    return;
                }
            }
            let Some(order) = orders.blocking_recv() else { return };
            self.obey(&order);
            if matches!(order, Order::Follow { .. }) {
                self.finish_follow();
            }
        }
    }
}

fn mark(packet: &Packet<'_>) -> Option<Mark> {
    packet.tcp().map(|tcp| Mark { seq: tcp.sequence_number(), syn: tcp.syn(), ack: tcp.ack() })
}

/// Both ends of a conversation, the first side first.
fn ends_of(packet: &Packet<'_>, place: Place) -> Option<[String; 2]> {
    let ends = packet.ends()?;
    let (source, destination) = (ends.source.to_string(), ends.destination.to_string());
    Some(match place.side {
        Side::First => [source, destination],
        Side::Second => [destination, source],
    })
}
