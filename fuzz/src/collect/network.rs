//! `backend/src/collect/network`: what a reading makes of the kernel's answers.

#[path = "../../../backend/src/collect/network/flow/decode.rs"]
mod decode;
#[path = "../../../backend/src/collect/network/link.rs"]
mod link;
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

/// Whether one packet is in a flow.
pub(super) fn flow_packet(link_type: i32, bytes: &[u8], length: u32, loopback: bool) -> bool {
    decode::decode(link_type, bytes, length, loopback).is_some()
}
