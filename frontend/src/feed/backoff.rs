//! How long to wait before the next attempt to connect. Pure: chance is an argument.

/// First wait, milliseconds.
const SHORTEST_MILLIS: u32 = 250;
/// No wait is longer, milliseconds.
pub(super) const LONGEST_MILLIS: u32 = 8_000;

/// The wait before attempt `attempt` (0 = first), milliseconds: doubles up to the longest; `random` (0..1) takes off up
/// to a half, so that many pages do not come back to a restarted agent in the same instant.
pub(super) fn delay_millis(attempt: u32, random: f64) -> u32 {
    let doubled = SHORTEST_MILLIS.saturating_mul(1 << attempt.min(16));
    let wait = f64::from(doubled.min(LONGEST_MILLIS));
    (wait * (1.0 - random.clamp(0.0, 1.0) / 2.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_the_longest() {
        let waits: Vec<u32> = (0..8).map(|n| delay_millis(n, 0.0)).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    }

    proptest! {
        #[test]
        fn stays_within_bounds(attempt: u32, random in 0.0..1.0f64) {
            let wait = delay_millis(attempt, random);
            prop_assert!((SHORTEST_MILLIS / 2..=LONGEST_MILLIS).contains(&wait));
        }
    }
}
