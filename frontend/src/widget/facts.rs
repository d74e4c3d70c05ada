//! Names and values one under the other: the body of most panels. Long values are cut; a click shows the whole.

use leptos::prelude::*;

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
    let text = move || fact.with(|f| f.text.clone());
    let title = move || fact.with(|f| if f.title.is_empty() { f.text.clone() } else { f.title.clone() });
    let tone = move || fact.with(|f| f.tone);
    let whole = RwSignal::new(false);
    view! {
        <dt>{name}</dt>
        <dd data-tone=tone title=title class:whole=whole on:click=move |_| whole.update(|w| *w = !*w)>{text}</dd>
    }
    .into_any()
}

/// A value that does not change while it is shown.
pub fn fact(name: &'static str, fact: Fact) -> AnyView {
    let title = if fact.title.is_empty() { fact.text.clone() } else { fact.title };
    let whole = RwSignal::new(false);
    view! {
        <dt>{name}</dt>
        <dd data-tone=fact.tone title=title class:whole=whole on:click=move |_| whole.update(|w| *w = !*w)>
            {fact.text}
        </dd>
    }
    .into_any()
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
