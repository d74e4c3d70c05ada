//! Packets as a pcapng file (draft-ietf-opsawg-pcapng), block by block, so that it can be sent while it grows: what Wireshark
//! opens, with the names of links and of the containers behind addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use glasshull_shared::domain::wire::Way;

use super::packet::Form;
use crate::sys::capture::Counts;

/// Link types of `pcap-linktype(7)`.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const SLL2: u16 = 276;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// A value of an option or a name is at most this long here, bytes.
const TEXT_AT_MOST: usize = 1000;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Pcapng {
    form: Form,
    snaplen: u32,
    filter: String,
    names: BTreeMap<u32, String>,
    /// Interfaces of the file by number of the link.
    interfaces: BTreeMap<u32, u32>,
}

impl Pcapng {
    /// A file of packets from these links; `filter` is told with each.
    pub(super) fn new(
        form: Form,
        snaplen: u32,
        filter: &str,
        names: impl IntoIterator<Item = (u32, String)>,
    ) -> Self {
        let names = names.into_iter().collect();
        Self { form, snaplen, filter: filter.to_owned(), names, interfaces: BTreeMap::new() }
    }

    /// The beginning: whose packets these are, and what addresses are called.
    pub(super) fn begin(&self, host: &str, names: &[(IpAddr, String)]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes()); // byte order
        body.extend(1u16.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        body.extend(u64::MAX.to_le_bytes()); // length of the section: not known
        option(&mut body, 2, host.as_bytes());
        option(&mut body, 3, b"Linux");
        option(&mut body, 4, concat!("glasshull ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_options(&mut body);
        let mut file = block(SECTION_HEADER, &body);
        if !names.is_empty() {
            file.extend(name_resolution(names));
        }
        file
    }

    /// A packet. `at`: nanoseconds since the epoch; `length`: bytes on the wire.
    pub(super) fn packet(
        &mut self,
        ifindex: u32,
        at: u64,
        way: Option<Way>,
        bytes: &[u8],
        length: u32,
    ) -> Vec<u8> {
        let mut file = Vec::with_capacity(bytes.len() + 64);
        let interface = self.interface(ifindex, &mut file);
        let mut body = Vec::with_capacity(bytes.len() + 48);
        body.extend(interface.to_le_bytes());
        stamp(&mut body, at);
        body.extend(number(bytes.len()).to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(bytes);
        pad(&mut body);
        if let Some(way) = way {
            let flags: u32 = match way {
                Way::In => 1,
                Way::Out => 2,
            };
            option(&mut body, 2, &flags.to_le_bytes());
            end_options(&mut body);
        }
        file.extend(block(ENHANCED_PACKET, &body));
        file
    }

    /// The end: when it was, how many packets passed the filter and how many of them the kernel had no room for. Counted
    /// for all links at once, so told once.
    pub(super) fn end(&mut self, began: u64, ended: u64, counts: Counts) -> Vec<u8> {
        let mut file = Vec::new();
        let first = self.names.keys().next().copied().unwrap_or(0);
        let interface = match self.interfaces.values().min() {
            Some(interface) => *interface,
            None => self.interface(first, &mut file),
        };
        let mut body = Vec::new();
        body.extend(interface.to_le_bytes());
        stamp(&mut body, ended);
        for (code, instant) in [(2, began), (3, ended)] {
            let mut value = Vec::new();
            stamp(&mut value, instant);
            option(&mut body, code, &value);
        }
        option(&mut body, 4, &counts.received.to_le_bytes());
        option(&mut body, 5, &counts.dropped.to_le_bytes());
        end_options(&mut body);
        file.extend(block(INTERFACE_STATISTICS, &body));
        file
    }

    /// The interface of a link, described first when it is new.
    fn interface(&mut self, ifindex: u32, file: &mut Vec<u8>) -> u32 {
        if let Some(known) = self.interfaces.get(&ifindex) {
            return *known;
        }
        let id = number(self.interfaces.len());
        self.interfaces.insert(ifindex, id);
        let mut body = Vec::new();
        let link_type = match self.form {
            Form::Ethernet(_) => ETHERNET,
            Form::Raw(_) => RAW,
            Form::Sll2 => SLL2,
        };
        body.extend(link_type.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        body.extend(self.snaplen.to_le_bytes());
        let name = self.names.get(&ifindex).cloned().unwrap_or_else(|| format!("link {ifindex}"));
        option(&mut body, 2, name.as_bytes());
        option(&mut body, 3, format!("link number {ifindex}").as_bytes());
        option(&mut body, 9, &[9]); // if_tsresol: nanoseconds
        if !self.filter.is_empty() {
            option(&mut body, 11, &[&[0], self.filter.as_bytes()].concat()); // as text
        }
        end_options(&mut body);
        file.extend(block(INTERFACE_DESCRIPTION, &body));
        id
    }
}

fn name_resolution(names: &[(IpAddr, String)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (address, name) in names {
        // A name ends at its first zero.
        let name: Vec<u8> = name.bytes().filter(|b| *b != 0).take(TEXT_AT_MOST).collect();
        let (kind, mut value): (u16, Vec<u8>) = match address {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec()),
        };
        value.extend(name);
        value.push(0);
        option(&mut body, kind, &value);
    }
    end_options(&mut body); // nrb_record_end has the same form
    block(NAME_RESOLUTION, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = number(body.len() + 12);
    let mut block = Vec::with_capacity(body.len() + 12);
    block.extend(kind.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(body);
    block.extend(length.to_le_bytes());
    block
}

/// An option or a record: code, length, value, padding.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..TEXT_AT_MOST + 20).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn end_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// An instant as two halves, the upper one first.
fn stamp(body: &mut Vec<u8>, at: u64) {
    for half in [at >> 32, at & u64::from(u32::MAX)] {
        body.extend(u32::try_from(half).unwrap_or_default().to_le_bytes());
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "whatever was not expected fails the test")]
#[path = "pcapng_test.rs"]
mod tests;
