//! A file as a container names it and where it really lies on the host.

use serde::{Deserialize, Serialize};

/// Which layer of an overlay file system holds a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The container's own writable layer: written or replaced since the container was created.
    Upper,
    /// A layer of the image; 0 is the topmost lower directory.
    Lower(u32),
}

/// Whether the path still leads to the file the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFate {
    /// The path still names the very same inode.
    #[default]
    Present,
    /// The path names nothing any more.
    Deleted,
    /// Another file has been put under the same name.
    Replaced,
    /// Not permitted to look.
    Unknown,
}

/// One file seen from both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFile {
    /// Path as the process sees it. Source: `/proc/PID/exe`.
    pub path: String,
    /// Path through the mounted root on the host (`…/merged/bin/busybox`), or `/proc/PID/root/…` when the host has no
    /// such mount; `None` when not permitted.
    pub host_path: Option<String>,
    /// Path of the file inside the layer directory that holds it; `None` off overlay file systems or when not found.
    pub layer_path: Option<String>,
    /// Which layer that is; `None` as above.
    pub layer: Option<Layer>,
    /// Device the file's inode belongs to, `major:minor`; `None` when not permitted.
    pub device: Option<String>,
    /// Inode number; `None` when not permitted.
    pub inode: Option<u64>,
    /// Whether the file was deleted or replaced under the process.
    pub fate: FileFate,
}
