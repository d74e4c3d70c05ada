//! Checks that take more than looking for a program on the `PATH`.

use std::path::Path;
use std::process::Command;

use crate::elf;
use crate::exec::{read, succeeds, which};

/// The oldest node that Playwright runs on.
const NODE_MAJOR: u32 = 20;

/// Headers and a library to link: asked of the C compiler, which knows its own folders.
pub(super) fn libpcap() -> bool {
    let header = succeeds(Command::new("cc").args(["-E", "-x", "c", "-include", "pcap.h", "/dev/null"]));
    // cc answers with the bare name when it finds nothing.
    let linkable = |name: &str| {
        read(Command::new("cc").arg(format!("-print-file-name={name}")))
            .is_ok_and(|answer| Path::new(answer.trim()).is_absolute())
    };
    header && (linkable("libpcap.so") || linkable("libpcap.a"))
}

/// A busybox that runs in an image with nothing else in it.
pub(super) fn static_busybox() -> bool {
    which("busybox").is_some_and(|file| elf::is_static(&file).unwrap_or(false))
}

/// Where distributions put DejaVu Sans.
pub(super) fn dejavu() -> bool {
    ["truetype/dejavu", "dejavu-sans-fonts", "TTF", "dejavu"]
        .iter()
        .any(|folder| Path::new("/usr/share/fonts").join(folder).join("DejaVuSans.ttf").exists())
}

/// A node that is new enough.
pub(super) fn node() -> bool {
    which("node").is_some()
        && read(Command::new("node").arg("--version"))
            .is_ok_and(|version| node_major(&version).is_some_and(|major| major >= NODE_MAJOR))
}

fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_tells_its_major_version() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major("nonsense"), None);
    }
}
