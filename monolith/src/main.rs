//! Starts the command line of the shop.

// Rows and JSON are very many small pieces; glibc's allocator takes twice as long over them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    monolith::cli::main()
}
