//! Marks of the questions that we ask resolvers ourselves: set by who asks, looked up by who counts DNS on the wire, so that nobody is
//! said to have asked what we did in its namespace.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An answer comes, and is read from the kernel's ring, well within.
const KEPT: Duration = Duration::from_secs(30);

/// By the port that asks and the number of the question.
static OWN: Mutex<Option<HashMap<(u16, u16), Instant>>> = Mutex::new(None);

/// Says that a question is ours, before it is sent.
pub(crate) fn mark(port: u16, id: u16) {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let (now, own) = (Instant::now(), own.get_or_insert_default());
    own.retain(|_, at| now.duration_since(*at) < KEPT);
    own.insert((port, id), now);
}

/// Whether a question, or the one that is answered, is ours.
pub(crate) fn is_own(port: u16, id: u16) -> bool {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    own.as_ref().is_some_and(|own| own.contains_key(&(port, id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_told_from_the_same_number_at_another_port() {
        assert!(!is_own(40_001, 7));
        mark(40_001, 7);
        assert!(is_own(40_001, 7) && !is_own(40_002, 7) && !is_own(40_001, 8));
    }
}
