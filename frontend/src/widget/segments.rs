//! Small controls of a view's toolbar: one of several, and on or off.

use leptos::prelude::*;

/// One of several, side by side.
#[component]
pub fn Segments(
    /// For screen readers.
    label: &'static str,
    /// Value and text of each.
    options: &'static [(&'static str, &'static str)],
    /// The value chosen.
    #[prop(into)]
    value: Signal<String>,
    /// A person chose.
    on_choose: Callback<&'static str>,
) -> impl IntoView {
    let option = move |(id, text): (&'static str, &'static str)| {
        let on = move || value.with(|v| v == id);
        view! {
            <button
                type="button"
                role="radio"
                class="segment"
                aria-checked=move || if on() { "true" } else { "false" }
                on:click=move |_| on_choose.run(id)
            >
                {text}
            </button>
        }
    };
    view! {
        <div class="segments" role="radiogroup" aria-label=label>
            {options.iter().copied().map(option).collect_view()}
        </div>
    }
}

/// On or off.
#[component]
pub fn Toggle(
    /// What it switches, with a count that may change.
    #[prop(into)]
    text: Signal<String>,
    /// More, on hover.
    #[prop(optional, into)]
    title: String,
    /// Whether it is on.
    #[prop(into)]
    on: Signal<bool>,
    /// A person switched it.
    on_switch: Callback<bool>,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="toggle"
            aria-pressed=move || if on.get() { "true" } else { "false" }
            title=title
            on:click=move |_| on_switch.run(!on.get_untracked())
        >
            <span class="toggle-box" aria-hidden="true"></span>
            {text}
        </button>
    }
}
