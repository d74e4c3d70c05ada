//! What is counted of questions, once, and what is done when there is no room.

use super::super::tests::wire;
use super::*;
use crate::collect::network::flow::decode::{Fragment, Opener};
use glasshull_shared::domain::dns::DnsCounts;
use glasshull_shared::domain::network::Protocol;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const ASK: u16 = 0x0100;
const ANSWER: u16 = 0x8180;
const VETH: LinkKey = LinkKey { netns: 1, ifindex: 7 };
const BRIDGE: LinkKey = LinkKey { netns: 1, ifindex: 3 };

fn end(address: [u8; 4], port: u16) -> End {
    let mut all = [0; 16];
    all[..4].copy_from_slice(&address);
    End { address: all, port }
}

fn web(port: u16) -> End {
    end([10, 0, 0, 2], port)
}

fn server() -> End {
    end([10, 0, 0, 53], 53)
}

fn send(book: &mut Book, on: LinkKey, (from, to): (End, End), message: &[u8], at: u64) {
    let mut data = vec![0; 8];
    data[4..6].copy_from_slice(&(8 + message.len() as u16).to_be_bytes());
    data.extend(message);
    let packet = Decoded {
        ifindex: on.ifindex,
        bytes: data.len() as u32,
        protocol: Protocol::Udp,
        family: Family::V4,
        from,
        to,
        opener: Opener::Unknown,
        flags: 0,
        fragment: Fragment::Whole,
        inner: data.len() as u16,
    };
    book.enter(on, &packet, &data, at);
}

/// A question on a link and its answer 2 ms later.
fn asked(book: &mut Book, on: LinkKey, id: u16, name: &str, code: u16, at: u64) {
    send(book, on, (web(41000), server()), &wire(id, ASK, name, 1, &[]), at);
    let records: &[&[u8]] = if code == 0 { &[&[10, 0, 0, 9]] } else { &[] };
    send(book, on, (server(), web(41000)), &wire(id, ANSWER | code, name, 1, records), at + 2 * MS);
}

fn only(book: &Book) -> DnsHeard {
    let mut all = book.heard();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn each_question_counts_with_what_came_of_it() {
    let mut book = Book::default();
    for (id, (name, code)) in
        [("web", 0), ("web", 0), ("nowhere", 3), ("ill", 2), ("no", 5), ("odd", 1)].into_iter().enumerate()
    {
        asked(&mut book, VETH, id as u16, name, code, id as u64 * SECOND);
    }
    send(&mut book, VETH, (web(41000), server()), &wire(9, ASK, "web", 28, &[]), 7 * SECOND);
    send(&mut book, VETH, (server(), web(41000)), &wire(9, ANSWER, "web", 28, &[]), 7 * SECOND + 6 * MS);
    let row = only(&book);
    let counts = DnsCounts {
        queries: 7,
        answers: 2,
        nodata: 1,
        nxdomain: 1,
        servfail: 1,
        refused: 1,
        failed: 1,
        ..DnsCounts::default()
    };
    assert_eq!(row.tally.counts, counts);
    assert_eq!((row.tally.answered, row.tally.latency_sum_nanos, row.outstanding), (7, 18 * MS, 0));
    assert_eq!((row.tally.latency_max_nanos, row.tally.latency_last_nanos), (6 * MS, 6 * MS));
    assert_eq!((row.client, row.server), ([10, 0, 0, 2].into(), [10, 0, 0, 53].into()));
    let web = row.names.iter().find(|name| &*name.name == "web" && name.record == 1).unwrap();
    assert_eq!((web.tally.counts.queries, web.ttl_secs), (2, Some(60)));
    assert_eq!(web.addresses, [IpAddr::from([10, 0, 0, 9])]);
    assert_eq!(row.names.len(), 6);
}

#[test]
fn one_that_is_sent_again_is_the_same_and_one_without_an_answer_is_given_up() {
    let mut book = Book::default();
    let ask =
        |book: &mut Book, at| send(book, VETH, (web(41000), server()), &wire(7, ASK, "web", 1, &[]), at);
    let answer =
        |book: &mut Book, at| send(book, VETH, (server(), web(41000)), &wire(7, ANSWER, "web", 1, &[]), at);
    ask(&mut book, 0);
    ask(&mut book, 2 * SECOND);
    assert_eq!((only(&book).tally.counts.repeats, only(&book).outstanding), (1, 1));
    answer(&mut book, 3 * SECOND);
    answer(&mut book, 3 * SECOND + MS);
    let row = only(&book);
    assert_eq!((row.tally.counts.queries, row.tally.counts.nodata, row.outstanding), (1, 1, 0));
    assert_eq!(row.tally.latency_max_nanos, 3 * SECOND, "since it was first asked");
    // Nobody answers: by the clock, and when the answer comes too late.
    ask(&mut book, 10 * SECOND);
    book.sweep(15 * SECOND);
    assert_eq!(only(&book).tally.counts.timeouts, 0);
    book.sweep(15 * SECOND + MS);
    assert_eq!((only(&book).tally.counts.timeouts, only(&book).outstanding), (1, 0));
    ask(&mut book, 20 * SECOND);
    answer(&mut book, 26 * SECOND);
    ask(&mut book, 30 * SECOND);
    ask(&mut book, 36 * SECOND);
    let counts = only(&book).tally.counts;
    assert_eq!((counts.queries, counts.timeouts, counts.nodata, counts.repeats), (5, 3, 1, 1));
    assert_eq!(only(&book).names[0].tally.counts, counts);
}

#[test]
fn on_its_way_over_further_links_a_question_is_the_same_also_translated() {
    let mut book = Book::default();
    let host = end([192, 168, 0, 7], 55000);
    let (ask, answer) = (wire(7, ASK, "web", 1, &[]), wire(7, ANSWER, "web", 1, &[&[10, 0, 0, 9]]));
    let wan = LinkKey { netns: 1, ifindex: 2 };
    for round in 0..2 {
        let at = round * SECOND;
        send(&mut book, VETH, (web(41000), server()), &ask, at);
        send(&mut book, BRIDGE, (web(41000), server()), &ask, at + 1);
        send(&mut book, wan, (host, server()), &ask, at + 2);
        send(&mut book, wan, (server(), host), &answer, at + MS);
        send(&mut book, BRIDGE, (server(), web(41000)), &answer, at + MS + 1);
        send(&mut book, VETH, (server(), web(41000)), &answer, at + MS + 2);
    }
    let row = only(&book);
    assert_eq!((row.on, row.tally.counts.queries, row.tally.counts.answers), (VETH, 2, 2));
}

#[test]
fn loopback_of_another_namespace_is_somebody_else() {
    let mut book = Book::default();
    let (client, engine) = (end([127, 0, 0, 1], 41000), end([127, 0, 0, 11], 38011));
    for netns in [2, 3] {
        let lo = LinkKey { netns, ifindex: 1 };
        send(&mut book, lo, (client, engine), &wire(7, ASK, "db", 1, &[]), 0);
        // Behind the translation the answer comes from port 53 again.
        let back = end([127, 0, 0, 11], 53);
        send(&mut book, lo, (back, client), &wire(7, ANSWER, "db", 1, &[&[10, 0, 0, 3]]), MS);
    }
    let all = book.heard();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|row| row.tally.counts.answers == 1), "{all:?}");
}

#[test]
fn an_answer_to_another_question_or_from_elsewhere_is_none() {
    let mut book = Book::default();
    send(&mut book, VETH, (web(41000), server()), &wire(7, ASK, "web", 1, &[]), 0);
    let other = end([10, 0, 0, 66], 53);
    for (from, to, message) in [
        (server(), web(41000), wire(7, ANSWER, "bank", 1, &[])),
        (server(), web(41000), wire(8, ANSWER, "web", 1, &[])),
        (server(), web(41001), wire(7, ANSWER, "web", 1, &[])),
        (other, web(41000), wire(7, ANSWER, "web", 1, &[])),
        // The ends are the wrong way round.
        (web(41000), server(), wire(7, ANSWER, "web", 1, &[])),
        (server(), web(41000), wire(9, ASK, "web", 1, &[])),
    ] {
        send(&mut book, VETH, (from, to), &message, MS);
    }
    let row = only(&book);
    assert_eq!((row.tally.counts.queries, row.tally.counts.finished(), row.outstanding), (1, 0, 1));
    // One that does not repeat the question is taken at its number.
    send(&mut book, VETH, (server(), web(41000)), &[0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0], MS);
    assert_eq!(only(&book).tally.counts.failed, 1);
}

#[test]
fn names_are_bounded_and_those_asked_often_stay() {
    let mut book = Book::default();
    asked(&mut book, VETH, 0, "often", 0, 0);
    asked(&mut book, VETH, 1, "often", 0, 1);
    for i in 0..1000_u16 {
        asked(&mut book, VETH, 2 + i, &format!("random-{i}"), 3, u64::from(i) * 10 * MS + SECOND);
    }
    let row = only(&book);
    assert_eq!(row.names.len(), NAMES_AT_MOST);
    assert!(row.names.iter().any(|name| &*name.name == "often"));
    assert!(row.names.iter().any(|name| &*name.name == "random-999"));
    let listed: u64 = row.names.iter().map(|name| name.tally.counts.queries).sum();
    assert_eq!((listed + row.queries_left_out, row.tally.counts.nxdomain), (1002, 1000));
}

#[test]
fn clients_and_waiting_questions_are_bounded() {
    let mut book = Book::default();
    for i in 0..20_000_u32 {
        let [_, _, a, b] = i.to_be_bytes();
        let client = end([10, 1, a, b], 41000);
        send(&mut book, VETH, (client, server()), &wire(i as u16, ASK, &format!("n{i}"), 1, &[]), 1);
    }
    assert_eq!(book.clients.len(), CLIENTS_AT_MOST);
    assert!(book.waiting.len() <= WAITING_AT_MOST && book.passing.len() <= book.waiting.len());
    assert!(book.left_out >= 20_000 - 8_192);
    // Later there is room again.
    book.sweep(100 * SECOND);
    assert!(book.waiting.is_empty() && book.passing.is_empty());
    let before = book.left_out;
    send(&mut book, VETH, (web(41000), server()), &wire(1, ASK, "web", 1, &[]), 100 * SECOND);
    assert_eq!((book.left_out, book.clients.len()), (before, CLIENTS_AT_MOST));
    let names: usize = book.clients.values().map(|account| account.names.len()).sum();
    assert_eq!(names, book.names);
    book.keep_links(|_, ifindex| ifindex != VETH.ifindex);
    assert!(book.clients.is_empty() && book.waiting.is_empty() && book.names == 0);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_counted_adds_up(packets: Vec<(bool, u8, Vec<u8>)>) {
        let mut book = Book::default();
        for (at, (back, id, bytes)) in packets.iter().enumerate() {
            let ends = if *back { (server(), web(41000)) } else { (web(41000), server()) };
            send(&mut book, VETH, ends, bytes, at as u64);
            let flags = if *back { ANSWER | u16::from(*id & 7) } else { ASK };
            send(&mut book, VETH, ends, &wire((id & 3).into(), flags, "web", 1, &[]), at as u64 * SECOND);
        }
        for row in book.heard() {
            let waits = u64::from(row.outstanding);
            prop_assert_eq!(row.tally.counts.queries, row.tally.counts.finished() + waits);
        }
    }
}

#[test]
fn what_we_ask_ourselves_nobody_is_said_to_have_asked() {
    let mut book = Book::default();
    own_question::mark(41000, 4711);
    asked(&mut book, VETH, 4711, "db", 0, SECOND);
    assert!(book.heard().is_empty());
    asked(&mut book, VETH, 4712, "db", 0, SECOND);
    assert_eq!(only(&book).tally.counts.queries, 1);
}
