//! Representative rows of the tables of address translation.

use glasshull_shared::domain::network::{
    Hop, HopKind, NatKind, NatOrigin, NatRule, NatRuleKey, PublishedPort, PublishedPortKey, Translation,
    TranslationKey,
};

use super::ID;
use super::network::WEB;

pub(super) fn rule_key() -> NatRuleKey {
    NatRuleKey {
        netns: WEB,
        origin: NatOrigin::Legacy,
        family: "ip".into(),
        table: "nat".into(),
        chain: "DOCKER".into(),
        position: 2,
    }
}

pub(super) fn rule() -> NatRule {
    NatRule {
        kind: NatKind::Redirect,
        protocol: Some("tcp".into()),
        in_link: Some("!br-1".into()),
        out_link: Some("eth0".into()),
        source: Some("172.18.0.0/16".into()),
        destination: Some("127.0.0.1".into()),
        source_port: Some("1024:65535".into()),
        port: Some("8080".into()),
        to: Some("172.18.0.2:80".into()),
        text: "-p tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80".into(),
        packets: Some(7),
        bytes: Some(420),
        container: Some(ID.into()),
        dead: Some("no link has the address 172.18.0.2".into()),
    }
}

pub(super) fn port_key() -> PublishedPortKey {
    PublishedPortKey {
        netns: WEB,
        container: Some(ID.into()),
        protocol: "tcp".into(),
        host_address: "127.0.0.1".into(),
        host_port: 8080,
    }
}

pub(super) fn port() -> PublishedPort {
    let hop = Hop {
        kind: HopKind::Listener,
        text: "httpd (4321) :80".into(),
        netns: Some(WEB),
        ifindex: Some(2),
        pid: Some(4321),
        container: Some(ID.into()),
        packets: Some(7),
        bytes: Some(420),
        dead: Some("no listener".into()),
        remedy: Some("start the server".into()),
    };
    PublishedPort { container_port: 80, hops: vec![hop], dead: Some("no listener".into()) }
}

pub(super) fn translation_key() -> TranslationKey {
    TranslationKey {
        netns: WEB,
        protocol: "tcp".into(),
        source: "10.0.0.1:40000".into(),
        destination: "10.0.0.2:8080".into(),
    }
}

pub(super) fn translation() -> Translation {
    Translation {
        reply_source: "172.18.0.2:80".into(),
        reply_destination: "10.0.0.1:40001".into(),
        state: Some("ESTABLISHED".into()),
        timeout_secs: Some(431_999),
        packets: Some(8),
        bytes: Some(640),
        container: Some(ID.into()),
    }
}
