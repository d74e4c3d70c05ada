//! What findings need beyond the tables: which processes run a binary that was deleted. Source: `/proc/PID/exe`, a link whose
//! text the kernel ends with ` (deleted)`. Goes to `model::finding`.
//!
//! Can miss: processes of others, without `CAP_SYS_PTRACE`; they count as not deleted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use glasshull_shared::domain::process::ProcessKey;

use crate::sys::root::Root;

/// How the kernel marks it.
const MARK: &[u8] = b" (deleted)";

/// Of these processes those whose binary is gone, with the path it had.
pub(crate) fn deleted_binaries(
    root: &Root,
    processes: impl Iterator<Item = ProcessKey>,
) -> BTreeMap<ProcessKey, String> {
    let path = |key: ProcessKey| {
        let link = fs::read_link(root.proc.join(format!("{}/exe", key.pid))).ok()?;
        was_deleted(link.as_os_str().as_bytes()).map(|path| (key, path))
    };
    processes.filter_map(path).collect()
}

/// The path, when it says so. Programs that runtimes run from memory were never on a disk.
fn was_deleted(link: &[u8]) -> Option<String> {
    let path = link.strip_suffix(MARK).filter(|path| !path.starts_with(b"/memfd:"))?;
    Some(String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_were_on_a_disk_count() {
        assert_eq!(was_deleted(b"/srv/gone (deleted)").as_deref(), Some("/srv/gone"));
        assert_eq!(was_deleted(b"/usr/bin/bash"), None);
        assert_eq!(was_deleted(b"/memfd:runc_cloned:/proc/self/exe (deleted)"), None);
        assert_eq!(was_deleted(b"\xff (deleted)").as_deref(), Some("\u{fffd}"));
        assert_eq!(was_deleted(b""), None);
    }
}
