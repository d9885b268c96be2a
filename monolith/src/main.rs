//! Starts the command line of the shop.

fn main() -> std::process::ExitCode {
    monolith::cli::main()
}
