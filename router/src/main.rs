//! The program `banyan`. Everything is in the library, so that tests reach it.

use std::process::ExitCode;

/// A request allocates some dozens of small things; this halves what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    router::cli::run()
}
