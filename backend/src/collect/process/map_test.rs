//! The text of `smaps`, also in broken form and cut at any place, and the memory of this very process.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glasshull_shared::domain::process::MapKind;

use super::*;

/// As Linux 6.18 writes it, shortened, with what stands in others.
const SMAPS: &str = "\
55d0c0000000-55d0c0002000 r-xp 00001000 fe:10 173521                     /usr/bin/a b
Size:                  8 kB
Rss:                   8 kB
Pss:                   4 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
FilePmdMapped:      2048 kB
Swap:                  0 kB
Locked:                4 kB
THPeligible:           0
ProtectionKey:         0
VmFlags: rd ex mr mw me 
55d0c1000000-55d0c1200000 rw-p 00000000 00:00 0                          [heap]
Size:               2048 kB
Rss:                1024 kB
Pss:                1024 kB
Private_Dirty:      1024 kB
Swap:                 12 kB
AnonHugePages:      1024 kB
VmFlags: rd wr mr mw me ac 
7f0000000000-7f0000001000 rw-s 00000000 00:01 77                         /memfd:ring (deleted)
Rss:                   4 kB
7f0000002000-7f0000003000 rw-p 00000000 fe:10 99                         /srv/gone (deleted)
Rss:                   4 kB
7f0000004000-7f0000005000 rw-p 00000000 00:00 0 
Rss:                   4 kB
7f0000006000-7f0000007000 rw-p 00000000 00:00 0                          [anon:malloc]
7f0000008000-7f0000009000 rw-s 00000000 00:06 5                          /dev/dri/card0
VmFlags: rd wr sh pf io dd 
7f000000a000-7f000000b000 rw-s 00000000 00:0f 3                          anon_inode:[io_uring]
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00040000-7ffd00042000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Rss:                   0 kB
";

/// Regions, and lines that are odd.
fn parse(text: &[u8], piece: usize) -> (Vec<Region>, u64) {
    let (mut parser, mut all) = (Parser::default(), Vec::new());
    text.chunks(piece).for_each(|piece| parser.feed(piece, |region| all.push(region)));
    parser.end(|region| all.push(region));
    (all, parser.odd)
}

fn own() -> ProcessKey {
    super::super::holder(&Root::host(), std::process::id()).unwrap()
}

#[test]
fn regions_are_told_with_what_they_are_wherever_the_text_is_cut() {
    let (all, odd) = parse(SMAPS.as_bytes(), usize::MAX);
    let kinds: Vec<_> = all.iter().map(|one| one.row.kind).collect();
    let shared = [MapKind::Shared, MapKind::File, MapKind::Anonymous, MapKind::Anonymous, MapKind::Device];
    let last = [MapKind::Other, MapKind::Stack, MapKind::Vdso, MapKind::Vdso];
    assert_eq!(kinds, [&[MapKind::File, MapKind::Heap][..], &shared, &last].concat());
    assert_eq!(odd, 0);
    let program = &all[0].row;
    assert_eq!((program.start, program.size_bytes, program.offset_bytes), (0x55d0_c000_0000, 8192, 4096));
    assert_eq!((program.device.as_deref(), program.inode), (Some("254:16"), Some(173_521)));
    assert_eq!((program.permissions.as_str(), &*all[0].name), ("r-xp", &b"/usr/bin/a b"[..]));
    assert_eq!(
        (program.rss_bytes, program.pss_bytes, program.locked_bytes),
        (Some(8192), Some(4096), Some(4096))
    );
    assert_eq!((program.huge_bytes, program.swap_bytes), (Some(2 << 20), Some(0)));
    let heap = &all[1].row;
    assert_eq!(
        (heap.private_dirty_bytes, heap.swap_bytes, heap.inode),
        (Some(1 << 20), Some(12 << 10), None)
    );
    assert_eq!((heap.anonymous_bytes, all[5].row.rss_bytes), (None, None), "what is not told is unknown");
    for piece in [1, 2, 7, 64, 100] {
        let (cut, odd) = parse(SMAPS.as_bytes(), piece);
        assert_eq!(odd, 0);
        assert!(cut.iter().map(|one| (&one.row, &one.name)).eq(all.iter().map(|one| (&one.row, &one.name))));
    }
}

#[test]
fn odd_lines_cost_themselves_alone() {
    let broken = [
        &b"Rss: 4 kB\n"[..], // of no region
        b"1000-2000 rw-p 00000000 00:00 0 \nRss: many kB\nPss: 4 kB\nSwap\n\xff\xfe: 1 kB\nLocked: 1 MB\n",
        b"Swap: 99999999999999999999 kB\nAnonymous: 18446744073709551615 kB\nNew_In_Linux_9: 3 apples\n",
        b"3000-2000 rw-p 00000000 00:00 0 \n4000-5000 rwxpp 0 00:00 0\n5000 rw-p\n6000-7000 rw-p zz 00:00 0\n",
        &[b'/'; 70_000],
        b"\n8000-9000 r--p 00000000 08:01 5  /x\\012y\nRss: 8 kB\n9000-a000 r--p 0000",
    ]
    .concat();
    for piece in [1, 4096, usize::MAX] {
        let (all, odd) = parse(&broken, piece);
        let told: Vec<_> =
            all.iter().map(|one| (one.row.start, one.row.rss_bytes, one.row.pss_bytes)).collect();
        assert_eq!(told, [(0x1000, None, Some(4096)), (0x8000, Some(8192), None)]);
        assert_eq!((&*all[1].name, odd), (&b"/x\\012y"[..], 13));
    }
    assert_eq!(parse(b"", 1).0.len(), 0);
}

#[test]
fn names_have_bounded_room_and_are_kept_once() {
    let line = |at: u64, name: &str| {
        format!("{:x}-{:x} r--p 00000000 08:01 {} {name}\n", at << 12, (at + 1) << 12, at + 1)
    };
    let long = "/".repeat(4000);
    let text: String = (0..3000).map(|at| line(at, &format!("{long}{at}"))).collect();
    let mut parser = Parser::default();
    let mut all = Vec::new();
    parser.feed(text.as_bytes(), |region| all.push(region));
    parser.end(|region| all.push(region));
    assert_eq!((all.len(), parser.odd), (3000, 0));
    assert!(parser.unnamed > 500 && all.iter().map(|one| one.name.len()).sum::<usize>() <= 8 << 20);
    assert_eq!((all[2999].row.kind, all[2999].row.inode), (MapKind::File, Some(3000)));
    let same: String = (0..3000).map(|at| line(at, &long)).collect();
    let (all, _) = parse(same.as_bytes(), usize::MAX);
    assert!(all.iter().all(|one| Arc::ptr_eq(&one.name, &all[0].name)));
}

#[test]
fn of_very_many_the_largest_are_listed_and_the_others_added_up() {
    let mut reading = Reading::default();
    let mut sum = MemorySum::default();
    for at in 0..3 * LISTED as u64 {
        let row = MemoryMap {
            start: at << 12,
            end: (at + 1) << 12,
            size_bytes: 4096,
            rss_bytes: Some(if at % 3 == 0 { 4096 } else { 0 }),
            ..MemoryMap::default()
        };
        sum.add(&row);
        let text = format!(
            "{:x}-{:x} rw-p 00000000 00:00 0 \nRss: {} kB\n",
            row.start,
            row.end,
            if at % 3 == 0 { 4 } else { 0 }
        );
        let (mut one, _) = parse(text.as_bytes(), usize::MAX);
        reading.keep(one.remove(0));
    }
    reading.shrink();
    let mut look = Look::default();
    look.take(Path::new("/nowhere"), reading);
    let maps = &look.maps;
    assert_eq!(maps.rows.len(), LISTED);
    assert!(
        maps.rows.iter().all(|row| row.rss_bytes == Some(4096))
            && maps.rows.is_sorted_by_key(|row| row.start)
    );
    assert_eq!((maps.all, maps.rest.regions), (sum, Some(2 * LISTED as u64)));
    assert_eq!(maps.rest.rss_bytes, Some(0));
    assert!(maps.missing.iter().any(|line| line.starts_with("only the 20")), "{:?}", maps.missing);
}

#[test]
fn our_own_memory_is_that_of_the_kernels_sum_and_a_deleted_file_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (gone, liar) = (dir.path().join("gone"), dir.path().join("here (deleted)"));
    std::fs::write(&gone, vec![1; 64 << 10]).unwrap();
    std::fs::write(&liar, vec![2; 4096]).unwrap();
    // `mmap` is unsafe: a program that maps its arguments and waits.
    let script = "import mmap,os,sys,time\n\
        maps=[mmap.mmap(os.open(p,os.O_RDWR),0) for p in sys.argv[1:]]\n\
        [m[0] for m in maps]\nprint('ready',flush=True)\ntime.sleep(600)";
    let mut child = match Command::new("python3")
        .args(["-c", script])
        .args([&gone, &liar])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(_) => return, // no python here: the truth tests have one
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    let inode = std::fs::metadata(&gone).unwrap().ino();
    std::fs::remove_file(&gone).unwrap();
    let key = super::super::holder(&Root::host(), child.id()).unwrap();
    // Behind its word it runs on for a moment, and the kernel adds up a moment after we did.
    let until = Instant::now() + Duration::from_secs(20);
    let sleeps =
        || super::super::whose(&Root::host(), key.pid).is_some_and(|(_, state)| state == ProcessState::S);
    while !sleeps() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut look = read(&Root::host(), key).unwrap();
    for _ in 0..20 {
        let (all, rollup) = (look.maps.all, look.maps.rollup.unwrap());
        if (all.rss_bytes, all.anonymous_bytes) == (rollup.rss_bytes, rollup.anonymous_bytes) {
            break;
        }
        look = read(&Root::host(), key).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "ready\n");
    let maps = &look.maps;
    let of = |path: &Path| {
        maps.rows.iter().find(|row| Path::new(&row.path) == path).unwrap_or_else(|| panic!("{maps:?}"))
    };
    assert_eq!(
        (of(&gone).deleted, of(&gone).inode, of(&gone).kind),
        (Some(true), Some(inode), MapKind::File)
    );
    assert_eq!((of(&gone).size_bytes, of(&gone).permissions.as_str()), (64 << 10, "rw-s"));
    assert!(of(&gone).rss_bytes >= Some(4096));
    if look.files.iter().any(|(_, mount)| mount.is_some()) {
        assert_eq!(of(&liar).deleted, Some(false)); // the link count tells
    }
    let (all, rollup) = (maps.all, maps.rollup.unwrap());
    let same = [(all.rss_bytes, rollup.rss_bytes), (all.anonymous_bytes, rollup.anonymous_bytes)];
    assert!(same.iter().all(|(ours, kernels)| ours == kernels), "{all:?} {rollup:?}");
    assert_eq!(all.regions, Some(maps.rows.len() as u64));
    let places: Vec<_> =
        look.files.iter().map(|(path, _)| Some(format!("/host{}", path.display()))).collect();
    look.place(&places);
    let placed = look.maps.rows.iter().filter(|row| row.host_path.is_some());
    // Where each file lies is told by links that only root may follow.
    if rustix::process::geteuid().is_root() {
        assert!(placed.clone().count() > 2);
        assert!(placed.clone().all(|row| row.host_path == Some(format!("/host{}", row.path))));
    }
}

#[test]
fn who_ended_or_is_another_is_refused_and_who_has_no_memory_says_so() {
    let other = ProcessKey { start_time: 1, ..own() };
    assert!(read(&Root::host(), other).unwrap_err().ends_with("its pid belongs to another process now"));
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    let key = super::super::holder(&Root::host(), child.id()).unwrap();
    let zombie = loop {
        match read(&Root::host(), key) {
            Ok(look) if look.maps.rows.is_empty() => break look.maps,
            Ok(_) | Err(_) => std::thread::yield_now(),
        }
    };
    assert!(zombie.missing.iter().any(|line| line.contains("no memory")), "{zombie:?}");
    child.wait().unwrap();
    assert_eq!(read(&Root::host(), key).unwrap_err(), format!("process {} has ended", key.pid));
    if !rustix::process::geteuid().is_root() {
        let init = super::super::holder(&Root::host(), 1).unwrap();
        assert!(read(&Root::host(), init).unwrap_err().contains("CAP_SYS_PTRACE"));
    }
}
