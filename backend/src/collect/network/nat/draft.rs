//! A rule while it is read, whichever way: what its conditions and its target say, and its text in the end.

use std::fmt::Write as _;
use std::net::IpAddr;

use glasshull_shared::domain::network::{NatKind, NatRule};

/// Conditions of a rule that are named only.
const NAMED_AT_MOST: usize = 16;

/// What is known of a rule so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    pub(super) rule: NatRule,
    /// Conditions we do not read, by name.
    pub(super) named: Vec<String>,
    /// Whether it translates at all.
    pub(super) translates: bool,
}

/// Addresses and ports a rule translates to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct To {
    pub(super) addresses: Option<(IpAddr, IpAddr)>,
    pub(super) ports: Option<(u16, u16)>,
}

impl Draft {
    /// Sets what the rule does.
    pub(super) fn translate(&mut self, kind: NatKind, to: To) {
        self.translates = true;
        self.rule.kind = kind;
        self.rule.to = to.text();
    }

    /// Adds a condition that is only named.
    pub(super) fn name(&mut self, name: String) {
        if self.named.len() < NAMED_AT_MOST {
            self.named.push(name);
        }
    }

    /// The rule with its text; `None` for one that does not translate.
    pub(super) fn finish(self) -> Option<NatRule> {
        if !self.translates {
            return None;
        }
        let mut rule = self.rule;
        let mut text = String::new();
        for (option, value) in [
            ("-s", &rule.source),
            ("-d", &rule.destination),
            ("-i", &rule.in_link),
            ("-o", &rule.out_link),
            ("-p", &rule.protocol),
            ("--sport", &rule.source_port),
            ("--dport", &rule.port),
        ] {
            let Some(value) = value else { continue };
            let _ = match value.strip_prefix('!') {
                Some(value) => write!(text, "! {option} {value} "),
                None => write!(text, "{option} {value} "),
            };
        }
        for name in &self.named {
            let _ = write!(text, "-m {name} ");
        }
        let (target, option) = match rule.kind {
            NatKind::Dnat => ("DNAT", "--to-destination"),
            NatKind::Snat => ("SNAT", "--to-source"),
            NatKind::Masquerade => ("MASQUERADE", "--to-ports"),
            NatKind::Redirect => ("REDIRECT", "--to-ports"),
            NatKind::Netmap => ("NETMAP", "--to"),
        };
        let _ = write!(text, "-j {target}");
        if let Some(to) = &rule.to {
            let ports_only = option == "--to-ports";
            let _ = write!(text, " {option} {}", to.strip_prefix(':').filter(|_| ports_only).unwrap_or(to));
        }
        rule.text = text;
        Some(rule)
    }
}

impl To {
    fn text(self) -> Option<String> {
        let ports = self.ports.map(|(from, to)| range(from, to, '-'));
        let Some((from, to)) = self.addresses else { return ports.map(|ports| format!(":{ports}")) };
        let address = if from == to { from.to_string() } else { format!("{from}-{to}") };
        Some(match ports {
            Some(ports) if from.is_ipv6() => format!("[{address}]:{ports}"),
            Some(ports) => format!("{address}:{ports}"),
            None => address,
        })
    }
}

/// `80` or `80:90`.
pub(super) fn range(from: u16, to: u16, between: char) -> String {
    if from == to { from.to_string() } else { format!("{from}{between}{to}") }
}

/// With `!` before it when the condition is negated.
pub(super) fn unless(negated: bool, text: impl std::fmt::Display) -> String {
    if negated { format!("!{text}") } else { text.to_string() }
}

/// `10.0.0.0/8`, a whole address without its length; `None` for no condition at all.
pub(super) fn network(address: IpAddr, prefix: u32) -> Option<String> {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    match prefix {
        0 => None,
        n if n >= whole => Some(address.to_string()),
        n => Some(format!("{address}/{n}")),
    }
}

/// Name of a transport protocol.
pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        33 => "dccp".into(),
        58 => "ipv6-icmp".into(),
        132 => "sctp".into(),
        136 => "udplite".into(),
        other => other.to_string(),
    }
}

/// An address of four or sixteen bytes.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
