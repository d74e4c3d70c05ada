//! `backend/src/sys`, as far as it is needed.

#[path = "../../backend/src/sys/ethtool.rs"]
pub(crate) mod ethtool;
#[path = "../../backend/src/sys/netlink.rs"]
pub(crate) mod netlink;
