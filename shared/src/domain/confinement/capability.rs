//! Sets of capabilities: a word of bits on the wire, a list of names in JSON.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// A set of capabilities, as the kernel numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CapSet(pub u64);

impl CapSet {
    /// What Docker and containerd give a container that asks for nothing (OCI's default set).
    pub const ENGINE_DEFAULT: Self = Self(0xa804_25fb);
    /// What Podman gives (containers.conf): without `AUDIT_WRITE`, `MKNOD`, `NET_RAW`.
    pub const PODMAN_DEFAULT: Self = Self(0x8004_05fb);
    /// Those that lead out of a container, or to the whole host, when they count in the host's user namespace.
    pub const DANGEROUS: Self = Self(
        bit("DAC_READ_SEARCH")
            | bit("NET_ADMIN")
            | bit("SYS_MODULE")
            | bit("SYS_RAWIO")
            | bit("SYS_PTRACE")
            | bit("SYS_ADMIN")
            | bit("SYS_BOOT")
            | bit("SYS_TIME")
            | bit("MAC_ADMIN")
            | bit("MAC_OVERRIDE")
            | bit("SYSLOG")
            | bit("PERFMON")
            | bit("BPF")
            | bit("CHECKPOINT_RESTORE"),
    );

    /// All that this version knows by name.
    pub const KNOWN: Self = Self((1 << NAMES.len()) - 1);

    /// The set of a mask in hexadecimal, as `/proc/PID/status` prints it.
    pub fn from_hex(mask: &str) -> Option<Self> {
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    /// The capability of that name, with or without `CAP_`, in either case; `None` for one nobody knows.
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.trim().to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let known = NAMES.iter().position(|known| *known == short);
        let number = || short.parse::<usize>().ok().filter(|bit| *bit < 64);
        known.or_else(number).map(|bit| Self(1 << bit))
    }

    /// Names (`CAP_CHOWN`…) in the kernel's order; one that is newer than this version by its number (`CAP_41`).
    pub fn names(self) -> Vec<String> {
        let set = (0..64_usize).filter(|bit| self.0 >> bit & 1 == 1);
        set.map(|bit| match NAMES.get(bit) {
            Some(name) => format!("CAP_{name}"),
            None => format!("CAP_{bit}"),
        })
        .collect()
    }

    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many it holds.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// What both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What either holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What this one holds and the other does not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// As the kernel prints it.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.names().serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().try_fold(Self::default(), |set, name| {
            let one = Self::named(name).ok_or_else(|| D::Error::custom("no capability of that name"))?;
            Ok(set.or(one))
        })
    }
}

/// The bit of a known name, for constants.
const fn bit(name: &str) -> u64 {
    let mut at = 0;
    while at < NAMES.len() {
        if same(NAMES[at].as_bytes(), name.as_bytes()) {
            return 1 << at;
        }
        at += 1;
    }
    0
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// In the order of the kernel's `capability.h`.
const NAMES: [&str; 41] = [
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
    fn names_and_masks_lead_to_one_another() {
        let two = CapSet::from_hex("0000000000080004").unwrap();
        assert_eq!(two.names(), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
        assert_eq!(
            CapSet::named("cap_sys_ptrace").unwrap().or(CapSet::named("DAC_READ_SEARCH").unwrap()),
            two
        );
        assert_eq!((two.hex().as_str(), two.len()), ("0000000000080004", 2));
        assert_eq!(CapSet(1 << 45).names(), ["CAP_45"]);
        assert_eq!(CapSet::named("CAP_45"), Some(CapSet(1 << 45)));
        for junk in ["", "CAP_", "CAP_99", "CAP_NO_SUCH", "ALL"] {
            assert_eq!(CapSet::named(junk), None, "{junk}");
        }
        assert_eq!((CapSet::from_hex("junk"), CapSet::from_hex("1ffffffffffffffff")), (None, None));
    }

    #[test]
    fn what_engines_give_by_default() {
        let default = CapSet::ENGINE_DEFAULT;
        assert_eq!(default.len(), 14);
        let more = default.without(CapSet::PODMAN_DEFAULT);
        assert_eq!(more.names(), ["CAP_NET_RAW", "CAP_MKNOD", "CAP_AUDIT_WRITE"]);
        assert!(CapSet::PODMAN_DEFAULT.without(default).is_empty());
        assert_eq!(CapSet::DANGEROUS.len(), 14, "each name in the list is known");
        assert!(CapSet::DANGEROUS.and(default).is_empty());
    }

    #[test]
    fn json_has_names_and_the_wire_a_number() {
        let json = serde_json::to_value(CapSet(1 << 12)).unwrap();
        assert_eq!(json, serde_json::json!(["CAP_NET_ADMIN"]));
        assert_eq!(serde_json::from_value::<CapSet>(json).unwrap(), CapSet(1 << 12));
        assert!(serde_json::from_value::<CapSet>(serde_json::json!(["x"])).is_err());
        let wire = postcard::to_stdvec(&CapSet(1 << 12)).unwrap();
        assert_eq!((wire.len(), postcard::from_bytes::<CapSet>(&wire).unwrap()), (2, CapSet(1 << 12)));
    }
}
