//! One file of a container: what it is, the way to take it, and its beginning. The beginning is asked of the agent's `/files/` and
//! the transfer ended there; hostile, and shown as text alone.

use futures_util::future::abortable;
use glasshull_shared::archive::{Entry, Listing};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::file_list::{Browser, modified, owner};
use super::part;
use crate::store::archive::preview::{BYTES, Preview, preview};
use crate::store::archive::{Failure, Fetched, Form, Place, obstacle, use_fetch};
use crate::widget::facts::{Fact, Facts, fact};

/// What a list of one file shows.
pub(super) fn file(browser: Browser, listing: &Listing) -> AnyView {
    let here = browser.place.get_untracked().at(listing.path.clone());
    let Some(entry) = listing.entries.first() else {
        return view! { <p class="dim">"The engine told nothing of it."</p> }.into_any();
    };
    let why_not = obstacle(entry).map(|why| view! { <p class="files-notice">{format!("It is {why}.")}</p> });
    let inside = obstacle(entry).is_none().then(|| beginning(browser, &here));
    view! {
        {facts(entry)}
        {why_not}
        {inside}
    }
    .into_any()
}

fn facts(entry: &Entry) -> AnyView {
    let exact = |n: u64| format!("{} ({} bytes)", unit::bytes(n), unit::count(n));
    let size = entry.size_bytes.map(|n| if n < 1000 { unit::bytes(n) } else { exact(n) });
    let all = [
        fact("name", Fact::new(unit::printable(&entry.name))),
        fact("kind", Fact::new(entry.kind.name())),
        fact("size", Fact::or(size, "it has none, or the archive does not tell")),
        fact("mode", Fact::new(format!("{} {:04o}", entry.mode_text(), entry.mode))),
        fact("owner", Fact::new(owner(entry)).title("uid:gid inside")),
        fact("modified", Fact::new(modified(entry))),
    ];
    view! { <Facts>{all}</Facts> }.into_any()
}

/// Asked once, when it is drawn.
fn beginning(browser: Browser, here: &Place) -> Option<AnyView> {
    let fetch = use_fetch();
    let address = browser.subject.with_untracked(|of| of.as_ref().map(|of| here.address(of, Form::File)))?;
    let came = RwSignal::new(None::<Fetched>);
    let (work, handle) = abortable((fetch.0)(address, BYTES));
    on_cleanup(move || handle.abort());
    leptos::task::spawn_local(async move {
        if let Ok(fetched) = work.await {
            let _ = came.try_set(Some(fetched)); // another file may be shown meanwhile
        }
    });
    let body = move || came.with(|came| came.as_ref().map_or_else(|| said("reading…".into()), shown));
    Some(part("Its beginning", body))
}

fn said(text: String) -> AnyView {
    view! { <p class="dim" role="status">{text}</p> }.into_any()
}

fn shown(fetched: &Fetched) -> AnyView {
    if fetched.status != 200 || (fetched.broken && fetched.bytes.is_empty()) {
        let failure = Failure::of(fetched);
        return view! { <p class="lacking" role="alert">{failure.title} ". " {failure.text}</p> }.into_any();
    }
    let first = unit::bytes(fetched.bytes.len() as u64);
    let part = (!fetched.whole && !fetched.broken).then(|| format!("the first {first} of it"));
    let broken = fetched.broken.then(|| "the transfer broke off".to_owned());
    let (text, of_form) = match preview(&fetched.bytes, fetched.whole) {
        Preview::Empty => return said("It is empty.".into()),
        Preview::Text { text, cut } => {
            let cut = match cut {
                0 => None,
                1 => Some("1 long line is cut".to_owned()),
                n => Some(format!("{} long lines are cut", unit::count(n as u64))),
            };
            (text, [part, cut])
        }
        Preview::Binary { hex, shown } => {
            (hex, [Some(format!("no text; its first {} byte by byte", unit::bytes(shown as u64))), None])
        }
    };
    let notes: Vec<String> = broken.into_iter().chain(of_form.into_iter().flatten()).collect();
    let notes = (!notes.is_empty()).then(|| said(format!("{}.", notes.join("; "))));
    view! {
        {notes}
        <pre class="file-text" tabindex="0" aria-label="Beginning of the file">{text}</pre>
    }
    .into_any()
}
