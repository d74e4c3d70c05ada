//! A button that first asks: a window names what will happen; nothing does before the person has agreed.

use leptos::html::Dialog;
use leptos::prelude::*;

/// A button and the window it opens.
#[component]
pub fn Confirm(
    /// On the button, and on the one that agrees.
    #[prop(into)]
    label: Signal<String>,
    /// Heading of the window.
    #[prop(into)]
    title: Signal<String>,
    /// What will happen, a paragraph each.
    #[prop(into)]
    text: Signal<Vec<String>>,
    /// The person agreed.
    on_agree: Callback<()>,
) -> impl IntoView {
    let node = NodeRef::<Dialog>::new();
    let open = move |_| {
        if let Some(dialog) = node.get_untracked() {
            // Refused only when it is open already.
            drop(dialog.show_modal());
        }
    };
    let close = move || {
        if let Some(dialog) = node.get_untracked() {
            dialog.close();
        }
    };
    let agree = move |_| {
        close();
        on_agree.run(());
    };
    view! {
        <button type="button" class="button danger" on:click=open>{label}</button>
        <dialog class="confirm" node_ref=node aria-label=title>
            <div class="head">
                <h2>{title}</h2>
            </div>
            <div class="confirm-text">
                {move || text.get().into_iter().map(|line| view! { <p>{line}</p> }).collect_view()}
            </div>
            <div class="confirm-choice">
                <button type="button" class="button" autofocus=true on:click=move |_| close()>"Leave it"</button>
                <button type="button" class="button danger" on:click=agree>{label}</button>
            </div>
        </dialog>
    }
}
