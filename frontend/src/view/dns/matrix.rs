//! Names × containers: what each gets, the oddest names on top.

use std::sync::Arc;

use glasshull_shared::unit;
use leptos::prelude::*;

use super::LineKey;
use crate::store::dns::{Matrix, MatrixRow, Said, matrix};
use crate::store::{Selection, Store, use_choice};
use crate::view::sheet::Arranged;

/// The table; what passes the filter decides about rows and columns.
pub(super) fn panel(store: Store, arranged: Memo<Arranged<LineKey>>) -> AnyView {
    let drawn = Memo::new(move |_| {
        arranged.with(|arranged| {
            let keys = arranged.lines.iter().filter_map(|line| match &line.key {
                LineKey::Name(key) => Some(key),
                LineKey::Resolver(_) | LineKey::Seen(_) | LineKey::Client(_) => None,
            });
            store.with(|s| Arc::new(matrix(s, keys)))
        })
    });
    let columns = Memo::new(move |_| drawn.with(|m| m.containers.clone()));
    let rows = move || drawn.with(|m| m.rows.clone());
    let row = |row: MatrixRow| {
        view! {
            <tr>
                <th scope="row" title=unit::printable(&row.name)>{unit::printable(&row.name)}</th>
                {row.cells.into_iter().map(cell).collect_view()}
            </tr>
        }
    };
    view! {
        <div class="dns-matrix" tabindex="0" role="region" aria-label="Names by container">
            <table hidden=move || drawn.with(|m| m.rows.is_empty())>
                <thead>
                    <tr>
                        <th scope="col">"asked for"</th>
                        {move || columns.get().into_iter().map(column).collect_view()}
                    </tr>
                </thead>
                <tbody>
                    // A row is drawn anew when what it says changed.
                    <For each=rows key=|row| row.clone() children=row />
                </tbody>
            </table>
            <p class="dns-more">{move || drawn.with(|m| more(m))}</p>
        </div>
    }
    .into_any()
}

fn column((id, name): (String, String)) -> AnyView {
    let choice = use_choice();
    let selection = Selection::Container(id);
    let href = move || format!("{}&tab=names", choice.selection_link(&selection));
    let name = unit::printable(&name);
    view! { <th scope="col" title=name.clone()><a href=href>{name.clone()}</a></th> }.into_any()
}

fn cell(said: Option<Said>) -> AnyView {
    let Some(Said { text, tone, title }) = said else {
        return view! { <td data-tone="quiet" title="not asked there: that name is on none of its networks, or its answer does not pass the filter">"–"</td> }
            .into_any();
    };
    view! { <td data-tone=tone title=unit::printable(&title)>{unit::printable(&text)}</td> }.into_any()
}

/// What is not drawn.
fn more(drawn: &Matrix) -> String {
    let counted = |n: usize, what: &str| (n > 0).then(|| format!("{} more {what}", unit::count(n as u64)));
    let parts = [counted(drawn.more_names, "names"), counted(drawn.more_containers, "containers")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("{} not drawn: filter for some (container:api name:db), or see all answers.", parts.join(" and "))
}
