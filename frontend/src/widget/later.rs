//! Parts of the app that come later: in chunks beside the first download, fetched when they are needed or ahead of it.
//!
//! From `later!` at the place that names a part, to a view of it. `cargo xtask` cuts the chunks out of the wasm; on other
//! targets they are there from the start.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use leptos::prelude::*;
use leptos::wasm_split::SplitLoaderError;

/// A chunk that could not be fetched; why is in the browser's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFetched;

impl From<SplitLoaderError> for NotFetched {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// The way of a chunk into the page.
pub type Fetching = Pin<Box<dyn Future<Output = Result<(), NotFetched>>>>;

/// Where the code is that draws from an `Input`.
#[derive(Debug)]
pub enum Load<Input: 'static = ()> {
    /// In the first download.
    Now(fn(Input) -> AnyView),
    /// In a chunk.
    Later {
        /// Fetches the chunk; again only after it failed.
        fetch: fn() -> Fetching,
        /// Draws once the chunk is there; before, it gives none.
        draw: fn(Input) -> Option<AnyView>,
    },
}

// Not derived: that would ask the same of the input.
impl<Input> Copy for Load<Input> {}

impl<Input> Clone for Load<Input> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Input> Load<Input> {
    /// What fetches the chunk, if there is one.
    pub fn fetch(self) -> Option<fn() -> Fetching> {
        match self {
            Self::Now(_) => None,
            Self::Later { fetch, .. } => Some(fetch),
        }
    }
}

/// `later!(view, map::render)`: a `Load` of what draws without input, in the chunk `view`.
/// `later!(view, Selection, s => inspector(s))`: of what draws from an input.
///
/// Chunks are few: each pair of them may have a third of what both need, and each is compressed for itself. A part that
/// is no giant with code of its own belongs into `view`.
macro_rules! later {
    ($chunk:ident, $draw:path) => {
        $crate::widget::later::later!($chunk, (), () => $draw())
    };
    ($chunk:ident, $input:ty, $given:pat => $drawn:expr) => {{
        use $crate::widget::later::{Load, NotFetched};

        #[leptos::wasm_split::wasm_split(
            $chunk,
            fallible,
            wasm_split_path = leptos::wasm_split,
            preload(fetch_chunk)
        )]
        fn draw_of_chunk($given: $input) -> Result<leptos::prelude::AnyView, NotFetched> {
            Ok($drawn)
        }

        Load::<$input>::Later {
            fetch: || Box::pin(async { fetch_chunk().await.map_err(NotFetched::from) }),
            // Ready at once, because the chunk is there.
            draw: |input| futures_util::FutureExt::now_or_never(draw_of_chunk(input))?.ok(),
        }
    }};
}

pub(crate) use later;

/// How far a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Coming,
    There,
    Failed,
}

/// Draws at once what is there, and else as soon as it has been fetched; says so when it cannot be. `what` names it.
pub fn drawn<Input: Clone + Send + 'static>(load: Load<Input>, input: Input, what: &'static str) -> AnyView {
    let (fetch, draw) = match load {
        Load::Now(draw) => return draw(input),
        Load::Later { fetch, draw } => (fetch, draw),
    };
    let mut fetching = fetch();
    let begun = fetching.as_mut().now_or_never();
    // No detour: what is there is drawn into the elements of the one before.
    if let Some(Ok(())) = begun
        && let Some(view) = draw(input.clone())
    {
        return view;
    }
    let progress = RwSignal::new(if begun.is_none() { Progress::Coming } else { Progress::Failed });
    let follow = move |fetching: Fetching| {
        leptos::task::spawn_local(async move {
            let end = if fetching.await.is_ok() { Progress::There } else { Progress::Failed };
            // Nobody waits any more when something else has been chosen meanwhile.
            progress.try_set(end);
        });
    };
    if begun.is_none() {
        follow(fetching);
    }
    let again = move || {
        progress.set(Progress::Coming);
        follow(fetch());
    };
    (move || match progress.get() {
        Progress::Coming => coming(what),
        Progress::There => untrack(|| draw(input.clone())).unwrap_or_else(|| failed(what, again)),
        Progress::Failed => failed(what, again),
    })
    .into_any()
}

fn coming(what: &'static str) -> AnyView {
    view! { <p class="later is-coming" role="status">"Fetching " {what} " …"</p> }.into_any()
}

fn failed(what: &'static str, again: impl Fn() + Copy + Send + Sync + 'static) -> AnyView {
    view! {
        <div class="later" role="alert">
            <p>{what} " could not be fetched: the agent does not answer, or it is another one than before."</p>
            <p>
                <button type="button" class="button" on:click=move |_| again()>"Try again"</button>
                <button type="button" class="button" on:click=move |_| drop(window().location().reload())>
                    "Reload the page"
                </button>
            </p>
        </div>
    }
    .into_any()
}

/// Milliseconds from the start of the app to fetching what it may need later: the first rows are on the screen by then.
const AHEAD_AFTER_MILLIS: u32 = 2_000;

/// Fetches chunks before anybody asks for them, one after the other. What fails is tried again when it is needed.
pub fn fetch_ahead(chunks: impl IntoIterator<Item = fn() -> Fetching> + 'static) {
    leptos::task::spawn_local(async move {
        gloo_timers::future::TimeoutFuture::new(AHEAD_AFTER_MILLIS).await;
        for fetch in chunks {
            let _ = fetch().await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_draws_from_its_input() {
        fn text(seen: &'static std::sync::atomic::AtomicU32, given: u32) -> AnyView {
            seen.store(given, std::sync::atomic::Ordering::Relaxed);
            ().into_any()
        }
        static SEEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        // Without a browser there are no chunks: all is there from the start.
        let load = later!(view, u32, given => text(&SEEN, given));
        let Load::Later { draw, .. } = load else { panic!("not later") };
        assert_eq!(load.fetch().and_then(|fetch| fetch().now_or_never()), Some(Ok(())));
        assert!(draw(7).is_some());
        assert_eq!(SEEN.load(std::sync::atomic::Ordering::Relaxed), 7);
    }
}
