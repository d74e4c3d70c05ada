//! A file system that never says how full it is, as one of a server that died: FUSE, answered by hand. It is gone with its
//! process.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};

/// `FUSE_STATFS`, and the kernel's word that who asked gave up.
const UNANSWERED: [u32; 2] = [17, 36];
/// `FUSE_FORGET` and `FUSE_BATCH_FORGET`, which nobody waits for.
const WITHOUT_REPLY: [u32; 2] = [2, 42];
const INIT: u32 = 26;
const ENOSYS: i32 = 38;

/// Mounts it on a folder, prints "ready" and serves until it is ended. To be run in a mount namespace of its own, or others
/// would hang in it.
///
/// # Errors
/// When it cannot be mounted: not root, or a kernel without FUSE.
pub fn run(folder: &Path) -> Result<()> {
    let mut kernel = OpenOptions::new().read(true).write(true).open("/dev/fuse").context("open /dev/fuse")?;
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", kernel.as_raw_fd());
    let data = std::ffi::CString::new(data)?;
    mount("mute", folder, "fuse.mute", MountFlags::empty(), &*data).context("mount it")?;
    writeln!(std::io::stdout(), "ready")?;
    let mut request = vec![0; 256 << 10];
    loop {
        match kernel.read(&mut request) {
            Ok(_) => answer(&mut kernel, &request)?,
            // One that was taken back meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("read a request"),
        }
    }
}

/// A request begins with its length, what is asked and its number.
fn answer(kernel: &mut File, request: &[u8]) -> Result<()> {
    let (_, rest) = request.split_first_chunk::<4>().context("short")?;
    let (asked, rest) = rest.split_first_chunk::<4>().context("short")?;
    let (number, _) = rest.split_first_chunk::<8>().context("short")?;
    let asked = u32::from_ne_bytes(*asked);
    if UNANSWERED.contains(&asked) || WITHOUT_REPLY.contains(&asked) {
        return Ok(());
    }
    let mut body = Vec::new();
    if asked == INIT {
        // Version 7.31, no flag, 4 KiB at a time; the rest is 0.
        for word in [7_u32, 31, 0, 0, 0, 4096, 1] {
            body.extend(word.to_ne_bytes());
        }
        body.resize(64, 0);
    }
    let error = if asked == INIT { 0 } else { -ENOSYS };
    let mut reply = Vec::new();
    reply.extend(u32::try_from(16 + body.len())?.to_ne_bytes());
    reply.extend(error.to_ne_bytes());
    reply.extend(number);
    reply.extend(body);
    // Who asked may have gone.
    match kernel.write(&reply) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("answer a request"),
        _ => Ok(()),
    }
}
