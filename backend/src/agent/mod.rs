//! The loop: demand → tick → collect → relate → publish. With `live` and `source` the only place that sees every stage.

pub(crate) mod archive;
mod control;
pub(crate) mod live;
mod part;
pub(crate) mod source;
pub(crate) mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::domain::file::{FileHolders, HeldPlace, OpenFiles};
use glasshull_shared::domain::process::{MemoryMaps, ProcessKey};
use glasshull_shared::snapshot::{Topic, TopicSet};
use glasshull_shared::wire::{Answer, Packed, Question};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::collect;
use crate::serve::hub::{Ask, Hub, Request};
use crate::sys::root::Root;
use live::{Live, Sample, Serving};

pub(crate) use part::finding::needed as findings_need;

/// Time from the first sample to the second when somebody new watches: rates should not take a whole interval.
const FIRST_RATES: Duration = Duration::from_millis(400);
/// Two ticks are never nearer than this: counters in steps of 10 ms give no rate over a few milliseconds.
const LEAST_INTERVAL: Duration = Duration::from_millis(250);
/// News within this time are published together.
const GATHER_NEWS: Duration = Duration::from_millis(20);

/// Looks at open files and at memory at once: where file systems do not answer, or memory is very large, each takes seconds, and
/// other threads must be left.
static LOOKS: Semaphore = Semaphore::const_new(3);

/// Processes whose largest file is found on the host: the mounts of each are read for it.
const HOLDERS_PLACED: usize = 100;

/// Persons' questions for names at once: each may wait for silent servers.
static INQUIRIES: Semaphore = Semaphore::const_new(2);

/// Runs the live source until `shutdown`: ticks only while somebody subscribes to something.
pub(crate) async fn run(
    mut live: Live,
    wake: Arc<Notify>,
    hub: Arc<Hub>,
    mut asks: mpsc::Receiver<Ask>,
    interval: Duration,
    shutdown: impl Future<Output = ()>,
) {
    live.listen();
    let mut demand = hub.demand();
    let mut collected = TopicSet::EMPTY;
    let mut due = Instant::now();
    let mut began: Option<Instant> = None;
    tokio::pin!(shutdown);
    loop {
        let wanted = *demand.borrow_and_update();
        if wanted.is_empty() {
            if !collected.is_empty() {
                tokio::task::block_in_place(|| live.release());
                collected = TopicSet::EMPTY;
                began = None;
            }
            tokio::select! {
                () = &mut shutdown => return,
                changed = demand.changed() => if changed.is_err() { return },
                Some(ask) = asks.recv() => answer(ask, &mut live, &hub),
            }
            due = Instant::now();
            continue;
        }
        if !(wanted - collected).is_empty() {
            let now = Instant::now();
            due = began.map_or(now, |began| now.max(began + LEAST_INTERVAL));
        }
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = sleep_until(due) => {
                let now = Instant::now();
                began = Some(now);
                let first = !(wanted - collected).is_empty();
                let serving = Serving { clients: hub.clients(), sent_bytes: hub.sent_bytes() };
                publish(&hub, tokio::task::block_in_place(|| live.tick(wanted, serving)));
                collected = wanted;
                due = if first { now + FIRST_RATES.min(interval) } else { next(due, now, interval) };
            }
            () = wake.notified() => {
                sleep(GATHER_NEWS).await;
                publish(&hub, tokio::task::block_in_place(|| live.news(collected)));
            }
            changed = demand.changed() => if changed.is_err() { return },
            Some(ask) = asks.recv() => answer(ask, &mut live, &hub),
        }
    }
}

/// The instant of the next tick: in step with the last one, unless that was late by more than an interval.
fn next(due: Instant, began: Instant, interval: Duration) -> Instant {
    let planned = due + interval;
    if planned < began { began + interval } else { planned }
}

fn publish(hub: &Hub, sample: Sample) {
    hub.publish(sample.snapshot, sample.collected, sample.at, sample.interval_nanos);
}

/// Answers a request: an order between two ticks, a question beside them, since some readings walk page tables or mounts.
fn answer(ask: Ask, live: &mut Live, hub: &Hub) {
    let answer = match ask.request {
        Request::Order(order, by) => tokio::task::block_in_place(|| control::obey(live, &order, by)),
        Request::Question(Question::Control) => Answer::Control(control::refusal(live)),
        Request::Question(Question::Archive) => Answer::Control(crate::serve::archive::refusal(hub.desk())),
        Request::Question(Question::NamesAgain) => live.ask_names_again(),
        Request::Question(Question::Names { container, names }) => {
            match (live.dns().inquiry(&container, &names), INQUIRIES.try_acquire()) {
                (Ok(inquiry), Ok(permit)) => {
                    tokio::task::spawn_blocking(move || {
                        let answer = inquiry.answer();
                        drop(permit);
                        let _ = ask.reply.send(answer); // the client may have gone meanwhile
                    });
                    return;
                }
                (Ok(_), Err(_)) => Answer::Failed("others ask for names too: ask again".into()),
                (Err(why), _) => Answer::Failed(why),
            }
        }
        Request::Question(Question::Process(key)) => {
            tokio::task::spawn_blocking(move || {
                let _ = ask.reply.send(process_detail(key)); // the client may have gone meanwhile
            });
            return;
        }
        Request::Question(Question::Files(key)) => {
            return look(ask.reply, move || Ok(Answer::Files(Packed::new(&open_files(key)?))));
        }
        Request::Question(Question::Maps(key)) => {
            return look(ask.reply, move || Ok(Answer::Maps(Packed::new(&memory_maps(key)?))));
        }
        Request::Question(Question::Holders(place)) => {
            return look(ask.reply, move || Ok(Answer::Holders(Packed::new(&file_holders(&place)?))));
        }
    };
    let _ = ask.reply.send(answer); // as above
}

/// Looks beside the tick, unless as many do already as may.
fn look(reply: oneshot::Sender<Answer>, work: impl FnOnce() -> Result<Answer, String> + Send + 'static) {
    let Ok(permit) = LOOKS.try_acquire() else {
        let why = "too many looks at open files and memory are under way: ask again";
        let _ = reply.send(Answer::Failed(why.into())); // as above
        return;
    };
    tokio::task::spawn_blocking(move || {
        let answer = work();
        drop(permit);
        let _ = reply.send(answer.unwrap_or_else(Answer::Failed)); // as above
    });
}

/// What a process holds open, with where that lies on the host.
///
/// # Errors
/// A sentence for people when the process is gone, its pid belongs to another one now, or it is hidden.
pub(crate) fn open_files(key: ProcessKey) -> Result<OpenFiles, String> {
    let root = Root::host();
    let mut look = collect::process::open_file::read(&root, key)?;
    collect::file::place::fill(&root, key.pid, &mut look.files, &look.links);
    // The mounts must be those of the same process.
    collect::process::open_file::still(&root, key)?;
    Ok(look.files)
}

/// What the memory of a process consists of, with where its files lie on the host.
///
/// # Errors
/// As [`open_files`].
pub(crate) fn memory_maps(key: ProcessKey) -> Result<MemoryMaps, String> {
    let root = Root::host();
    let mut look = collect::process::map::read(&root, key)?;
    look.place(&collect::file::place::paths(&root, key.pid, &look.files));
    // The mounts must be those of the same process.
    collect::process::open_file::still(&root, key)?;
    Ok(look.maps)
}

/// Who holds files on a file system, with where the largest lie on the host.
///
/// # Errors
/// A sentence for people when the place is none, or `/proc` cannot be listed.
pub(crate) fn file_holders(place: &HeldPlace) -> Result<FileHolders, String> {
    let root = Root::host();
    let mut found = collect::process::file_holder::read(&root, place)?;
    for row in found.rows.iter_mut().take(HOLDERS_PLACED) {
        let Some(largest) = &row.largest else { continue };
        row.largest_host =
            collect::file::place::paths(&root, row.pid, &[(largest.into(), None)]).pop().flatten();
    }
    Ok(found)
}

fn process_detail(key: ProcessKey) -> Answer {
    let root = Root::host();
    let exe = collect::file::executable(&root, key.pid);
    match collect::process::detail::read(&root, key, exe) {
        Ok(mut detail) => {
            let cgroups = collect::cgroup::CgroupReader::new(root.clone());
            detail.confinement = collect::confinement::effective(&root, key.pid, &|pid| cgroups.devices(pid));
            Answer::Process(Packed::new(&detail))
        }
        Err(why) => Answer::Failed(why),
    }
}

/// Takes two samples `interval` apart, waiting (bounded) for the engines' first answers: what `snapshot` and `who` show.
pub(crate) async fn sample_twice(
    live: &mut Live,
    wake: &Notify,
    demand: TopicSet,
    interval: Duration,
) -> Sample {
    live.prepare(demand);
    let serving = Serving::default();
    tokio::task::block_in_place(|| live.tick(demand, serving));
    let due = Instant::now() + interval;
    if demand.contains(Topic::Container) || demand.contains(Topic::ContainerStat) {
        wait_for_engines(live, wake, Instant::now() + interval.max(ENGINES_PATIENCE)).await;
        // Containers that only now are known get their first sample before the second one.
        let now = Instant::now();
        if now + Duration::from_millis(100) < due {
            tokio::task::block_in_place(|| live.news(demand));
        }
    }
    sleep_until(due).await;
    let sample = tokio::task::block_in_place(|| live.tick(demand, serving));
    wait_for_answers(live, wake, demand, sample).await
}

/// How long one-off commands wait for resolvers, and for file systems.
const ANSWERS_PATIENCE: Duration = Duration::from_secs(8);

/// The sample with the answers that were still on their way; those that take longer stay pending in it.
async fn wait_for_answers(live: &mut Live, wake: &Notify, demand: TopicSet, mut sample: Sample) -> Sample {
    let until = Instant::now() + ANSWERS_PATIENCE;
    while live.is_waiting(demand) && Instant::now() < until {
        tokio::select! {
            () = wake.notified() => {}
            () = sleep(Duration::from_millis(20)) => {}
        }
        let later = tokio::task::block_in_place(|| live.news(demand));
        sample = Sample { interval_nanos: sample.interval_nanos, ..later };
    }
    sample
}

/// How long one-off commands wait for an engine that does not answer.
const ENGINES_PATIENCE: Duration = Duration::from_secs(3);

async fn wait_for_engines(live: &Live, wake: &Notify, until: Instant) {
    use glasshull_shared::domain::engine::EngineState;
    // Engines that are found by themselves appear a moment after the start.
    let settle = Instant::now() + Duration::from_millis(50);
    loop {
        let connecting = live
            .engines()
            .is_some_and(|e| e.read().engines.values().any(|row| row.state == EngineState::Connecting));
        let now = Instant::now();
        if now >= until || (!connecting && now >= settle) {
            return;
        }
        tokio::select! {
            () = wake.notified() => {}
            () = sleep(Duration::from_millis(20)) => {}
        }
    }
}
