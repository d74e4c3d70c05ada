//! Messages as they come, cut at every byte, and such as are made to harm.

use super::super::tests::wire;
use super::*;
use proptest::prelude::*;

const ANSWER: u16 = 0x8180;

#[test]
fn questions_and_answers_are_read() {
    let asked = read(&wire(4711, 0x0100, "Web.Example.ORG", 28, &[])).unwrap();
    assert_eq!((asked.id, asked.answers, asked.ttl_secs), (4711, false, None));
    assert_eq!(asked.question, Some(Question { name: "web.example.org".into(), record: 28 }));
    let mut bytes = wire(4711, ANSWER, "web", 1, &[&[10, 0, 0, 2], &[10, 0, 0, 3]]);
    let last = bytes.len() - 7;
    bytes[last] = 9; // TTL of the second
    let answer = read(&bytes).unwrap();
    assert!(answer.answers && !answer.truncated);
    assert_eq!(answer.addresses, [IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])]);
    assert_eq!((answer.records, answer.ttl_secs, answer.code), (2, Some(9), 0));
    let none = read(&wire(4711, ANSWER | 3, "nowhere", 1, &[])).unwrap();
    assert_eq!((none.code, none.records), (3, 0));
    assert!(read(&wire(4711, ANSWER | 0x0200, "web", 1, &[])).unwrap().truncated);
    assert_eq!(&*read(&wire(1, 0x0100, "", 2, &[])).unwrap().question.unwrap().name, ".");
}

#[test]
fn what_was_copied_of_an_answer_counts_and_the_number_of_addresses_is_bounded() {
    let all: Vec<[u8; 4]> = (0..30).map(|last| [10, 0, 0, last]).collect();
    let records: Vec<&[u8]> = all.iter().map(|a| &a[..]).collect();
    let bytes = wire(1, ANSWER, "web", 1, &records);
    assert_eq!(read(&bytes).unwrap().addresses.len(), ADDRESSES_AT_MOST);
    let question = wire(1, ANSWER, "web", 1, &[]).len();
    for end in 0..bytes.len() {
        let cut = read(&bytes[..end]);
        assert_eq!(cut.is_some(), end >= question, "{end}");
        let whole = end.saturating_sub(question) / 16;
        assert_eq!(cut.map_or(0, |m| m.addresses.len()), whole.min(ADDRESSES_AT_MOST), "{end}");
    }
}

/// A question whose name is these bytes.
fn named(name: &[u8]) -> Option<Message> {
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(name);
    bytes.extend([0, 1, 0, 1]);
    read(&bytes)
}

#[test]
fn names_that_lead_to_themselves_or_are_too_long_are_none() {
    assert_eq!(named(&[0xc0, 12]), None, "to itself");
    assert_eq!(named(&[1, b'a', 0xc0, 12]), None, "to its own beginning, for ever");
    assert_eq!(named(&[0xc0, 14, 0xc0, 12]), None, "forward and back");
    assert_eq!(named(&[0x80, 1, 0]), None, "no label");
    let labels: Vec<u8> = std::iter::repeat_n([63; 64], 4).flatten().chain([0]).collect();
    assert_eq!(named(&labels), None, "257 bytes");
    assert!(named(&[&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat()).is_some());
}

#[test]
fn a_hostile_name_is_plain_text() {
    let name = named(b"\x09a.b\\c\n\xe2\x80\xae\x04<x>=\0").unwrap().question.unwrap().name;
    assert_eq!(&*name, r"a\046b\092c\010\226\128\174.<x>=");
    assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
}

#[test]
fn what_is_no_question_or_answer_is_none() {
    for flags in [0x2800, 0x2000, 0xa800] {
        assert_eq!(read(&wire(1, flags, "web", 1, &[])), None, "update, notify: {flags:#x}");
    }
    assert_eq!(read(&wire(1, 0x0100, "web", 1, &[&[10, 0, 0, 2]])), None, "a question that answers");
    let mut two = wire(1, 0x0100, "web", 1, &[]);
    two[5] = 2;
    assert_eq!(read(&two), None);
    assert_eq!(read(&[0xff; 65_535]), None);
    // An answer without its question, as to what was no question.
    let bare = read(&[0, 9, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!((bare.id, bare.code, bare.question), (9, 1, None));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, more in 0_usize..200) {
        let _ = read(&bytes);
        let mut answer = wire(1, ANSWER, "web", 1, &[&[10, 0, 0, 2], &[0; 16]]);
        for (place, byte) in bytes.iter().enumerate() {
            let at = (place * 7 + more) % answer.len();
            answer[at] = *byte;
            let _ = read(&answer);
        }
    }
}
