//! A look at a process's memory.

use glasshull_shared::domain::process::{MapKind, MemoryMap, MemoryMaps, MemorySum};

pub(crate) fn memory_maps() -> MemoryMaps {
    let library = MemoryMap {
        start: 0x7f3c_5a00_0000,
        end: 0x7f3c_5a02_0000,
        size_bytes: 128 << 10,
        permissions: "r-xp".into(),
        offset_bytes: 4096,
        device: Some("0:51".into()),
        inode: Some(4711),
        path: "/lib/libc.so.6".into(),
        host_path: Some("/var/lib/docker/overlay2/x/merged/lib/libc.so.6".into()),
        kind: MapKind::File,
        deleted: Some(true),
        rss_bytes: Some(96 << 10),
        pss_bytes: Some(7 << 10),
        private_dirty_bytes: Some(8 << 10),
        swap_bytes: Some(12 << 10),
        anonymous_bytes: Some(8 << 10),
        locked_bytes: Some(4 << 10),
        huge_bytes: Some(0),
    };
    let heap = MemoryMap {
        start: 0x55d0_0000_0000,
        end: 0x55d0_0020_0000,
        size_bytes: 2 << 20,
        permissions: "rw-p".into(),
        path: "[heap]".into(),
        kind: MapKind::Heap,
        rss_bytes: Some(2 << 20),
        huge_bytes: Some(2 << 20),
        ..MemoryMap::default()
    };
    let rollup = MemorySum { rss_bytes: Some(5 << 20), pss_bytes: Some(4 << 20), ..MemorySum::default() };
    MemoryMaps {
        all: MemorySum::of([&heap, &library, &heap]),
        rest: MemorySum::of([&heap]),
        rows: vec![heap, library],
        rollup: Some(rollup),
        missing: vec!["only the 2 largest of 3 regions are listed".into()],
    }
}
