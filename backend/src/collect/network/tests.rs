//! Messages as the kernel lays them out: recorded ones (`fixtures/netlink`) and, for kinds of links that a development
//! kernel may lack, ones put together here byte by byte; whole, cut and damaged. Namespaces that vanish while being read.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::sys::netlink::{Dump, take};

const RTM_NEWLINK: u16 = 16;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_NONE: u16 = 0xfffe;
const IFF_UP: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;

/// `struct nlattr` and its payload, padded.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + payload.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

/// `IFLA_LINKINFO`: kind, and what the kind says of itself.
fn info(kind: &str, data: &[Vec<u8>]) -> Vec<u8> {
    let kind = attribute(INFO_KIND, &[kind.as_bytes(), &[0]].concat());
    attribute(IFLA_LINKINFO, &[kind, attribute(INFO_DATA, &data.concat())].concat())
}

/// One `RTM_NEWLINK` message: `struct nlmsghdr`, `struct ifinfomsg`, attributes.
fn link(ifindex: u32, layer: u16, name: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend(layer.to_ne_bytes());
    body.extend([ifindex, IFF_UP, 0].map(u32::to_ne_bytes).concat());
    body.extend(attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat()));
    body.extend(attribute(IFLA_OPERSTATE, &[6]));
    if layer == ARPHRD_ETHER {
        body.extend(attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]));
    }
    body.extend(more.concat());
    let length = u32::try_from(16 + body.len()).unwrap();
    let head = [&length.to_ne_bytes()[..], &RTM_NEWLINK.to_ne_bytes(), &[2, 0], &[0; 8]].concat();
    [head, body].concat()
}

/// What the kernel of a larger machine tells: a bond of two ports with a vlan and an ipvlan on it, a dummy, a wireguard.
fn bonded() -> Vec<u8> {
    let slave = |state: u8| {
        let kind = attribute(INFO_SLAVE_KIND, b"bond\0");
        // IFLA_BOND_SLAVE_STATE, _MII_STATUS, _LINK_FAILURE_COUNT, _PERM_HWADDR, _QUEUE_ID.
        let data = [
            attribute(1, &[state]),
            attribute(2, &[0]),
            number(3, 0),
            attribute(4, &[2, 0, 0, 0, 0, 9]),
            attribute(5, &[0, 0]),
        ];
        attribute(IFLA_LINKINFO, &[kind, attribute(INFO_SLAVE_DATA, &data.concat())].concat())
    };
    // IFLA_BOND_MODE (active-backup), _ACTIVE_SLAVE, _MIIMON.
    let bond = info("bond", &[attribute(1, &[1]), number(2, 2), number(3, 100)]);
    // IFLA_VLAN_PROTOCOL (802.1Q, big endian), _ID, _FLAGS.
    let vlan = info(
        "vlan",
        &[attribute(5, &[0x81, 0]), attribute(1, &[42, 0]), attribute(2, &[1, 0, 0, 0, 255, 255, 255, 255])],
    );
    // IFLA_IPVLAN_MODE (l2), _FLAGS.
    let ipvlan = info("ipvlan", &[attribute(1, &[0, 0]), attribute(2, &[0, 0])]);
    [
        link(2, ARPHRD_ETHER, "eno1", &[number(IFLA_MASTER, 4), slave(0)]),
        link(3, ARPHRD_ETHER, "eno2", &[number(IFLA_MASTER, 4), slave(1)]),
        link(4, ARPHRD_ETHER, "bond0", &[bond]),
        link(5, ARPHRD_ETHER, "bond0.42", &[number(IFLA_LINK, 4), vlan]),
        link(6, ARPHRD_ETHER, "ipvl0", &[number(IFLA_LINK, 4), number(IFLA_LINK_NETNSID, 3), ipvlan]),
        link(7, ARPHRD_ETHER, "dummy0", &[info("dummy", &[])]),
        link(8, ARPHRD_NONE, "wg0", &[info("wireguard", &[])]),
        // A kind that nobody knows yet, with data of its own form.
        link(9, ARPHRD_ETHER, "new0", &[info("kind\u{202e}of<x>", &[attribute(1, &[1, 2, 3])])]),
    ]
    .concat()
}

/// All that one datagram of the kernel's tells, as a reading takes it.
fn rows(bytes: &[u8]) -> (Vec<link::LinkRow>, usize, usize) {
    let mut dump = Dump::default();
    let _ = take(bytes, &mut dump);
    let mut addresses = link::addresses(&dump.messages);
    let others =
        neighbour::rows(&dump.messages, 1).len() + route::rows(&dump.messages, 1).len() + addresses.len();
    (link::rows(&dump.messages, &mut addresses), others, dump.unknown)
}

#[test]
fn kinds_that_a_development_kernel_lacks_are_told_as_ip_tells_them() {
    let (rows, _, unknown) = rows(&bonded());
    assert_eq!(unknown, 0);
    let told: Vec<_> =
        rows.iter().map(|r| (r.link.name.as_str(), r.link.kind.as_str(), r.link.master, r.across)).collect();
    assert_eq!(
        told[..7],
        [
            // Its own kind is not told: hardware, and a port of the bond.
            ("eno1", "physical", Some(4), None),
            ("eno2", "physical", Some(4), None),
            ("bond0", "bond", None, None),
            ("bond0.42", "vlan", None, Some((4, None))),
            ("ipvl0", "ipvlan", None, Some((4, Some(3)))),
            ("dummy0", "dummy", None, None),
            ("wg0", "wireguard", None, None),
        ]
    );
    assert!(told[7].1.starts_with("kind") && !told[7].1.contains('\u{202e}'), "{:?}", told[7]);
    let macs: Vec<_> = rows.iter().map(|r| r.link.mac.is_some()).collect();
    assert_eq!(macs, [true, true, true, true, true, true, false, true]);
}

/// Datagrams that a kernel sent, by file name.
fn recorded() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/netlink");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), fs::read(f).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn recorded_datagrams_are_understood_whole() {
    let of = |name: &str| rows(&recorded().into_iter().find(|(file, _)| file == name).unwrap().1);
    let (links, _, unknown) = of("link.bin");
    let kinds: Vec<_> =
        links.iter().map(|row| (row.link.name.as_str(), row.link.kind.as_str(), row.across)).collect();
    assert_eq!(unknown, 0);
    assert_eq!(
        kinds,
        [
            ("lo", "loopback", None),
            ("br0", "bridge", None),
            ("v0", "veth", Some((2, Some(0)))),
            ("vx0", "vxlan", Some((2, None))),
            ("mac0", "macvlan", Some((2, None))),
            ("tun0", "tun", None),
        ]
    );
    for (name, count) in [("address.bin", 3), ("neighbour.bin", 4), ("route.bin", 10)] {
        let (_, others, unknown) = of(name);
        assert_eq!((others, unknown), (count, 0), "{name}");
    }
}

#[test]
fn a_datagram_cut_anywhere_tells_what_came_before_the_cut() {
    for (name, bytes) in recorded().into_iter().chain([("bonded".to_owned(), bonded())]) {
        let whole = rows(&bytes).0;
        for end in (0..bytes.len()).step_by(3) {
            let (cut, ..) = rows(&bytes[..end]);
            assert_eq!(cut[..], whole[..cut.len()], "{name} cut at {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any bytes in any places of a true datagram: fewer or other rows, never a panic, and no text that could harm.
    #[test]
    fn a_damaged_datagram_is_read_without_harm(which in 0_usize..8, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24)) {
        let mut all = recorded();
        all.push(("bonded".to_owned(), bonded()));
        let (_, mut bytes) = all.swap_remove(which % all.len());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for row in rows(&bytes).0 {
            for text in [Some(&row.link.name), Some(&row.link.kind), row.link.alias.as_ref()].into_iter().flatten() {
                prop_assert_eq!(text, &glasshull_shared::unit::printable(text));
            }
        }
    }
}

/// A child in a network namespace of its own; `None` where we may not make one.
fn alone() -> Option<std::process::Child> {
    let mut child = std::process::Command::new("unshare").args(["--net", "sleep", "60"]).spawn().ok()?;
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    for _ in 0..200 {
        let there = fs::read_link(format!("/proc/{}/ns/net", child.id()));
        if there.is_ok_and(|there| there != own) {
            return Some(child);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[test]
fn a_namespace_that_vanishes_before_it_is_read_leaves_the_others_and_no_complaint() {
    let Some(mut child) = alone() else {
        eprintln!("not run: a network namespace of its own needs root");
        return;
    };
    let key = ProcessKey { pid: child.id(), start_time: 1 };
    let table = Table::from([(key, Arc::new(Process::default()))]);
    let mut reader = NetworkReader::new(Root::host());
    let want = Want { neighbours: true, routes: true };
    let before = reader.read(&table, want).unwrap();
    let (netns, _) = before.members.iter().find(|(_, members)| members.contains(&key)).unwrap();
    let netns = *netns;
    assert!(before.link.contains_key(&LinkKey { netns, ifindex: 1 }), "lo of the child");
    child.kill().unwrap();
    child.wait().unwrap();
    // The process table is older than the end of the process: it is still looked for where it was.
    let after = reader.read(&table, want).unwrap();
    assert!(
        after.netns.keys().all(|key| key.netns != netns) && after.link.keys().all(|key| key.netns != netns)
    );
    assert!(
        !after.link.is_empty() && after.failed.is_empty() && after.notices.is_empty(),
        "{:?}",
        after.notices
    );
}

#[test]
fn a_namespace_of_the_same_inode_with_nobody_of_before_is_another() {
    let key = |pid, start_time| ProcessKey { pid, start_time };
    let mut reader = NetworkReader::new(Root::host());
    reader.nsids = [((1, 0), 7), ((1, 1), 8), ((7, 0), 1)].into();
    let mut renewed = |seven: &[ProcessKey], name: &str| {
        let members = [(1, vec![key(1, 1)]), (7, seven.to_vec()), (8, vec![key(80, 1)])].into();
        let named = if name.is_empty() { BTreeMap::new() } else { [(7, vec![PathBuf::from(name)])].into() };
        (reader.renewed(&members, named), reader.nsids.len())
    };
    assert_eq!(renewed(&[key(70, 1)], ""), (vec![], 3));
    assert_eq!(renewed(&[key(70, 1), key(71, 1)], ""), (vec![], 3));
    assert_eq!(renewed(&[key(71, 1)], ""), (vec![], 3), "one of them stayed");
    assert_eq!(renewed(&[], ""), (vec![], 3), "a name alone keeps it");
    assert_eq!(renewed(&[key(71, 9)], ""), (vec![], 3), "nothing was known of who was in it");
    assert_eq!(renewed(&[key(72, 1)], "/run/netns/lab"), (vec![7], 1), "a name that it did not have");
    assert_eq!(renewed(&[key(73, 1)], "/run/netns/lab"), (vec![], 1), "the name keeps it");
    assert_eq!(
        renewed(&[key(73, 9)], "/run/netns/other"),
        (vec![7], 1),
        "the same pid again, under another name"
    );
}
