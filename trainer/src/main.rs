//! The command line of thinkling.

use std::process::ExitCode;

mod cli;

/// Keeps big buffers instead of giving them back to the system after each step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
