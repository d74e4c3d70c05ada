//! JSON files of runtimes, bounded in size; missing, truncated or garbage is simply unknown.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

/// Larger than any honest file of this kind.
const LARGEST: u64 = 16 << 20;

/// Reads a file whose path a neighbour chose: a pipe or device there must not stop us.
pub(super) fn bytes(path: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&bytes(path)?).ok()
}

/// A file that holds nothing but a pid.
pub(super) fn pid_file(path: &Path) -> Option<u32> {
    String::from_utf8(bytes(path)?).ok()?.trim().parse().ok()
}

/// A text below nested keys; `None` when absent or empty.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    let found = path.iter().try_fold(value, |value, key| value.get(key))?;
    found.as_str().filter(|text| !text.is_empty())
}

/// A number that is a pid.
pub(super) fn pid(value: &Value, key: &str) -> Option<u32> {
    value.get(key)?.as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("config.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe), None, "a pipe nobody writes to must not block");
        assert_eq!(read(dir.path()), None);
        std::fs::write(dir.path().join("pid"), "42\n").unwrap();
        assert_eq!(pid_file(&dir.path().join("pid")), Some(42));
        std::fs::write(dir.path().join("pid"), b"\xff").unwrap();
        assert_eq!(pid_file(&dir.path().join("pid")), None);
    }
}
