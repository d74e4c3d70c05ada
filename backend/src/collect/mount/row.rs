//! A line of mountinfo as a row.

use glasshull_shared::domain::mount::{Mount, Overlay};
use glasshull_shared::unit::printable_bytes;

use crate::sys::mountinfo::{MountLine, has_option, overlay_dirs, unescape};
use crate::sys::text::cut;

/// The row, without what is derived.
pub(super) fn mount(line: &MountLine<'_>, pid: u32, host: bool) -> Mount {
    Mount {
        pid,
        host,
        parent: line.parent,
        mountpoint: shown(line.mountpoint),
        root: shown(line.root),
        source: shown(line.source),
        fstype: shown(line.fstype),
        device: shown(line.device),
        options: shown(line.options),
        super_options: shown(line.super_options),
        propagation: line.tags.propagation(),
        peer_group: line.tags.peer_group,
        master_group: line.tags.master_group,
        overlay: (line.fstype == b"overlay").then(|| overlay(line.super_options)),
        read_only: has_option(line.options, b"ro") || has_option(line.super_options, b"ro"),
        ..Mount::default()
    }
}

/// Text of whoever mounted: unescaped, safe for terminals, bounded.
fn shown(text: &[u8]) -> String {
    cut(printable_bytes(&unescape(text)))
}

fn overlay(super_options: &[u8]) -> Overlay {
    let dirs = overlay_dirs(super_options);
    let shown = |dir: &Vec<u8>| cut(printable_bytes(dir));
    Overlay {
        upper: dirs.upper.as_ref().map(shown),
        work: dirs.work.as_ref().map(shown),
        lower: dirs.lower.iter().map(shown).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mountinfo::{LAYERS_AT_MOST, lines};

    fn row(text: &str) -> Mount {
        mount(&lines(text.as_bytes()).next().unwrap(), 7, false)
    }

    #[test]
    fn a_containers_root_tells_its_layers() {
        let row = row("712 600 0:61 / / ro,relatime master:1 - overlay overlay \
             rw,lowerdir=/l/A:/l/B\\134:1:/l/C,upperdir=/d/diff,workdir=/d/work,xino=off");
        let overlay = row.overlay.unwrap();
        assert_eq!(overlay.lower, ["/l/A", "/l/B:1", "/l/C"]);
        assert_eq!((overlay.upper.as_deref(), overlay.work.as_deref()), (Some("/d/diff"), Some("/d/work")));
        assert_eq!(
            (row.read_only, row.propagation.as_str(), row.master_group),
            (true, "private,slave", Some(1))
        );
    }

    #[test]
    fn the_newer_form_and_odd_ones() {
        let of = |options: &str| overlay(options.as_bytes());
        assert_eq!(of("ro,lowerdir+=/a\\054b,lowerdir+=/c,datadir+=/d").lower, ["/a,b", "/c", "/d"]);
        assert_eq!(of("lowerdir=/a::/d").lower, ["/a", "/d"]);
        assert_eq!(of("lowerdir=,upperdir,=x,lowerdir").lower, Vec::<String>::new());
        assert_eq!(of(&format!("lowerdir={}", "/x:".repeat(1000))).lower.len(), LAYERS_AT_MOST);
    }

    #[test]
    fn what_a_container_names_is_made_safe() {
        let row = row("1 1 0:1 / /a\\033[2J\\012b rw - fuse.x /dev/\\040y ro");
        assert_eq!(row.mountpoint, "/a\\u{1b}[2J\\nb");
        assert_eq!((row.source.as_str(), row.read_only), ("/dev/ y", true));
        let long = format!("1 1 0:1 / /{} rw - a b rw", "m".repeat(9000));
        assert_eq!(super::tests::row(&long).mountpoint.len(), 4096);
    }
}
