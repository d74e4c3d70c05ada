//! nf_tables: rules as the kernel's little programs (`NFT_MSG_GETRULE`). Loads into registers are followed to what they are
//! compared with; that gives back the conditions a person wrote. Numbers are big-endian but for sizes of attributes.

use std::collections::HashMap;

use glasshull_shared::domain::network::{NatKind, NatOrigin, NatRule, NatRuleKey};
use glasshull_shared::unit::printable_bytes as printable;

use super::draft::{Draft, To, address, network, protocol, range, unless};
use super::xt;
use crate::sys::netlink_frame::{attribute, attributes};

const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
/// `NFTA_DATA_VALUE`.
const VALUE: u16 = 1;

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const AF_INET6: u8 = 10;

/// Rules of a namespace that are looked at, translating or not.
pub(super) const READ_AT_MOST: usize = 65_536;

/// Rules read so far, and how many each chain has.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) rows: Vec<(NatRuleKey, NatRule)>,
    /// Rules looked at.
    pub(super) read: usize,
    positions: HashMap<(u8, Vec<u8>, Vec<u8>), u32>,
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Meta(u32),
    /// Base, place, bytes, and the bits of it that count.
    Payload(u32, u32, u32, Option<u32>),
    Bytes(Vec<u8>),
    /// Something that is not read: its name.
    Other(String),
}

/// A program while it is followed.
struct Program {
    draft: Draft,
    registers: HashMap<u32, Held>,
    v6: bool,
    /// Lower end of a range, until its upper end comes.
    from: Option<u16>,
}

impl Rules {
    /// Takes one rule of the dump; false when it was the last that is looked at.
    pub(super) fn take(&mut self, netns: u64, family: u8, rule: &[u8]) -> bool {
        self.enter(netns, family, rule);
        self.read += 1;
        self.read < READ_AT_MOST
    }

    fn enter(&mut self, netns: u64, family: u8, rule: &[u8]) {
        let text = |kind| attribute(rule, kind).map(until_nul).unwrap_or_default();
        let (table, chain) = (text(RULE_TABLE), text(RULE_CHAIN));
        let position = self.positions.entry((family, table.to_vec(), chain.to_vec())).or_default();
        *position += 1;
        let name = match family {
            1 => "inet",
            2 => "ip",
            AF_INET6 => "ip6",
            // Bridges and arp do not translate.
            _ => return,
        };
        let expressions = attribute(rule, RULE_EXPRESSIONS).unwrap_or_default();
        if let Some(rule) = program(expressions, family == AF_INET6) {
            let key = NatRuleKey {
                netns,
                origin: NatOrigin::Nftables,
                family: name.into(),
                table: printable(table),
                chain: printable(chain),
                position: *position,
            };
            self.rows.push((key, rule));
        }
    }
}

/// The rule that a program of expressions is; `None` when it does not translate.
fn program(expressions: &[u8], v6: bool) -> Option<NatRule> {
    let mut program = Program { draft: Draft::default(), registers: HashMap::new(), v6, from: None };
    for (_, expression) in attributes(expressions) {
        let name = until_nul(attribute(expression, EXPRESSION_NAME)?);
        program.step(name, attribute(expression, EXPRESSION_DATA).unwrap_or_default());
    }
    program.draft.finish()
}

impl Program {
    fn step(&mut self, name: &[u8], data: &[u8]) {
        let field = |kind| number(data, kind);
        match name {
            b"meta" => self.load(field(1), Held::Meta(field(2).unwrap_or(u32::MAX))),
            b"payload" => {
                let part = (field(2), field(3), field(4));
                if let (Some(base), Some(at), Some(bytes)) = part {
                    self.load(field(1), Held::Payload(base, at, bytes, None));
                }
            }
            b"immediate" => {
                let value = attribute(data, 2).and_then(|data| attribute(data, VALUE));
                self.load(field(1), Held::Bytes(value.unwrap_or_default().to_vec()));
            }
            b"bitwise" => self.mask(field(1), field(2), data),
            b"cmp" => {
                let value = attribute(data, 3).and_then(|data| attribute(data, VALUE));
                self.compare(field(1), field(2).unwrap_or(0), value.unwrap_or_default());
            }
            b"range" => {
                let end = |kind| attribute(data, kind).and_then(|data| attribute(data, VALUE)).and_then(port);
                if let (Some(from), Some(to)) = (end(3), end(4)) {
                    let negated = field(2) == Some(1);
                    self.set_port(field(1), unless(negated, range(from, to, ':')));
                }
            }
            b"lookup" => self.look_up(field(2), field(3), data),
            b"counter" => {
                (self.draft.rule.bytes, self.draft.rule.packets) = (long(data, 1), long(data, 2));
            }
            b"match" | b"target" => {
                let xt = attribute(data, 1).map(until_nul).unwrap_or_default();
                let info = attribute(data, 3).unwrap_or_default();
                if name == b"match" {
                    xt::add_match(&mut self.draft, xt, info);
                } else {
                    xt::add_target(&mut self.draft, xt, info, self.v6);
                }
            }
            b"nat" => {
                let kind = if field(1) == Some(1) { NatKind::Dnat } else { NatKind::Snat };
                self.translate(kind, (field(3), field(4)), (field(5), field(6)));
            }
            b"masq" => self.translate(NatKind::Masquerade, (None, None), (field(2), field(3))),
            b"redir" => self.translate(NatKind::Redirect, (None, None), (field(1), field(2))),
            b"log" | b"notrack" => {}
            other => {
                let name = printable(other);
                self.load(field(1), Held::Other(name.clone()));
                self.draft.name(name);
            }
        }
    }

    fn load(&mut self, register: Option<u32>, held: Held) {
        if let Some(register) = register {
            self.registers.insert(slot(register), held);
        }
    }

    fn held(&self, register: Option<u32>) -> Option<&Held> {
        self.registers.get(&slot(register?))
    }

    fn mask(&mut self, from: Option<u32>, to: Option<u32>, data: &[u8]) {
        let mask = attribute(data, 4).and_then(|data| attribute(data, VALUE)).unwrap_or_default();
        let bits = mask.iter().map(|byte| byte.leading_ones()).sum();
        let held = match self.held(from) {
            Some(Held::Payload(base, at, bytes, _)) => Held::Payload(*base, *at, *bytes, Some(bits)),
            Some(other) => other.clone(),
            None => return,
        };
        self.load(to, held);
    }

    /// Operators in the kernel's order: ==, !=, <, <=, >, >=.
    fn compare(&mut self, register: Option<u32>, operator: u32, value: &[u8]) {
        let negated = operator == 1;
        match self.held(register).cloned() {
            Some(Held::Meta(META_IIFNAME)) => self.draft.rule.in_link = Some(unless(negated, link(value))),
            Some(Held::Meta(META_OIFNAME)) => self.draft.rule.out_link = Some(unless(negated, link(value))),
            Some(Held::Meta(META_L4PROTO)) => self.set_protocol(negated, value),
            Some(Held::Payload(BASE_NETWORK, 9, 1, _)) if !self.v6 => self.set_protocol(negated, value),
            Some(Held::Payload(BASE_NETWORK, 6, 1, _)) if self.v6 => self.set_protocol(negated, value),
            Some(Held::Payload(BASE_NETWORK, at, _, bits)) => self.set_network(at, bits, negated, value),
            Some(Held::Payload(BASE_TRANSPORT, ..)) => match (operator, port(value)) {
                (0 | 1, Some(port)) => self.set_port(register, unless(negated, port)),
                (4 | 5, Some(port)) => self.from = Some(port.saturating_add(u16::from(operator == 4))),
                (2 | 3, Some(port)) => {
                    let from = self.from.take().unwrap_or(0);
                    let to = port.saturating_sub(u16::from(operator == 2));
                    self.set_port(register, range(from, to, ':'));
                }
                _ => self.draft.name("ports".into()),
            },
            Some(Held::Meta(META_NFPROTO)) => {}
            Some(Held::Meta(_) | Held::Payload(..)) => self.draft.name("other".into()),
            Some(Held::Bytes(_) | Held::Other(_)) | None => {}
        }
    }

    fn set_protocol(&mut self, negated: bool, value: &[u8]) {
        self.draft.rule.protocol = value.first().map(|number| unless(negated, protocol(*number)));
    }

    /// Parts of an address are compared alone where its length is whole bytes.
    fn set_network(&mut self, at: u32, bits: Option<u32>, negated: bool, value: &[u8]) {
        let v6 = self.v6 || at == 24 || value.len() > 4;
        let (source_at, width) = if v6 { (8, 16) } else { (12, 4) };
        let mut whole = value.to_vec();
        let prefix = bits.unwrap_or(u32::try_from(8 * value.len()).unwrap_or(0));
        whole.resize(width, 0);
        let text = address(&whole).and_then(|ip| network(ip, prefix)).map(|text| unless(negated, text));
        if at == source_at {
            self.draft.rule.source = text;
        } else if at as usize == source_at as usize + width {
            self.draft.rule.destination = text;
        } else {
            self.draft.name("other".into());
        }
    }

    fn set_port(&mut self, register: Option<u32>, text: String) {
        match self.held(register) {
            Some(Held::Payload(BASE_TRANSPORT, 0, ..)) => self.draft.rule.source_port = Some(text),
            Some(Held::Payload(BASE_TRANSPORT, 2, ..)) => self.draft.rule.port = Some(text),
            Some(_) | None => self.draft.name("ports".into()),
        }
    }

    /// A set is known by its name alone.
    fn look_up(&mut self, from: Option<u32>, to: Option<u32>, data: &[u8]) {
        let set = format!("@{}", attribute(data, 1).map(until_nul).map(printable).unwrap_or_default());
        if to.is_some() {
            return self.load(to, Held::Other(set));
        }
        match self.held(from) {
            Some(Held::Payload(BASE_TRANSPORT, ..)) => self.set_port(from, set),
            Some(_) | None => self.draft.name(set),
        }
    }

    fn translate(
        &mut self,
        kind: NatKind,
        addresses: (Option<u32>, Option<u32>),
        ports: (Option<u32>, Option<u32>),
    ) {
        let bytes = |register| match self.held(register) {
            Some(Held::Bytes(bytes)) => Some(bytes.as_slice()),
            Some(Held::Meta(_) | Held::Payload(..) | Held::Other(_)) | None => None,
        };
        let from = bytes(addresses.0).and_then(address);
        let low = bytes(ports.0).and_then(port);
        let to = To {
            addresses: from.map(|from| (from, bytes(addresses.1).and_then(address).unwrap_or(from))),
            ports: low.map(|low| (low, bytes(ports.1).and_then(port).unwrap_or(low))),
        };
        let named = match self.held(addresses.0) {
            Some(Held::Other(name)) => Some(name.clone()),
            Some(_) | None => None,
        };
        self.draft.translate(kind, to);
        if self.draft.rule.to.is_none() {
            self.draft.rule.to = named;
        }
    }
}

/// The four-byte slot a register begins at: 1 to 4 are of sixteen bytes.
fn slot(register: u32) -> u32 {
    if register < 8 { register.saturating_sub(1) * 4 } else { register - 8 }
}

/// Shorter than the field means: names that begin so.
fn link(value: &[u8]) -> String {
    const IFNAMSIZ: usize = 16;
    let name = printable(until_nul(value));
    if value.len() < IFNAMSIZ && !value.contains(&0) { format!("{name}+") } else { name }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn port(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

fn number(data: &[u8], kind: u16) -> Option<u32> {
    attribute(data, kind)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn long(data: &[u8], kind: u16) -> Option<u64> {
    attribute(data, kind)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}
