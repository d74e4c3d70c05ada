//! Representative rows of the tables of namespaces.

use glasshull_shared::domain::namespace::{
    Holder, HolderKind, IdRange, Isolation, IsolationKey, Namespace, NamespaceKey, NamespaceKind, Relation,
};

use super::ID;

pub(super) fn namespace_key() -> NamespaceKey {
    NamespaceKey { kind: NamespaceKind::User, inode: 4_026_532_201 }
}

pub(super) fn namespace() -> Namespace {
    Namespace {
        host: Some(false),
        parent: Some(4_026_531_837),
        owner: Some(4_026_531_838),
        creator_uid: Some(1000),
        pids: 3,
        pid: Some(4321),
        members: vec![4321, 4400],
        containers: vec![ID.into()],
        name: Some("edge".into()),
        held_by: vec![Holder { by: HolderKind::Descriptor, pid: Some(812), detail: "fd 7".into() }],
        hostname: Some("web-1".into()),
        uid_map: vec![IdRange { inside: 0, outside: 100_000, count: 65_536 }],
        gid_map: vec![IdRange { inside: 0, outside: 200_000, count: 65_535 }],
        monotonic_offset_nanos: Some(86_400_000_000_000),
        boottime_offset_nanos: Some(-3_600_000_000_000),
        cgroup_root: Some(format!("/docker/{ID}")),
    }
}

pub(super) fn isolation_key() -> IsolationKey {
    IsolationKey { container: Some(ID.into()), group: Some(17), kind: NamespaceKind::Net }
}

pub(super) fn isolation() -> Isolation {
    Isolation {
        inode: 4_026_532_305,
        relation: Relation::Shared,
        with: vec!["side".into()],
        pid: 4322,
        label: Some("cron.service".into()),
        processes: Some(5),
    }
}
