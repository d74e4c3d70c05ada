//! Golden frames: one per message, and a tick with a row in every table.
//!
//! Older apps and recordings hold these very bytes. When this test fails, the wire has changed: undo that, or, when it
//! is meant, raise `wire::VERSION` if an older app could misread the new form, and make the files anew with
//! `BLESS=1 cargo test -p glasshull-shared --test golden`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]

mod sample;

use std::path::PathBuf;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::wire::{
    Answer, ClientMessage, Hello, Order, Origin, Packed, Question, ServerFrame, ServerMessage, Severity,
    TableFrame, TickHead, apply_tick, decode, decode_client, encode, encode_client, encode_tick, unpack,
};

const HEAD: TickHead =
    TickHead { sequence: 300, at: 1_760_000_000_123_456_789, interval_nanos: Some(1_000_123_456), missed: 2 };

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.bin"))
}

/// The bytes kept under that name; written first with `BLESS=1`.
fn kept(name: &str, now: &[u8]) -> Vec<u8> {
    let path = path(name);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; see the head of this file", path.display()))
}

/// Compares what the frames hold: another version of the compressor is no other wire.
fn same_payload(name: &str, now: &[u8]) -> Vec<u8> {
    let kept = kept(name, now);
    assert_eq!(kept[0], now[0], "{name}: the protocol's version changed; see the head of tests/golden.rs");
    let payload = unpack(&kept).unwrap();
    let changed = payload != unpack(now).unwrap();
    assert!(!changed, "{name}: changing the wire is a deliberate act; see the head of tests/golden.rs");
    payload
}

fn server_messages() -> Vec<(&'static str, ServerMessage)> {
    let hello = |origin| Hello {
        agent_version: "0.1.0".into(),
        instance: 0x0123_4567_89ab_cdef,
        origin,
        interval_nanos: 1_000_000_000,
    };
    let replay = Origin::Replay { recorded_at: 1_760_000_000_000_000_000, speed: 4.0 };
    let names = sample::snapshot()
        .dns_name
        .iter()
        .map(|(key, row)| (key.clone(), (**row).clone()))
        .collect::<Vec<_>>();
    let process = Answer::Process(Packed::new(&sample::process_detail()));
    let notice = |severity| ServerMessage::Notice { severity, text: "the engine hangs".into() };
    vec![
        ("hello_live", ServerMessage::Hello(hello(Origin::Live))),
        ("hello_replay", ServerMessage::Hello(hello(replay))),
        ("answer_process", ServerMessage::Answer { id: 9, answer: process }),
        ("answer_control", ServerMessage::Answer { id: 9, answer: Answer::Control(Some("off".into())) }),
        ("answer_done", ServerMessage::Answer { id: 9, answer: Answer::Done("veth1 is down".into()) }),
        ("answer_names", ServerMessage::Answer { id: 10, answer: Answer::Names(Packed::new(&names)) }),
        (
            "answer_files",
            ServerMessage::Answer { id: 9, answer: Answer::Files(Packed::new(&sample::file::open_files())) },
        ),
        (
            "answer_maps",
            ServerMessage::Answer { id: 9, answer: Answer::Maps(Packed::new(&sample::map::memory_maps())) },
        ),
        (
            "answer_holders",
            ServerMessage::Answer { id: 9, answer: Answer::Holders(Packed::new(&sample::file::holders())) },
        ),
        ("answer_failed", ServerMessage::Answer { id: 300, answer: Answer::Failed("it ended".into()) }),
        ("notice_info", notice(Severity::Info)),
        ("notice_attention", notice(Severity::Attention)),
        ("notice_trouble", notice(Severity::Trouble)),
    ]
}

#[test]
fn messages_of_the_agent() {
    for (name, message) in server_messages() {
        let payload = same_payload(name, &encode(&message).unwrap());
        assert_eq!(decode(&payload).unwrap(), ServerFrame::Message(message), "{name}");
    }
}

#[test]
fn messages_of_a_client() {
    let question = Question::Process(sample::process_key());
    let link = LinkKey { netns: 4_026_531_840, ifindex: 8 };
    for (name, message) in [
        ("client_subscribe", ClientMessage::Subscribe { topics: vec![0, 3, 12] }),
        ("client_ask", ClientMessage::Ask { id: 9, question }),
        ("client_ask_control", ClientMessage::Ask { id: 9, question: Question::Control }),
        ("client_ask_names_again", ClientMessage::Ask { id: 10, question: Question::NamesAgain }),
        (
            "client_ask_names",
            ClientMessage::Ask {
                id: 11,
                question: Question::Names { container: "c0ffee".into(), names: vec!["db".into()] },
            },
        ),
        ("client_ask_files", ClientMessage::Ask { id: 9, question: Question::Files(sample::process_key()) }),
        ("client_ask_maps", ClientMessage::Ask { id: 9, question: Question::Maps(sample::process_key()) }),
        (
            "client_ask_holders",
            ClientMessage::Ask { id: 9, question: Question::Holders(sample::file::held_place()) },
        ),
        ("client_ask_archive", ClientMessage::Ask { id: 9, question: Question::Archive }),
        ("client_resync", ClientMessage::Resync),
        ("client_order", ClientMessage::Order { id: 300, order: Order::SetLink { link, up: true } }),
    ] {
        let now = encode_client(&message).unwrap();
        let kept = kept(name, &now);
        assert_eq!(
            kept, now,
            "{name}: changing the wire is a deliberate act; see the head of tests/golden.rs"
        );
        assert_eq!(decode_client(&kept).unwrap(), message, "{name}");
    }
}

/// Checks a tick whose tables are encoded from `before` to `after`, and that the kept one leads there.
fn tick(name: &str, before: &Snapshot, after: &Snapshot, full: bool) {
    let encoded: Vec<(Topic, Vec<u8>)> = Topic::ALL
        .iter()
        .map(|topic| {
            let bytes = if full {
                after.encode_full(*topic).unwrap()
            } else {
                after.encode_delta(before, *topic).unwrap().expect("every table differs")
            };
            (*topic, bytes)
        })
        .collect();
    let tables: Vec<_> =
        encoded.iter().map(|(topic, bytes)| TableFrame { topic: *topic, full, bytes }).collect();
    let payload = same_payload(name, &encode_tick(&HEAD, &tables).unwrap());
    let ServerFrame::Tick(head, tables) = decode(&payload).unwrap() else { panic!("no tick") };
    assert_eq!((head, tables.len()), (HEAD, Topic::ALL.len()));
    let mut got = before.clone();
    apply_tick(&mut got, &tables).unwrap();
    assert_eq!(&got, after, "{name}");
}

#[test]
fn ticks_with_every_table() {
    let (empty, sample) = (Snapshot::default(), sample::snapshot());
    assert!(Topic::ALL.iter().all(|topic| sample.len(*topic) == 1), "a new table needs a row in the sample");
    tick("tick_full", &empty, &sample, true);
    tick("tick_changed", &empty, &sample, false);
    tick("tick_removed", &sample, &empty, false);
    let head_only = same_payload("tick_head", &encode_tick(&HEAD, &[]).unwrap());
    assert_eq!(decode(&head_only).unwrap(), ServerFrame::Tick(HEAD, vec![]));
}

/// Names and ids of tables are kept by scripts, recordings and older apps.
#[test]
fn ids_and_names_of_tables() {
    let names: Vec<String> = Topic::ALL.iter().map(|t| format!("{} {}\n", t.id(), t.name())).collect();
    let kept = kept("tables", names.concat().as_bytes());
    let kept = String::from_utf8(kept).unwrap();
    assert_eq!(names.concat(), kept, "tables are only appended; see the head of tests/golden.rs");
}

/// No row or key of the sample may lose a field on its way to JSON: a field of the row must not hide one of the key.
#[test]
fn keys_and_rows_share_no_field_name() {
    fn fields<K: serde::Serialize, V: serde::Serialize>(table: &Table<K, V>) -> usize {
        let count = |value: serde_json::Value| value.as_object().map_or(0, serde_json::Map::len);
        let (key, row) = table.iter().next().unwrap();
        count(serde_json::to_value(key).unwrap()) + count(serde_json::to_value(row).unwrap())
    }
    let sample = sample::snapshot();
    let merged = |topic| sample.rows_json(topic).unwrap()[0].as_object().unwrap().len();
    assert_eq!(merged(Topic::Process), fields(&sample.process));
    assert_eq!(merged(Topic::ProcessStat), fields(&sample.process_stat));
    assert_eq!(merged(Topic::Thread), fields(&sample.thread));
    assert_eq!(merged(Topic::ExitedProcess), fields(&sample.exited_process));
    assert_eq!(merged(Topic::Container), fields(&sample.container));
    assert_eq!(merged(Topic::ContainerStat), fields(&sample.container_stat));
    assert_eq!(merged(Topic::Engine), fields(&sample.engine));
    assert_eq!(merged(Topic::Event), fields(&sample.event));
    assert_eq!(merged(Topic::Source), fields(&sample.source));
    assert_eq!(merged(Topic::Cpu), fields(&sample.cpu));
    assert_eq!(merged(Topic::Socket), fields(&sample.socket));
    assert_eq!(merged(Topic::ClosedSocket), fields(&sample.closed_socket));
    assert_eq!(merged(Topic::Flow), fields(&sample.flow));
    assert_eq!(merged(Topic::FlowStat), fields(&sample.flow_stat));
    assert_eq!(merged(Topic::NatRule), fields(&sample.nat_rule));
    assert_eq!(merged(Topic::PublishedPort), fields(&sample.published_port));
    assert_eq!(merged(Topic::Translation), fields(&sample.translation));
    assert_eq!(merged(Topic::Confinement), fields(&sample.confinement));
    assert_eq!(merged(Topic::Mount), fields(&sample.mount));
    assert_eq!(merged(Topic::Cgroup), fields(&sample.cgroup));
    assert_eq!(merged(Topic::Limit), fields(&sample.limit));
    assert_eq!(merged(Topic::LimitStat), fields(&sample.limit_stat));
    assert_eq!(merged(Topic::OomKill), fields(&sample.oom_kill));
    assert_eq!(merged(Topic::Finding), fields(&sample.finding));
    assert_eq!(merged(Topic::Namespace), fields(&sample.namespace));
    assert_eq!(merged(Topic::Isolation), fields(&sample.isolation));
    assert_eq!(merged(Topic::Resolver), fields(&sample.resolver));
    assert_eq!(merged(Topic::DnsName), fields(&sample.dns_name));
    assert_eq!(merged(Topic::ProcessIo), fields(&sample.process_io));
    assert_eq!(merged(Topic::Device), fields(&sample.device));
    assert_eq!(merged(Topic::DeviceStat), fields(&sample.device_stat));
    assert_eq!(merged(Topic::Waiter), fields(&sample.waiter));
    assert_eq!(merged(Topic::ContainerIo), fields(&sample.container_io));
    assert_eq!(merged(Topic::MountUse), fields(&sample.mount_use));
    assert_eq!(merged(Topic::IoCase), fields(&sample.io_case));
    assert_eq!(merged(Topic::DnsSeen), fields(&sample.dns_seen));
    assert_eq!(merged(Topic::DnsClient), fields(&sample.dns_client));
    assert_eq!(merged(Topic::ProcessDelay), fields(&sample.process_delay));
    assert_eq!(merged(Topic::ContainerDeviceIo), fields(&sample.container_device_io));
}
