//! One line about the capture behind flows: how much it saw, and what it missed.

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::Store;
use crate::store::flow::capture;

/// The line, with what was missed in the colour of attention.
pub(super) fn line(store: Store) -> impl IntoView {
    store.want_here(&[Topic::Capture]);
    let said = Memo::new(move |_| store.read(&[Topic::Capture], |s| (seen(s), missed(s))));
    view! {
        <p class="capture" role="status">
            <span>{move || said.with(|(seen, _)| seen.clone())}</span>
            <span class="missed" data-tone="attention">{move || said.with(|(_, missed)| missed.clone())}</span>
        </p>
    }
}

fn seen(s: &Snapshot) -> String {
    let Some(row) = capture(s) else { return "Packets are looked at from now on.".into() };
    let namespaces = row.namespaces.len() as u64;
    format!(
        "{} packets since {} in {} {}, heads of {} bytes; {} flows",
        unit::count(row.packets),
        unit::time_of_day(row.since_at),
        unit::count(namespaces),
        if namespaces == 1 { "network namespace" } else { "network namespaces" },
        row.snaplen,
        unit::count(row.flows.into()),
    )
}

/// What numbers below lack; empty when they are whole.
fn missed(s: &Snapshot) -> String {
    let Some(row) = capture(s) else { return String::new() };
    let mut all: Vec<String> = row.error.iter().map(|error| unit::printable(error)).collect();
    for (n, what) in [
        (row.dropped, "packets dropped by the kernel: they came too fast"),
        (row.packets_left_out, "packets of flows beyond the bound"),
        (row.flows_left_out.into(), "flows known but not listed"),
        (row.links_left_out.into(), "links beyond the bound on captures"),
        (row.malformed, "packets that could not be read"),
    ] {
        if n > 0 {
            all.push(format!("{} {what}", unit::count(n)));
        }
    }
    all.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::agent::Single;
    use glasshull_shared::domain::network::Capture;
    use std::sync::Arc;

    #[test]
    fn what_was_dropped_is_said_and_nothing_when_nothing_was() {
        let mut s = Snapshot::default();
        s.capture.insert(Single, Arc::new(Capture { packets: 9, ..Capture::default() }));
        assert_eq!(missed(&s), "");
        assert!(seen(&s).starts_with("9 packets"));
        s.capture.insert(Single, Arc::new(Capture { dropped: 3, malformed: 1, ..Capture::default() }));
        assert!(missed(&s).starts_with("3 packets dropped") && missed(&s).contains(" · 1 packets that"));
    }
}
