//! What the visitor sees. The one place of the demo that prints.

use std::time::Duration;

use super::shop::Shop;
use super::traffic::{self, Count};
use crate::programs;

/// Prints a line. A reader that has gone away is no error.
pub(super) fn say(text: &str) {
    use std::io::Write;
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says on standard error why the demo ends.
pub(super) fn complain(error: &anyhow::Error) {
    use std::io::Write;
    let _gone = writeln!(std::io::stderr().lock(), "demo: {error:#}");
}

/// Shows the end of each server's log.
pub(super) fn logs(shop: &Shop) {
    for server in &shop.servers {
        say(&server.log());
    }
}

/// Who listens where.
pub(super) fn addresses(shop: &Shop) {
    let at = &shop.addresses;
    let rows = [
        ("router", &at.router, "clients come here"),
        (
            "  admin",
            &at.admin,
            "for `banyan status` and its kin; /health/ready",
        ),
        ("monolith", &at.monolith, "eight modules, one database"),
        ("catalog", &at.catalog, "the extracted service"),
        ("psp-simulator", &at.psp, "the payment provider; /ledger"),
    ];
    say("\nThe shop is open:\n");
    for (name, address, what) in rows {
        say(&format!("  {name:<14} http://{address:<16} {what}"));
    }
}

/// Addresses, and three commands to try.
pub(super) async fn welcome(shop: &Shop) -> anyhow::Result<()> {
    addresses(shop);
    let skus = traffic::skus(shop).await?;
    // A SKU without a space, so that the command can be pasted as it stands.
    let sku = skus
        .iter()
        .find(|sku| !sku.contains(' '))
        .map_or("", String::as_str);
    let banyan = programs::path("banyan").display().to_string();
    let config = shop.config().display().to_string();
    say(&format!(
        "\nThree commands to try in another terminal:\n\n  \
         {banyan} why GET /api/products/{sku} -H 'x-customer: 7' --config {config}\n  \
         {banyan} try GET /api/products/{sku} -H 'x-customer: 7' --config {config}\n  \
         {banyan} routes --config {config}\n\nEverything lies in {}\n",
        shop.folder().display()
    ));
    Ok(())
}

/// The head of the tour.
pub(super) fn tour() {
    say(&format!(
        "{} customers browse while get-product and list-products move:\n\n  {:<12} {:>9}  {:>9} {:>7}  {}",
        traffic::CUSTOMERS,
        "MODE",
        "IN EFFECT",
        "REQUESTS",
        "FAILED",
        "ANSWERED BY"
    ));
}

/// A line for a switch of the tour.
pub(super) fn switched(mode: &str, took: Duration, count: &Count) {
    let took = if took.is_zero() {
        "-".to_owned()
    } else {
        format!("{:.1} s", took.as_secs_f64())
    };
    say(&format!(
        "  {mode:<12} {took:>9}  {:>9} {:>7}  {}",
        count.requests,
        count.failed,
        sides(count)
    ));
    if let Some(reason) = &count.reason {
        say(&format!("  the first failure: {reason}"));
    }
}

/// A line for what was served since the last switch that the visitor made.
pub(super) fn until_now(modes: &str, count: &Count) {
    say(&format!(
        "  until now: {modes}: {} requests, {} failed; {}",
        count.requests,
        count.failed,
        sides(count)
    ));
}

fn sides(count: &Count) -> String {
    let side = |name: &String| format!("{name} {:.1} %", count.share(name) * 100.0);
    count.sides.keys().map(side).collect::<Vec<_>>().join(", ")
}
