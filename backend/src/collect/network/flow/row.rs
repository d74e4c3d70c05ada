//! Accounts as rows of the tables `flow` and `flow_stat`: the busiest, each seen from its source. Pure.

use std::net::{IpAddr, SocketAddr};

use glasshull_shared::domain::network::{Flow, FlowKey, FlowStat, Protocol};

use super::decode::{End, Family};
use super::ledger::{Account, Pair};

/// Rows of the table: more can be neither read nor sent each second.
const ROWS_AT_MOST: usize = 8_192;
/// A flow that was silent for longer gives its row to others first.
const LATELY_NANOS: u64 = 5_000_000_000;

/// As many as the table holds: those that talk, the largest first.
pub(super) fn busiest(mut flows: Vec<(Pair, Account)>) -> Vec<(Pair, Account)> {
    if flows.len() > ROWS_AT_MOST {
        let last = flows.iter().map(|(_, account)| account.last_at).max().unwrap_or(0);
        flows.select_nth_unstable_by_key(ROWS_AT_MOST, |(_, account)| {
            let silent = last.saturating_sub(account.last_at) > LATELY_NANOS;
            (silent, std::cmp::Reverse(account.bytes[0] + account.bytes[1]))
        });
        flows.truncate(ROWS_AT_MOST);
    }
    flows
}

/// A flow as the tables have it, seen from its source.
pub(super) fn rows(pair: &Pair, account: &Account) -> (FlowKey, Flow, FlowStat) {
    let (source, destination) =
        if account.source_is_high { (pair.high, pair.low) } else { (pair.low, pair.high) };
    let (sent, received) = if account.source_is_high { (1, 0) } else { (0, 1) };
    let has_ports = pair.low.port != 0 || pair.high.port != 0;
    let key = FlowKey {
        netns: pair.netns,
        link_ifindex: pair.ifindex,
        protocol: pair.protocol,
        source: text(source, pair.family, has_ports),
        destination: text(destination, pair.family, has_ports),
    };
    let flow =
        Flow { first_seen_at: account.first_at, opening_seen: account.opening_seen, ..Flow::default() };
    let stat = FlowStat {
        sent_bytes: account.bytes[sent],
        received_bytes: account.bytes[received],
        sent_packets: account.packets[sent],
        received_packets: account.packets[received],
        last_seen_at: account.last_at,
        tcp_flags: account.flags,
        state: (pair.protocol == Protocol::Tcp).then(|| account.state()),
        ..FlowStat::default()
    };
    (key, flow, stat)
}

fn text(end: End, family: Family, with_port: bool) -> String {
    let a = end.address;
    let address = match family {
        Family::V4 => IpAddr::from([a[0], a[1], a[2], a[3]]),
        Family::V6 => IpAddr::from(a),
        Family::Mac if a == [0; 16] => return String::new(),
        Family::Mac => {
            let [a, b, c, d, e, f, ..] = a;
            return format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        }
    };
    if with_port { SocketAddr::new(address, end.port).to_string() } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_read_as_people_write_them() {
        let end = |first: &[u8], port| {
            let mut address = [0; 16];
            address[..first.len()].copy_from_slice(first);
            End { address, port }
        };
        assert_eq!(text(end(&[10, 0, 0, 2], 80), Family::V4, true), "10.0.0.2:80");
        assert_eq!(text(end(&[10, 0, 0, 2], 0), Family::V4, false), "10.0.0.2");
        assert_eq!(text(end(&[0xfe, 0x80], 546), Family::V6, true), "[fe80::]:546");
        assert_eq!(text(end(&[2, 0, 0, 0, 0, 1], 0), Family::Mac, false), "02:00:00:00:00:01");
        assert_eq!(text(End::default(), Family::Mac, false), "");
    }
}
