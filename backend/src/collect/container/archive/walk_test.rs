//! Tars as engines make them, and as nobody should.

use proptest::prelude::*;
use tar::{Builder, EntryType};

use super::*;

/// All of a tar in pieces of `step` bytes: members with their bytes, or what is wrong.
pub(crate) fn walk(tar: &[u8], step: usize) -> Result<Vec<(Member, Vec<u8>)>, Broken> {
    let mut walk = Walk::new();
    let mut found: Vec<(Member, Vec<u8>)> = Vec::new();
    for part in tar.chunks(step) {
        let mut bytes = Bytes::copy_from_slice(part);
        while let Some(piece) = walk.next(&mut bytes)? {
            match piece {
                Piece::Entry(member) => found.push((*member, Vec::new())),
                Piece::Data(data) => found.last_mut().unwrap().1.extend_from_slice(&data),
            }
        }
    }
    walk.whole()?;
    Ok(found)
}

/// A header with these fields, its name as raw bytes.
pub(crate) fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o100_644);
    header.set_uid(1000);
    header.set_gid(50);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    header
}

/// A header and what follows it, as a block each.
pub(crate) fn member(name: &[u8], kind: EntryType, data: &[u8]) -> Vec<u8> {
    let mut tar = header(name, kind, data.len() as u64).as_bytes().to_vec();
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    tar
}

pub(crate) fn ended(mut tar: Vec<u8>) -> Vec<u8> {
    tar.extend_from_slice(&[0; 2 * BLOCK]);
    tar
}

fn record_of(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest > length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

#[test]
fn members_come_as_they_were_put_in_whatever_the_pieces() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("etc/{}", "n".repeat(300));
    let mut file = header(b"", EntryType::Regular, 700);
    builder.append_data(&mut file, &long, &[7_u8; 700][..]).unwrap();
    let mut link = header(b"", EntryType::Symlink, 0);
    builder.append_link(&mut link, "etc/link", "../else\u{202e}where").unwrap();
    let tar = builder.into_inner().unwrap();
    for step in [1, 7, 512, 513, 1 << 20] {
        let found = walk(&tar, step).unwrap();
        let [(file, bytes), (link, none)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((file.path.as_slice(), bytes.as_slice()), (long.as_bytes(), &[7_u8; 700][..]));
        assert_eq!((file.kind, file.size, file.mode, file.uid), (EntryKind::File, 700, 0o644, Some(1000)));
        assert_eq!((file.gid, file.modified_at), (Some(50), Some(1_700_000_000_000_000_000)));
        assert_eq!((link.kind, none.len()), (EntryKind::Symlink, 0));
        assert_eq!(link.link.as_deref(), Some("../else\u{202e}where".as_bytes()));
    }
}

#[test]
fn extended_headers_count_for_one_member_and_a_line_end_in_a_name_is_part_of_it() {
    let name = b"a\n12 path=/etc/shadow\nb";
    let records =
        [record_of("path", name), record_of("mtime", b"1.5"), record_of("SCHILY.xattr.user.x", b"\n=\0\n")];
    let mut tar = member(b"x", EntryType::XHeader, &records.concat());
    tar.extend(member(b"short", EntryType::Regular, b"one"));
    tar.extend(member(b"next", EntryType::Regular, b"two"));
    let found = walk(&ended(tar), 100).unwrap();
    assert_eq!(found[0].0.path, name);
    assert_eq!((found[0].0.modified_at, found[0].1.as_slice()), (Some(1_500_000_000), &b"one"[..]));
    assert_eq!((found[1].0.path.as_slice(), found[1].1.as_slice()), (&b"next"[..], &b"two"[..]));
}

#[test]
fn what_is_broken_is_told_as_such() {
    let good = member(b"a", EntryType::Regular, b"data");
    let is = |tar: &[u8], broken| assert_eq!(walk(tar, 100).unwrap_err(), broken);
    is(b"", Broken::Short);
    is(&good, Broken::Short);
    is(&good[..good.len() - 1], Broken::Short);
    is(&[good.clone(), vec![0; BLOCK]].concat(), Broken::Short);
    is(&[0xff; BLOCK], Broken::CheckSum);
    let mut torn = good.clone();
    torn[0] ^= 1;
    is(&ended(torn), Broken::CheckSum);
    is(&ended(member(b"a", EntryType::GNUSparse, b"")), Broken::Sparse);
    let endless = header(b"x", EntryType::XHeader, EXTENSION_BYTES + 1);
    is(endless.as_bytes(), Broken::Extension);
    for records in
        [&b"9999 path=x\n"[..], b"3 a\n", b"0 a=b\n", b"-5 a=b\n", b"path=x\n", b"18446744073709551616 a=b\n"]
    {
        is(&ended(member(b"x", EntryType::XHeader, records)), Broken::Extension);
    }
    for size in [&b"-1"[..], b"", b"99999999999999999999", b"0x1"] {
        is(&ended(member(b"x", EntryType::XHeader, &record_of("size", size))), Broken::Size);
    }
}

/// −1 and 2^64 − 1 in base 256: a size that no stream has. It ends with the stream, and no sum overflows.
#[test]
fn absurd_sizes_swallow_what_comes_and_break_off() {
    for first in [0xff, 0x80] {
        let mut block = header(b"a", EntryType::Regular, 0);
        let field = &mut block.as_old_mut().size;
        field.fill(0xff);
        field[0] = first;
        block.set_cksum();
        let tar = [block.as_bytes().to_vec(), vec![1; 4096]].concat();
        assert_eq!(walk(&ended(tar), 1000).unwrap_err(), Broken::Short);
    }
    let most = record_of("size", u64::MAX.to_string().as_bytes());
    let tar = [member(b"x", EntryType::XHeader, &most), member(b"a", EntryType::Regular, b"data")].concat();
    assert_eq!(walk(&ended(tar), 1000).unwrap_err(), Broken::Short);
}

#[test]
fn links_and_devices_have_no_bytes_whatever_they_say() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Directory,
    ] {
        let mut tar = header(b"odd", kind, 1 << 40).as_bytes().to_vec();
        tar.extend(member(b"next", EntryType::Regular, b"seen"));
        let found = walk(&ended(tar), 1000).unwrap();
        assert_eq!((found.len(), found[0].0.size, found[1].1.as_slice()), (2, 0, &b"seen"[..]));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(noise in prop::collection::vec(any::<u8>(), 0..4096), step in 1_usize..2000) {
        drop(walk(&noise, step));
    }

    /// Right check sums around whatever the fields hold, which is how far an attacker gets.
    #[test]
    fn no_fields_make_it_panic(
        fields in prop::collection::vec(any::<u8>(), BLOCK * 3),
        kind in prop::sample::select(b"0\x001234567xgLKS?".to_vec()),
        magic in any::<bool>(),
        step in 1_usize..2000,
    ) {
        let mut tar = Vec::new();
        for block in fields.chunks(BLOCK) {
            let mut header = Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(block);
            header.as_mut_bytes()[156] = kind;
            if magic {
                header.as_mut_bytes()[257..265].copy_from_slice(b"ustar\x0000");
            }
            header.set_size(u64::from(block[0]));
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.resize(tar.len() + usize::from(block[0]).next_multiple_of(BLOCK), block[1]);
        }
        drop(walk(&ended(tar), step));
    }
}
