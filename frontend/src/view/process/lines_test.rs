//! Tests of the three arrangements: nobody is lost, doubled or misplaced, whatever the parents say.

use glasshull_shared::domain::process::{Process, ProcessStat};
use proptest::prelude::*;

use super::*;
use crate::view::process::record::FIELDS;

struct Host(Vec<(ProcessKey, Process, ProcessStat)>);

impl Host {
    /// Pid, parent, name, container, CPU.
    fn new(rows: &[(u32, u32, &str, Option<&str>, f32)]) -> Self {
        Self(
            rows.iter()
                .map(|&(pid, ppid, comm, container, cpu)| {
                    let who = Process {
                        ppid,
                        comm: comm.into(),
                        container: container.map(Into::into),
                        kernel_thread: comm.starts_with('k'),
                        ..Process::default()
                    };
                    let does = ProcessStat { cpu_ratio: Some(cpu), threads: 2, ..ProcessStat::default() };
                    (ProcessKey { pid, start_time: u64::from(pid) }, who, does)
                })
                .collect(),
        )
    }

    fn arrange(&self, shape: Shape, query: &str, kernel: bool, closed: &[LineKey]) -> Arranged {
        let rows = self.0.iter().map(|(key, who, does)| Row {
            key: *key,
            who,
            does: Some(does),
            container: who.container.as_deref(),
            now: 0,
        });
        let (query, closed) = (Query::parse(query, &FIELDS).0, closed.iter().cloned().collect());
        arrange(rows, &Wanted { shape, query: &query, kernel, order: shape.own_order(), closed: &closed })
    }
}

fn process(pid: u32) -> LineKey {
    LineKey::Process(ProcessKey { pid, start_time: u64::from(pid) })
}

fn drawn(arranged: &Arranged) -> Vec<String> {
    let line = |l: &Line<LineKey>| match &l.key {
        LineKey::Process(key) => {
            format!("{}{}{}", " ".repeat(l.depth.into()), key.pid, if l.faint { "?" } else { "" })
        }
        LineKey::Group(id) => id.clone().unwrap_or_else(|| "host".into()),
    };
    arranged.lines.iter().map(line).collect()
}

fn host() -> Host {
    Host::new(&[
        (1, 0, "init", None, 0.0),
        (2, 0, "kthreadd", None, 0.0),
        (10, 1, "shim", None, 0.1),
        (11, 10, "nginx", Some("web"), 0.2),
        (12, 11, "worker", Some("web"), 0.9),
        (13, 11, "worker", Some("web"), 0.8),
        (20, 1, "bash", None, 0.3),
    ])
}

#[test]
fn a_table_is_sorted_and_kernel_threads_are_counted() {
    let arranged = host().arrange(Shape::Table, "", false, &[]);
    assert_eq!(drawn(&arranged), ["12", "13", "20", "11", "10", "1"]);
    assert_eq!((arranged.shown, arranged.total, arranged.kernel, arranged.threads), (6, 7, 1, 12));
    assert_eq!(host().arrange(Shape::Table, "", true, &[]).shown, 7);
}

#[test]
fn a_tree_shows_children_under_parents() {
    let arranged = host().arrange(Shape::Tree, "", false, &[]);
    assert_eq!(drawn(&arranged), ["1", " 10", "  11", "   12", "   13", " 20"]);
}

#[test]
fn a_filtered_tree_keeps_ancestors_faintly() {
    let arranged = host().arrange(Shape::Tree, "pid:13", false, &[]);
    assert_eq!(drawn(&arranged), ["1?", " 10?", "  11?", "   13"]);
    assert_eq!(arranged.shown, 1);
}

#[test]
fn what_is_closed_hides_everything_beneath() {
    let arranged = host().arrange(Shape::Tree, "", false, &[process(10)]);
    assert_eq!(drawn(&arranged), ["1", " 10", " 20"]);
    assert_eq!(arranged.lines[1].open, Some(false));
    assert_eq!(arranged.lines[2].open, None);
}

#[test]
fn groups_have_sums_and_the_host_is_last() {
    let arranged = host().arrange(Shape::Groups, "", false, &[]);
    assert_eq!(drawn(&arranged), ["web", " 12", " 13", " 11", "host", " 20", " 10", " 1"]);
    let web = &arranged.groups[&Some("web".into())];
    assert_eq!(web.processes, 3);
    assert!((web.cpu_ratio - 1.9).abs() < 1e-6);
    let closed = host().arrange(Shape::Groups, "", false, &[LineKey::Group(None)]);
    assert_eq!(drawn(&closed).last().map(String::as_str), Some("host"));
}

proptest! {
    #[test]
    fn a_tree_holds_everybody_once(parents in proptest::collection::vec(0u32..40, 1..40)) {
        let rows: Vec<_> =
            parents.iter().enumerate().map(|(i, ppid)| (i as u32 + 1, *ppid, "p", None, 0.0)).collect();
        let arranged = Host::new(&rows).arrange(Shape::Tree, "", false, &[]);
        let mut pids: Vec<_> = arranged.lines.iter().filter_map(|l| match &l.key {
            LineKey::Process(key) => Some(key.pid),
            LineKey::Group(_) => None,
        }).collect();
        pids.sort_unstable();
        prop_assert_eq!(pids, (1..=parents.len() as u32).collect::<Vec<_>>());
    }
}
