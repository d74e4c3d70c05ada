//! The matrix: who sends how much to whom, a row per sender and a column per receiver; a cell leads to its flows.

use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::super::capture_line;
use super::super::sheet::tables;
use super::NAMES;
use crate::store::flow::{Matrix, Passing, between, flows_link, matrix};
use crate::store::{use_choice, use_store};

/// In the URL: `table=matrix`.
pub(super) const ID: &str = "matrix";
/// More do not fit on a screen and in a head.
const PARTIES: usize = 24;
/// Bytes per second at which a cell is full; from 100 B/s on it counts by powers of ten.
const FULL: f64 = 1e8;

/// The drawing with what belongs to it.
pub(super) fn page() -> AnyView {
    let (store, choice) = (use_store(), use_choice());
    let topics = &[Topic::Flow, Topic::FlowStat, Topic::Netns, Topic::Link, Topic::Container];
    store.want_here(topics);
    let drawn = Memo::new(move |_| store.read(topics, |s| matrix(s, PARTIES)));
    let empty = move || store.why_none(topics, "No packet has passed since we look.");
    let draw = move || {
        drawn.with(|matrix| match matrix.parties.is_empty() {
            true => view! { <p class="empty">{empty()}</p> }.into_any(),
            false => table(matrix),
        })
    };
    let left_out = move || {
        let n = drawn.with(|matrix| matrix.left_out);
        let text = || format!("{} that talk less are counted as elsewhere", unit::count(n as u64));
        (n > 0).then(text)
    };
    view! {
        <div class="toolbar">{tables(choice, NAMES, ID)}</div>
        {capture_line(store)}
        <div class="matrix-room">{draw}</div>
        <p class="totals"><span class="filtered">{left_out}</span></p>
    }
    .into_any()
}

fn table(matrix: &Matrix) -> AnyView {
    let heads = matrix.parties.iter().map(|name| {
        let shown = unit::printable(name);
        view! { <th scope="col" title=shown.clone()><span>{shown.clone()}</span></th> }
    });
    let rows = matrix.parties.iter().map(|from| {
        let cells = matrix.parties.iter().map(|to| cell(matrix, from, to)).collect::<Vec<_>>();
        view! { <tr><th scope="row">{unit::printable(from)}</th>{cells}</tr> }
    });
    view! {
        <table class="matrix" aria-label="Who sends to whom">
            <thead><tr><th class="corner">"from ↓ to →"</th>{heads.collect::<Vec<_>>()}</tr></thead>
            <tbody>{rows.collect::<Vec<_>>()}</tbody>
        </table>
    }
    .into_any()
}

fn cell(matrix: &Matrix, from: &str, to: &str) -> AnyView {
    let Some(passing) = matrix.cells.get(&(from.to_owned(), to.to_owned())) else {
        return view! { <td></td> }.into_any();
    };
    let title = format!(
        "{} to {}: {} now, {} since we look",
        unit::printable(from),
        unit::printable(to),
        unit::bytes_per_sec(passing.bytes_per_sec),
        unit::bytes(passing.bytes)
    );
    let full = format!("{:.2}", share(passing));
    let text =
        if passing.bytes_per_sec > 0.0 { unit::bytes_per_sec(passing.bytes_per_sec) } else { "·".into() };
    let label = title.clone();
    view! { <td style:--share=full title=title><a href=between_link(from, to) aria-label=label>{text}</a></td> }
        .into_any()
}

/// How full a cell is drawn, 0..1.
fn share(passing: &Passing) -> f64 {
    ((passing.bytes_per_sec.max(1.0).log10() - 2.0) / (FULL.log10() - 2.0)).clamp(0.0, 1.0)
}

/// The flows between two, whoever opened them.
fn between_link(from: &str, to: &str) -> String {
    flows_link("between", &between(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::address::Address;

    #[test]
    fn a_cell_leads_to_its_flows_and_is_as_full_as_it_is_busy() {
        assert_eq!(Address::parse(&between_link("web", "a \"b")).get("f"), Some("between=\"a b ⇄ web\""));
        let at = |bytes_per_sec| share(&Passing { bytes_per_sec, bytes: 1 });
        assert_eq!((at(0.0), at(100.0), at(1e5), at(1e12)), (0.0, 0.0, 0.5, 1.0));
    }
}
