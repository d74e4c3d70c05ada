//! Recordings: whole, cut short, damaged, hostile; and played into a hub.

use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::{Answer, MAX_FRAME_BYTES, Origin, Question};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::hub::{Hub, Request};
use super::super::record::{self, Recorder};
use super::super::recording::{Recording, Scene};
use super::super::replay::{self, Options};
use super::{Mirror, SECOND, live_hub, snapshot, topics};

/// Bytes of the file's head: magic and version.
const HEAD: usize = 12;

fn wanted() -> TopicSet {
    topics(&[Topic::ProcessStat, Topic::Container, Topic::Agent])
}

/// A recording of `ticks` ticks, the tick at the index of `whole` and the first with whole tables; and where each
/// segment begins, the Hello first.
async fn recording(ticks: u64, whole: Option<u64>) -> (Vec<u8>, Vec<usize>) {
    let (hub, _asked) = live_hub();
    let mut recorder = Recorder::new(Vec::new()).unwrap();
    let mut begins = vec![recorder.written_bytes() as usize];
    recorder.write(&hub.hello_frame()).unwrap();
    let mut subscription = hub.subscribe(wanted());
    for n in 1..=ticks {
        if whole == Some(n) {
            subscription.make_next_full();
        }
        hub.publish(Arc::new(snapshot(n)), TopicSet::ALL, n * SECOND, Some(SECOND));
        begins.push(recorder.written_bytes() as usize);
        recorder.write(&subscription.next().await.unwrap()).unwrap();
    }
    (recorder.into_inner(), begins)
}

fn open(bytes: Vec<u8>) -> anyhow::Result<Recording> {
    Recording::from_static(bytes.leak())
}

#[tokio::test]
async fn a_file_that_is_gone_when_it_begins_again_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), recording(2, None).await.0).unwrap();
    let opened = Recording::open(file.path()).unwrap();
    assert!(opened.scenes().is_ok());
    let name = file.path().display().to_string();
    std::fs::write(file.path(), "something else").unwrap();
    let error = format!("{:#}", opened.scenes().err().unwrap());
    assert!(error.contains(&name) && error.contains("no recording"), "{error}");
    drop(file);
    let error = format!("{:#}", opened.scenes().err().unwrap());
    assert!(error.contains(&name) && error.contains("No such file"), "{error}");
}

/// The second of a tick, its tables, and which of them mean something.
type Tick = (u64, Arc<Snapshot>, TopicSet);

/// All ticks and notices of a recording.
fn play(bytes: Vec<u8>) -> (Vec<Tick>, Vec<String>) {
    let (mut ticks, mut notices) = (Vec::new(), Vec::new());
    for scene in open(bytes).expect("opens").scenes().expect("opens again") {
        match scene {
            Scene::Tick { head, snapshot, collected } => ticks.push((head.at / SECOND, snapshot, collected)),
            Scene::Notice(text) => notices.push(text),
        }
    }
    (ticks, notices)
}

fn agrees(got: &Snapshot, n: u64) -> bool {
    let mirror = Mirror { snapshot: got.clone(), ..Mirror::default() };
    wanted().iter().all(|topic| mirror.agrees(&snapshot(n), topic))
}

#[tokio::test]
async fn what_was_recorded_is_played() {
    let (bytes, _) = recording(6, Some(4)).await;
    let opened = open(bytes.clone()).unwrap();
    assert_eq!((opened.hello().instance, opened.recorded_at()), (7, SECOND));
    let (ticks, notices) = play(bytes);
    assert!(notices.is_empty() && ticks.len() == 6, "{notices:?}");
    assert!(ticks.iter().all(|(n, got, collected)| agrees(got, *n) && *collected == wanted()));
}

#[tokio::test]
async fn a_file_cut_anywhere_is_played_up_to_there() {
    let (bytes, begins) = recording(4, None).await;
    for len in 0..bytes.len() {
        let whole = begins.iter().filter(|begin| **begin <= len).count();
        let at_border = begins.contains(&len);
        let cut = bytes[..len].to_vec();
        if len < begins[2] {
            let error = format!("{:#}", open(cut).expect_err("not one whole tick"));
            assert!(error.starts_with("cannot play the recording"), "{error}");
            continue;
        }
        let (ticks, notices) = play(cut);
        // The Hello and the segment that is cut (or was not begun) are no ticks.
        assert_eq!(ticks.len(), whole - 2, "cut at {len}");
        assert_eq!(notices.len(), usize::from(!at_border), "cut at {len}: {notices:?}");
        assert!(ticks.iter().all(|(n, got, _)| agrees(got, *n)));
    }
}

#[tokio::test]
async fn a_damaged_segment_costs_no_more_than_the_way_to_the_next_whole_tables() {
    let (mut bytes, begins) = recording(6, Some(4)).await;
    bytes[begins[2] + 8] ^= 0xff;
    let (ticks, notices) = play(bytes);
    assert_eq!(notices.len(), 1);
    assert_eq!(ticks.iter().map(|t| t.0).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    for (n, got, collected) in ticks {
        if n == 3 {
            assert!(collected.is_empty(), "its differences fit nothing");
        } else {
            assert!(collected == wanted() && agrees(&got, n), "tick {n}");
        }
    }
}

#[tokio::test]
async fn hostile_lengths_are_not_believed() {
    let (bytes, begins) = recording(3, None).await;
    for len in [u32::MAX, MAX_FRAME_BYTES as u32 + 1, MAX_FRAME_BYTES as u32] {
        let mut hostile = bytes.clone();
        hostile[begins[3]..begins[3] + 4].copy_from_slice(&len.to_le_bytes());
        let (ticks, notices) = play(hostile);
        assert_eq!((ticks.len(), notices.len()), (2, 1), "{notices:?}");
    }
}

#[tokio::test]
async fn what_is_no_recording_is_named() {
    let error = |bytes: Vec<u8>| format!("{:#}", open(bytes).unwrap_err());
    let (bytes, begins) = recording(2, None).await;
    assert!(error(b"GIF89a, not a recording".to_vec()).contains("no recording"));
    assert!(error(bytes[..HEAD].to_vec()).contains("empty"));
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert!(error(newer).contains("version 9"));
    let mut no_hello = bytes[..HEAD].to_vec();
    no_hello.extend(&bytes[begins[1]..]);
    assert!(error(no_hello).contains("no Hello"));
    let missing = Recording::open(std::path::Path::new("/nonexistent/x.ghrec")).unwrap_err();
    assert!(format!("{missing:#}").contains("/nonexistent/x.ghrec"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(at in 0usize..4000, flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut bytes, _) = runtime.block_on(recording(3, None));
        for (position, value) in flips {
            let position = HEAD + position % (bytes.len() - HEAD);
            bytes[position] = value;
        }
        bytes.truncate(HEAD + at);
        if let Ok(recording) = open(bytes) {
            for scene in recording.scenes().unwrap() {
                let tick = matches!(&scene, Scene::Tick { .. });
                let notice = matches!(&scene, Scene::Notice(text) if !text.is_empty());
                prop_assert!(tick || notice);
            }
        }
    }
}

/// A hub that plays, and what `play` needs.
fn replaying(
    bytes: Vec<u8>,
    options: Options,
) -> (Recording, Arc<Hub>, mpsc::Receiver<super::super::hub::Ask>) {
    let recording = open(bytes).unwrap();
    let (questions, asked) = mpsc::channel(4);
    let hub = Hub::new(replay::hello(&recording, options, 1).unwrap(), questions);
    (recording, hub, asked)
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_the_recorded_pauses_divided_by_its_speed() {
    let (bytes, _) = recording(5, None).await;
    let options = Options { speed: 4.0, once: true };
    let (recording, hub, asked) = replaying(bytes, options);
    assert_eq!(hub.hello().origin, Origin::Replay { recorded_at: SECOND, speed: 4.0 });
    assert_eq!(hub.hello().interval_nanos, SECOND / 4);
    let begin = Instant::now();
    let playing =
        tokio::spawn(replay::play(recording, Arc::clone(&hub), asked, options, std::future::pending()));
    let (mut subscription, mut mirror) = (hub.subscribe(wanted()), Mirror::default());
    for n in 1..=5 {
        let seen = mirror.take(&subscription.next().await.unwrap());
        assert_eq!(seen.head.at, n * SECOND);
        assert!(agrees(&mirror.snapshot, n));
    }
    playing.await.unwrap().unwrap();
    assert_eq!(begin.elapsed().as_millis() / 10, 100, "four pauses of a second, four times faster");
    // Later than any live agent would show it: a recording does not age.
    tokio::time::advance(Duration::from_secs(3600)).await;
    let mut late = hub.subscribe(wanted());
    assert_eq!(mirror.take(&late.next().await.unwrap()).full, wanted());
}

#[tokio::test(start_paused = true)]
async fn a_replay_begins_again_and_answers_that_it_cannot_answer() {
    let (bytes, _) = recording(3, None).await;
    let options = Options { speed: 1.0, once: false };
    let (recording, hub, asked) = replaying(bytes, options);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    let playing = tokio::spawn(replay::play(recording, Arc::clone(&hub), asked, options, shutdown));
    let (mut subscription, mut mirror) = (hub.subscribe(wanted()), Mirror::default());
    let mut instants = Vec::new();
    while instants.len() < 7 {
        instants.push(mirror.take(&subscription.next().await.unwrap()).head.at / SECOND);
    }
    assert_eq!(instants, [1, 2, 3, 1, 2, 3, 1]);
    let key = glasshull_shared::domain::process::ProcessKey { pid: 1, start_time: 1 };
    let answer = hub.ask(Request::Question(Question::Process(key))).unwrap().await.unwrap();
    assert_eq!(answer, Answer::Failed("a recording does not hold this".into()));
    stop.send(()).unwrap();
    playing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_speed_must_be_a_speed() {
    let (bytes, _) = recording(1, None).await;
    let recording = open(bytes).unwrap();
    for speed in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(replay::hello(&recording, Options { speed, once: true }, 1).is_err(), "{speed}");
    }
}

#[tokio::test(start_paused = true)]
async fn recording_from_a_hub_writes_whole_tables_every_minute() {
    let (hub, _asked) = live_hub();
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.reopen().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let recorded = tokio::spawn({
        let hub = Arc::clone(&hub);
        async move { record::run(&hub, wanted(), out, async move { drop(stopped.await) }).await }
    });
    for n in 1..=130 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        hub.publish(Arc::new(snapshot(n)), TopicSet::ALL, n * SECOND, Some(SECOND));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    let recorded = recorded.await.unwrap().unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!(recorded.bytes, bytes.len() as u64);
    let (ticks, notices) = play(bytes.clone());
    assert!(notices.is_empty() && ticks.len() == 130 && recorded.frames == 130, "{notices:?} {recorded:?}");
    assert!(ticks.iter().all(|(n, got, _)| agrees(got, *n)));
    assert!(hub.demand().borrow().is_empty());
    // After a hole in the second minute everything is right again in the third.
    let mut begins = vec![HEAD];
    while let Some(len) = bytes.get(begins[begins.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        begins.push(begins[begins.len() - 1] + 8 + u32::from_le_bytes(*len) as usize);
    }
    let mut holed = bytes;
    holed[begins[70] + 20] ^= 1;
    let (ticks, _) = play(holed);
    assert!(ticks.iter().filter(|(n, ..)| *n > 123).all(|(n, got, c)| *c == wanted() && agrees(got, *n)));
    assert!(ticks.iter().any(|(_, _, collected)| collected.is_empty()));
}
