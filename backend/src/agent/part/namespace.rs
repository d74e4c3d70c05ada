//! Namespaces: fills `namespace` and `isolation`.

use std::collections::BTreeMap;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::Snapshot;

use super::confinement::inits;
use super::container::ContainerPart;
use super::keep_rows;
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::namespace::{Missed, Mounted, NamespaceReader};
use crate::model::namespace::{Known, isolation, join_namespaces, mounted};
use crate::sys::root::Root;

/// Readings of namespaces.
pub(crate) struct NamespacePart {
    root: Root,
    /// CAP_SYS_PTRACE: what is hidden all the same holds more than we do.
    sees_all: bool,
    reader: NamespaceReader,
}

impl NamespacePart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, sees_all: bool) -> Self {
        Self { reader: NamespaceReader::new(root.clone()), root, sees_all }
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone(), self.sees_all);
    }

    /// Reads what is new or due; `next` must have its processes, containers and mounts joined already.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        container: &ContainerPart,
        next: &mut Snapshot,
        troubles: &mut Troubles,
    ) {
        let mounted: Vec<Mounted> =
            mounted(&next.mount).into_iter().map(|(key, pid, path)| Mounted { key, pid, path }).collect();
        let (mut rows, missed) = self.reader.read(processes, &mounted);
        let inits = inits(container.members(), &next.process);
        let known = Known {
            places: &self.reader.links().map(|(key, links)| (*key, *links)).collect::<BTreeMap<_, _>>(),
            processes: &next.process,
            inits: &inits.into_iter().map(|(key, (process, _))| (key, process)).collect(),
            mounts: &next.mount,
        };
        join_namespaces(&mut rows, known);
        next.namespace = keep_rows(rows, &next.namespace);
        next.isolation = keep_rows(isolation(known), &next.isolation);
        match trouble(self.sees_all, missed) {
            Some(trouble) => troubles.set(collect::NAMESPACE, trouble),
            None => troubles.none(collect::NAMESPACE),
        }
    }
}

fn trouble(sees_all: bool, missed: Missed) -> Option<Trouble> {
    let mut reasons = Vec::new();
    if missed.hidden > 0 && !sees_all {
        reasons.push(format!("in which namespaces {} processes are is hidden", missed.hidden));
    }
    if missed.closed > 0 && !sees_all {
        reasons.push(format!("what {} processes hold open is hidden", missed.closed));
    }
    let lacks = (!reasons.is_empty()).then_some("CAP_SYS_PTRACE");
    if missed.waiting > 0 {
        reasons.push(format!("{} sockets are still to be asked where they were made", missed.waiting));
    }
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        capability: lacks.map(str::to_owned),
        remedy: lacks.map(grant),
        collected_at: None,
    })
}
