//! The hub: who gets what, and what it costs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use proptest::prelude::*;

use super::super::hub::{Hub, Subscription};
use super::{Mirror, SECOND, Seen, live_hub, snapshot, topics};

fn publish(hub: &Hub, n: u64, collected: TopicSet) {
    hub.publish(Arc::new(snapshot(n)), collected, n * SECOND, Some(SECOND));
}

/// The next frame if it is there already.
fn take(subscription: &mut Subscription, mirror: &mut Mirror) -> Option<Seen> {
    let frame = subscription.next().now_or_never()?.expect("a frame");
    Some(mirror.take(&frame))
}

#[test]
fn a_late_client_gets_whole_tables_at_once_and_then_differences() {
    let (hub, _asked) = live_hub();
    let wanted = topics(&[Topic::ProcessStat, Topic::Agent]);
    publish(&hub, 1, TopicSet::ALL);
    let (mut late, mut mirror) = (hub.subscribe(wanted), Mirror::default());
    let first = take(&mut late, &mut mirror).expect("does not wait for the next tick");
    assert_eq!((first.full, first.head.sequence), (wanted, 1));
    assert!(take(&mut late, &mut mirror).is_none());

    publish(&hub, 2, TopicSet::ALL);
    let second = take(&mut late, &mut mirror).unwrap();
    assert_eq!((second.full, second.delta), (TopicSet::EMPTY, topics(&[Topic::ProcessStat])));
    assert!(mirror.agrees(&snapshot(2), Topic::ProcessStat));
    assert_eq!(second.head.missed, 0);
}

#[test]
fn a_tick_without_change_still_beats() {
    let (hub, _asked) = live_hub();
    let (mut client, mut mirror) = (hub.subscribe(topics(&[Topic::Agent])), Mirror::default());
    assert!(take(&mut client, &mut mirror).is_none());
    publish(&hub, 1, TopicSet::ALL);
    publish(&hub, 2, TopicSet::ALL);
    assert_eq!(take(&mut client, &mut mirror).unwrap().full, topics(&[Topic::Agent]));
    let beat = take(&mut client, &mut mirror).unwrap();
    assert_eq!((beat.full | beat.delta, beat.head.at), (TopicSet::EMPTY, 2 * SECOND));
}

#[test]
fn a_table_not_collected_yet_is_awaited_not_sent_empty() {
    let (hub, _asked) = live_hub();
    let collected = topics(&[Topic::Agent]);
    publish(&hub, 2, collected);
    let (mut client, mut mirror) = (hub.subscribe(topics(&[Topic::Container])), Mirror::default());
    assert!(take(&mut client, &mut mirror).is_none(), "nobody collected it");
    publish(&hub, 3, collected);
    assert!(take(&mut client, &mut mirror).unwrap().full.is_empty());
    publish(&hub, 4, TopicSet::ALL);
    assert_eq!(take(&mut client, &mut mirror).unwrap().full, topics(&[Topic::Container]));
    assert_eq!(mirror.snapshot.container.len(), 1);
}

#[test]
fn a_table_left_out_of_one_reading_stays() {
    let (hub, _asked) = live_hub();
    let (mut client, mut mirror) = (hub.subscribe(topics(&[Topic::Container])), Mirror::default());
    assert!(take(&mut client, &mut mirror).is_none(), "joined before the first tick");
    publish(&hub, 2, TopicSet::ALL);
    hub.publish(Arc::new(Snapshot::default()), TopicSet::EMPTY, 3 * SECOND, None);
    publish(&hub, 4, TopicSet::ALL);
    let frames: Vec<Seen> = std::iter::from_fn(|| take(&mut client, &mut mirror)).collect();
    assert_eq!(frames.len(), 3);
    assert!(frames[1..].iter().all(|f| (f.full | f.delta).is_empty()), "{frames:?}");
    assert_eq!(mirror.snapshot.container.len(), 1);
}

#[test]
fn a_changed_view_brings_only_what_is_new() {
    let (hub, _asked) = live_hub();
    let (mut client, mut mirror) = (hub.subscribe(topics(&[Topic::Agent])), Mirror::default());
    publish(&hub, 1, TopicSet::ALL);
    take(&mut client, &mut mirror).unwrap();
    client.set_topics(topics(&[Topic::Agent, Topic::ProcessStat]));
    let more = take(&mut client, &mut mirror).expect("at once");
    assert_eq!((more.full, more.head.sequence), (topics(&[Topic::ProcessStat]), 1));
    client.set_topics(topics(&[Topic::ProcessStat]));
    assert!(take(&mut client, &mut mirror).is_none(), "less needs no frame");
    client.resync();
    assert_eq!(take(&mut client, &mut mirror).unwrap().full, topics(&[Topic::ProcessStat]));
}

#[test]
fn who_falls_behind_gets_one_whole_frame_that_says_what_was_lost() {
    let (hub, _asked) = live_hub();
    let wanted = topics(&[Topic::ProcessStat, Topic::Container]);
    let (mut slow, mut mirror) = (hub.subscribe(wanted), Mirror::default());
    publish(&hub, 1, TopicSet::ALL);
    take(&mut slow, &mut mirror).unwrap();
    for n in 2..=20 {
        publish(&hub, n, TopicSet::ALL);
    }
    let caught_up = take(&mut slow, &mut mirror).unwrap();
    assert_eq!((caught_up.full, caught_up.head.sequence, caught_up.head.missed), (wanted, 20, 18));
    assert!(mirror.agrees(&snapshot(20), Topic::ProcessStat));
    assert!(take(&mut slow, &mut mirror).is_none());
    publish(&hub, 21, TopicSet::ALL);
    assert_eq!(take(&mut slow, &mut mirror).unwrap().head.missed, 0);
}

#[test]
fn a_hundred_clients_are_encoded_for_once() {
    let cost = |clients: usize| {
        let (hub, _asked) = live_hub();
        let wanted = topics(&[Topic::ProcessStat, Topic::Agent]);
        let mut all: Vec<_> = (0..clients).map(|_| (hub.subscribe(wanted), Mirror::default())).collect();
        for n in 1..=5 {
            publish(&hub, n, TopicSet::ALL);
            let frames: Vec<_> =
                all.iter_mut().map(|(s, _)| s.next().now_or_never().unwrap().unwrap()).collect();
            assert!(frames.iter().all(|f| f.as_ptr() == frames[0].as_ptr()), "the very same bytes");
        }
        let work = hub.work();
        (work.tables_encoded.load(Ordering::Relaxed), work.frames_assembled.load(Ordering::Relaxed))
    };
    // Two whole tables, four differences of the one, one of the other; a frame per tick.
    assert_eq!(cost(1), (2 + 4 + 1, 5));
    assert_eq!(cost(100), cost(1));
    assert_eq!(cost(0), (0, 0), "nobody watching costs nothing");
}

#[test]
fn demand_is_what_all_need_together() {
    let (hub, _asked) = live_hub();
    let mut demand = hub.demand();
    let one = hub.subscribe(topics(&[Topic::Agent, Topic::Process]));
    let mut two = hub.subscribe(topics(&[Topic::Process]));
    assert_eq!(*demand.borrow_and_update(), topics(&[Topic::Agent, Topic::Process]));
    drop(one);
    assert_eq!(*demand.borrow_and_update(), topics(&[Topic::Process]));
    let _three = hub.subscribe(topics(&[Topic::Process]));
    assert!(!demand.has_changed().unwrap(), "a second watcher of the same changes nothing");
    two.set_topics(topics(&[Topic::Host]));
    assert_eq!(*demand.borrow_and_update(), topics(&[Topic::Host, Topic::Process]));
    drop(two);
    drop(_three);
    assert!(demand.borrow_and_update().is_empty());
}

#[tokio::test(start_paused = true)]
async fn tables_nobody_kept_up_to_date_are_not_shown_to_a_newcomer() {
    let (hub, _asked) = live_hub();
    publish(&hub, 1, TopicSet::ALL);
    tokio::time::advance(Duration::from_secs(60)).await;
    let (mut client, mut mirror) = (hub.subscribe(topics(&[Topic::Agent])), Mirror::default());
    assert!(take(&mut client, &mut mirror).is_none());
    publish(&hub, 60, TopicSet::ALL);
    assert_eq!(take(&mut client, &mut mirror).unwrap().full, topics(&[Topic::Agent]));
}

/// The three tables that change in these tests, chosen by the low bits.
fn some(bits: u8) -> TopicSet {
    let all = [Topic::ProcessStat, Topic::Container, Topic::Agent];
    all.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, t)| *t).collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// Publish a reading that holds these tables.
    Publish(u8),
    /// A client changes its tables.
    Want(usize, u8),
    /// A client reads all there is.
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u8..8).prop_map(Step::Publish),
        1 => (0usize..2, 0u8..8).prop_map(|(client, bits)| Step::Want(client, bits)),
        2 => (0usize..2).prop_map(Step::Read),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever happens in whatever order: a client that has read everything holds, of each table it wants that the
    /// last reading held, exactly that.
    #[test]
    fn clients_always_agree_with_the_last_reading(steps in steps()) {
        let (hub, _asked) = live_hub();
        let mut clients: Vec<_> = (0..2).map(|_| (hub.subscribe(TopicSet::EMPTY), Mirror::default())).collect();
        let mut wants = [TopicSet::EMPTY; 2];
        let mut last = (0, TopicSet::EMPTY);
        for (n, step) in steps.into_iter().chain([Step::Read(0), Step::Read(1)]).enumerate() {
            match step {
                Step::Publish(bits) => {
                    last = (n as u64, some(bits));
                    publish(&hub, last.0, last.1);
                }
                Step::Want(client, bits) => {
                    wants[client] = some(bits);
                    let (subscription, mirror) = &mut clients[client];
                    subscription.set_topics(wants[client]);
                    mirror.holds = mirror.holds & wants[client];
                }
                Step::Read(client) => {
                    let (subscription, mirror) = &mut clients[client];
                    while take(subscription, mirror).is_some() {}
                    for topic in (wants[client] & last.1).iter() {
                        prop_assert!(mirror.holds.contains(topic), "{topic:?} never came");
                        prop_assert!(mirror.agrees(&snapshot(last.0), topic), "{topic:?} is not the last reading's");
                    }
                }
            }
        }
    }
}
