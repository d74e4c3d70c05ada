//! Segments of one direction of a connection, in any order, as the fuzzer makes them up. What a byte is, follows from its
//! position alone: wherever a segment begins and however often it comes, each byte told must be that of its position.

use glasshull_shared::domain::wire::Piece;

use super::stream::{Half, Segment};

/// What a segment is (bits), its position in steps, its length (both little-endian), bytes of it that were not kept.
const RECORD_BYTES: usize = 6;
/// Segments begin at multiples of so many bytes: the bound on what is told is within reach.
const STEP: u64 = 24;
const LENGTH_AT_MOST: u32 = 4096;
const TOLD_AT_MOST: usize = 1 << 20;
const SYN: u8 = 1;
const FIN: u8 = 2;
const RST: u8 = 4;
/// Nothing is carried: the other side acknowledges up to there.
const ACK: u8 = 8;

/// What came of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Bytes in their order.
    pub bytes: usize,
    /// Bytes that are said to be lost.
    pub lost: u64,
    /// The beginning was not seen.
    pub middle: bool,
    /// It ended, or was broken off.
    pub ended: bool,
}

/// Puts a direction together again.
///
/// # Panics
/// When a byte is told at another position than its own, anything after the end, or more than the bound: that is what the
/// fuzzer looks for besides crashes.
pub fn wire_stream(bytes: &[u8]) -> Told {
    let Some((first, mut rest)) = bytes.split_first_chunk::<4>() else { return Told::default() };
    // Number of the byte at position 0: those of TCP wrap.
    let origin = u32::from_le_bytes(*first);
    let (mut half, mut told, mut at) = (Half::default(), Told::default(), None);
    while let Some((record, more)) = rest.split_first_chunk::<RECORD_BYTES>() {
        rest = more;
        let [kind, begin @ .., kept] = *record;
        let syn = kind & SYN != 0;
        let steps = u64::from(u16::from_le_bytes([begin[0], begin[1]]));
        let begin_at = if syn { 0 } else { steps * STEP };
        let seq = origin.wrapping_add(begin_at as u32);
        let mut pieces = Vec::new();
        if kind & ACK != 0 {
            half.acknowledged(seq, &mut pieces);
        } else {
            let length = u32::from(u16::from_le_bytes([begin[2], begin[3]])) % LENGTH_AT_MOST;
            let data: Vec<u8> = (0..length).map(|n| byte(begin_at + u64::from(n))).collect();
            at.get_or_insert(begin_at);
            let segment = Segment {
                seq: if syn { seq.wrapping_sub(1) } else { seq },
                syn,
                fin: kind & FIN != 0,
                rst: kind & RST != 0,
                length,
                data: data.get(..data.len().saturating_sub(kept.into())).unwrap_or_default(),
            };
            half.take(segment, &mut pieces);
        }
        check(pieces, at.unwrap_or(0), &mut told);
    }
    let mut pieces = Vec::new();
    half.finish(&mut pieces);
    check(pieces, at.unwrap_or(0), &mut told);
    assert!(told.bytes <= TOLD_AT_MOST);
    told
}

/// What the byte at a position is.
fn byte(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn check(pieces: Vec<Piece>, begin: u64, told: &mut Told) {
    for piece in pieces {
        assert!(!told.ended || piece == Piece::Reset, "{piece:?} after the end");
        match piece {
            Piece::Data(data) => {
                for (n, came) in data.iter().enumerate() {
                    let position = begin + told.bytes as u64 + told.lost + n as u64;
                    assert_eq!(*came, byte(position), "at {position}");
                }
                told.bytes += data.len();
            }
            Piece::Gap(lost) => told.lost += lost,
            Piece::Middle => told.middle = true,
            Piece::Fin | Piece::Reset => told.ended = true,
            Piece::Note(_) | Piece::Cut => {}
        }
    }
}
