//! What changed between two states of a table, and putting it back: `apply(a, diff(a, b)) == b`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A table: rows under keys the kernel cannot reuse unseen. Rows are shared, so that keeping the last state costs a
/// pointer per row and an unchanged row is recognised without looking into it.
pub type Table<K, V> = BTreeMap<K, Arc<V>>;

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
/// Walks both in key order once; rows that are the same allocation are not compared.
pub fn diff<K: Ord + Clone, V: PartialEq>(before: &Table<K, V>, after: &Table<K, V>) -> TableDelta<K, V> {
    let mut delta = TableDelta { changed: Vec::new(), removed: Vec::new() };
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
pub fn apply<K: Ord, V>(table: &mut Table<K, V>, delta: TableDelta<K, V>) {
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
