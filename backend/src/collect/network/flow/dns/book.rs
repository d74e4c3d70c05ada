//! Who asks what, whom, and how it turns out: questions that wait for an answer, and what came of all others, in memory that does
//! not grow beyond a bound.
//!
//! A question passes several links: it counts on the first of a namespace that shows it, and so does its answer. The same question
//! with the same number on another link there is on its way while the first one waits, also when its ends were translated in
//! between. Captures in other namespaces are read by turns, not in the order of time: what each sees is told apart, and
//! `model::seen` takes one of them.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use glasshull_shared::domain::dns::{DnsHeard, DnsHeardName, DnsTally};
use glasshull_shared::domain::network::LinkKey;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::message::{Message, Question};
use super::{Decoded, End, Family};
use crate::sys::own_question;

/// Without an answer for so long, there is none: as resolvers of the C libraries wait.
const PATIENCE_NANOS: u64 = 5_000_000_000;
/// Questions that wait.
const WAITING_AT_MOST: usize = 8_192;
/// Who asks whom on which link.
const CLIENTS_AT_MOST: usize = 1_024;
/// Names of one client.
const NAMES_AT_MOST: usize = 256;
/// Names of all clients.
const ALL_NAMES_AT_MOST: usize = 4_096;
/// A client that was silent for longer gives its place to another.
const SILENT_NANOS: u64 = 60_000_000_000;

const NXDOMAIN: u8 = 3;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// One address that asks another, on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    on: LinkKey,
    client: IpAddr,
    server: IpAddr,
}

/// What an answer must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Line {
    client: Client,
    port: u16,
    id: u16,
}

/// A question wherever it passes in a namespace: that, its number, a hash of name and kind.
type Passing = (u64, u16, u64);

#[derive(Debug)]
struct Waiting {
    question: Question,
    passing: Passing,
    /// First time, and last.
    began_at: u64,
    asked_at: u64,
}

impl Waiting {
    fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.asked_at) > PATIENCE_NANOS
    }
}

#[derive(Debug, Default)]
struct Account {
    tally: DnsTally,
    left_out: u64,
    names: HashMap<Question, NameAccount>,
}

#[derive(Debug, Default)]
struct NameAccount {
    tally: DnsTally,
    addresses: Vec<IpAddr>,
    ttl_secs: Option<u32>,
}

/// The book of one capturing thread.
#[derive(Debug, Default)]
pub(in super::super) struct Book {
    waiting: HashMap<Line, Waiting>,
    /// Where each of `waiting` was seen first.
    passing: HashMap<Passing, Line>,
    clients: HashMap<Client, Account>,
    /// In all accounts.
    names: usize,
    /// Questions that were not followed for lack of room.
    pub(in super::super) left_out: u64,
}

impl Book {
    /// Enters a packet that [`super::concerns`] names, seen at `at` on this link.
    pub(in super::super) fn enter(&mut self, on: LinkKey, packet: &Decoded, data: &[u8], at: u64) {
        let Some(message) = super::message(packet, data) else { return };
        let (asker, server) =
            if message.answers { (packet.to, packet.from) } else { (packet.from, packet.to) };
        if !super::answers(packet.family, &server) {
            return;
        }
        let (Some(client), Some(server)) = (ip(packet.family, asker), ip(packet.family, server)) else {
            return;
        };
        if own_question::is_own(asker.port, message.id) {
            return;
        }
        let line = Line { client: Client { on, client, server }, port: asker.port, id: message.id };
        if message.answers {
            self.answer(line, message, at);
        } else if let Some(question) = message.question {
            self.ask(line, question, at);
        }
    }

    fn ask(&mut self, line: Line, question: Question, at: u64) {
        if let Some(waiting) = self.waiting.get_mut(&line) {
            if waiting.question == question && !waiting.is_over(at) {
                waiting.asked_at = at;
                let again = |tally: &mut DnsTally| {
                    tally.counts.repeats += 1;
                    tally.asked_at = tally.asked_at.max(at);
                };
                return self.count(&line.client, &question, again);
            }
            self.give_up(&line);
        }
        let passing = self.passing_of(&line, &question);
        if let Some(first) = self.passing.get(&passing).copied() {
            match self.waiting.get(&first) {
                Some(waiting) if waiting.is_over(at) => self.give_up(&first),
                Some(_) if first.client.on != line.client.on => return,
                Some(_) | None => {}
            }
        }
        if self.waiting.len() >= WAITING_AT_MOST {
            self.sweep(at);
        }
        if self.waiting.len() >= WAITING_AT_MOST || !self.open(&line.client, &question, at) {
            self.left_out += 1;
            return;
        }
        self.count(&line.client, &question, |tally| {
            tally.counts.queries += 1;
            tally.asked_at = tally.asked_at.max(at);
        });
        self.passing.entry(passing).or_insert(line);
        self.waiting.insert(line, Waiting { question, passing, began_at: at, asked_at: at });
    }

    fn answer(&mut self, line: Line, message: Message, at: u64) {
        let Some(waiting) = self.waiting.get(&line) else { return };
        // One to another question is none.
        if message.question.as_ref().is_some_and(|question| *question != waiting.question) {
            return;
        }
        if waiting.is_over(at) {
            return self.give_up(&line);
        }
        let Some(waiting) = self.forget(&line) else { return };
        // Packets of several processors come a little out of order.
        let latency = at.saturating_sub(waiting.began_at);
        let turn = |tally: &mut DnsTally| {
            let counts = &mut tally.counts;
            counts.truncated += u64::from(message.truncated);
            let kind = match message.code {
                0 if message.records > 0 || message.truncated => &mut counts.answers,
                0 => &mut counts.nodata,
                NXDOMAIN => &mut counts.nxdomain,
                SERVFAIL => &mut counts.servfail,
                REFUSED => &mut counts.refused,
                _ => &mut counts.failed,
            };
            *kind += 1;
            tally.answered += 1;
            tally.latency_sum_nanos += latency;
            tally.latency_last_nanos = latency;
            tally.latency_max_nanos = tally.latency_max_nanos.max(latency);
            tally.answered_at = tally.answered_at.max(at);
        };
        self.count(&line.client, &waiting.question, turn);
        let account = self.clients.get_mut(&line.client);
        if let Some(known) = account.and_then(|account| account.names.get_mut(&waiting.question))
            && message.code == 0
            && message.records > 0
        {
            known.ttl_secs = message.ttl_secs;
            known.addresses = message.addresses;
        }
    }

    /// Nobody answered.
    fn give_up(&mut self, line: &Line) {
        if let Some(waiting) = self.forget(line) {
            self.count(&line.client, &waiting.question, |tally| tally.counts.timeouts += 1);
        }
    }

    fn forget(&mut self, line: &Line) -> Option<Waiting> {
        let waiting = self.waiting.remove(line)?;
        if self.passing.get(&waiting.passing) == Some(line) {
            self.passing.remove(&waiting.passing);
        }
        Some(waiting)
    }

    fn passing_of(&self, line: &Line, question: &Question) -> Passing {
        (line.client.on.netns, line.id, self.clients.hasher().hash_one(question))
    }

    /// Counts for a client and, when it is known, for the name.
    fn count(&mut self, client: &Client, question: &Question, count: impl Fn(&mut DnsTally)) {
        let Some(account) = self.clients.get_mut(client) else { return };
        count(&mut account.tally);
        if let Some(name) = account.names.get_mut(question) {
            count(&mut name.tally);
        }
    }

    /// Makes room for a client and its name; false when there is none for the client.
    fn open(&mut self, client: &Client, question: &Question, at: u64) -> bool {
        if self.clients.len() >= CLIENTS_AT_MOST
            && !self.clients.contains_key(client)
            && !self.drop_silent(at)
        {
            return false;
        }
        let account = match self.clients.entry(*client) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Account::default()),
        };
        if account.names.contains_key(question) {
            return true;
        }
        if account.names.len() >= NAMES_AT_MOST || self.names >= ALL_NAMES_AT_MOST {
            // First what was asked once, of that what lies back furthest.
            let rank = |account: &NameAccount| (account.tally.counts.queries > 1, account.tally.asked_at);
            let least = account.names.iter().min_by_key(|(_, account)| rank(account));
            let Some(least) = least.map(|(name, _)| name.clone()) else {
                account.left_out += 1; // others have all the room
                return true;
            };
            let gone = account.names.remove(&least).map_or(0, |gone| gone.tally.counts.queries);
            account.left_out += gone;
            self.names -= 1;
        }
        account.names.insert(question.clone(), NameAccount::default());
        self.names += 1;
        true
    }

    /// Forgets the client that was silent for longest; false when all asked lately.
    fn drop_silent(&mut self, at: u64) -> bool {
        let oldest = self.clients.iter().min_by_key(|(_, account)| account.tally.asked_at);
        let silent = |account: &Account| at.saturating_sub(account.tally.asked_at) > SILENT_NANOS;
        let Some(client) = oldest.filter(|(_, account)| silent(account)).map(|(client, _)| *client) else {
            return false;
        };
        self.names -= self.clients.remove(&client).map_or(0, |account| account.names.len());
        true
    }

    /// Gives up what waits for too long.
    pub(in super::super) fn sweep(&mut self, now: u64) {
        let over = self.waiting.iter().filter(|(_, waiting)| waiting.is_over(now));
        let over: Vec<Line> = over.map(|(line, _)| *line).collect();
        over.iter().for_each(|line| self.give_up(line));
    }

    /// Forgets what was heard on links that are looked at no more.
    pub(in super::super) fn keep_links(&mut self, keep: impl Fn(u64, u32) -> bool) {
        let keep = |client: &Client| keep(client.on.netns, client.on.ifindex);
        self.waiting.retain(|line, _| keep(&line.client));
        self.passing.retain(|_, line| keep(&line.client));
        self.clients.retain(|client, _| keep(client));
        self.names = self.clients.values().map(|account| account.names.len()).sum();
    }

    /// A copy of all accounts.
    pub(in super::super) fn heard(&self) -> Vec<DnsHeard> {
        let mut outstanding: HashMap<Client, u32> = HashMap::new();
        for line in self.waiting.keys() {
            *outstanding.entry(line.client).or_default() += 1;
        }
        let row = |(client, account): (&Client, &Account)| DnsHeard {
            on: client.on,
            client: client.client,
            server: client.server,
            tally: account.tally,
            outstanding: outstanding.get(client).copied().unwrap_or(0),
            queries_left_out: account.left_out,
            names: account.names.iter().map(named).collect(),
        };
        self.clients.iter().map(row).collect()
    }
}

fn named((question, account): (&Question, &NameAccount)) -> DnsHeardName {
    DnsHeardName {
        name: question.name.clone(),
        record: question.record,
        tally: account.tally,
        addresses: account.addresses.clone(),
        ttl_secs: account.ttl_secs,
    }
}

fn ip(family: Family, end: End) -> Option<IpAddr> {
    let [a, b, c, d, ..] = end.address;
    match family {
        Family::V4 => Some(IpAddr::from([a, b, c, d])),
        Family::V6 => Some(IpAddr::from(end.address)),
        Family::Mac => None,
    }
}

#[cfg(test)]
#[path = "book_test.rs"]
mod tests;
