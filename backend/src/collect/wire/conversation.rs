//! Who talks to whom: gives each TCP and UDP conversation its number and remembers where its sequence numbers begin, so that
//! they can be told from zero as `tcpdump` does. Bounded: the one that was silent longest makes room.

use std::collections::HashMap;
use std::net::SocketAddr;

use glasshull_shared::domain::wire::Side;

use super::packet::Ends;

/// Conversations remembered at a time.
const AT_MOST: usize = 4096;

/// What a packet is in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the conversation.
    pub(super) conversation: u32,
    /// Who sent it.
    pub(super) side: Side,
    /// Sequence number that counts as 0 on the sender's side.
    pub(super) base: u32,
    /// The same of the other side; `None` before it said anything.
    pub(super) other_base: Option<u32>,
}

/// The flags and numbers of a TCP packet that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u32,
    pub(super) syn: bool,
    pub(super) ack: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    known: HashMap<(bool, SocketAddr, SocketAddr), Known>,
    given: u32,
    clock: u64,
}

#[derive(Debug)]
struct Known {
    number: u32,
    /// Address of the first side.
    first: SocketAddr,
    base: [Option<u32>; 2],
    used: u64,
}

impl Conversations {
    /// The place of a packet; `mark` for TCP.
    pub(super) fn place(&mut self, ends: &Ends, mark: Option<Mark>) -> Place {
        self.clock += 1;
        let key = key(ends);
        let opens = mark.filter(|mark| mark.syn && !mark.ack);
        // Ports in use again: a connection that opens with another number is another one.
        let again = |known: &Known| {
            let base = known.base[usize::from(known.first != ends.source)];
            opens.is_some_and(|mark| base.is_some_and(|base| base != mark.seq))
        };
        if self.known.get(&key).is_none_or(again) {
            self.make_room();
            self.given += 1;
            // An answer to an opening that we did not see comes from the second side.
            let answers = mark.is_some_and(|mark| mark.syn && mark.ack);
            let first = if answers { ends.destination } else { ends.source };
            self.known.insert(key, Known { number: self.given, first, base: [None; 2], used: 0 });
        }
        let Some(known) = self.known.get_mut(&key) else {
            return Place { conversation: 0, side: Side::First, base: 0, other_base: None };
        };
        known.used = self.clock;
        let second = usize::from(known.first != ends.source);
        let seq = mark.map_or(0, |mark| mark.seq);
        Place {
            conversation: known.number,
            side: if second == 0 { Side::First } else { Side::Second },
            base: *known.base[second].get_or_insert(seq),
            other_base: known.base[1 - second],
        }
    }

    fn make_room(&mut self) {
        if self.known.len() < AT_MOST {
            return;
        }
        // A quarter at once: the search costs as much for one.
        let mut used: Vec<u64> = self.known.values().map(|known| known.used).collect();
        used.sort_unstable();
        let limit = used.get(AT_MOST / 4).copied().unwrap_or(0);
        self.known.retain(|_, known| known.used > limit);
    }
}

/// The same for both directions.
fn key(ends: &Ends) -> (bool, SocketAddr, SocketAddr) {
    let (a, b) = (ends.source, ends.destination);
    if a <= b { (ends.tcp, a, b) } else { (ends.tcp, b, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(from: u16, to: u16) -> Ends {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        Ends { tcp: true, source: at(from), destination: at(to) }
    }

    fn mark(seq: u32, syn: bool, ack: bool) -> Option<Mark> {
        Some(Mark { seq, syn, ack })
    }

    #[test]
    fn both_directions_are_one_conversation_and_who_opens_it_is_first() {
        let mut all = Conversations::default();
        let open = all.place(&ends(9, 80), mark(100, true, false));
        let answer = all.place(&ends(80, 9), mark(700, true, true));
        assert_eq!((open.conversation, open.side, open.base, open.other_base), (1, Side::First, 100, None));
        assert_eq!(
            (answer.conversation, answer.side, answer.base, answer.other_base),
            (1, Side::Second, 700, Some(100))
        );
        assert_eq!(all.place(&ends(10, 80), mark(1, true, false)).conversation, 2);
        let seen_late = all.place(&ends(80, 11), mark(1, true, true));
        assert_eq!(seen_late.side, Side::Second, "the opening was not seen");
    }

    #[test]
    fn ports_in_use_again_are_another_conversation_and_a_repeated_opening_is_not() {
        let mut all = Conversations::default();
        assert_eq!(all.place(&ends(9, 80), mark(100, true, false)).conversation, 1);
        assert_eq!(all.place(&ends(9, 80), mark(100, true, false)).conversation, 1);
        assert_eq!(all.place(&ends(9, 80), mark(5000, true, false)).conversation, 2);
    }

    #[test]
    fn it_is_bounded_and_those_that_talk_stay() {
        let mut all = Conversations::default();
        for port in 1..=u16::MAX {
            all.place(&ends(port, 0), None);
            assert_eq!(all.place(&ends(0, 1), None).conversation, 1);
            assert!(all.known.len() <= AT_MOST);
        }
    }
}
