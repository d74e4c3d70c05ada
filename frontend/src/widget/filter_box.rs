//! The box a table is filtered by, with its help and what is wrong with the text.

use leptos::prelude::*;

use super::popover::Popover;

/// One field of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldHelp {
    /// As typed.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// How its values are written.
    pub example: &'static str,
}

/// A problem: the part of the text, and why it is left out.
pub type FilterProblem = (String, String);

/// The box.
#[component]
pub fn FilterBox(
    /// Id, so that a key of the page can go there.
    id: &'static str,
    /// Shown while empty: an example.
    placeholder: &'static str,
    /// The text.
    #[prop(into)]
    text: Signal<String>,
    /// A person changed it.
    on_text: Callback<String>,
    /// What is wrong.
    #[prop(into)]
    problems: Signal<Vec<FilterProblem>>,
    /// Fields one can ask for.
    fields: Vec<FieldHelp>,
) -> impl IntoView {
    let key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" && text.with_untracked(|t| !t.is_empty()) {
            event.stop_propagation();
            on_text.run(String::new());
        }
    };
    let field = |f: FieldHelp| {
        view! {
            <dt>{f.name}</dt>
            <dd>{f.help}<span class="filter-example">{f.example}</span></dd>
        }
    };
    let problem = |(part, reason): FilterProblem| view! { <li><code>{part}</code>" – "{reason}</li> };
    let wrong = move || problems.with(|p| !p.is_empty());
    view! {
        <div class="filter" class:wrong=wrong>
            <input
                id=id
                class="filter-text"
                type="search"
                spellcheck="false"
                autocomplete="off"
                aria-label="filter"
                aria-invalid=move || if wrong() { "true" } else { "false" }
                placeholder=placeholder
                prop:value=move || text.get()
                on:input=move |event| on_text.run(event_target_value(&event))
                on:keydown=key
            />
            <Popover label="?" class="filter-help">
                <p>
                    "Words stand side by side and must all hold. " <code>"-word"</code> " turns one round, "
                    <code>"a,b"</code> " means either, " <code>"*"</code> " means any value. Words without a field are \
                    looked for everywhere."
                </p>
                <dl>{fields.into_iter().map(field).collect_view()}</dl>
            </Popover>
            <ul class="filter-problems" role="status" hidden=move || !wrong()>
                {move || problems.get().into_iter().map(problem).collect_view()}
            </ul>
        </div>
    }
}
