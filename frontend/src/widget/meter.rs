//! A thin bar: how much of something is used, with a mark where a limit lies.

use leptos::prelude::*;

/// One measure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measure {
    /// Used part, 0..1; more is drawn as full.
    pub ratio: f32,
    /// Where a limit lies, 0..1; `None` without one.
    pub mark: Option<f32>,
    /// `data-tone`.
    pub tone: &'static str,
}

/// The tone of something that gets worse as it fills up.
pub fn tone_of_fill(ratio: f32) -> &'static str {
    match ratio {
        r if r >= 0.95 => "trouble",
        r if r >= 0.8 => "attention",
        _ => "",
    }
}

/// The bar; hidden while there is nothing to measure against.
#[component]
pub fn Meter(
    /// `None`: unknown, or there is no limit.
    #[prop(into)]
    measure: Signal<Option<Measure>>,
    /// For screen readers.
    label: &'static str,
) -> impl IntoView {
    let get = move || measure.get().unwrap_or_default();
    view! {
        <span
            class="meter"
            role="meter"
            aria-label=label
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || format!("{:.0}", get().ratio * 100.0)
            data-tone=move || get().tone
            hidden=move || measure.with(Option::is_none)
            style:--filled=move || format!("{:.3}", get().ratio.clamp(0.0, 1.0))
        >
            <span
                class="meter-mark"
                hidden=move || get().mark.is_none()
                style:--at=move || format!("{:.3}", get().mark.unwrap_or_default().clamp(0.0, 1.0))
            ></span>
        </span>
    }
}

/// Parts of a whole side by side, each with its own class and hover text.
#[component]
pub fn Stack(
    /// Class, share 0..1 and name of each part, always in the same order.
    #[prop(into)]
    parts: Signal<Vec<(&'static str, f32, &'static str)>>,
    /// For screen readers.
    label: &'static str,
) -> impl IntoView {
    let count = parts.with_untracked(Vec::len);
    let part = move |i: usize| {
        let get = move || parts.with(|p| p.get(i).copied()).unwrap_or_default();
        view! {
            <span
                class=move || format!("stack-part {}", get().0)
                style:--share=move || format!("{:.4}", get().1.clamp(0.0, 1.0))
                title=move || format!("{} {:.1} %", get().2, get().1 * 100.0)
            ></span>
        }
    };
    view! { <span class="stack" role="img" aria-label=label>{(0..count).map(part).collect_view()}</span> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_full_stands_out() {
        assert_eq!(tone_of_fill(0.5), "");
        assert_eq!(tone_of_fill(0.8), "attention");
        assert_eq!(tone_of_fill(1.2), "trouble");
    }
}
