//! Some seconds of load over a thousand routes that are switched, edited and taken over: no request fails.
//!
//! The minute of it, at full load, is `tests/bench/switches.sh`; this one holds every change of the router to the same.
#![allow(clippy::unwrap_used, reason = "a panic in a test is a report")]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]

use banyan_tests::load::switches::{Plan, run};
use banyan_tests::programs;

#[tokio::test]
async fn no_request_fails_and_none_goes_to_the_side_that_was_left() {
    programs::build_all().await.unwrap();
    let plan = Plan {
        banyan: programs::path("banyan"),
        seconds: 6.0,
        routes: 1000,
        connections: 16,
        pause: 2,
        switch_every: 0.4,
        reload_every: 1.0,
        workers: 2,
    };
    let outcome = run(&plan).await.unwrap();
    println!("{}", outcome.line());
    assert_eq!(outcome.failed, 0, "{:#?}", outcome.failures);
    assert_eq!(outcome.restarts, 1);
    // Whatever else the machine does, some of each happens within the time.
    assert!(
        outcome.switches >= 3 && outcome.reloads >= 2 && outcome.requests >= 500,
        "{}",
        outcome.line()
    );
}
