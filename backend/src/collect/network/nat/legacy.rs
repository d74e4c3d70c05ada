//! Legacy iptables: the table `nat` as `getsockopt` gives it, entry after entry.
//!
//! An entry is a head (`struct ipt_entry`, `struct ip6t_entry`), its matches, and its target. Built-in chains begin where the
//! table's info says; a chain of a user begins after an entry with the target `ERROR`, which holds its name.

use std::net::IpAddr;

use glasshull_shared::domain::network::{NatOrigin, NatRule, NatRuleKey};
use glasshull_shared::unit::printable_bytes as printable;

use super::draft::{Draft, address, network, protocol, unless};
use super::xt;
use crate::sys::xtables::{INFO_BYTES, RawTable, entries_of};

/// In the order of the kernel's hooks.
const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/// Where `struct ipt_getinfo` has its valid hooks and the place of each chain's first and last entry.
const VALID_HOOKS: usize = 32;
const HOOK_ENTRY: usize = 36;
/// `struct xt_entry_match`, `struct xt_entry_target`: size, name, revision.
const PART_HEAD: usize = 32;
const NAME: std::ops::Range<usize> = 2..31;
const INVERTED_IN: u8 = 1;
const INVERTED_OUT: u8 = 2;
const INVERTED_SOURCE: u8 = 8;
const INVERTED_DESTINATION: u8 = 16;
const INVERTED_PROTOCOL: u8 = 64;

/// Where an entry of a family has its fields.
struct Layout {
    /// Bytes of an address.
    width: usize,
    /// Names of links; their masks 32 bytes on.
    links: usize,
    protocol: usize,
    inverted: usize,
    /// `target_offset`; `next_offset` follows.
    target: usize,
    counters: usize,
    head: usize,
}

const V4: Layout =
    Layout { width: 4, links: 16, protocol: 80, inverted: 83, target: 88, counters: 96, head: 112 };
const V6: Layout =
    Layout { width: 16, links: 64, protocol: 128, inverted: 132, target: 140, counters: 152, head: 168 };

/// A rule and where it stands.
pub(super) type Row = (NatRuleKey, NatRule);

/// The rules of a table that translate, as far as they are looked at and kept.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// In the order of the table.
    pub(super) rows: Vec<Row>,
    /// Rules that translate and were not kept.
    pub(super) left_out: usize,
    /// Entries beyond those that were looked at.
    pub(super) unread: usize,
}

impl Rules {
    /// Looks at a table's first `entries_at_most` entries and keeps `rows_at_most` rules of them.
    pub(super) fn of(
        table: &RawTable,
        (netns, v6): (u64, bool),
        (entries_at_most, rows_at_most): (usize, usize),
    ) -> Self {
        let layout = if v6 { V6 } else { V4 };
        let (mut rules, mut chain, mut position) = (Self::default(), String::new(), 0);
        let (mut at, mut read) = (0, 0);
        while let Some(entry) = table.entries.get(at..).and_then(|rest| entry(rest, &layout)) {
            if read == entries_at_most {
                let all = usize::try_from(entries_of(&table.info)).unwrap_or(usize::MAX);
                rules.unread = all.saturating_sub(read).max(1);
                break;
            }
            read += 1;
            if let Some(name) = built_in(&table.info, at) {
                (chain, position) = (name.to_owned(), 0);
            }
            let (target, length) = (half(entry, layout.target).unwrap_or(0), entry.len());
            let named = part(entry, target);
            at += length;
            let Some((name, info)) = named else {
                position += 1;
                continue;
            };
            if name == b"ERROR" {
                (chain, position) = (printable(until_nul(info)), 0);
                continue;
            }
            position += 1;
            let mut draft = Draft::default();
            xt::add_target(&mut draft, name, info, v6);
            if !draft.translates {
                continue;
            }
            if rules.rows.len() == rows_at_most {
                rules.left_out += 1;
                continue;
            }
            let family = if v6 { "ip6" } else { "ip" }.to_owned();
            let (origin, table) = (NatOrigin::Legacy, "nat".to_owned());
            let key = NatRuleKey { netns, origin, family, table, chain: chain.clone(), position };
            rules.rows.extend(rule(entry, target, draft, &layout).map(|row| (key, row)));
        }
        rules
    }
}

/// The first entry of these bytes, whole.
fn entry<'a>(bytes: &'a [u8], layout: &Layout) -> Option<&'a [u8]> {
    let length = half(bytes, layout.target + 2)?;
    bytes.get(..length).filter(|entry| entry.len() >= layout.head)
}

/// The built-in chain that begins at this place.
fn built_in(info: &[u8; INFO_BYTES], at: usize) -> Option<&'static str> {
    let valid = word(info, VALID_HOOKS)?;
    let begins = |(hook, _): &(usize, &&str)| {
        valid >> hook & 1 == 1 && word(info, HOOK_ENTRY + 4 * hook).is_some_and(|place| place as usize == at)
    };
    CHAINS.iter().enumerate().find(begins).map(|(_, name)| *name)
}

/// A rule with its conditions; `draft` has its target, which begins at `target`.
fn rule(entry: &[u8], target: usize, mut draft: Draft, layout: &Layout) -> Option<NatRule> {
    let inverted = entry.get(layout.inverted).copied().unwrap_or(0);
    let from = |at: usize| address(entry.get(at..at + layout.width)?);
    let net = |at: usize, bit: u8| {
        let text = network(from(at)?, prefix(from(at + 2 * layout.width)?))?;
        Some(unless(inverted & bit != 0, text))
    };
    draft.rule.source = net(0, INVERTED_SOURCE);
    draft.rule.destination = net(layout.width, INVERTED_DESTINATION);
    let link = |at: usize, bit: u8| {
        let (name, mask) = (entry.get(at..at + 16)?, entry.get(at + 32..at + 48)?);
        let name = until_nul(name);
        // Only whole names have their ending in the mask; iptables leaves the `+` in the others.
        let whole = mask.get(name.len()).is_some_and(|byte| *byte != 0);
        let text =
            if whole { printable(name) } else { printable(name).trim_end_matches('+').to_owned() + "+" };
        (!name.is_empty()).then(|| unless(inverted & bit != 0, text))
    };
    draft.rule.in_link = link(layout.links, INVERTED_IN);
    draft.rule.out_link = link(layout.links + 16, INVERTED_OUT);
    let number =
        half(entry, layout.protocol).and_then(|number| u8::try_from(number).ok()).filter(|n| *n != 0);
    draft.rule.protocol = number.map(|n| unless(inverted & INVERTED_PROTOCOL != 0, protocol(n)));
    (draft.rule.packets, draft.rule.bytes) = (long(entry, layout.counters), long(entry, layout.counters + 8));
    let mut at = layout.head;
    while at < target
        && let Some((name, info)) = part(entry, at)
    {
        xt::add_match(&mut draft, name, info);
        at += PART_HEAD + info.len();
    }
    draft.finish()
}

/// Name and content of the match or target at this place.
fn part(entry: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let size = half(entry, at)?;
    let part = entry.get(at..at + size)?;
    Some((until_nul(part.get(NAME)?), part.get(PART_HEAD..)?))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn prefix(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    }
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
