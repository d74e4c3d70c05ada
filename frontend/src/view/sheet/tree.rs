//! Rows of a tree as lines: each under the one it is in. Pure, and by number, so that it is there once for all tables.

use std::collections::{BTreeSet, HashMap};

use crate::widget::table::Line;

/// What is to be known of a row; its number is its place in the order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The row it stands under.
    pub(super) above: Option<usize>,
    /// It passed the filter.
    pub(super) passed: bool,
    /// What is under it is not shown.
    pub(super) closed: bool,
}

/// The lines with the numbers of their rows; those above one that passed stay, faint.
pub(super) fn grown(rows: &[Row]) -> Vec<(usize, Line<()>)> {
    let mut kept = BTreeSet::new();
    for at in (0..rows.len()).filter(|at| rows.get(*at).is_some_and(|row| row.passed)) {
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| kept.insert(*at)) {
            next = rows.get(at).and_then(|row| row.above);
        }
    }
    let mut below: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for at in kept {
        below.entry(rows.get(at).and_then(|row| row.above)).or_default().push(at);
    }
    let mut lines = Vec::new();
    let roots = below.remove(&None).unwrap_or_default();
    let mut todo: Vec<(usize, u8)> = roots.into_iter().rev().map(|at| (at, 0)).collect();
    while let Some((at, depth)) = todo.pop() {
        let Some(row) = rows.get(at) else { continue };
        // Taken out, so that rows that name each other end.
        let children = below.remove(&Some(at)).unwrap_or_default();
        let open = (!children.is_empty()).then_some(!row.closed);
        if open == Some(true) {
            todo.extend(children.into_iter().rev().map(|child| (child, depth.saturating_add(1))));
        }
        lines.push((at, Line { depth, open, faint: !row.passed, ..Line::row(()) }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, depth and whether it is faint.
    fn drawn(above: &[Option<usize>], passed: &[usize], closed: &[usize]) -> Vec<(usize, u8, bool)> {
        let row = |(at, above): (usize, &Option<usize>)| Row {
            above: *above,
            passed: passed.contains(&at),
            closed: closed.contains(&at),
        };
        let rows: Vec<_> = above.iter().enumerate().map(row).collect();
        grown(&rows).into_iter().map(|(at, line)| (at, line.depth, line.faint)).collect()
    }

    #[test]
    fn rows_stand_under_those_they_are_in() {
        // As of the paths /, /a, /a-b, /a/c and one whose own is not there.
        let above = [None, Some(0), Some(0), Some(1), None];
        let all = [0, 1, 2, 3, 4];
        let whole = [(0, 0, false), (1, 1, false), (3, 2, false), (2, 1, false), (4, 0, false)];
        assert_eq!(drawn(&above, &all, &[]), whole);
        assert_eq!(drawn(&above, &[3], &[]), [(0, 0, true), (1, 1, true), (3, 2, false)]);
        assert_eq!(drawn(&above, &all, &[0]), [(0, 0, false), (4, 0, false)]);
        assert!(drawn(&[Some(1), Some(0)], &[0, 1], &[]).is_empty(), "a ring");
        assert_eq!(drawn(&[Some(7)], &[0], &[]), [], "a row that is none");
    }
}
