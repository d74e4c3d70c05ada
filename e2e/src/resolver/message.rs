//! DNS messages as RFC 1035 lays them out, written by hand: what is tested is read by a library.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use glasshull_shared::unit::printable;

/// Codes of answers.
pub(super) const NOERROR: u8 = 0;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const NXDOMAIN: u8 = 3;
pub(super) const REFUSED: u8 = 5;

/// `QR` and `RA`; `RD` is the asker's; `TC`.
const RESPONSE: u16 = 0x8080;
const RECURSION: u16 = 0x0100;
const CUT_OFF: u16 = 0x0200;
/// Class `IN`.
const INTERNET: u16 = 1;

/// Kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    A,
    Cname,
    Ptr,
    Aaaa,
    Other(u16),
}

impl Type {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Cname => 5,
            Self::Ptr => 12,
            Self::Aaaa => 28,
            Self::Other(number) => number,
        }
    }

    fn of(number: u16) -> Self {
        let known = [Self::A, Self::Cname, Self::Ptr, Self::Aaaa];
        known.into_iter().find(|kind| kind.number() == number).unwrap_or(Self::Other(number))
    }
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
    Ptr(String),
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    name: String,
    ttl: u32,
    pub(super) data: Data,
}

impl Record {
    pub(super) fn new(name: &str, ttl: u32, data: Data) -> Self {
        Self { name: name.to_owned(), ttl, data }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (kind, data) = match &self.data {
            Data::A(address) => (Type::A, address.octets().to_vec()),
            Data::Aaaa(address) => (Type::Aaaa, address.octets().to_vec()),
            Data::Cname(name) => (Type::Cname, labels(name)),
            Data::Ptr(name) => (Type::Ptr, labels(name)),
        };
        out.extend(labels(&self.name));
        out.extend([kind.number(), INTERNET].map(u16::to_be_bytes).concat());
        out.extend(self.ttl.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
        out.extend(data);
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u16,
    /// Its bytes as they came, each a character.
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) recursion: bool,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(&self.name);
        match self.kind {
            Type::A => write!(f, "A {name}"),
            Type::Aaaa => write!(f, "AAAA {name}"),
            Type::Cname => write!(f, "CNAME {name}"),
            Type::Ptr => write!(f, "PTR {name}"),
            Type::Other(number) => write!(f, "TYPE{number} {name}"),
        }
    }
}

impl Question {
    /// The first one of a message; `None` when that is none, or an answer.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = message.get(at..)?.first_chunk::<2>()?;
            Some(u16::from_be_bytes(*bytes))
        };
        let (id, flags, count) = (word(0)?, word(2)?, word(4)?);
        if flags & 0x8000 != 0 || count == 0 {
            return None;
        }
        let (mut at, mut parts) = (12, Vec::new());
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = message.get(at..at + length).filter(|_| length < 64)?;
            parts.push(label.iter().map(|byte| char::from(*byte)).collect::<String>());
            at += length;
        }
        let kind = Type::of(word(at)?);
        Some(Self { id, name: parts.join("."), kind, recursion: flags & RECURSION != 0 })
    }

    /// The same with an id that nobody chose.
    pub(super) fn with_other_id(&self) -> Self {
        Self { id: self.id.wrapping_add(1), ..self.clone() }
    }

    /// One that nobody asked.
    pub(super) fn other(&self) -> Self {
        Self { name: "other.invalid".into(), ..self.clone() }
    }

    /// A message that answers it.
    pub(super) fn answer(&self, code: u8, records: &[Record]) -> Vec<u8> {
        self.message(u16::from(code), records)
    }

    /// A message that says that there would be more.
    pub(super) fn cut_off(&self) -> Vec<u8> {
        self.message(CUT_OFF, &[])
    }

    fn message(&self, more: u16, records: &[Record]) -> Vec<u8> {
        let recursion = if self.recursion { RECURSION } else { 0 };
        let count = u16::try_from(records.len()).unwrap_or_default();
        let head = [self.id, RESPONSE | recursion | more, 1, count, 0, 0];
        let mut out = head.map(u16::to_be_bytes).concat();
        out.extend(labels(&self.name));
        out.extend([self.kind.number(), INTERNET].map(u16::to_be_bytes).concat());
        records.iter().for_each(|record| record.write(&mut out));
        out
    }
}

/// A name as its labels, each after its length.
fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let bytes: Vec<u8> =
            label.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).take(63).collect();
        out.push(u8::try_from(bytes.len()).unwrap_or_default());
        out.extend(bytes);
    }
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dig a-60.lab.test`, as it is on the wire.
    const ASKED: &[u8] = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\0\x04a-60\x03lab\x04test\0\0\x01\0\x01";

    #[test]
    fn a_question_is_read_and_its_answer_laid_out_as_the_rfc_has_it() {
        let question = Question::read(ASKED).unwrap();
        assert_eq!((question.to_string().as_str(), question.id), ("A a-60.lab.test", 0x1234));
        let record = Record::new("a-60.lab.test", 60, Data::A(Ipv4Addr::new(192, 0, 2, 7)));
        let expected = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x04a-60\x03lab\x04test\0\0\x01\0\x01\
            \x04a-60\x03lab\x04test\0\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07";
        assert_eq!(question.answer(NOERROR, &[record]), expected);
        assert_eq!(question.cut_off()[2..4], [0x83, 0x80]);
        assert!(Question::read(&question.cut_off()).is_none(), "an answer is no question");
    }

    #[test]
    fn bytes_that_are_no_question_are_none() {
        for end in 0..ASKED.len() - 2 {
            assert!(Question::read(&ASKED[..end]).is_none(), "{end}");
        }
        assert!(Question::read(&[0xff; 600]).is_none());
    }
}
