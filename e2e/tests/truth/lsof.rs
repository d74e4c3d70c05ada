//! What `lsof -F` says of a process, the witness of open files.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::network::run;

/// What `lsof -F` tells of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line {
    /// `REG`, `DIR`, `IPv4`….
    pub(crate) kind: String,
    /// `r`, `w`, `u`; empty for what is no descriptor.
    pub(crate) access: String,
    /// Of `open(2)`.
    pub(crate) flags: u64,
    /// Device number of its inode.
    pub(crate) device: u64,
    /// Inode.
    pub(crate) inode: Option<u64>,
    /// Length.
    pub(crate) size: Option<u64>,
    /// Position.
    pub(crate) offset: Option<u64>,
    /// Link count.
    pub(crate) links: Option<u64>,
    /// Path.
    pub(crate) name: String,
}

/// All files of a process, by their descriptor (`cwd`, `rtd`, `txt`), mapped ones by `mem` and inode.
pub(crate) fn lsof(pid: u32) -> Result<BTreeMap<String, Line>> {
    let pid = pid.to_string();
    let base = ["lsof", "-w", "-n", "-P", "-l", "+fg", "+L", "-p", &pid];
    let mut files = parse(&run(&[&base[..], &["-F", "fatGDisnk"]].concat())?)?;
    for (fd, line) in parse(&run(&[&base[..], &["-o", "-o0", "-F", "fo"]].concat())?)? {
        if let Some(file) = files.get_mut(&fd) {
            file.offset = line.offset;
        }
    }
    Ok(files)
}

fn parse(text: &str) -> Result<BTreeMap<String, Line>> {
    let mut files: Vec<(String, Line)> = Vec::new();
    for field in text.lines() {
        let Some((letter, value)) = field.split_at_checked(1) else { continue };
        if letter == "f" {
            files.push((value.to_owned(), Line::default()));
        }
        let Some((_, line)) = files.last_mut() else { continue };
        let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
        match letter {
            "a" => line.access = value.trim().to_owned(),
            "t" => line.kind = value.to_owned(),
            "G" => line.flags = hex(value.split(';').next().unwrap_or_default())?,
            "D" => line.device = hex(value)?,
            "i" => line.inode = value.parse().ok(),
            "s" => line.size = value.parse().ok(),
            "o" => line.offset = value.trim_start_matches("0t").parse().ok(),
            "k" => line.links = value.parse().ok(),
            "n" => line.name = value.to_owned(),
            _ => {}
        }
    }
    let keyed = files.into_iter().map(|(fd, line)| match line.inode.filter(|_| fd == "mem" || fd == "DEL") {
        Some(inode) => (format!("mem {inode}"), line),
        None => (fd, line),
    });
    Ok(keyed.collect())
}
