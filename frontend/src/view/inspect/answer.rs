//! What tabs draw from answers of the agent: from questions, asked once or again and again while the tab is open, to a signal and
//! the lines that all of them have.

use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Origin, Question};
use leptos::prelude::*;

use crate::store::Store;
use crate::widget::copy::CopyButton;

/// What was seen last, or why nothing is; `None` before the first answer.
pub(super) type Look<T> = RwSignal<Option<Result<T, String>>>;

/// Changes each `nanos` of the agent's time; never in a recording.
pub(super) fn beat(store: Store, nanos: u64) -> Memo<u64> {
    Memo::new(move |_| {
        let is_live = store.origin().with(|origin| *origin == Origin::Live);
        if is_live { store.live_tick().get().at / nanos } else { 0 }
    })
}

/// Asks at once and whenever `beat` changes; what was seen before stays until the answer is there. `read` tells what an answer
/// says, given what was seen before; `None` for one of another kind.
pub(super) fn ask_at<B: Send + Sync + 'static, T: Send + Sync + 'static>(
    store: Store,
    beat: impl Get<Value = B> + Send + Sync + 'static,
    question: Question,
    read: impl Fn(&Answer, Option<&T>) -> Option<Result<T, String>> + 'static,
) -> Look<T> {
    let look = RwSignal::new(None);
    let answer = Memo::new(move |_| {
        // Not `track`: a memo that is never read never runs.
        beat.get();
        untrack(|| store.ask(question.clone()))
    });
    Effect::new(move |_| {
        let Some(answer) = answer.get().get() else { return };
        let seen = look.with_untracked(|before: &Option<Result<T, String>>| {
            read(&answer, before.as_ref().and_then(|before| before.as_ref().ok()))
        });
        if seen.is_some() {
            look.set(seen);
        }
    });
    look
}

/// That the agent is asked, why it has no answer, or what `tell` says of it.
pub(super) fn said<T: Send + Sync + 'static>(look: Look<T>, tell: fn(&T) -> String) -> impl IntoView {
    let text = move || {
        look.with(|look| match look {
            None => "asking the agent…".to_owned(),
            Some(Err(why)) => unit::printable(why),
            Some(Ok(seen)) => tell(seen),
        })
    };
    view! { <p class="files-said" role="status">{text}</p> }
}

/// Sentences of what was seen, a line each.
pub(super) fn sentences<T: Send + Sync + 'static>(
    look: Look<T>,
    class: &'static str,
    of: fn(&T) -> &[String],
) -> impl IntoView {
    let lines = move || {
        look.with(|look| {
            let all = look.as_ref().and_then(|look| look.as_ref().ok()).map(of).unwrap_or_default();
            all.iter().map(|line| view! { <li>{unit::printable(line)}</li> }).collect_view()
        })
    };
    view! { <ul class=class>{lines}</ul> }
}

/// Where a file lies on the host, to copy.
pub(super) fn on_the_host(path: Option<String>) -> impl IntoView {
    path.map(|path| {
        view! {
            <p class="host">
                "on the host "
                <code>{path.clone()}</code>
                <CopyButton text=Signal::stored(path) label="copy the path" />
            </p>
        }
    })
}
