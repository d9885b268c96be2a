//! Starts the payment provider of the tests and the demo.

fn main() -> std::process::ExitCode {
    banyan_tests::psp::main()
}
