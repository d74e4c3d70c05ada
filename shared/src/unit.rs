//! The one place that turns numbers into text. Everything else keeps base units: bytes, nanoseconds, ratios 0..1.

/// What unknown looks like.
pub const UNKNOWN: &str = "–";

/// `1.4 GiB`, three digits at most, binary units as `free -h` and `docker stats` use them.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// `1.4 MB/s`: decimal units, as network and disk rates are quoted.
pub fn bytes_per_sec(n: f64) -> String {
    scaled(n, 1000.0, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"])
}

/// `12.3 %` of a ratio 0..1 (2.0 gives `200 %`).
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent != 0.0 && percent.abs() < 0.05 {
        "0.0 %".into()
    } else if percent.abs() < 99.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Per cent without the sign, for columns whose heading has it: `12.3` of 0.123.
pub fn percent_figure(ratio: f64) -> String {
    percent(ratio).trim_end_matches(" %").to_owned()
}

/// A count with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How much of a limit: `212 / 512 MiB`, in the limit's unit.
pub fn bytes_of(used: u64, limit: u64) -> String {
    let limit_text = bytes(limit);
    let Some((figure, unit)) = limit_text.split_once(' ') else { return limit_text };
    let power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter().position(|u| *u == unit).unwrap_or(0);
    let used = used as f64 / 1024f64.powi(i32::try_from(power).unwrap_or(0));
    let used = if power == 0 || used >= 99.95 { format!("{used:.0}") } else { format!("{used:.1}") };
    format!("{used} / {figure} {unit}")
}

/// `2026-11-22 14:31:20` of nanoseconds since the epoch; the caller adds its zone's offset.
pub fn date_time(nanos: u64) -> String {
    let secs = nanos / 1_000_000_000;
    let (year, month, day) = civil(secs / 86_400);
    format!("{year}-{month:02}-{day:02} {}", time_of_day(nanos))
}

/// `14:31:20` of nanoseconds since the epoch; the caller adds its zone's offset.
pub fn time_of_day(nanos: u64) -> String {
    let secs = nanos / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", secs / 3_600, secs % 3_600 / 60, secs % 60)
}

/// When something began, as `ps` writes it: the time when it is less than a day ago, else day and month, else the year. Both instants in the
/// same zone.
pub fn since(nanos: u64, now: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAY: u64 = 86_400_000_000_000;
    if now.saturating_sub(nanos) < DAY {
        return time_of_day(nanos);
    }
    let (year, month, day) = civil(nanos / DAY);
    if year == civil(now / DAY).0 {
        format!("{} {day:02}", MONTHS.get(month as usize - 1).copied().unwrap_or_default())
    } else {
        year.to_string()
    }
}

/// Year, month 1..=12 and day of a day counted from the epoch (Howard Hinnant's `civil_from_days`, for days after it).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A count per second: `0.4 /s`, `1.2 k/s`.
pub fn per_sec(n: f64) -> String {
    scaled(n, 1000.0, &["/s", "k/s", "M/s", "G/s"])
}

/// A short time, as of a packet's way: `45 µs`, `1.2 ms`, `340 ms`.
pub fn latency(nanos: u64) -> String {
    scaled(nanos as f64 / 1000.0, 1000.0, &["µs", "ms", "s"])
}

/// As [`latency`], of seconds.
pub fn latency_secs(secs: impl Into<f64>) -> String {
    latency((secs.into() * 1e9) as u64)
}

/// A duration for people: `3 d 4 h`, `12 min 5 s`, `340 ms`.
pub fn duration(nanos: u64) -> String {
    let secs = nanos / 1_000_000_000;
    match secs {
        0 if nanos < 1_000 => format!("{nanos} ns"),
        0 if nanos < 1_000_000 => format!("{} µs", nanos / 1_000),
        0 => format!("{} ms", nanos / 1_000_000),
        1..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {} s", secs / 60, secs % 60),
        3_600..86_400 => format!("{} h {} min", secs / 3_600, secs % 3_600 / 60),
        86_400.. => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// CPU time as `top` prints it: `12:34.56` (minutes, seconds, hundredths), from 100 hours on `123h`.
pub fn cpu_time(nanos: u64) -> String {
    let hundredths = nanos / 10_000_000;
    let (minutes, rest) = (hundredths / 6_000, hundredths % 6_000);
    if minutes >= 6_000 {
        format!("{}h", minutes / 60)
    } else {
        format!("{minutes}:{:02}.{:02}", rest / 100, rest % 100)
    }
}

/// First 12 digits of an id, as engines abbreviate it; other ids unchanged.
pub fn short_id(id: &str) -> &str {
    let hex = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if hex { &id[..12] } else { id }
}

/// Text from a stranger made safe to print on one line: control characters and those that turn the direction of
/// writing are escaped (`\\n`, `\\u{202e}`), everything else stays.
pub fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if !text.contains(hidden) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// As [`printable`], for bytes of unknown encoding: what is not UTF-8 becomes U+FFFD.
pub fn printable_bytes(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

/// `UNKNOWN` for `None`, else the text.
pub fn or_unknown(text: Option<String>) -> String {
    text.unwrap_or_else(|| UNKNOWN.into())
}

fn scaled(n: f64, step: f64, units: &[&str]) -> String {
    let mut value = n;
    let mut unit = 0;
    // 999.5 would print as 1000: the next unit reads better.
    while value.abs() >= step.min(999.5) && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 || value.abs() >= 99.95 {
        format!("{value:.0} {name}")
    } else {
        format!("{value:.1} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1.0 KiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes_per_sec(1_250_000.0), "1.2 MB/s");
        assert_eq!(percent(0.123), "12.3 %");
        assert_eq!(percent(2.0), "200 %");
        assert_eq!(duration(273_600_000_000_000), "3 d 4 h");
        assert_eq!(duration(1_500_000), "1 ms");
        assert_eq!(latency(45_000), "45 µs");
        assert_eq!(latency(1_250_000), "1.2 ms");
        assert_eq!(cpu_time(754_560_000_000), "12:34.56");
        assert_eq!(short_id("web"), "web");
    }

    #[test]
    fn what_would_deceive_the_eye_is_escaped() {
        assert_eq!(printable("naïve <b>"), "naïve <b>");
        assert_eq!(printable("a\nb\u{202e}c\x1b"), "a\\nb\\u{202e}c\\u{1b}");
    }

    #[test]
    fn shares_and_counts() {
        assert_eq!(percent_figure(0.123), "12.3");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes_of(212 << 20, 512 << 20), "212 / 512 MiB");
        assert_eq!(bytes_of(1 << 20, 4 << 30), "0.0 / 4.0 GiB");
        assert_eq!(bytes_of(0, 10), "0 / 10 B");
    }

    #[test]
    fn instants_read_as_a_calendar_says() {
        const SEC: u64 = 1_000_000_000;
        assert_eq!(date_time(0), "1970-01-01 00:00:00");
        assert_eq!(date_time(951_782_400 * SEC), "2000-02-29 00:00:00");
        assert_eq!(date_time(1_795_357_880 * SEC), "2026-11-22 14:31:20");
        let now = 1_795_357_880 * SEC;
        assert_eq!(since(now - 60 * SEC, now), "14:30:20");
        assert_eq!(since(now - 20 * 3_600 * SEC, now), "18:31:20");
        assert_eq!(since(now - 86_400 * SEC, now), "Nov 21");
        assert_eq!(since(951_782_400 * SEC, now), "2000");
    }

    #[test]
    fn short_id_takes_only_engine_ids() {
        let id = "a".repeat(64);
        assert_eq!(short_id(&id), "aaaaaaaaaaaa");
    }
}
