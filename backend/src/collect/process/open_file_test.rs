//! Files of this very process and of children, held in every way, against what was done to them.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

fn own() -> ProcessKey {
    super::super::holder(&Root::host(), std::process::id()).unwrap()
}

/// On a busy host our own thread's turn may take longer than is waited for, which is said: looks again then.
fn look() -> OpenFiles {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let files = read(&Root::host(), own()).unwrap().files;
        let late = |line: &String| line.contains("not answer") || line.contains("does not come");
        if !files.missing.iter().any(late) || Instant::now() >= until {
            return files;
        }
    }
}

fn row(files: &OpenFiles, fd: impl AsFd) -> OpenFile {
    let fd = fd.as_fd().as_raw_fd().cast_unsigned();
    files.rows.iter().find(|row| row.fd == Some(fd)).cloned().unwrap()
}

#[test]
fn a_deleted_file_is_told_by_its_link_count_with_the_space_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (gone, liar) = (dir.path().join("gone"), dir.path().join("here (deleted)"));
    let mut file = File::create(&gone).unwrap();
    file.write_all(&vec![1; 256 << 10]).unwrap();
    file.sync_all().unwrap();
    let misnamed = File::create(&liar).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let files = look();
    let (deleted, lives) = (row(&files, &file), row(&files, &misnamed));
    assert_eq!((deleted.deleted, lives.deleted), (Some(true), Some(false)));
    assert_eq!(
        (deleted.path.as_str(), lives.path.as_str()),
        (gone.to_str().unwrap(), liar.to_str().unwrap())
    );
    assert_eq!((deleted.size_bytes, deleted.position), (Some(256 << 10), Some(256 << 10)));
    assert_eq!(deleted.held_bytes, Some(file.metadata().unwrap().blocks() * 512));
    assert!(deleted.held_bytes >= Some(256 << 10) && deleted.kind == Some(FileKind::File));
}

#[test]
fn kinds_and_modes_are_those_of_what_was_opened() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let folder = File::open("/").unwrap();
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/tmp").unwrap();
    let poll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    let memory = rustix::fs::memfd_create("x\u{1b}y", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let files = look();
    let of = |fd: &dyn AsFd| row(&files, fd.as_fd());
    let told = |fd: &dyn AsFd| (of(fd).kind.unwrap(), of(fd).mode.unwrap());
    assert_eq!(told(&reader), (FileKind::Pipe, OpenMode::Read));
    assert_eq!(told(&writer), (FileKind::Pipe, OpenMode::Write));
    assert_eq!(told(&socket), (FileKind::Socket, OpenMode::ReadWrite));
    assert_eq!(told(&folder), (FileKind::Dir, OpenMode::Read));
    assert_eq!(told(&null), (FileKind::Char, OpenMode::ReadWrite));
    assert_eq!(told(&place), (FileKind::Dir, OpenMode::Path));
    assert_eq!(told(&poll), (FileKind::Anon, OpenMode::ReadWrite));
    assert_eq!(told(&memory), (FileKind::File, OpenMode::ReadWrite));
    assert_eq!(of(&null).node.as_deref(), Some("1:3"));
    assert_eq!((of(&memory).path.as_str(), of(&memory).deleted), ("/memfd:x\\u{1b}y", Some(true)));
    assert!(of(&reader).path.starts_with("pipe:[") && of(&reader).inode == of(&writer).inode);
    for silent in [of(&reader), of(&socket), of(&null), of(&poll), of(&place)] {
        assert_eq!(silent.position, None, "{silent:?}");
    }
    assert!(
        [of(&reader), of(&socket), of(&poll)]
            .iter()
            .all(|row| row.size_bytes.is_none() && row.deleted.is_none())
    );
    assert_eq!(of(&place).flags, ["O_PATH", "O_CLOEXEC"]);
}

#[test]
fn what_grows_and_moves_has_rates_and_what_was_reopened_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    journal.write_all(b"begun").unwrap();
    let mut reader = File::open(&path).unwrap();
    let before = look();
    assert_eq!(row(&before, &journal).flags, ["O_APPEND", "O_CLOEXEC"]);
    journal.write_all(&[b'x'; 1000]).unwrap();
    let mut some = [0; 300];
    reader.read_exact(&mut some).unwrap();
    reader.read_at(&mut some, 600).unwrap();
    let mut now = look();
    now.rate(&before);
    let secs = (now.looked_nanos - before.looked_nanos) as f32 / 1e9;
    let close = |rate: Option<f32>, bytes: f32| (rate.unwrap() * secs - bytes).abs() < 0.5;
    let (grown, moved) = (row(&now, &journal), row(&now, &reader));
    assert_eq!((grown.size_bytes, grown.position, moved.position), (Some(1005), Some(1005), Some(300)));
    assert!(close(grown.size_per_sec, 1000.0) && close(grown.position_per_sec, 1000.0), "{grown:?}");
    assert!(close(moved.size_per_sec, 1000.0) && close(moved.position_per_sec, 300.0), "{moved:?}");
    reader.seek(SeekFrom::Start(0)).unwrap();
    let mut back = look();
    back.rate(&now);
    assert_eq!((row(&back, &reader).position_per_sec, row(&back, &reader).size_per_sec), (None, Some(0.0)));
}

#[test]
fn folders_the_program_and_its_libraries_are_listed() {
    let files = look();
    let held = |how| files.rows.iter().filter(move |row| row.held_as == how);
    let program = std::env::current_exe().unwrap();
    let exe = held(HeldAs::Exe).next().unwrap();
    assert_eq!(exe.path, program.to_str().unwrap());
    assert_eq!(exe.inode, Some(program.metadata().unwrap().ino()));
    assert_eq!(held(HeldAs::Cwd).next().unwrap().path, std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(held(HeldAs::Root).next().map(|row| row.kind), Some(Some(FileKind::Dir)));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for row in held(HeldAs::Mem).filter(|row| row.path.starts_with('/')) {
        assert!(maps.contains(&row.path) && row.path != exe.path, "{row:?}");
    }
    if maps.contains("libc.so") {
        let library = held(HeldAs::Mem).find(|row| row.path.contains("libc.so")).unwrap();
        assert_eq!(library.inode, Some(std::fs::metadata(&library.path).unwrap().ino()));
    }
}

/// A child that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_ended_or_is_another_one_is_refused_with_a_sentence() {
    let mut child = Ended(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap());
    let key = super::super::holder(&Root::host(), child.0.id()).unwrap();
    assert!(read(&Root::host(), key).is_ok());
    let other = ProcessKey { start_time: key.start_time - 1, ..key };
    assert!(read(&Root::host(), other).unwrap_err().ends_with("its pid belongs to another process now"));
    child.0.kill().unwrap();
    let zombie = loop {
        // It dies when it gets its turn; while it does so its links may be hidden already.
        match read(&Root::host(), key) {
            Ok(look) if look.files.rows.is_empty() => break look.files,
            Ok(_) | Err(_) => std::thread::yield_now(),
        }
    };
    assert!(zombie.missing.iter().any(|line| line.contains("zombie")), "{zombie:?}");
    child.0.wait().unwrap();
    assert_eq!(read(&Root::host(), key).unwrap_err(), format!("process {} has ended", key.pid));
    assert!(super::super::holder(&Root::host(), key.pid).unwrap_err().contains("no process"));
}

#[test]
fn others_are_hidden_from_an_ordinary_user_who_is_told_what_shows_them() {
    if rustix::process::geteuid().is_root() {
        return; // the tests run as an ordinary user as well
    }
    let init = super::super::holder(&Root::host(), 1).unwrap();
    let refused = read(&Root::host(), init).unwrap_err();
    assert!(refused.contains("process 1") && refused.contains("CAP_SYS_PTRACE"), "{refused}");
}

#[test]
fn more_than_can_be_listed_are_counted() {
    let numbers: Vec<u32> = (0..12_000).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("fd")).unwrap();
    for fd in [0, 9_999, 10_000] {
        std::os::unix::fs::symlink("/x", dir.path().join(format!("fd/{fd}"))).unwrap();
    }
    let (mut held, mut files) = (Vec::new(), OpenFiles::default());
    descriptors(dir.path(), &numbers, &mut held, &mut files);
    assert_eq!(held.iter().map(|one| one.row.fd).collect::<Vec<_>>(), [Some(0), Some(9_999)]);
    assert_eq!(files.left_out, 2_000);
    assert_eq!(files.missing, ["only the first 10000 of 12000 open descriptors are listed"]);
}

#[test]
fn lines_of_maps_and_fdinfo_are_read_and_broken_ones_cost_nothing() {
    let folder = Path::new("/proc/7");
    let line = b"00400000-00452000 r-xp 00000000 fe:10 173521      /usr/bin/a b (deleted)";
    let one = mapping(folder, line).unwrap();
    assert_eq!(one.handle, Path::new("/proc/7/map_files/400000-452000"));
    assert_eq!((one.row.device.as_deref(), one.row.inode), (Some("254:16"), Some(173_521)));
    assert_eq!(one.link, Path::new("/usr/bin/a b (deleted)"));
    for none in [
        &b""[..],
        b"7ffd-7fff rw-p 00000000 00:00 0   [stack]",
        b"x-y r 0 fe:10 5 /a",
        b"1-2 r 0 fe 5 /a",
        b"1-2 r 0 1:1 5",
    ] {
        assert!(mapping(folder, none).is_none());
    }
    let mut held = mapping(folder, line).unwrap();
    held.take_info(b"pos:\t77\nflags:\t02102001\nmnt_id:\t29\nino:\t5\n");
    let row = &held.row;
    assert_eq!((row.position, row.mode, row.mount_id), (Some(77), Some(OpenMode::Write), Some(29)));
    assert_eq!(row.flags, ["O_APPEND", "O_CLOEXEC"]);
    held.take_info(b"pos:\t-1\nflags:\t9\nmnt_id\n\xff:\n");
    assert_eq!((held.row.position, held.row.mount_id), (None, Some(29)));
    assert_eq!(flag_names((libc::O_TMPFILE | libc::O_SYNC).cast_unsigned()), ["O_TMPFILE", "O_SYNC"]);
}
