//! The case: who makes the host wait for a disk, a cell per link from the symptom to the file, each with what it is concluded from
//! and what could be wrong. Not there while the host waits for none.

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::{CaseKind, CaseLink, IoCase};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::store::{Selection, use_choice, use_store};
use crate::widget::copy::CopyButton;

/// The card.
pub(super) fn card() -> AnyView {
    let store = use_store();
    store.want_here(&[Topic::IoCase]);
    let case = Memo::new(move |_| store.read(&[Topic::IoCase], |s| s.io_case.get(&Single).cloned()));
    let there = Memo::new(move |_| case.with(Option::is_some));
    let opened = RwSignal::new(false);
    let links = move || case.with(|case| case.as_deref().map(|case| case.links.clone()).unwrap_or_default());
    let sentence =
        Signal::derive(move || case.with(|case| case.as_deref().map(IoCase::sentence).unwrap_or_default()));
    let since = move || {
        let now = store.tick().get().at;
        let since = case.with(|case| case.as_deref().map(|case| case.since))?;
        let age = now.saturating_sub(since) / SECOND * SECOND;
        (age > 0).then(|| format!("for {}", unit::duration(age)))
    };
    let card = move || {
        view! {
            <section class="case" aria-label="The case" title=sentence>
                <ol>{move || links().into_iter().map(|link| cell(link, opened)).collect_view()}</ol>
                <p class="case-foot">
                    <span>{since}</span>
                    <button
                        type="button"
                        aria-expanded=move || opened.get().to_string()
                        on:click=move |_| opened.update(|opened| *opened = !*opened)
                    >
                        {move || if opened.get() { "Hide the evidence" } else { "Evidence and doubts" }}
                    </button>
                    <CopyButton text=sentence label="copy the sentence" />
                </p>
            </section>
        }
    };
    (move || there.get().then(card)).into_any()
}

const SECOND: u64 = 1_000_000_000;

fn cell(link: CaseLink, opened: RwSignal<bool>) -> impl IntoView {
    let (said, name, detail) = (before(&link), headline(&link), details(&link).join(" · "));
    let href = selection(&link).map(|selection| {
        let choice = use_choice();
        move || choice.selection_link(&selection)
    });
    let name = match href {
        Some(href) => view! { <a href=href>{name.clone()}</a> }.into_any(),
        None => view! { <b>{name.clone()}</b> }.into_any(),
    };
    let why = move || {
        let (evidence, doubt) = (unit::printable(&link.evidence), unit::printable(&link.doubt));
        opened.get().then(|| {
            view! {
                <p class="case-evidence">{evidence}</p>
                <p class="case-doubt">{doubt}</p>
            }
        })
    };
    view! {
        <li data-kind=link.kind.name()>
            <span class="case-said">{said}</span>
            <span class="case-name">{name}</span>
            <span class="case-detail">{detail}</span>
            {why}
        </li>
    }
}

/// How it hangs on the one before.
fn before(link: &CaseLink) -> &'static str {
    match link.kind {
        CaseKind::Host => "the host",
        CaseKind::Device => "because of",
        CaseKind::Volume => "under",
        CaseKind::Mount => "mounted on",
        CaseKind::Container => "in container",
        CaseKind::Process if link.unblamed => "perhaps",
        CaseKind::Process => "by",
        CaseKind::File => "at",
    }
}

fn headline(link: &CaseLink) -> String {
    let name = unit::printable(&link.name);
    match link.kind {
        CaseKind::Host => {
            let worst = [link.wait_ratio, link.pressure_ratio].into_iter().flatten().reduce(f32::max);
            let share = unit::or_unknown(worst.map(|ratio| unit::percent(ratio.into())));
            format!("waits {share}")
        }
        CaseKind::Device => match link.wait_ratio {
            Some(ratio) => format!("{name} {} busy", unit::percent(ratio.into())),
            None => name,
        },
        CaseKind::Process => link.process.map_or_else(|| name.clone(), |key| format!("{name} {}", key.pid)),
        CaseKind::Volume | CaseKind::Mount | CaseKind::Container | CaseKind::File => name,
    }
}

fn details(link: &CaseLink) -> Vec<String> {
    let percent =
        |word: &str, ratio: Option<f32>| ratio.map(|ratio| format!("{word} {}", unit::percent(ratio.into())));
    let bytes = |word: &str, rate: Option<f32>| {
        rate.filter(|rate| *rate > 0.0).map(|rate| format!("{word} {}", unit::bytes_per_sec(rate.into())))
    };
    let each = |secs: f32| format!("await {}", unit::latency_secs(secs));
    let told = match link.kind {
        CaseKind::Host => vec![percent("iowait", link.wait_ratio), percent("pressure", link.pressure_ratio)],
        CaseKind::Device | CaseKind::Volume => {
            vec![link.await_secs.map(each), link.queue_length.map(|mean| format!("queue {mean:.1}"))]
        }
        CaseKind::Mount => vec![link.fstype.as_deref().map(unit::printable)],
        CaseKind::Container => vec![],
        CaseKind::Process => vec![
            link.unblamed.then(|| "no process can be blamed".to_owned()),
            percent("waits", link.wait_ratio),
            link.blocked.then(|| "in D".to_owned()),
        ],
        CaseKind::File => vec![
            bytes("grows", link.size_per_sec),
            bytes("moves on", link.position_per_sec.filter(|_| !link.size_per_sec.is_some_and(|n| n > 0.0))),
            link.fd.map(|fd| format!("fd {fd}")),
        ],
    };
    let rates = match link.kind {
        CaseKind::Device | CaseKind::Process | CaseKind::Container => {
            [bytes("reads", link.read_bytes_per_sec), bytes("writes", link.write_bytes_per_sec)]
        }
        CaseKind::Host | CaseKind::Volume | CaseKind::Mount | CaseKind::File => [None, None],
    };
    told.into_iter().chain(rates).flatten().collect()
}

/// Where the inspector shows it.
fn selection(link: &CaseLink) -> Option<Selection> {
    match link.kind {
        CaseKind::Host => Some(Selection::Host),
        CaseKind::Device | CaseKind::Volume | CaseKind::Mount => link.device.clone().map(Selection::Device),
        CaseKind::Container => link.container.clone().map(Selection::Container),
        CaseKind::Process | CaseKind::File => link.process.map(Selection::Process),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::device::DeviceKey;
    use glasshull_shared::domain::process::ProcessKey;

    #[test]
    fn each_link_says_what_it_is_how_much_and_leads_there() {
        let key = DeviceKey { major_minor: "8:0".into() };
        let device = CaseLink {
            kind: CaseKind::Device,
            name: "sda".into(),
            device: Some(key.clone()),
            wait_ratio: Some(0.97),
            await_secs: Some(0.21),
            queue_length: Some(31.2),
            write_bytes_per_sec: Some(18.4e6),
            ..CaseLink::default()
        };
        assert_eq!(headline(&device), "sda 97.0 % busy");
        assert_eq!(details(&device), ["await 210 ms", "queue 31.2", "writes 18.4 MB/s"]);
        assert_eq!(selection(&device), Some(Selection::Device(key)));
        let process = ProcessKey { pid: 7, start_time: 1 };
        let file = CaseLink {
            kind: CaseKind::File,
            name: "/tmp/x\u{202e}".into(),
            process: Some(process),
            size_per_sec: Some(2e6),
            position_per_sec: Some(2e6),
            fd: Some(9),
            ..CaseLink::default()
        };
        assert_eq!(details(&file), ["grows 2.0 MB/s", "fd 9"]);
        assert_eq!(selection(&file), Some(Selection::Process(process)));
        assert!(!headline(&file).contains('\u{202e}'));
        let nobody = CaseLink { kind: CaseKind::Process, unblamed: true, ..CaseLink::default() };
        assert_eq!((before(&nobody), details(&nobody).len(), selection(&nobody)), ("perhaps", 1, None));
    }
}
