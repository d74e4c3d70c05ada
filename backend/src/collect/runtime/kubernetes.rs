//! kubelet's links to container logs: `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` name containers without
//! asking any runtime.

use std::collections::BTreeMap;
use std::fs;

use glasshull_shared::domain::container::Container;

use super::bundle::name_in_pod;
use crate::sys::root::Root;

/// The directory, listed only when first asked and once per pass.
pub(super) struct Logs<'a> {
    root: &'a Root,
    names: Option<BTreeMap<String, String>>,
}

impl<'a> Logs<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Self { root, names: None }
    }

    /// Names a container after its log; false when it has none (the sandbox never has).
    pub(super) fn fill(&mut self, row: &mut Container, id: &str) -> bool {
        let root = self.root;
        let names = self.names.get_or_insert_with(|| list(root));
        let Some(stem) = names.get(id) else { return false };
        let mut parts = stem.splitn(3, '_');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(pod), Some(namespace), Some(container)) => {
                name_in_pod(row, pod, Some(namespace), Some(container));
                true
            }
            _ => false,
        }
    }
}

/// Id → the rest of the name.
fn list(root: &Root) -> BTreeMap<String, String> {
    let entries = fs::read_dir(root.host_path("/var/log/containers")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (rest, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
            Some((id.to_owned(), rest.to_owned()))
        })
        .collect()
}
