//! How large the letters may be so that all blocks fill the screen, yet fit on it. Pure.
//!
//! A wall screen with few containers gets letters readable from across the room; a busy host gets small ones; when not
//! even the smallest fit, the board scrolls.

/// Sizes of a letter, CSS pixels.
const SIZES: [f64; 12] = [40.0, 36.0, 32.0, 28.0, 25.0, 22.0, 20.0, 18.0, 17.0, 16.0, 15.0, 14.0];
/// Size when the board scrolls anyway.
const SCROLLING: f64 = 16.0;
/// Width of a letter with its space, in its size; as in the style sheet.
const ADVANCE: f64 = 0.86;
/// Height of a line of letters, in their size.
const LINE: f64 = 1.3;
/// Space between blocks, CSS pixels.
const GAP: f64 = 10.0;
/// Padding and border of a block, left and right together.
const SIDES: f64 = 26.0;
/// Padding and border of a block, top and bottom together.
const ENDS: f64 = 20.0;
/// Height of a block's heading, in its own size.
const HEADING: f64 = 1.5;
/// Height of a line under the letters (what D waits in, slots not drawn), in the size of the heading.
const NOTE: f64 = 1.2;
/// A block is at least so many letters wide.
const MIN_LETTERS: f64 = 14.0;
/// Name and counts of a block need so much, in the size of the heading.
const MIN_HEADING: f64 = 18.0;

/// How the blocks are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Size of a letter, CSS pixels.
    pub(super) letter: f64,
    /// Blocks side by side.
    pub(super) columns: usize,
}

impl Fit {
    /// Size of a block's heading.
    pub(super) fn heading(self) -> f64 {
        (self.letter * 0.72).clamp(13.0, 24.0)
    }
}

/// What a block has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Content {
    /// Letters and dots.
    pub(super) letters: usize,
    /// Lines under them.
    pub(super) notes: usize,
}

/// The blocks, and the host's, which goes across.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sizes {
    pub(super) blocks: Vec<Content>,
    pub(super) host: Option<Content>,
}

/// The fit for a field of that size; the one before stays as long as it fits and is not far too small.
pub(super) fn fit(width: f64, height: f64, sizes: &Sizes, before: Option<Fit>) -> Fit {
    let best = best(width, height, sizes);
    match before {
        Some(before) if before.columns <= most_columns(width, before.letter) => {
            let still = board_height(width, sizes, before) <= height;
            if still && best.letter <= before.letter * 1.3 { before } else { best }
        }
        Some(_) | None => best,
    }
}

fn best(width: f64, height: f64, sizes: &Sizes) -> Fit {
    let fits = SIZES.iter().map(|letter| flattest(width, sizes, *letter)).find(|(h, _)| *h <= height);
    fits.unwrap_or_else(|| flattest(width, sizes, SCROLLING)).1
}

/// The number of columns that makes the flattest board: it leaves room for what comes.
fn flattest(width: f64, sizes: &Sizes, letter: f64) -> (f64, Fit) {
    (1..=most_columns(width, letter))
        .map(|columns| Fit { letter, columns })
        .map(|fit| (board_height(width, sizes, fit), fit))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .unwrap_or((f64::MAX, Fit { letter, columns: 1 }))
}

fn most_columns(width: f64, letter: f64) -> usize {
    let heading = Fit { letter, columns: 1 }.heading();
    let block = (MIN_LETTERS * letter * ADVANCE).max(MIN_HEADING * heading) + SIDES;
    (((width + GAP) / (block + GAP)) as usize).max(1)
}

fn block_height(width: f64, content: Content, fit: Fit) -> f64 {
    let per_line = ((width - SIDES) / (fit.letter * ADVANCE)).floor().max(1.0);
    let lines = (content.letters as f64 / per_line).ceil().max(1.0);
    let heading = fit.heading() * (HEADING + NOTE * content.notes as f64);
    ENDS + heading + lines * (fit.letter * LINE).ceil()
}

fn board_height(width: f64, sizes: &Sizes, fit: Fit) -> f64 {
    let columns = fit.columns.max(1);
    let block_width = (width - GAP * (columns - 1) as f64) / columns as f64;
    let rows = sizes.blocks.chunks(columns).map(|row| {
        row.iter().map(|content| block_height(block_width, *content, fit)).fold(0.0, f64::max) + GAP
    });
    rows.sum::<f64>() + sizes.host.map_or(0.0, |content| block_height(width, content, fit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(letters: usize) -> Content {
        Content { letters, notes: 0 }
    }

    fn sizes(blocks: &[usize], host: usize) -> Sizes {
        Sizes { blocks: blocks.iter().copied().map(content).collect(), host: Some(content(host)) }
    }

    #[test]
    fn few_blocks_get_large_letters() {
        let few = fit(1_800.0, 900.0, &sizes(&[5, 20, 8], 40), None);
        let many = fit(1_800.0, 900.0, &sizes(&[30; 100], 400), None);
        assert!(few.letter >= 32.0, "{few:?}");
        assert!(many.letter <= 20.0, "{many:?}");
    }

    #[test]
    fn a_phone_has_one_column() {
        assert_eq!(fit(370.0, 500.0, &sizes(&[10; 40], 100), None).columns, 1);
    }

    #[test]
    fn one_letter_less_changes_nothing() {
        let before = fit(1_400.0, 700.0, &sizes(&[20; 12], 60), None);
        assert_eq!(fit(1_400.0, 700.0, &sizes(&[19; 12], 60), Some(before)), before);
    }

    #[test]
    fn a_line_under_the_letters_takes_room() {
        let fit = Fit { letter: 20.0, columns: 1 };
        let with = block_height(500.0, Content { letters: 5, notes: 1 }, fit);
        assert!(with > block_height(500.0, content(5), fit));
    }

    proptest! {
        #[test]
        fn what_is_said_to_fit_fits(width in 200.0..4_000.0, height in 100.0..2_200.0,
                                    blocks in proptest::collection::vec(0usize..300, 0..60), host in 0usize..500) {
            let sizes = sizes(&blocks, host);
            let fit = fit(width, height, &sizes, None);
            prop_assert!(fit.columns >= 1 && fit.letter >= 14.0);
            let overflows = board_height(width, &sizes, fit) > height;
            prop_assert!(!overflows || fit.letter == SCROLLING);
        }
    }
}
