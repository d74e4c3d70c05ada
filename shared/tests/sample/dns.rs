//! Representative rows of a resolver, of a name, and of what is asked on the wire.

use glasshull_shared::domain::dns::{
    DnsClient, DnsClientKey, DnsCounts, DnsMark, DnsName, DnsNameKey, DnsOddity, DnsRecord, DnsSeen,
    DnsSeenKey, DnsSource, DnsStatus, HostsLine, Resolver, ResolverKey,
};

use super::{AT, ID};

pub(super) fn resolver_key() -> ResolverKey {
    ResolverKey { container: ID.into() }
}

pub(super) fn resolver() -> Resolver {
    Resolver {
        pid: 4321,
        netns: Some(4_026_532_201),
        nameservers: vec!["127.0.0.11".into()],
        search: vec!["example.org".into()],
        options: vec!["ndots:0".into()],
        upstreams: vec!["host(10.0.0.2)".into()],
        hosts: vec![HostsLine { address: "127.0.0.1".into(), names: vec!["localhost".into()] }],
        lookup_order: Some("files dns".into()),
        hidden: Some("not permitted".into()),
    }
}

pub(super) fn dns_name_key() -> DnsNameKey {
    DnsNameKey { container: ID.into(), name: "db".into(), record: DnsRecord::A }
}

pub(super) fn dns_name() -> DnsName {
    DnsName {
        answers: vec!["172.18.0.2".into()],
        ttl_secs: Some(600),
        latency_secs: Some(0.000_25),
        status: DnsStatus::NoError,
        source: DnsSource::Hosts,
        server: Some("127.0.0.11".into()),
        asked_at: Some(AT),
        expected: vec!["172.18.0.3".into()],
        marks: vec![DnsMark { oddity: DnsOddity::Stale, evidence: "the engine says 172.18.0.3".into() }],
    }
}

fn counts() -> DnsCounts {
    DnsCounts {
        queries: 300,
        repeats: 2,
        answers: 200,
        nodata: 40,
        nxdomain: 30,
        servfail: 9,
        refused: 8,
        failed: 7,
        timeouts: 6,
        truncated: 5,
    }
}

pub(super) fn seen_key() -> DnsSeenKey {
    DnsSeenKey {
        netns: Some(4_026_532_201),
        server: "127.0.0.11".into(),
        name: "db.example.org".into(),
        record: "AAAA".into(),
    }
}

pub(super) fn seen() -> DnsSeen {
    DnsSeen {
        container: Some(ID.into()),
        counts: counts(),
        queries_per_sec: Some(2.5),
        latency_secs: Some(0.000_25),
        latency_mean_secs: Some(0.000_5),
        latency_max_secs: Some(0.75),
        addresses: vec!["fd00::2".into()],
        ttl_secs: Some(60),
        forwarded: true,
        asked_at: AT,
        answered_at: Some(AT + 250_000),
    }
}

pub(super) fn client_key() -> DnsClientKey {
    DnsClientKey { netns: Some(4_026_532_201), server: "10.0.0.2".into() }
}

pub(super) fn client() -> DnsClient {
    DnsClient {
        container: Some(ID.into()),
        server_container: Some(ID.into()),
        server_name: Some("dns.front".into()),
        counts: counts(),
        queries_per_sec: Some(3.5),
        nxdomain_per_sec: Some(1.5),
        failures_per_sec: Some(0.25),
        failure_ratio: Some(0.125),
        latency_secs: Some(0.001),
        latency_mean_secs: Some(0.002),
        latency_max_secs: Some(0.5),
        outstanding: 3,
        names: 256,
        queries_left_out: 17,
        forwarded: true,
        asked_at: AT,
    }
}
