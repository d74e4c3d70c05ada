//! The netlink target over its seeds, whole and cut, and over what the fuzzer has found here so far.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of a folder of the checkout; none when there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn seeds_are_read_whole_and_cut() {
    let seeds = files("../backend/fixtures/netlink");
    assert!(seeds.len() >= 4, "{seeds:?}");
    for file in seeds {
        let bytes = fs::read(&file).unwrap();
        let (rows, unknown) = glasshull_fuzz::netlink_dump(&bytes);
        let addresses_alone = file.ends_with("address.bin");
        assert!(
            unknown == 0 && (rows > 0 || addresses_alone),
            "{}: {rows} rows, {unknown} unknown",
            file.display()
        );
        for end in 0..bytes.len() {
            glasshull_fuzz::netlink_dump(&bytes[..end]);
        }
    }
}

#[test]
fn what_the_fuzzer_found_no_longer_harms() {
    for file in files("corpus/netlink_dump").into_iter().chain(files("artifacts/netlink_dump")) {
        glasshull_fuzz::netlink_dump(&fs::read(file).unwrap());
    }
}
