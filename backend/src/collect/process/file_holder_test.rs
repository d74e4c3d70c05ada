//! Files of this very process against what is known of them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::Instant;

use rustix::fs::{major, minor};

use super::*;

fn place_of(file: &File) -> HeldPlace {
    let device = file.metadata().unwrap().dev();
    HeldPlace { device: format!("{}:{}", major(device), minor(device)), mount: None }
}

#[test]
fn our_own_files_are_counted_with_the_largest_and_what_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("largest");
    let mut file = File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let reader = File::open(&path).unwrap();
    let place = place_of(&file);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 1 << 40;
            while !stop.load(Ordering::Relaxed) {
                reader.metadata().unwrap();
                file.write_all(&[7; 1000]).unwrap();
                file.write_at(&[7; 1000], at).unwrap();
                at += 1000;
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // On a busy host one's turn may take longer than is waited for, which is said, or costs the rates.
        let until = Instant::now() + Duration::from_secs(20);
        let late = |line: &String| line.contains("not answer") || line.contains("not looked at");
        let own = |row: &FileHolder| row.pid == std::process::id() && row.size_per_sec.is_some();
        let whole = |found: &FileHolders| !found.missing.iter().any(late) && found.rows.iter().any(own);
        let mut found = read(&Root::host(), &place);
        while !found.as_ref().is_ok_and(whole) && Instant::now() < until {
            found = read(&Root::host(), &place);
        }
        stop.store(true, Ordering::Relaxed);
        found.unwrap()
    });
    let own =
        found.rows.iter().find(|row| row.pid == std::process::id()).unwrap_or_else(|| panic!("{found:?}"));
    assert!(own.descriptors >= 2 && own.written >= 1 && own.written < own.descriptors, "{own:?}");
    assert_eq!(own.largest.as_deref(), path.to_str());
    assert!(own.largest_bytes >= Some(1 << 40) && own.here.is_none());
    let (grows, moves) = (own.size_per_sec.unwrap(), own.position_per_sec.unwrap());
    assert!(grows > 0.0 && moves > 0.0, "{own:?}");
    assert!(found.looked_at > 0 && found.descriptors >= own.descriptors.into());
    let truth = super::super::holder(&Root::host(), own.pid).unwrap();
    assert_eq!(own.key(), truth);
}

#[test]
fn a_descriptor_of_another_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    let first = OpenOptions::new().append(true).create(true).open(&one).unwrap();
    let handle = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&first)));
    let info = PathBuf::from(handle.to_str().unwrap().replace("/fd/", "/fdinfo/"));
    let Seen::Facts(facts) = see(&handle, None) else { panic!("ours") };
    let open = Open::at(handle, info, &facts);
    let (position, writes) = open.info();
    let open = Open { position, ..open };
    assert!(writes);
    (&first).write_all(&[1; 300]).unwrap();
    assert_eq!(open.moved(), Some((300, 300)));
    first.set_len(100).unwrap();
    assert_eq!(open.moved(), Some((300, 100)));
    let other = Open { identity: (0, 0, 1), ..open.clone() };
    assert_eq!(other.moved(), None);
}

#[test]
fn lines_of_maps_are_there_by_device_and_are_not_the_program() {
    let place = Place::of(&Root::host(), &HeldPlace { device: "254:16".into(), mount: None }).unwrap();
    let line = |text: &str| place.mapping(text.as_bytes(), b"/usr/bin/a");
    let of = "00400000-00452000 r-xp 00000000 fe:10 173521      /usr/lib/x y";
    assert_eq!(line(of), Some(("400000-452000".to_owned(), 173_521)));
    for none in [
        "00400000-00452000 r-xp 00000000 fe:11 173521      /usr/lib/x",
        "00400000-00452000 r-xp 00000000 fe:10 173521      /usr/bin/a",
        "00400000-00452000 rw-p 00000000 00:00 0",
        "zz-00452000 r-xp 00000000 fe:10 5 /x",
        "00400000 r-xp 00000000 fe:10 5 /x",
        "",
    ] {
        assert_eq!(line(none), None, "{none}");
    }
    let nodes = Facts {
        mode: 0o060_660,
        nlink: 1,
        inode: 5,
        size: 0,
        blocks: 0,
        device: (0, 6),
        node: (254, 16),
        mount: Some(7),
    };
    assert!(
        place.is_node(&nodes) && !place.is_there(&nodes, &[8].into()) && place.is_there(&nodes, &[7].into())
    );
    assert!(!place.is_very(&nodes));
}

#[test]
fn what_is_no_place_is_refused_with_what_would_be() {
    let root = Root::host();
    for text in ["", "8", "8:", "8:x", "-1:0", "99999999999:0"] {
        let why = read(&root, &HeldPlace { device: text.into(), mount: None }).unwrap_err();
        assert!(why.contains("MAJOR:MINOR"), "{why}");
    }
    assert_eq!(find(&root, "8:1"), Ok(HeldPlace { device: "8:1".into(), mount: None }));
    let proc = find(&root, "/proc").unwrap();
    assert!(proc.device.starts_with("0:") && proc.mount.is_some());
    assert!(find(&root, "/proc/self").unwrap_err().contains("no mount point"));
    let wrong = HeldPlace { device: "4095:7".into(), ..proc };
    assert!(read(&root, &wrong).unwrap_err().contains("it was replaced"));
}
