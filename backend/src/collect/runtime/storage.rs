//! Podman's and CRI-O's storage: `overlay-containers/containers.json` names all containers and their images.

use std::path::{Path, PathBuf};

use glasshull_shared::domain::container::{Container, KnownFrom};
use serde_json::Value;

use super::json::{self, text};
use crate::sys::clock::parse_rfc3339;
use crate::sys::root::Root;
use crate::sys::text::cut;

/// Where it lies for root unless configured otherwise.
const DEFAULT: &str = "/var/lib/containers/storage/overlay-containers";

/// Fills name, image and creation of `id`, looking beside its bundle first (`…/overlay-containers/ID/userdata`).
pub(super) fn fill(root: &Root, row: &mut Container, id: &str, bundle: Option<&Path>) {
    let beside = bundle.and_then(|bundle| bundle.parent()?.parent()).map(Path::to_owned);
    for directory in beside.into_iter().chain([PathBuf::from(DEFAULT)]) {
        let Some(all) = json::read(&root.host_path(directory.join("containers.json"))) else { continue };
        let Some(entry) = all.as_array().into_iter().flatten().find(|e| text(e, &["id"]) == Some(id)) else {
            continue;
        };
        // The library's users keep their own notes as JSON in a text.
        let notes: Value =
            text(entry, &["metadata"]).and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default();
        row.image = text(&notes, &["image-name"]).map(|image| cut(image.to_owned()));
        row.created_at = text(entry, &["created"]).and_then(parse_rfc3339);
        let first = entry
            .get("names")
            .and_then(Value::as_array)
            .and_then(|names| names.first())
            .and_then(Value::as_str);
        if let Some(name) = text(&notes, &["name"]).or(first).filter(|_| row.name.is_empty()) {
            row.name = cut(name.to_owned());
        }
        row.known_from.push(KnownFrom::State);
        return;
    }
}
