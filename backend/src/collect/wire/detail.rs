//! All headers of a packet, field by field, in the words of the RFCs.

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LinkSlice, TcpSlice, TransportSlice};
use glasshull_shared::domain::wire::{Layer, Way};
use glasshull_shared::unit::printable;

use super::dns;
use super::http;
use super::packet::Packet;
use super::summary::{flags, mac, options};

/// The headers, outermost first. `payload`: whether what it carries may be told.
pub(super) fn layers(packet: &Packet<'_>, payload: bool) -> Vec<Layer> {
    let mut layers = Vec::new();
    layers.extend(link(packet));
    layers.extend(packet.sliced.link_exts.iter().map(link_extension));
    layers.extend(packet.sliced.net.as_ref().map(net));
    layers.extend(packet.sliced.transport.as_ref().map(|transport| of_transport(packet, transport)));
    if payload {
        layers.extend(carried(packet));
    }
    if let Some((error, _)) = &packet.sliced.stop_err {
        layers.push(layer("Broken", [("why", error.to_string())]));
    }
    layers
}

fn layer<const N: usize>(name: &str, fields: [(&str, String); N]) -> Layer {
    let field = |(name, value): (&str, String)| (name.to_owned(), printable(&value));
    Layer { name: name.into(), fields: fields.into_iter().map(field).collect() }
}

fn link(packet: &Packet<'_>) -> Option<Layer> {
    let kind = ("type", format!("0x{:04x}", packet.ether_type));
    match &packet.sliced.link {
        Some(LinkSlice::Ethernet2(link)) => Some(layer(
            "Ethernet",
            [("source", mac(link.source())), ("destination", mac(link.destination())), kind],
        )),
        Some(LinkSlice::LinuxSll(_) | LinkSlice::EtherPayload(_) | LinkSlice::LinuxSllPayload(_)) | None => {
            let way = packet.way?;
            let way = match way {
                Way::In => "in",
                Way::Out => "out",
            };
            let source = packet.sll_source.map_or_else(|| "none".into(), mac);
            Some(layer(
                "Link",
                [("number", packet.ifindex.to_string()), ("way", way.into()), ("source", source), kind],
            ))
        }
    }
}

fn link_extension(extension: &LaxLinkExtSlice<'_>) -> Layer {
    match extension {
        LaxLinkExtSlice::Vlan(vlan) => layer(
            "VLAN",
            [
                ("id", vlan.vlan_identifier().value().to_string()),
                ("priority", vlan.priority_code_point().value().to_string()),
                ("type", format!("0x{:04x}", vlan.ether_type().0)),
            ],
        ),
        LaxLinkExtSlice::Macsec(_) => layer("MACsec", []),
    }
}

fn net(net: &LaxNetSlice<'_>) -> Layer {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let fragment = match (header.more_fragments(), header.fragments_offset().value()) {
                (false, 0) => "whole".to_owned(),
                (true, at) => format!("at {}, more follow", u32::from(at) * 8),
                (false, at) => format!("at {}, the last", u32::from(at) * 8),
            };
            layer(
                "IPv4",
                [
                    ("source", header.source_addr().to_string()),
                    ("destination", header.destination_addr().to_string()),
                    ("protocol", ip_number(header.protocol())),
                    ("time to live", header.ttl().to_string()),
                    ("identification", header.identification().to_string()),
                    ("fragment", fragment),
                    ("do not fragment", yes(header.dont_fragment())),
                    ("DSCP", header.dcp().value().to_string()),
                    ("total length", header.total_len().to_string()),
                    ("header length", header.slice().len().to_string()),
                ],
            )
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            layer(
                "IPv6",
                [
                    ("source", header.source_addr().to_string()),
                    ("destination", header.destination_addr().to_string()),
                    ("next header", ip_number(header.next_header())),
                    ("hop limit", header.hop_limit().to_string()),
                    ("flow label", format!("0x{:05x}", header.flow_label().value())),
                    ("traffic class", header.traffic_class().to_string()),
                    ("payload length", header.payload_length().to_string()),
                    ("extension headers", format!("{} bytes", ip.extensions().slice().len())),
                ],
            )
        }
        LaxNetSlice::Arp(arp) => {
            let text = super::summary::of_arp(arp.slice());
            layer("ARP", [("says", text)])
        }
    }
}

fn of_transport(packet: &Packet<'_>, transport: &TransportSlice<'_>) -> Layer {
    match transport {
        TransportSlice::Tcp(tcp) => of_tcp(packet, tcp),
        TransportSlice::Udp(udp) => layer(
            "UDP",
            [
                ("source port", udp.source_port().to_string()),
                ("destination port", udp.destination_port().to_string()),
                ("length", udp.length().to_string()),
                ("checksum", format!("0x{:04x}", udp.checksum())),
            ],
        ),
        TransportSlice::Icmpv4(icmp) => icmp_layer("ICMP", icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8()),
        TransportSlice::Icmpv6(icmp) => {
            icmp_layer("ICMPv6", icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8())
        }
        TransportSlice::Igmp(_) => layer("IGMP", []),
    }
}

fn icmp_layer(name: &str, kind: u8, code: u8, rest: [u8; 4]) -> Layer {
    let rest = format!("0x{:08x}", u32::from_be_bytes(rest));
    layer(name, [("type", kind.to_string()), ("code", code.to_string()), ("rest of header", rest)])
}

fn of_tcp(packet: &Packet<'_>, tcp: &TcpSlice<'_>) -> Layer {
    let listed = options(tcp);
    layer(
        "TCP",
        [
            ("source port", tcp.source_port().to_string()),
            ("destination port", tcp.destination_port().to_string()),
            ("flags", flags(tcp)),
            ("sequence number", tcp.sequence_number().to_string()),
            ("acknowledgment", tcp.acknowledgment_number().to_string()),
            ("window", tcp.window_size().to_string()),
            ("options", if listed.is_empty() { "none".into() } else { listed.join(", ") }),
            ("urgent pointer", tcp.urgent_pointer().to_string()),
            // Checksums of packets that never leave the host are not finished: told, never judged.
            ("checksum", format!("0x{:04x}", tcp.checksum())),
            ("carries", format!("{} bytes", packet.payload_length())),
        ],
    )
}

/// What was recognised in the payload.
fn carried(packet: &Packet<'_>) -> Option<Layer> {
    if let Some(line) = http::first_line(packet.payload()) {
        return Some(layer("HTTP", [("first line", line)]));
    }
    let ends = packet.ends().filter(|ends| dns::is_between(ends.source, ends.destination))?;
    let message = if ends.tcp { packet.payload().get(2..)? } else { packet.payload() };
    Some(layer("DNS", [("says", dns::line(message)?)]))
}

fn ip_number(number: etherparse::IpNumber) -> String {
    number.keyword_str().map_or_else(|| number.0.to_string(), |name| format!("{name} ({})", number.0))
}

fn yes(on: bool) -> String {
    if on { "yes".into() } else { "no".into() }
}
