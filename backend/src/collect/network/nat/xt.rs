//! Matches and targets of iptables (`struct xt_…`), which legacy tables and iptables-nft's rules hold as bytes. Numbers are
//! the machine's but for addresses and the ports a rule translates to.

use std::net::IpAddr;

use glasshull_shared::domain::network::NatKind;
use glasshull_shared::unit::printable_bytes as printable;

use super::draft::{Draft, To, address, range, unless};

/// `NF_NAT_RANGE_MAP_IPS`.
const MAP_ADDRESSES: u32 = 1;
/// `NF_NAT_RANGE_PROTO_SPECIFIED`.
const MAP_PORTS: u32 = 2;
/// `struct nf_nat_range`; what is shorter is `nf_nat_ipv4_multi_range_compat`.
const RANGE_BYTES: usize = 40;
const XT_TCP_INVFLAGS: usize = 11;
const XT_UDP_INVFLAGS: usize = 8;

/// Takes a condition in.
pub(super) fn add_match(draft: &mut Draft, name: &[u8], info: &[u8]) {
    let flags_at = match name {
        b"tcp" => XT_TCP_INVFLAGS,
        b"udp" => XT_UDP_INVFLAGS,
        // Words, no condition.
        b"comment" => return,
        other => return draft.name(printable(other)),
    };
    let inverted = info.get(flags_at).copied().unwrap_or(0);
    let ports = |at: usize, bit: u8| {
        let (from, to) = (number(info, at)?, number(info, at + 2)?);
        let any = (from, to) == (0, u16::MAX);
        (!any).then(|| unless(inverted & bit != 0, range(from, to, ':')))
    };
    draft.rule.source_port = ports(0, 1).or(draft.rule.source_port.take());
    draft.rule.port = ports(4, 2).or(draft.rule.port.take());
}

/// Takes a target in, when it is one that translates.
pub(super) fn add_target(draft: &mut Draft, name: &[u8], info: &[u8], v6: bool) {
    let kind = match name {
        b"DNAT" => NatKind::Dnat,
        b"SNAT" => NatKind::Snat,
        b"MASQUERADE" => NatKind::Masquerade,
        b"REDIRECT" => NatKind::Redirect,
        b"NETMAP" => NatKind::Netmap,
        _ => return,
    };
    draft.translate(kind, target(info, v6).unwrap_or_default());
}

fn target(info: &[u8], v6: bool) -> Option<To> {
    let (flags_at, width, at) = if info.len() < RANGE_BYTES { (4, 4, 8) } else { (0, 16, 4) };
    let flags = u32::from_ne_bytes(*info.get(flags_at..)?.first_chunk::<4>()?);
    let end = at + 2 * width;
    let ip = |at: usize| -> Option<IpAddr> {
        // IPv4 stands in the first bytes of the larger field.
        address(info.get(at..at + if v6 { 16 } else { 4 })?)
    };
    let port = |at: usize| Some(u16::from_be_bytes(*info.get(at..)?.first_chunk::<2>()?));
    Some(To {
        addresses: if flags & MAP_ADDRESSES == 0 { None } else { ip(at).zip(ip(at + width)) },
        ports: if flags & MAP_PORTS == 0 { None } else { port(end).zip(port(end + 2)) },
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}
