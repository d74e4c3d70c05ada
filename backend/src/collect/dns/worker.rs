//! Asks beside the tick: one thread takes jobs, some of them at once, so that dead resolvers hold up nobody else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use tokio::sync::Notify;

use super::{Job, Outcome, run};

/// Containers asked in at the same time.
const AT_ONCE: usize = 8;

/// The thread; it ends after the job in hand once this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Sender<Vec<Job>>,
    done: Receiver<Vec<(Job, Outcome)>>,
    waiting: usize,
}

impl Worker {
    /// Starts it. `wake` is notified when answers are there.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(crate) fn start(wake: Arc<Notify>) -> std::io::Result<Self> {
        let (jobs, orders) = channel::<Vec<Job>>();
        let (results, done) = channel();
        let work = move || {
            // Ends when the other side has gone: with its next order, or with what it does not want any more.
            while let Ok(batch) = orders.recv() {
                for some in batch.chunks(AT_ONCE) {
                    if results.send(together(some)).is_err() {
                        return;
                    }
                    wake.notify_one();
                }
            }
        };
        std::thread::Builder::new().name("dns".into()).spawn(work)?;
        Ok(Self { jobs, done, waiting: 0 })
    }

    /// Hands over jobs; their outcomes come by [`Worker::take`]. False when the thread has died.
    #[must_use]
    pub(crate) fn order(&mut self, jobs: Vec<Job>) -> bool {
        let count = jobs.len();
        let taken = self.jobs.send(jobs).is_ok();
        if taken {
            self.waiting += count;
        }
        taken
    }

    /// Jobs without outcome yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What is done since the last call.
    pub(crate) fn take(&mut self) -> Vec<(Job, Outcome)> {
        let mut all = Vec::new();
        loop {
            match self.done.try_recv() {
                Ok(some) => all.extend(some),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.waiting = all.len(); // the thread died: nothing more will come
                    break;
                }
            }
        }
        self.waiting = self.waiting.saturating_sub(all.len());
        all
    }
}

fn together(jobs: &[Job]) -> Vec<(Job, Outcome)> {
    std::thread::scope(|scope| {
        let start =
            |job| std::thread::Builder::new().name("dns-ask".into()).spawn_scoped(scope, move || run(job));
        let threads: Vec<_> = jobs.iter().map(|job| (job, start(job))).collect();
        let outcome = |(job, thread): (&Job, std::io::Result<std::thread::ScopedJoinHandle<'_, Outcome>>)| {
            let done = match thread {
                Ok(thread) => thread.join().unwrap_or_default(),
                Err(error) => {
                    Outcome { refused: Some(format!("no thread to ask on: {error}")), ..Outcome::default() }
                }
            };
            (job.clone(), done)
        };
        threads.into_iter().map(outcome).collect()
    })
}
