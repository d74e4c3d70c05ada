//! One question to a real server of our own on loopback that answers well, late, not at all, or lies.

use std::net::TcpListener;

use simple_dns::rdata::{A, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, Question, RCODE, ResourceRecord, TYPE};

use super::*;

/// For what is answered, also on a busy host.
const WAIT: Duration = Duration::from_secs(30);

fn always() -> bool {
    true
}

fn record(name: &'static str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, data)
}

fn a(last: u8) -> RData<'static> {
    RData::A(A { address: u32::from(Ipv4Addr::new(172, 18, 0, last)) })
}

/// Answers with what `make` makes of the question, packet by packet, on a port of its own.
fn server(make: impl Fn(Packet<'_>) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        // One question each; the thread ends with it or with the test.
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        for message in make(Packet::parse(&buffer[..length]).unwrap()) {
            socket.send_to(&message, from).unwrap();
        }
    });
    address
}

fn reply_with(answers: Vec<ResourceRecord<'static>>) -> impl Fn(Packet<'_>) -> Vec<Vec<u8>> + Send {
    move |question| {
        let mut reply = question.into_reply();
        reply.answers = answers.clone();
        vec![reply.build_bytes_vec_compressed().unwrap()]
    }
}

fn fetch(server: SocketAddr, name: &str, record: DnsRecord) -> Reply {
    fetch_within(WAIT, server, name, record)
}

fn fetch_within(wait: Duration, server: SocketAddr, name: &str, record: DnsRecord) -> Reply {
    ask(server, name, record, wait, &always).unwrap()
}

#[test]
fn addresses_are_sorted_and_the_shortest_time_to_live_counts() {
    let answers = vec![record("DB", 600, a(3)), record("db", 30, a(2)), record("other", 1, a(9))];
    let reply = fetch(server(reply_with(answers)), "db", DnsRecord::A);
    assert_eq!((reply.status, reply.ttl_secs), (DnsStatus::NoError, Some(30)));
    assert_eq!(reply.answers, ["172.18.0.2", "172.18.0.3"]);
}

#[test]
fn another_name_is_followed_and_a_ring_ends() {
    let alias = |from, to| record(from, 60, RData::CNAME(CNAME(Name::new_unchecked(to))));
    let reply = fetch(server(reply_with(vec![record("b", 9, a(2)), alias("www", "b")])), "www", DnsRecord::A);
    assert_eq!((reply.answers, reply.chain), (vec!["172.18.0.2".to_owned()], vec!["b".to_owned()]));
    let ring = fetch(server(reply_with(vec![alias("x", "y"), alias("y", "x")])), "x", DnsRecord::A);
    assert_eq!((ring.status, ring.chain.len()), (DnsStatus::NoData, 8));
}

#[test]
fn failures_are_told_apart() {
    let with = |code: RCODE| {
        let make = move |question: Packet<'_>| {
            let mut reply = question.into_reply();
            *reply.rcode_mut() = code;
            vec![reply.build_bytes_vec().unwrap()]
        };
        fetch(server(make), "db", DnsRecord::A).status
    };
    assert_eq!(with(RCODE::NameError), DnsStatus::NxDomain);
    assert_eq!(with(RCODE::ServerFailure), DnsStatus::ServFail);
    assert_eq!(with(RCODE::Refused), DnsStatus::Refused);
    assert_eq!(with(RCODE::NoError), DnsStatus::NoData);
    let silent = fetch_within(Duration::from_millis(400), server(|_| vec![]), "db", DnsRecord::A);
    assert_eq!(silent.status, DnsStatus::Timeout);
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(fetch(closed, "db", DnsRecord::A).status, DnsStatus::Unreachable);
    assert_eq!(fetch(closed, "no name", DnsRecord::A).status, DnsStatus::Failed);
}

#[test]
fn lies_are_passed_over_and_told_when_nothing_else_comes() {
    let lies = |question: &Packet<'_>| {
        let other_id = Packet::new_reply(question.id().wrapping_add(1)).build_bytes_vec().unwrap();
        let mut other = Packet::new_reply(question.id());
        let name = Name::new_unchecked("evil");
        other.questions.push(Question::new(name, TYPE::A.into(), QCLASS::CLASS(CLASS::IN), false));
        other.answers.push(record("db", 1, a(66)));
        vec![other_id, other.build_bytes_vec().unwrap(), vec![0xff; 60_000], vec![]]
    };
    // Listened to until the time is up, which is long enough for one of them to come.
    let wait = Duration::from_secs(3);
    let only = fetch_within(wait, server(move |question| lies(&question)), "db", DnsRecord::A);
    assert_eq!((only.status, only.answers.len()), (DnsStatus::Lied, 0));
    let then = server(move |question| {
        let mut all = lies(&question);
        all.extend(reply_with(vec![record("db", 5, a(2))])(question));
        all
    });
    assert_eq!(fetch(then, "db", DnsRecord::A).answers, ["172.18.0.2"]);
}

#[test]
fn what_was_cut_off_is_asked_over_tcp() {
    // Another test may have the number over UDP.
    let both = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind(listener.local_addr().unwrap()).ok()?;
        Some((listener, socket))
    };
    let (listener, socket) = (0..100).find_map(|_| both()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let mut cut = Packet::parse(&buffer[..length]).unwrap().into_reply();
        cut.set_flags(PacketFlag::TRUNCATION);
        socket.send_to(&cut.build_bytes_vec().unwrap(), from).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).unwrap();
        let records = (2..60).map(|last| record("db", 5, a(last))).collect();
        let reply = reply_with(records)(Packet::parse(&question).unwrap()).remove(0);
        let (head, tail) = reply.split_at(100);
        stream.write_all(&[&u16::try_from(reply.len()).unwrap().to_be_bytes()[..], head].concat()).unwrap();
        std::thread::sleep(Duration::from_millis(20)); // in two pieces
        stream.write_all(tail).unwrap();
    });
    let reply = fetch(address, "db", DnsRecord::A);
    assert_eq!((reply.status, reply.answers.len()), (DnsStatus::NoError, 58));
}

#[test]
fn who_loses_its_process_is_let_go_at_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let reply = ask(silent.local_addr().unwrap(), "db", DnsRecord::A, Duration::from_secs(600), &|| false);
    assert!(reply.is_none() && began.elapsed() < Duration::from_secs(300));
}
