//! One question to one server: over UDP, over TCP when the answer says that it was cut off. What is no answer to the question is
//! passed over until the time is up, so that nobody else's packet passes for one, and told then.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use glasshull_shared::domain::dns::{DnsRecord, DnsStatus};
use glasshull_shared::unit::printable;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Longest message: what TCP's two bytes of length can say.
const MESSAGE_BYTES: usize = 65_535;
/// Packets that are no answer before we stop listening.
const STRANGE_AT_MOST: usize = 64;
/// Answers taken over.
const ANSWERS_AT_MOST: usize = 64;
/// Steps of a chain of names.
const CHAIN_AT_MOST: usize = 8;
/// So often it is looked whether the namespace still has a process: our thread must not keep it alive.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reply {
    /// How it turned out.
    pub(crate) status: DnsStatus,
    /// Addresses or names, sorted.
    pub(crate) answers: Vec<String>,
    /// What the name is another name for, step by step.
    pub(crate) chain: Vec<String>,
    /// Shortest time to live, seconds.
    pub(crate) ttl_secs: Option<u32>,
}

impl Reply {
    /// Nothing came, for this reason.
    pub(crate) fn without(status: DnsStatus) -> Self {
        Self { status, ..Self::default() }
    }
}

/// Asks; `None` when `alive` says that the namespace has lost its process meanwhile.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    record: DnsRecord,
    wait: Duration,
    alive: &dyn Fn() -> bool,
) -> Option<Reply> {
    let until = Instant::now() + wait;
    let Some(asked) = Asked::new(name, record) else { return Some(Reply::without(DnsStatus::Failed)) };
    match asked.over_udp(server, until, alive) {
        Ok(Heard::Answer(reply)) => Some(reply),
        Ok(Heard::Cut) => match asked.over_tcp(server, until, alive) {
            Ok(heard) => heard.reply(),
            Err(error) => Some(Reply::without(failure(&error))),
        },
        Ok(Heard::Gone) => None,
        Err(error) => Some(Reply::without(failure(&error))),
    }
}

/// A question on its way.
struct Asked {
    id: u16,
    name: String,
    record: TYPE,
    message: Vec<u8>,
}

enum Heard {
    Answer(Reply),
    /// The answer did not fit: ask over TCP.
    Cut,
    Gone,
}

impl Heard {
    fn reply(self) -> Option<Reply> {
        match self {
            Self::Answer(reply) => Some(reply),
            Self::Cut => Some(Reply::without(DnsStatus::Lied)), // over TCP everything fits
            Self::Gone => None,
        }
    }
}

impl Asked {
    /// `None` for what no name can be.
    fn new(name: &str, record: DnsRecord) -> Option<Self> {
        let name = if record == DnsRecord::Ptr { reversed(name.parse().ok()?) } else { name.to_owned() };
        let record = match record {
            DnsRecord::A => TYPE::A,
            DnsRecord::Aaaa => TYPE::AAAA,
            DnsRecord::Cname => TYPE::CNAME,
            DnsRecord::Ptr => TYPE::PTR,
        };
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
        let id = u16::from_ne_bytes(id);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let question = Name::new(&name).ok()?;
        packet.questions.push(Question::new(question, record.into(), QCLASS::CLASS(CLASS::IN), false));
        let message = packet.build_bytes_vec().ok()?;
        Some(Self { id, name, record, message })
    }

    fn over_udp(&self, server: SocketAddr, until: Instant, alive: &dyn Fn() -> bool) -> io::Result<Heard> {
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(server)?; // others' packets do not reach us
        socket.send(&self.message)?;
        let mut buffer = vec![0; MESSAGE_BYTES];
        let mut strange = 0;
        while let Some(left) = left(until).filter(|_| strange < STRANGE_AT_MOST) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(length) => match self.read(buffer.get(..length).unwrap_or_default()) {
                    Some(heard) => return Ok(heard),
                    None => strange += 1,
                },
                Err(error) if is_time(&error) => {}
                Err(error) => return Err(error),
            }
            if !alive() {
                return Ok(Heard::Gone);
            }
        }
        let status = if strange == 0 { DnsStatus::Timeout } else { DnsStatus::Lied };
        Ok(Heard::Answer(Reply::without(status)))
    }

    fn over_tcp(&self, server: SocketAddr, until: Instant, alive: &dyn Fn() -> bool) -> io::Result<Heard> {
        let wait = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&server, wait)?;
        let length = u16::try_from(self.message.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], &self.message].concat())?;
        let mut message = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        while let Some(left) = left(until) {
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::Answer(Reply::without(DnsStatus::Lied))), // broke off
                Ok(more) => message.extend_from_slice(buffer.get(..more).unwrap_or_default()),
                Err(error) if is_time(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some((length, rest)) = message.split_first_chunk::<2>()
                && let Some(whole) = rest.get(..usize::from(u16::from_be_bytes(*length)))
            {
                let lied = || Heard::Answer(Reply::without(DnsStatus::Lied));
                return Ok(self.read(whole).unwrap_or_else(lied));
            }
            if !alive() {
                return Ok(Heard::Gone);
            }
        }
        Ok(Heard::Answer(Reply::without(DnsStatus::Timeout)))
    }

    /// What a message answers; `None` when it is no answer to this question.
    fn read(&self, message: &[u8]) -> Option<Heard> {
        let cut = self.is_cut(message)?;
        if cut {
            return Some(Heard::Cut);
        }
        let packet = Packet::parse(message).ok()?;
        let asked = QTYPE::TYPE(self.record);
        let question = packet.questions.first().filter(|q| q.qtype == asked && same(&q.qname, &self.name));
        if !packet.has_flags(PacketFlag::RESPONSE) || packet.id() != self.id || question.is_none() {
            return None;
        }
        Some(Heard::Answer(self.reply(&packet)))
    }

    /// Whether an answer with our id was cut off: its records may end anywhere, so only the header is looked at.
    fn is_cut(&self, message: &[u8]) -> Option<bool> {
        let header = message.get(..12)?;
        let [a, b, flags, ..] = header else { return None };
        let is_ours = u16::from_be_bytes([*a, *b]) == self.id && flags & 0x80 != 0;
        is_ours.then_some(flags & 0x02 != 0)
    }

    fn reply(&self, packet: &Packet<'_>) -> Reply {
        let status = match packet.rcode() {
            RCODE::NoError => DnsStatus::NoError,
            RCODE::NameError => DnsStatus::NxDomain,
            RCODE::ServerFailure => DnsStatus::ServFail,
            RCODE::Refused => DnsStatus::Refused,
            RCODE::FormatError
            | RCODE::NotImplemented
            | RCODE::YXDOMAIN
            | RCODE::YXRRSET
            | RCODE::NXRRSET
            | RCODE::NOTAUTH
            | RCODE::NOTZONE
            | RCODE::BADVERS
            | RCODE::Reserved => DnsStatus::Failed,
        };
        let mut reply = Reply::without(status);
        let mut shortest =
            |ttl: u32| reply.ttl_secs = Some(reply.ttl_secs.map_or(ttl, |least| least.min(ttl)));
        let mut name = self.name.clone();
        while reply.chain.len() < CHAIN_AT_MOST {
            let next = packet.answers.iter().find_map(|one| {
                let RData::CNAME(target) = &one.rdata else { return None };
                same(&one.name, &name).then(|| (target.0.to_string(), one.ttl))
            });
            let Some((target, ttl)) = next else { break };
            shortest(ttl);
            reply.chain.push(shown(&target));
            name = target;
        }
        for one in packet.answers.iter().filter(|one| same(&one.name, &name)).take(ANSWERS_AT_MOST) {
            if let Some(answer) = answer(&one.rdata, self.record) {
                shortest(one.ttl);
                reply.answers.push(answer);
            }
        }
        reply.answers.sort();
        reply.answers.dedup();
        if status == DnsStatus::NoError && reply.answers.is_empty() {
            reply.status = DnsStatus::NoData;
        }
        reply
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "kinds of records are an open set: others answer nothing here"
)]
fn answer(data: &RData<'_>, wanted: TYPE) -> Option<String> {
    match data {
        RData::A(a) if wanted == TYPE::A => Some(Ipv4Addr::from(a.address).to_string()),
        RData::AAAA(a) if wanted == TYPE::AAAA => Some(Ipv6Addr::from(a.address).to_string()),
        RData::PTR(name) if wanted == TYPE::PTR => Some(shown(&name.0.to_string())),
        _ => None,
    }
}

/// Names are the same whatever their case.
fn same(name: &Name<'_>, text: &str) -> bool {
    name.to_string().eq_ignore_ascii_case(text.trim_end_matches('.'))
}

fn shown(name: &str) -> String {
    printable(name.trim_end_matches('.'))
}

/// `2.0.18.172.in-addr.arpa`.
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

/// How long to listen before looking up again; `None` when the time is up.
fn left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| left.min(LOOK))
}

fn is_time(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn failure(error: &io::Error) -> DnsStatus {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    let kind = error.kind();
    if matches!(kind, ConnectionRefused | HostUnreachable | NetworkDown | NetworkUnreachable) {
        DnsStatus::Unreachable
    } else if kind == TimedOut {
        DnsStatus::Timeout
    } else {
        DnsStatus::Failed
    }
}

#[cfg(test)]
#[path = "ask_test.rs"]
mod tests;
