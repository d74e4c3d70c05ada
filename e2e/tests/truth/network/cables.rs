//! Two named namespaces with links, addresses, neighbours and routes of many kinds: what a lab of containers lacks.

use anyhow::Result;

use super::run;
use crate::runner::Context;

/// The two; gone when dropped, and with the lab in any case.
pub(super) struct Cables {
    pub(super) near: String,
    pub(super) far: String,
}

/// In the near one: a bridge with a port, and what rides on links.
const NEAR: &[&str] = &[
    "link add br0 type bridge",
    "link add vx0 type vxlan id 7 dstport 4789 dev br0",
    "link add mac0 link br0 type macvlan mode bridge",
    "tuntap add tun0 mode tun",
    "tuntap add tap0 mode tap",
    "link set v0 master br0",
    "link set tap0 master br0",
    "address add 10.77.0.1/24 dev br0",
    "address add 10.99.0.1 peer 10.99.0.2/32 dev tun0",
    "link set lo up",
    "link set br0 up",
    "link set v0 up",
    "link set mac0 up",
    "link set tun0 up",
];

/// In the far one: every sort of address, neighbour and route.
const FAR: &[&str] = &[
    "address add 10.77.0.2/24 dev v1",
    "address add 10.77.0.3/24 dev v1",
    "address add fd77::2/64 dev v1 nodad",
    "link set lo up",
    "link set v1 up",
    "link add w0 type veth peer name w1",
    "address add 10.76.0.1/24 dev w0",
    "link set w0 up",
    "link set w1 up",
    "route add default via 10.77.0.1",
    "route add default via 10.77.0.8 metric 50",
    "route add blackhole 10.78.0.0/16",
    "route add unreachable 10.79.0.0/16 metric 7",
    "route add prohibit 10.80.0.1",
    "route add throw 10.80.0.2",
    "route add 10.81.0.0/16 via 10.77.0.8 src 10.77.0.3 proto static",
    "route add 10.82.0.0/16 nexthop via 10.77.0.8 nexthop via 10.76.0.8 weight 3",
    "route add 10.83.0.0/16 dev w0 scope link",
    "route add 10.84.0.0/16 via inet6 fd77::8 dev v1",
    "route add 10.85.0.0/16 via 10.77.0.8 table 100",
    "-6 route add default via fd77::1",
    "-6 route add fd78::/32 via fd77::8 metric 5",
    "-6 route add blackhole fd79::/32",
    "-6 route add fd80::1 dev w0",
    "-6 route add fd81::/32 nexthop via fd77::8 nexthop via fd77::9",
    "neighbour add 10.77.0.9 lladdr 02:00:00:00:00:09 dev v1",
    "neighbour add 10.77.0.10 lladdr 02:00:00:00:00:0a dev v1 nud stale",
    "neighbour add 10.77.0.11 lladdr 02:00:00:00:00:0b dev v1 nud reachable",
    "neighbour add 10.77.0.12 dev v1 nud failed",
    "neighbour add 10.77.0.13 lladdr 02:00:00:00:00:0d dev v1 nud noarp",
    "neighbour add 10.77.0.14 lladdr 02:00:00:00:00:0e dev v1 nud delay",
    "neighbour add fd77::9 lladdr 02:00:00:00:00:09 dev v1 nud permanent router",
];

impl Cables {
    pub(super) fn lay(context: &Context) -> Result<Self> {
        let stem = &context.lab.state().stem;
        let cables = Self { near: format!("{stem}-near"), far: format!("{stem}-far") };
        for name in [&cables.near, &cables.far] {
            run(&["ip", "netns", "add", name])?;
        }
        cables.near(&format!("link add v0 mtu 1400 type veth peer name v1 netns {}", cables.far))?;
        run(&["ip", "-n", &cables.near, "link", "set", "v0", "alias", "to the <far> side"])?;
        NEAR.iter().try_for_each(|words| cables.near(words))?;
        FAR.iter().try_for_each(|words| cables.far(words))?;
        Ok(cables)
    }

    fn near(&self, words: &str) -> Result<()> {
        run(&["ip", "-n", &self.near].into_iter().chain(words.split(' ')).collect::<Vec<_>>()).map(|_| ())
    }

    /// One `ip` command in the far namespace.
    pub(super) fn far(&self, words: &str) -> Result<()> {
        run(&["ip", "-n", &self.far].into_iter().chain(words.split(' ')).collect::<Vec<_>>()).map(|_| ())
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = run(&["ip", "netns", "delete", name]);
        }
    }
}
