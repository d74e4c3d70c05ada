//! Tests of bundles: who is in which, that a map of hundreds is short, and that opening one leaves the order.

use std::sync::Arc;

use glasshull_shared::domain::container::Container;
use glasshull_shared::domain::network::NetnsKey;
use proptest::prelude::*;

use super::super::plan::Plan;
use super::*;

const HOST: u64 = 1;

/// Containers on bridges: the number of the bridge and the project of each.
fn snapshot(containers: &[(u32, &str)]) -> Snapshot {
    let mut s = Snapshot::default();
    s.netns.insert(NetnsKey { netns: HOST }, Arc::new(Netns { host: true, ..Netns::default() }));
    for (i, (bridge, project)) in (10..).zip(containers) {
        let row = Link {
            kind: "bridge".into(),
            name: format!("br{bridge}"),
            network: Some(format!("net{bridge}")),
            ..Link::default()
        };
        s.link.insert(LinkKey { netns: HOST, ifindex: *bridge }, Arc::new(row));
        let (id, netns, port) = (format!("c{i:04}"), u64::from(i), 1000 + i);
        let project = Some((*project).to_owned()).filter(|p| !p.is_empty());
        let row = Container { name: id.clone(), compose_project: project, ..Container::default() };
        s.container.insert(ContainerKey { id: id.clone() }, Arc::new(row));
        s.netns.insert(NetnsKey { netns }, Arc::new(Netns { containers: vec![id], ..Netns::default() }));
        let end = |peer_netns, peer_ifindex| Link {
            kind: "veth".into(),
            peer_netns: Some(peer_netns),
            peer_ifindex: Some(peer_ifindex),
            ..Link::default()
        };
        s.link.insert(LinkKey { netns, ifindex: 2 }, Arc::new(end(HOST, port)));
        let far = Link { master: Some(*bridge), ..end(netns, 2) };
        s.link.insert(LinkKey { netns: HOST, ifindex: port }, Arc::new(far));
    }
    s
}

fn plan(s: &Snapshot, cast: &Cast) -> Plan {
    Plan::default().advance(&cast.members, &groups(s))
}

fn open(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn hundreds_are_bundled_by_themselves_and_do_not_flicker_around_the_bound() {
    assert_eq!(By::of(None, 100, By::Each), By::Each);
    assert_eq!(By::of(None, 101, By::Each), By::Network);
    assert_eq!(By::of(None, 90, By::Network), By::Network);
    assert_eq!(By::of(None, 80, By::Network), By::Each);
    assert_eq!(By::of(Some("none"), 1000, By::Network), By::Each);
    assert_eq!(By::of(Some("project"), 3, By::Each), By::Project);
}

#[test]
fn a_network_of_hundreds_takes_one_row_and_a_pair_stays_two() {
    let many: Vec<_> = (0..300).map(|_| (5, "")).chain([(6, ""), (6, "")]).collect();
    let s = snapshot(&many);
    let cast = Cast::of(&s, By::Network, &BTreeSet::new());
    assert_eq!(cast.members.len(), 3);
    assert_eq!(cast.bundles[&(Group::Bridge(5), String::new())].members.len(), 300);
    assert_eq!(plan(&s, &cast).rows(), 3);
}

#[test]
fn an_open_bundle_stands_over_its_members_and_the_others_keep_their_order() {
    let s = snapshot(&[(5, "b"), (5, "a"), (5, "b"), (5, "a"), (5, "a"), (5, "b"), (5, "")]);
    let cast = Cast::of(&s, By::Project, &open(&["b5.b"]));
    let plan = plan(&s, &cast);
    let row = |who: &Who| plan.row(who).unwrap();
    let bundle = |name: &str| Who::Bundle(Group::Bridge(5), name.to_owned());
    // The one without a project, then the projects by name.
    assert_eq!([Who::Netns(16), bundle("a"), bundle("b")].map(|who| row(&who)), [0, 1, 2]);
    assert_eq!([10, 12, 15].map(|netns| row(&Who::Netns(netns))), [3, 4, 5]);
    assert_eq!(plan.span(Group::Bridge(5)), Some((0, 6)));
    assert!(plan.row(&Who::Netns(11)).is_none());
}

proptest! {
    /// However bundled and opened: nobody is missing or drawn twice, no two share a row, and nobody moves when one comes.
    #[test]
    fn everybody_has_a_place(
        containers in prop::collection::vec((5..8_u32, "[ab]?"), 1..40),
        by in 0..3_usize,
        opened in prop::collection::vec("b[567](\\.[ab])?", 0..3),
    ) {
        let named: Vec<(u32, &str)> = containers.iter().map(|(bridge, p)| (*bridge, p.as_str())).collect();
        let (before, after) = (snapshot(&named[1..]), snapshot(&[&named[1..], &named[..1]].concat()));
        let by = [By::Each, By::Network, By::Project][by];
        let opened: BTreeSet<String> = opened.into_iter().collect();
        let cast = Cast::of(&after, by, &opened);
        let alone = cast.members.iter().filter(|m| matches!(m.who, Who::Netns(_))).count();
        let closed: usize = cast.bundles.values().filter(|b| !b.open).map(|b| b.members.len()).sum();
        prop_assert_eq!(alone + closed, named.len());
        let first = Cast::of(&before, by, &opened);
        let old = plan(&before, &first);
        let new = old.advance(&cast.members, &groups(&after));
        let rows: BTreeSet<_> = cast.members.iter().map(|m| new.row(&m.who).unwrap()).collect();
        prop_assert_eq!(rows.len(), cast.members.len());
        for member in &cast.members {
            if let Some(row) = old.row(&member.who) {
                prop_assert_eq!(new.row(&member.who), Some(row));
            }
        }
    }
}
