//! Starts the command line of the catalog service.

fn main() -> std::process::ExitCode {
    catalog::cli::main()
}
