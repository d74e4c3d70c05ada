//! Below all stages: the host's file trees, kept descriptors, netlink. The only place that may hold `unsafe`.

pub(crate) mod capability;
pub(crate) mod capture;
pub(crate) mod clock;
pub(crate) mod ethtool;
pub(crate) mod heap;
pub(crate) mod ioprio;
pub(crate) mod limits;
pub(crate) mod mountinfo;
pub(crate) mod netfilter;
pub(crate) mod netlink;
pub(crate) mod netlink_events;
pub(crate) mod netlink_frame;
pub(crate) mod netns;
pub(crate) mod nsfs;
pub(crate) mod own_question;
pub(crate) mod patience;
pub(crate) mod proc_connector;
pub(crate) mod procfile;
pub(crate) mod root;
pub(crate) mod sock_diag;
pub(crate) mod stage;
pub(crate) mod taskstats;
pub(crate) mod text;
pub(crate) mod xtables;
