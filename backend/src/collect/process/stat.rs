//! Parsers of the two files read most often: `/proc/PID/stat` and `/proc/PID/io`. No allocation.

use glasshull_shared::domain::process::ProcessState;

/// The fields of `/proc/PID/stat` we use; numbers in brackets are those of proc(5).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat<'a> {
    /// (2) raw bytes: may hold anything, also `)` and newlines.
    pub(super) comm: &'a [u8],
    /// (3) letters we do not know count as sleeping.
    pub(super) state: ProcessState,
    /// (4)
    pub(super) ppid: u32,
    /// (7) device number of the terminal, 0 for none.
    pub(super) tty: u32,
    /// (9) `PF_*`.
    pub(super) flags: u32,
    /// (14) clock ticks.
    pub(super) utime: u64,
    /// (15) clock ticks.
    pub(super) stime: u64,
    /// (18)
    pub(super) priority: i32,
    /// (19)
    pub(super) nice: i32,
    /// (20)
    pub(super) threads: u32,
    /// (22) clock ticks after boot.
    pub(super) start_time: u64,
    /// (23)
    pub(super) virtual_bytes: u64,
    /// (24) pages; the kernel may print a negative number for a moment, which counts as 0.
    pub(super) rss_pages: u64,
    /// (42) clock ticks its threads waited for block devices; `None` where there is no such field.
    pub(super) wait_ticks: Option<u64>,
}

/// Parses a `stat` line; `None` when it is cut short or no such line.
pub(super) fn parse(line: &[u8]) -> Option<Stat<'_>> {
    let open = line.iter().position(|b| *b == b'(')?;
    // comm may hold ')': the last one is the kernel's.
    let close = line.iter().rposition(|b| *b == b')')?;
    let comm = line.get(open + 1..close)?;
    let mut fields = line.get(close + 2..)?.split(|b| *b == b' ' || *b == b'\n');
    let state = ProcessState::from_letter(*fields.next()?.first()?).unwrap_or_default();
    let mut next = || fields.next().and_then(number);
    let ppid = next()?;
    let _pgrp = next()?;
    let _session = next()?;
    let tty = next()?;
    let _tpgid = next()?;
    let flags = next()?;
    for _minflt_to_cmajflt in 0..4 {
        next()?;
    }
    let (utime, stime) = (next()?, next()?);
    let _cutime = next()?;
    let _cstime = next()?;
    let (priority, nice, threads) = (next()?, next()?, next()?);
    let _itrealvalue = next()?;
    let (start_time, virtual_bytes, rss_pages) = (next()?, next()?, next()?);
    let wait_ticks = fields.nth(42 - 25).and_then(number);
    Some(Stat {
        comm,
        state,
        ppid: as_u32(ppid),
        tty: tty as u32, // printed as a signed int: the bits are the device number
        flags: flags as u32,
        utime: as_u64(utime),
        stime: as_u64(stime),
        priority: priority as i32,
        nice: nice as i32,
        threads: as_u32(threads),
        start_time: as_u64(start_time),
        virtual_bytes: as_u64(virtual_bytes),
        rss_pages: as_u64(rss_pages),
        wait_ticks: wait_ticks.map(as_u64),
    })
}

/// `read_bytes` and `write_bytes` of `/proc/PID/io`; `None` when a line is missing.
pub(super) fn parse_io(text: &[u8]) -> Option<(u64, u64)> {
    let value = |name: &[u8]| {
        text.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(name)).and_then(number).map(as_u64)
    };
    Some((value(b"read_bytes: ")?, value(b"write_bytes: ")?))
}

/// A decimal number, maybe negative. Wider than i64 (rsslim prints u64::MAX, never asked for) gives `None`.
fn number(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(if negative { -value } else { value })
}

fn as_u32(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

fn as_u64(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"4242 (a) R (b) S 17 4242 4242 34816 4250 4194304 210 0 3 0 25 13 0 0 20 -5 6 0 31337 1703936 301 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 250 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn the_last_bracket_ends_the_name() {
        let stat = parse(LINE).unwrap();
        assert_eq!(stat.comm, b"a) R (b");
        assert_eq!((stat.state, stat.ppid, stat.tty), (ProcessState::S, 17, 34816));
        assert_eq!((stat.utime, stat.stime, stat.priority, stat.nice), (25, 13, 20, -5));
        assert_eq!(
            (stat.threads, stat.start_time, stat.virtual_bytes, stat.rss_pages),
            (6, 31337, 1_703_936, 301)
        );
        assert_eq!(stat.wait_ticks, Some(250));
    }

    #[test]
    fn every_prefix_is_refused_or_whole_never_a_panic() {
        for len in 0..LINE.len() {
            let _ = parse(&LINE[..len]);
        }
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b")("), None);
        assert_eq!(parse(b"1 () R 99999999999999999999999 0"), None);
    }

    #[test]
    fn io_needs_both_lines() {
        let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        assert_eq!(parse_io(text), Some((4096, 8192)));
        assert_eq!(parse_io(b"read_bytes: 1\nwrite_bytes: "), None);
    }
}
