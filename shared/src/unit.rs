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

/// A count per second: `0.4 /s`, `1.2 k/s`.
pub fn per_sec(n: f64) -> String {
    scaled(n, 1000.0, &["/s", "k/s", "M/s", "G/s"])
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
        assert_eq!(cpu_time(754_560_000_000), "12:34.56");
        assert_eq!(short_id("web"), "web");
    }

    #[test]
    fn what_would_deceive_the_eye_is_escaped() {
        assert_eq!(printable("naïve <b>"), "naïve <b>");
        assert_eq!(printable("a\nb\u{202e}c\x1b"), "a\\nb\\u{202e}c\\u{1b}");
    }

    #[test]
    fn short_id_takes_only_engine_ids() {
        let id = "a".repeat(64);
        assert_eq!(short_id(&id), "aaaaaaaaaaaa");
    }
}
