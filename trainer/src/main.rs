//! The command line of thinkling.

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for the next step. Memory that goes back to the system comes back page by page, and each page
/// must be cleared.
#[allow(unsafe_code, reason = "the allocator's options have no safe form")]
fn keep_freed_memory() {
    /// `mi_option_purge_delay` of mimalloc.h, absent from the bindings: milliseconds before freed memory goes back, or
    /// -1 for never.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets an option before a second thread exists.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, -1) };
}

fn main() -> ExitCode {
    keep_freed_memory();
    cli::main()
}
