//! Two projects, each with a `db` on a network of its own, and a tool that is on both.

use glasshull_shared::domain::dns::HostsLine;

use super::*;
use glasshull_shared::domain::container::ContainerState;

#[derive(Default)]
struct Scene {
    containers: Table<ContainerKey, Container>,
    told: Table<ContainerKey, Told>,
    resolvers: Table<ResolverKey, Resolver>,
}

impl Scene {
    fn known(&self) -> Known<'_> {
        Known { containers: &self.containers, told: &self.told, resolvers: &self.resolvers }
    }

    fn add(&mut self, id: &str, state: ContainerState, networks: &[(&str, &str, &[&str])]) {
        let key = ContainerKey { id: id.into() };
        let row = Container { name: id.into(), state, ..Container::default() };
        self.containers.insert(key.clone(), row.into());
        let network = |(network, address, names): &(&str, &str, &[&str])| ToldNetwork {
            network: (*network).into(),
            id: format!("{network}-id"),
            addresses: vec![(*address).into()],
            names: names.iter().map(|name| (*name).into()).collect(),
            ..ToldNetwork::default()
        };
        self.told
            .insert(key, Told { networks: networks.iter().map(network).collect(), ..Told::default() }.into());
        let resolver = Resolver { nameservers: vec!["127.0.0.11".into()], ..Resolver::default() };
        self.resolvers.insert(ResolverKey { container: id.into() }, resolver.into());
    }
}

fn scene() -> Scene {
    let mut scene = Scene::default();
    let running = ContainerState::Running;
    scene.add("a-db", running, &[("a", "10.1.0.2", &["a-db", "db"])]);
    scene.add("a-api", running, &[("a", "10.1.0.3", &["a-api", "api"])]);
    scene.add("b-db", running, &[("b", "10.2.0.2", &["b-db", "db"])]);
    scene.add("b-api", running, &[("b", "10.2.0.3", &["b-api"])]);
    scene.add("tool", running, &[("a", "10.1.0.9", &["tool"]), ("b", "10.2.0.9", &["tool"])]);
    scene.add("stopped", ContainerState::Exited, &[("a", "", &["secret-name"])]);
    scene
}

fn key(container: &str, name: &str) -> DnsNameKey {
    DnsNameKey { container: container.into(), name: name.into(), record: DnsRecord::A }
}

fn answered(rows: &[(&str, &str, &[&str])]) -> Table<DnsNameKey, DnsName> {
    let row = |answers: &[&str]| DnsName {
        answers: answers.iter().map(|a| (*a).to_owned()).collect(),
        status: if answers.is_empty() { DnsStatus::NxDomain } else { DnsStatus::NoError },
        ..DnsName::default()
    };
    rows.iter().map(|(container, name, answers)| (key(container, name), row(answers).into())).collect()
}

fn oddities(row: &DnsName) -> Vec<DnsOddity> {
    row.marks.iter().map(|mark| mark.oddity).collect()
}

#[test]
fn only_names_that_the_engine_answers_for_are_asked() {
    let mut scene = scene();
    let elsewhere = Resolver { nameservers: vec!["10.9.9.9".into()], ..Resolver::default() };
    scene.resolvers.insert(ResolverKey { container: "b-api".into() }, elsewhere.into());
    let plans = plans(scene.known());
    assert!(!plans.contains_key("b-api"), "its resolver is not on this host");
    let names: Vec<&str> = plans["a-api"].expected.keys().map(String::as_str).collect();
    let expected = ["a-api", "a-api.a", "a-db", "a-db.a", "api", "api.a", "db", "db.a", "tool", "tool.a"];
    assert_eq!(names, expected, "what a project calls it, also with its network behind it");
    assert!(plans["a-api"].questions.contains(&("10.1.0.2".into(), DnsRecord::Ptr)));
    assert!(plans["tool"].expected.contains_key("b-db.b") && plans["tool"].expected.contains_key("a-db.a"));
}

#[test]
fn podman_is_asked_with_its_own_domain_alone() {
    let mut scene = Scene::default();
    let running = ContainerState::Running;
    scene.add("a-db", running, &[("a", "10.89.0.2", &["a-db", "0f3c5a9e1b7d"])]);
    scene.add("a-api", running, &[("a", "10.89.0.3", &["a-api"])]);
    let key = ContainerKey { id: "a-api".into() };
    Arc::make_mut(scene.told.get_mut(&key).unwrap()).networks[0].gateways = vec!["10.89.0.1".into()];
    let names = |scene: &Scene, search: &[&str]| {
        let search = search.iter().map(|one| (*one).to_owned()).collect();
        let row = Resolver { nameservers: vec!["10.89.0.1".into()], search, ..Resolver::default() };
        let resolvers = Table::from([(ResolverKey { container: "a-api".into() }, row.into())]);
        plans(Known { resolvers: &resolvers, ..scene.known() })["a-api"].expected.keys().cloned().collect()
    };
    let plain: Vec<String> = names(&scene, &["example.org"]);
    assert_eq!(plain, ["0f3c5a9e1b7d", "a-api", "a-db"], "a.network would be passed on");
    let own: Vec<String> = names(&scene, &["dns.podman"]);
    assert!(own.contains(&"a-db.dns.podman".to_owned()) && !own.contains(&"a-db.a".to_owned()));
}

#[test]
fn a_short_id_is_asked_as_it_is() {
    let mut scene = Scene::default();
    let id = "0f3c5a9e1b7d".repeat(6)[..64].to_owned();
    let short = &id[..12];
    scene.add(&id, ContainerState::Running, &[("a", "10.1.0.2", &["web", short])]);
    let key = ContainerKey { id: id.clone() };
    Arc::make_mut(scene.containers.get_mut(&key).unwrap()).name = "web".into();
    let names: Vec<String> = plans(scene.known())[&id].expected.keys().cloned().collect();
    assert_eq!(names, [short, "web", "web.a"]);
}

#[test]
fn what_only_a_hosts_file_tells_is_shown_and_asked_of_nobody() {
    let mut scene = scene();
    let line = |address: &str, names: &[&str]| HostsLine {
        address: address.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let hosts = vec![
        line("127.0.0.1", &["localhost"]),
        line("::1", &["localhost", "ip6-localhost"]),
        line("172.17.0.1", &["host.docker.internal"]),
        line("172.17.0.9", &["database", "$(reboot)"]),
        line("10.2.0.3", &["pod-0"]),
    ];
    // Not the engine's resolver: nothing at all is asked here.
    let row = Resolver { nameservers: vec!["10.9.9.9".into()], hosts, ..Resolver::default() };
    scene.resolvers.insert(ResolverKey { container: "b-api".into() }, row.into());
    let plans = plans(scene.known());
    assert!(!plans.contains_key("b-api"));
    let rows = relate(scene.known(), &plans, &Table::new());
    let own: Vec<_> = rows.iter().filter(|(key, _)| key.container == "b-api").collect();
    let names: Vec<&str> = own.iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(names, ["database", "host.docker.internal", "pod-0"]);
    for (_, row) in own {
        assert_eq!((row.source, row.status, row.asked_at), (DnsSource::Hosts, DnsStatus::NoError, None));
    }
}

#[test]
fn two_addresses_of_its_own_are_nothing_odd() {
    let mut scene = scene();
    let of_itself =
        |address: &str, name: &str| HostsLine { address: address.into(), names: vec![name.into()] };
    let with = |hosts| Resolver { nameservers: vec!["127.0.0.11".into()], hosts, ..Resolver::default() };
    let tool = with(vec![of_itself("10.1.0.9", "tool"), of_itself("10.2.0.9", "tool")]);
    scene.resolvers.insert(ResolverKey { container: "tool".into() }, tool.into());
    // Both call themselves web.
    for (container, address) in [("a-api", "10.1.0.3"), ("b-api", "10.2.0.3")] {
        let row = with(vec![of_itself(address, "web")]);
        scene.resolvers.insert(ResolverKey { container: container.into() }, row.into());
    }
    let plans = plans(scene.known());
    let rows = relate(
        scene.known(),
        &plans,
        &answered(&[
            ("tool", "tool", &["10.2.0.9"]),
            ("a-api", "tool", &["10.1.0.9"]),
            ("b-api", "tool", &["10.2.0.9"]),
        ]),
    );
    for (container, name) in
        [("tool", "tool"), ("a-api", "tool"), ("b-api", "tool"), ("a-api", "web"), ("b-api", "web")]
    {
        let row = &rows[&key(container, name)];
        assert!(row.marks.is_empty() && row.status == DnsStatus::NoError, "{container} {name}: {row:?}");
    }
    assert_eq!(rows[&key("tool", "tool")].answers, ["10.1.0.9", "10.2.0.9"]);
}

#[test]
fn what_no_host_may_be_called_is_not_asked() {
    let names: Vec<String> =
        ["db.", "_sip._tcp.x", "<script>", "a\u{202e}b", "x y", "..", "a..b", "172.18.0.2"]
            .map(str::to_owned)
            .into();
    let asked = questions(&names, &Plan::default(), &Resolver::default());
    let asked: BTreeSet<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(asked, BTreeSet::from(["172.18.0.2", "_sip._tcp.x", "db."]));
}

#[test]
fn podmans_resolver_is_known_by_the_networks_own_address() {
    let told = |gateway: &str| Told {
        networks: vec![ToldNetwork { gateways: vec![gateway.into()], ..ToldNetwork::default() }],
        ..Told::default()
    };
    assert!(is_engines("10.89.0.1", &told("10.89.0.1")) && !is_engines("10.89.0.1", &told("10.89.1.1")));
    assert!(is_engines("127.0.0.11", &Told::default()) && !is_engines("garbage", &Told::default()));
}

#[test]
fn one_name_with_two_answers_is_a_conflict_but_one_container_on_two_networks_is_none() {
    let scene = scene();
    let plans = plans(scene.known());
    let rows = relate(
        scene.known(),
        &plans,
        &answered(&[
            ("a-api", "db", &["10.1.0.2"]),
            ("a-db", "db", &["10.1.0.2"]),
            ("b-api", "db", &["10.2.0.2"]),
            ("a-api", "tool", &["10.1.0.9"]),
            ("b-api", "tool", &["10.2.0.9"]),
        ]),
    );
    let row = &rows[&key("a-api", "db")];
    assert_eq!(row.marks, [mark(DnsOddity::Conflict, "b-api gets 10.2.0.2".into())]);
    assert_eq!(rows[&key("b-api", "db")].marks[0].evidence, "a-api, a-db gets 10.1.0.2");
    assert!(rows[&key("a-api", "tool")].marks.is_empty() && rows[&key("b-api", "tool")].marks.is_empty());
    // What is not answered yet stands there as such.
    assert_eq!(rows[&key("a-api", "a-db")].status, DnsStatus::Pending);
    assert_eq!(oddities(&rows[&key("tool", "db")]), [DnsOddity::Ambiguous]);
}

#[test]
fn the_same_answer_without_a_name_for_it_is_no_conflict() {
    let scene = scene();
    let all = [("a-api", "db", &["10.1.0.2"][..]), ("b-api", "db", &["10.1.0.2"])];
    let rows = relate(scene.known(), &plans(scene.known()), &answered(&all));
    // To b-api it is an address of nobody's.
    for asked in ["a-api", "b-api"] {
        assert!(!oddities(&rows[&key(asked, "db")]).contains(&DnsOddity::Conflict), "{asked}");
    }
}

#[test]
fn what_the_engine_does_not_say_is_stale() {
    let scene = scene();
    let plans = plans(scene.known());
    let rows = relate(
        scene.known(),
        &plans,
        &answered(&[
            ("a-api", "a-db", &["10.1.0.77"]),
            ("a-db", "a-api", &[]),
            ("tool", "a-api", &["10.1.0.3"]),
        ]),
    );
    let stale = &rows[&key("a-api", "a-db")];
    assert_eq!(stale.marks[0], mark(DnsOddity::Stale, "10.1.0.77; the engine says 10.1.0.2".into()));
    assert_eq!(rows[&key("a-db", "a-api")].marks[0].evidence, "nxdomain; the engine says 10.1.0.3");
    assert!(rows[&key("tool", "a-api")].marks.is_empty());
}

#[test]
fn a_hosts_file_shadows_what_dns_says() {
    let mut scene = scene();
    let line = HostsLine { address: "192.0.2.1".into(), names: vec!["db".into()] };
    let row = Resolver { nameservers: vec!["127.0.0.11".into()], hosts: vec![line], ..Resolver::default() };
    scene.resolvers.insert(ResolverKey { container: "a-api".into() }, row.into());
    let plans = plans(scene.known());
    let rows = relate(scene.known(), &plans, &answered(&[("a-api", "db", &["10.1.0.2"])]));
    let row = &rows[&key("a-api", "db")];
    assert_eq!((row.source, &row.answers[..]), (DnsSource::Hosts, &["192.0.2.1".to_owned()][..]));
    assert_eq!(row.marks, [mark(DnsOddity::Shadowed, "DNS says 10.1.0.2".into())]);
}

#[test]
fn hundreds_of_names_are_bounded_and_hostile_ones_are_not_asked() {
    let mut scene = scene();
    let many: Vec<String> = (0..600).map(|n| format!("name-{n}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(["a\nb", "x y", "-v", "..", "$(reboot)"]);
    scene.add("crowd", ContainerState::Running, &[("a", "10.1.0.8", &many)]);
    let plans = plans(scene.known());
    let plan = &plans["a-db"];
    assert_eq!((plan.questions.len(), plan.left_out > 200), (QUESTIONS_AT_MOST, true));
    assert!(plan.questions.iter().all(|(name, record)| *record == DnsRecord::Ptr || is_host_name(name)));
}
