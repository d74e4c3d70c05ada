//! Questions and answers as bytes: what is asked, and whether a message is an answer to it. Pure; strangers write the answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use glasshull_shared::domain::dns::{DnsRecord, DnsStatus};
use glasshull_shared::unit::printable;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Answers taken over.
const ANSWERS_AT_MOST: usize = 64;
/// Steps of a chain of names.
const CHAIN_AT_MOST: usize = 8;

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

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// All of it.
    Answer(Reply),
    /// That it did not fit: ask over TCP.
    Cut,
}

/// A question on its way.
#[derive(Debug)]
pub(super) struct Asked {
    id: u16,
    name: String,
    record: TYPE,
    /// What is sent.
    pub(super) message: Vec<u8>,
}

impl Asked {
    /// Its number.
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    /// `None` for what no name can be.
    pub(super) fn new(id: u16, name: &str, record: DnsRecord) -> Option<Self> {
        let name = if record == DnsRecord::Ptr { reversed(name.parse().ok()?) } else { name.to_owned() };
        let record = match record {
            DnsRecord::A => TYPE::A,
            DnsRecord::Aaaa => TYPE::AAAA,
            DnsRecord::Cname => TYPE::CNAME,
            DnsRecord::Ptr => TYPE::PTR,
        };
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let question = Name::new(&name).ok()?;
        packet.questions.push(Question::new(question, record.into(), QCLASS::CLASS(CLASS::IN), false));
        let message = packet.build_bytes_vec().ok()?;
        Some(Self { id, name, record, message })
    }

    /// What a message answers; `None` when it is no answer to this question.
    pub(super) fn read(&self, message: &[u8]) -> Option<Said> {
        let cut = self.is_cut(message)?;
        if cut {
            return Some(Said::Cut);
        }
        let packet = Packet::parse(message).ok()?;
        let asked = QTYPE::TYPE(self.record);
        let question = packet.questions.first().filter(|q| q.qtype == asked && same(&q.qname, &self.name));
        if !packet.has_flags(PacketFlag::RESPONSE) || packet.id() != self.id || question.is_none() {
            return None;
        }
        Some(Said::Answer(self.reply(&packet)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(reversed("172.18.0.2".parse().unwrap()), "2.0.18.172.in-addr.arpa");
        assert!(reversed("fd00::2".parse().unwrap()).starts_with("2.0.0.0."));
        assert!(reversed("fd00::2".parse().unwrap()).ends_with(".d.f.ip6.arpa"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), keep in 0_usize..40) {
            let asked = Asked::new(7, "db", DnsRecord::A).unwrap();
            let _ = asked.read(&bytes);
            // And such that begin like an answer.
            let reply = Packet::parse(&asked.message).unwrap().into_reply().build_bytes_vec().unwrap();
            let mut begun = reply.get(..keep).unwrap_or(&reply).to_vec();
            begun.extend_from_slice(&bytes);
            let _ = asked.read(&begun);
        }
    }
}
