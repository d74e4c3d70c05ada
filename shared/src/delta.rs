//! Tables, what changed between two states of one, and putting it back: `apply(a, diff(a, b)) == b`.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

type Rows<K, V> = BTreeMap<K, Arc<V>>;

/// A table: rows under keys the kernel cannot reuse unseen. Used as the map that it is.
///
/// Rows and the table itself are shared: keeping the last state costs a pointer, what changes is copied when it first does (a pointer
/// per row), and an unchanged table or row is recognised without looking into it.
#[derive(Debug)]
pub struct Table<K, V>(Arc<Rows<K, V>>);

impl<K, V> Table<K, V> {
    /// One without rows.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Rows::new()))
    }
}

impl<K, V> Deref for Table<K, V> {
    type Target = Rows<K, V>;

    fn deref(&self) -> &Rows<K, V> {
        &self.0
    }
}

impl<K: Clone, V> DerefMut for Table<K, V> {
    fn deref_mut(&mut self) -> &mut Rows<K, V> {
        Arc::make_mut(&mut self.0)
    }
}

// Derived, these would ask more of keys and rows than they need.
impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<K: Eq, V: Eq> Eq for Table<K, V> {}

impl<K: Ord, V> FromIterator<(K, Arc<V>)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, Arc<V>)>>(rows: I) -> Self {
        Self(Arc::new(rows.into_iter().collect()))
    }
}

impl<K: Ord, V, const N: usize> From<[(K, Arc<V>); N]> for Table<K, V> {
    fn from(rows: [(K, Arc<V>); N]) -> Self {
        rows.into_iter().collect()
    }
}

impl<K: Clone, V> IntoIterator for Table<K, V> {
    type Item = (K, Arc<V>);
    type IntoIter = btree_map::IntoIter<K, Arc<V>>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a Arc<V>);
    type IntoIter = btree_map::Iter<'a, K, Arc<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, K: Clone, V> IntoIterator for &'a mut Table<K, V> {
    type Item = (&'a K, &'a mut Arc<V>);
    type IntoIter = btree_map::IterMut<'a, K, Arc<V>>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::make_mut(&mut self.0).iter_mut()
    }
}

/// The difference between two states of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDelta<K, V> {
    /// New and changed rows, by key.
    pub changed: Vec<(K, Arc<V>)>,
    /// Keys that are gone.
    pub removed: Vec<K>,
}

impl<K, V> TableDelta<K, V> {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// The changes that lead from `before` to `after`.
///
/// Walks both in key order once; rows, and tables, that are the same allocation are not compared.
pub fn diff<K: Ord + Clone, V: PartialEq>(before: &Table<K, V>, after: &Table<K, V>) -> TableDelta<K, V> {
    let mut delta = TableDelta { changed: Vec::new(), removed: Vec::new() };
    if Arc::ptr_eq(&before.0, &after.0) {
        return delta;
    }
    let mut old = before.iter().peekable();
    for (key, row) in after {
        while let Some((gone, _)) = old.next_if(|(k, _)| *k < key) {
            delta.removed.push(gone.clone());
        }
        match old.next_if(|(k, _)| *k == key) {
            Some((_, was)) if Arc::ptr_eq(was, row) || **was == **row => {}
            Some(_) | None => delta.changed.push((key.clone(), Arc::clone(row))),
        }
    }
    delta.removed.extend(old.map(|(k, _)| k.clone()));
    delta
}

/// Puts a difference onto a table. Removing what is not there is no error: the result is the same.
pub fn apply<K: Ord + Clone, V>(table: &mut Table<K, V>, delta: TableDelta<K, V>) {
    for key in delta.removed {
        table.remove(&key);
    }
    table.extend(delta.changed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(rows: Vec<(u8, u8)>) -> Table<u8, u8> {
        rows.into_iter().map(|(k, v)| (k, Arc::new(v))).collect()
    }

    proptest! {
        #[test]
        fn apply_undoes_diff(a: Vec<(u8, u8)>, b: Vec<(u8, u8)>) {
            let (a, b) = (table(a), table(b));
            let mut got = a.clone();
            apply(&mut got, diff(&a, &b));
            prop_assert_eq!(got, b);
        }

        #[test]
        fn diff_of_equals_is_empty(a: Vec<(u8, u8)>) {
            prop_assert!(diff(&table(a.clone()), &table(a)).is_empty());
        }

        #[test]
        fn diff_names_only_what_differs(a: Vec<(u8, u8)>, b: Vec<(u8, u8)>) {
            let (a, b) = (table(a), table(b));
            for (key, row) in diff(&a, &b).changed {
                prop_assert_ne!(a.get(&key), Some(&row));
            }
        }
    }
}
