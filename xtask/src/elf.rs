//! One question about an ELF file: does it need a dynamic loader?

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Program header type of the loader's path, `PT_INTERP` of elf(5).
const PT_INTERP: u32 = 3;

/// Whether `file` is an ELF program without a loader, so that it runs in an empty root.
pub(crate) fn is_static(file: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    // The program headers follow the file header: 64 bytes and some dozen entries of 56 bytes.
    File::open(file)?.take(8192).read_to_end(&mut head)?;
    Ok(has_loader(&head).is_some_and(|loader| !loader))
}

/// Whether the 64-bit little-endian ELF beginning with `head` names a loader; `None` when it is no such file.
fn has_loader(head: &[u8]) -> Option<bool> {
    let is_elf64_le = head.get(..6)? == b"\x7fELF\x02\x01";
    if !is_elf64_le {
        return None;
    }
    let start = usize::try_from(u64::from_le_bytes(head.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(head.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(head.get(56..58)?.try_into().ok()?));
    for index in 0..count {
        let at = start.checked_add(index.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_needs_a_loader_and_text_is_no_program() {
        assert!(!is_static(&std::env::current_exe().unwrap()).unwrap());
        assert!(!is_static(Path::new("/etc/passwd")).unwrap());
    }

    #[test]
    fn a_header_without_interp_is_static_and_a_cut_one_is_nothing() {
        let mut head = vec![0_u8; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        head[64] = 1;
        assert_eq!(has_loader(&head), Some(false));
        head[64] = 3;
        assert_eq!(has_loader(&head), Some(true));
        assert_eq!(has_loader(&head[..66]), None);
    }
}
