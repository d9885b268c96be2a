//! `banyan serve`: runs the router. Its server follows in the next step.
use clap::Args;
/// Run the router.
#[derive(Debug, Args)]
pub(super) struct Serve {}
impl Serve {
    pub(super) fn run(self) -> std::process::ExitCode {
        std::process::ExitCode::FAILURE
    }
}
