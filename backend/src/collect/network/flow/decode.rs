//! From the first bytes of a packet to whose it is: link head, VLAN tags, IPv4, IPv6 with its extensions, ARP, and of TCP, UDP
//! and ICMP what names the ends. By hand: only what a flow needs, no check sums (the kernel has not made them yet), and packets
//! that were cut at the snaplen tell as much as is there. No bytes panic.

use glasshull_shared::domain::network::Protocol;

use crate::sys::capture::LINUX_SLL2;

const EN10MB: i32 = 1;
const RAW: i32 = 12;
const LINUX_SLL: i32 = 113;

const SLL2_BYTES: usize = 20;
const ETHERNET_BYTES: usize = 14;
/// `ARPHRD_ETHER`.
const HARDWARE_ETHERNET: u16 = 1;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
/// Tags: 802.1Q, 802.1ad and what came before it.
const VLANS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// `ETH_P_802_2`: what the kernel calls frames that give a length where others give a type.
const LLC: u16 = 4;
const LEAST_ETHERTYPE: u16 = 0x0600;
/// Tags and extensions that are followed.
const NESTED_AT_MOST: usize = 8;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Family {
    /// The first 4 bytes.
    V4,
    /// All 16.
    V6,
    /// The first 6; the destination may be unknown.
    Mac,
}

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct End {
    /// As [`Family`] says, the rest zero.
    pub(super) address: [u8; 16],
    /// 0 for protocols without.
    pub(super) port: u16,
}

/// Who opened the flow, as far as one packet tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// It does not tell.
    Unknown,
    /// Who sent this packet: a request.
    Sender,
    /// Who gets it: an answer.
    Receiver,
}

/// A piece of a packet that was cut (IP fragments): only the first has the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Not cut.
    Whole,
    /// With ports, of the packet with this number.
    First(u32),
    /// Without.
    Later(u32),
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The link it was seen on; 0 when only the capture knows.
    pub(super) ifindex: u32,
    /// Its length as the link counts it.
    pub(super) bytes: u32,
    pub(super) protocol: Protocol,
    pub(super) family: Family,
    pub(super) from: End,
    pub(super) to: End,
    pub(super) opener: Opener,
    /// Flags of TCP.
    pub(super) flags: u8,
    pub(super) fragment: Fragment,
    /// Bytes that were copied from the head of TCP, UDP or what else is inside IP on.
    pub(super) inner: u16,
}

/// Reads a packet of `length` bytes of which `data` was copied; `None` when it is too short or too odd to tell. `loopback` says
/// that the capture is on `lo` alone.
pub(super) fn decode(link_type: i32, data: &[u8], length: u32, loopback: bool) -> Option<Decoded> {
    let mut decoded = Decoded {
        ifindex: 0,
        bytes: length,
        protocol: Protocol::Ether(0),
        family: Family::Mac,
        from: End::default(),
        to: End::default(),
        opener: Opener::Unknown,
        flags: 0,
        fragment: Fragment::Whole,
        inner: 0,
    };
    let (kind, payload) = match link_type {
        LINUX_SLL2 => {
            let head = data.first_chunk::<SLL2_BYTES>()?;
            decoded.ifindex = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            // The head takes the place of the link's own.
            let own =
                if u16::from_be_bytes([head[8], head[9]]) == HARDWARE_ETHERNET { ETHERNET_BYTES } else { 0 };
            decoded.bytes = length.saturating_sub(SLL2_BYTES as u32) + own as u32;
            copy(&head[12..18], &mut decoded.from.address);
            (u16::from_be_bytes([head[0], head[1]]), data.get(SLL2_BYTES..)?)
        }
        EN10MB => {
            let head = data.first_chunk::<ETHERNET_BYTES>()?;
            if loopback {
                decoded.bytes = length.saturating_sub(ETHERNET_BYTES as u32);
            }
            copy(&head[..6], &mut decoded.to.address);
            copy(&head[6..12], &mut decoded.from.address);
            (u16::from_be_bytes([head[12], head[13]]), data.get(ETHERNET_BYTES..)?)
        }
        LINUX_SLL => {
            let head = data.first_chunk::<16>()?;
            decoded.bytes = length.saturating_sub(16);
            copy(&head[6..12], &mut decoded.from.address);
            (u16::from_be_bytes([head[14], head[15]]), data.get(16..)?)
        }
        RAW => (if data.first()? >> 4 == 6 { IPV6 } else { IPV4 }, data),
        _ => return None,
    };
    let (kind, payload) = untag(kind, payload)?;
    match kind {
        IPV4 => ipv4(payload, &mut decoded)?,
        IPV6 => ipv6(payload, &mut decoded)?,
        ARP => arp(payload, &mut decoded)?,
        other => decoded.protocol = Protocol::Ether(if other < LEAST_ETHERTYPE { LLC } else { other }),
    }
    Some(decoded)
}

/// Takes VLAN tags off.
fn untag(mut kind: u16, mut payload: &[u8]) -> Option<(u16, &[u8])> {
    for _ in 0..NESTED_AT_MOST {
        if !VLANS.contains(&kind) {
            return Some((kind, payload));
        }
        kind = word(payload, 2)?;
        payload = payload.get(4..)?;
    }
    None
}

fn ipv4(data: &[u8], decoded: &mut Decoded) -> Option<()> {
    let head = data.first_chunk::<20>()?;
    let head_bytes = usize::from(head[0] & 15) * 4;
    if head[0] >> 4 != 4 || head_bytes < 20 {
        return None;
    }
    decoded.family = Family::V4;
    decoded.from = End::default();
    decoded.to = End::default();
    copy(&head[12..16], &mut decoded.from.address);
    copy(&head[16..20], &mut decoded.to.address);
    let piece = u16::from_be_bytes([head[6], head[7]]);
    let id = u32::from(u16::from_be_bytes([head[4], head[5]]));
    // More to come, or not at the beginning.
    decoded.fragment = cut(piece & 0x1fff != 0, piece & 0x2000 != 0, id);
    transport(head[9], data.get(head_bytes..).unwrap_or_default(), decoded);
    Some(())
}

fn ipv6(data: &[u8], decoded: &mut Decoded) -> Option<()> {
    let head = data.first_chunk::<40>()?;
    if head[0] >> 4 != 6 {
        return None;
    }
    decoded.family = Family::V6;
    decoded.from = End::default();
    decoded.to = End::default();
    copy(&head[8..24], &mut decoded.from.address);
    copy(&head[24..40], &mut decoded.to.address);
    let mut next = head[6];
    let mut rest = &data[40..];
    for _ in 0..NESTED_AT_MOST {
        let size = match (next, rest) {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            (0 | 43 | 60 | 135 | 139 | 140, [_, units, ..]) => (usize::from(*units) + 1) * 8,
            (51, [_, units, ..]) => (usize::from(*units) + 2) * 4,
            (44, [_, _, offset, more, a, b, c, d, ..]) => {
                let piece = u16::from_be_bytes([*offset, *more]);
                let id = u32::from_be_bytes([*a, *b, *c, *d]);
                decoded.fragment = cut(piece & 0xfff8 != 0, piece & 1 != 0, id);
                8
            }
            _ => break,
        };
        next = rest[0];
        rest = rest.get(size..).unwrap_or_default();
    }
    transport(next, rest, decoded);
    Some(())
}

fn cut(later: bool, more: bool, id: u32) -> Fragment {
    match (later, more) {
        (true, _) => Fragment::Later(id),
        (false, true) => Fragment::First(id),
        (false, false) => Fragment::Whole,
    }
}

/// Ports, flags, requests. Of a later fragment these bytes are something else.
fn transport(number: u8, data: &[u8], decoded: &mut Decoded) {
    let first = !matches!(decoded.fragment, Fragment::Later(_));
    decoded.inner = u16::try_from(data.len()).unwrap_or(u16::MAX);
    decoded.protocol = match number {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        1 => Protocol::Icmp,
        58 => Protocol::Icmpv6,
        other => Protocol::Ip(other),
    };
    if !first {
        return;
    }
    match number {
        // TCP, UDP, DCCP, SCTP, UDP-Lite: ports in the same place.
        6 | 17 | 33 | 132 | 136 => {
            if let [a, b, c, d, ..] = data {
                decoded.from.port = u16::from_be_bytes([*a, *b]);
                decoded.to.port = u16::from_be_bytes([*c, *d]);
            }
            if number == 6 {
                decoded.flags = data.get(13).copied().unwrap_or(0);
                decoded.opener = match decoded.flags & (SYN | ACK) {
                    SYN => Opener::Sender,
                    both if both == SYN | ACK => Opener::Receiver,
                    _ => Opener::Unknown,
                };
            }
        }
        // Echo and what else has answers; errors and news open a flow of their own.
        1 => decoded.opener = request(data, &[0, 14, 16, 18]),
        58 => decoded.opener = request(data, &[129]),
        _ => {}
    }
}

fn request(data: &[u8], answers: &[u8]) -> Opener {
    match data.first() {
        Some(kind) if answers.contains(kind) => Opener::Receiver,
        Some(_) => Opener::Sender,
        None => Opener::Unknown,
    }
}

fn arp(data: &[u8], decoded: &mut Decoded) -> Option<()> {
    let head = data.first_chunk::<28>()?;
    decoded.protocol = Protocol::Arp;
    // For IPv4 over what has addresses of 6 bytes; for others the MACs of the frame stay.
    if head[..6] == [0, 1, 8, 0, 6, 4] {
        decoded.family = Family::V4;
        decoded.from = End::default();
        decoded.to = End::default();
        copy(&head[14..18], &mut decoded.from.address);
        copy(&head[24..28], &mut decoded.to.address);
        decoded.opener = if head[7] == 2 { Opener::Receiver } else { Opener::Sender };
    }
    Some(())
}

fn copy(from: &[u8], to: &mut [u8; 16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn word(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk::<2>()?))
}

#[cfg(test)]
#[path = "decode_test.rs"]
mod tests;
