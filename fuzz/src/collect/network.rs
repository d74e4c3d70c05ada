//! `backend/src/collect/network`: what a reading makes of the kernel's answers.

#[path = "../../../backend/src/collect/network/flow/decode.rs"]
mod decode;
#[path = "../../../backend/src/collect/network/link.rs"]
mod link;
#[path = "../../../backend/src/collect/network/flow/dns/message.rs"]
mod message;
#[path = "../../../backend/src/collect/network/neighbour.rs"]
mod neighbour;
#[path = "../../../backend/src/collect/network/route.rs"]
mod route;

use glasshull_shared::unit::printable;

use crate::sys::netlink::{Dump, take};

/// Reads one datagram as an answer of the kernel's; returns the number of rows it gave and of messages not understood.
///
/// # Panics
/// When a text got through that could harm a terminal or a page: that is what the fuzzer looks for besides crashes.
pub fn netlink_dump(bytes: &[u8]) -> (usize, usize) {
    let mut dump = Dump::default();
    let _ = take(bytes, &mut dump);
    let mut addresses = link::addresses(&dump.messages);
    let links = link::rows(&dump.messages, &mut addresses);
    for row in &links {
        let texts =
            [Some(&row.link.name), Some(&row.link.kind), row.link.alias.as_ref(), row.link.mac.as_ref()];
        for text in texts.into_iter().flatten() {
            assert_eq!(*text, printable(text));
        }
    }
    let neighbours = neighbour::rows(&dump.messages, 1);
    let routes = route::rows(&dump.messages, 1);
    (links.len() + neighbours.len() + routes.len(), dump.unknown)
}

/// Reads one DNS message; returns how many records and addresses it has, `None` for what is none.
///
/// # Panics
/// When a name got through that is no plain text, or more addresses than there may be.
pub fn dns_message(bytes: &[u8]) -> Option<(u16, usize)> {
    let message = message::read(bytes)?;
    if let Some(question) = &message.question {
        assert!(question.name.bytes().all(|byte| byte.is_ascii_graphic()) && !question.name.is_empty());
        assert!(question.name.len() <= 4 * 255);
    }
    assert!(message.addresses.len() <= message::ADDRESSES_AT_MOST);
    Some((message.records, message.addresses.len()))
}

/// Whether one packet is in a flow.
pub(super) fn flow_packet(link_type: i32, bytes: &[u8], length: u32, loopback: bool) -> bool {
    decode::decode(link_type, bytes, length, loopback).is_some()
}
