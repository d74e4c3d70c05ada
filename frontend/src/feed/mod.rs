//! RECEIVE: the socket to the agent; keeps it open, subscribes to what the store wants, gives frames to the store.

pub mod archive;
mod backoff;
mod session;
mod wire;

use glasshull_shared::snapshot::{Topic, TopicSet};
use leptos::prelude::*;

use crate::store::{Connection, Store};
use session::End;

/// Tables of the frame around the views: wanted as long as the page is open, also while it is hidden.
pub const FRAME_TOPICS: &[Topic] = &[
    Topic::Host,
    Topic::HostStat,
    Topic::Source,
    Topic::Engine,
    Topic::Agent,
    Topic::Event,
    Topic::Container,
];

/// Milliseconds between looks at whether the person wants to connect at once.
const WAIT_STEP_MILLIS: u32 = 250;

/// The connection's controls. Cheap to copy; get it by `expect_context`.
#[derive(Clone, Copy)]
pub struct Feed {
    store: Store,
    /// What was subscribed to last.
    sent: StoredValue<TopicSet>,
    /// Nobody sees the page.
    hidden: RwSignal<bool>,
    /// The person does not want to wait for the next attempt.
    hurry: StoredValue<bool>,
    /// When the last tick came (before the first: when the page was opened), by the browser's clock, milliseconds.
    last_tick_millis: StoredValue<f64>,
}

/// Connects and stays connected as long as the page lives.
pub fn start(store: Store) -> Feed {
    let feed = Feed {
        store,
        sent: StoredValue::new(TopicSet::EMPTY),
        hidden: RwSignal::new(false),
        hurry: StoredValue::new(false),
        last_tick_millis: StoredValue::new(session::now_millis()),
    };
    provide_context(feed);
    // Views come and go within one turn of the event loop; the effect runs after it, so a change of view is one message.
    Effect::new(move |_| feed.subscribe(false));
    wire::follow(store.look);
    wasm_bindgen_futures::spawn_local(feed.run());
    feed
}

impl Feed {
    /// Ends the wait for the next attempt.
    pub fn retry_now(&self) {
        self.hurry.set_value(true);
    }

    /// The page was hidden or shown: hidden, only the frame's tables are received, so that its history has no gap.
    pub fn set_hidden(&self, hidden: bool) {
        self.hidden.set(hidden);
        if !hidden {
            self.retry_now();
        }
    }

    /// Subscribes to what is wanted; `anew` also when the agent was told before (it is another connection).
    fn subscribe(&self, anew: bool) {
        let mut topics = self.store.wanted();
        if self.hidden.get() {
            topics = topics & FRAME_TOPICS.iter().copied().collect();
        }
        if anew || self.sent.get_value() != topics {
            self.store.subscribe(topics);
            self.sent.set_value(topics);
        }
    }

    async fn run(self) {
        let mut attempt = 0;
        loop {
            let end = session::run(&self).await;
            self.store.disconnected();
            let wait_millis = match end {
                End::Lost { reason, had_ticks } => {
                    attempt = if had_ticks { 0 } else { attempt + 1 };
                    let wait_millis = backoff::delay_millis(attempt, js_sys::Math::random());
                    self.store.conn.set(Connection::Lost {
                        secs: (self.silent_millis() / 1_000.0) as u32,
                        retry_secs: wait_millis.div_ceil(1000),
                        reason,
                    });
                    wait_millis
                }
                End::Outdated { reason } => {
                    self.store.conn.set(Connection::Outdated { reason });
                    backoff::LONGEST_MILLIS
                }
            };
            self.wait(wait_millis).await;
        }
    }

    /// Time since the last tick, by the browser's clock.
    fn silent_millis(&self) -> f64 {
        session::now_millis() - self.last_tick_millis.get_value()
    }

    /// Waits for the next attempt, counting down where the person can see it.
    async fn wait(&self, wait_millis: u32) {
        self.hurry.set_value(false);
        let mut left = wait_millis;
        while left > 0 && !self.hurry.get_value() {
            let step = left.min(WAIT_STEP_MILLIS);
            gloo_timers::future::TimeoutFuture::new(step).await;
            left -= step;
            let silent_secs = (self.silent_millis() / 1_000.0) as u32;
            self.store.conn.maybe_update(|conn| match conn {
                Connection::Lost { secs, retry_secs, .. } => {
                    let next = (silent_secs, left.div_ceil(1000));
                    let changed = (*secs, *retry_secs) != next;
                    (*secs, *retry_secs) = next;
                    changed
                }
                Connection::Connecting
                | Connection::Live { .. }
                | Connection::Stale { .. }
                | Connection::Outdated { .. } => false,
            });
        }
    }
}
