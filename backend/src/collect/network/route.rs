//! Routes: `RTM_GETROUTE`. What the kernel keeps for itself (table `local`) is left out, as `ip route` leaves it out.

use std::io;
use std::net::IpAddr;

use glasshull_shared::domain::network::{Route, RouteKey};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::sys::netlink::RouteSocket;

/// Table of addresses the host itself answers for.
const TABLE_LOCAL: u32 = 255;
/// `RTM_F_CLONED`: a cache entry, no route.
const TABLE_UNSPECIFIED: u32 = 0;

/// All routes of the socket's namespace.
pub(super) fn dump(socket: &mut RouteSocket, netns: u64) -> io::Result<Vec<(RouteKey, Route)>> {
    let mut rows = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header = RouteHeader { address_family: family, ..RouteHeader::default() };
        rows.extend(self::rows(&socket.dump(&RouteNetlinkMessage::GetRoute(request))?.messages, netns));
    }
    Ok(rows)
}

/// Rows of `RTM_NEWROUTE` messages.
pub(super) fn rows(messages: &[RouteNetlinkMessage], netns: u64) -> Vec<(RouteKey, Route)> {
    let of = |message: &RouteNetlinkMessage| match message {
        RouteNetlinkMessage::NewRoute(message) => routes(message, netns),
        _ => Vec::new(),
    };
    messages.iter().flat_map(of).collect()
}

/// One row per way: a multipath route has several.
fn routes(message: &RouteMessage, netns: u64) -> Vec<(RouteKey, Route)> {
    let header = &message.header;
    let (mut table, mut metric, mut source) = (u32::from(header.table), 0, None);
    let mut destination = "default".to_owned();
    let mut way = (0, None);
    let mut ways = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Oif(ifindex) => way.0 = *ifindex,
            RouteAttribute::Gateway(address) => way.1 = ip(address).map(|ip| ip.to_string()),
            RouteAttribute::Via(via) => way.1 = via_text(via),
            RouteAttribute::PrefSource(address) => source = ip(address).map(|ip| ip.to_string()),
            RouteAttribute::Destination(address) => {
                let Some(ip) = ip(address) else { return Vec::new() };
                destination = format!("{ip}/{}", header.destination_prefix_length);
            }
            RouteAttribute::MultiPath(hops) => {
                let gateway = |attributes: &[RouteAttribute]| {
                    attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => ip(address).map(|ip| ip.to_string()),
                        RouteAttribute::Via(via) => via_text(via),
                        _ => None,
                    })
                };
                ways = hops.iter().map(|hop| (hop.interface_index, gateway(&hop.attributes))).collect();
            }
            _ => {}
        }
    }
    if matches!(table, TABLE_LOCAL | TABLE_UNSPECIFIED) {
        return Vec::new();
    }
    if ways.is_empty() {
        ways.push(way);
    }
    let row = Route { kind: kind(header.kind), source, protocol: header.protocol.to_string() };
    let key = |(ifindex, gateway)| RouteKey {
        netns,
        table,
        destination: destination.clone(),
        metric,
        ifindex,
        gateway,
    };
    ways.into_iter().map(|way| (key(way), row.clone())).collect()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

fn via_text(via: &RouteVia) -> Option<String> {
    match via {
        RouteVia::Inet(ip) => Some(ip.to_string()),
        RouteVia::Inet6(ip) => Some(ip.to_string()),
        _ => None,
    }
}

fn kind(kind: RouteType) -> String {
    match kind {
        RouteType::Unicast => "unicast".into(),
        RouteType::Local => "local".into(),
        RouteType::Broadcast => "broadcast".into(),
        RouteType::Anycast => "anycast".into(),
        RouteType::Multicast => "multicast".into(),
        RouteType::BlackHole => "blackhole".into(),
        RouteType::Unreachable => "unreachable".into(),
        RouteType::Prohibit => "prohibit".into(),
        RouteType::Throw => "throw".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::route::RouteNextHop;
    use std::net::Ipv4Addr;

    fn gateway(last: u8) -> RouteAttribute {
        RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn message(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.table = 254;
        message.header.kind = RouteType::Unicast;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_route_without_destination_is_the_default() {
        let rows = routes(&message(vec![gateway(1), RouteAttribute::Oif(3)]), 9);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].0.destination.as_str(), rows[0].0.ifindex), ("default", 3));
        assert_eq!(rows[0].0.gateway.as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn each_way_of_a_multipath_route_is_a_row() {
        let hop = |ifindex, last| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = ifindex;
            hop.attributes = vec![gateway(last)];
            hop
        };
        let rows = routes(&message(vec![RouteAttribute::MultiPath(vec![hop(1, 1), hop(2, 2)])]), 9);
        let ways: Vec<_> = rows.iter().map(|(key, _)| (key.ifindex, key.gateway.as_deref())).collect();
        assert_eq!(ways, [(1, Some("10.0.0.1")), (2, Some("10.0.0.2"))]);
    }

    #[test]
    fn the_kernels_own_table_is_left_out() {
        let local = message(vec![RouteAttribute::Table(255)]);
        assert!(routes(&local, 9).is_empty());
    }
}
