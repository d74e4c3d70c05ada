//! Links with their addresses and counters: `RTM_GETLINK` and `RTM_GETADDR`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use glasshull_shared::domain::network::{Link, LinkStat, OperState};
use glasshull_shared::unit::printable;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State, Stats64,
};

use crate::sys::ethtool::Ethtool;
use crate::sys::netlink::RouteSocket;

/// Kind of a link that the kernel names none for and that is not `lo`: hardware, or a driver that looks like it.
pub(super) const PHYSICAL: &str = "physical";

/// A link as its namespace tells it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LinkRow {
    pub(super) ifindex: u32,
    pub(super) link: Link,
    pub(super) stat: LinkStat,
    /// `IFLA_LINK`, and the id of its namespace when that is another one.
    pub(super) across: Option<(u32, Option<i32>)>,
}

/// All links of the socket's namespace, and the number of messages we did not understand.
pub(super) fn dump(socket: &mut RouteSocket) -> io::Result<(Vec<LinkRow>, usize)> {
    let links = socket.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let told = socket.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let (mut addresses, unknown) = (addresses(&told.messages), told.unknown);
    let mut rows = rows(&links.messages, &mut addresses);
    name_drivers(&mut rows);
    Ok((rows, links.unknown + unknown))
}

/// Rows of `RTM_NEWLINK` messages.
pub(super) fn rows(messages: &[RouteNetlinkMessage], addresses: &mut Addresses) -> Vec<LinkRow> {
    let rows = messages.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(row(link, addresses)),
        _ => None,
    });
    rows.collect()
}

/// Names the drivers of what is no device of the kernel's own making. This thread must be in the links' namespace.
fn name_drivers(rows: &mut [LinkRow]) {
    let mut physical = rows.iter_mut().filter(|row| row.link.kind == PHYSICAL).peekable();
    if physical.peek().is_none() {
        return;
    }
    let Ok(ethtool) = Ethtool::open() else { return };
    for row in physical {
        let driver = ethtool.driver(&row.link.name);
        (row.link.driver, row.link.driver_version) = (driver.name, driver.version);
    }
}

/// Addresses with prefix length by ifindex.
pub(super) type Addresses = BTreeMap<u32, Vec<String>>;

/// Addresses of `RTM_NEWADDR` messages, IPv4 first.
pub(super) fn addresses(messages: &[RouteNetlinkMessage]) -> Addresses {
    let mut all: BTreeMap<u32, Vec<(IpAddr, u8)>> = BTreeMap::new();
    for message in messages {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        let find =
            |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
        // On point-to-point links IFA_ADDRESS is the far end; the near one is IFA_LOCAL.
        let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
        let address = find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
        if let Some(ip) = local.or(address) {
            all.entry(message.header.index).or_default().push((ip, message.header.prefix_len));
        }
    }
    let text = |mut list: Vec<(IpAddr, u8)>| {
        list.sort_by_key(|(ip, _)| ip.is_ipv6()); // stable: the kernel's order, primary first
        list.into_iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect()
    };
    all.into_iter().map(|(ifindex, list)| (ifindex, text(list))).collect()
}

fn row(message: &LinkMessage, addresses: &mut Addresses) -> LinkRow {
    let ifindex = message.header.index;
    let loopback = message.header.link_layer_type == LinkLayerType::Loopback;
    let mut link = Link {
        kind: if loopback { "loopback" } else { PHYSICAL }.to_owned(),
        up: message.header.flags.contains(LinkFlags::Up),
        addresses: addresses.remove(&ifindex).unwrap_or_default(),
        ..Link::default()
    };
    let (mut stat, mut below, mut nsid, mut vxlan_over) = (LinkStat::default(), None, None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = printable(name),
            LinkAttribute::IfAlias(alias) => link.alias = Some(printable(alias)),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac_text(mac),
            LinkAttribute::OperState(state) => link.state = oper_state(*state),
            LinkAttribute::Controller(master) => link.master = Some(*master).filter(|m| *m != 0),
            LinkAttribute::Link(ifindex) => below = Some(*ifindex),
            LinkAttribute::LinkNetNsId(id) => nsid = Some(*id),
            LinkAttribute::Stats64(counters) => stat = counts(counters),
            LinkAttribute::LinkInfo(infos) => {
                let kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(printable(&kind.to_string())),
                    _ => None,
                });
                link.kind = kind.unwrap_or(link.kind);
                vxlan_over = infos.iter().find_map(vxlan_link);
            }
            _ => {}
        }
    }
    let below = below.or(vxlan_over);
    // A link that rides on nothing names itself, or 0.
    let across = below.filter(|b| *b != 0 && (nsid.is_some() || *b != ifindex)).map(|b| (b, nsid));
    LinkRow { ifindex, link, stat, across }
}

/// The link a vxlan sends over (`IFLA_VXLAN_LINK`): alone of its kind, it does not tell in `IFLA_LINK`.
fn vxlan_link(info: &LinkInfo) -> Option<u32> {
    let LinkInfo::Data(InfoData::Vxlan(data)) = info else { return None };
    data.iter().find_map(|part| if let InfoVxlan::Link(ifindex) = part { Some(*ifindex) } else { None })
}

/// `02:42:ac:11:00:02`; `None` for links without hardware address (tun) and for loopback's zeroes.
pub(super) fn mac_text(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() || bytes.iter().all(|b| *b == 0) {
        return None;
    }
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"))
}

fn oper_state(state: State) -> OperState {
    match state {
        State::Up => OperState::Up,
        State::Down => OperState::Down,
        State::LowerLayerDown => OperState::LowerLayerDown,
        State::Dormant => OperState::Dormant,
        State::Testing => OperState::Testing,
        State::NotPresent => OperState::NotPresent,
        _ => OperState::Unknown,
    }
}

fn counts(counters: &Stats64) -> LinkStat {
    LinkStat {
        rx_bytes: counters.rx_bytes,
        tx_bytes: counters.tx_bytes,
        rx_packets: counters.rx_packets,
        tx_packets: counters.tx_packets,
        rx_errors: counters.rx_errors,
        tx_errors: counters.tx_errors,
        rx_dropped: counters.rx_dropped,
        tx_dropped: counters.tx_dropped,
        ..LinkStat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_veth_end_tells_number_and_namespace_of_the_other() {
        let row = row(
            &message(vec![
                LinkAttribute::IfName("veth1\u{202e}<x>".into()),
                LinkAttribute::Link(2),
                LinkAttribute::LinkNetNsId(0),
                LinkAttribute::Controller(4),
                LinkAttribute::OperState(State::Up),
                LinkAttribute::Address(vec![2, 0x42, 0xac, 0x11, 0, 2]),
            ]),
            &mut [(7, vec!["10.0.0.1/8".to_owned()])].into(),
        );
        assert_eq!(
            (row.across, row.link.master, row.link.state),
            (Some((2, Some(0))), Some(4), OperState::Up)
        );
        assert_eq!(row.link.mac.as_deref(), Some("02:42:ac:11:00:02"));
        assert!(!row.link.name.contains('\u{202e}') && row.link.name.contains("<x>"), "{}", row.link.name);
        assert_eq!(row.link.addresses, ["10.0.0.1/8"]);
    }

    #[test]
    fn a_link_on_itself_or_nothing_is_across_nothing() {
        for below in [0, 7] {
            assert_eq!(row(&message(vec![LinkAttribute::Link(below)]), &mut BTreeMap::new()).across, None);
        }
        // The same number in another namespace is another link.
        let row =
            row(&message(vec![LinkAttribute::Link(7), LinkAttribute::LinkNetNsId(3)]), &mut BTreeMap::new());
        assert_eq!(row.across, Some((7, Some(3))));
    }

    #[test]
    fn loopback_has_no_hardware_address() {
        assert_eq!((mac_text(&[]), mac_text(&[0; 6])), (None, None));
    }
}
