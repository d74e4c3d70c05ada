//! Files of containers and images: what is asked of an engine's archive, what a list of it tells, and why it is refused. From
//! `backend/src/collect/container/archive` to browsers, scripts and `glasshull files`.

use serde::{Deserialize, Serialize};

/// Entries of one list.
pub const LIST_AT_MOST: usize = 10_000;
/// Longest path: the kernel's `PATH_MAX` without its last byte.
const PATH_BYTES: usize = 4095;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that stands elsewhere in the same archive.
    HardLink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// What the archive calls otherwise.
    Other,
}

impl EntryKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "link",
            Self::HardLink => "file with several names",
            Self::CharacterDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "named pipe",
            Self::Other => "neither file nor directory",
        }
    }

    /// The letter of `ls -l`; hard links are files there.
    pub fn letter(self) -> char {
        match self {
            Self::File | Self::HardLink => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::CharacterDevice => 'c',
            Self::BlockDevice => 'b',
            Self::Fifo => 'p',
            Self::Other => '?',
        }
    }
}

/// One name in a directory, as the engine's archive tells it. Names are hostile: as they are here, escaped on screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its last part. Bytes that are no UTF-8 stand as U+FFFD, and `name_hex` has them all.
    pub name: String,
    /// The name's bytes in hexadecimal; `None` when `name` is the whole truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_hex: Option<String>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-id and sticky, as a number (0o755 is 493).
    pub mode: u32,
    /// User id inside; `None` when the archive's number is none.
    pub uid: Option<u64>,
    /// Group id inside; `None` when the archive's number is none.
    pub gid: Option<u64>,
    /// Bytes of a regular file; `None` for all else (of a hard link the archive does not tell).
    pub size_bytes: Option<u64>,
    /// Last change, nanoseconds since the epoch; `None` when before it or unknown.
    pub modified_at: Option<u64>,
    /// Where a link leads, in the archive's words; `None` for what is no link.
    pub link: Option<String>,
}

impl Entry {
    /// Kind and permissions as `ls -l` writes them: `-rwsr-xr-x`.
    pub fn mode_text(&self) -> String {
        let bits = self.mode;
        let mut text = String::from(self.kind.letter());
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let may = |bit: u32| bits >> shift & bit != 0;
            text.push(if may(4) { 'r' } else { '-' });
            text.push(if may(2) { 'w' } else { '-' });
            text.push(match (bits & special != 0, may(1)) {
                (false, false) => '-',
                (false, true) => 'x',
                (true, false) => letter.to_ascii_uppercase(),
                (true, true) => letter,
            });
        }
        text
    }
}

/// A list of a directory, or of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Name of the container or reference of the image.
    pub of: String,
    /// Id of the container; `None` for an image.
    pub container: Option<String>,
    /// What was listed: absolute, links on the way followed.
    pub path: String,
    /// `directory` with its entries, or another kind with itself as the only entry.
    pub kind: EntryKind,
    /// By name.
    pub entries: Vec<Entry>,
    /// Why entries are missing; `None` when all are there.
    pub incomplete: Option<String>,
}

impl Listing {
    /// From the body of an answer; `None` when it is none.
    pub fn from_json(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The wish makes no sense: a path that is not absolute, a directory asked for as a file.
    Wish(String),
    /// No such container, image or path; says what is there.
    NotFound(String),
    /// Larger than may be taken.
    TooLarge(String),
    /// Too many are served already.
    Busy,
    /// The engine has no answer, or a broken one.
    Engine(String),
}

impl Refusal {
    /// In one line.
    pub fn text(&self) -> String {
        match self {
            Self::Wish(why) | Self::NotFound(why) | Self::TooLarge(why) | Self::Engine(why) => why.clone(),
            Self::Busy => "too many files are on their way already; try again when one has come".into(),
        }
    }
}

/// A path made plain: absolute, `.` and `..` resolved by name as engines do it, one slash between parts, none at the end.
///
/// # Errors
/// When it is not absolute, too long or holds a NUL.
pub fn absolute(path: &str) -> Result<String, Refusal> {
    if !path.starts_with('/') {
        return Err(Refusal::Wish("the path must be absolute, as /etc".into()));
    }
    if path.len() > PATH_BYTES || path.contains('\0') {
        return Err(Refusal::Wish(format!("that is no path: at most {PATH_BYTES} bytes, none of them 0")));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Whether an image may be called so: `name`, `registry:5000/name:tag`, `name@sha256:…`, or an id. Nothing else goes to an engine.
pub fn is_reference(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    (1..=512).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_never_leads_above_the_root() {
        for (given, plain) in [
            ("/", "/"),
            ("//etc/./ssl//", "/etc/ssl"),
            ("/etc/../../../srv/..", "/"),
            ("/../..//a/../b", "/b"),
            ("/a b/\u{202e}x", "/a b/\u{202e}x"),
            ("/..a/.b", "/..a/.b"),
        ] {
            assert_eq!(absolute(given).as_deref(), Ok(plain), "{given}");
        }
        for bad in ["", "etc", "../etc", "./", "/a\0b", &format!("/{}", "x".repeat(PATH_BYTES))] {
            assert!(absolute(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_reference_reaches_no_engine() {
        for good in ["alpine", "localhost:5000/a/b:1.2-x", "a@sha256:0123", "0f3c5a9e1b7d"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "../a", "a/../b", "a//b", "/a", "a?x=1", "a b", "-a", "a\n", "ä", &"x".repeat(513)] {
            assert!(!is_reference(bad), "{bad:?}");
        }
    }
}
