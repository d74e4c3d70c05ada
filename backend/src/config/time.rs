//! Times of the command line (`--interval 500ms`): from words to bounded durations, and what is allowed to those who gave another.

use std::ops::RangeInclusive;
use std::time::Duration;

use glasshull_shared::domain::wire::Limits;

const HOUR: u64 = 3600;

/// Between two ticks or samples; how long to watch or to wait for an answer.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(100)..=Duration::from_secs(HOUR))
}

/// Of a recording.
pub(super) fn recording(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(100)..=Duration::from_secs(365 * 24 * HOUR))
}

/// Of a look into a wire, which ends by itself.
pub(super) fn look(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1)..=Duration::from_secs(Limits::MOST.secs.into()))
}

fn within(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    parse(text).filter(|time| allowed.contains(time)).ok_or_else(|| {
        let (least, most) = (written(*allowed.start()), written(*allowed.end()));
        format!("a time from {least} to {most}, please, written as 500ms, 90s, 5m or 1h; a bare number counts seconds")
    })
}

/// A duration like `500ms`, `90s`, `5m`, `2h`; a bare number counts seconds.
fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    let secs = match unit {
        "ms" => number / 1e3,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * HOUR as f64,
        _ => return None,
    };
    Duration::try_from_secs_f64(secs).ok()
}

/// The same back, in the largest unit that it is a whole number of.
fn written(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (secs, 0) if secs.is_multiple_of(HOUR) => format!("{}h", secs / HOUR),
        (secs, 0) if secs.is_multiple_of(60) => format!("{}m", secs / 60),
        (secs, 0) => format!("{secs}s"),
        (_, _) => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(interval("1h"), Ok(Duration::from_secs(HOUR)));
        assert_eq!(recording("100h"), Ok(Duration::from_secs(100 * HOUR)));
        assert_eq!(look("10m"), Ok(Duration::from_secs(600)));
        assert!(look("0.5").is_err() && look("11m").is_err() && recording("8761h").is_err());
    }

    #[test]
    fn what_is_no_time_is_told_what_is() {
        let most = "9".repeat(400);
        for bad in [
            "",
            "m",
            "abc",
            "-1s",
            "-5",
            "0s",
            "0",
            "1ms",
            "100h",
            "5 parsecs",
            "1e999",
            "1.2.3s",
            "5µs",
            "٣s",
            &most,
        ] {
            let why = interval(bad).unwrap_err();
            assert!(why.contains("from 100ms to 1h") && why.contains("90s"), "{bad}: {why}");
            assert!(recording(bad).is_err() == (bad != "100h"), "{bad}");
        }
        assert!(recording("0s").unwrap_err().contains("from 100ms to 8760h"));
        assert!(look("1h").unwrap_err().contains("from 1s to 10m"));
    }
}
