//! Representative rows of what confines a container, of a mount and its use.

use glasshull_shared::domain::confinement::{
    Aspect, CapSet, Capabilities, Confinement, Declared, DeclaredMount, DeviceControl, Difference, Effective,
    Rlimit, Seccomp,
};
use glasshull_shared::domain::mount::{FromHost, Mount, MountKey, MountOrigin, MountUse, Overlay};

use super::ID;

pub(super) fn confinement() -> Confinement {
    Confinement {
        init_pid: Some(4321),
        effective: Some(effective()),
        declared: Some(declared()),
        differences: vec![Difference {
            aspect: Aspect::Rlimit,
            name: "nofile".into(),
            declared: "1024".into(),
            effective: "4096".into(),
            looser: true,
        }],
    }
}

pub(super) fn effective() -> Effective {
    Effective {
        capabilities: Some(Capabilities {
            effective: CapSet(1),
            permitted: CapSet(3),
            bounding: CapSet::ENGINE_DEFAULT,
            inheritable: CapSet(4),
            ambient: CapSet(8),
        }),
        host_users: Some(false),
        root_uid: Some(100_000),
        seccomp: Some(Seccomp::Filter),
        seccomp_filters: Some(2),
        lsm_label: Some("docker-default (enforce)".into()),
        no_new_privs: Some(true),
        read_only_root: Some(false),
        device_control: DeviceControl::CgroupV1,
        devices: vec!["c 1:3 rwm".into()],
        rlimits: vec![rlimit()],
        oom_score_adj: Some(-500),
        uid: Some(100_001),
        euid: Some(100_002),
        euid_inside: Some(2),
        gid: Some(100_003),
        egid: Some(100_004),
        groups: vec![100_010, 100_027],
    }
}

fn rlimit() -> Rlimit {
    Rlimit { name: "nofile".into(), soft: Some(4096), hard: None }
}

fn declared() -> Declared {
    Declared {
        privileged: Some(false),
        cap_add: vec!["NET_ADMIN".into()],
        cap_drop: vec!["MKNOD".into()],
        security_opt: vec!["no-new-privileges".into()],
        read_only_root: Some(true),
        user: Some("www".into()),
        group_add: vec!["27".into()],
        pid_mode: Some("host".into()),
        network_mode: Some("bridge".into()),
        ipc_mode: Some("private".into()),
        uts_mode: Some("host".into()),
        userns_mode: Some("host".into()),
        cgroupns_mode: Some("private".into()),
        devices: vec!["/dev/fuse:/dev/fuse:rwm".into()],
        device_rules: vec!["c 42:* rmw".into()],
        ulimits: vec![Rlimit { name: "nofile".into(), soft: Some(1024), hard: Some(2048) }],
        oom_score_adj: Some(-500),
        masked_paths: Some(vec!["/proc/kcore".into()]),
        readonly_paths: Some(vec!["/proc/sys".into()]),
        apparmor_profile: Some("docker-default".into()),
        mounts: vec![DeclaredMount {
            kind: "volume".into(),
            source: "/var/lib/docker/volumes/data/_data".into(),
            destination: "/data".into(),
            volume: Some("data".into()),
            writable: true,
            propagation: "rprivate".into(),
        }],
    }
}

pub(super) fn mount_key() -> MountKey {
    MountKey { mntns: Some(4_026_532_400), mount: 812 }
}

pub(super) fn mount() -> Mount {
    Mount {
        container: Some(ID.into()),
        pid: 4321,
        host: true,
        parent: 790,
        mountpoint: "/data".into(),
        root: "/srv/data".into(),
        source: "/dev/vda1".into(),
        fstype: "ext4".into(),
        device: "254:1".into(),
        options: "rw,relatime".into(),
        super_options: "rw,errors=remount-ro".into(),
        propagation: "private,slave".into(),
        peer_group: Some(7),
        master_group: Some(1),
        overlay: Some(Overlay {
            lower: vec!["/l/1".into()],
            upper: Some("/u".into()),
            work: Some("/w".into()),
        }),
        read_only: true,
        overmounted: true,
        origin: MountOrigin::HostPath,
        from_host: Some(FromHost { path: "/srv/data".into(), writable: true }),
    }
}

pub(super) fn mount_use() -> MountUse {
    MountUse {
        size_bytes: Some(10 << 30),
        used_bytes: Some(9 << 30),
        available_bytes: Some(1 << 29),
        inodes: Some(655_360),
        inodes_used: Some(12_000),
        growth_bytes_per_sec: Some(1_048_576.0),
        full_in_secs: Some(512.0),
        asked_at: Some(super::AT),
        hung: true,
        failure: Some("no answer".into()),
    }
}
