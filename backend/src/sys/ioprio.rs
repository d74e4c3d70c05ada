//! The I/O priority of a process, by `ioprio_get(2)`, which neither libc nor rustix wraps.
#![expect(unsafe_code, reason = "no crate of ours wraps ioprio_get")]

/// `IOPRIO_WHO_PROCESS`: one thread, by its id.
const WHO_PROCESS: libc::c_int = 1;

/// Class (0 none, 1 real time, 2 best effort, 3 idle) and level (0 to 7) of a process's main thread; `None` when it is gone
/// or the kernel refuses.
pub(crate) fn of_process(pid: u32) -> Option<(u8, u8)> {
    let pid = libc::c_int::try_from(pid).ok().filter(|pid| *pid > 0)?; // 0 would be ourselves
    // SAFETY: ioprio_get takes two integers and reads or writes no memory of ours.
    let value = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, pid) };
    let value = u16::try_from(value).ok()?;
    // Class in the upper three bits, level in the lowest three; hints lie in between.
    Some(((value >> 13) as u8, (value & 7) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_is_told_and_that_of_nobody_is_not() {
        let (class, level) = of_process(std::process::id()).unwrap();
        assert!(class <= 3 && level <= 7, "{class} {level}");
        assert_eq!(of_process(0), None);
        assert_eq!(of_process(u32::MAX), None);
    }
}
