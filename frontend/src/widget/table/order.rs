//! The order of lines: sorting with unknown always last, and holding the order still under a person's pointer. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use super::model::Line;

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// Last, whichever way the table is sorted.
    Unknown,
    /// By value.
    Number(f64),
    /// As people order names: case does not matter, `web-2` comes before `web-10`.
    Text(String),
}

impl SortKey {
    /// A number that may be missing.
    pub fn number(n: Option<f64>) -> Self {
        n.filter(|n| !n.is_nan()).map_or(Self::Unknown, Self::Number)
    }

    /// Text that may be missing.
    pub fn text(text: Option<&str>) -> Self {
        text.filter(|t| !t.is_empty()).map_or(Self::Unknown, |t| Self::Text(t.to_lowercase()))
    }

    fn order(&self, other: &Self, descending: bool) -> Ordering {
        let turned = |o: Ordering| if descending { o.reverse() } else { o };
        match (self, other) {
            (Self::Unknown, Self::Unknown) => Ordering::Equal,
            (Self::Unknown, _) => Ordering::Greater,
            (_, Self::Unknown) => Ordering::Less,
            (Self::Number(a), Self::Number(b)) => turned(a.total_cmp(b)),
            (Self::Text(a), Self::Text(b)) => turned(natural(a, b)),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// Sorts rows by keys made once each; equals keep the order they came in.
pub fn sort_rows<T>(rows: Vec<T>, descending: bool, key: impl Fn(&T) -> SortKey) -> Vec<T> {
    let order = order_of(rows.iter().map(key).collect(), descending);
    permute(rows, &order)
}

/// Places of the keys in their order. Apart from [`sort_rows`], so that sorting is compiled once for all kinds of rows.
fn order_of(keys: Vec<SortKey>, descending: bool) -> Vec<usize> {
    let mut keyed: Vec<(SortKey, usize)> = keys.into_iter().zip(0..).collect();
    keyed.sort_unstable_by(|(a, i), (b, j)| a.order(b, descending).then(i.cmp(j)));
    keyed.into_iter().map(|(_, place)| place).collect()
}

fn permute<T>(rows: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
    order.iter().filter_map(|place| rows.get_mut(*place).and_then(Option::take)).collect()
}

/// Orders text as people do: runs of digits by their value.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (run_a, run_b) = (digits(a), digits(b));
        if run_a > 0 && run_b > 0 {
            let (x, y) = (strip(&a[..run_a]), strip(&b[..run_b]));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[run_a..], &b[run_b..]);
            continue;
        }
        match (a.split_first(), b.split_first()) {
            (Some((x, rest_a)), Some((y, rest_b))) => match x.cmp(y) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                unequal @ (Ordering::Less | Ordering::Greater) => return unequal,
            },
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn strip(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    &digits[zeros..]
}

/// The new lines in the order the old ones had; newcomers at the end in their own order. Trees and groups are
/// returned as they are: their order carries meaning.
pub fn hold_order<K: Clone + Eq + Hash>(before: &[Line<K>], now: &[Line<K>]) -> Vec<Line<K>> {
    let flat = |lines: &[Line<K>]| lines.iter().all(|l| l.depth == 0 && !l.group);
    if !flat(before) || !flat(now) {
        return now.to_vec();
    }
    let places: HashMap<&K, usize> = before.iter().enumerate().map(|(i, l)| (&l.key, i)).collect();
    sort_rows(now.to_vec(), false, |l| SortKey::number(places.get(&l.key).map(|place| *place as f64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_is_last_both_ways() {
        let rows = vec![None, Some(1.0), Some(3.0), None, Some(2.0)];
        let up = sort_rows(rows.clone(), false, |r| SortKey::number(*r));
        assert_eq!(up, [Some(1.0), Some(2.0), Some(3.0), None, None]);
        let down = sort_rows(rows, true, |r| SortKey::number(*r));
        assert_eq!(down, [Some(3.0), Some(2.0), Some(1.0), None, None]);
    }

    #[test]
    fn names_order_as_people_expect() {
        let names = vec!["web-10", "Web-2", "web-002b", "api", ""];
        let sorted = sort_rows(names, false, |n| SortKey::text(Some(n)));
        assert_eq!(sorted, ["api", "Web-2", "web-002b", "web-10", ""]);
    }

    #[test]
    fn equals_keep_their_order() {
        let rows = vec![(1, 'a'), (0, 'b'), (1, 'c'), (0, 'd')];
        let sorted = sort_rows(rows, true, |r| SortKey::Number(f64::from(r.0)));
        assert_eq!(sorted, [(1, 'a'), (1, 'c'), (0, 'b'), (0, 'd')]);
    }

    #[test]
    fn held_lines_stay_and_newcomers_go_to_the_end() {
        let lines = |keys: &[u8]| keys.iter().map(|k| Line::row(*k)).collect::<Vec<_>>();
        assert_eq!(hold_order(&lines(&[3, 1, 2]), &lines(&[5, 2, 3, 4])), lines(&[3, 2, 5, 4]));
        let mut tree = lines(&[1, 2]);
        tree[1].depth = 1;
        assert_eq!(hold_order(&lines(&[2, 1]), &tree), tree);
    }

    proptest! {
        #[test]
        fn natural_is_an_order(a in "[a-c0-3]{0,6}", b in "[a-c0-3]{0,6}", c in "[a-c0-3]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            if natural(&a, &b) != Ordering::Greater && natural(&b, &c) != Ordering::Greater {
                prop_assert_ne!(natural(&a, &c), Ordering::Greater);
            }
        }
    }
}
