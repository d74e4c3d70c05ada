//! Secrets masked in the bytes of a single packet, also where their line began in packets before it. From what was kept of its
//! conversation, to its bytes as they are shown.

use etherparse::TcpSlice;

use super::conversation::Place;
use super::http::Mask;
use super::keep::Stored;
use super::packet::Packet;

/// Bytes before a packet that are looked at: a line of a head that is longer is none.
const BEFORE: usize = 16 << 10;

/// The bytes of a packet with the secrets in what it carries masked. `kept` are the packets of its conversation, oldest first.
pub(super) fn masked<'a>(
    packet: &Packet<'_>,
    place: Option<Place>,
    kept: impl Iterator<Item = Stored<'a>>,
) -> Vec<u8> {
    let mut bytes = packet.bytes.to_vec();
    let (at, carried) = (packet.headers_length(), packet.payload().len());
    if let Some(payload) = bytes.get_mut(at..at + carried) {
        let mut mask = match packet.tcp().zip(place) {
            Some((tcp, place)) => before(tcp, place, kept),
            // A datagram goes on with nothing.
            None => Mask::default(),
        };
        mask.apply(payload);
    }
    bytes
}

/// The mask as it is where a packet begins, from what its side sent before.
fn before<'a>(tcp: &TcpSlice<'_>, place: Place, kept: impl Iterator<Item = Stored<'a>>) -> Mask {
    let begin = first_byte(tcp);
    // The last of these stands right before the packet.
    let mut bytes: Vec<Option<u8>> = vec![None; BEFORE];
    for stored in kept.filter(|stored| stored.place.is_some_and(|other| other.side == place.side)) {
        let Some(other) = stored.packet() else { continue };
        let Some(segment) = other.tcp() else { continue };
        let ahead = i64::from(first_byte(segment).wrapping_sub(begin).cast_signed()) + BEFORE as i64;
        let (at, from) = (usize::try_from(ahead).unwrap_or(0), usize::try_from(-ahead).unwrap_or(0));
        for (byte, came) in bytes.iter_mut().skip(at).zip(other.payload().iter().skip(from)) {
            // The first copy counts, as it does in the stream.
            byte.get_or_insert(*came);
        }
    }
    let known = bytes.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
    let behind = u32::try_from(BEFORE - known).unwrap_or(0);
    let from_opening = begin.wrapping_sub(behind).wrapping_sub(place.base).cast_signed();
    let mut line: Vec<u8> = bytes.into_iter().skip(known).flatten().collect();
    let mut mask = Mask::default();
    // The opening itself has a number. What was there before we looked cannot be known; what was lost since may be half a secret.
    let lost = known > 0 && from_opening > 1;
    if lost && line.iter().chain(tcp.payload()).take_while(|byte| !is_end(**byte)).all(|byte| is_text(*byte))
    {
        mask.lose(true);
    }
    mask.apply(&mut line);
    mask
}

/// Number of the first byte that it carries.
fn first_byte(tcp: &TcpSlice<'_>) -> u32 {
    tcp.sequence_number().wrapping_add(u32::from(tcp.syn()))
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// What values of headers are made of (RFC 9110, 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::super::conversation::{Conversations, Mark};
    use super::super::keep::Kept;
    use super::super::packet::Form;
    use super::*;

    const OPENING: u32 = u32::MAX - 20;
    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: web\r\nCookie: a=b;\r\n\tc=d\r\nAuthorization: Basic eA==\r\nX: y\r\n\r\nbody";
    const MASKED: &[u8] =
        b"GET / HTTP/1.1\r\nHost: web\r\nCookie:*****\r\n****\r\nAuthorization:***********\r\nX: y\r\n\r\nbody";

    fn segment(at: usize, syn: bool, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let seq = OPENING.wrapping_add(at as u32 + u32::from(!syn));
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        let builder = builder.tcp(9, 80, seq, 500);
        let builder = if syn { builder.syn() } else { builder };
        builder.write(&mut bytes, data).unwrap();
        bytes
    }

    /// What each of these parts of a stream, by their places in it, is shown as.
    fn shown(parts: &[(usize, &[u8])]) -> Vec<Vec<u8>> {
        let (mut kept, mut all) = (Kept::default(), Conversations::default());
        let opening = segment(0, true, b"");
        let segments = parts.iter().map(|(at, data)| segment(*at, false, data));
        for bytes in std::iter::once(opening).chain(segments) {
            let length = bytes.len() as u32;
            let packet = Packet::parse(Form::Ethernet(1), &bytes, length).unwrap();
            let tcp = packet.tcp().unwrap();
            let mark = Mark { seq: tcp.sequence_number(), syn: tcp.syn(), ack: false };
            let place = Some(all.place(&packet.ends().unwrap(), Some(mark)));
            kept.push(Stored { at: 1, form: Form::Ethernet(1), bytes: &bytes, length, place });
        }
        let show = |number| {
            let stored = kept.get(number).unwrap();
            let packet = stored.packet().unwrap();
            let all = masked(&packet, stored.place, kept.of(stored.place.unwrap().conversation));
            assert_eq!(all[..packet.headers_length()], packet.bytes[..packet.headers_length()]);
            all[packet.headers_length()..].to_vec()
        };
        (2..2 + parts.len() as u32).map(show).collect()
    }

    #[test]
    fn a_secret_is_masked_in_both_packets_wherever_it_is_cut() {
        for cut in 1..REQUEST.len() {
            let (first, second) = REQUEST.split_at(cut);
            let told = shown(&[(0, first), (cut, second)]);
            assert_eq!(told.concat(), MASKED, "cut at {cut}");
            // The first one comes late, and again.
            let told = shown(&[(cut, second), (0, first), (0, first)]);
            assert_eq!([&told[1][..], &told[0]].concat(), MASKED, "cut at {cut}");
            assert_eq!(told[2], told[1]);
        }
    }

    #[test]
    fn a_secret_byte_by_byte_is_masked_in_each() {
        let parts: Vec<(usize, &[u8])> = REQUEST.chunks(1).enumerate().collect();
        assert_eq!(shown(&parts).concat(), MASKED);
    }

    #[test]
    fn behind_lost_bytes_the_rest_of_a_line_may_be_a_secret_and_what_is_no_text_is_none() {
        assert_eq!(shown(&[(40, b"cret\r\nHost: web")]), [b"****\r\nHost: web"]);
        assert_eq!(shown(&[(40, b"cr"), (42, b"et\r\nX")]), [&b"**"[..], b"**\r\nX"]);
        assert_eq!(shown(&[(40, b"\x17\x03\x03 cookie")]), [b"\x17\x03\x03 cookie"]);
    }
}
