//! Names and values one under the other: the body of most panels. What is longer than some lines is cut; a click shows
//! the whole.

use leptos::prelude::*;

use super::copy::CopyButton;

/// Up to this length a value is shown whole, over several lines where it must.
const WHOLE: usize = 130;
/// A word longer than this is to be copied.
const WORD: usize = 28;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fact {
    /// As shown.
    pub text: String,
    /// On hover; empty repeats the text.
    pub title: String,
    /// `data-tone`; empty for none.
    pub tone: &'static str,
}

impl Fact {
    /// A value.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Unknown, and why.
    pub fn unknown(why: &str) -> Self {
        Self { text: "–".into(), title: why.into(), tone: "unknown" }
    }

    /// A value that may be unknown.
    pub fn or(text: Option<impl Into<String>>, why: &str) -> Self {
        text.map_or_else(|| Self::unknown(why), Self::new)
    }

    /// With a hover text.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// With a tone.
    pub fn tone(mut self, tone: &'static str) -> Self {
        self.tone = tone;
        self
    }
}

/// The list; its items are [`fact`], [`live_fact`] or [`row`].
#[component]
pub fn Facts(children: Children) -> impl IntoView {
    view! { <dl class="facts">{children()}</dl> }
}

/// A value that follows the tables; only what changed is touched.
pub fn live_fact(name: &'static str, fact: impl Fn() -> Fact + Send + Sync + 'static) -> AnyView {
    boxed_fact(name, Box::new(fact))
}

/// Compiled once for all facts of all panels, whatever they compute.
fn boxed_fact(name: &'static str, fact: Box<dyn Fn() -> Fact + Send + Sync>) -> AnyView {
    let fact = Memo::new(move |_| fact());
    let text = Signal::derive(move || fact.with(|f| f.text.clone()));
    let title = move || fact.with(|f| if f.title.is_empty() { f.text.clone() } else { f.title.clone() });
    let tone = move || fact.with(|f| f.tone);
    let opened = RwSignal::new(false);
    let whole = move || opened.get() || fact.with(|f| f.text.len() <= WHOLE);
    // An id or a path: one word that nobody wants to type.
    let copied = Memo::new(move |_| fact.with(|f| f.text.len() > WORD && !f.text.contains(' ')));
    view! {
        <dt>{name}</dt>
        <dd data-tone=tone title=title class:whole=whole on:click=move |_| opened.update(|o| *o = !*o)>
            {text}
            {move || copied.get().then(|| view! { <CopyButton text=text label="copy the value" /> })}
        </dd>
    }
    .into_any()
}

/// A value that does not change while it is shown.
pub fn fact(name: &'static str, fact: Fact) -> AnyView {
    boxed_fact(name, Box::new(move || fact.clone()))
}

/// A value of its own making: links, meters. Long ones go over several lines.
pub fn row(name: &'static str, value: impl IntoView + 'static) -> AnyView {
    let value = value.into_any();
    view! {
        <dt>{name}</dt>
        <dd class="whole">{value}</dd>
    }
    .into_any()
}
