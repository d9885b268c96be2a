//! The program `banyan`. Everything is in the library, so that tests reach it.

use std::process::ExitCode;

/// A request allocates some dozens of small things; this halves what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, and what would be 11 MiB at rest is 28 with them. Without this it is only larger.
    #[cfg(target_os = "linux")]
    let _larger = rustix::thread::disable_transparent_huge_pages(true);
    router::cli::run()
}
