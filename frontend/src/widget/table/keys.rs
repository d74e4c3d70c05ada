//! What the keys do in a table. Pure.

/// What a person wants of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Move the cursor by rows.
    By(isize),
    /// Move the cursor by screens.
    Pages(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Select the row under the cursor.
    Select,
    /// Close what is beneath it.
    Close,
    /// Open what is beneath it.
    Open,
    /// Sort by the next column.
    NextOrder,
    /// Turn the order round.
    TurnOrder,
    /// Copy the row as text.
    CopyRow,
    /// Copy the cell under the pointer.
    CopyCell,
}

/// The action of a key without Ctrl, Alt or Meta; `None` leaves the key to the page.
pub(super) fn action(key: &str) -> Option<Action> {
    Some(match key {
        "ArrowDown" | "j" => Action::By(1),
        "ArrowUp" | "k" => Action::By(-1),
        "PageDown" => Action::Pages(1),
        "PageUp" => Action::Pages(-1),
        "Home" => Action::First,
        "End" => Action::Last,
        "Enter" => Action::Select,
        "ArrowLeft" => Action::Close,
        "ArrowRight" => Action::Open,
        "o" => Action::NextOrder,
        "O" => Action::TurnOrder,
        "y" => Action::CopyRow,
        "Y" => Action::CopyCell,
        _ => return None,
    })
}

/// The row the cursor goes to; `None` in an empty table.
pub(super) fn target(action: Action, now: Option<usize>, lines: usize, page: usize) -> Option<usize> {
    let last = lines.checked_sub(1)?;
    let by = |rows: isize| match now {
        Some(at) => at.saturating_add_signed(rows).min(last),
        None if rows > 0 => 0,
        None => last,
    };
    match action {
        Action::By(rows) => Some(by(rows)),
        Action::Pages(pages) => Some(by(pages.saturating_mul(page.max(1).cast_signed()))),
        Action::First => Some(0),
        Action::Last => Some(last),
        Action::Select | Action::Close | Action::Open => now,
        Action::NextOrder | Action::TurnOrder | Action::CopyRow | Action::CopyCell => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_inside() {
        assert_eq!(target(Action::By(1), Some(9), 10, 5), Some(9));
        assert_eq!(target(Action::By(-1), Some(0), 10, 5), Some(0));
        assert_eq!(target(Action::Pages(1), Some(2), 10, 5), Some(7));
        assert_eq!(target(Action::Pages(-1), Some(2), 10, 5), Some(0));
        assert_eq!(target(Action::By(1), None, 10, 5), Some(0));
        assert_eq!(target(Action::By(-1), None, 10, 5), Some(9));
        assert_eq!(target(Action::Last, None, 0, 5), None);
    }

    #[test]
    fn keys_of_the_page_are_left_alone() {
        for key in ["/", "?", "Escape", "Tab", "1"] {
            assert_eq!(action(key), None);
        }
    }
}
