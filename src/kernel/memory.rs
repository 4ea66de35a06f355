//! What the C allocator does with tensor memory. Every op allocates its output, and by default glibc gives large blocks
//! back to the system after each one: about a third of a training step then goes into page faults.

/// Tells glibc to keep freed memory for the next step instead of returning it. Call once, before threads start.
/// Elsewhere it does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt is a C call that only sets tuning values")]
pub fn retain_heap() {
    const GIBIBYTE: i32 = 1 << 30;
    // SAFETY: documented glibc parameters; an unknown or refused value leaves the default in force.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIBIBYTE);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Tells glibc to keep freed memory; this is not glibc.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn retain_heap() {}
