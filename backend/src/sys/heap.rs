//! The allocator of the C library: keeps it from holding on to what it does not need. Reads nothing.
//!
//! Readings come from many threads, and each would get a heap of its own, which keeps its greatest size; a dashboard that
//! looks into 200 containers now and then would hold for good what it needed for a moment.
#![expect(unsafe_code, reason = "no crate of ours wraps mallopt and malloc_trim")]

/// Has all threads share two heaps. To be called before the first thread starts; elsewhere than in glibc nothing happens.
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers and touches nothing of ours; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives what is free back to the kernel. Elsewhere than in glibc nothing happens.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` is safe to call from any thread and frees nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
