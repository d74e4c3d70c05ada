//! Segments in every order that networks make of them.

use proptest::prelude::*;

use super::*;

fn data(seq: u32, data: &[u8]) -> Segment<'_> {
    Segment { seq, syn: false, fin: false, rst: false, length: data.len() as u32, data }
}

fn syn(seq: u32) -> Segment<'static> {
    Segment { syn: true, ..data(seq, b"") }
}

fn fin(seq: u32) -> Segment<'static> {
    Segment { fin: true, ..data(seq, b"") }
}

fn told(segments: &[Segment<'_>]) -> Vec<Piece> {
    let (mut half, mut out) = (Half::default(), Vec::new());
    for segment in segments {
        half.take(*segment, &mut out);
    }
    half.finish(&mut out);
    out
}

/// All bytes; gaps as dots.
fn text(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Data(data) => text += std::str::from_utf8(data).unwrap(),
            Piece::Gap(n) => text += &".".repeat(*n as usize),
            Piece::Fin => text.push('$'),
            Piece::Reset => text.push('!'),
            Piece::Middle => text.push('~'),
            Piece::Cut => text.push('%'),
            Piece::Note(_) => panic!("nothing is recognised here"),
        }
    }
    text
}

#[test]
fn in_order() {
    assert_eq!(text(&told(&[syn(9), data(10, b"ab"), data(12, b"cd"), fin(14)])), "abcd$");
}

#[test]
fn out_of_order_and_twice() {
    let pieces = told(&[
        syn(9),
        data(12, b"cd"),
        data(12, b"cd"),
        fin(16),
        data(14, b"ef"),
        data(10, b"ab"),
        data(10, b"ab"),
    ]);
    assert_eq!(text(&pieces), "abcdef$");
}

#[test]
fn overlaps_are_told_once_and_the_first_copy_counts() {
    assert_eq!(text(&told(&[syn(9), data(10, b"abcd"), data(12, b"XYef"), data(9, b"?abcdefg")])), "abcdefg");
    assert_eq!(text(&told(&[syn(9), data(12, b"cd"), data(11, b"bcde"), data(10, b"a")])), "abcde");
}

#[test]
fn lost_bytes_leave_a_gap_of_their_length() {
    assert_eq!(text(&told(&[syn(9), data(10, b"ab"), data(15, b"fg"), fin(17)])), "ab...fg$");
    assert_eq!(text(&told(&[syn(9), data(10, b"ab"), fin(15)])), "ab...$");
}

#[test]
fn what_was_acknowledged_and_never_came_is_given_up_while_the_stream_goes_on() {
    let (mut half, mut out) = (Half::default(), Vec::new());
    half.take(syn(9), &mut out);
    half.take(data(13, b"de"), &mut out);
    for _ in 0..PATIENCE {
        half.acknowledged(15, &mut out);
    }
    assert_eq!(text(&out), "");
    half.acknowledged(15, &mut out);
    assert_eq!(text(&out), "...de");
    half.take(data(15, b"f"), &mut out);
    assert_eq!(text(&out), "...def");
}

#[test]
fn a_segment_kept_in_part_leaves_a_gap() {
    let cut = Segment { length: 5, ..data(10, b"ab") };
    assert_eq!(text(&told(&[syn(9), cut, data(15, b"f")])), "ab...f");
    let headers_only = Segment { length: 5, ..data(10, b"") };
    assert_eq!(text(&told(&[syn(9), headers_only, fin(15)])), ".....$");
}

#[test]
fn numbers_wrap() {
    let seq = u32::MAX - 2;
    let pieces = told(&[syn(seq), data(2, b"ef"), data(seq.wrapping_add(1), b"abcd"), fin(4)]);
    assert_eq!(text(&pieces), "abcdef$");
}

#[test]
fn half_the_numbers_away_is_nowhere() {
    let far = 11_u32.wrapping_add(1 << 31);
    assert_eq!(text(&told(&[syn(10), data(far, b"evil"), data(11, b"true")])), "true");
}

#[test]
fn picked_up_in_the_middle() {
    assert_eq!(text(&told(&[data(500, b"ab"), data(502, b"cd"), data(499, b"?")])), "~abcd");
}

#[test]
fn a_reset_ends_it_and_what_is_held_is_told_before() {
    let rst = Segment { rst: true, ..data(12, b"") };
    assert_eq!(text(&told(&[syn(9), data(10, b"ab"), data(14, b"ef"), rst, data(12, b"cd")])), "ab..ef!");
}

#[test]
fn behind_the_end_there_is_nothing() {
    let late = [syn(9), data(30, b"no"), fin(12), data(10, b"ab"), data(12, b"no")];
    assert_eq!(text(&told(&late)), "ab$");
}

#[test]
fn a_keepalive_and_a_number_from_nowhere_change_nothing() {
    assert_eq!(text(&told(&[syn(9), data(10, b"ab"), data(11, b"?"), data(11, b""), data(12, b"c")])), "abc");
    let far = data(10u32.wrapping_add(FAR as u32), b"x");
    assert_eq!(text(&told(&[syn(9), far, data(10, b"ab")])), "ab");
}

#[test]
fn memory_is_bounded_when_a_segment_never_comes() {
    let (mut half, mut out) = (Half::default(), Vec::new());
    half.take(syn(0), &mut out);
    let block = [b'x'; 1000];
    for i in 0..2000u32 {
        half.take(data(2 + i * 1000, &block), &mut out);
        assert!(half.held_bytes <= HELD_AT_MOST + block.len() && half.held.len() <= SEGMENTS_AT_MOST + 1);
    }
    assert_eq!(out[0], Piece::Gap(1));
    assert_eq!(out.last(), Some(&Piece::Cut));
    let bytes: usize = out.iter().map(|p| if let Piece::Data(d) = p { d.len() } else { 0 }).sum();
    assert_eq!(bytes as u64, TOLD_AT_MOST);
}

proptest! {
    /// Cut anywhere, sent in any order, some twice, from any number: the bytes come out as they were.
    #[test]
    fn any_order_gives_the_bytes(
        bytes in prop::collection::vec(any::<u8>(), 1..600),
        isn: u32,
        cuts in prop::collection::vec((0usize..600, 0usize..80), 0..30),
        order: Vec<usize>,
    ) {
        let mut parts: Vec<(usize, usize)> = (0..bytes.len()).step_by(37).map(|a| (a, (a + 37).min(bytes.len()))).collect();
        for (at, length) in cuts {
            let at = at.min(bytes.len() - 1);
            parts.push((at, (at + length).min(bytes.len())));
        }
        for (i, to) in order.iter().enumerate() {
            let (a, b) = (i % parts.len(), to % parts.len());
            parts.swap(a, b);
        }
        let first = isn.wrapping_add(1);
        let mut segments = vec![syn(isn)];
        segments.extend(parts.iter().map(|(a, b)| data(first.wrapping_add(*a as u32), &bytes[*a..*b])));
        segments.push(fin(first.wrapping_add(bytes.len() as u32)));
        let mut got: Vec<u8> = Vec::new();
        let pieces = told(&segments);
        for piece in &pieces {
            match piece {
                Piece::Data(data) => got.extend(data),
                Piece::Fin => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(got, bytes);
        prop_assert_eq!(pieces.last(), Some(&Piece::Fin));
    }

    #[test]
    fn nothing_panics_and_held_bytes_are_counted(
        segments in prop::collection::vec((any::<u32>(), any::<(bool, bool, bool)>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..50), any::<u32>()), 0..60),
    ) {
        let (mut half, mut out) = (Half::default(), Vec::new());
        for (seq, (syn, fin, rst), length, bytes, ack) in &segments {
            half.take(Segment { seq: *seq, syn: *syn, fin: *fin, rst: *rst && bytes.is_empty(), length: *length, data: bytes }, &mut out);
            half.acknowledged(*ack, &mut out);
            let held: usize = half.held.values().map(|(_, d)| d.len()).sum();
            prop_assert_eq!(held, half.held_bytes);
        }
        half.finish(&mut out);
        prop_assert!(half.held.is_empty());
    }
}
