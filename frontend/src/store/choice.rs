//! What the person chose: view, selection, filter, order, theme. Kept in the URL, so that Back works and a pasted
//! link opens the same. Setters change the URL and nothing else: they never move the focus.

use std::collections::BTreeMap;

use leptos::prelude::*;

pub use super::address::{Address, Selection, Sort, Theme};

/// How a change is put into the browser's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A place to come back to (`history.pushState`).
    Push,
    /// The same place, said better (`history.replaceState`).
    Replace,
}

/// Puts a query into the browser's address bar.
pub type WriteAddress = fn(&Address, Step);

/// The person's choice. Cheap to copy; get it by [`use_choice`].
#[derive(Clone, Copy)]
pub struct Choice {
    address: RwSignal<Address>,
    /// Ids of all views, the first is where one starts.
    views: StoredValue<Vec<&'static str>>,
    /// Parameters of views left behind, so that coming back finds filter and order as they were.
    left: StoredValue<BTreeMap<&'static str, Address>>,
    write: StoredValue<WriteAddress>,
    /// Which view is drawn.
    pub view: Signal<&'static str>,
    /// What the inspector shows; `None` when it is closed.
    pub selected: Signal<Option<Selection>>,
    /// Id of the inspector's tab; `None` = the first.
    pub tab: Signal<Option<String>>,
    /// The filter of this view, as typed.
    pub filter: Signal<String>,
    /// Order of this view's table; `None` = the view's own.
    pub sort: Signal<Option<Sort>>,
    /// Ids of the columns shown, in order; `None` = the view's own.
    pub columns: Signal<Option<Vec<String>>>,
    /// What rows are grouped by; `None` = the view's own.
    pub group: Signal<Option<String>>,
    /// Colours.
    pub theme: Signal<Theme>,
}

/// The choice of this page.
///
/// # Panics
/// Outside the app: [`super::provide`] was not called.
#[track_caller]
pub fn use_choice() -> Choice {
    expect_context()
}

impl Choice {
    /// A choice that starts as `address` says. `views` are the ids of all views.
    pub fn new(views: Vec<&'static str>, start: Address, write: WriteAddress) -> Self {
        let address = RwSignal::new(start);
        let first = views.first().copied().unwrap_or_default();
        let known = views.clone();
        // A parameter's text changes rarely and is read cheaply: what is made of it needs no memory of its own.
        let part = |name| part(address, name);
        let (view, sel, filter, theme) = (part("view"), part("sel"), part("f"), part("theme"));
        let (sort, columns) = (part("sort"), part("cols"));
        Self {
            address,
            views: StoredValue::new(views),
            left: StoredValue::new(BTreeMap::new()),
            write: StoredValue::new(write),
            view: Signal::derive(move || {
                view.with(|view| known.iter().copied().find(|id| view.as_deref() == Some(id)))
                    .unwrap_or(first)
            }),
            selected: Signal::derive(move || Selection::from_text(&sel.get()?)),
            tab: part("tab"),
            filter: Signal::derive(move || filter.get().unwrap_or_default()),
            sort: Signal::derive(move || Sort::from_text(&sort.get()?)),
            columns: Signal::derive(move || Some(columns.get()?.split(',').map(str::to_owned).collect())),
            group: part("group"),
            theme: Signal::derive(move || {
                theme.with(|t| Theme::from_name(t.as_deref()?)).unwrap_or_default()
            }),
        }
    }

    /// A parameter of the view by its name. Names of the fields above are taken (`view sel tab f sort cols group theme
    /// wall`), and `path`, which belongs to the selection.
    pub fn param(&self, name: &'static str) -> Signal<Option<String>> {
        part(self.address, name)
    }

    /// Sets or removes a parameter of the view. No new place in the history.
    pub fn set_param(&self, name: &'static str, value: Option<String>) {
        self.change(Step::Replace, |a| a.set(name, value));
    }

    /// Goes to a view; its filter and order are as they were left.
    pub fn set_view(&self, id: &'static str) {
        let next = self.at_view(id);
        self.leave_view();
        self.go(next, Step::Push);
    }

    /// Opens the inspector on something, or closes it. Back returns to what was selected before.
    pub fn select(&self, selection: Option<Selection>) {
        self.change(Step::Push, |a| select(a, selection.as_ref()));
    }

    /// As [`Choice::select`] for a cursor that moves through a table: leaves no trail in the history.
    pub fn move_selection(&self, selection: Selection) {
        let step = if self.selected.get_untracked().is_some() { Step::Replace } else { Step::Push };
        self.change(step, |a| select(a, Some(&selection)));
    }

    /// Shows a tab of the inspector.
    pub fn set_tab(&self, tab: Option<String>) {
        self.change(Step::Replace, |a| a.set("tab", tab));
    }

    /// Filters this view.
    pub fn set_filter(&self, filter: String) {
        self.change(Step::Replace, |a| a.set("f", Some(filter)));
    }

    /// Orders this view's table.
    pub fn set_sort(&self, sort: Option<Sort>) {
        self.change(Step::Replace, |a| a.set("sort", sort.map(|s| s.to_text())));
    }

    /// Shows these columns in this order.
    pub fn set_columns(&self, columns: Option<Vec<String>>) {
        self.change(Step::Replace, |a| a.set("cols", columns.map(|c| c.join(","))));
    }

    /// Groups this view's rows.
    pub fn set_group(&self, group: Option<String>) {
        self.change(Step::Replace, |a| a.set("group", group));
    }

    /// Changes the colours.
    pub fn set_theme(&self, theme: Theme) {
        self.change(Step::Replace, |a| {
            a.set("theme", (theme != Theme::Auto).then(|| theme.name().to_owned()));
        });
    }

    /// `href` of a view, as [`Choice::set_view`] would write it. Reactive.
    pub fn view_link(&self, id: &'static str) -> String {
        self.address.track();
        link(&self.at_view(id))
    }

    /// `href` of this view with something selected. Reactive.
    pub fn selection_link(&self, selection: &Selection) -> String {
        let mut next = self.address.get();
        select(&mut next, Some(selection));
        link(&next)
    }

    /// `href` of this place with a tab of the inspector open at a path in it. Reactive.
    pub fn path_link(&self, tab: &'static str, path: String) -> String {
        link(&at_path(self.address.get(), tab, path))
    }

    /// Opens a tab of the inspector at a path in it.
    pub fn open_path(&self, tab: &'static str, path: String) {
        self.change(Step::Push, |a| *a = at_path(std::mem::take(a), tab, path));
    }

    /// The whole address. Reactive.
    pub fn address(&self) -> Address {
        self.address.get()
    }

    /// Takes an address over that the browser went to (Back, Forward) or a link inside the page named.
    pub fn load(&self, address: Address) {
        self.address.set(address);
    }

    /// Follows a link inside the page: as [`Choice::load`], and into the history. What it does not name and no view
    /// owns (selection, theme) stays as it is.
    pub fn follow(&self, mut address: Address) {
        self.address.with_untracked(|now| address.keep_global(now));
        self.leave_view();
        self.go(address, Step::Push);
    }

    fn change(&self, step: Step, f: impl FnOnce(&mut Address)) {
        let mut next = self.address.get_untracked();
        f(&mut next);
        self.go(next, step);
    }

    fn go(&self, next: Address, step: Step) {
        if self.address.with_untracked(|now| *now != next) {
            (self.write.get_value())(&next, step);
            self.address.set(next);
        }
    }

    fn at_view(&self, id: &'static str) -> Address {
        let mut next = self.address.get_untracked();
        if self.view.get_untracked() == id {
            return next;
        }
        next.take_local();
        let first = self.views.with_value(|v| v.first() == Some(&id));
        next.set("view", (!first).then(|| id.to_owned()));
        if let Some(local) = self.left.with_value(|left| left.get(id).cloned()) {
            next.put(local);
        }
        next
    }

    fn leave_view(&self) {
        let local = self.address.get_untracked().take_local();
        self.left.update_value(|left| {
            left.insert(self.view.get_untracked(), local);
        });
    }
}

/// A parameter by its name; changes only when its text does.
fn part(address: RwSignal<Address>, name: &'static str) -> Signal<Option<String>> {
    Memo::new(move |_| address.with(|a| a.get(name).map(str::to_owned))).into()
}

fn at_path(mut address: Address, tab: &'static str, path: String) -> Address {
    address.set("tab", Some(tab.to_owned()));
    address.set("path", Some(path));
    address
}

/// A tab stays open only where it exists, a path only in what it was chosen in.
fn select(address: &mut Address, selection: Option<&Selection>) {
    if address.selected().as_ref() != selection {
        address.set("path", None);
    }
    let same_kind = matches!((address.selected(), selection), (Some(a), Some(b)) if a.same_kind(b));
    if !same_kind {
        address.set("tab", None);
    }
    address.set("sel", selection.map(Selection::to_text));
}

/// A link to the page itself must not be empty: that would be a link to "here".
fn link(address: &Address) -> String {
    let query = address.to_query();
    if query.is_empty() { "?".into() } else { query }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_choice(start: &str, test: impl FnOnce(Choice)) {
        let owner = Owner::new();
        owner.with(|| test(Choice::new(vec!["containers", "processes"], Address::parse(start), |_, _| {})));
    }

    #[test]
    fn an_unknown_view_is_the_first() {
        with_choice("?view=nonsense", |choice| assert_eq!(choice.view.get_untracked(), "containers"));
    }

    #[test]
    fn a_view_finds_its_filter_again_and_keeps_the_selection() {
        with_choice("?f=web&sel=h", |choice| {
            choice.set_view("processes");
            assert_eq!(choice.filter.get_untracked(), "");
            choice.set_filter("state:D".into());
            choice.set_view("containers");
            assert_eq!(choice.filter.get_untracked(), "web");
            assert_eq!(choice.selected.get_untracked(), Some(Selection::Host));
            choice.set_view("processes");
            assert_eq!(choice.address().to_query(), "?f=state:D&sel=h&view=processes");
        });
    }

    #[test]
    fn a_tab_closes_with_another_kind_of_selection() {
        with_choice("?sel=c:a&tab=labels", |choice| {
            choice.select(Some(Selection::Container("b".into())));
            assert_eq!(choice.tab.get_untracked().as_deref(), Some("labels"));
            choice.select(Some(Selection::Host));
            assert_eq!(choice.tab.get_untracked(), None);
        });
    }

    #[test]
    fn a_link_keeps_selection_and_theme_unless_it_names_them() {
        with_choice("?f=web&sel=c:a&tab=labels&theme=light", |choice| {
            choice.follow(Address::parse("?view=processes&f=state:D"));
            assert_eq!(
                choice.address().to_query(),
                "?f=state:D&sel=c:a&tab=labels&theme=light&view=processes"
            );
            choice.follow(Address::parse("?sel=h"));
            assert_eq!(choice.address().to_query(), "?sel=h&theme=light");
        });
    }

    #[test]
    fn a_path_belongs_to_what_it_was_chosen_in() {
        with_choice("?sel=c:a&theme=light", |choice| {
            let link = choice.path_link("files", "/a b/\u{202e}<".into());
            assert_eq!(link, "?path=/a+b/%E2%80%AE%3C&sel=c:a&tab=files&theme=light");
            choice.open_path("files", "/etc".into());
            choice.set_view("processes");
            choice.select(Some(Selection::Container("a".into())));
            assert_eq!(choice.param("path").get_untracked().as_deref(), Some("/etc"));
            choice.select(Some(Selection::Container("b".into())));
            assert_eq!(choice.param("path").get_untracked(), None);
            assert_eq!(choice.tab.get_untracked().as_deref(), Some("files"));
        });
    }

    #[test]
    fn every_setter_is_undone_by_loading_the_address_before() {
        with_choice("?view=processes&sort=pid:asc", |choice| {
            let before = choice.address();
            choice.set_sort(Some(Sort { column: "rss".into(), descending: true }));
            choice.set_columns(Some(vec!["pid".into(), "comm".into()]));
            choice.set_group(Some("container".into()));
            choice.set_theme(Theme::Light);
            choice.set_param("tree", Some("1".into()));
            assert_eq!(choice.columns.get_untracked(), Some(vec!["pid".into(), "comm".into()]));
            assert_eq!(choice.theme.get_untracked(), Theme::Light);
            choice.load(before.clone());
            assert_eq!(choice.address(), before);
            assert_eq!(choice.theme.get_untracked(), Theme::Auto);
            assert_eq!(choice.param("tree").get_untracked(), None);
        });
    }
}
