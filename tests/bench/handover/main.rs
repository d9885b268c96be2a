//! What the hand-over costs, beside its peers in the same run: the copy beside `psql \copy`, the feed, the triggers, the comparison.
//!
//! `cargo bench -p banyan-tests --bench handover [-- WORD…]` runs those whose name has one of the words, on SQLite and on the server that
//! `BANYAN_TEST_POSTGRES` names. `BANYAN_ROWS` is the number of rows that are copied (1,000,000), `BANYAN_RUNS` how often they are compared
//! under traffic (10). Nothing here passes or fails; it prints what it found, beside the bound where there is one.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

mod copy;
mod triggers;
mod verify;
#[path = "../../tests/handover/world.rs"]
#[expect(dead_code, reason = "the trials use more of it")]
mod world;

use banyan_tests::till::Database;
use world::World;

type Work = fn(&mut World) -> anyhow::Result<()>;

const WORKS: [(&str, Work); 4] = [
    ("copy", copy::rate),
    ("foreground", copy::foreground),
    ("triggers", triggers::cost),
    ("verify", verify::million),
];

fn main() -> anyhow::Result<()> {
    anyhow::ensure!(
        banyan_tests::programs::build().status()?.success(),
        "the programs cannot be built"
    );
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for database in Database::both().into_iter().filter(Database::is_there) {
        for (name, work) in WORKS {
            let name = format!("{}::{name}", database.name());
            if !words.is_empty() && !words.iter().any(|word| name.contains(word)) {
                continue;
            }
            println!("{name}");
            let mut world = World::open(&database)?;
            if let Err(error) = work(&mut world) {
                println!("  failed: {error:#}\n{}", world.logs());
            }
        }
    }
    Ok(())
}

/// A number from the environment, or the usual one.
fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}
