//! The target for answers of name servers over its seeds, whole, cut and damaged, and over what the fuzzer has found here so far.

use std::fs;
use std::path::{Path, PathBuf};

use glasshull_fuzz::dns_answer;

/// Files of a folder of the checkout; none when there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn seeds_are_told_as_what_they_are_and_no_harm_panics() {
    let seeds = files("seeds/dns_answer");
    assert_eq!(seeds.len(), 8, "{seeds:?}");
    for file in seeds {
        let bytes = fs::read(&file).unwrap();
        let expected: &[_] = match file.file_name().and_then(|name| name.to_str()) {
            Some("addresses.bin") => &[("noerror", 2)],
            Some("alias.bin" | "six.bin" | "back.bin" | "hostile.bin") => &[("noerror", 1)],
            Some("ring.bin") => &[("nodata", 0)],
            Some("nothing.bin") => &[("nxdomain", 0)],
            // That it is cut off is seen before what it answers.
            _ => &[("cut", 0); 4],
        };
        assert_eq!(dns_answer(&bytes), expected, "{}", file.display());
        for end in 0..bytes.len() {
            let _ = dns_answer(&bytes[..end]);
            let mut other = bytes.clone();
            other[end] = !other[end];
            let _ = dns_answer(&other);
        }
    }
}

#[test]
fn what_the_fuzzer_found_no_longer_harms() {
    for file in files("corpus/dns_answer").iter().chain(&files("artifacts/dns_answer")) {
        let _ = dns_answer(&fs::read(file).unwrap());
    }
}
