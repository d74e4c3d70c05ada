//! Capabilities by name, from `/proc/PID/status`.

use glasshull_shared::domain::confinement::CapSet;

/// Names (`CAP_SYS_PTRACE`…) of the effective capabilities in a text of `/proc/PID/status` (`CapEff`); none when it does
/// not tell.
pub(crate) fn effective(status: &str) -> Vec<String> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(CapSet::from_hex).unwrap_or_default().names()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_by_bit() {
        assert_eq!(effective("CapEff:\t0000000000080004\n"), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
        assert!(effective("CapEff:\tjunk\n").is_empty());
    }
}
