//! The real books with the real catalog service, in shadow: what is wrong is found, and what may differ does not stand in the
//! way.
//!
//! For whoever doubts that a certificate means something. A monolith holds the products of a real shop's books, the service
//! has loaded them, the router compares, and its own command line is asked what it thinks. The books lie beside the
//! project, in `../shared/data`, and are no part of it; without them the trials are reported as ignored.

mod stamp;
mod trials;
mod world;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

use world::World;

fn main() -> std::process::ExitCode {
    let mut args = Arguments::from_args();
    // Each trial keeps the machine busy by itself.
    args.test_threads = args.test_threads.or(Some(1));
    if !args.list
        && !banyan_tests::programs::build()
            .status()
            .is_ok_and(|status| status.success())
    {
        // Cargo has said why.
        return std::process::ExitCode::FAILURE;
    }
    let books = banyan_tests::books::file();
    let trials = [
        trial(
            "one_wrong_product_in_500_is_named_and_keeps_the_route_where_it_is",
            &books,
            trials::one_in_500_is_wrong,
        ),
        trial(
            "declared_and_noisy_differences_let_the_route_go_on",
            &books,
            trials::only_what_may_differ_differs,
        ),
    ];
    libtest_mimic::run(&args, trials.into()).exit_code()
}

type Work = fn(&mut World) -> anyhow::Result<()>;

fn trial(name: &str, books: &Path, work: Work) -> Trial {
    let books: PathBuf = books.to_owned();
    let ignored = !books.exists();
    let run = move || {
        let mut world = World::open(&books)?;
        work(&mut world).map_err(|error| Failed::from(format!("{error:#}\n{}", world.logs())))
    };
    Trial::test(format!("sqlite::{name}"), run).with_ignored_flag(ignored)
}
