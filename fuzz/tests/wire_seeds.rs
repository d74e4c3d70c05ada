//! The targets for packets and streams over their seeds, whole, cut and damaged, and over what the fuzzer has found here so far.
//! The packets are recorded ones: HTTP with a cookie in three segments, DNS, ICMP and IPv6 on loopback.

use std::fs;
use std::path::{Path, PathBuf};

use glasshull_fuzz::{wire_packet, wire_stream};

/// Files of a folder of the checkout; none when there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// It cut at each step, and with the byte there turned over.
fn harmed(bytes: &[u8], step: usize, read: impl Fn(&[u8])) {
    for end in (0..bytes.len()).step_by(step) {
        read(&bytes[..end]);
        let mut other = bytes.to_vec();
        other[end] = !other[end];
        read(&other);
    }
}

#[test]
fn recorded_packets_say_the_same_in_each_form_and_no_harm_panics() {
    let seeds = files("seeds/wire_packet");
    assert_eq!(seeds.len(), 3, "{seeds:?}");
    for file in seeds {
        let bytes = fs::read(&file).unwrap();
        let seen = wire_packet(&bytes);
        let name = file.display();
        assert!(seen.packets >= 20 && seen.flows == seen.packets, "{name}: {seen:?}");
        for protocol in ["TCP", "HTTP", "UDP", "DNS", "ICMP"] {
            assert!(
                seen.protocols.iter().any(|p| p == protocol),
                "{name}: no {protocol} in {:?}",
                seen.protocols
            );
        }
        assert_eq!(seen.notes, ["GET /a HTTP/1.1 · web", "HTTP/1.1 200 OK"], "{name}");
        let expected = "GET /a HTTP/1.1\r\nHost: web\r\nCookie:*******\r\n\r\n\
             HTTP/1.1 200 OK\r\nSet-Cookie:********\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(String::from_utf8_lossy(&seen.told), expected, "{name}");
        assert_eq!(seen.shown, seen.told, "{name}");
        harmed(&bytes, 7, |bytes| drop(wire_packet(bytes)));
    }
}

#[test]
fn streams_are_told_with_each_byte_in_its_place() {
    let seeds = files("seeds/wire_stream");
    assert_eq!(seeds.len(), 5, "{seeds:?}");
    for file in seeds {
        let bytes = fs::read(&file).unwrap();
        let told = wire_stream(&bytes);
        let expected = match file.file_name().and_then(|name| name.to_str()) {
            Some("in-order.bin") => (312, 0, false, true),
            Some("wrap-and-reorder.bin") => (288, 0, false, true),
            Some("lost-and-acknowledged.bin") => (24, 120, false, true),
            Some("behind-the-end.bin") => (48, 0, false, true),
            _ => (80, 40, true, false),
        };
        assert_eq!((told.bytes, told.lost, told.middle, told.ended), expected, "{}", file.display());
        harmed(&bytes, 1, |bytes| {
            let _ = wire_stream(bytes);
        });
    }
}

#[test]
fn what_the_fuzzer_found_no_longer_harms() {
    for folder in ["corpus/wire_packet", "artifacts/wire_packet"] {
        files(folder).iter().for_each(|file| drop(wire_packet(&fs::read(file).unwrap())));
    }
    for file in files("corpus/wire_stream").iter().chain(&files("artifacts/wire_stream")) {
        let _ = wire_stream(&fs::read(file).unwrap());
    }
}
