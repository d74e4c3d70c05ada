//! A look at open files.

use glasshull_shared::domain::file::{FileKind, HeldAs, OpenFile, OpenFiles, OpenMode};

pub(crate) fn open_files() -> OpenFiles {
    let journal = OpenFile {
        held_as: HeldAs::Descriptor,
        fd: Some(7),
        kind: Some(FileKind::File),
        mode: Some(OpenMode::ReadWrite),
        flags: vec!["O_APPEND".into(), "O_CLOEXEC".into()],
        path: "/var/lib/postgresql/wal/1".into(),
        host_path: Some("/var/lib/docker/overlay2/x/merged/var/lib/postgresql/wal/1".into()),
        layer_path: Some("/var/lib/docker/overlay2/x/diff/var/lib/postgresql/wal/1".into()),
        device: Some("0:51".into()),
        inode: Some(4711),
        node: Some("254:0".into()),
        size_bytes: Some(16 << 20),
        held_bytes: Some(8 << 20),
        position: Some(123_456),
        deleted: Some(true),
        mount_id: Some(812),
        hangs: true,
        position_per_sec: Some(1500.0),
        size_per_sec: Some(-20.5),
    };
    let cwd =
        OpenFile { held_as: HeldAs::Cwd, kind: Some(FileKind::Dir), path: "/".into(), ..OpenFile::default() };
    OpenFiles {
        looked_nanos: 987_654_321,
        rows: vec![cwd, journal],
        left_out: 12,
        missing: vec!["mapped files: needs CAP_SYS_PTRACE".into()],
    }
}
