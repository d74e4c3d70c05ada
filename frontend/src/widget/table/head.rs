//! The fixed heading row: one button per column, sorting on click.

use std::fmt::Write;

use leptos::prelude::*;

use super::model::{Column, Kind, UNIT_REM};

/// How a table is sorted: id of the column, and whether largest first.
pub type Order = (String, bool);

/// The order after a click on a column: its own direction first, then the other.
pub fn clicked(now: Option<&Order>, column: &Column) -> Order {
    let descending = match now {
        Some((id, descending)) if id == column.id => !descending,
        Some(_) | None => column.descending,
    };
    (column.id.to_owned(), descending)
}

/// The order after `o`: the next of the columns shown.
pub(super) fn next_order(now: Option<&Order>, columns: &[&'static Column]) -> Option<Order> {
    let sortable: Vec<_> = columns.iter().filter(|c| c.kind != Kind::Spark).collect();
    let at = sortable.iter().position(|c| now.is_some_and(|(id, _)| id == c.id));
    let next = sortable.get(at.map_or(0, |i| (i + 1) % sortable.len()))?;
    Some((next.id.to_owned(), next.descending))
}

/// Widths of the columns as a `grid-template-columns` value: columns of text that grow share what is left, else it stays
/// empty. The first one is `indent` wider than it says.
pub(super) fn template(columns: &[&'static Column], narrow: bool, indent: u16) -> String {
    let mut text = String::new();
    let mut grows = false;
    for (i, column) in columns.iter().enumerate() {
        // Phones have no room for a second indentation.
        let width = match i {
            _ if narrow && column.narrow > 0 => column.narrow,
            0 => column.width + indent,
            _ => column.width,
        };
        let rem = f64::from(width) * UNIT_REM;
        let grow = if narrow { i == 0 } else { column.grows };
        grows |= grow;
        // Writing to a string cannot fail.
        let _ =
            if grow { write!(text, "minmax({rem:.2}rem,{width}fr) ") } else { write!(text, "{rem:.2}rem ") };
    }
    text.push_str(if grows { "" } else { "1fr" });
    text.trim_end().to_owned()
}

/// The heading row.
#[component]
pub fn Head(
    /// Columns shown.
    columns: Memo<Vec<&'static Column>>,
    /// How the lines are sorted.
    order: Signal<Option<Order>>,
    /// A person clicked.
    on_order: Callback<Order>,
) -> impl IntoView {
    let heading = move |column: &'static Column| {
        let direction = move || order.with(|o| o.as_ref().filter(|(id, _)| id == column.id).map(|(_, d)| *d));
        let sorted = move || match direction() {
            Some(true) => "descending",
            Some(false) => "ascending",
            None => "none",
        };
        let arrow = move || direction().map_or("", |d| if d { "▾" } else { "▴" });
        let sort = move |_| on_order.run(order.with_untracked(|o| clicked(o.as_ref(), column)));
        let class = match column.kind {
            Kind::Number | Kind::Meter => "table-heading number",
            Kind::Text | Kind::Code | Kind::Spark => "table-heading",
        };
        let title = column.title;
        view! {
            <div role="columnheader" class=class aria-sort=sorted title=column.hint>
                {match column.kind {
                    Kind::Spark => view! { <span>{title}</span> }.into_any(),
                    Kind::Text | Kind::Code | Kind::Number | Kind::Meter => view! {
                        <button type="button" tabindex="-1" on:click=sort>
                            <span class="table-title">{title}</span>
                            <span class="table-arrow" aria-hidden="true">{arrow}</span>
                        </button>
                    }
                    .into_any(),
                }}
            </div>
        }
    };
    view! {
        <div class="table-head" role="row" aria-rowindex="1">
            {move || columns.get().into_iter().map(heading).collect_view()}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column; 3] = [
        Column::text("name", "Name", 130, "").narrow(117),
        Column::number("cpu", "CPU", 65, "").narrow(52),
        Column::text("note", "Note", 260, "").grow(),
    ];

    #[test]
    fn a_second_click_turns_the_order() {
        let first = clicked(None, &COLUMNS[1]);
        assert_eq!(first, ("cpu".into(), true));
        assert_eq!(clicked(Some(&first), &COLUMNS[1]), ("cpu".into(), false));
        assert_eq!(clicked(Some(&first), &COLUMNS[0]), ("name".into(), false));
    }

    #[test]
    fn o_goes_round() {
        let all: Vec<_> = COLUMNS.iter().collect();
        assert_eq!(next_order(None, &all), Some(("name".into(), false)));
        assert_eq!(next_order(Some(&("note".into(), true)), &all), Some(("name".into(), false)));
        assert_eq!(next_order(None, &[]), None);
    }

    #[test]
    fn what_grows_takes_what_is_left() {
        let all: Vec<_> = COLUMNS.iter().collect();
        assert_eq!(template(&all, false, 0), "10.00rem 5.00rem minmax(20.00rem,260fr)");
        assert_eq!(template(&all[..2], false, 13), "11.00rem 5.00rem 1fr");
        assert_eq!(template(&all[..2], true, 13), "minmax(9.00rem,117fr) 4.00rem");
    }
}
