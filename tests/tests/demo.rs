//! `cargo demo`, typed as a newcomer types it.

#![allow(clippy::unwrap_used, reason = "a panic in a test is a report")]

use banyan_tests::programs;

#[test]
fn what_stands_behind_the_two_hyphens_reaches_the_demo() {
    let output = programs::cargo().args(["demo", "--", "--help"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("--smoke"), "{output:?}");
}

#[test]
fn a_short_journey_of_the_data_ends_with_a_proof_and_nothing_wrong() {
    let output = programs::cargo()
        .args(["demo", "--", "--migrate", "--smoke"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{complaint}");
    for line in [
        "The proof:",
        "writes found on the holder",
        "nothing is lost, nothing is doubled",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
}
