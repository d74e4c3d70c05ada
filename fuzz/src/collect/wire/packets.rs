//! Packets of one look, one after the other, as the fuzzer makes them up.

use glasshull_shared::domain::wire::Piece;
use glasshull_shared::unit::printable;

use super::conversation::{Conversations, Mark};
use super::follow::Follow;
use super::keep::{Kept, Stored};
use super::packet::{Form, Packet};
use super::{detail, secret, summary};
use crate::collect::network::flow_packet;
use crate::sys::capture::LINUX_SLL2;

/// `DLT_EN10MB` and `DLT_RAW`.
const ETHERNET: i32 = 1;
const RAW: i32 = 12;
/// Form, bytes kept and bytes more on the wire (both little-endian) stand before each packet.
const HEAD_BYTES: usize = 5;

/// What came of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Packets with a head of their link.
    pub packets: usize,
    /// Those that are in a flow.
    pub flows: usize,
    /// First lines of each; the words before the ends.
    pub protocols: Vec<String>,
    /// What was recognised in the first conversation.
    pub notes: Vec<String>,
    /// Bytes of the first conversation, as they are told.
    pub told: Vec<u8>,
    /// The same as the packets themselves show them.
    pub shown: Vec<u8>,
}

/// Takes packets apart, keeps them, follows the first conversation and shows each.
///
/// # Panics
/// When a text got through that could harm a terminal or a page, when more is shown of a packet than was kept, or heads are
/// longer than the packet: that is what the fuzzer looks for besides crashes.
pub fn wire_packet(mut bytes: &[u8]) -> Seen {
    let (mut seen, mut kept) = (Seen::default(), Kept::default());
    let (mut all, mut follow) = (Conversations::default(), Follow::new(1));
    let mut chunks = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() {
        let length = usize::from(u16::from_le_bytes([head[1], head[2]])).min(rest.len());
        let (data, rest) = rest.split_at(length);
        bytes = rest;
        let wire = (length + usize::from(u16::from_le_bytes([head[3], head[4]]))) as u32;
        let (form, link_type) = match head[0] % 3 {
            0 => (Form::Ethernet(7), ETHERNET),
            1 => (Form::Raw(7), RAW),
            _ => (Form::Sll2, LINUX_SLL2),
        };
        seen.flows += usize::from(flow_packet(link_type, data, wire, head[0] & 4 != 0));
        let Some(packet) = Packet::parse(form, data, wire) else { continue };
        assert!(packet.headers_length() <= data.len());
        let mark = packet.tcp().map(|t| Mark { seq: t.sequence_number(), syn: t.syn(), ack: t.ack() });
        let place = packet.ends().map(|ends| all.place(&ends, mark));
        let at = seen.packets as u64;
        kept.push(Stored { at, form, bytes: data, length: wire, place });
        seen.packets += 1;
        if let Some(place) = place.filter(|place| place.conversation == 1) {
            chunks.extend(follow.take(&packet, place, at));
        }
        for payload in [false, true] {
            let row = summary::row(&packet, place, payload);
            for text in [&row.source, &row.destination, &row.protocol, &row.info] {
                assert_eq!(*text, printable(text));
            }
            for layer in detail::layers(&packet, payload) {
                layer.fields.iter().for_each(|(_, value)| assert_eq!(*value, printable(value)));
            }
            if payload {
                seen.protocols.push(row.protocol);
            }
        }
    }
    chunks.extend(follow.finish(0));
    for chunk in chunks {
        match chunk.piece {
            Piece::Data(data) => seen.told.extend(data),
            Piece::Note(note) => seen.notes.push(note),
            Piece::Gap(_) | Piece::Middle | Piece::Fin | Piece::Reset | Piece::Cut => {}
        }
    }
    show(&kept, &mut seen);
    seen
}

/// Each packet as it is shown when somebody asks for it.
fn show(kept: &Kept, seen: &mut Seen) {
    for number in 1..=seen.packets as u32 {
        let Some(stored) = kept.get(number) else { continue };
        let Some(packet) = stored.packet() else { continue };
        let conversation = stored.place.map(|place| place.conversation);
        let others = conversation.into_iter().flat_map(|conversation| kept.of(conversation));
        let shown = secret::masked(&packet, stored.place, others);
        let heads = packet.headers_length();
        assert_eq!((shown.len(), &shown[..heads]), (stored.bytes.len(), &stored.bytes[..heads]));
        if conversation == Some(1) {
            seen.shown.extend(&shown[heads..heads + packet.payload().len()]);
        }
    }
}
