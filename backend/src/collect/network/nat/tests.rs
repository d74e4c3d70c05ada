//! Rules and connections as the kernel gave them, and in broken form.

use proptest::prelude::*;

use super::conntrack::{READ_AT_MOST, Translations, Unread};
use super::nft::Rules;
use super::{NatReading, Told, legacy};
use crate::sys::xtables::{Asked, INFO_BYTES, RawTable};

/// Bytes written as hexadecimal digits.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// One entry a line: its family, then its attributes.
fn entries(text: &str) -> Vec<(u8, Vec<u8>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (family, rest) = line.split_once(' ').unwrap();
            (family.parse().unwrap(), bytes(rest))
        })
        .collect()
}

fn table(text: &str) -> RawTable {
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(bytes);
    let info = lines.next().unwrap().try_into().unwrap();
    RawTable { info, entries: lines.next().unwrap() }
}

const NFT: &str = include_str!("record/nft-rules.hex");
const LEGACY: &str = include_str!("record/legacy-nat.hex");
const LEGACY6: &str = include_str!("record/legacy-nat6.hex");
const CONNECTIONS: &str = include_str!("record/connections.hex");

const NFT_LINES: [&str; 10] = [
    "ip DOCKER 2: -d 127.0.0.1 ! -i br-1 -p tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80 [0]",
    "ip DOCKER 3: ! -i br+ -p udp --dport 5000:5010 -j DNAT --to-destination 172.18.0.3 [0]",
    "ip POSTROUTING 1: -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE [0]",
    "ip POSTROUTING 2: -s 172.18.0.2 -d 172.18.0.2 -p tcp --dport 80 -j MASQUERADE [0]",
    "ip OUTPUT 1: -d 10.0.0.0/9 -p tcp ! --dport 22 -j REDIRECT --to-ports 3128 [0]",
    "ip6 PREROUTING 1: -p tcp --dport 8443 -j DNAT --to-destination [fd00::2]:443 [0]",
    "inet pre 1: -i eth0 -p tcp --dport 9000 -j DNAT --to-destination 10.1.2.3:9001 [0]",
    "inet pre 2: -d 192.168.7.0/24 -p udp --dport 53 -j REDIRECT --to-ports 5353 [-]",
    "inet pre 3: -p tcp --dport @__set0 -j DNAT --to-destination fd00::9 [-]",
    "inet post 1: -s 10.0.0.0/8 -o wan+ -j SNAT --to-source 203.0.113.5 [-]",
];
const LEGACY_LINES: [&str; 3] = [
    "ip POSTROUTING 1: -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE [0]",
    "ip DOCKER 2: ! -i br+ -p tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80 [7]",
    "ip DOCKER 3: ! -d 10.0.0.0/9 -p udp ! --dport 5000:5010 -j REDIRECT --to-ports 53 [0]",
];
const LEGACY6_LINES: [&str; 2] = [
    "ip6 PREROUTING 1: -s fd00::/8 -p tcp --dport 8443 -j DNAT --to-destination [fd00::2]:443 [0]",
    "ip6 POSTROUTING 1: -o eth0 -j MASQUERADE [0]",
];

fn nft() -> Rules {
    let mut rules = Rules::default();
    entries(NFT).iter().for_each(|(family, rule)| assert!(rules.take(1, *family, rule)));
    rules
}

/// `chain position: text [packets]`.
fn lines<'a>(rows: impl IntoIterator<Item = &'a super::legacy::Row>) -> Vec<String> {
    let line = |(key, row): &super::legacy::Row| {
        let packets = row.packets.map_or_else(|| "-".into(), |n| n.to_string());
        format!("{} {} {}: {} [{packets}]", key.family, key.chain, key.position, row.text)
    };
    rows.into_iter().map(line).collect()
}

#[test]
fn rules_of_nf_tables_are_those_that_were_written() {
    assert_eq!(lines(&nft().rows), NFT_LINES);
}

#[test]
fn rules_of_legacy_iptables_are_those_that_were_written() {
    let all = |text, v6| legacy::Rules::of(&table(text), (1, v6), (usize::MAX, usize::MAX));
    assert_eq!(lines(&all(LEGACY, false).rows), LEGACY_LINES);
    let six = all(LEGACY6, true);
    assert_eq!(lines(&six.rows), LEGACY6_LINES);
    assert_eq!((six.left_out, six.unread), (0, 0));
}

/// The entries of a legacy table of IPv4, each by itself.
fn apart(entries: &[u8]) -> Vec<&[u8]> {
    let mut rest = entries;
    let mut apart = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_ne_bytes([rest[90], rest[91]]));
        let (entry, others) = rest.split_at(length);
        apart.push(entry);
        rest = others;
    }
    apart
}

/// A table of 50,000 rules: one of the recorded ones that translate, again and again, behind the name of its chain.
fn hoard(rules: usize) -> RawTable {
    let recorded = table(LEGACY);
    let is_of =
        |name: &'static [u8]| move |entry: &&&[u8]| entry.windows(name.len()).any(|part| part == name);
    let all = apart(&recorded.entries);
    let chain = all.iter().find(is_of(b"ERROR")).unwrap();
    let rule = all.iter().find(is_of(b"DNAT")).unwrap();
    let entries = [*chain].into_iter().chain(std::iter::repeat_n(*rule, rules)).flatten().copied().collect();
    let mut info = [0; INFO_BYTES];
    info[INFO_BYTES - 8..INFO_BYTES - 4].copy_from_slice(&u32::try_from(rules + 1).unwrap().to_ne_bytes());
    RawTable { info, entries }
}

#[test]
fn of_a_hoard_of_legacy_rules_the_first_are_kept_and_the_rest_is_counted() {
    let table = hoard(50_000);
    let rules = legacy::Rules::of(&table, (1, false), (65_536, 4_096));
    assert_eq!((rules.rows.len(), rules.left_out, rules.unread), (4_096, 45_904, 0));
    assert_eq!(rules.rows[4_095].0.position, 4_096);
    let rules = legacy::Rules::of(&table, (1, false), (10_001, 4_096));
    assert_eq!((rules.rows.len(), rules.left_out, rules.unread), (4_096, 5_904, 40_000));
    // An info that lies does not make the rest unsaid.
    let rules = legacy::Rules::of(&RawTable { info: [0; INFO_BYTES], ..table }, (1, false), (10, 4_096));
    assert_eq!((rules.rows.len(), rules.unread), (9, 1));
}

#[test]
fn what_is_left_out_of_legacy_tables_is_said() {
    let said = |asked: Vec<Asked>| {
        let (mut told, mut reading) = (Told::default(), NatReading::default());
        asked.into_iter().for_each(|asked| told.take_legacy(7, false, asked));
        reading.take(7, told);
        (reading.rules.len(), reading.notices)
    };
    assert_eq!(said(vec![Asked::Table(hoard(3))]), (3, Vec::new()));
    let (kept, notices) = said(vec![Asked::Table(hoard(50_000))]);
    assert_eq!((kept, notices), (4_096, vec!["45904 rules of namespace 7 are left out".to_owned()]));
    let (kept, notices) = said(vec![Asked::Table(hoard(70_000))]);
    assert_eq!(kept, 4_096);
    assert_eq!(notices, ["at least 61439 rules of namespace 7 are left out"]);
    let (kept, notices) = said(vec![Asked::TooLarge { entries: 200_000 }, Asked::Table(hoard(1))]);
    assert_eq!(
        (kept, notices),
        (1, vec!["200000 legacy rules of namespace 7 are too many to be read".to_owned()])
    );
}

#[test]
fn translated_connections_are_kept_and_others_are_not() {
    let mut all = Translations::default();
    let recorded = entries(CONNECTIONS);
    recorded.iter().for_each(|(_, connection)| assert!(all.take(1, connection)));
    let (key, row) = &all.rows[0];
    assert_eq!((key.protocol.as_str(), key.source.as_str()), ("tcp", "10.99.0.1:40000"));
    assert_eq!((key.destination.as_str(), row.reply_source.as_str()), ("10.99.0.2:8080", "10.98.0.2:80"));
    assert_eq!((row.state.as_deref(), row.packets), (Some("ESTABLISHED"), None));
    assert!(recorded.len() > all.rows.len(), "one of them is not translated");
}

#[test]
fn a_line_of_proc_says_the_same() {
    let line = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=8080 packets=3 \
        bytes=200 src=172.18.0.2 dst=10.0.0.1 sport=80 dport=4000 packets=2 bytes=100 [ASSURED] mark=0 use=1";
    let plain = line.replace("src=172.18.0.2", "src=10.0.0.2").replace("sport=80 ", "sport=8080 ");
    let mut all = Translations::default();
    for line in [line, &plain, "ipv4 2 tcp", ""] {
        all.take_line(1, line);
    }
    assert_eq!(all.rows.len(), 1);
    let (key, row) = &all.rows[0];
    assert_eq!((key.source.as_str(), row.reply_source.as_str()), ("10.0.0.1:4000", "172.18.0.2:80"));
    assert_eq!((row.packets, row.bytes, row.timeout_secs), (Some(5), Some(300), Some(431_999)));
}

#[test]
fn a_table_of_any_length_is_read_to_the_bound_and_the_rest_counted() {
    let recorded = entries(CONNECTIONS);
    let mut endless = recorded.iter().cycle();
    let mut all = Translations::default();
    assert_eq!(all.unread(Some(1 << 20)), None, "what came meanwhile is no rest");
    while all.take(1, &endless.next().unwrap().1) {}
    assert_eq!(all.read, READ_AT_MOST);
    assert!(all.rows.len() < READ_AT_MOST / 10 && all.left_out > READ_AT_MOST / 10);
    assert_eq!(all.unread(Some(1 << 20)), Some(Unread::Counted((1 << 20) - READ_AT_MOST as u64)));
    assert_eq!(all.unread(Some(READ_AT_MOST as u64)), None, "it ends exactly there");
    assert_eq!(all.unread(None), Some(Unread::Unknown));
    let mut lines = Translations::default();
    while lines.take_line(1, "") {}
    assert_eq!(lines.read, READ_AT_MOST);
    let (mut rules, recorded) = (Rules::default(), entries(NFT));
    let mut endless = recorded.iter().cycle();
    while endless.next().is_some_and(|(family, rule)| rules.take(1, *family, rule)) {}
    assert_eq!(rules.read, super::nft::READ_AT_MOST);
}

proptest! {
    #[test]
    fn no_cut_or_changed_record_panics(cut in 0_usize..4000, at in 0_usize..4000, byte: u8) {
        let spoil = |mut bytes: Vec<u8>| {
            let length = bytes.len().max(1);
            if let Some(place) = bytes.get_mut(at % length) {
                *place = byte;
            }
            bytes.truncate(cut);
            bytes
        };
        let (mut rules, mut all) = (Rules::default(), Translations::default());
        for (family, rule) in entries(NFT) {
            rules.take(1, family, &spoil(rule));
        }
        for (_, connection) in entries(CONNECTIONS) {
            all.take(1, &spoil(connection));
        }
        for (text, v6) in [(LEGACY, false), (LEGACY6, true)] {
            let table = table(text);
            let table = RawTable { entries: spoil(table.entries), info: table.info };
            let _ = legacy::Rules::of(&table, (1, v6), (100, 2));
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, line: String) {
        Rules::default().take(1, 2, &bytes);
        let mut all = Translations::default();
        all.take(1, &bytes);
        all.take_line(1, &line);
        let table = RawTable { info: [0; INFO_BYTES], entries: bytes };
        let _ = legacy::Rules::of(&table, (1, false), (100, 2));
    }
}
