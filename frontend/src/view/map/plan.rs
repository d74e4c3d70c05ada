//! Which row of the map each network namespace or bundle of them has. Pure. A plan is made from the one before: nobody moves while the map is
//! open. Who comes takes a row that is free in its group, else one at the end; a row that is left stays empty.

use std::collections::{BTreeMap, BTreeSet};

/// What the namespaces of a group hang on, in the order from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Group {
    /// A bridge of the host, by its ifindex.
    Bridge(u32),
    /// The host itself, by a veth pair without bridge.
    Host,
    /// A link of the host that theirs ride on (macvlan, ipvlan), by its ifindex.
    Rides(u32),
    /// Other namespaces only.
    Others,
    /// Nothing: no link but lo.
    Nothing,
}

/// Who stands in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    /// A network namespace.
    Netns(u64),
    /// Several that hang on the same: by the name of what they have in common, empty for the group itself.
    Bundle(Group, String),
}

/// Somebody who wants a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) who: Who,
    pub(super) group: Group,
    /// Name of the group and of the member: the order of those who come together.
    pub(super) order: (String, String),
}

/// Rows, counted from the top.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    rows: BTreeMap<Who, usize>,
    /// First row and number of rows of each group, as it was when it came.
    spans: BTreeMap<Group, (usize, usize)>,
    next: usize,
    /// Rows of groups that came without members.
    bare: usize,
}

impl Plan {
    /// The row of somebody.
    pub(super) fn row(&self, who: &Who) -> Option<usize> {
        self.rows.get(who).copied()
    }

    /// First row and number of rows of a group.
    pub(super) fn span(&self, group: Group) -> Option<(usize, usize)> {
        self.spans.get(&group).copied()
    }

    /// Number of rows in all.
    pub(super) fn rows(&self) -> usize {
        self.next
    }

    /// Whether rows were left empty or taken out of their group, so that planning anew would look better.
    pub(super) fn is_untidy(&self) -> bool {
        let wanted: usize = self.spans.values().map(|(_, rows)| rows).sum();
        wanted != self.rows.len() + self.bare
    }

    /// The plan for these members, and for groups that are drawn even when nobody belongs to them.
    pub(super) fn advance(&self, members: &[Member], groups: &[Group]) -> Self {
        let mut plan = Self { rows: BTreeMap::new(), ..self.clone() };
        let mut coming: BTreeMap<(u8, &str, Group), Vec<&Member>> = BTreeMap::new();
        for member in members {
            if let Some(row) = self.row(&member.who) {
                plan.rows.insert(member.who.clone(), row);
            } else {
                let key = (rank(member.group), member.order.0.as_str(), member.group);
                coming.entry(key).or_default().push(member);
            }
        }
        for ((_, _, group), mut newcomers) in coming {
            newcomers.sort_unstable_by(|a, b| a.order.cmp(&b.order));
            if let Some((first, rows)) = self.span(group) {
                let taken: BTreeSet<usize> = plan.rows.values().copied().collect();
                let mut free = (first..first + rows).filter(|row| !taken.contains(row));
                for member in newcomers {
                    let row = free.next().unwrap_or_else(|| {
                        plan.next += 1;
                        plan.next - 1
                    });
                    plan.rows.insert(member.who.clone(), row);
                }
                continue;
            }
            plan.spans.insert(group, (plan.next, newcomers.len()));
            for member in newcomers {
                plan.rows.insert(member.who.clone(), plan.next);
                plan.next += 1;
            }
        }
        for group in groups {
            if !plan.spans.contains_key(group) {
                plan.spans.insert(*group, (plan.next, 1));
                plan.next += 1;
                plan.bare += 1;
            }
        }
        plan
    }
}

/// Bridges by their names, then the rest in the order of [`Group`].
fn rank(group: Group) -> u8 {
    match group {
        Group::Bridge(_) => 0,
        Group::Host => 1,
        Group::Rides(_) => 2,
        Group::Others => 3,
        Group::Nothing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(netns: u64, group: Group) -> Member {
        Member { who: Who::Netns(netns), group, order: (format!("{group:?}"), format!("{netns:03}")) }
    }

    /// Row of a namespace.
    fn at(plan: &Plan, netns: u64) -> Option<usize> {
        plan.row(&Who::Netns(netns))
    }

    #[test]
    fn groups_stand_together_in_order() {
        let (a, b) = (Group::Bridge(9), Group::Bridge(3));
        let members = [member(5, Group::Nothing), member(2, a), member(7, b), member(1, a)];
        let plan = Plan::default().advance(&members, &[]);
        let rows = [7, 1, 2, 5].map(|netns| at(&plan, netns).unwrap());
        assert_eq!(rows, [0, 1, 2, 3]);
        assert_eq!((plan.span(b), plan.span(a)), (Some((0, 1)), Some((1, 2))));
        assert!(!plan.is_untidy());
    }

    #[test]
    fn who_comes_takes_a_free_row_of_its_group_before_a_new_one() {
        let a = Group::Bridge(1);
        let first = Plan::default().advance(&[member(1, a), member(2, a), member(3, Group::Nothing)], &[]);
        let gone = first.advance(&[member(2, a), member(3, Group::Nothing)], &[]);
        assert_eq!((at(&gone, 1), at(&gone, 2), at(&gone, 3)), (None, Some(1), Some(2)));
        assert!(gone.is_untidy());
        let back = gone.advance(&[member(2, a), member(3, Group::Nothing), member(9, a), member(8, a)], &[]);
        assert_eq!((at(&back, 8), at(&back, 9)), (Some(0), Some(3)));
    }

    fn members() -> impl Strategy<Value = Vec<Member>> {
        let group = prop_oneof![
            (1..4_u32).prop_map(Group::Bridge),
            Just(Group::Host),
            (1..3_u32).prop_map(Group::Rides),
            Just(Group::Nothing)
        ];
        prop::collection::btree_map(0..40_u64, group, 0..30)
            .prop_map(|all| all.into_iter().map(|(netns, group)| member(netns, group)).collect())
    }

    proptest! {
        #[test]
        fn rows_never_overlap_and_nobody_who_stays_moves(first in members(), second in members()) {
            let before = Plan::default().advance(&first, &[]);
            let after = before.advance(&second, &[]);
            let rows: BTreeSet<usize> = second.iter().map(|m| after.row(&m.who).unwrap()).collect();
            prop_assert_eq!(rows.len(), second.len());
            prop_assert!(rows.iter().all(|row| *row < after.rows()));
            for member in &second {
                if let Some(row) = before.row(&member.who) {
                    prop_assert_eq!(after.row(&member.who), Some(row));
                }
            }
        }
    }
}
