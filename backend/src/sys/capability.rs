//! Capabilities by name, from `/proc/PID/status`.

/// Names (`CAP_SYS_PTRACE`…) of the effective capabilities in a text of `/proc/PID/status` (`CapEff`); none when it does
/// not tell.
pub(crate) fn effective(status: &str) -> Vec<String> {
    let bits = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|v| u64::from_str_radix(v.trim(), 16).ok());
    let names = CAPABILITIES.iter().enumerate();
    names
        .filter(|(bit, _)| bits.unwrap_or(0) >> bit & 1 == 1)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect()
}

/// In the order of the kernel's `capability.h`.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_by_bit() {
        assert_eq!(effective("CapEff:\t0000000000080004\n"), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
        assert!(effective("CapEff:\tjunk\n").is_empty());
    }
}
