//! Tests of the container table's order and filter.

use std::sync::Arc;

use glasshull_shared::domain::container::{Health, Port};

use super::*;

fn snapshot() -> Snapshot {
    let mut s = Snapshot::default();
    let mut add = |name: &str, state, project: Option<&str>, cpu: Option<f32>| {
        let key = ContainerKey { id: format!("{name}-id") };
        let who = Container {
            name: name.into(),
            state,
            compose_project: project.map(Into::into),
            started_at: Some(0),
            ..Container::default()
        };
        s.container.insert(key.clone(), Arc::new(who));
        s.container_stat.insert(key, Arc::new(ContainerStat { cpu_ratio: cpu, ..ContainerStat::default() }));
    };
    add("old", ContainerState::Exited, Some("shop"), None);
    add("web-10", ContainerState::Running, Some("shop"), Some(0.5));
    add("web-2", ContainerState::Running, None, Some(0.1));
    add("job", ContainerState::Paused, Some("Lab"), None);
    s
}

fn drawn(shape: Shape, stopped: bool, query: &str, order: (&str, bool), closed: &[LineKey]) -> Vec<String> {
    let (query, problems) = Query::parse(query, &FIELDS);
    assert_eq!(problems, []);
    let closed = closed.iter().cloned().collect();
    let s = snapshot();
    let wanted = Wanted { shape, stopped, query: &query, order, closed: &closed };
    let line = |l: &Line<LineKey>| match &l.key {
        LineKey::Container(id) => id.trim_end_matches("-id").to_owned(),
        LineKey::Project(name) => format!("[{}]", name.as_deref().unwrap_or("-")),
        LineKey::Pod(pod) => format!("[{pod}]"),
    };
    arrange(rows(&s, 9_000_000_000), &wanted).lines.iter().map(line).collect()
}

#[test]
fn stopped_ones_are_last_whatever_the_order() {
    assert_eq!(drawn(Shape::Table, true, "", ("name", false), &[]), ["job", "web-2", "web-10", "old"]);
    assert_eq!(drawn(Shape::Table, true, "", ("cpu_ratio", true), &[]), ["web-10", "web-2", "job", "old"]);
    assert_eq!(drawn(Shape::Table, false, "", ("name", true), &[]), ["web-10", "web-2", "job"]);
}

#[test]
fn projects_group_and_close() {
    let name = ("name", false);
    assert_eq!(
        drawn(Shape::Projects, true, "", name, &[]),
        ["[Lab]", "job", "[shop]", "web-10", "old", "[-]", "web-2"]
    );
    let closed = [LineKey::Project(Some("shop".into()))];
    assert_eq!(drawn(Shape::Projects, true, "", name, &closed), ["[Lab]", "job", "[shop]", "[-]", "web-2"]);
}

#[test]
fn fields_find_what_they_name() {
    for (query, wanted) in [
        ("project:shop state:running", vec!["web-10"]),
        ("cpu>20", vec!["web-10"]),
        ("uptime>8s -cpu:*", vec!["job"]),
        ("-project:*", vec!["web-2"]),
        ("web", vec!["web-2", "web-10"]),
    ] {
        assert_eq!(drawn(Shape::Table, true, query, ("name", false), &[]), wanted, "{query}");
    }
}

#[test]
fn every_field_has_a_value_somewhere() {
    let who = Container {
        image: Some("i".into()),
        compose_project: Some("p".into()),
        compose_service: Some("s".into()),
        pod: Some("pod".into()),
        parent: Some("outer".into()),
        health: Some(Health::Healthy),
        state: ContainerState::Running,
        started_at: Some(1),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ports: vec![Port {
            host_address: None,
            host_port: Some(8_080),
            container_port: 80,
            protocol: "tcp".into(),
        }],
        ..Container::default()
    };
    let uses = ContainerStat {
        cpu_ratio: Some(0.0),
        memory_bytes: Some(0),
        pids: Some(1),
        read_bytes_per_sec: Some(0.0),
        write_bytes_per_sec: Some(0.0),
        ..ContainerStat::default()
    };
    let found = Some((Severity::Trouble, 1));
    let row = Row { id: "x", who: &who, uses: Some(&uses), found, now: 2 };
    for field in FIELDS {
        assert_ne!(row.value(field.name), Value::Unknown, "{}", field.name);
    }
    assert!(Query::parse("port:8080 label:a=b", &FIELDS).0.matches(&row));
}
