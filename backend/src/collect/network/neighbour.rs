//! Neighbour tables (ARP, NDP): `RTM_GETNEIGH`.

use std::io;

use glasshull_shared::domain::network::{Neighbour, NeighbourKey, NeighbourState};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState as Nud,
};
use netlink_packet_route::route::RouteType;

use super::link::mac_text;
use crate::sys::netlink::RouteSocket;

/// All neighbours of the socket's namespace.
pub(super) fn dump(socket: &mut RouteSocket, netns: u64) -> io::Result<Vec<(NeighbourKey, Neighbour)>> {
    let dump = socket.dump(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
    Ok(rows(&dump.messages, netns))
}

/// Rows of `RTM_NEWNEIGH` messages. What the kernel makes for itself (multicast, broadcast) and what it has not begun to
/// ask for is left out, as `ip neigh` leaves it out.
pub(super) fn rows(messages: &[RouteNetlinkMessage], netns: u64) -> Vec<(NeighbourKey, Neighbour)> {
    let rows = messages.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewNeighbour(message) => row(message, netns),
        _ => None,
    });
    rows.collect()
}

fn row(message: &NeighbourMessage, netns: u64) -> Option<(NeighbourKey, Neighbour)> {
    let state = message.header.state;
    if matches!(state, Nud::Noarp | Nud::None) || message.header.kind == RouteType::Multicast {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(ip.to_string()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(ip.to_string()),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac_text(bytes),
        _ => None,
    });
    let key = NeighbourKey { netns, ifindex: message.header.ifindex, address };
    let router = message.header.flags.contains(NeighbourFlags::Router);
    Some((key, Neighbour { mac, state: known(state), router, ..Neighbour::default() }))
}

fn known(state: Nud) -> NeighbourState {
    match state {
        Nud::Incomplete => NeighbourState::Incomplete,
        Nud::Reachable => NeighbourState::Reachable,
        Nud::Stale => NeighbourState::Stale,
        Nud::Delay => NeighbourState::Delay,
        Nud::Probe => NeighbourState::Probe,
        Nud::Failed => NeighbourState::Failed,
        Nud::Noarp => NeighbourState::Noarp,
        Nud::Permanent => NeighbourState::Permanent,
        _ => NeighbourState::None,
    }
}
