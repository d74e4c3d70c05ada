//! Who needs which table: counted, so that a table is asked for while at least one guard lives.

use std::collections::BTreeMap;

use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

/// As long as it lives, the agent is asked for a table.
#[must_use = "dropped at once, it asks for nothing"]
pub struct Want {
    wanted: RwSignal<BTreeMap<Topic, u32>>,
    topic: Topic,
}

impl Want {
    pub(super) fn new(wanted: RwSignal<BTreeMap<Topic, u32>>, topic: Topic) -> Self {
        wanted.update(|w| *w.entry(topic).or_default() += 1);
        Self { wanted, topic }
    }
}

impl Drop for Want {
    fn drop(&mut self) {
        // The signal may be gone already when the whole page goes.
        self.wanted.try_update(|w| {
            if let Some(count) = w.get_mut(&self.topic) {
                *count -= 1;
                if *count == 0 {
                    w.remove(&self.topic);
                }
            }
        });
    }
}
