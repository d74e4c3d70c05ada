//! A look at open files, and at who holds some.

use glasshull_shared::domain::file::{
    FileHolder, FileHolders, FileKind, HeldAs, HeldPlace, OpenFile, OpenFiles, OpenMode,
};

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

pub(crate) fn held_place() -> HeldPlace {
    HeldPlace { device: "254:1".into(), mount: Some(812) }
}

pub(crate) fn holders() -> FileHolders {
    let postgres = FileHolder {
        pid: 4711,
        start_time: 815,
        comm: "postgres".into(),
        container: Some("c0ffee".into()),
        descriptors: 12,
        written: 3,
        nodes: 1,
        mapped: 2,
        cwd: true,
        root: true,
        exe: true,
        here: Some(4),
        largest: Some("/data/base/1".into()),
        largest_host: Some("/srv/db/base/1".into()),
        largest_bytes: Some(1 << 30),
        position_per_sec: Some(1500.5),
        size_per_sec: Some(-20.0),
    };
    FileHolders {
        rows: vec![postgres, FileHolder { pid: 1, cwd: true, ..FileHolder::default() }],
        others: vec!["mounted beneath it: /srv/db/wal".into()],
        looked_at: 300,
        descriptors: 5000,
        left_out: 7,
        missing: vec!["3 processes hide what they hold: needs CAP_SYS_PTRACE".into()],
    }
}
