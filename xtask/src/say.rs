//! What xtask tells a person: progress to stderr, results to stdout.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Prints a result line to stdout.
pub(crate) fn result(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints why xtask gives up.
pub(crate) fn error(text: &str) {
    eprintln!("{} {text}", paint("31;1", "error:"));
}

/// Prints something worth knowing that stops nothing.
pub(crate) fn note(text: &str) {
    eprintln!("{} {text}", paint("33;1", "note:"));
}

/// Runs `work` under a headline and prints its elapsed time when it has succeeded.
pub(crate) fn timed<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    eprintln!("{} {what}", paint("36;1", "──"));
    let start = Instant::now();
    let done = work();
    if done.is_ok() {
        eprintln!("{} {what}: {}", paint("36;1", "──"), elapsed(start.elapsed()));
    }
    done
}

/// A duration as people read a stopwatch: `0.8 s`, `12 s`, `3 min 07 s`.
pub(crate) fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        secs @ 10..=99 => format!("{secs} s"),
        secs => format!("{} min {:02} s", secs / 60, secs % 60),
    }
}

/// Bytes with the unit a person compares: decimal, as browsers and registries count.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// Colours `text` with an ANSI code where stderr is a terminal that wants it.
pub(crate) fn paint(code: &str, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !io::stderr().is_terminal() { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_stopwatch() {
        assert_eq!(elapsed(Duration::from_millis(840)), "0.8 s");
        assert_eq!(elapsed(Duration::from_secs(42)), "42 s");
        assert_eq!(elapsed(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn bytes_are_decimal() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(95_040), "95.0 kB");
        assert_eq!(bytes(7_200_000), "7.2 MB");
    }
}
