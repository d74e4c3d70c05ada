//! A name server that does what the name says it is asked for: answers, chains, failures, delays, silence and lies, over UDP and
//! TCP. From questions below [`DOMAIN`] to answers that come out of the name alone; everything else is refused, so that no
//! question goes on to anybody. Each question is printed, for tests to see who asked for what.

mod message;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::message::{Data, NOERROR, NXDOMAIN, Question, REFUSED, Record, SERVFAIL, Type};

/// Names below it are answered.
pub const DOMAIN: &str = "lab.test";
/// What a name that says nothing else leads to.
pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 8)];
/// The same, IPv6.
pub const ADDRESS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
/// Time to live of a chain's links, and of what stands at its end.
pub const CHAIN_TTL: [u32; 2] = [300, 30];
/// Time to live of all else that says none.
pub const TTL: u32 = 60;
/// Longest datagram: none of it is an answer.
const GARBAGE: usize = 65_507;

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    /// A code and records.
    Answer(u8, Vec<Record>),
    /// The same, but over TCP alone; by UDP that there is more.
    Cut(Vec<Record>),
    /// The same after a while.
    Late(Duration, Vec<Record>),
    /// Nothing.
    Silence,
    /// The records with another id.
    OtherId(Vec<Record>),
    /// The records as an answer to another question.
    OtherQuestion(Vec<Record>),
    /// Bytes that are no message.
    Garbage,
    /// Both lies and garbage, then the truth.
    AtLast(Vec<Record>),
    /// By UDP that there is more; over TCP half of it.
    Torn(Vec<Record>),
}

/// Serves at port 53 of an address until it is ended. Prints "ready", then a line for each question: `udp A nx.lab.test`.
///
/// # Errors
/// When nobody may listen there.
pub fn run(listen: IpAddr) -> Result<()> {
    let at = SocketAddr::new(listen, 53);
    let udp = Arc::new(UdpSocket::bind(at).with_context(|| format!("listen at {at}, UDP"))?);
    let tcp = TcpListener::bind(at).with_context(|| format!("listen at {at}, TCP"))?;
    say("ready");
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            thread::spawn(move || {
                let _ = over_tcp(stream); // who asked may have gone
            });
        }
    });
    let mut room = vec![0; 64 << 10];
    loop {
        // That one who asked before has gone is told here.
        let Ok((length, from)) = udp.recv_from(&mut room) else { continue };
        let Some(question) = room.get(..length).and_then(Question::read) else { continue };
        say(&format!("udp {question}"));
        let udp = Arc::clone(&udp);
        thread::spawn(move || {
            for message in by_udp(&question) {
                let _ = udp.send_to(&message, from); // who asked may have gone
            }
        });
    }
}

/// A line for the tests; that nobody reads is no failure.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What is sent for a question, after the time it takes.
fn by_udp(question: &Question) -> Vec<Vec<u8>> {
    let lies = |records: &[Record]| {
        vec![question.with_other_id().answer(NOERROR, records), question.other().answer(NOERROR, records)]
    };
    match deed(question) {
        Deed::Answer(code, records) => vec![question.answer(code, &records)],
        Deed::Cut(_) | Deed::Torn(_) => vec![question.cut_off()],
        Deed::Late(wait, records) => {
            thread::sleep(wait);
            vec![question.answer(NOERROR, &records)]
        }
        Deed::Silence => Vec::new(),
        Deed::OtherId(records) => vec![question.with_other_id().answer(NOERROR, &records)],
        Deed::OtherQuestion(records) => vec![question.other().answer(NOERROR, &records)],
        Deed::Garbage => vec![vec![0xff; GARBAGE]],
        Deed::AtLast(records) => {
            let mut all = lies(&records);
            all.extend([vec![0xff; GARBAGE], Vec::new(), question.answer(NOERROR, &records)]);
            all
        }
    }
}

fn over_tcp(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        let Some(question) = Question::read(&message) else { return Ok(()) };
        say(&format!("tcp {question}"));
        let (answer, torn) = match deed(&question) {
            Deed::Answer(code, records) => (question.answer(code, &records), false),
            Deed::Torn(records) => (question.answer(NOERROR, &records), true),
            Deed::Late(wait, records) => {
                thread::sleep(wait);
                (question.answer(NOERROR, &records), false)
            }
            Deed::Cut(records) | Deed::AtLast(records) => (question.answer(NOERROR, &records), false),
            Deed::OtherId(records) => (question.with_other_id().answer(NOERROR, &records), false),
            Deed::OtherQuestion(records) => (question.other().answer(NOERROR, &records), false),
            Deed::Garbage => (vec![0xff; GARBAGE], false),
            Deed::Silence => return Ok(()),
        };
        let told = u16::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes();
        let sent = answer.get(..if torn { answer.len() / 2 } else { answer.len() }).unwrap_or_default();
        stream.write_all(&[&told, sent].concat())?;
        if torn {
            return Ok(());
        }
    }
}

/// What a name says: `a-300`, `chain-3`, `nx`, `nodata`, `servfail`, `refused`, `cut-60`, `slow-700`, `dead`, `liar-id`,
/// `liar-question`, `liar-garbage`, `at-last`, `torn`, and in the manner of sslip.io `db-10-0-0-2` and `10.0.0.2`.
fn deed(question: &Question) -> Deed {
    let name = question.name.to_ascii_lowercase();
    if question.kind == Type::Ptr {
        let known = reversed(&name).is_some_and(|address| ADDRESSES.contains(&address));
        let back = Record::new(&question.name, TTL, Data::Ptr(format!("a-{TTL}.{DOMAIN}")));
        return if known { Deed::Answer(NOERROR, vec![back]) } else { Deed::Answer(NXDOMAIN, Vec::new()) };
    }
    let Some(head) = name.strip_suffix(DOMAIN).and_then(|head| head.strip_suffix('.')) else {
        return Deed::Answer(REFUSED, Vec::new());
    };
    let usual = |ttl| addresses(&question.name, question.kind, ttl);
    let (word, number) = match head.rsplit_once('-') {
        Some((word, digits)) => (word, digits.parse::<u32>().ok()),
        None => (head, None),
    };
    match (head, word, number) {
        (_, "a", Some(ttl)) => Deed::Answer(NOERROR, usual(ttl)),
        (_, "chain", Some(steps @ 1..=20)) => Deed::Answer(NOERROR, chain(question, steps)),
        (_, "cut", Some(count @ 1..=200)) => Deed::Cut(many(question, count)),
        (_, "slow", Some(millis)) => Deed::Late(Duration::from_millis(millis.into()), usual(TTL)),
        ("nodata", ..) => Deed::Answer(NOERROR, Vec::new()),
        ("servfail", ..) => Deed::Answer(SERVFAIL, Vec::new()),
        ("refused", ..) => Deed::Answer(REFUSED, Vec::new()),
        ("dead", ..) => Deed::Silence,
        ("liar-id", ..) => Deed::OtherId(usual(TTL)),
        ("liar-question", ..) => Deed::OtherQuestion(usual(TTL)),
        ("liar-garbage", ..) => Deed::Garbage,
        ("at-last", ..) => Deed::AtLast(usual(TTL)),
        ("torn", ..) => Deed::Torn(many(question, 20)),
        _ => match (held(head), question.kind) {
            (Some(IpAddr::V4(address)), Type::A) => one(question, Data::A(address)),
            (Some(IpAddr::V6(address)), Type::Aaaa) => one(question, Data::Aaaa(address)),
            (Some(_), _) => Deed::Answer(NOERROR, Vec::new()),
            (None, _) => Deed::Answer(NXDOMAIN, Vec::new()),
        },
    }
}

fn one(question: &Question, data: Data) -> Deed {
    Deed::Answer(NOERROR, vec![Record::new(&question.name, TTL, data)])
}

fn addresses(name: &str, kind: Type, ttl: u32) -> Vec<Record> {
    let all: Vec<Data> = match kind {
        Type::A => ADDRESSES.map(Data::A).to_vec(),
        Type::Aaaa => vec![Data::Aaaa(ADDRESS6)],
        Type::Cname | Type::Ptr | Type::Other(_) => Vec::new(),
    };
    all.into_iter().map(|data| Record::new(name, ttl, data)).collect()
}

/// `chain-3` → `chain-2` → `chain-1` → `a-30`.
fn chain(question: &Question, steps: u32) -> Vec<Record> {
    let [of_links, at_end] = CHAIN_TTL;
    let end = format!("a-{at_end}.{DOMAIN}");
    let mut from = question.name.clone();
    let mut records = Vec::new();
    for left in (0..steps).rev() {
        let to = if left == 0 { end.clone() } else { format!("chain-{left}.{DOMAIN}") };
        records.push(Record::new(&from, of_links, Data::Cname(to.clone())));
        from = to;
    }
    records.extend(addresses(&end, question.kind, at_end));
    records
}

fn many(question: &Question, count: u32) -> Vec<Record> {
    let data = |n| Data::A(Ipv4Addr::from_bits(Ipv4Addr::new(198, 51, 100, 1).to_bits() + n));
    let count = if question.kind == Type::A { count } else { 0 };
    (0..count).map(|n| Record::new(&question.name, TTL, data(n))).collect()
}

/// The address that a name holds: the last four numbers apart by dots or dashes, or an IPv6 address with dashes for colons.
fn held(head: &str) -> Option<IpAddr> {
    let parts: Vec<&str> = head.split(['.', '-']).collect();
    let last = parts.get(parts.len().saturating_sub(4)..)?;
    if let Ok(address) = last.join(".").parse::<Ipv4Addr>() {
        return Some(address.into());
    }
    head.rsplit('.').next()?.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// `7.2.0.192.in-addr.arpa`.
fn reversed(name: &str) -> Option<Ipv4Addr> {
    let back: Vec<&str> = name.strip_suffix(".in-addr.arpa")?.rsplit('.').collect();
    back.join(".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: Type) -> Question {
        Question { id: 7, name: name.into(), kind, recursion: true }
    }

    fn answers(name: &str, kind: Type) -> Vec<Data> {
        let deed = deed(&question(name, kind));
        let Deed::Answer(NOERROR, records) = deed else { panic!("{name}: {deed:?}") };
        records.into_iter().map(|record| record.data).collect()
    }

    #[test]
    fn a_name_holds_its_address_as_sslip_io_has_it() {
        let v4 = [Data::A(Ipv4Addr::new(10, 0, 0, 2))];
        for name in
            ["10-0-0-2.lab.test", "10.0.0.2.lab.test", "db-10-0-0-2.LAB.test", "www.db.10.0.0.2.lab.test"]
        {
            assert_eq!(answers(name, Type::A), v4, "{name}");
            assert!(answers(name, Type::Aaaa).is_empty());
        }
        assert_eq!(answers("fd00--2.lab.test", Type::Aaaa), [Data::Aaaa("fd00::2".parse().unwrap())]);
        assert_eq!(answers("0--1.lab.test", Type::Aaaa), [Data::Aaaa("::1".parse().unwrap())]);
        for name in
            ["db.lab.test", "1.2.3.lab.test", "1-2-3-400.lab.test", "nx.lab.test", "lab.test.lab.test"]
        {
            assert_eq!(deed(&question(name, Type::A)), Deed::Answer(NXDOMAIN, vec![]), "{name}");
        }
    }

    #[test]
    fn all_else_is_refused_and_goes_on_to_nobody() {
        for name in ["example.org", "lab.test", "xlab.test", "", "lab.test.example.org"] {
            assert_eq!(deed(&question(name, Type::A)), Deed::Answer(REFUSED, vec![]), "{name}");
        }
        let back = answers("7.2.0.192.in-addr.arpa", Type::Ptr);
        assert_eq!(back, [Data::Ptr("a-60.lab.test".into())]);
        assert_eq!(deed(&question("1.0.0.127.in-addr.arpa", Type::Ptr)), Deed::Answer(NXDOMAIN, vec![]));
    }

    #[test]
    fn a_chain_leads_to_addresses() {
        let targets = answers("chain-3.lab.test", Type::A);
        let names = ["chain-2.lab.test", "chain-1.lab.test", "a-30.lab.test"];
        assert_eq!(targets[..3], names.map(|name| Data::Cname(name.into())));
        assert_eq!(targets[3..], ADDRESSES.map(Data::A));
    }
}
