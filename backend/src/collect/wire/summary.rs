//! A packet in one line, as `tcpdump` prints it; what was recognised comes first, where an eye finds it.

use std::net::Ipv4Addr;

use etherparse::{Icmpv4Type, LaxNetSlice, LinkSlice, TcpOptionElement, TcpSlice, TransportSlice};
use glasshull_shared::domain::wire::PacketRow;
use glasshull_shared::unit::printable;

use super::conversation::Place;
use super::dns;
use super::http;
use super::packet::Packet;

/// Characters of the line: a hostile packet is no reason to fill a screen.
const INFO_AT_MOST: usize = 400;

/// The line of a packet. `payload`: whether what it carries may be told.
pub(super) fn row(packet: &Packet<'_>, place: Option<Place>, payload: bool) -> PacketRow {
    let (protocol, info) = match &packet.sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => of_tcp(packet, tcp, place, payload),
        Some(TransportSlice::Udp(_)) => of_udp(packet, payload),
        Some(TransportSlice::Icmpv4(icmp)) => ("ICMP".to_owned(), of_icmp(packet, &icmp.icmp_type())),
        Some(TransportSlice::Icmpv6(icmp)) => {
            let kind = format!("{:?}", icmp.icmp_type());
            ("ICMPv6".into(), format!("{}, length {}", words(&kind), packet.ip_payload_length()))
        }
        Some(TransportSlice::Igmp(_)) => ("IGMP".into(), format!("length {}", packet.ip_payload_length())),
        None => of_net(packet),
    };
    let (source, destination) = ends(packet);
    PacketRow {
        number: 0,
        at: 0,
        ifindex: packet.ifindex,
        way: packet.way,
        length: packet.length,
        source,
        destination,
        protocol,
        info: bounded(&info),
        conversation: place.map(|place| place.conversation),
    }
}

fn bounded(info: &str) -> String {
    let text = printable(info);
    match text.char_indices().nth(INFO_AT_MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Both ends as far as they have names: with ports, without, or by hardware address.
fn ends(packet: &Packet<'_>) -> (String, String) {
    if let Some(ends) = packet.ends() {
        return (ends.source.to_string(), ends.destination.to_string());
    }
    if let Some((source, destination)) = packet.addresses() {
        return (source.to_string(), destination.to_string());
    }
    match &packet.sliced.link {
        Some(LinkSlice::Ethernet2(link)) => (mac(link.source()), mac(link.destination())),
        Some(LinkSlice::LinuxSll(_) | LinkSlice::EtherPayload(_) | LinkSlice::LinuxSllPayload(_)) | None => {
            (packet.sll_source.map(mac).unwrap_or_default(), String::new())
        }
    }
}

fn of_tcp(packet: &Packet<'_>, tcp: &TcpSlice<'_>, place: Option<Place>, payload: bool) -> (String, String) {
    let length = packet.payload_length();
    let mut info = format!("Flags [{}]", flags(tcp));
    let base = place.map_or(0, |place| place.base);
    let seq = if tcp.syn() { tcp.sequence_number() } else { tcp.sequence_number().wrapping_sub(base) };
    if length > 0 {
        info += &format!(", seq {seq}:{}", seq.wrapping_add(length));
    } else if tcp.syn() || tcp.fin() || tcp.rst() {
        info += &format!(", seq {seq}");
    }
    if tcp.ack() {
        let base = place.and_then(|place| place.other_base).unwrap_or(0);
        info += &format!(", ack {}", tcp.acknowledgment_number().wrapping_sub(base));
    }
    info += &format!(", win {}", tcp.window_size());
    let options = options(tcp);
    if !options.is_empty() {
        info += &format!(", options [{}]", options.join(","));
    }
    info += &format!(", length {length}");
    let data = if payload { packet.payload() } else { &[] };
    if let Some(line) = http::first_line(data) {
        return ("HTTP".into(), format!("{line} · {info}"));
    }
    let over_tcp = packet.ends().filter(|ends| dns::is_between(ends.source, ends.destination));
    if let Some(line) = over_tcp.and_then(|_| dns::line(data.get(2..)?)) {
        return ("DNS".into(), format!("{line} · {info}"));
    }
    ("TCP".into(), info)
}

fn of_udp(packet: &Packet<'_>, payload: bool) -> (String, String) {
    let length = packet.payload_length();
    let names = packet.ends().is_some_and(|ends| dns::is_between(ends.source, ends.destination));
    match dns::line(packet.payload()).filter(|_| payload && names) {
        Some(line) => ("DNS".into(), format!("{line} ({length})")),
        None => ("UDP".into(), format!("length {length}")),
    }
}

fn of_icmp(packet: &Packet<'_>, kind: &Icmpv4Type) -> String {
    let length = packet.ip_payload_length();
    match kind {
        Icmpv4Type::EchoRequest(echo) => {
            format!("echo request, id {}, seq {}, length {length}", echo.id, echo.seq)
        }
        Icmpv4Type::EchoReply(echo) => {
            format!("echo reply, id {}, seq {}, length {length}", echo.id, echo.seq)
        }
        Icmpv4Type::DestinationUnreachable(what) => {
            format!("unreachable: {}, length {length}", words(&format!("{what:?}")))
        }
        Icmpv4Type::TimeExceeded(what) => {
            format!("time exceeded: {}, length {length}", words(&format!("{what:?}")))
        }
        Icmpv4Type::Unknown { type_u8, code_u8, .. } => {
            format!("type {type_u8}, code {code_u8}, length {length}")
        }
        Icmpv4Type::Redirect(_)
        | Icmpv4Type::ParameterProblem(_)
        | Icmpv4Type::TimestampRequest(_)
        | Icmpv4Type::TimestampReply(_) => format!("{}, length {length}", words(&format!("{kind:?}"))),
    }
}

/// What has no ports, or broke off before them.
fn of_net(packet: &Packet<'_>) -> (String, String) {
    match &packet.sliced.net {
        Some(LaxNetSlice::Arp(arp)) => ("ARP".into(), of_arp(arp.slice())),
        Some(LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_)) => {
            let number = packet.ip_number().map_or(0, |n| n.0);
            let fragment = match &packet.sliced.net {
                Some(LaxNetSlice::Ipv4(ip)) => ip.is_payload_fragmented(),
                Some(LaxNetSlice::Ipv6(ip)) => ip.is_payload_fragmented(),
                Some(LaxNetSlice::Arp(_)) | None => false,
            };
            let what = if fragment { "fragment of " } else { "" };
            let name = packet.ip_number().and_then(etherparse::IpNumber::keyword_str);
            let name = name.map_or_else(|| format!("protocol {number}"), str::to_owned);
            ("IP".into(), format!("{what}{name}, length {}", packet.ip_payload_length()))
        }
        None => (format!("0x{:04x}", packet.ether_type), format!("length {}", packet.length)),
    }
}

/// `Request who-has 10.0.0.2 tell 10.0.0.1`, for Ethernet and IPv4.
pub(super) fn of_arp(arp: &[u8]) -> String {
    let address = |at: usize| {
        arp.get(at..at + 4).map_or_else(String::new, |a| Ipv4Addr::new(a[0], a[1], a[2], a[3]).to_string())
    };
    let operation = arp.get(6..8).map_or(0, |o| u16::from_be_bytes([o[0], o[1]]));
    // Hardware and protocol addresses of six and four bytes.
    if arp.get(4..6) != Some(&[6, 4]) {
        return format!("operation {operation}, length {}", arp.len());
    }
    match operation {
        1 => format!("Request who-has {} tell {}, length {}", address(24), address(14), arp.len()),
        2 => {
            let hardware = arp.get(8..14).map(mac).unwrap_or_default();
            format!("Reply {} is-at {hardware}, length {}", address(14), arp.len())
        }
        other => format!("operation {other}, length {}", arp.len()),
    }
}

/// `S`, `P.`, `F.`: in `tcpdump`'s letters and order.
pub(super) fn flags(tcp: &TcpSlice<'_>) -> String {
    let letters = [
        (tcp.fin(), 'F'),
        (tcp.syn(), 'S'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.ack(), '.'),
        (tcp.urg(), 'U'),
        (tcp.ece(), 'E'),
        (tcp.cwr(), 'W'),
    ];
    let text: String = letters.into_iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect();
    if text.is_empty() { "none".into() } else { text }
}

/// TCP options in `tcpdump`'s words.
pub(super) fn options(tcp: &TcpSlice<'_>) -> Vec<String> {
    let one = |option| match option {
        TcpOptionElement::Noop => "nop".to_owned(),
        TcpOptionElement::MaximumSegmentSize(size) => format!("mss {size}"),
        TcpOptionElement::WindowScale(scale) => format!("wscale {scale}"),
        TcpOptionElement::SelectiveAcknowledgementPermitted => "sackOK".into(),
        TcpOptionElement::SelectiveAcknowledgement(first, more) => {
            let all = std::iter::once(first).chain(more.into_iter().flatten());
            format!("sack {}", all.map(|(a, b)| format!("{{{a}:{b}}}")).collect::<Vec<_>>().join(""))
        }
        TcpOptionElement::Timestamp(value, echo) => format!("TS val {value} ecr {echo}"),
    };
    // What is no option ends the list.
    tcp.options_iterator().map_while(Result::ok).map(one).collect()
}

/// A hardware address as `ip link` prints it.
pub(super) fn mac(address: impl AsRef<[u8]>) -> String {
    address.as_ref().iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

/// The name of a variant as words: `HostUnknown` → `host unknown`; without what it holds.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}
