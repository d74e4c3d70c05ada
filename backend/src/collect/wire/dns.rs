//! A DNS message in one line, as `tcpdump` prints it: `4711+ A? web.` and `4711 1/0/0 A 172.18.0.2`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use glasshull_shared::domain::dns::ENGINE_RESOLVER;
use glasshull_shared::unit::printable;
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag, QTYPE, RCODE};

/// Answers named in the line; of more only the number is.
const NAMED_AT_MOST: usize = 4;
/// DNS, mDNS, LLMNR.
const PORTS: [u16; 3] = [53, 5353, 5355];

/// Whether one of two ends is one that answers for names.
pub(super) fn is_between(a: SocketAddr, b: SocketAddr) -> bool {
    [a, b].iter().any(|end| PORTS.contains(&end.port()) || end.ip() == ENGINE_RESOLVER)
}

/// The line; `None` for what is no DNS message.
pub(super) fn line(message: &[u8]) -> Option<String> {
    let packet = Packet::parse(message).ok()?;
    let mut line = packet.id().to_string();
    if !packet.has_flags(PacketFlag::RESPONSE) {
        if packet.has_flags(PacketFlag::RECURSION_DESIRED) {
            line.push('+');
        }
        for question in packet.questions.iter().take(NAMED_AT_MOST) {
            line += &format!(" {}? {}", type_name(&question.qtype), absolute(&question.qname.to_string()));
        }
        return Some(line);
    }
    if packet.rcode() != RCODE::NoError {
        line += &format!(" {}", failure(packet.rcode()));
    }
    line += &format!(
        " {}/{}/{}",
        packet.answers.len(),
        packet.name_servers.len(),
        packet.additional_records.len()
    );
    let named: Vec<String> = packet.answers.iter().take(NAMED_AT_MOST).map(|a| data(&a.rdata)).collect();
    if !named.is_empty() {
        line += &format!(" {}", named.join(", "));
    }
    Some(line)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "kinds of records are an open set: most are only named")]
fn data(record: &RData<'_>) -> String {
    match record {
        RData::A(a) => format!("A {}", Ipv4Addr::from(a.address)),
        RData::AAAA(a) => format!("AAAA {}", Ipv6Addr::from(a.address)),
        RData::CNAME(name) => format!("CNAME {}", absolute(&name.0.to_string())),
        RData::PTR(name) => format!("PTR {}", absolute(&name.0.to_string())),
        RData::NS(name) => format!("NS {}", absolute(&name.0.to_string())),
        RData::SRV(srv) => format!("SRV {}:{}", absolute(&srv.target.to_string()), srv.port),
        RData::MX(mx) => format!("MX {} {}", absolute(&mx.exchange.to_string()), mx.preference),
        other => format!("{:?}", other.type_code()),
    }
}

fn type_name(kind: &QTYPE) -> String {
    match kind {
        QTYPE::TYPE(kind) => format!("{kind:?}"),
        QTYPE::IXFR | QTYPE::AXFR | QTYPE::MAILB | QTYPE::MAILA | QTYPE::ANY => format!("{kind:?}"),
    }
}

fn absolute(name: &str) -> String {
    format!("{}.", printable(name.trim_end_matches('.')))
}

/// As `tcpdump` calls it.
fn failure(code: RCODE) -> String {
    match code {
        RCODE::NoError => "NoError".into(),
        RCODE::FormatError => "FormErr".into(),
        RCODE::ServerFailure => "ServFail".into(),
        RCODE::NameError => "NXDomain".into(),
        RCODE::NotImplemented => "NotImp".into(),
        RCODE::Refused => "Refused".into(),
        RCODE::YXDOMAIN
        | RCODE::YXRRSET
        | RCODE::NXRRSET
        | RCODE::NOTAUTH
        | RCODE::NOTZONE
        | RCODE::BADVERS
        | RCODE::Reserved => format!("{code:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::rdata::{A, RData};
    use simple_dns::{CLASS, Name, QCLASS, Question, ResourceRecord, TYPE};

    fn ask(id: u16) -> Packet<'static> {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new_unchecked("web");
        packet.questions.push(Question::new(name, TYPE::A.into(), QCLASS::CLASS(CLASS::IN), false));
        packet
    }

    #[test]
    fn questions_and_answers_read_as_tcpdump_prints_them() {
        assert_eq!(line(&ask(4711).build_bytes_vec().unwrap()).unwrap(), "4711+ A? web.");
        let mut answer = ask(4711).into_reply();
        let address = u32::from(Ipv4Addr::new(172, 18, 0, 2));
        let record = ResourceRecord::new(Name::new_unchecked("web"), CLASS::IN, 600, RData::A(A { address }));
        answer.answers.push(record);
        assert_eq!(line(&answer.build_bytes_vec().unwrap()).unwrap(), "4711 1/0/0 A 172.18.0.2");
        let mut none = ask(7).into_reply();
        *none.rcode_mut() = RCODE::NameError;
        assert_eq!(line(&none.build_bytes_vec().unwrap()).unwrap(), "7 NXDomain 0/0/0");
    }

    #[test]
    fn a_hostile_name_arrives_printable() {
        let mut packet = Packet::new_query(1);
        let name = Name::new_unchecked("a\u{202e}b\n");
        packet.questions.push(Question::new(name, TYPE::A.into(), QCLASS::CLASS(CLASS::IN), false));
        let line = line(&packet.build_bytes_vec().unwrap()).unwrap_or_default();
        assert!(!line.contains(['\u{202e}', '\n']), "{line}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = line(&bytes);
        }
    }
}
