//! A directory of a container as a table: directories first, in any order, filtered by name; by keys as with a mouse. What
//! cannot be opened says why.

use std::sync::Arc;

use glasshull_shared::archive::{Entry, EntryKind, Listing};
use glasshull_shared::unit;
use leptos::ev::KeyboardEvent;
use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::store::archive::{Form, Place, Subject, TAB, obstacle};
use crate::store::{Choice, use_store};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::table::order::{SortKey, sort_rows};

/// Lines drawn at first, and with each press of the button.
const LINES: usize = 300;

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Size,
    Mode,
    Owner,
    Modified,
}

const COLUMNS: [(By, &str, &str); 5] = [
    (By::Name, "name", "Name"),
    (By::Size, "size", "Size"),
    (By::Mode, "mode", "Mode"),
    (By::Owner, "owner", "Owner"),
    (By::Modified, "time", "Modified"),
];

/// What is kept while somebody goes from directory to directory.
#[derive(Clone, Copy)]
pub(super) struct Browser {
    choice: Choice,
    /// Whose files.
    pub(super) subject: Memo<Option<Subject>>,
    /// Where.
    pub(super) place: Memo<Place>,
    /// Whether the past is shown elsewhere on the page.
    pub(super) is_past: bool,
    /// All of it.
    pub(super) node: NodeRef<Div>,
    order: RwSignal<(By, bool)>,
    filter: RwSignal<String>,
    /// The path that the focus was in, when it shall be in the next list: on the name one came from, or the first.
    focus: StoredValue<Option<String>>,
}

impl Browser {
    pub(super) fn new(choice: Choice, subject: Memo<Option<Subject>>, place: Memo<Place>) -> Self {
        Self {
            choice,
            subject,
            place,
            is_past: use_store().rewound().get_untracked().is_some(),
            node: NodeRef::new(),
            order: RwSignal::new((By::Name, false)),
            filter: RwSignal::new(String::new()),
            focus: StoredValue::new(None),
        }
    }

    /// A link that takes a file or a tree away.
    pub(super) fn take(self, at: &Place, form: Form, label: &str) -> Option<AnyView> {
        let address = self.subject.with_untracked(|of| of.as_ref().map(|of| at.address(of, form)))?;
        let name = match (form, at.name()) {
            (Form::Tar, "") => "root.tar".to_owned(),
            (Form::Tar, name) => format!("{name}.tar"),
            (Form::File | Form::List, name) => name.to_owned(),
        };
        Some(view! { <a class="button" href=address download=name>{label.to_owned()}</a> }.into_any())
    }

    /// A link was followed: the focus stays in the list.
    pub(super) fn clicked(self, event: &leptos::ev::MouseEvent) {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        if target.and_then(|t| t.closest("a[href^='?']").ok().flatten()).is_some() {
            self.keep_focus();
        }
    }

    fn keep_focus(self) {
        self.focus.set_value(Some(self.place.with_untracked(|place| place.path.clone())));
    }

    /// Up and down in the list, and up to the directory above.
    pub(super) fn key(self, event: &KeyboardEvent) {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let typing = target.is_some_and(|t| t.tag_name() == "INPUT");
        if event.default_prevented() || event.ctrl_key() || event.meta_key() || event.shift_key() {
            return;
        }
        let step = match (event.key().as_str(), event.alt_key(), typing) {
            ("ArrowUp", true, _) | ("Backspace", false, false) => {
                if let Some(up) = self.place.with_untracked(Place::parent) {
                    event.prevent_default();
                    self.keep_focus();
                    self.choice.open_path(TAB, up.to_text());
                }
                return;
            }
            ("ArrowDown", false, _) => 1,
            ("ArrowUp", false, _) => -1,
            ("Home", false, false) => i32::MIN,
            ("End", false, false) => i32::MAX,
            _ => return,
        };
        let links = self.links();
        let focused = document().active_element();
        let at = links.iter().position(|link| focused.as_ref() == Some(link.as_ref()));
        let last = i32::try_from(links.len()).unwrap_or(i32::MAX).saturating_sub(1);
        let next = match at.and_then(|at| i32::try_from(at).ok()) {
            Some(at) => at.saturating_add(step).clamp(0, last.max(0)),
            // From the filter into the list; elsewhere the page scrolls.
            None if step == 1 && typing => 0,
            None => return,
        };
        if let Some(link) = usize::try_from(next).ok().and_then(|next| links.get(next)) {
            event.prevent_default();
            let _ = link.focus(); // only one that is not in the page fails
        }
    }

    /// What can be opened, as it stands.
    fn links(self) -> Vec<web_sys::HtmlElement> {
        let Some(found) = self.node.get_untracked().and_then(|n| n.query_selector_all("a.open").ok()) else {
            return Vec::new();
        };
        (0..found.length()).filter_map(|i| found.get(i)?.dyn_into().ok()).collect()
    }

    /// Gives the list the focus back that went with the one before.
    fn refocus(self, here: &Place) {
        let Some(from) = self.focus.try_update_value(Option::take).flatten() else { return };
        let below = here.child("");
        let name = from.strip_prefix(&below.path).and_then(|rest| rest.split('/').next()).map(str::to_owned);
        request_animation_frame(move || {
            let links = self.links();
            let same =
                |link: &&web_sys::HtmlElement| name.is_some() && link.get_attribute("data-name") == name;
            if let Some(link) = links.iter().find(same).or_else(|| links.first()) {
                let _ = link.focus(); // as above
            }
        });
    }
}

/// The table.
pub(super) fn list(browser: Browser, listing: Arc<Listing>) -> AnyView {
    let shown = RwSignal::new(LINES);
    browser.filter.set(String::new());
    let here = browser.place.get_untracked().at(listing.path.clone());
    browser.refocus(&here);
    let lines = Memo::new(move |_| {
        let (by, descending) = browser.order.get();
        browser.filter.with(|filter| arranged(&listing.entries, filter, by, descending))
    });
    let rows = {
        let here = here.clone();
        move || {
            let here = here.clone();
            let row = move |entry: Entry| line(browser, &here, &entry);
            lines.with(|lines| lines.iter().take(shown.get()).cloned().map(row).collect_view())
        }
    };
    let left = Memo::new(move |_| lines.with(Vec::len).saturating_sub(shown.get()));
    let more = move || format!("{} more are not drawn.", unit::count(left.get() as u64));
    let none = move || {
        let filtered = browser.filter.with(|filter| !filter.is_empty());
        lines.with(Vec::is_empty).then_some(if filtered {
            "No name has this in it."
        } else {
            "The directory is empty."
        })
    };
    view! {
        {controls(browser, &here)}
        <table class="file-list" role="table" aria-label="Files" hidden=move || lines.with(Vec::is_empty)>
            <thead role="rowgroup">
                <tr role="row">{COLUMNS.map(|column| header(browser, column))}</tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
        </table>
        <p class="dim">{none}</p>
        <p class="files-ways" hidden=move || left.get() == 0>
            <span>{more}</span>
            <button type="button" class="button" on:click=move |_| shown.update(|n| *n += LINES)>"Draw more"</button>
        </p>
    }
    .into_any()
}

/// Filter, and a path to go to: where a list is not whole, what it lacks is reached by its name.
fn controls(browser: Browser, here: &Place) -> AnyView {
    let typed = RwSignal::new(String::new());
    let here = here.clone();
    let go = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let path = typed.get_untracked();
        let next = match path.trim() {
            "" => return,
            path if path.starts_with('/') => here.at(path.to_owned()),
            path => here.child(path),
        };
        browser.keep_focus();
        browser.choice.open_path(TAB, next.to_text());
    };
    let clear = move |event: KeyboardEvent| {
        if event.key() == "Escape" && browser.filter.with_untracked(|text| !text.is_empty()) {
            event.stop_propagation();
            browser.filter.set(String::new());
        }
    };
    view! {
        <form class="files-find" on:submit=go>
            <input
                type="search"
                aria-label="Names with"
                placeholder="names with…"
                autocomplete="off"
                spellcheck="false"
                prop:value=move || browser.filter.get()
                on:input=move |event| browser.filter.set(event_target_value(&event))
                on:keydown=clear
            />
            <input
                type="text"
                aria-label="Go to a path"
                placeholder="go to /a/path"
                autocomplete="off"
                spellcheck="false"
                maxlength="4095"
                prop:value=move || typed.get()
                on:input=move |event| typed.set(event_target_value(&event))
            />
            <button type="submit">"Go"</button>
        </form>
    }
    .into_any()
}

fn header(browser: Browser, (by, class, title): (By, &'static str, &'static str)) -> impl IntoView {
    let sorted = move || match browser.order.get() {
        (now, descending) if now == by => Some(if descending { "descending" } else { "ascending" }),
        _ => None,
    };
    let press = move |_| {
        browser.order.update(|(now, descending)| {
            // What is large or new is looked for, and names from their beginning.
            let first = matches!(by, By::Size | By::Modified);
            *descending = if *now == by { !*descending } else { first };
            *now = by;
        });
    };
    view! {
        <th role="columnheader" class=class aria-sort=sorted>
            <button type="button" on:click=press>{title}</button>
        </th>
    }
}

/// In order: directories first, whatever they are ordered by.
fn arranged(entries: &[Entry], filter: &str, by: By, descending: bool) -> Vec<Entry> {
    let wanted = filter.trim().to_lowercase();
    let fits = |entry: &&Entry| wanted.is_empty() || entry.name.to_lowercase().contains(&wanted);
    let chosen: Vec<Entry> = entries.iter().filter(fits).cloned().collect();
    let number = |n: Option<u64>| SortKey::number(n.map(|n| n as f64));
    let key = |entry: &Entry| match by {
        By::Name => SortKey::text(Some(&entry.name)),
        By::Size => number(entry.size_bytes),
        By::Mode => number(Some(entry.mode.into())),
        By::Owner => {
            number(entry.uid.map(|uid| uid.saturating_mul(1 << 20).saturating_add(entry.gid.unwrap_or(0))))
        }
        By::Modified => number(entry.modified_at),
    };
    let sorted = sort_rows(chosen, descending, key);
    let (directories, rest): (Vec<Entry>, Vec<Entry>) =
        sorted.into_iter().partition(|entry| entry.kind == EntryKind::Directory);
    directories.into_iter().chain(rest).collect()
}

fn line(browser: Browser, here: &Place, entry: &Entry) -> AnyView {
    let at = here.child(&entry.name);
    let (why_not, is_directory) = (obstacle(entry), entry.kind == EntryKind::Directory);
    let shown = format!("{}{}", unit::printable(&entry.name), if is_directory { "/" } else { "" });
    let name = match why_not {
        None => {
            let (choice, to) = (browser.choice, at.to_text());
            let href = move || choice.path_link(TAB, to.clone());
            view! { <a class="open" href=href data-name=entry.name.clone() title=entry.kind.name()>{shown.clone()}</a> }
                .into_any()
        }
        Some(why) => view! { <span class="closed" title=why>{shown.clone()}</span> }.into_any(),
    };
    let link = entry.link.as_ref().map(|to| {
        let (word, arrow) =
            if entry.kind == EntryKind::HardLink { ("same file as", " = ") } else { ("leads to", " → ") };
        view! { <span class="link" title=word>{arrow}{unit::printable(to)}</span> }
    });
    let form = match (why_not, entry.kind) {
        (None, EntryKind::Directory) => Some(Form::Tar),
        (None, EntryKind::File | EntryKind::HardLink) => Some(Form::File),
        _ => None,
    };
    let what = if is_directory { "take it as a tar" } else { "download" };
    let take = form.and_then(|form| {
        let address = browser.subject.with_untracked(|of| of.as_ref().map(|of| at.address(of, form)))?;
        let name = format!("{}{}", entry.name, if is_directory { ".tar" } else { "" });
        Some(view! { <a class="take" href=address download=name title=what aria-label=format!("{what}: {shown}")>"↓"</a> })
    });
    let why = why_not.map(|why| view! { <span class="why">{why}</span> });
    let owner = owner(entry);
    let (size, size_title) = match entry.size_bytes {
        Some(bytes) => (unit::bytes(bytes), format!("{} bytes", unit::count(bytes))),
        None => (String::new(), String::new()),
    };
    view! {
        <tr role="row" data-kind=entry.kind.letter().to_string()>
            <td role="cell" class="name">{name}{link}{why}</td>
            <td role="cell" class="size" title=size_title>{size}</td>
            <td role="cell" class="mode" title=format!("{} · {:04o}", entry.kind.name(), entry.mode)>{entry.mode_text()}</td>
            <td role="cell" class="owner" title="uid:gid inside">{owner}</td>
            <td role="cell" class="time">{modified(entry)}</td>
            <td role="cell" class="get">{take}</td>
        </tr>
    }
    .into_any()
}

/// `0:0`, the numbers inside.
pub(super) fn owner(entry: &Entry) -> String {
    let number = |n: Option<u64>| unit::or_unknown(n.map(|n| n.to_string()));
    format!("{}:{}", number(entry.uid), number(entry.gid))
}

/// In the browser's time zone.
pub(super) fn modified(entry: &Entry) -> String {
    let local = |at: u64| unit::date_time(at.saturating_add_signed(zone_offset_nanos()));
    unit::or_unknown(entry.modified_at.map(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: EntryKind, size_bytes: Option<u64>) -> Entry {
        Entry {
            name: name.into(),
            name_hex: None,
            kind,
            mode: 0o644,
            uid: Some(0),
            gid: None,
            size_bytes,
            modified_at: None,
            link: None,
        }
    }

    #[test]
    fn directories_stand_first_and_names_are_found_whatever_their_case() {
        let entries = [
            entry("b10", EntryKind::File, Some(1)),
            entry("B2", EntryKind::File, Some(30)),
            entry("z", EntryKind::Directory, None),
            entry("link", EntryKind::Symlink, None),
        ];
        let names = |filter: &str, by, descending| {
            let lines = arranged(&entries, filter, by, descending);
            lines.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names("", By::Name, false), ["z", "B2", "b10", "link"]);
        assert_eq!(names("", By::Size, true), ["z", "B2", "b10", "link"]);
        assert_eq!(names("b", By::Size, false), ["b10", "B2"]);
        assert_eq!(owner(&entries[0]), "0:–");
    }
}
