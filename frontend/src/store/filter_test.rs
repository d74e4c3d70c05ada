//! Tests of the query language: what each operator lets through, and that nothing typed makes it fail.

use proptest::prelude::*;

use super::*;

const FIELDS: [Field; 7] = [
    Field { name: "container", kind: Kind::Text, help: "" },
    Field { name: "state", kind: Kind::Word, help: "" },
    Field { name: "pid", kind: Kind::Number, help: "" },
    Field { name: "cpu", kind: Kind::Percent, help: "" },
    Field { name: "mem", kind: Kind::Bytes, help: "" },
    Field { name: "read", kind: Kind::Rate, help: "" },
    Field { name: "uptime", kind: Kind::Seconds, help: "" },
];

struct Row {
    container: Option<&'static str>,
    comm: &'static str,
    state: &'static str,
    pid: u32,
    cpu: Option<f64>,
    mem: f64,
}

const WEB: Row =
    Row { container: Some("Web-1"), comm: "nginx worker", state: "S", pid: 123, cpu: Some(0.062), mem: 2e8 };
const DISK: Row =
    Row { container: None, comm: "postgres", state: "D", pid: 7, cpu: None, mem: 1024.0 * 1024.0 };

impl Record for Row {
    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "container" => Value::maybe_text(self.container),
            "state" => Value::text(self.state),
            "pid" => Value::Number(f64::from(self.pid)),
            "cpu" => Value::maybe_number(self.cpu),
            "mem" => Value::Number(self.mem),
            "read" => Value::Number(1_500_000.0),
            "uptime" => Value::Number(5_400.0),
            _ => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        [self.comm].into_iter().chain(self.container)
    }
}

fn hits(query: &str) -> (bool, bool) {
    let (query, problems) = Query::parse(query, &FIELDS);
    assert_eq!(problems, []);
    (query.matches(&WEB), query.matches(&DISK))
}

#[test]
fn each_operator_lets_through_what_it_says() {
    for (query, wanted) in [
        ("", (true, true)),
        ("container:web", (true, false)),
        ("container=web", (false, false)),
        ("container=web-1", (true, false)),
        ("-container:web", (false, true)),
        ("container:*", (true, false)),
        ("-container:*", (false, true)),
        ("container!=web-1", (false, true)),
        ("state:d", (false, true)),
        ("state:D,S", (true, true)),
        ("pid:123", (true, false)),
        ("pid:1..10", (false, true)),
        ("pid:7,123", (true, true)),
        ("pid!=7", (true, false)),
        ("cpu>5", (true, false)),
        ("cpu>6.2", (false, false)),
        ("cpu>=6.2%", (true, false)),
        ("-cpu>5", (false, true)),
        ("mem>100M", (true, false)),
        ("mem<=1MiB", (false, true)),
        ("read>1.4M read<1.6MB/s", (true, true)),
        ("uptime>1h uptime<=90m", (true, true)),
        ("nginx", (true, false)),
        ("\"nginx worker\"", (true, false)),
        ("\"worker nginx\"", (false, false)),
        ("-nginx", (false, true)),
        ("POSTGRES,nginx", (true, true)),
        ("container:web state:D", (false, false)),
        ("-", (true, false)),
    ] {
        assert_eq!(hits(query), wanted, "{query}");
    }
}

#[test]
fn whole_numbers_are_compared_as_they_are() {
    let inode = |text: &str| range(Kind::Number, ":", text).unwrap();
    assert!(inode("4026532334").holds(4_026_532_334.0));
    assert!(!inode("4026532334").holds(4_026_532_335.0));
    assert!(range(Kind::Percent, ":", "6.2").unwrap().holds(f64::from(0.062_f32)));
    assert!(!range(Kind::Number, ">", "5").unwrap().holds(5.0));
}

#[test]
fn quoted_operators_are_text() {
    let (query, problems) = Query::parse("\"state:D\"", &FIELDS);
    assert_eq!(problems, []);
    assert!(!query.matches(&DISK));
}

#[test]
fn a_wrong_part_is_named_and_the_rest_still_filters() {
    for part in ["colour:red", "cpu>many", "cpu>", "container>web", "pid:1..x", "\"open", "mem>5X", "pid:3k"]
    {
        let (query, problems) = Query::parse(&format!("state:D {part}"), &FIELDS);
        assert_eq!(problems.len(), 1, "{part}");
        assert_eq!(problems[0].part, part);
        assert!(query.matches(&DISK) && !query.matches(&WEB), "{part}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed(text in "\\PC*") {
        let (query, _) = Query::parse(&text, &FIELDS);
        query.matches(&WEB);
    }

    #[test]
    fn a_term_and_its_negation_split_the_rows(text in "(container:|state:|pid>|cpu>|mem<)[0-9]{1,4}") {
        let (yes, _) = Query::parse(&text, &FIELDS);
        let (no, _) = Query::parse(&format!("-{text}"), &FIELDS);
        for row in [&WEB, &DISK] {
            prop_assert_ne!(yes.matches(row), no.matches(row));
        }
    }
}
