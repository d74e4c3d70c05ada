//! One conversation as both sides sent it: TCP put together again, UDP datagram by datagram. From its packets, old ones first,
//! to chunks in the order in which they were seen.

use glasshull_shared::domain::wire::{Chunk, Piece, Side};

use super::conversation::Place;
use super::dns;
use super::http::{Mask, Messages};
use super::packet::Packet;
use super::stream::{Half, Segment};

/// Bytes of a conversation over UDP that are told.
const DATAGRAMS_AT_MOST: usize = 1 << 20;

/// A conversation that somebody follows.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// Its number.
    pub(super) conversation: u32,
    sides: [Speaker; 2],
    /// UDP: the link whose copies count. With all links at once a datagram is seen on each that it passes.
    link: Option<u32>,
    told: usize,
    cut: bool,
}

/// One side.
#[derive(Debug, Default)]
struct Speaker {
    half: Half,
    mask: Mask,
    messages: Messages,
}

impl Follow {
    /// Nothing seen yet.
    pub(super) fn new(conversation: u32) -> Self {
        Self { conversation, ..Self::default() }
    }

    /// What a packet of the conversation adds.
    pub(super) fn take(&mut self, packet: &Packet<'_>, place: Place, at: u64) -> Vec<Chunk> {
        let Some(ends) = packet.ends() else { return Vec::new() };
        let names = dns::is_between(ends.source, ends.destination);
        let Some(tcp) = packet.tcp() else { return self.datagram(packet, place.side, at, names) };
        let segment = Segment {
            seq: tcp.sequence_number(),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            length: packet.payload_length(),
            data: packet.payload(),
        };
        let mut chunks = Vec::new();
        let mut pieces = Vec::new();
        self.side(place.side).half.take(segment, &mut pieces);
        self.tell(place.side, at, pieces, names, &mut chunks);
        if tcp.ack() {
            let mut pieces = Vec::new();
            let other = other(place.side);
            self.side(other).half.acknowledged(tcp.acknowledgment_number(), &mut pieces);
            self.tell(other, at, pieces, names, &mut chunks);
        }
        chunks
    }

    /// No more packets will come.
    pub(super) fn finish(&mut self, at: u64) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for side in [Side::First, Side::Second] {
            let mut pieces = Vec::new();
            self.side(side).half.finish(&mut pieces);
            self.tell(side, at, pieces, false, &mut chunks);
        }
        chunks
    }

    fn side(&mut self, side: Side) -> &mut Speaker {
        let [first, second] = &mut self.sides;
        match side {
            Side::First => first,
            Side::Second => second,
        }
    }

    /// Recognises and masks what comes out of TCP.
    fn tell(&mut self, side: Side, at: u64, pieces: Vec<Piece>, names: bool, chunks: &mut Vec<Chunk>) {
        let conversation = self.conversation;
        let speaker = self.side(side);
        let mut chunk = |piece| chunks.push(Chunk { conversation, side, at, piece });
        for piece in pieces {
            match piece {
                Piece::Data(mut data) => {
                    speaker.messages.take(&data).into_iter().for_each(|line| chunk(Piece::Note(line)));
                    // Over TCP each message has its length before it.
                    if let Some(line) = data.get(2..).filter(|_| names).and_then(dns::line) {
                        chunk(Piece::Note(line));
                    }
                    speaker.mask.apply(&mut data);
                    chunk(Piece::Data(data));
                }
                Piece::Gap(lost) => {
                    let in_head = speaker.messages.lose(lost);
                    speaker.mask.lose(in_head);
                    chunk(Piece::Gap(lost));
                }
                other @ (Piece::Note(_) | Piece::Middle | Piece::Fin | Piece::Reset | Piece::Cut) => {
                    chunk(other)
                }
            }
        }
    }

    fn datagram(&mut self, packet: &Packet<'_>, side: Side, at: u64, names: bool) -> Vec<Chunk> {
        let conversation = self.conversation;
        let chunk = |piece| Chunk { conversation, side, at, piece };
        if *self.link.get_or_insert(packet.ifindex) != packet.ifindex || self.cut {
            return Vec::new();
        }
        let mut data = packet.payload().to_vec();
        self.told += data.len();
        if self.told > DATAGRAMS_AT_MOST {
            self.cut = true;
            return vec![chunk(Piece::Cut)];
        }
        let mut chunks = Vec::new();
        chunks.extend(dns::line(&data).filter(|_| names).map(|line| chunk(Piece::Note(line))));
        Mask::default().apply(&mut data);
        let lost = u64::from(packet.payload_length()).saturating_sub(data.len() as u64);
        if !data.is_empty() {
            chunks.push(chunk(Piece::Data(data)));
        }
        if lost > 0 {
            chunks.push(chunk(Piece::Gap(lost)));
        }
        chunks
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::First => Side::Second,
        Side::Second => Side::First,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::super::conversation::{Conversations, Mark};
    use super::super::packet::Form;
    use super::*;

    /// A conversation over TCP: who sends, number, opens or ends it, and what.
    fn follow(packets: &[(bool, u32, &str, &[u8])]) -> Vec<(Side, Piece)> {
        let (mut all, mut follow, mut chunks) = (Conversations::default(), Follow::new(1), Vec::new());
        for (i, (client, seq, flags, data)) in packets.iter().enumerate() {
            let (from, to) = if *client { (9, 80) } else { (80, 9) };
            let mut bytes = Vec::new();
            let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4([10, 0, 0, from as u8], [10, 0, 0, to as u8], 64)
                .tcp(from, to, *seq, 500);
            for flag in flags.chars() {
                builder = match flag {
                    'S' => builder.syn(),
                    'F' => builder.fin(),
                    _ => builder.rst(),
                };
            }
            builder.write(&mut bytes, data).unwrap();
            let packet = Packet::parse(Form::Ethernet(1), &bytes, bytes.len() as u32).unwrap();
            let tcp = packet.tcp().unwrap();
            let mark = Mark { seq: *seq, syn: tcp.syn(), ack: tcp.ack() };
            let place = all.place(&packet.ends().unwrap(), Some(mark));
            chunks.extend(follow.take(&packet, place, i as u64));
        }
        chunks.extend(follow.finish(99));
        chunks.into_iter().map(|chunk| (chunk.side, chunk.piece)).collect()
    }

    #[test]
    fn both_sides_are_told_in_the_order_seen_with_what_was_recognised() {
        use Side::{First, Second};
        let request = b"GET /a HTTP/1.1\r\nHost: web\r\nCookie: secret\r\n\r\n";
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let told = follow(&[
            (true, 99, "S", b""),
            (false, 499, "S", b""),
            (true, 100, "", request),
            (false, 500, "", answer),
            (false, 500 + answer.len() as u32, "F", b""),
        ]);
        let masked = String::from_utf8(request.to_vec()).unwrap().replace(" secret", "*******").into_bytes();
        assert_eq!(
            told,
            [
                (First, Piece::Note("GET /a HTTP/1.1 · web".into())),
                (First, Piece::Data(masked)),
                (Second, Piece::Note("HTTP/1.1 200 OK".into())),
                (Second, Piece::Data(answer.to_vec())),
                (Second, Piece::Fin),
            ]
        );
    }

    #[test]
    fn a_secret_is_masked_wherever_two_packets_cut_it_and_in_whichever_order_they_come() {
        let request = b"GET / HTTP/1.1\r\nCookie: secret\r\nX: y\r\n\r\n";
        let masked = b"GET / HTTP/1.1\r\nCookie:*******\r\nX: y\r\n\r\n";
        let told = |packets: &[(bool, u32, &str, &[u8])]| {
            let data = |piece| if let Piece::Data(data) = piece { data } else { Vec::new() };
            follow(packets).into_iter().flat_map(|(_, piece)| data(piece)).collect::<Vec<u8>>()
        };
        for cut in 1..request.len() {
            let (first, second) = request.split_at(cut);
            let (opening, first) = ((true, 99, "S", &b""[..]), (true, 100, "", first));
            let second = (true, 100 + cut as u32, "", second);
            assert_eq!(told(&[opening, first, second]), masked, "cut at {cut}");
            assert_eq!(told(&[opening, second, first, second]), masked, "cut at {cut}");
        }
    }

    #[test]
    fn a_reset_and_a_gap_are_marked() {
        let told = follow(&[(true, 99, "S", b""), (true, 103, "", b"de"), (true, 105, "R", b"")]);
        let pieces: Vec<_> = told.into_iter().map(|(_, piece)| piece).collect();
        assert_eq!(pieces, [Piece::Gap(3), Piece::Data(b"de".to_vec()), Piece::Reset]);
    }

    #[test]
    fn a_datagram_is_told_once_although_every_link_on_its_way_sees_it() {
        let question = b"\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x00\x00\x01\x00\x01";
        let mut bytes = Vec::new();
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(9, 53);
        builder.write(&mut bytes, question).unwrap();
        let mut follow = Follow::new(1);
        let place = Place { conversation: 1, side: Side::First, base: 0, other_base: None };
        let mut take = |link| {
            let packet = Packet::parse(Form::Ethernet(link), &bytes, bytes.len() as u32).unwrap();
            follow.take(&packet, place, 1).into_iter().map(|chunk| chunk.piece).collect::<Vec<_>>()
        };
        assert_eq!(take(3), [Piece::Note("4711+ A? web.".into()), Piece::Data(question.to_vec())]);
        assert_eq!(take(4), []);
    }
}
