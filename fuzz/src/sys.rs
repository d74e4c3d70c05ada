//! `backend/src/sys`, as far as it is needed.

#[path = "../../backend/src/sys/ethtool.rs"]
pub(crate) mod ethtool;
#[path = "../../backend/src/sys/netlink.rs"]
pub(crate) mod netlink;

/// `backend/src/sys/capture.rs` without libpcap: nothing is captured here.
pub(crate) mod capture {
    pub(crate) const LINUX_SLL2: i32 = 276;
}
