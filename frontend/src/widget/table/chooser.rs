//! The column chooser: which columns a table shows.

use leptos::prelude::*;

use super::model::{Column, shown_columns};
use crate::widget::popover::Popover;

/// Ids of the columns after one was switched; `None` when that is what the table shows by default.
fn switched(all: &'static [Column], chosen: &[String], id: &str) -> Option<Vec<String>> {
    let now = shown_columns(all, chosen);
    let on = |c: &Column| now.iter().any(|n| n.id == c.id) != (c.id == id);
    let next: Vec<&Column> =
        all.iter().enumerate().filter(|(i, c)| *i == 0 || on(c)).map(|(_, c)| c).collect();
    let default = shown_columns(all, &[]);
    let same = next.len() == default.len() && next.iter().zip(&default).all(|(a, b)| a.id == b.id);
    (!same).then(|| next.iter().map(|c| c.id.to_owned()).collect())
}

/// A button that opens the list of columns.
#[component]
pub fn ColumnChooser(
    /// All columns of the table.
    all: &'static [Column],
    /// Ids chosen; `None` = the table's default.
    chosen: Signal<Option<Vec<String>>>,
    /// Called with the new choice.
    on_choose: Callback<Option<Vec<String>>>,
) -> impl IntoView {
    let ids = move || chosen.get().unwrap_or_default();
    let entry = move |column: &'static Column| {
        let checked = move || shown_columns(all, &ids()).iter().any(|c| c.id == column.id);
        let switch =
            move |_| on_choose.run(switched(all, &chosen.get_untracked().unwrap_or_default(), column.id));
        view! {
            <label class="chooser-entry" title=column.hint>
                <input type="checkbox" prop:checked=checked on:change=switch />
                <span>{column.title}</span>
                <span class="chooser-hint">{column.hint}</span>
            </label>
        }
    };
    view! {
        <Popover label="Columns" class="chooser">
            {all.iter().skip(1).map(entry).collect_view()}
            <button type="button" class="button" on:click=move |_| on_choose.run(None)>"As at first"</button>
        </Popover>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column; 3] = [
        Column::text("name", "Name", 9, ""),
        Column::number("a", "A", 9, "").extra(),
        Column::number("b", "B", 9, ""),
    ];

    #[test]
    fn switching_twice_is_the_default_again() {
        let once = switched(&COLUMNS, &[], "a");
        assert_eq!(once, Some(vec!["name".into(), "a".into(), "b".into()]));
        assert_eq!(switched(&COLUMNS, &once.unwrap_or_default(), "a"), None);
        assert_eq!(switched(&COLUMNS, &[], "b"), Some(vec!["name".into()]));
    }
}
