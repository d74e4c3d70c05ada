//! The target for DNS messages over its seeds, whole, cut and damaged, and over what the fuzzer has found here so far.

use std::fs;
use std::path::{Path, PathBuf};

use glasshull_fuzz::dns_message;

/// Files of a folder of the checkout; none when there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn messages_say_what_they_hold_and_no_harm_panics() {
    let seeds = files("seeds/dns_message");
    assert_eq!(seeds.len(), 3, "{seeds:?}");
    for file in seeds {
        let bytes = fs::read(&file).unwrap();
        let expected = match file.file_name().and_then(|name| name.to_str()) {
            Some("answer.bin") => (3, 2),
            _ => (0, 0),
        };
        assert_eq!(dns_message(&bytes), Some(expected), "{}", file.display());
        for end in 0..bytes.len() {
            let _ = dns_message(&bytes[..end]);
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[end] ^= 1 << bit;
                let _ = dns_message(&other);
            }
        }
    }
}

#[test]
fn what_the_fuzzer_found_no_longer_harms() {
    for folder in ["corpus/dns_message", "artifacts/dns_message"] {
        files(folder).iter().for_each(|file| drop(dns_message(&fs::read(file).unwrap())));
    }
}
