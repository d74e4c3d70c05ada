//! Properties of the wire: what is encoded comes back, and no bytes from outside make anything panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]

mod sample;

use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::snapshot::{Snapshot, Topic, table_json};
use glasshull_shared::wire::{
    Answer, ClientMessage, Hello, MAX_CLIENT_BYTES, MAX_FRAME_BYTES, Origin, Packed, Question, ServerFrame,
    ServerMessage, Severity, TableFrame, TickHead, VERSION, WireError, apply_tick, decode, decode_client,
    encode, encode_client, encode_tick, unpack,
};
use proptest::prelude::*;

fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        any::<Vec<u8>>().prop_map(|topics| ClientMessage::Subscribe { topics }),
        any::<(u32, u32, u64)>().prop_map(|(id, pid, start_time)| ClientMessage::Ask {
            id,
            question: Question::Process(ProcessKey { pid, start_time }),
        }),
        any::<u32>().prop_map(|id| ClientMessage::Ask {
            id,
            question: Question::Holders(sample::file::held_place()),
        }),
        Just(ClientMessage::Resync),
    ]
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let origin = prop_oneof![
        Just(Origin::Live),
        (any::<u64>(), 0.01f32..100.0).prop_map(|(recorded_at, speed)| Origin::Replay { recorded_at, speed }),
    ];
    let hello = (".*", any::<u64>(), origin, any::<u64>()).prop_map(
        |(agent_version, instance, origin, interval_nanos)| {
            ServerMessage::Hello(Hello { agent_version, instance, origin, interval_nanos })
        },
    );
    let detail = Just(Answer::Process(Packed::new(&sample::process_detail())));
    let files = Just(Answer::Files(Packed::new(&sample::file::open_files())));
    let maps = Just(Answer::Maps(Packed::new(&sample::map::memory_maps())));
    let holders = Just(Answer::Holders(Packed::new(&sample::file::holders())));
    let answer = (any::<u32>(), prop_oneof![".*".prop_map(Answer::Failed), detail, files, maps, holders])
        .prop_map(|(id, answer)| ServerMessage::Answer { id, answer });
    let severity = prop_oneof![Just(Severity::Info), Just(Severity::Attention), Just(Severity::Trouble)];
    let notice =
        (severity, ".{0,3000}").prop_map(|(severity, text)| ServerMessage::Notice { severity, text });
    prop_oneof![hello, answer, notice]
}

fn head() -> impl Strategy<Value = TickHead> {
    any::<(u64, u64, Option<u64>, u32)>().prop_map(|(sequence, at, interval_nanos, missed)| TickHead {
        sequence,
        at,
        interval_nanos,
        missed,
    })
}

/// The sample's frame with all tables, and its unpacked payload.
fn sample_frame() -> (Vec<u8>, Vec<u8>) {
    let sample = sample::snapshot();
    let encoded: Vec<_> = Topic::ALL.iter().map(|t| (*t, sample.encode_full(*t).unwrap())).collect();
    let tables: Vec<_> =
        encoded.iter().map(|(topic, bytes)| TableFrame { topic: *topic, full: true, bytes }).collect();
    let head = TickHead { sequence: 1, at: 2, interval_nanos: None, missed: 0 };
    let frame = encode_tick(&head, &tables).unwrap();
    let payload = unpack(&frame).unwrap();
    (frame, payload)
}

fn mutate(bytes: &mut Vec<u8>, changes: &[(usize, u8)], keep: usize) {
    for (position, value) in changes {
        let len = bytes.len();
        bytes[position % len] = *value;
    }
    bytes.truncate(keep);
}

/// Everything an app does with a frame, on bytes from anywhere.
fn swallow(payload: &[u8]) -> Result<(), WireError> {
    if let ServerFrame::Tick(_, tables) = decode(payload)? {
        let mut snapshot = Snapshot::default();
        for table in &tables {
            let before = snapshot.clone();
            let applied = snapshot.apply(table.topic, table.full, table.bytes);
            let json = table_json(table.topic, table.full, table.bytes);
            if applied.is_err() {
                // Compared as bytes: a hostile row may hold NaN, which is not equal to itself.
                let bytes = |s: &Snapshot| s.encode_full(table.topic).unwrap();
                assert_eq!(bytes(&snapshot), bytes(&before), "a failed table changes nothing");
                assert!(json.is_err());
            }
        }
        let _ = apply_tick(&mut Snapshot::default(), &tables);
        // Whatever could be taken in can be passed on and comes back the same.
        for topic in Topic::ALL {
            let bytes = snapshot.encode_full(*topic)?;
            let mut copy = Snapshot::default();
            copy.apply(*topic, true, &bytes)?;
            assert_eq!(copy.encode_full(*topic)?, bytes);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn messages_of_a_client_come_back(message in client_message()) {
        prop_assert_eq!(decode_client(&encode_client(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn messages_of_the_agent_come_back(message in server_message()) {
        let payload = unpack(&encode(&message).unwrap()).unwrap();
        prop_assert_eq!(decode(&payload).unwrap(), ServerFrame::Message(message));
    }

    #[test]
    fn ticks_come_back(
        head in head(),
        tables in prop::collection::vec((0usize..13, any::<bool>(), prop::collection::vec(any::<u8>(), 0..600)), 0..13),
    ) {
        let tables: Vec<_> = tables
            .iter()
            .map(|(topic, full, bytes)| TableFrame { topic: Topic::ALL[*topic], full: *full, bytes })
            .collect();
        let payload = unpack(&encode_tick(&head, &tables).unwrap()).unwrap();
        prop_assert_eq!(decode(&payload).unwrap(), ServerFrame::Tick(head, tables));
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, flags in 0u8..3) {
        let _ = decode_client(&bytes);
        let _ = decode_client(&[&[VERSION], bytes.as_slice()].concat());
        let _ = unpack(&bytes);
        let _ = swallow(&bytes);
        if let Ok(payload) = unpack(&[&[VERSION, flags], bytes.as_slice()].concat()) {
            let _ = swallow(&payload);
        }
    }

    #[test]
    fn damaged_frames_never_panic(changes: Vec<(usize, u8)>, keep in 0usize..4000) {
        let (mut frame, mut payload) = sample_frame();
        mutate(&mut frame, &changes, keep);
        if let Ok(payload) = unpack(&frame) {
            let _ = swallow(&payload);
        }
        mutate(&mut payload, &changes, keep);
        let _ = swallow(&payload);
    }

    #[test]
    fn damaged_tables_never_panic(topic in 0usize..13, changes in prop::collection::vec(any::<(usize, u8)>(), 1..4)) {
        let topic = Topic::ALL[topic];
        let mut bytes = sample::snapshot().encode_full(topic).unwrap();
        mutate(&mut bytes, &changes, usize::MAX);
        let mut snapshot = Snapshot::default();
        if snapshot.apply(topic, true, &bytes).is_ok() {
            let passed_on = snapshot.encode_full(topic).unwrap();
            let mut copy = Snapshot::default();
            copy.apply(topic, true, &passed_on).unwrap();
            prop_assert_eq!(copy.encode_full(topic).unwrap(), passed_on);
        }
    }

    #[test]
    fn damaged_messages_of_a_client_never_panic(message in client_message(), changes: Vec<(usize, u8)>, keep in 0usize..64) {
        let mut bytes = encode_client(&message).unwrap();
        mutate(&mut bytes, &changes, keep);
        let _ = decode_client(&bytes);
    }
}

#[test]
fn other_versions_are_named_and_lengths_are_not_believed() {
    assert!(matches!(unpack(&[VERSION + 1, 0, 1, 2]), Err(WireError::Version(v)) if v == VERSION + 1));
    assert!(matches!(decode_client(&[VERSION + 1, 2]), Err(WireError::Version(_))));
    let hostile = [&[VERSION, 1][..], &(MAX_FRAME_BYTES as u32 + 1).to_le_bytes()].concat();
    assert!(matches!(unpack(&hostile), Err(WireError::Malformed(_))));
    assert!(matches!(unpack(&[VERSION, 2, 0]), Err(WireError::Malformed(_))));
    assert!(decode_client(&vec![VERSION; MAX_CLIENT_BYTES + 2]).is_err());
}
