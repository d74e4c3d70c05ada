//! The one image of the lab, in two layers (so that "which layer holds this file" has more than one answer): below,
//! Debian's busybox-static with its applets and a passwd; above it, `actor`, compiled from the sources in `scene/`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::engine::{docker, docker_command};
use super::state::Layout;

/// Reference of the image all containers of the lab run.
pub const IMAGE: &str = "glasshull-lab:1";

/// The lower layer on its own.
const BASE: &str = "glasshull-lab-base:1";

/// What `actor` can be called as; see its source.
const ROLES: [&str; 18] = [
    "idle", "busy", "threads", "worker", "zombie", "stopped", "dstate", "writer", "crowd", "hostile",
    "keeper", "eater", "spinner", "spawner", "sink", "send", "chatter", "brief",
];

/// Sources of `actor`.
const SOURCES: [(&str, &str); 2] =
    [("actor.c", include_str!("../../scene/actor.c")), ("net.c", include_str!("../../scene/net.c"))];

/// `app` is a user the host does not know by this name: user names must come from the container's own passwd.
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:The application:/:/bin/sh\n";

/// Puts the files of both layers together; needs no engine.
///
/// # Errors
/// When busybox is missing or not static, or the C compiler fails.
pub(super) fn stage(layout: &Layout) -> Result<()> {
    stage_base(&layout.join("base"))?;
    stage_actor(layout, &layout.join("layer/bin"))
}

fn stage_base(root: &Path) -> Result<()> {
    for dir in ["bin", "etc", "tmp", "www", "srv", "data"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    let busybox = root.join("bin/busybox");
    fs::copy("/bin/busybox", &busybox).context("copy /bin/busybox (package busybox-static)")?;
    let list = Command::new(&busybox).arg("--list").output().context("run busybox --list")?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|a| *a != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\n")?;
    fs::write(root.join("www/index.html"), "<!doctype html><title>web</title><p>served in the lab\n")?;
    Ok(())
}

fn stage_actor(layout: &Layout, bin: &Path) -> Result<()> {
    fs::create_dir_all(bin)?;
    for (name, text) in SOURCES {
        fs::write(layout.join(name), text)?;
    }
    let output = Command::new("cc")
        .args(["-static", "-O1", "-pthread", "-s", "-o"])
        .arg(bin.join("actor"))
        .args(SOURCES.map(|(name, _)| layout.join(name)))
        .output()
        .context("run cc")?;
    if !output.status.success() {
        bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    for role in ROLES {
        symlink("actor", bin.join(role))?;
    }
    Ok(())
}

/// Imports the staged files into the engine as [`IMAGE`].
///
/// # Errors
/// When tar or the engine fails.
pub(super) fn import(layout: &Layout) -> Result<()> {
    feed_tar(layout, &layout.join("base"), &["import", "-", BASE])?;
    let id = docker(layout, &["create", "--network", "none", BASE, "true"])?;
    let id = id.trim();
    feed_tar(layout, &layout.join("layer"), &["cp", "-", &format!("{id}:/")])?;
    docker(layout, &["commit", id, IMAGE])?;
    docker(layout, &["rm", id])?;
    // Staged files are twice on disk otherwise, and a forgotten copy would make a wrong host path look right.
    for done in ["base", "layer"] {
        fs::remove_dir_all(layout.join(done)).or_else(ignore_missing)?;
    }
    Ok(())
}

fn ignore_missing(e: io::Error) -> io::Result<()> {
    if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }
}

/// `tar -C root -c . | docker …`, all files root's.
fn feed_tar(layout: &Layout, root: &Path, args: &[&str]) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-c", "."])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("run tar")?;
    let Some(stream) = tar.stdout.take() else { bail!("tar without output") };
    let output = docker_command(layout).args(args).stdin(stream).output().context("run docker")?;
    let packed = tar.wait()?;
    if !packed.success() || !output.status.success() {
        bail!("docker {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
