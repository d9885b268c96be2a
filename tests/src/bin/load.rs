//! The loads of `tests/bench`: a fixed rate, idle connections, faulty upstreams, routes that move.

fn main() -> std::process::ExitCode {
    banyan_tests::load::main()
}
