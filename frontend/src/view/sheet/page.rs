//! A sheet on the screen: filter, order and lines as the URL says, with what stands around every table of a view.

use std::collections::HashSet;
use std::sync::Arc;

use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::super::{Parsed, filter_box};
use super::{Arranged, Sheet};
use crate::store::filter::Query;
use crate::store::{Choice, Selection, Sort, Store, use_choice, use_store};
use crate::widget::segments::Segments;
use crate::widget::table::{Column, ColumnChooser, Key, Line, Table, TableModel};

/// How much wider the first column of a tree is.
const TREE_INDENT: u16 = 96;

/// What a line leads to.
pub(in crate::view) type Leads<K> = fn(&Snapshot, &K) -> Option<Selection>;

/// One table with what belongs to it; cheap to copy.
pub(in crate::view) struct Page<K: Key> {
    pub(in crate::view) store: Store,
    pub(in crate::view) choice: Choice,
    pub(in crate::view) sheet: &'static Sheet<K>,
    pub(in crate::view) arranged: Memo<Arranged<K>>,
    query: Memo<Parsed>,
    order: Memo<(String, bool)>,
    /// Rows whose own are not shown.
    closed: RwSignal<HashSet<K>>,
}

impl<K: Key> Clone for Page<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key> Copy for Page<K> {}

impl<K: Key> Page<K> {
    /// Opens a sheet: its tables are wanted as long as this is drawn.
    pub(in crate::view) fn open(sheet: &'static Sheet<K>) -> Self {
        let (store, choice) = (use_store(), use_choice());
        store.want_here(sheet.topics);
        let query = Memo::new(move |_| choice.filter.with(|f| Query::parse(f, sheet.fields)));
        let order = Memo::new(move |_| {
            let own = (sheet.order.0.to_owned(), sheet.order.1);
            choice.sort.get().map_or(own, |s| (s.column, s.descending))
        });
        let closed = RwSignal::new(HashSet::new());
        let arranged: Memo<Arranged<K>> = Memo::new_with_compare(
            move |_| {
                let order = order.get();
                let filtered = choice.filter.with(|f| !f.trim().is_empty());
                query.with(|(query, _)| {
                    let query = filtered.then_some(query);
                    closed.with(|closed| {
                        store.read(sheet.topics, |s| sheet.arrange(s, query, (&order.0, order.1), closed))
                    })
                })
            },
            |_, _| true,
        );
        Self { store, choice, sheet, arranged, query, order, closed }
    }

    /// The table. `leads` says what a line leads to, `selected` which line is; the line a person chose last is put into `picked`.
    pub(in crate::view) fn model(
        self,
        leads: Leads<K>,
        selected: Signal<Option<K>>,
        picked: RwSignal<Option<K>>,
    ) -> TableModel<K> {
        let Self { store, choice, sheet, arranged, order, closed, .. } = self;
        TableModel {
            label: sheet.title,
            columns: sheet.columns,
            chosen: choice.columns,
            indent: Signal::stored(if sheet.parent.is_some() { TREE_INDENT } else { 0 }),
            lines: Memo::new_with_compare(move |_| arranged.with(|a| Arc::clone(&a.lines)), |_, _| true)
                .into(),
            paint: Arc::new(move |line: &Line<K>, columns: &[&'static Column]| {
                store.with(|s| sheet.cells(s, &line.key, columns))
            }),
            order: Signal::derive(move || Some(order.get())),
            on_order: Callback::new(move |(column, descending)| {
                choice.set_sort(Some(Sort { column, descending }));
            }),
            selected,
            on_select: Callback::new(move |key: K| {
                if let Some(selection) = store.with(|s| leads(s, &key)) {
                    picked.set(Some(key));
                    choice.select(Some(selection));
                }
            }),
            on_cursor: Callback::new(move |key: K| {
                // With the inspector open it follows the cursor; closed, it stays closed.
                if choice.selected.with_untracked(Option::is_some)
                    && let Some(selection) = store.with(|s| leads(s, &key))
                {
                    picked.set(Some(key));
                    choice.move_selection(selection);
                }
            }),
            on_fold: Callback::new(move |(key, open)| {
                closed.update(|closed| {
                    let _ = if open { closed.remove(&key) } else { closed.insert(key) };
                });
            }),
        }
    }

    /// The line a person chose, while it leads to what is selected; else the first line that does.
    pub(in crate::view) fn chosen(self, leads: Leads<K>, picked: RwSignal<Option<K>>) -> Signal<Option<K>> {
        let Self { store, choice, arranged, .. } = self;
        Signal::derive(move || {
            let (wanted, picked) = (choice.selected.get()?, picked.get());
            let leads = |key: &K| store.with(|s| leads(s, key)).as_ref() == Some(&wanted);
            if picked.as_ref().is_some_and(leads) {
                return picked;
            }
            arranged.with(|a| a.lines.iter().find(|line| leads(&line.key)).map(|line| line.key.clone()))
        })
    }

    /// Filter, the view's tables by id and title, columns (unless there are none to choose), and what else a view has there.
    pub(in crate::view) fn toolbar(
        self,
        names: &'static [(&'static str, &'static str)],
        id: &'static str,
        columns: bool,
        more: impl IntoView,
    ) -> impl IntoView {
        let Self { choice, sheet, query, .. } = self;
        let chooser = columns.then(|| {
            view! {
                <ColumnChooser
                    all=sheet.columns
                    chosen=choice.columns
                    on_choose=Callback::new(move |columns| choice.set_columns(columns))
                />
            }
        });
        view! {
            <div class="toolbar">
                {filter_box(choice, sheet.placeholder, sheet.fields, query)}
                {tables(choice, names, id)}
                {chooser}
                {more}
            </div>
        }
    }

    /// How many of how many are shown.
    pub(in crate::view) fn count(self) -> impl IntoView {
        let Self { sheet, arranged, .. } = self;
        let shown = move || arranged.with(|a| unit::count(a.passed as u64));
        let all = move || arranged.with(|a| format!(" of {} {}", unit::count(a.all as u64), sheet.noun));
        view! { <span><b>{shown}</b>{all}</span> }
    }

    /// [`Page::count`] with what the filter took away, and what else a view tells there.
    pub(in crate::view) fn totals(self, more: impl IntoView) -> impl IntoView {
        let arranged = self.arranged;
        let out = move || {
            let hidden = arranged.with(|a| a.all - a.passed);
            if hidden > 0 { format!("{} filtered out", unit::count(hidden as u64)) } else { String::new() }
        };
        view! {
            <p class="totals">
                {self.count()}
                <span class="filtered">{out}</span>
                {more}
            </p>
        }
    }

    /// The whole page as most views have it: `over` stands above the table, `more` behind the counts. The line a person chose
    /// is selected: several may lead to the same thing.
    pub(in crate::view) fn usual(
        self,
        names: &'static [(&'static str, &'static str)],
        leads: Leads<K>,
        over: impl IntoView,
        more: impl IntoView,
    ) -> impl IntoView {
        let picked = RwSignal::new(None::<K>);
        let model = self.model(leads, self.chosen(leads, picked), picked);
        view! {
            {self.toolbar(names, self.sheet.id, true, ())}
            {over}
            <Table model=model empty=move || view! { <p>{move || self.why_empty()}</p> } />
            {self.totals(more)}
        }
    }

    /// What the source of its first table lacks as `told` says it, where something is shown all the same.
    pub(in crate::view) fn missed(self, told: fn(&Snapshot, Topic) -> Option<String>) -> impl IntoView {
        let Self { store, sheet, arranged, .. } = self;
        let hidden = move || {
            let topic = sheet.topics.first().copied()?;
            store.read(&[Topic::Source], |s| told(s, topic)).filter(|_| arranged.with(|a| a.all > 0))
        };
        view! { <span class="missed">{hidden}</span> }
    }

    /// Why there is no line.
    pub(in crate::view) fn why_empty(self) -> String {
        let Self { store, sheet, arranged, .. } = self;
        if arranged.with(|a| a.all > 0) {
            return "Nothing passes the filter. Esc in its box empties it.".into();
        }
        store.why_none(sheet.topics, sheet.empty)
    }
}

/// A view of several tables of which the URL names one; `draw` draws it by its id.
pub(in crate::view) fn pages(
    class: &'static str,
    names: &'static [(&'static str, &'static str)],
    draw: fn(&'static str) -> AnyView,
) -> AnyView {
    let table = use_choice().param("table");
    let chosen = move || table.with(|t| names.iter().position(|n| Some(n.0) == t.as_deref()).unwrap_or(0));
    let draw = move |at: usize| untrack(|| draw(names.get(at).map_or("", |name| name.0)));
    view! {
        <div class=class>
            <For each=move || [chosen()] key=|at| *at children=draw />
        </div>
    }
    .into_any()
}

/// Which of a view's tables is shown, by id and title.
pub(in crate::view) fn tables(
    choice: Choice,
    names: &'static [(&'static str, &'static str)],
    id: &'static str,
) -> impl IntoView {
    let choose = move |id: &str| choice.set_param("table", (!id.is_empty()).then(|| id.to_owned()));
    view! { <Segments label="Table" options=names value=Signal::stored(id.to_owned()) on_choose=Callback::new(choose) /> }
}
