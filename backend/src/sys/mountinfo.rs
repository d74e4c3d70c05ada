//! Lines of `/proc/PID/mountinfo` taken apart; their octal escapes undone. Whoever mounts chooses much of the text: nothing
//! here trusts it.

/// Layers of an overlay that are told.
pub(crate) const LAYERS_AT_MOST: usize = 128;

/// A line: `id parent major:minor root mountpoint options [tag…] - fstype source super_options`. Texts as the kernel
/// wrote them, still escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MountLine<'a> {
    /// Id of the mount.
    pub id: u32,
    /// Id of the mount it is on.
    pub parent: u32,
    /// `major:minor`.
    pub device: &'a [u8],
    /// Path within the file system.
    pub root: &'a [u8],
    /// Where, below the reader's root.
    pub mountpoint: &'a [u8],
    /// Options of the mount.
    pub options: &'a [u8],
    /// How it is tied to other mounts.
    pub tags: Tags,
    /// Type of file system.
    pub fstype: &'a [u8],
    /// What is mounted.
    pub source: &'a [u8],
    /// Options of the file system.
    pub super_options: &'a [u8],
}

/// The optional fields; the rest is for later kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tags {
    /// `shared:N`.
    pub peer_group: Option<u32>,
    /// `master:N`.
    pub master_group: Option<u32>,
    /// `unbindable`.
    pub unbindable: bool,
}

/// All lines that have the form.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    text.split(|b| *b == b'\n').filter_map(line)
}

fn line(text: &[u8]) -> Option<MountLine<'_>> {
    let mut fields = text.split(|b| *b == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let (device, root, mountpoint, options) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let mut tags = Tags::default();
    loop {
        match fields.next()? {
            b"-" => break,
            b"unbindable" => tags.unbindable = true,
            tag => {
                if let Some(group) = tag.strip_prefix(b"shared:") {
                    tags.peer_group = number(group);
                } else if let Some(group) = tag.strip_prefix(b"master:") {
                    tags.master_group = number(group);
                }
            }
        }
    }
    // A source may be empty; the line ends with the super options, which may hold a blank in old kernels.
    let (fstype, source, super_options) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
    Some(MountLine { id, parent, device, root, mountpoint, options, tags, fstype, source, super_options })
}

impl Tags {
    /// In the words of `findmnt`.
    pub(crate) fn propagation(self) -> String {
        let mut words = vec![if self.peer_group.is_some() { "shared" } else { "private" }];
        if self.master_group.is_some() {
            words.push("slave");
        }
        if self.unbindable {
            words.push("unbindable");
        }
        words.join(",")
    }
}

/// Undoes the kernel's `\040` and its like.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

/// Directories of an overlay, as paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OverlayDirs {
    /// Writable layer.
    pub upper: Option<Vec<u8>>,
    /// Its scratch directory.
    pub work: Option<Vec<u8>>,
    /// Layers below, from the top.
    pub lower: Vec<Vec<u8>>,
}

/// The directories out of the super options. Layers are separated by colons, or since Linux 6.8 given one by one
/// (`lowerdir+=`); a colon in a path is escaped by a backslash.
pub(crate) fn overlay_dirs(super_options: &[u8]) -> OverlayDirs {
    let mut dirs = OverlayDirs::default();
    for option in super_options.split(|b| *b == b',') {
        let Some(at) = option.iter().position(|b| *b == b'=') else { continue };
        let (name, value) = (&option[..at], unescape(option.get(at + 1..).unwrap_or_default()));
        match name {
            b"upperdir" => dirs.upper = Some(directory(&value)),
            b"workdir" => dirs.work = Some(directory(&value)),
            b"lowerdir" => dirs.lower = layers(&value),
            b"lowerdir+" | b"datadir+" if dirs.lower.len() < LAYERS_AT_MOST => {
                dirs.lower.push(directory(&value));
            }
            _ => {}
        }
    }
    dirs
}

fn layers(value: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = vec![Vec::new()];
    let mut escaped = false;
    for byte in value {
        match byte {
            b':' if !escaped => layers.push(Vec::new()),
            _ => layers.last_mut().into_iter().for_each(|layer: &mut Vec<u8>| layer.push(*byte)),
        }
        escaped = *byte == b'\\' && !escaped;
    }
    // Two colons in a row set layers apart that hold data alone.
    let named = layers.iter().filter(|layer| !layer.is_empty());
    named.take(LAYERS_AT_MOST).map(|layer| directory(layer)).collect()
}

/// Undoes the backslashes of the overlay's own before colons and backslashes.
fn directory(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = (byte == b'\\').then(|| bytes.next_if(|next| matches!(next, b':' | b'\\'))).flatten();
        plain.push(escaped.unwrap_or(byte));
    }
    plain
}

/// Whether an option stands among those separated by commas.
pub(crate) fn has_option(options: &[u8], name: &[u8]) -> bool {
    options.split(|b| *b == b',').any(|option| option == name)
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let text = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime shared:7 master:1 unbindable later:9 - ext3 /dev/root rw,errors=continue";
        let line = lines(text).next().unwrap();
        assert_eq!((line.id, line.parent, line.device, line.root), (36, 35, &b"98:0"[..], &b"/mnt1"[..]));
        assert_eq!(unescape(line.mountpoint), b"/mnt 2");
        assert_eq!(line.tags, Tags { peer_group: Some(7), master_group: Some(1), unbindable: true });
        assert_eq!(line.tags.propagation(), "shared,slave,unbindable");
        assert_eq!((line.fstype, line.source), (&b"ext3"[..], &b"/dev/root"[..]));
        assert!(has_option(line.super_options, b"rw") && !has_option(line.super_options, b"errors"));
        assert_eq!(Tags::default().propagation(), "private");
    }

    #[test]
    fn what_has_another_form_is_left_out() {
        let nothing = lines(b"1 1 0:1 / / rw - tmpfs  rw").next().unwrap();
        assert_eq!((nothing.source, nothing.super_options), (&b""[..], &b"rw"[..]));
        for junk in
            [&b""[..], b"1", b"x y 0:1 / / rw - a b c", b"1 1 0:1 / / rw shared:1", b"1 1 0:1 / / rw - ext4"]
        {
            assert_eq!(lines(junk).next(), None);
        }
        assert_eq!(lines(b"1 1 0:1 / / rw - a b\n\n2 1 0:1 / / rw - a b c\n\xff\xff").count(), 2);
    }

    #[test]
    fn escapes_are_undone_and_halves_of_them_stay() {
        assert_eq!(unescape(b"\\011a\\134b"), b"\ta\\b");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999x"), b"\\999x");
        assert_eq!(unescape(b"\\777"), b"\\777", "no byte is as large");
        assert_eq!(unescape(b"a\\"), b"a\\");
    }
}
