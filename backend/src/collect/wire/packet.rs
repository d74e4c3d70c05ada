//! One packet taken apart as far as it goes. From the bytes the kernel gave, to the line, the headers and the stream that are
//! made of it. Lax: what is cut short or broken is told up to there; nothing here panics on any bytes.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket, LinkSlice, TcpSlice, TransportSlice};
use glasshull_shared::domain::wire::Way;

/// Length of the head that packets have which were taken from all links at once (`LINKTYPE_LINUX_SLL2`).
const SLL2_BYTES: usize = 20;
/// `sll_pkttype` of a packet that leaves.
const OUTGOING: u8 = 4;

/// How the bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Ethernet; the link it was taken from.
    Ethernet(u32),
    /// IP at once (tun, wireguard); the link.
    Raw(u32),
    /// The kernel's own head, which names the link.
    Sll2,
}

/// A packet in its parts.
#[derive(Debug, Clone)]
pub(super) struct Packet<'a> {
    /// Link it was seen on.
    pub(super) ifindex: u32,
    /// Which way it went; `None` when its form does not tell.
    pub(super) way: Option<Way>,
    /// Type of what the link's header carries.
    pub(super) ether_type: u16,
    /// Hardware address of the sender, of the kernel's own head.
    pub(super) sll_source: Option<[u8; 6]>,
    /// Headers.
    pub(super) sliced: LaxSlicedPacket<'a>,
    /// All bytes kept.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire.
    pub(super) length: u32,
}

/// Both ends of what has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ends {
    /// Whether it is TCP; else UDP.
    pub(super) tcp: bool,
    /// Sender.
    pub(super) source: SocketAddr,
    /// Receiver.
    pub(super) destination: SocketAddr,
}

impl<'a> Packet<'a> {
    /// Takes `bytes` apart; `length` is what there was on the wire. `None` when not even the link's header is whole.
    pub(super) fn parse(form: Form, bytes: &'a [u8], length: u32) -> Option<Self> {
        let (ifindex, way, sll_source, sliced, ether_type) = match form {
            Form::Ethernet(ifindex) => {
                let sliced = LaxSlicedPacket::from_ethernet(bytes).ok()?;
                let ether_type = bytes.get(12..14)?;
                (ifindex, None, None, sliced, u16::from_be_bytes([ether_type[0], ether_type[1]]))
            }
            Form::Raw(ifindex) => {
                let version = bytes.first()? >> 4;
                let ether_type = if version == 6 { 0x86dd } else { 0x0800 };
                (ifindex, None, None, LaxSlicedPacket::from_ether_type(ether_type.into(), bytes), ether_type)
            }
            Form::Sll2 => {
                let (head, rest) = bytes.split_first_chunk::<SLL2_BYTES>()?;
                let ether_type = u16::from_be_bytes([head[0], head[1]]);
                let ifindex = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                let way = Some(if head[10] == OUTGOING { Way::Out } else { Way::In });
                let mac =
                    (head[11] == 6).then(|| [head[12], head[13], head[14], head[15], head[16], head[17]]);
                (ifindex, way, mac, LaxSlicedPacket::from_ether_type(ether_type.into(), rest), ether_type)
            }
        };
        Some(Self { ifindex, way, ether_type, sll_source, sliced, bytes, length })
    }

    /// IP addresses of sender and receiver.
    pub(super) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.sliced.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
            }
            LaxNetSlice::Ipv6(ip) => {
                Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
            }
            LaxNetSlice::Arp(_) => None,
        }
    }

    /// Addresses and ports, of TCP and UDP.
    pub(super) fn ends(&self) -> Option<Ends> {
        let (source, destination) = self.addresses()?;
        let (tcp, from, to) = match self.sliced.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => (true, tcp.source_port(), tcp.destination_port()),
            TransportSlice::Udp(udp) => (false, udp.source_port(), udp.destination_port()),
            TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => return None,
        };
        Some(Ends { tcp, source: (source, from).into(), destination: (destination, to).into() })
    }

    /// The TCP header.
    pub(super) fn tcp(&self) -> Option<&TcpSlice<'a>> {
        match self.sliced.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => Some(tcp),
            TransportSlice::Udp(_)
            | TransportSlice::Icmpv4(_)
            | TransportSlice::Icmpv6(_)
            | TransportSlice::Igmp(_) => None,
        }
    }

    /// What the protocol under IP is.
    pub(super) fn ip_number(&self) -> Option<IpNumber> {
        match self.sliced.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => Some(ip.payload_ip_number()),
            LaxNetSlice::Ipv6(ip) => Some(ip.payload().ip_number),
            LaxNetSlice::Arp(_) => None,
        }
    }

    /// Bytes that TCP or UDP carry, as far as they were kept.
    pub(super) fn payload(&self) -> &'a [u8] {
        match &self.sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => tcp.payload(),
            Some(TransportSlice::Udp(udp)) => udp.payload(),
            Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_)) | None => {
                &[]
            }
        }
    }

    /// Bytes that TCP or UDP carried on the wire.
    pub(super) fn payload_length(&self) -> u32 {
        match &self.sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                self.ip_payload_length().saturating_sub(u32::try_from(tcp.header_slice().len()).unwrap_or(0))
            }
            Some(TransportSlice::Udp(udp)) if udp.length() >= 8 => u32::from(udp.length()) - 8,
            Some(TransportSlice::Udp(_)) => self.ip_payload_length().saturating_sub(8),
            Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_)) | None => 0,
        }
    }

    /// Bytes behind the IP headers, on the wire.
    pub(super) fn ip_payload_length(&self) -> u32 {
        let (at, header, total) = match &self.sliced.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header().slice().len() + ip.extensions().auth.map_or(0, |a| a.slice().len());
                (offset(self.bytes, ip.header().slice()), header, u32::from(ip.header().total_len()))
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let length = u32::from(ip.header().payload_length());
                let total = if length == 0 { 0 } else { length + 40 };
                (offset(self.bytes, ip.header().slice()), 40 + ip.extensions().slice().len(), total)
            }
            Some(LaxNetSlice::Arp(_)) | None => return 0,
        };
        // A packet over 64 KiB that the card will cut says 0.
        let total = if total == 0 { self.length.saturating_sub(number(at)) } else { total };
        total.saturating_sub(number(header))
    }

    /// Bytes of all headers together: what is kept when payload is not to be seen.
    pub(super) fn headers_length(&self) -> usize {
        let transport = match &self.sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => Some(tcp.header_slice()),
            Some(TransportSlice::Udp(udp)) => Some(udp.header_slice()),
            // Behind the first eight bytes errors quote the packet they are about.
            Some(TransportSlice::Icmpv4(icmp)) => icmp.slice().get(..8),
            Some(TransportSlice::Icmpv6(icmp)) => icmp.slice().get(..8),
            Some(TransportSlice::Igmp(_)) | None => None,
        };
        if let Some(header) = transport {
            return offset(self.bytes, header) + header.len();
        }
        let net = match &self.sliced.net {
            Some(LaxNetSlice::Ipv4(ip)) => Some(offset(self.bytes, ip.payload().payload)),
            Some(LaxNetSlice::Ipv6(ip)) => Some(offset(self.bytes, ip.payload().payload)),
            Some(LaxNetSlice::Arp(arp)) => Some(offset(self.bytes, arp.slice()) + arp.slice().len()),
            None => None,
        };
        net.or_else(|| Some(offset(self.bytes, self.sliced.ether_payload()?.payload)))
            .unwrap_or(match &self.sliced.link {
                Some(LinkSlice::Ethernet2(_)) => 14,
                Some(LinkSlice::LinuxSll(_) | LinkSlice::EtherPayload(_) | LinkSlice::LinuxSllPayload(_))
                | None => 0,
            })
            .min(self.bytes.len())
    }
}

/// Where in `whole` a part of it begins; its end when it is no part.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .filter(|at| at + part.len() <= whole.len())
        .unwrap_or(whole.len())
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "packet_test.rs"]
mod tests;
