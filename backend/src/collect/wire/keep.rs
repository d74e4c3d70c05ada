//! The packets of a look, kept as long as somebody looks: bounded by its limits, so nothing is ever thrown out.

use super::conversation::Place;
use super::packet::{Form, Packet};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    packets: Vec<One>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct One {
    at: u64,
    form: Form,
    begin: usize,
    end: usize,
    length: u32,
    place: Option<Place>,
}

/// A packet as it was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    /// When the kernel saw it, nanoseconds since the epoch.
    pub(super) at: u64,
    /// How its bytes begin.
    pub(super) form: Form,
    /// Those that were kept.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire.
    pub(super) length: u32,
    /// Where in its conversation it is.
    pub(super) place: Option<Place>,
}

impl<'a> Stored<'a> {
    /// Taken apart.
    pub(super) fn packet(&self) -> Option<Packet<'a>> {
        Packet::parse(self.form, self.bytes, self.length)
    }
}

impl Kept {
    /// Keeps a packet; its number, from 1.
    pub(super) fn push(&mut self, packet: Stored<'_>) -> u32 {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(packet.bytes);
        let Stored { at, form, length, place, .. } = packet;
        self.packets.push(One { at, form, begin, end: self.bytes.len(), length, place });
        u32::try_from(self.packets.len()).unwrap_or(u32::MAX)
    }

    /// A packet by its number.
    pub(super) fn get(&self, number: u32) -> Option<Stored<'_>> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        Some(self.stored(self.packets.get(at)?))
    }

    /// The packets of a conversation, oldest first.
    pub(super) fn of(&self, conversation: u32) -> impl Iterator<Item = Stored<'_>> {
        let belongs = move |one: &&One| one.place.is_some_and(|place| place.conversation == conversation);
        self.packets.iter().filter(belongs).map(|one| self.stored(one))
    }

    fn stored(&self, one: &One) -> Stored<'_> {
        let bytes = self.bytes.get(one.begin..one.end).unwrap_or_default();
        Stored { at: one.at, form: one.form, bytes, length: one.length, place: one.place }
    }
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::wire::Side;

    use super::*;

    #[test]
    fn packets_come_back_by_number_and_by_conversation() {
        let mut kept = Kept::default();
        for i in 0..6u8 {
            let conversation = u32::from(i % 2);
            let place = Place { conversation, side: Side::First, base: 0, other_base: None };
            let place = (i > 1).then_some(place);
            let number = kept.push(Stored {
                at: i.into(),
                form: Form::Raw(1),
                bytes: &vec![i; i.into()],
                length: 9,
                place,
            });
            assert_eq!(number, u32::from(i) + 1);
        }
        assert_eq!(kept.get(4).unwrap().bytes, [3, 3, 3]);
        assert!(kept.get(0).is_none() && kept.get(7).is_none());
        assert_eq!(kept.of(1).map(|p| p.at).collect::<Vec<_>>(), [3, 5]);
    }
}
