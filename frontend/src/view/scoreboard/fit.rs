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
/// A block is at least so wide, in the size of the page's type.
const MIN_BLOCK_REM: f64 = 15.0;
/// A block with more lines of letters goes across more columns.
const MOST_LINES: f64 = 3.0;
/// Name and counts of a block need so much, in the size of the heading.
const MIN_HEADING: f64 = 14.0;

/// How the blocks are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Size of a letter, CSS pixels.
    pub(super) letter: f64,
    /// Size of a block's heading, CSS pixels.
    pub(super) heading: f64,
    /// Blocks side by side.
    pub(super) columns: usize,
    /// Width of one, CSS pixels.
    width: f64,
}

impl Fit {
    /// How many columns a block goes across, so that it has some lines at most.
    pub(super) fn span(self, letters: usize) -> usize {
        let fits = |span: &usize| self.lines(letters, *span) <= MOST_LINES;
        (1..=self.columns).find(fits).unwrap_or(self.columns)
    }

    fn lines(self, letters: usize, span: usize) -> f64 {
        let width = self.width * span as f64 + GAP * (span.saturating_sub(1)) as f64;
        let per_line = ((width - SIDES) / (self.letter * ADVANCE)).floor().max(1.0);
        (letters as f64 / per_line).ceil().max(1.0)
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
pub(super) fn fit((width, height): (f64, f64), rem: f64, sizes: &Sizes, before: Option<Fit>) -> Fit {
    // As many as there is room for: the board gets flat, and so its letters large.
    let most = (width + GAP) / (MIN_BLOCK_REM * rem + GAP);
    let columns = (most as usize).clamp(1, sizes.blocks.len().max(1));
    let of = |letter: f64| {
        let width = (width - GAP * (columns - 1) as f64) / columns as f64;
        let heading = (letter * 0.72).min((width - SIDES) / MIN_HEADING).clamp(rem.min(24.0), 24.0);
        Fit { letter, heading, columns, width }
    };
    let best = SIZES.into_iter().map(of).find(|fit| board_height(sizes, *fit) <= height);
    let best = best.unwrap_or_else(|| of(SCROLLING));
    match before.filter(|b| b.columns == columns).map(|b| of(b.letter)) {
        Some(before) if best.letter <= before.letter * 1.3 && board_height(sizes, before) <= height => before,
        Some(_) | None => best,
    }
}

fn block_height(content: Content, span: usize, fit: Fit) -> f64 {
    let heading = fit.heading * (HEADING + NOTE * content.notes as f64);
    ENDS + heading + fit.lines(content.letters, span) * (fit.letter * LINE).ceil()
}

/// Blocks fill rows in their order; who does not fit in what is left of one begins the next.
fn board_height(sizes: &Sizes, fit: Fit) -> f64 {
    let (mut height, mut row, mut used) = (0.0, 0.0f64, 0);
    for content in &sizes.blocks {
        let span = fit.span(content.letters);
        if used + span > fit.columns {
            height += row + GAP;
            (row, used) = (0.0, 0);
        }
        row = row.max(block_height(*content, span, fit));
        used += span;
    }
    let blocks = if used > 0 { height + row + GAP } else { height };
    blocks + sizes.host.map_or(0.0, |content| block_height(content, fit.columns, fit))
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
        let few = fit((1_800.0, 900.0), 15.0, &sizes(&[5, 20, 8], 40), None);
        let many = fit((1_800.0, 900.0), 15.0, &sizes(&[30; 100], 400), None);
        assert!(few.letter >= 32.0 && few.columns == 3, "{few:?}");
        assert!(many.letter <= 20.0 && many.columns == 7, "{many:?}");
    }

    #[test]
    fn a_phone_has_one_column() {
        assert_eq!(fit((370.0, 500.0), 14.0, &sizes(&[10; 40], 100), None).columns, 1);
    }

    #[test]
    fn one_letter_less_changes_nothing() {
        let field = (1_400.0, 700.0);
        let before = fit(field, 13.0, &sizes(&[20; 12], 60), None);
        assert_eq!(fit(field, 13.0, &sizes(&[19; 12], 60), Some(before)), before);
    }

    #[test]
    fn a_line_under_the_letters_takes_room() {
        let fit = Fit { letter: 20.0, heading: 14.0, columns: 1, width: 500.0 };
        let with = block_height(Content { letters: 5, notes: 1 }, 1, fit);
        assert!(with > block_height(content(5), 1, fit));
    }

    #[test]
    fn a_block_with_many_letters_goes_across() {
        let fit = Fit { letter: 20.0, heading: 14.0, columns: 4, width: 198.0 };
        assert_eq!([5, 30, 31, 200].map(|letters| fit.span(letters)), [1, 1, 2, 4]);
    }

    proptest! {
        #[test]
        fn what_is_said_to_fit_fits(width in 200.0..4_000.0, height in 100.0..2_200.0, rem in 13.0..19.0,
                                    blocks in proptest::collection::vec(0usize..300, 0..60), host in 0usize..500) {
            let sizes = sizes(&blocks, host);
            let fit = fit((width, height), rem, &sizes, None);
            prop_assert!(fit.columns >= 1 && fit.letter >= 14.0);
            let overflows = board_height(&sizes, fit) > height;
            prop_assert!(!overflows || fit.letter == SCROLLING);
        }
    }
}
