//! Rules about names on the wire.

use super::*;
use glasshull_shared::domain::dns::{
    DnsClient, DnsClientKey, DnsCounts, DnsSeen, DnsSeenKey, Resolver, ResolverKey,
};

fn counts(answers: u64, nxdomain: u64) -> DnsCounts {
    DnsCounts { queries: answers + nxdomain, answers, nxdomain, ..DnsCounts::default() }
}

fn ask(s: &mut Snapshot, name: &str, answers: u64, nxdomain: u64) {
    let server = "127.0.0.11".to_owned();
    let key = DnsSeenKey { netns: Some(2), server, name: name.into(), record: "A".into() };
    let container = Some(web().id);
    let counts = counts(answers, nxdomain);
    s.dns_seen.insert(key, Arc::new(DnsSeen { container, counts, asked_at: NOW, ..DnsSeen::default() }));
}

fn client(s: &mut Snapshot, answers: u64, nxdomain: u64, forwarded: bool) {
    let key = DnsClientKey { netns: Some(2), server: "127.0.0.11".into() };
    let container = Some(web().id);
    let counts = counts(answers, nxdomain);
    s.dns_client.insert(key, Arc::new(DnsClient { container, counts, forwarded, ..DnsClient::default() }));
}

/// What is found after counters went from the first to the second.
fn grown(before: (u64, u64), after: (u64, u64), forwarded: bool) -> Option<Finding> {
    let (mut s, mut watch) = (plain(), Watch::default());
    ask(&mut s, "nowhere.example", 0, after.1);
    for (at, (answers, nxdomain)) in [(0, before), (5 * SEC, after)] {
        client(&mut s, answers, nxdomain, forwarded);
        watch.look(&s, at);
    }
    let found = judge_with(&s, &watch, &BTreeMap::new());
    assert_eq!(severity(&judge(&s), Rule::DnsNxdomainStorm), None, "nothing was seen over time");
    let mut rows = found.iter().filter(|(key, _)| key.rule == Rule::DnsNxdomainStorm);
    rows.next().map(|(_, row)| Finding::clone(row))
}

#[test]
fn nxdomain_storm() {
    let found = grown((0, 5), (40, 205), false).unwrap();
    assert_eq!((found.name.as_str(), found.severity), ("web", Severity::Attention));
    assert_eq!(found.evidence[0].value, "hundreds of NXDOMAIN");
    assert_eq!(found.evidence[1].label, "nowhere.example");
    assert_eq!(grown((0, 5), (0, 105), false), None, "a hundred is no storm");
    assert_eq!(grown((0, 0), (300, 200), false), None, "most is found");
    assert_eq!(grown((0, 500), (0, 520), false), None, "that was before");
    assert_eq!(grown((0, 5), (40, 205), true), None, "the engine passes it on");
}

fn amplified(in_vain: u64, found: u64, options: &[&str]) -> Option<Finding> {
    let mut s = plain();
    for ending in ["default.svc.cluster.local", "svc.cluster.local"] {
        ask(&mut s, &format!("api.example.org.{ending}"), 0, in_vain / 2);
    }
    ask(&mut s, "api.example.org", found, 0);
    let options = options.iter().map(|o| (*o).to_owned()).collect();
    s.resolver
        .insert(ResolverKey { container: web().id }, Arc::new(Resolver { options, ..Resolver::default() }));
    let found = judge(&s);
    severity(&found, Rule::DnsNdotsAmplification)?;
    found.iter().find(|(key, _)| key.rule == Rule::DnsNdotsAmplification).map(|(_, row)| Finding::clone(row))
}

#[test]
fn ndots_amplification() {
    let found = amplified(40, 20, &["ndots:5"]).unwrap();
    let told: Vec<_> = found.evidence.iter().map(|e| (e.label.as_str(), e.value.as_str())).collect();
    let expected = [
        ("in vain", "tens of questions"),
        ("appended", ".default.svc.cluster.local"),
        ("appended", ".svc.cluster.local"),
        ("found without", "api.example.org"),
        ("options", "ndots:5"),
    ];
    assert_eq!(told, expected);
    assert_eq!(amplified(18, 9, &[]), None, "too few to speak of");
    assert_eq!(amplified(30, 31, &[]), None, "it is found more often than not");
    assert_eq!(amplified(40, 0, &[]), None, "it is never found: a name that is none");
    // A name that does not exist and has nothing to do with one that does.
    let mut s = plain();
    ask(&mut s, "api.example.organ", 0, 50);
    ask(&mut s, "api.example.org", 5, 0);
    assert_eq!(severity(&judge(&s), Rule::DnsNdotsAmplification), None);
    // Asked long ago.
    ask(&mut s, "api.example.org.lan", 0, 50);
    assert_eq!(severity(&judge(&s), Rule::DnsNdotsAmplification), Some(Severity::Info));
    for row in s.dns_seen.values_mut() {
        Arc::make_mut(row).asked_at = NOW - 61 * SEC;
    }
    assert_eq!(severity(&judge(&s), Rule::DnsNdotsAmplification), None);
}
