//! What is found of the thing that is selected; nothing is drawn where nothing is.

use glasshull_shared::domain::finding::{Finding, FindingKey};
use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

use crate::store::finding::{of_selection, selection, sign};
use crate::store::{Selection, use_store};

/// A line per finding: its sign, what is the case, and on what it rests. Each leads to its rule in the view.
pub fn findings(selected: Selection) -> AnyView {
    let store = use_store();
    let own = {
        let selected = selected.clone();
        Memo::new(move |_| store.read(&[Topic::Finding], |s| of_selection(s, &selected)))
    };
    let some = Memo::new(move |_| own.with(|own| !own.is_empty()));
    let line = move |(key, row): (FindingKey, Finding)| {
        let (shape, tone) = sign(row.severity);
        let text = key.rule.text();
        let other = selection(&key.subject).as_ref() != Some(&selected);
        let title = if other { format!("{} {}", row.name, text.title) } else { text.title.to_owned() };
        let told: Vec<String> =
            row.evidence.iter().map(|one| format!("{}: {}", one.label, one.value)).collect();
        view! {
            <li>
                <a href=format!("?view=findings&rule={}", text.name) title=text.meaning>
                    <span class="badge-shape" data-tone=tone aria-label=row.severity.name()>{shape}</span>
                    {title}
                </a>
                <span class="dim">{told.join(" · ")}</span>
            </li>
        }
    };
    let list = move || own.get().into_iter().map(line.clone()).collect_view();
    view! {
        {move || {
            let list = list.clone();
            some.get().then(|| view! {
                <section class="part found">
                    <h3>"Findings"</h3>
                    <ul>{list}</ul>
                </section>
            })
        }}
    }
    .into_any()
}
