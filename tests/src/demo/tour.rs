//! The tour: both routes go over to the service and come back, a line for each switch; then the file is the visitor's.

use std::time::Duration;

use super::routing::{InForce, Mode};
use super::screen::{self, say};
use super::shop::Shop;
use super::traffic::Traffic;

/// The stages of the tour.
pub(super) const STAGES: [Mode; 5] = [
    Mode::Monolith,
    Mode::Canary(10),
    Mode::Canary(50),
    Mode::Service,
    Mode::Monolith,
];

/// Requests in each stage.
const REQUESTS: u64 = 1500;
/// How often the router is asked what it goes by.
const GLANCE: Duration = Duration::from_millis(250);

/// Goes through the stages and then stays until it is dropped.
pub(super) async fn run(shop: &mut Shop) -> anyhow::Result<()> {
    let traffic = Traffic::start(shop).await?;
    screen::tour();
    for mode in STAGES {
        let took = shop.switch(mode).await?;
        traffic.count();
        traffic.until(REQUESTS).await;
        screen::switched(&mode.to_string(), took, &traffic.count());
    }
    say(&format!(
        "\nNow it is yours: edit {}\nand watch here. Ctrl-C stops everything.\n",
        shop.config().display()
    ));
    follow(shop, &traffic).await
}

/// Tells of every switch that somebody else makes.
async fn follow(shop: &mut Shop, traffic: &Traffic) -> anyhow::Result<()> {
    let mut before = InForce::ask(shop).await?;
    loop {
        tokio::time::sleep(GLANCE).await;
        if let Some(gone) = shop
            .servers
            .iter_mut()
            .find_map(|server| server.has_ended().then(|| server.program()))
        {
            anyhow::bail!("{gone} has ended");
        }
        let now = InForce::ask(shop).await?;
        if now.hash != before.hash {
            screen::until_now(&before.modes, &traffic.count());
            say(&format!("  now: {}", now.modes));
        } else if before.is_current && !now.is_current {
            say(
                "  the file has a mistake and is not taken: see `banyan check`; what was served before goes on",
            );
        } else if !before.is_current && now.is_current {
            say("  the file is good again");
        }
        before = now;
    }
}
