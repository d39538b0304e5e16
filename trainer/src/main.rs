//! The command line of thinkling.

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps what a step frees for the next one; given back to the system, it would come back page by page, each to be cleared.
#[allow(unsafe_code, reason = "the allocator's options have no safe form")]
fn keep_freed_memory() {
    /// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out: milliseconds until it is given back, or -1.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets a number before there is a second thread.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, -1) };
}

fn main() -> ExitCode {
    keep_freed_memory();
    cli::main()
}
