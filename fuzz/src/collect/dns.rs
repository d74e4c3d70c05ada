//! `backend/src/collect/dns`: what a question makes of what comes for it.

#[path = "../../../backend/src/collect/dns/message.rs"]
mod message;

use glasshull_shared::domain::dns::{DnsRecord, DnsStatus};
use glasshull_shared::unit::printable;

use self::message::{Asked, Said};

/// Id of each question here, as the seeds have it.
const ID: u16 = 7;

/// Reads one message as an answer to the questions for the addresses, the alias and the name of `db` and 172.18.0.2; returns how
/// each was told, with the number of answers.
///
/// # Panics
/// When an answer got through that could harm a terminal or a page, or without an end: that is what the fuzzer looks for besides
/// crashes.
pub fn dns_answer(bytes: &[u8]) -> Vec<(&'static str, usize)> {
    let questions = [
        ("db", DnsRecord::A),
        ("db", DnsRecord::Aaaa),
        ("db", DnsRecord::Cname),
        ("172.18.0.2", DnsRecord::Ptr),
    ];
    let asked = questions.iter().filter_map(|(name, record)| Asked::new(ID, name, *record));
    let told = asked.filter_map(|asked| asked.read(bytes)).map(|said| match said {
        Said::Cut => ("cut", 0),
        Said::Answer(reply) => {
            for text in reply.answers.iter().chain(&reply.chain) {
                assert_eq!(*text, printable(text));
            }
            assert!(reply.answers.len() <= 64 && reply.chain.len() <= 8);
            assert!(reply.status != DnsStatus::NoError || !reply.answers.is_empty());
            (reply.status.name(), reply.answers.len())
        }
    });
    told.collect()
}
