//! Who opened, how far it is, and what is done when there is no room.

use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn end(last: u8, port: u16) -> End {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[10, 0, 0, last]);
    End { address, port }
}

fn packet(from: End, to: End, flags: u8) -> Decoded {
    let opener = match flags & (SYN | ACK) {
        SYN => Opener::Sender,
        both if both == SYN | ACK => Opener::Receiver,
        _ => Opener::Unknown,
    };
    Decoded {
        ifindex: 7,
        bytes: 100,
        protocol: Protocol::Tcp,
        family: Family::V4,
        from,
        to,
        opener,
        flags,
        fragment: Fragment::Whole,
        inner: 0,
    }
}

fn only(ledger: &Ledger) -> (Pair, Account) {
    assert_eq!(ledger.flows().len(), 1);
    ledger.flows().next().map(|(pair, account)| (*pair, *account)).unwrap()
}

#[test]
fn a_connection_is_followed_from_its_opening_to_its_end_and_opened_anew() {
    let mut ledger = Ledger::new(10);
    // The client has the smaller address, the server the smaller port.
    let (client, server) = (end(2, 41000), end(3, 5432));
    let steps = [
        (client, server, SYN, FlowState::Opening),
        (server, client, SYN | ACK, FlowState::Open),
        (client, server, ACK, FlowState::Open),
        (client, server, FIN | ACK, FlowState::Closing),
        (server, client, FIN | ACK, FlowState::Closed),
        (client, server, ACK, FlowState::Closed),
        (client, server, SYN, FlowState::Opening),
        (server, client, RST | ACK, FlowState::Reset),
    ];
    for (n, (from, to, flags, state)) in steps.into_iter().enumerate() {
        ledger.enter(1, packet(from, to, flags), n as u64);
        assert_eq!(only(&ledger).1.state(), state, "step {n}");
    }
    let (_, account) = only(&ledger);
    assert_eq!((account.packets, account.bytes), ([5, 3], [500, 300]));
    assert!(!account.source_is_high && account.opening_seen);
    assert_eq!((account.first_at, account.last_at), (0, 7));
}

#[test]
fn whose_it_is_is_guessed_from_ports_until_an_opening_is_seen() {
    let (client, server) = (end(9, 41000), end(3, 5432));
    let mut ledger = Ledger::new(10);
    ledger.enter(1, packet(server, client, ACK), 0);
    let (pair, account) = only(&ledger);
    assert_eq!((pair.low, pair.high), (server, client));
    assert!(account.source_is_high && !account.opening_seen);
    // Two servers of equal standing: who speaks first.
    let mut ledger = Ledger::new(10);
    ledger.enter(1, packet(end(9, 4500), end(3, 4500), 0), 0);
    assert!(only(&ledger).1.source_is_high);
    ledger.enter(1, packet(end(9, 4500), end(3, 4500), SYN | ACK), 0);
    assert!(!only(&ledger).1.source_is_high && only(&ledger).1.opening_seen);
}

#[test]
fn pieces_of_a_packet_are_counted_with_its_ports() {
    let mut ledger = Ledger::new(10);
    let mut piece = packet(end(9, 40000), end(3, 53), 0);
    piece.protocol = Protocol::Udp;
    ledger.enter(1, Decoded { fragment: Fragment::First(77), ..piece }, 0);
    (piece.from.port, piece.to.port) = (0, 0);
    ledger.enter(1, Decoded { fragment: Fragment::Later(77), ..piece }, 0);
    let (pair, account) = only(&ledger);
    assert_eq!((pair.high.port, pair.low.port, account.packets), (40000, 53, [0, 2]));
    ledger.enter(1, Decoded { fragment: Fragment::Later(78), ..piece }, 0);
    assert_eq!(ledger.flows().len(), 2);
}

#[test]
fn each_link_and_namespace_has_accounts_of_its_own() {
    let mut ledger = Ledger::new(10);
    let one = packet(end(2, 41000), end(3, 80), ACK);
    ledger.enter(1, one, 0);
    ledger.enter(2, one, 0);
    ledger.enter(1, Decoded { ifindex: 8, ..one }, 0);
    assert_eq!(ledger.flows().len(), 3);
    ledger.keep_links(|netns, ifindex| netns == 1 && ifindex == 8);
    assert_eq!(only(&ledger).0.ifindex, 8);
}

#[test]
fn without_room_packets_are_counted_as_left_out_and_the_silent_make_room() {
    let mut ledger = Ledger::new(100);
    for port in 0..200 {
        ledger.enter(1, packet(end(2, 40_000 + port), end(3, 80), ACK), u64::from(port));
    }
    assert_eq!((ledger.flows().len(), ledger.left_out, ledger.packets), (100, 100, 200));
    ledger.sweep(200);
    assert_eq!(ledger.flows().len(), 75);
    assert!(ledger.flows().all(|(_, account)| account.last_at >= 25));
}

#[test]
fn what_is_over_is_forgotten_sooner_than_what_is_open() {
    let mut ledger = Ledger::new(100);
    ledger.enter(1, packet(end(2, 41000), end(3, 80), RST), 0);
    ledger.enter(1, packet(end(2, 41001), end(3, 80), ACK), 0);
    ledger.enter(1, Decoded { protocol: Protocol::Udp, ..packet(end(2, 41002), end(3, 80), 0) }, 0);
    for (after, left) in [(10, 3), (20, 2), (100, 1), (700, 0)] {
        ledger.sweep(after * SECOND);
        assert_eq!(ledger.flows().len(), left, "after {after} s");
    }
}

proptest! {
    /// Whatever comes in whatever order: each packet is in one account or left out, and both ways are one flow.
    #[test]
    fn no_packet_is_lost(packets in prop::collection::vec((0_u8..3, 0_u8..3, 0_u16..4, 0_u16..4, any::<u8>()), 0..200)) {
        let mut ledger = Ledger::new(20);
        for (n, (from, to, sport, dport, flags)) in packets.iter().enumerate() {
            ledger.enter(1, packet(end(*from, *sport), end(*to, *dport), *flags), n as u64);
        }
        let counted: u64 = ledger.flows().map(|(_, a)| a.packets[0] + a.packets[1]).sum();
        prop_assert_eq!(counted + ledger.left_out, packets.len() as u64);
        prop_assert!(ledger.flows().all(|(pair, _)| pair.low <= pair.high));
    }
}
