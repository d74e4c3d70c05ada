//! What a machine must have before anything is built or tested: a visible list, each with a check.
//! From the list to `install`, which asks the package manager for what the checks miss.

mod check;
mod install;

use anyhow::Result;

pub(crate) use install::{Package, install, root_prefix, with_prefix};

use crate::exec::which;

/// What the machine is about to be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building and running the agent.
    Build,
    /// Also the lab and the browser specs.
    Test,
}

/// One thing to have, how to see that it is there, and what brings it.
struct Need {
    /// Only tests with lab and browser want it.
    test_only: bool,
    present: fn() -> bool,
    package: Package,
}

/// The list. The wasm32 library has its own logic, in `wasm`.
const NEEDS: &[Need] = &[
    Need {
        test_only: false,
        present: || which("cc").is_some(),
        package: Package {
            apt: "build-essential",
            dnf: "gcc",
            pacman: "gcc",
            why: "the C compiler links every Rust program",
        },
    },
    Need {
        test_only: false,
        present: check::libpcap,
        package: Package {
            apt: "libpcap-dev",
            dnf: "libpcap-devel",
            pacman: "libpcap",
            why: "headers and library to see packets on the wire",
        },
    },
    Need {
        test_only: true,
        present: || which("dockerd").is_some() && which("docker").is_some(),
        package: Package {
            apt: "docker.io",
            dnf: "moby-engine",
            pacman: "docker",
            why: "the lab starts a private engine of its own from it",
        },
    },
    Need {
        test_only: true,
        present: || which("podman").is_some() && which("conmon").is_some() && which("runc").is_some(),
        package: Package {
            apt: "podman",
            dnf: "podman",
            pacman: "podman",
            why: "tests compare its containers with what it says of them",
        },
    },
    Need {
        test_only: true,
        present: || which("iptables").is_some(),
        package: Package {
            apt: "iptables",
            dnf: "iptables-nft",
            pacman: "iptables",
            why: "the lab's engine sets up its bridge with it",
        },
    },
    Need {
        test_only: true,
        present: || which("nft").is_some(),
        package: Package {
            apt: "nftables",
            dnf: "nftables",
            pacman: "nftables",
            why: "tests compare rules with what nft says",
        },
    },
    Need {
        test_only: true,
        present: || which("conntrack").is_some(),
        package: Package {
            apt: "conntrack",
            dnf: "conntrack-tools",
            pacman: "conntrack-tools",
            why: "tests compare translations with what conntrack says",
        },
    },
    Need {
        test_only: true,
        present: check::static_busybox,
        package: Package {
            apt: "busybox-static",
            dnf: "busybox",
            pacman: "busybox",
            why: "the lab makes its images from it",
        },
    },
    Need {
        test_only: true,
        present: || which("ip").is_some() && which("ss").is_some(),
        package: Package {
            apt: "iproute2",
            dnf: "iproute",
            pacman: "iproute2",
            why: "tests compare with what ip and ss say",
        },
    },
    Need {
        test_only: true,
        present: || which("tshark").is_some(),
        package: Package {
            apt: "tshark",
            dnf: "wireshark-cli",
            pacman: "wireshark-cli",
            why: "tests have it read the packets that were saved",
        },
    },
    Need {
        test_only: true,
        present: || which("dig").is_some(),
        package: Package {
            apt: "bind9-dnsutils",
            dnf: "bind-utils",
            pacman: "bind",
            why: "tests compare answers for names with what dig says",
        },
    },
    Need {
        test_only: true,
        present: || which("tcpdump").is_some(),
        package: Package {
            apt: "tcpdump",
            dnf: "tcpdump",
            pacman: "tcpdump",
            why: "shell lines about links use it, the bench of packets is measured beside it",
        },
    },
    Need {
        test_only: true,
        present: || which("ps").is_some() && which("top").is_some() && which("free").is_some(),
        package: Package {
            apt: "procps",
            dnf: "procps-ng",
            pacman: "procps-ng",
            why: "tests compare with what ps, top and free say",
        },
    },
    Need {
        test_only: true,
        present: || ["setpriv", "unshare", "nsenter", "mount"].iter().all(|name| which(name).is_some()),
        package: Package {
            apt: "util-linux",
            dnf: "util-linux",
            pacman: "util-linux",
            why: "tests run as an ordinary user and in namespaces",
        },
    },
    Need {
        test_only: true,
        present: || ["findmnt", "prlimit"].iter().all(|name| which(name).is_some()),
        package: Package {
            apt: "util-linux",
            dnf: "util-linux",
            pacman: "util-linux",
            why: "tests compare with what findmnt and prlimit say",
        },
    },
    Need {
        test_only: true,
        present: || which("iostat").is_some(),
        package: Package {
            apt: "sysstat",
            dnf: "sysstat",
            pacman: "sysstat",
            why: "tests compare with what iostat says",
        },
    },
    Need {
        test_only: true,
        present: || which("iotop").is_some(),
        package: Package {
            apt: "iotop-c",
            dnf: "iotop-c",
            pacman: "iotop-c",
            why: "the bench of the view Disk is measured beside it",
        },
    },
    Need {
        test_only: true,
        present: || which("lsof").is_some(),
        package: Package {
            apt: "lsof",
            dnf: "lsof",
            pacman: "lsof",
            why: "tests compare open files with what lsof says",
        },
    },
    Need {
        test_only: true,
        present: || which("fuse-overlayfs").is_some(),
        package: Package {
            apt: "fuse-overlayfs",
            dnf: "fuse-overlayfs",
            pacman: "fuse-overlayfs",
            why: "tests stop it, and have a file system that answers nobody",
        },
    },
    Need {
        test_only: true,
        present: || which("capsh").is_some() && which("getpcaps").is_some(),
        package: Package {
            apt: "libcap2-bin",
            dnf: "libcap",
            pacman: "libcap",
            why: "tests compare with what capsh and getpcaps say",
        },
    },
    Need {
        test_only: true,
        present: || which("chromium").is_some(),
        package: Package {
            apt: "chromium",
            dnf: "chromium",
            pacman: "chromium",
            why: "the browser of the specs",
        },
    },
    Need {
        test_only: true,
        present: check::dejavu,
        package: Package {
            apt: "fonts-dejavu-core",
            dnf: "dejavu-sans-fonts",
            pacman: "ttf-dejavu",
            why: "text in the specs' screenshots",
        },
    },
    Need {
        test_only: true,
        present: check::node,
        package: Package {
            apt: "nodejs",
            dnf: "nodejs",
            pacman: "nodejs",
            why: "Playwright runs on it (20 or newer; newer than Debian 12 has: nodejs.org)",
        },
    },
    Need {
        test_only: true,
        present: || which("npm").is_some() && which("npx").is_some(),
        package: Package { apt: "npm", dnf: "npm", pacman: "npm", why: "fetches Playwright for the specs" },
    },
];

/// Checks the list for `purpose` and installs what is missing; an error says what a person must do.
pub(crate) fn ensure(purpose: Purpose) -> Result<()> {
    let wanted = |need: &&Need| !need.test_only || purpose == Purpose::Test;
    let missing = |need: &&Need| !(need.present)();
    let still = || NEEDS.iter().filter(wanted).filter(missing).map(|need| need.package).collect::<Vec<_>>();
    let packages = still();
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let left: Vec<_> = still().iter().map(|package| format!("{} ({})", package.apt, package.why)).collect();
    if !left.is_empty() {
        anyhow::bail!("installed, and yet not found as needed: {}", left.join(", "));
    }
    Ok(())
}
