//! The uid map of a process's user namespace, out of `/proc/PID/uid_map`: as the agent's own user namespace counts.

/// First uid inside, first uid outside, how many.
pub(super) type Range = (u32, u32, u32);

/// Lines looked at; the kernel allows 340.
const RANGES_AT_MOST: usize = 340;

/// The ranges; lines of another form are left out.
pub(super) fn map(text: &[u8]) -> Vec<Range> {
    let text = String::from_utf8_lossy(text);
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??, fields.next()??))
    };
    text.lines().take(RANGES_AT_MOST).filter_map(range).collect()
}

/// Whether it is the identity over all ids, which only the first user namespace has; `None` for an empty map, which one has
/// that is just being made.
pub(super) fn is_whole(map: &[Range]) -> Option<bool> {
    (!map.is_empty()).then(|| *map == [(0, 0, u32::MAX)])
}

/// The uid outside of one inside.
pub(super) fn outside(map: &[Range], uid: u32) -> Option<u32> {
    let (inside, outside, _) = map.iter().find(|(inside, _, count)| uid.wrapping_sub(*inside) < *count)?;
    outside.checked_add(uid.checked_sub(*inside)?)
}

/// The uid inside of one outside.
pub(super) fn inside(map: &[Range], uid: u32) -> Option<u32> {
    let (inside, outside, _) = map.iter().find(|(_, outside, count)| uid.wrapping_sub(*outside) < *count)?;
    inside.checked_add(uid.checked_sub(*outside)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_on_both_sides() {
        let map = map(b"         0     100000      65536\n     70000       1000          1\nhalf 1\n");
        assert_eq!(map.len(), 2);
        assert_eq!(
            (outside(&map, 0), outside(&map, 33), outside(&map, 65_536)),
            (Some(100_000), Some(100_033), None)
        );
        assert_eq!(
            (inside(&map, 100_033), inside(&map, 1000), inside(&map, 0)),
            (Some(33), Some(70_000), None)
        );
        assert_eq!(is_whole(&map), Some(false));
    }

    #[test]
    fn the_first_namespace_and_one_without_a_map() {
        let whole = map(b"         0          0 4294967295\n");
        assert_eq!((is_whole(&whole), outside(&whole, 7), inside(&whole, 7)), (Some(true), Some(7), Some(7)));
        assert_eq!((is_whole(&[]), outside(&[], 0)), (None, None));
        assert_eq!(outside(&map(b"4294967295 4294967295 4294967295"), 4_294_967_295), Some(u32::MAX));
    }
}
