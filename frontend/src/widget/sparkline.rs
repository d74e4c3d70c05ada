//! A line of the last samples. Unknown samples leave a gap; they are never drawn as zero.

use std::fmt::Write;

use leptos::prelude::*;

/// Width of the drawing, its own units: paths are stretched to their place.
const WIDTH: f32 = 100.0;
/// Height of the drawing.
const HEIGHT: f32 = 20.0;

/// The `d` of a path through the points, oldest first, in a box of 100 × 20 with `slots` places; the newest point is at
/// the right edge. `top` is the value at the upper edge; higher ones are cut there.
pub fn path(points: impl DoubleEndedIterator<Item = Option<f32>>, slots: usize, top: f32) -> String {
    let step = WIDTH / slots.saturating_sub(1).max(1) as f32;
    let newest_first: Vec<_> = points.rev().take(slots).collect();
    let mut d = String::new();
    let mut pen_down = false;
    for (age, value) in newest_first.iter().enumerate().rev() {
        let Some(value) = value.filter(|v| v.is_finite()) else {
            pen_down = false;
            continue;
        };
        let x = WIDTH - age as f32 * step;
        let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        // Half a unit free at both edges: the stroke has a width.
        let y = HEIGHT - 0.75 - share * (HEIGHT - 1.5);
        // A line of no length makes a lonely point visible.
        let _ = write!(
            d,
            "{}{x:.1} {y:.1}{}",
            if pen_down { "L" } else { "M" },
            if pen_down { "" } else { "h0" }
        );
        pen_down = true;
    }
    d
}

/// A value for the upper edge that moves seldom: the next of 1, 2, 5, 10, 20… times `unit`.
pub fn nice_top(max: f32, unit: f32) -> f32 {
    let mut top = unit;
    for step in [2.0, 2.5, 2.0].into_iter().cycle().take(60) {
        if top >= max || !max.is_finite() {
            break;
        }
        top *= step;
    }
    top
}

/// The line with the area under it.
#[component]
pub fn Sparkline(
    /// As made by [`path`].
    #[prop(into)]
    d: Signal<String>,
    /// For screen readers and hover.
    #[prop(into)]
    label: Signal<String>,
) -> impl IntoView {
    view! {
        <svg class="sparkline" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label=label>
            <path d=d></path>
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_point_is_at_the_right_edge() {
        let d = path([Some(0.0), Some(1.0)].into_iter(), 11, 1.0);
        assert_eq!(d, "M90.0 19.2h0L100.0 0.8");
    }

    #[test]
    fn unknown_is_a_gap() {
        let d = path([Some(1.0), None, Some(1.0), Some(f32::NAN)].into_iter(), 4, 1.0);
        assert_eq!(d.matches('M').count(), 2);
        assert!(!d.contains('L') && !d.contains("NaN"));
    }

    #[test]
    fn only_what_fits_is_drawn() {
        let d = path((0..500).map(|_| Some(0.5)), 60, 1.0);
        assert_eq!(d.matches(['M', 'L']).count(), 60);
        assert!(d.starts_with("M0.0 "));
    }

    #[test]
    fn the_scale_moves_in_steps() {
        assert_eq!(nice_top(0.3, 1.0), 1.0);
        assert_eq!(nice_top(1.1, 1.0), 2.0);
        assert_eq!(nice_top(3.0, 1.0), 5.0);
        assert_eq!(nice_top(f32::NAN, 1.0), 1.0);
    }
}
