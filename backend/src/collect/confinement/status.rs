//! Credentials, capabilities and seccomp out of `/proc/PID/status`.

use glasshull_shared::domain::confinement::{CapSet, Capabilities, Effective, Seccomp};

/// Groups shown; the kernel allows 65,536.
const GROUPS_AT_MOST: usize = 256;

/// Fills in what the text tells.
pub(super) fn take(text: &[u8], held: &mut Effective) {
    let field = |name: &[u8]| {
        let line = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name));
        line.and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    };
    let ids = |name: &[u8]| {
        let mut ids = field(name).unwrap_or_default().split_ascii_whitespace().map(|id| id.parse().ok());
        (ids.next().flatten(), ids.next().flatten())
    };
    (held.uid, held.euid) = ids(b"Uid:");
    (held.gid, held.egid) = ids(b"Gid:");
    let groups = field(b"Groups:").unwrap_or_default().split_ascii_whitespace();
    held.groups = groups.filter_map(|group| group.parse().ok()).take(GROUPS_AT_MOST).collect();
    let mask = |name: &[u8]| field(name).and_then(CapSet::from_hex);
    let sets = (mask(b"CapEff:"), mask(b"CapPrm:"), mask(b"CapBnd:"), mask(b"CapInh:"));
    if let (Some(effective), Some(permitted), Some(bounding), Some(inheritable)) = sets {
        let ambient = mask(b"CapAmb:").unwrap_or_default();
        held.capabilities = Some(Capabilities { effective, permitted, bounding, inheritable, ambient });
    }
    held.seccomp = match field(b"Seccomp:") {
        Some("0") => Some(Seccomp::Disabled),
        Some("1") => Some(Seccomp::Strict),
        Some("2") => Some(Seccomp::Filter),
        Some(_) | None => None,
    };
    held.seccomp_filters = field(b"Seccomp_filters:").and_then(|count| count.parse().ok());
    held.no_new_privs = match field(b"NoNewPrivs:") {
        Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) | None => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_init() {
        let text = b"Name:\thttpd\nUid:\t100000\t100001\t0\t0\nGid:\t5\t6\t7\t8\nGroups:\t10 27 \n\
            CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
            CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let mut held = Effective::default();
        take(text, &mut held);
        assert_eq!(
            (held.uid, held.euid, held.gid, held.egid),
            (Some(100_000), Some(100_001), Some(5), Some(6))
        );
        assert_eq!(held.groups, [10, 27]);
        assert_eq!(held.capabilities.unwrap().bounding, CapSet::ENGINE_DEFAULT);
        assert_eq!((held.seccomp, held.seccomp_filters), (Some(Seccomp::Filter), Some(3)));
        assert_eq!(held.no_new_privs, Some(true));
    }

    #[test]
    fn an_old_kernel_tells_less() {
        let mut held = Effective::default();
        take(b"CapInh:\t0\nCapPrm:\t1\nCapEff:\t1\nCapBnd:\t1\nSeccomp:\t0\n", &mut held);
        assert_eq!(held.capabilities.unwrap().ambient, CapSet::default());
        assert_eq!(
            (held.seccomp, held.seccomp_filters, held.no_new_privs),
            (Some(Seccomp::Disabled), None, None)
        );
    }
}
