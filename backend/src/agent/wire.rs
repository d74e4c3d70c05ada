//! Looks into wires: between who asks (`serve`) and the threads that look (`collect::wire`). Names come from the tables as they
//! are now; each look has a thread of its own, and there are few at a time, since each keeps its packets in memory.

use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::domain::wire::Refusal;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::unit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::collect::wire::{IsOwn, Known, Labels, Reader, look, save};
use crate::model::wire::{Scene, scene};
use crate::serve::hub::Hub;
use crate::serve::wire::Wanted;
use crate::sys::clock;

/// Looks at a time: their packets are at most this many times `Limits::MOST`.
const AT_MOST: usize = 4;
/// How long the tables may take that tell of namespaces and names.
const TABLES_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether they are there, when nobody else watches.
const TABLES_STEP: Duration = Duration::from_millis(50);
/// Tables that tell of links, namespaces and names.
pub(crate) const TOPICS: [Topic; 3] = [Topic::Netns, Topic::Link, Topic::Container];

/// Answers everybody who wants to look, as long as somebody may come.
pub(crate) async fn run(mut wanted: mpsc::Receiver<Wanted>, hub: Arc<Hub>, host: String, is_own: IsOwn) {
    let permits = Arc::new(Semaphore::new(AT_MOST));
    while let Some(one) = wanted.recv().await {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            one.refuse(Refusal::Busy);
            continue;
        };
        tokio::spawn(answer(one, permit, Arc::clone(&hub), host.clone(), Arc::clone(&is_own)));
    }
}

async fn answer(wanted: Wanted, permit: OwnedSemaphorePermit, hub: Arc<Hub>, host: String, is_own: IsOwn) {
    let (Wanted::Look { start, .. } | Wanted::Save { start, .. }) = &wanted;
    let found = match tables(&hub).await {
        Some(snapshot) => scene(&snapshot, start),
        None => Err(Refusal::Failed("links of this host are not known".into())),
    };
    let scene = match found {
        Ok(scene) => scene,
        Err(refusal) => return wanted.refuse(refusal),
    };
    match wanted {
        Wanted::Look { start, orders, sights } => {
            let known = known(scene);
            on_thread(permit, move || look(&start, known, is_own, orders, sights));
        }
        Wanted::Save { start, told, file } => {
            let (begun, has_begun) = oneshot::channel();
            let name = file_name(&scene);
            let labels = Labels { host, links: scene.links, names: scene.names };
            // A browser ends a download by leaving.
            let (_, stop) = oneshot::channel();
            let reader = Reader { told: begun, file, stop };
            on_thread(permit, move || {
                let _ = save(&start, labels, is_own, reader); // the browser counts for itself
            });
            let result = has_begun.await.unwrap_or_else(|_| Err(Refusal::Failed("no thread for it".into())));
            // Whoever has gone does not miss it.
            drop(told.send(result.map(|()| name)));
        }
    }
}

/// What a look is told of its scene.
pub(crate) fn known(scene: Scene) -> Known {
    let names = scene.names.into_iter().map(|(address, name)| (address.to_string(), name));
    Known { links: scene.links, names: names.collect() }
}

fn on_thread(permit: OwnedSemaphorePermit, work: impl FnOnce() + Send + 'static) {
    let whole = move || {
        work();
        drop(permit);
    };
    // Without a thread all ends of the channels are dropped, which says no.
    if let Err(error) = std::thread::Builder::new().name("wire".into()).spawn(whole) {
        tracing::error!(%error, "no thread to look into a wire");
    }
}

/// The tables as they are now, collected for us when nobody watches.
async fn tables(hub: &Arc<Hub>) -> Option<Arc<Snapshot>> {
    let topics: TopicSet = TOPICS.into_iter().collect();
    let subscription = hub.subscribe(topics);
    let until = Instant::now() + TABLES_WITHIN;
    loop {
        let latest = hub.latest(topics);
        if latest.is_some() || Instant::now() >= until {
            drop(subscription);
            return latest;
        }
        sleep(TABLES_STEP).await;
    }
}

/// `glasshull-web-20261125-021530.pcapng`: nothing that a shell or a header would stumble over.
fn file_name(scene: &Scene) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let title: String = scene.title.chars().map(safe).take(60).collect();
    let at: String = unit::date_time(clock::now_nanos()).chars().filter(|c| *c != '-' && *c != ':').collect();
    format!("glasshull-{title}-{}.pcapng", at.replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_what_was_looked_at() {
        let name = file_name(&Scene { title: "eth0 in \"we/b\"\r\n".into(), ..Scene::default() });
        assert!(name.starts_with("glasshull-eth0-in--we-b---") && name.ends_with(".pcapng"), "{name}");
        assert!(name.is_ascii() && !name.contains([' ', '"', '/', '\r']));
    }
}
