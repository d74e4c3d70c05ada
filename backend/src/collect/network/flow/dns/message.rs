//! What a DNS message says, as far as it was copied: its question and, of an answer, code, addresses and time to live. By hand:
//! a parser that wants the whole message has nothing to say of one that was cut at the snaplen. No bytes panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

const HEAD_BYTES: usize = 12;
/// Longest name in a message.
const NAME_BYTES: usize = 255;
/// Jumps followed in one name: each leads back, so that there is an end, but one far off.
const JUMPS_AT_MOST: usize = 16;
/// Records looked at.
const RECORDS_AT_MOST: usize = 64;
/// Addresses taken over.
pub(super) const ADDRESSES_AT_MOST: usize = 8;

const A: u16 = 1;
const AAAA: u16 = 28;

/// A name and what of it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// In lower case, without a dot at its end; what is no letter, digit or usual sign as `\ddd`; `.` is the root.
    pub(super) name: Arc<str>,
    /// Number of the kind of record.
    pub(super) record: u16,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The asker's number.
    pub(super) id: u16,
    /// Whether it is an answer.
    pub(super) answers: bool,
    /// Whether there is more than fits.
    pub(super) truncated: bool,
    /// Code of an answer: 0 is none, 3 NXDOMAIN.
    pub(super) code: u8,
    /// `None` in an answer that does not repeat it.
    pub(super) question: Option<Question>,
    /// Records that answer.
    pub(super) records: u16,
    /// Addresses among them, in their order.
    pub(super) addresses: Vec<IpAddr>,
    /// Shortest time to live of what was read of them, seconds.
    pub(super) ttl_secs: Option<u32>,
}

/// Reads one; `None` for what is no question and no answer.
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (answers, kind) = (head[2] & 0x80 != 0, head[2] >> 3 & 15);
    let (questions, records) = (word(4), word(6));
    // Questions hold nothing but one question, and options behind it.
    let is_one = if answers { questions <= 1 } else { (questions, records, word(8)) == (1, 0, 0) };
    if kind != 0 || !is_one {
        return None;
    }
    let mut message = Message {
        id: word(0),
        answers,
        truncated: head[2] & 2 != 0,
        code: head[3] & 15,
        question: None,
        records,
        addresses: Vec::new(),
        ttl_secs: None,
    };
    let mut at = HEAD_BYTES;
    if questions == 1 {
        let (name, next) = name(bytes, at)?;
        let fixed = bytes.get(next..)?.first_chunk::<4>()?;
        message.question = Some(Question { name, record: u16::from_be_bytes([fixed[0], fixed[1]]) });
        at = next + 4;
    }
    if answers {
        for _ in 0..usize::from(records).min(RECORDS_AT_MOST) {
            let Some(next) = record(bytes, at, &mut message) else { break };
            at = next;
        }
    }
    Some(message)
}

/// Takes over one record; gives where the next one begins, `None` when it is not all there.
fn record(bytes: &[u8], at: usize, message: &mut Message) -> Option<usize> {
    let at = skip_name(bytes, at)?;
    let fixed = bytes.get(at..)?.first_chunk::<10>()?;
    let record = u16::from_be_bytes([fixed[0], fixed[1]]);
    let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = bytes.get(at + 10..at + 10 + length)?;
    // With the highest bit it is none (RFC 2181).
    let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
    message.ttl_secs = Some(message.ttl_secs.map_or(ttl, |least| least.min(ttl)));
    let address = match (record, data.len()) {
        (A, 4) => data.first_chunk::<4>().map(|a| IpAddr::from(Ipv4Addr::from(*a))),
        (AAAA, 16) => data.first_chunk::<16>().map(|a| IpAddr::from(Ipv6Addr::from(*a))),
        _ => None,
    };
    if message.addresses.len() < ADDRESSES_AT_MOST {
        message.addresses.extend(address);
    }
    Some(at + 10 + length)
}

/// A name as text, and where what follows it begins.
fn name(bytes: &[u8], start: usize) -> Option<(Arc<str>, usize)> {
    let mut text = String::new();
    let (mut at, mut behind, mut length, mut jumps) = (start, None, 0, 0);
    loop {
        match *bytes.get(at)? {
            0 => break,
            size @ 1..=63 => {
                let size = usize::from(size);
                length += size + 1;
                if length >= NAME_BYTES {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                bytes.get(at + 1..=at + size)?.iter().for_each(|byte| push(&mut text, *byte));
                at += size + 1;
            }
            high @ 192.. => {
                let to = usize::from(u16::from_be_bytes([high & 63, *bytes.get(at + 1)?]));
                jumps += 1;
                // Only back: a name that leads to itself has no end.
                if to >= at || jumps > JUMPS_AT_MOST {
                    return None;
                }
                behind.get_or_insert(at + 2);
                at = to;
            }
            64..192 => return None,
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    Some((text.into(), behind.unwrap_or(at + 1)))
}

fn push(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' | ..=b' ' | 127.. => {
            text.push('\\');
            for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                text.push(char::from(b'0' + digit));
            }
        }
        usual => text.push(char::from(usual.to_ascii_lowercase())),
    }
}

/// Where what follows a name begins, wherever that leads.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..NAME_BYTES {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            size @ 1..=63 => at += usize::from(size) + 1,
            192.. => return Some(at + 2),
            64..192 => return None,
        }
    }
    None
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
