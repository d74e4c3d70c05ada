//! Representative rows of a resolver and of a name.

use glasshull_shared::domain::dns::{
    DnsMark, DnsName, DnsNameKey, DnsOddity, DnsRecord, DnsSource, DnsStatus, HostsLine, Resolver,
    ResolverKey,
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
