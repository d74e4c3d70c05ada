//! A tar as it passes, in whatever pieces it comes: headers and the bytes of files, checked up to the two empty blocks at its
//! end. From an engine's archive to lists and single files; nothing is ever written by its names. Who made the files made the
//! names, links and numbers in it: they may be anything.

use std::fmt;

use bytes::{Buf as _, Bytes};
use glasshull_shared::archive::EntryKind;
use tar::Header;

/// Of everything in a tar.
const BLOCK: usize = 512;
/// Longest extended header (PAX, GNU's long names): extended attributes stand there, of 64 KiB each at most.
const EXTENSION_BYTES: u64 = 1 << 20;
/// Where a header keeps its check sum, which counts as blanks in it.
const CHECK_SUM: std::ops::Range<usize> = 148..156;

/// What comes next in a tar.
#[derive(Debug)]
pub(super) enum Piece {
    /// Something begins.
    Entry(Box<Member>),
    /// Bytes of what began last.
    Data(Bytes),
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its whole name, as it stands there.
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryKind,
    /// Bytes that follow.
    pub(super) size: u64,
    /// With set-id and sticky, without the kind.
    pub(super) mode: u32,
    /// `None`: the number is none.
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Nanoseconds since the epoch.
    pub(super) modified_at: Option<u64>,
    /// Where a link leads.
    pub(super) link: Option<Vec<u8>>,
}

/// What is wrong with a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    CheckSum,
    Size,
    Extension,
    Sparse,
    Short,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::CheckSum => "a header has a wrong check sum",
            Self::Size => "a size is no number",
            Self::Extension => "an extended header is broken or too long",
            Self::Sparse => "it holds a sparse file in GNU's form",
            Self::Short => "it breaks off before its end",
        })
    }
}

#[derive(Debug)]
enum State {
    /// A block is gathered.
    Header,
    /// An extended header is gathered.
    Extension { kind: Extension, left: u64, padding: u64 },
    /// Bytes of a member.
    Data { left: u64, padding: u64 },
    /// Up to the next block.
    Padding(u64),
    /// Behind the end.
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Extension {
    Pax,
    /// For all members to come: nothing in it matters to us.
    Global,
    LongName,
    LongLink,
}

/// What extended headers say about the member that follows.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    /// Seconds as a decimal fraction.
    mtime: Option<Vec<u8>>,
}

/// Where in a tar we are.
#[derive(Debug)]
pub(super) struct Walk {
    state: State,
    gathered: Vec<u8>,
    /// The last block was empty.
    empty: bool,
    extended: Extended,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { state: State::Header, gathered: Vec::new(), empty: false, extended: Extended::default() }
    }

    /// Takes from the front of `bytes` up to the next piece; `None` when they are used up.
    ///
    /// # Errors
    /// When this is no tar, or none as engines make it.
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Piece>, Broken> {
        while !bytes.is_empty() {
            match self.state {
                State::Header => {
                    if !self.gather(bytes, BLOCK as u64) {
                        return Ok(None);
                    }
                    let block = std::mem::take(&mut self.gathered);
                    if let Some(member) = self.header(&block)? {
                        return Ok(Some(Piece::Entry(Box::new(member))));
                    }
                }
                State::Extension { kind, left, padding } => {
                    if !self.gather(bytes, left) {
                        return Ok(None);
                    }
                    let text = std::mem::take(&mut self.gathered);
                    self.extended.take(kind, &text)?;
                    self.state = State::Padding(padding);
                }
                State::Data { left: 0, padding } => self.state = State::Padding(padding),
                State::Data { left, padding } => {
                    let part = bytes.split_to(least(left, bytes.len()));
                    self.state = State::Data { left: left - part.len() as u64, padding };
                    return Ok(Some(Piece::Data(part)));
                }
                State::Padding(0) => self.state = State::Header,
                State::Padding(left) => {
                    let part = least(left, bytes.len());
                    bytes.advance(part);
                    self.state = State::Padding(left - part as u64);
                }
                State::Ended => bytes.clear(),
            }
        }
        Ok(None)
    }

    /// Whether this is the whole tar, to be asked when no more bytes come.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn whole(&self) -> Result<(), Broken> {
        if matches!(self.state, State::Ended) { Ok(()) } else { Err(Broken::Short) }
    }

    /// Whether `wanted` bytes are gathered.
    fn gather(&mut self, bytes: &mut Bytes, wanted: u64) -> bool {
        let missing = wanted.saturating_sub(self.gathered.len() as u64);
        let part = bytes.split_to(least(missing, bytes.len()));
        self.gathered.extend_from_slice(&part);
        self.gathered.len() as u64 >= wanted
    }

    /// Understands a block in a header's place; `None` when no member begins there.
    fn header(&mut self, block: &[u8]) -> Result<Option<Member>, Broken> {
        if block.iter().all(|byte| *byte == 0) {
            self.state = if self.empty { State::Ended } else { State::Header };
            self.empty = true;
            return Ok(None);
        }
        self.empty = false;
        let header = Header::from_byte_slice(block);
        if header.cksum().ok() != Some(check_sum(block)) {
            return Err(Broken::CheckSum);
        }
        let kind = header.entry_type();
        let size = header.entry_size().map_err(|_| Broken::Size)?;
        let extension = if kind.is_pax_local_extensions() {
            Some(Extension::Pax)
        } else if kind.is_pax_global_extensions() {
            Some(Extension::Global)
        } else if kind.is_gnu_longname() {
            Some(Extension::LongName)
        } else if kind.is_gnu_longlink() {
            Some(Extension::LongLink)
        } else {
            None
        };
        if let Some(kind) = extension {
            if size > EXTENSION_BYTES {
                return Err(Broken::Extension);
            }
            self.state = State::Extension { kind, left: size, padding: padding(size) };
            return Ok(None);
        }
        if kind.is_gnu_sparse() {
            return Err(Broken::Sparse);
        }
        let member = self.member(header, size);
        self.state = State::Data { left: member.size, padding: padding(member.size) };
        Ok(Some(member))
    }

    fn member(&mut self, header: &Header, size: u64) -> Member {
        let extended = std::mem::take(&mut self.extended);
        let kind = kind(header.entry_type());
        let size = extended.size.unwrap_or(size);
        let link = || header.link_name_bytes().map(std::borrow::Cow::into_owned);
        let mtime = match extended.mtime {
            Some(text) => nanos(&text),
            None => header.mtime().ok().and_then(|secs| secs.checked_mul(1_000_000_000)),
        };
        let leads = matches!(kind, EntryKind::Symlink | EntryKind::HardLink);
        // Only files have bytes, whatever the header of a link or a directory says.
        let has_bytes = matches!(kind, EntryKind::File | EntryKind::Other);
        Member {
            path: extended.path.unwrap_or_else(|| header.path_bytes().into_owned()),
            kind,
            size: if has_bytes { size } else { 0 },
            mode: header.mode().unwrap_or_default() & 0o7777,
            uid: extended.uid.or_else(|| header.uid().ok()),
            gid: extended.gid.or_else(|| header.gid().ok()),
            modified_at: mtime,
            link: leads.then(|| extended.link.or_else(link)).flatten(),
        }
    }
}

impl Extended {
    fn take(&mut self, kind: Extension, text: &[u8]) -> Result<(), Broken> {
        let name = || text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match kind {
            Extension::Global => {}
            Extension::LongName => self.path = Some(name()),
            Extension::LongLink => self.link = Some(name()),
            Extension::Pax => {
                let mut rest = text;
                while !rest.is_empty() {
                    let (key, value, more) = record(rest).ok_or(Broken::Extension)?;
                    self.set(key, value)?;
                    rest = more;
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Broken> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"mtime" => self.mtime = Some(value.to_vec()),
            b"size" => self.size = Some(number(value).ok_or(Broken::Size)?),
            b"uid" => self.uid = number(value),
            b"gid" => self.gid = number(value),
            b"GNU.sparse.major" | b"GNU.sparse.map" => return Err(Broken::Sparse),
            _ => {}
        }
        Ok(())
    }
}

/// One record, `LENGTH KEY=VALUE\n`, and what follows. By its length: a value may hold line ends.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(text.get(..blank)?)?).ok()?;
    let inner = text.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = inner.iter().position(|byte| *byte == b'=')?;
    Some((inner.get(..equals)?, inner.get(equals + 1..)?, text.get(length..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// Nanoseconds of seconds as a decimal fraction; `None` before the epoch.
fn nanos(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let secs = number(parts.next()?)?.checked_mul(1_000_000_000)?;
    let Some(fraction) = parts.next() else { return Some(secs) };
    let digits: Vec<u8> = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9).collect();
    secs.checked_add(number(&digits)?)
}

fn kind(of: tar::EntryType) -> EntryKind {
    if of.is_file() || of.is_contiguous() {
        EntryKind::File
    } else if of.is_dir() {
        EntryKind::Directory
    } else if of.is_symlink() {
        EntryKind::Symlink
    } else if of.is_hard_link() {
        EntryKind::HardLink
    } else if of.is_character_special() {
        EntryKind::CharacterDevice
    } else if of.is_block_special() {
        EntryKind::BlockDevice
    } else if of.is_fifo() {
        EntryKind::Fifo
    } else {
        EntryKind::Other
    }
}

fn check_sum(block: &[u8]) -> u32 {
    let all: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = block.get(CHECK_SUM).into_iter().flatten().map(|byte| u32::from(*byte)).sum();
    all - own + CHECK_SUM.len() as u32 * u32::from(b' ')
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn least(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

#[cfg(test)]
#[path = "walk_test.rs"]
pub(crate) mod tests;
