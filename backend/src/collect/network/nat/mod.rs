//! Address translation, read natively in each network namespace: rules of nf_tables (netlink) and of legacy iptables
//! (`getsockopt`), whichever there are, with their counters; translated connections (ctnetlink). Fills `nat_rule` and
//! `translation` without relations; `model::nat` joins them and makes `published_port`.
//!
//! Reading makes nothing: a legacy table is asked for only where `ip_tables_names` lists it.

mod conntrack;
mod draft;
mod legacy;
mod listener;
mod nft;
#[cfg(test)]
mod tests;
mod xt;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{NatRule, NatRuleKey, Translation, TranslationKey};

pub(crate) use conntrack::Unread;
pub(crate) use listener::{Ask, Listener};

use super::has_gone;
use crate::sys::netfilter::{GET_CONNECTIONS, GET_RULES, NetfilterSocket};
use crate::sys::netns::{self, Target};
use crate::sys::root::Root;
use crate::sys::xtables::{self, Asked};
use conntrack::Translations;
use nft::Rules;

/// Rules kept of one namespace: clusters have tens of thousands, which no person reads.
const RULES_AT_MOST: usize = 4096;
/// Translations kept of all namespaces together.
const TRANSLATIONS_AT_MOST: usize = 8192;

/// Which tables somebody needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Want {
    /// Rules.
    pub rules: bool,
    /// Translated connections.
    pub translations: bool,
}

/// One reading of all namespaces.
#[derive(Debug, Default)]
pub(crate) struct NatReading {
    /// Rules, without containers and dead marks.
    pub rules: Table<NatRuleKey, NatRule>,
    /// Translated connections, without containers.
    pub translations: Table<TranslationKey, Translation>,
    /// Namespaces whose rules were read.
    pub read: BTreeSet<u64>,
    /// Namespaces that are there but could not be read now: what was known of them still holds.
    pub failed: Vec<u64>,
    /// Namespaces whose rules we may not read, although we are in them.
    pub refused: usize,
    /// Namespaces we may not enter.
    pub closed: usize,
    /// Translated connections beyond what is kept.
    pub translations_left_out: usize,
    /// Namespaces whose connections were not all looked at, each with how many more there are.
    pub unread: Vec<Unread>,
    /// What else could not be read, for a person; at most one line per reason.
    pub notices: Vec<String>,
}

/// Reads rules and translations again and again.
pub(crate) struct NatReader {
    finder: listener::Finder,
}

/// What one namespace told.
#[derive(Debug, Default)]
struct Told {
    rules: Vec<(NatRuleKey, NatRule)>,
    /// More rules than are looked at.
    rules_cut: bool,
    /// Rules that were looked at and not kept.
    rules_left_out: usize,
    /// Entries of legacy tables that were not asked for.
    rules_unasked: u32,
    translations: Translations,
    unread: Option<Unread>,
    /// The kernel refused one of them.
    refused: bool,
}

impl NatReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { finder: listener::Finder::new(root) }
    }

    /// Reads what these namespaces translate.
    ///
    /// # Errors
    /// When no thread can be made to go there.
    pub(crate) fn read(&mut self, targets: &[Target], want: Want) -> io::Result<NatReading> {
        let mut reading = NatReading::default();
        let told = netns::visit(targets, |target| match ask(target.inode, want) {
            Err(error) if is_refusal(&error) => Ok(Told { refused: true, ..Told::default() }),
            other => other,
        })?;
        for (target, told) in targets.iter().zip(told) {
            match told {
                Ok(told) if told.refused => reading.refused += 1,
                Ok(told) => reading.take(target.inode, told),
                Err(error) if has_gone(&error) => {}
                Err(error) if is_refusal(&error) => {
                    reading.closed += 1;
                }
                Err(error) => {
                    reading.notices.push(format!("network namespace {}: {error}", target.inode));
                    reading.failed.push(target.inode);
                }
            }
        }
        Ok(reading)
    }

    /// Who listens on these ports, by namespace; a namespace whose sockets cannot be read is missing.
    pub(crate) fn listeners(&mut self, asks: &[Ask]) -> HashMap<u64, Vec<Listener>> {
        self.finder.find(asks)
    }
}

impl Told {
    fn take_legacy(&mut self, netns: u64, v6: bool, asked: Asked) {
        match asked {
            Asked::Table(table) => {
                let rules = legacy::Rules::of(&table, (netns, v6), (nft::READ_AT_MOST, RULES_AT_MOST));
                self.rules.extend(rules.rows);
                self.rules_left_out += rules.left_out;
                self.rules_cut |= rules.unread > 0;
            }
            Asked::TooLarge { entries } => self.rules_unasked = self.rules_unasked.saturating_add(entries),
        }
    }
}

impl NatReading {
    fn take(&mut self, netns: u64, mut told: Told) {
        self.read.insert(netns);
        if told.rules_unasked > 0 {
            let entries = told.rules_unasked;
            self.notices.push(format!("{entries} legacy rules of namespace {netns} are too many to be read"));
        }
        let beyond = told.rules.len().saturating_sub(RULES_AT_MOST) + told.rules_left_out;
        if beyond > 0 {
            let least = if told.rules_cut { "at least " } else { "" };
            self.notices.push(format!("{least}{beyond} rules of namespace {netns} are left out"));
            told.rules.truncate(RULES_AT_MOST);
        } else if told.rules_cut {
            let most = nft::READ_AT_MOST;
            self.notices.push(format!("rules of namespace {netns} beyond the first {most} are left out"));
        }
        self.unread.extend(told.unread);
        self.rules.extend(told.rules.into_iter().map(|(key, row)| (key, Arc::new(row))));
        let room = TRANSLATIONS_AT_MOST.saturating_sub(self.translations.len());
        let mut rows = told.translations.rows;
        self.translations_left_out += told.translations.left_out + rows.len().saturating_sub(room);
        rows.truncate(room);
        self.translations.extend(rows.into_iter().map(|(key, row)| (key, Arc::new(row))));
    }
}

/// Asks the namespace this thread is in.
fn ask(netns: u64, want: Want) -> io::Result<Told> {
    let mut told = Told::default();
    if want.rules {
        let socket = NetfilterSocket::open()?;
        let dump = socket.dump(GET_RULES, |rules: &mut Rules, family, rule| rules.take(netns, family, rule));
        let rules = absent_is_empty(dump)?;
        told.rules_cut = rules.read >= nft::READ_AT_MOST;
        told.rules = rules.rows;
        for (v6, file) in [(false, "ip_tables_names"), (true, "ip6_tables_names")] {
            // Its own view, not that of the process: this thread is elsewhere.
            let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
            if names.lines().any(|name| name == "nat") {
                told.take_legacy(netns, v6, xtables::table("nat", v6)?);
            }
        }
    }
    if want.translations {
        let socket = NetfilterSocket::open()?;
        let dump =
            socket.dump(GET_CONNECTIONS, |all: &mut Translations, _, connection| all.take(netns, connection));
        told.translations = match absent_is_empty(dump) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => from_file(netns).ok_or(error)?,
            other => other?,
        };
        told.unread = told.translations.unread(connections());
    }
    Ok(told)
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// A kernel without the subsystem has none of its entries.
fn absent_is_empty<T: Default>(dump: io::Result<T>) -> io::Result<T> {
    match dump {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT)) =>
        {
            Ok(T::default())
        }
        other => other,
    }
}

/// Where the capability is missing, a file may still be readable.
fn from_file(netns: u64) -> Option<Translations> {
    let file = File::open("/proc/thread-self/net/nf_conntrack").ok()?;
    let mut all = Translations::default();
    for line in BufReader::new(file).lines() {
        if !all.take_line(netns, &line.ok()?) {
            break;
        }
    }
    Some(all)
}

/// Connections that the kernel tracks in the namespace of this thread, whose view `/proc/sys/net` is.
fn connections() -> Option<u64> {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok()?.trim().parse().ok()
}
