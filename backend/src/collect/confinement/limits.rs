//! Resource limits out of `/proc/PID/limits`, by the names that `prlimit` and engines use.

use glasshull_shared::domain::confinement::Rlimit;

/// What the file calls a limit, and its name elsewhere.
const NAMES: [(&str, &str); 16] = [
    ("Max cpu time", "cpu"),
    ("Max file size", "fsize"),
    ("Max data size", "data"),
    ("Max stack size", "stack"),
    ("Max core file size", "core"),
    ("Max resident set", "rss"),
    ("Max processes", "nproc"),
    ("Max open files", "nofile"),
    ("Max locked memory", "memlock"),
    ("Max address space", "as"),
    ("Max file locks", "locks"),
    ("Max pending signals", "sigpending"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
];

/// The limits the text tells, in its order.
pub(super) fn read(text: &[u8]) -> Vec<Rlimit> {
    String::from_utf8_lossy(text).lines().filter_map(limit).collect()
}

fn limit(line: &str) -> Option<Rlimit> {
    let (long, name) = NAMES.iter().find(|(long, _)| line.starts_with(long))?;
    let mut values = line.get(long.len()..)?.split_ascii_whitespace();
    let soft = value(values.next()?)?;
    let hard = value(values.next()?)?;
    Some(Rlimit { name: (*name).to_owned(), soft, hard })
}

/// A value; the inner `None` is unlimited.
fn value(text: &str) -> Option<Option<u64>> {
    if text == "unlimited" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_no_bound_is_none() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max open files            1024                 524288               files     \n\
            Max nice priority         0                    0                    \n\
            Max realtime timeout      unlimited            unlimited            us        \n\
            Max something new         1                    2                    \n\
            Max open files            many                 1                    files\n";
        let limits = read(text.as_bytes());
        let told: Vec<_> = limits.iter().map(|l| (l.name.as_str(), l.soft, l.hard)).collect();
        assert_eq!(
            told,
            [("nofile", Some(1024), Some(524_288)), ("nice", Some(0), Some(0)), ("rttime", None, None)]
        );
    }
}
