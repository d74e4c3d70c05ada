//! One direction of a TCP connection put together again: segments in, bytes in their order out. Pure, bounded.
//!
//! Sequence numbers wrap; positions here do not. A segment that comes early is held until what is before it has come, or is
//! given up as lost: when too much is held, when the receiver has acknowledged it and it still has not come, or at the end.

use std::collections::BTreeMap;

use glasshull_shared::domain::wire::Piece;

/// Bytes held for a segment that has not come.
const HELD_AT_MOST: usize = 256 << 10;
/// Segments held.
const SEGMENTS_AT_MOST: usize = 1024;
/// Segments seen after the receiver acknowledged what we miss, until we believe that it was lost for us.
const PATIENCE: u32 = 16;
/// A segment this far ahead belongs to nothing: no window is larger (RFC 7323).
const FAR: i32 = 1 << 30;
/// Bytes of one direction that are told; what comes then only says so.
const TOLD_AT_MOST: u64 = 1 << 20;

/// What a packet brings to its direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    /// Its sequence number.
    pub(super) seq: u32,
    /// Opens the direction.
    pub(super) syn: bool,
    /// Ends it.
    pub(super) fin: bool,
    /// Breaks the connection off.
    pub(super) rst: bool,
    /// Bytes that it carried.
    pub(super) length: u32,
    /// Those of them that were kept.
    pub(super) data: &'a [u8],
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Sequence number expected next; `None` before the first segment.
    next: Option<u32>,
    /// Position of that in the stream.
    at: u64,
    /// Segments that came early, by position: bytes on the wire and those kept.
    held: BTreeMap<u64, (u32, Vec<u8>)>,
    held_bytes: usize,
    /// Position of the end, once it is known.
    end: Option<u64>,
    /// Furthest position that the receiver acknowledged.
    acked: u64,
    /// Segments seen since that lies behind what we miss.
    waited: u32,
    told: u64,
    cut: bool,
    closed: bool,
}

impl Half {
    /// Takes a segment; what can be told now is added to `out`.
    pub(super) fn take(&mut self, segment: Segment<'_>, out: &mut Vec<Piece>) {
        if self.closed {
            return;
        }
        let mut seq = segment.seq;
        if segment.syn {
            seq = seq.wrapping_add(1);
            self.next.get_or_insert(seq);
        } else if self.next.is_none() {
            self.next = Some(seq);
            out.push(Piece::Middle);
        }
        let ahead = self.ahead(seq);
        if (-FAR + 1..FAR).contains(&ahead) {
            let begin = self.at.checked_add_signed(i64::from(ahead));
            if segment.fin {
                let end = begin.map(|begin| begin + u64::from(segment.length));
                self.end = self.end.or(end);
            }
            self.place(ahead, segment);
            self.drain(out);
        }
        if segment.rst {
            self.finish(out);
            out.push(Piece::Reset);
            self.closed = true;
        }
    }

    /// The receiver acknowledged everything before this number.
    pub(super) fn acknowledged(&mut self, ack: u32, out: &mut Vec<Piece>) {
        let ahead = self.ahead(ack);
        if self.next.is_none() || self.closed || !(1..FAR).contains(&ahead) {
            self.waited = 0;
            return;
        }
        // The end of the stream has a number too, but is no byte.
        let acked = self.at + u64::from(ahead.unsigned_abs());
        self.acked = self.acked.max(acked.min(self.end.unwrap_or(u64::MAX)));
        self.waited += 1;
        if self.waited > PATIENCE {
            self.waited = 0;
            let to = self.held.keys().next().copied().unwrap_or(self.acked).min(self.acked);
            self.lose(to, out);
            self.drain(out);
        }
    }

    /// Nothing more will come: what is held is told with its gaps.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        if self.closed {
            return;
        }
        while let Some(first) = self.held.keys().next().copied() {
            self.lose(first, out);
            self.drain(out);
        }
        let to = self.end.unwrap_or(self.acked);
        if to > self.at && !self.closed {
            self.lose(to, out);
            self.drain(out);
        }
    }

    /// How far a number lies ahead of the one expected.
    fn ahead(&self, seq: u32) -> i32 {
        seq.wrapping_sub(self.next.unwrap_or(seq)).cast_signed()
    }

    /// Holds what of a segment is new.
    fn place(&mut self, ahead: i32, segment: Segment<'_>) {
        let old = u32::try_from(-ahead).unwrap_or(0);
        if segment.length <= old {
            return; // nothing, or seen before
        }
        let begin = self.at + u64::from(u32::try_from(ahead).unwrap_or(0));
        let length = segment.length - old;
        let data = segment.data.get(old as usize..).unwrap_or_default();
        let data = data.get(..length as usize).unwrap_or(data);
        let better =
            self.held.get(&begin).is_none_or(|(before, kept)| (length, data.len()) > (*before, kept.len()));
        if better && let Some((_, before)) = self.held.insert(begin, (length, data.to_vec())) {
            self.held_bytes -= before.len();
            self.held_bytes += data.len();
        } else if better {
            self.held_bytes += data.len();
        }
    }

    /// Tells what is in order now.
    fn drain(&mut self, out: &mut Vec<Piece>) {
        loop {
            let full = self.held_bytes > HELD_AT_MOST || self.held.len() > SEGMENTS_AT_MOST;
            let Some(first) = self.held.keys().next().copied() else { break };
            if first > self.at && !full {
                break;
            }
            self.lose(first, out);
            let Some((_, (length, data))) = self.held.pop_first() else { break };
            self.held_bytes -= data.len();
            // What overlaps with bytes told already: the first copy counts, as it did for most receivers.
            let old = self.at - first;
            let end = first + u64::from(length);
            if end > self.at {
                let kept = data.get(usize::try_from(old).unwrap_or(usize::MAX)..).unwrap_or_default();
                self.tell(kept.to_vec(), out);
                self.advance(kept.len() as u64);
                self.lose(end, out);
            }
        }
        if self.end.is_some_and(|end| self.at >= end) && !self.closed {
            self.closed = true;
            out.push(Piece::Fin);
            // What came early for places behind the end is of no stream.
            self.held.clear();
            self.held_bytes = 0;
        }
    }

    /// Everything up to `to` did not come.
    fn lose(&mut self, to: u64, out: &mut Vec<Piece>) {
        if to > self.at {
            if !self.cut {
                out.push(Piece::Gap(to - self.at));
            }
            self.advance(to - self.at);
        }
    }

    fn advance(&mut self, by: u64) {
        self.at += by;
        // Only the low half matters: numbers wrap.
        let low = u32::try_from(by & u64::from(u32::MAX)).unwrap_or_default();
        self.next = self.next.map(|next| next.wrapping_add(low));
    }

    fn tell(&mut self, mut data: Vec<u8>, out: &mut Vec<Piece>) {
        let room = usize::try_from(TOLD_AT_MOST - self.told).unwrap_or(usize::MAX);
        let over = data.len() > room;
        data.truncate(room);
        self.told += data.len() as u64;
        if !data.is_empty() {
            out.push(Piece::Data(data));
        }
        if over && !self.cut {
            self.cut = true;
            out.push(Piece::Cut);
        }
    }
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "whatever was not expected fails the test")]
#[path = "stream_test.rs"]
mod tests;
