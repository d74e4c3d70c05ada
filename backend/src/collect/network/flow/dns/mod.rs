//! DNS in the packets of flows: which packets are about names, the message in them, and the book of who asked what and how it
//! turned out. Only port 53 and an engine's resolver are looked at, which answers on any port of 127.0.0.11: inside of a container
//! a question is translated to that before `lo` shows it.

pub(super) mod book;
mod message;

use glasshull_shared::domain::dns::ENGINE_RESOLVER;
use glasshull_shared::domain::network::Protocol;

use super::decode::{Decoded, End, Family, Fragment};
use message::Message;

const PORT: u16 = 53;
const ENGINE: [u8; 4] = ENGINE_RESOLVER.octets();

/// Whether a packet may be about names. Asked of every packet.
pub(super) fn concerns(packet: &Decoded) -> bool {
    (packet.protocol == Protocol::Udp || packet.protocol == Protocol::Tcp)
        && (answers(packet.family, &packet.from) || answers(packet.family, &packet.to))
}

/// Whether an end is one that answers for names.
fn answers(family: Family, end: &End) -> bool {
    end.port == PORT || (family == Family::V4 && end.address[..4] == ENGINE)
}

/// The message in a packet of which `data` was copied. Over TCP one that a segment holds from its beginning; of a packet in pieces
/// the first.
fn message(packet: &Decoded, data: &[u8]) -> Option<Message> {
    if matches!(packet.fragment, Fragment::Later(_)) {
        return None;
    }
    let inner = data.get(data.len().checked_sub(packet.inner.into())?..)?;
    if packet.protocol == Protocol::Udp {
        let length = usize::from(u16::from_be_bytes(*inner.get(4..)?.first_chunk::<2>()?));
        // What follows is padding of the link.
        return message::read(inner.get(8..length.min(inner.len()))?);
    }
    let head = usize::from(*inner.get(12)? >> 4) * 4;
    let (length, rest) = inner.get(head.max(20)..)?.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    message::read(rest.get(..length.min(rest.len()))?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message about one name: flags, records that answer.
    pub(in super::super) fn wire(id: u16, flags: u16, name: &str, record: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [id, flags, 1, records.len() as u16, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(record.to_be_bytes());
        bytes.extend(1_u16.to_be_bytes());
        for data in records {
            bytes.extend([0xc0, 12]);
            bytes.extend(if data.len() == 4 { 1_u16 } else { 28 }.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    fn end(address: [u8; 4], port: u16) -> End {
        let mut all = [0; 16];
        all[..4].copy_from_slice(&address);
        End { address: all, port }
    }

    fn packet(protocol: Protocol, from: End, to: End, inner: usize) -> Decoded {
        Decoded {
            ifindex: 7,
            bytes: 100,
            protocol,
            family: Family::V4,
            from,
            to,
            opener: super::super::decode::Opener::Unknown,
            flags: 0,
            fragment: Fragment::Whole,
            inner: inner as u16,
        }
    }

    #[test]
    fn port_53_and_the_engine_s_resolver_are_looked_at_and_nothing_else() {
        let (client, other) = (end([10, 0, 0, 2], 41000), end([10, 0, 0, 3], 5353));
        let concerned = |protocol, from, to| concerns(&packet(protocol, from, to, 0));
        assert!(concerned(Protocol::Udp, client, end([10, 0, 0, 3], 53)));
        assert!(concerned(Protocol::Tcp, end([10, 0, 0, 3], 53), client));
        assert!(concerned(Protocol::Udp, client, end(ENGINE, 41233)));
        assert!(!concerned(Protocol::Udp, client, other));
        assert!(!concerned(Protocol::Icmp, client, end(ENGINE, 0)));
        let six = Decoded { family: Family::V6, ..packet(Protocol::Udp, client, end(ENGINE, 41233), 0) };
        assert!(!concerns(&six), "7f00:b:: is somebody else");
    }

    #[test]
    fn a_message_is_found_in_datagrams_and_segments_and_padding_is_none() {
        let said = wire(7, 0x0100, "web", 1, &[]);
        let mut udp = vec![0xee; 34];
        udp.extend([0xa0, 0x28, 0, 53]);
        udp.extend((8 + said.len() as u16).to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&said);
        udp.extend([0xff; 9]);
        let (client, server) = (end([10, 0, 0, 2], 41000), end([10, 0, 0, 3], 53));
        let of = |protocol, data: &[u8], inner| message(&packet(protocol, client, server, inner), data);
        let found = of(Protocol::Udp, &udp, udp.len() - 34).unwrap();
        assert_eq!((found.id, &*found.question.unwrap().name), (7, "web"));
        let mut tcp = vec![0xee; 34];
        tcp.extend([0; 12]);
        tcp.extend([0x60, 0x18, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
        tcp.extend((said.len() as u16).to_be_bytes());
        tcp.extend(&said);
        assert_eq!(of(Protocol::Tcp, &tcp, tcp.len() - 34).unwrap().id, 7);
        for cut in 0..udp.len() - 34 {
            let _ = of(Protocol::Udp, &udp[..34 + cut], cut);
            let _ = of(Protocol::Tcp, &tcp[..34 + cut], cut);
        }
        assert_eq!(of(Protocol::Udp, &udp, 9999), None, "more than there is");
        let later = Decoded { fragment: Fragment::Later(1), ..packet(Protocol::Udp, client, server, 40) };
        assert_eq!(message(&later, &udp), None);
    }
}
