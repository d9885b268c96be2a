//! `cargo demo`: the whole shape on one machine, with routes that move under traffic.

fn main() -> std::process::ExitCode {
    banyan_tests::demo::main()
}
