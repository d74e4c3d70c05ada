//! A line of `/proc/PID/maps`, with which each region of `smaps` begins too.

/// `start-end permissions offset device inode name`.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapLine<'a> {
    /// First address.
    pub(super) start: u64,
    /// First address behind it.
    pub(super) end: u64,
    /// `r-xp`.
    pub(super) permissions: &'a str,
    /// Where in the file it begins, bytes.
    pub(super) offset: u64,
    /// Major and minor number.
    pub(super) device: (u32, u32),
    /// 0 without a file.
    pub(super) inode: u64,
    /// As the kernel calls it; empty for what has no name.
    pub(super) name: &'a [u8],
}

impl<'a> MapLine<'a> {
    /// `None` for what is no such line.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let mut word = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = word()?.split_once('-')?;
        let (start, end) = (hex(start)?, hex(end)?);
        let permissions = word()?;
        if permissions.len() != 4 || !permissions.bytes().all(|byte| b"rwxsp-".contains(&byte)) {
            return None;
        }
        let offset = hex(word()?)?;
        let (major, minor) = word()?.split_once(':')?;
        let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = word()?.parse().ok()?;
        let name = fields.next().unwrap_or_default().trim_ascii_start();
        Some(Self { start, end, permissions, offset, device, inode, name })
    }

    /// What the region is called in `/proc/PID/map_files`: without zeros in front.
    pub(super) fn range(start: u64, end: u64) -> String {
        format!("{start:x}-{end:x}")
    }
}
