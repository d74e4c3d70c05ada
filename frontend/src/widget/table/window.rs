//! Which rows of a long table are in the page: arithmetic of the virtual window. Pure.
//!
//! Row `r` always lives in slot `r % slots`, so scrolling by one row repaints one slot and leaves the others alone.

/// Rows kept above and below what is seen, so that a fast scroll does not show holes.
pub(super) const OVERSCAN: usize = 8;

/// Slots needed for a viewport.
pub(super) fn slots_for(height: f64, row: f64) -> usize {
    let visible = (height.max(0.0) / row.max(1.0)).ceil().min(1_000.0);
    visible as usize + 1 + 2 * OVERSCAN
}

/// First row that has a slot.
pub(super) fn first_row(scroll: f64, row: f64, lines: usize, slots: usize) -> usize {
    let top = (scroll.max(0.0) / row.max(1.0)).floor() as usize;
    top.saturating_sub(OVERSCAN).min(lines.saturating_sub(slots))
}

/// Row that slot `slot` shows.
pub(super) fn row_of(slot: usize, first: usize, slots: usize) -> usize {
    let slots = slots.max(1);
    first + (slot + slots - first % slots) % slots
}

/// Where to scroll so that a row is wholly seen; `None` when it is.
pub(super) fn reveal(at: usize, scroll: f64, height: f64, row: f64) -> Option<f64> {
    let (top, bottom) = (at as f64 * row, (at + 1) as f64 * row);
    if top < scroll {
        Some(top)
    } else if bottom > scroll + height {
        Some(bottom - height)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn what_is_seen_has_a_slot_of_its_own(scroll in 0.0..250_000.0, height in 0.0..2_000.0, lines in 0usize..10_000) {
            let slots = slots_for(height, 24.0);
            let scroll = f64::min(scroll, (lines as f64 * 24.0 - height).max(0.0));
            let first = first_row(scroll, 24.0, lines, slots);
            let rows: BTreeSet<usize> = (0..slots).map(|s| row_of(s, first, slots)).collect();
            prop_assert_eq!(rows.len(), slots);
            let seen = (scroll / 24.0) as usize..(((scroll + height) / 24.0).ceil() as usize).min(lines);
            prop_assert!(seen.into_iter().all(|r| rows.contains(&r)));
        }

        #[test]
        fn a_revealed_row_is_seen(at in 0usize..1_000, scroll in 0.0..20_000.0) {
            let to = reveal(at, scroll, 480.0, 24.0).unwrap_or(scroll);
            prop_assert_eq!(reveal(at, to, 480.0, 24.0), None);
        }
    }

    #[test]
    fn one_step_changes_one_slot() {
        let slots = 40;
        let changed = (0..slots).filter(|s| row_of(*s, 100, slots) != row_of(*s, 101, slots)).count();
        assert_eq!(changed, 1);
    }
}
