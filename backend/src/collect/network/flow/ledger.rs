//! The accounts of one capturing thread: packets and bytes of each flow, in memory that does not grow beyond a bound.

use std::hash::{Hash, Hasher};

use glasshull_shared::domain::network::{FlowState, Protocol};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::decode::{Decoded, End, Family, Fragment, Opener};

/// First port of those that systems give to whoever opens a connection (`ip_local_port_range`).
const EPHEMERAL: u16 = 32768;
/// Packets in pieces whose ports are remembered.
const FRAGMENTS: usize = 64;
/// A connection that ended is shown this long.
const ENDED_NANOS: u64 = 15_000_000_000;
/// A flow without an end of its own ends after this silence.
const SILENT_NANOS: u64 = 60_000_000_000;
/// An open TCP connection may be silent for longer.
const OPEN_NANOS: u64 = 600_000_000_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A flow, whichever way: both directions have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) netns: u64,
    pub(super) ifindex: u32,
    pub(super) protocol: Protocol,
    pub(super) family: Family,
    /// The smaller end.
    pub(super) low: End,
    pub(super) high: End,
}

// Field by field it would be hashed byte by byte: this is done for every packet.
impl Hash for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let half =
            |address: &[u8; 16], at: usize| u64::from_ne_bytes(std::array::from_fn(|i| address[at + i]));
        let kind = self.protocol.number().map_or(256, u64::from);
        state.write_u64(self.netns ^ u64::from(self.ifindex) << 32);
        state.write_u64(kind << 32 | u64::from(self.low.port) << 16 | u64::from(self.high.port));
        state.write_u64(half(&self.low.address, 0));
        state.write_u64(half(&self.high.address, 0));
        if self.family == Family::V6 {
            state.write_u64(half(&self.low.address, 8));
            state.write_u64(half(&self.high.address, 8));
        }
    }
}

/// What was counted for a flow. Of two numbers the first is of packets from the smaller end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) bytes: [u64; 2],
    pub(super) packets: [u64; 2],
    pub(super) first_at: u64,
    pub(super) last_at: u64,
    /// TCP flags of both directions, since it was last opened.
    pub(super) flags: u8,
    /// Whether the source is the greater end.
    pub(super) source_is_high: bool,
    /// Whether it was seen to open it.
    pub(super) opening_seen: bool,
    /// Which ends have sent FIN.
    fin: [bool; 2],
    /// Which ends have sent something, since it was last opened.
    sent: [bool; 2],
}

impl Account {
    /// How far a TCP connection is.
    pub(super) fn state(&self) -> FlowState {
        let answered = self.sent[usize::from(!self.source_is_high)];
        match self.fin {
            _ if self.flags & RST != 0 => FlowState::Reset,
            [true, true] => FlowState::Closed,
            [true, false] | [false, true] => FlowState::Closing,
            [false, false] if self.flags & SYN != 0 && !answered => FlowState::Opening,
            [false, false] => FlowState::Open,
        }
    }

    fn patience(&self, protocol: Protocol) -> u64 {
        if protocol != Protocol::Tcp {
            return SILENT_NANOS;
        }
        match self.state() {
            FlowState::Closed | FlowState::Reset => ENDED_NANOS,
            FlowState::Opening | FlowState::Closing => SILENT_NANOS,
            FlowState::Open => OPEN_NANOS,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    pair: Pair,
    id: u32,
    ports: (u16, u16),
}

/// All accounts of one thread.
pub(super) struct Ledger {
    flows: HashMap<Pair, Account>,
    at_most: usize,
    pieces: [Option<Piece>; FRAGMENTS],
    /// Packets accounted or left out.
    pub(super) packets: u64,
    /// Packets that could not be read.
    pub(super) malformed: u64,
    /// Packets of flows for which there was no room.
    pub(super) left_out: u64,
}

impl Ledger {
    /// Empty accounts for at most so many flows.
    pub(super) fn new(at_most: usize) -> Self {
        let (flows, pieces) = (HashMap::new(), [None; FRAGMENTS]);
        Self { flows, at_most, pieces, packets: 0, malformed: 0, left_out: 0 }
    }

    /// Enters a packet seen at `at` on a link of this namespace.
    pub(super) fn enter(&mut self, netns: u64, mut packet: Decoded, at: u64) {
        self.packets += 1;
        if packet.fragment != Fragment::Whole {
            self.join_piece(netns, &mut packet);
        }
        let from_high = packet.from > packet.to;
        let pair = pair(netns, &packet, from_high);
        let full = self.flows.len() >= self.at_most;
        let account = match self.flows.entry(pair) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => {
                self.left_out += 1;
                return;
            }
            Entry::Vacant(new) => new.insert(opened(&packet, from_high, at)),
        };
        let way = usize::from(from_high);
        if packet.protocol == Protocol::Tcp {
            follow(account, &packet, from_high);
        } else if packet.opener != Opener::Unknown && !account.opening_seen {
            orient(account, packet.opener, from_high);
        }
        account.sent[way] = true;
        account.bytes[way] += u64::from(packet.bytes);
        account.packets[way] += 1;
        // Packets of several processors come a little out of order.
        account.last_at = account.last_at.max(at);
    }

    /// Gives a later piece the ports of the first one.
    fn join_piece(&mut self, netns: u64, packet: &mut Decoded) {
        let ports = (packet.from.port, packet.to.port);
        let (Fragment::First(id) | Fragment::Later(id)) = packet.fragment else { return };
        let mut bare = *packet;
        (bare.from.port, bare.to.port) = (0, 0);
        // Not ordered by size: the ports belong to their ends.
        let pair = pair(netns, &bare, false);
        let Some(slot) = self.pieces.get_mut(id as usize % FRAGMENTS) else { return };
        match packet.fragment {
            Fragment::First(_) => *slot = Some(Piece { pair, id, ports }),
            Fragment::Later(_) | Fragment::Whole => {
                if let Some(first) = slot.filter(|first| first.id == id && first.pair == pair) {
                    (packet.from.port, packet.to.port) = first.ports;
                }
            }
        }
    }

    /// Forgets flows that are over, and the longest silent ones when it gets tight.
    pub(super) fn sweep(&mut self, now: u64) {
        self.flows
            .retain(|pair, account| now.saturating_sub(account.last_at) <= account.patience(pair.protocol));
        if self.flows.len() > self.at_most / 10 * 9 {
            let mut seen: Vec<u64> = self.flows.values().map(|account| account.last_at).collect();
            let surplus = self.flows.len() - self.at_most / 4 * 3;
            let (_, oldest, _) = seen.select_nth_unstable(surplus);
            let oldest = *oldest;
            self.flows.retain(|_, account| account.last_at >= oldest);
        }
        if self.flows.capacity() > 1024 && self.flows.len() < self.flows.capacity() / 8 {
            self.flows.shrink_to(self.flows.len() * 2);
        }
    }

    /// Forgets what was seen on links that are looked at no more.
    pub(super) fn keep_links(&mut self, keep: impl Fn(u64, u32) -> bool) {
        self.flows.retain(|pair, _| keep(pair.netns, pair.ifindex));
    }

    /// Flows known now.
    pub(super) fn flows(&self) -> impl ExactSizeIterator<Item = (&Pair, &Account)> {
        self.flows.iter()
    }
}

fn pair(netns: u64, packet: &Decoded, from_high: bool) -> Pair {
    let (low, high) = if from_high { (packet.to, packet.from) } else { (packet.from, packet.to) };
    Pair { netns, ifindex: packet.ifindex, protocol: packet.protocol, family: packet.family, low, high }
}

/// A new account; whose it is may be a guess.
fn opened(packet: &Decoded, from_high: bool, at: u64) -> Account {
    let mut account = Account {
        bytes: [0; 2],
        packets: [0; 2],
        first_at: at,
        last_at: at,
        flags: 0,
        source_is_high: from_high,
        opening_seen: false,
        fin: [false; 2],
        sent: [false; 2],
    };
    match packet.opener {
        Opener::Unknown => {
            // Under way already: who has a port that is given to openers opened it.
            let answer = packet.from.port < EPHEMERAL && packet.to.port >= EPHEMERAL;
            account.source_is_high = from_high != answer;
        }
        known @ (Opener::Sender | Opener::Receiver) => orient(&mut account, known, from_high),
    }
    account
}

fn orient(account: &mut Account, opener: Opener, from_high: bool) {
    account.source_is_high = from_high == (opener == Opener::Sender);
    account.opening_seen = true;
}

/// Follows a TCP connection; a SYN after its end opens it anew.
fn follow(account: &mut Account, packet: &Decoded, from_high: bool) {
    let over = account.flags & RST != 0 || account.fin != [false; 2];
    if packet.flags & (SYN | ACK) == SYN && over {
        (account.flags, account.fin, account.sent) = (0, [false; 2], [false; 2]);
        orient(account, Opener::Sender, from_high);
    } else if packet.opener != Opener::Unknown && !account.opening_seen {
        orient(account, packet.opener, from_high);
    }
    account.flags |= packet.flags;
    if packet.flags & FIN != 0 {
        account.fin[usize::from(from_high)] = true;
    }
}

#[cfg(test)]
#[path = "ledger_test.rs"]
mod tests;
