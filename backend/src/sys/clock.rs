//! The clocks: wall time for people (also as engines write it), monotonic time for intervals, CPU time for our own cost.

use rustix::time::{ClockId, clock_gettime};

fn nanos(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// Now, nanoseconds since the epoch.
pub(crate) fn now_nanos() -> u64 {
    nanos(ClockId::Realtime)
}

/// Nanoseconds since some fixed instant; never goes back.
pub(crate) fn monotonic() -> u64 {
    nanos(ClockId::Monotonic)
}

/// CPU time this process has used, nanoseconds.
pub(crate) fn own_cpu() -> u64 {
    nanos(ClockId::ProcessCPUTime)
}

/// An RFC 3339 instant (`2024-05-01T12:00:00.123456789Z`, also with an offset) as nanoseconds since the epoch.
/// `None` for other texts and for instants before the epoch: engines write year 1 for "never".
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let nanos =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    let secs =
        days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    u64::try_from(secs.checked_mul(1_000_000_000)?.checked_add(nanos)?).ok()
}

/// Seconds east of UTC of `Z`, `+02:00`, `-0500`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..4)?.parse::<i64>().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_engines_are_read() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_rfc3339("2024-02-29T12:34:56.5Z"), Some(1_709_210_096_500_000_000));
        assert_eq!(parse_rfc3339("2024-02-29T14:34:56.5+02:00"), Some(1_709_210_096_500_000_000));
        assert_eq!(parse_rfc3339("2026-11-22T07:53:00.123456789Z"), Some(1_795_333_980_123_456_789));
    }

    #[test]
    fn never_and_garbage_are_none() {
        for text in
            ["0001-01-01T00:00:00Z", "", "now", "2024-13-01T00:00:00Z", "2024-02-29T12:34:56.", "é024-02-29T"]
        {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
